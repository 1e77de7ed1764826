#include "common/term.h"
#include "common/escape.h"
#include "common/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tool_start(void)
{
    // Opened the wrong way round on purpose: using a stream that was closed stays an error.
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(TOOL_EXIT_USAGE);
    }
    signal(SIGPIPE, SIG_IGN);
}

bool tool_use_color(enum tool_color when, int fd)
{
    if (when != TOOL_COLOR_AUTO)
        return when == TOOL_COLOR_ALWAYS;
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static void write_all(struct tool_out *out, const char *data, size_t bytes)
{
    while (bytes && !out->failed) {
        ssize_t n = write(STDOUT_FILENO, data, bytes);
        if (n >= 0) {
            data += n;
            bytes -= (size_t)n;
        } else if (errno == EAGAIN) { // somebody made it non-blocking
            struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            out->failed = errno;
        }
    }
}

static void write_held(struct tool_out *out)
{
    write_all(out, out->held, out->n_held);
    out->n_held = 0;
}

void tool_out_write(struct tool_out *out, const char *data, size_t bytes)
{
    if (!bytes)
        return;
    out->at_middle = data[bytes - 1] != '\n';
    if (!out->gather || bytes > sizeof out->held - out->n_held)
        write_held(out);
    if (!out->gather || bytes > sizeof out->held) {
        write_all(out, data, bytes);
    } else {
        memcpy(out->held + out->n_held, data, bytes);
        out->n_held += bytes;
    }
}

void tool_out_text(struct tool_out *out, const char *text)
{
    tool_out_write(out, text, strlen(text));
}

void tool_out_untrusted(struct tool_out *out, const char *text, size_t bytes)
{
    if (!out->terminal)
        out->terminal = isatty(STDOUT_FILENO) ? 1 : -1;
    size_t start = 0;
    for (size_t i = 0; i < bytes && out->terminal > 0;) {
        size_t n = text[i] == '\n' || text[i] == '\t' ? 0 : tool_control(text + i, bytes - i);
        if (n) {
            tool_out_write(out, text + start, i - start);
            tool_out_write(out, "\xef\xbf\xbd", 3);
            start = i + n;
        }
        i += n ? n : 1;
    }
    tool_out_write(out, text + start, bytes - start);
}

int tool_out_finish(struct tool_out *out, const char *program)
{
    write_held(out);
    if (!out->failed)
        return TOOL_EXIT_OK;
    if (out->failed == EPIPE)
        return TOOL_EXIT_SIGNAL + SIGPIPE;
    tool_say(program, "standard output: %s", strerror(out->failed));
    return out->failed == EBADF ? TOOL_EXIT_USAGE : TOOL_EXIT_RESOURCE;
}

static int read_all(int fd, char **data, size_t *bytes)
{
    size_t capacity = 1 << 16;
    char *buffer = malloc(capacity);
    size_t used = 0;
    while (buffer) {
        ssize_t n = read(fd, buffer + used, capacity - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            free(buffer);
            return error;
        }
        if (n == 0) {
            buffer[used] = '\0';
            *data = buffer;
            *bytes = used;
            return 0;
        }
        used += (size_t)n;
        if (capacity - used < 2) {
            char *larger = capacity <= SIZE_MAX / 2 ? realloc(buffer, capacity * 2) : NULL;
            if (!larger)
                free(buffer);
            buffer = larger;
            capacity *= 2;
        }
    }
    return ENOMEM;
}

int tool_read_file(const char *program, const char *path, char **data, size_t *bytes)
{
    bool standard = strcmp(path, "-") == 0;
    *data = NULL;
    *bytes = 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : read_all(fd, data, bytes);
    if (fd >= 0 && !standard)
        close(fd);
    if (!error)
        return TOOL_EXIT_OK;
    tool_say(program, "%s: %s", standard ? "standard input" : path, strerror(error));
    return error == ENOMEM ? TOOL_EXIT_RESOURCE : TOOL_EXIT_USAGE;
}
