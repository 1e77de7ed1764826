// How the tools fail: exit codes, and one way to say what went wrong.
#ifndef TOOLS_COMMON_FAIL_H
#define TOOLS_COMMON_FAIL_H

#include <bitnet/error.h>

enum tool_exit {
    TOOL_EXIT_OK = 0,
    TOOL_EXIT_CHECK = 1,    // a check failed
    TOOL_EXIT_USAGE = 2,    // wrong usage, or a path that cannot be read
    TOOL_EXIT_MODEL = 3,    // the model was refused
    TOOL_EXIT_DEVICE = 4,   // a device is not there, not ready, or failed
    TOOL_EXIT_RESOURCE = 5, // memory or disk
    TOOL_EXIT_INTERNAL = 70,
    TOOL_EXIT_SIGNAL = 128, // plus the signal's number
};

// Prints "PROGRAM: message" to stderr. Control characters in the text, and what is not UTF-8, are shown
// as "?".
void tool_say(const char *program, const char *format, ...) BN_PRINTF(2, 3);

// The exit code that a failure of the library means. A missing device is NOT_FOUND as a missing file is: `at_device`
// tells them apart.
int tool_exit_code(const struct bn_error *err, bool at_device);

// Prints "PROGRAM: FILE: SUBJECT: message" and, if there is one, a second line that says how to mend it: `mend`, or what
// the code itself suggests if NULL. Returns the exit code.
int tool_fail(const char *program, const struct bn_error *err, const char *mend);
int tool_fail_device(const char *program, const struct bn_error *err, const char *mend);

#endif
