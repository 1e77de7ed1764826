// Terminals, standard streams, files: what every tool does the same way.
#ifndef TOOLS_COMMON_TERM_H
#define TOOLS_COMMON_TERM_H

#include <stdbool.h>
#include <stddef.h>

// Values of an option `--color[=WHEN]`, in this order.
#define TOOL_COLOR_WORDS "auto always never"
enum tool_color { TOOL_COLOR_AUTO, TOOL_COLOR_ALWAYS, TOOL_COLOR_NEVER };

// Makes descriptors 0, 1 and 2 open, so that no file takes their place, and ignores SIGPIPE: a reader that went away
// is seen by tool_out_write. Call it first in main.
void tool_start(void);

// Whether to colour what goes to `fd`. AUTO: a terminal that is not "dumb", and no NO_COLOR.
bool tool_use_color(enum tool_color when, int fd);

// Standard output. Zero it to start.
struct tool_out {
    bool gather;    // write in large pieces; otherwise text appears as it is made
    int failed;     // errno of the first write that failed; nothing is written after it
    bool at_middle; // the last byte written was not a newline
    int terminal;   // 1: it is a terminal, -1: it is not, 0: nobody has looked
    size_t n_held;
    char held[8192];
};

void tool_out_write(struct tool_out *out, const char *data, size_t bytes);
void tool_out_text(struct tool_out *out, const char *text);

// Text of a model, whole characters. A terminal gets U+FFFD for control characters other than newline and tab, since a
// model file that is not to be trusted could steer it; anything else gets the text as it is.
void tool_out_untrusted(struct tool_out *out, const char *text, size_t bytes);

// Writes what is gathered and says why writing failed, unless the reader just went away. Returns the exit code: 0 if
// nothing failed.
int tool_out_finish(struct tool_out *out, const char *program);

// Reads all of a file, or of stdin if path is "-", and adds a terminating zero that *bytes does not count.
// Ownership: the caller frees *data. Returns an exit code; what is not 0 has been told.
int tool_read_file(const char *program, const char *path, char **data, size_t *bytes);

#endif
