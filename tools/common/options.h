// Command line options as data: one table per tool says names, types, ranges and help, and this file does the rest with
// GNU habits: --name=value, --no-name, -n20, grouped letters, --, --help, --version, and the nearest name for an unknown
// one.
//
// Names of more than one letter after a single dash ("-cnv", as llama.cpp has them) go before grouped letters.
#ifndef TOOLS_COMMON_OPTIONS_H
#define TOOLS_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Strings collected from the command line. Ownership: items belong to argv, the array to tool_list_finish.
struct tool_list {
    const char **items;
    size_t n;
};

void tool_list_finish(struct tool_list *list);

enum tool_type {
    TOOL_TYPE_FLAG,   // bool; --name sets it, --no-name clears it
    TOOL_TYPE_SWITCH, // int, the same with a third value -1: not given
    TOOL_TYPE_STRING, // const char *, NULL: not given
    TOOL_TYPE_LIST,   // struct tool_list; may be given several times
    TOOL_TYPE_U32,
    TOOL_TYPE_U64,
    TOOL_TYPE_I64,
    TOOL_TYPE_FLOAT,
    TOOL_TYPE_WORD, // int, index into `words`
};

struct tool_option {
    const char *group; // heading of this row and those after it; NULL: as before
    const char *names; // "-m --model": shown in this order, the last one is used in messages
    const char *arg;   // what stands for the value in the help; NULL for flags and switches
    enum tool_type type;
    size_t offset;        // of the target in the tool's struct
    double min, max;      // of numbers; both 0: what the type holds
    const char *words;    // of TOOL_TYPE_WORD: "auto always never"
    const char *optional; // the value meant when none is given; then a value is possible with = only
    const char *shown;    // default as the help shows it; NULL: the value in `defaults`, "": nothing
    const char *help;
};

// An option of another program that we lack, and what to do instead.
struct tool_foreign {
    const char *names; // "-ngl --gpu-layers"
    const char *advice;
};

struct tool_program {
    const char *name;  // "bitnet-run"
    const char *usage; // one line per form, without the name
    const char *about; // a paragraph under the usage
    const char *notes; // at the end of the help; may be NULL
    const struct tool_option *options;
    size_t n_options;
    const struct tool_foreign *foreign;
    size_t n_foreign;
    const void *defaults; // the tool's struct before any option, of `size` bytes
    size_t size;
    size_t max_operands; // arguments that are not options
};

// The target's type and offset of a row; the compiler refuses a field of another type:
//   {.names = "-t --threads", TOOL_U32(struct settings, threads), .arg = "N", .help = "..."}
#define TOOL_AT(s, field, type_) (offsetof(s, field) + 0 * sizeof(_Generic(&((s *)0)->field, type_ * : 0)))
#define TOOL_FLAG(s, field) .type = TOOL_TYPE_FLAG, .offset = TOOL_AT(s, field, bool)
#define TOOL_SWITCH(s, field) .type = TOOL_TYPE_SWITCH, .offset = TOOL_AT(s, field, int)
#define TOOL_STRING(s, field) .type = TOOL_TYPE_STRING, .offset = TOOL_AT(s, field, const char *)
#define TOOL_LIST(s, field) .type = TOOL_TYPE_LIST, .offset = TOOL_AT(s, field, struct tool_list)
#define TOOL_U32(s, field) .type = TOOL_TYPE_U32, .offset = TOOL_AT(s, field, uint32_t)
#define TOOL_U64(s, field) .type = TOOL_TYPE_U64, .offset = TOOL_AT(s, field, uint64_t)
#define TOOL_I64(s, field) .type = TOOL_TYPE_I64, .offset = TOOL_AT(s, field, int64_t)
#define TOOL_FLOAT(s, field) .type = TOOL_TYPE_FLOAT, .offset = TOOL_AT(s, field, float)
#define TOOL_WORD(s, field, words_) .type = TOOL_TYPE_WORD, .offset = TOOL_AT(s, field, int), .words = (words_)

// Rows that several programs have alike.
#define TOOL_ROW_MODELS(s)                                                                                             \
    {                                                                                                                  \
        .names = "--models", TOOL_STRING(s, models), .arg = "FOLDERS", .shown = "$BITNET_MODELS",                      \
        .help = "where to look for a model's name first; separated by colons"                                          \
    }
#define TOOL_ROW_TIMEOUT(s)                                                                                            \
    {                                                                                                                  \
        .names = "--timeout", TOOL_U32(s, timeout_ms), .arg = "MS", .min = 10, .max = 60000,                           \
        .help = "milliseconds after which an API that does not answer is given up"                                     \
    }

// Fills the struct at `target` with the defaults, then with what argv says. Returns true to go on; false if the tool is
// to exit with *exit_code: 0 after --help and --version, 2 after a mistake, which has been told on stderr.
// `operands` may be NULL if the program takes none.
bool tool_parse(const struct tool_program *program, void *target, int argc, char **argv, struct tool_list *operands,
                int *exit_code);

// Strict numbers: the whole text, no spaces, no hexadecimal, no infinities; a point in every locale.
bool tool_parse_i64(const char *text, int64_t *value);
bool tool_parse_u64(const char *text, uint64_t *value);
bool tool_parse_double(const char *text, double *value);

#endif
