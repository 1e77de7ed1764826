// JSON output through jansson. A build without it refuses --json; tool_json_missing says so.
#ifndef TOOLS_COMMON_JSON_H
#define TOOLS_COMMON_JSON_H

#include "bn_config.h"
#include "common/term.h"

// Returns 0 if JSON can be written, else says why not and returns the exit code.
int tool_json_missing(const char *program);

#if BN_HAVE_JANSSON
#include <jansson.h>

// A string of any bytes: what is not UTF-8 becomes U+FFFD. A new reference.
json_t *tool_json_text(const char *text, size_t bytes);

// A number, or null if it is not finite.
json_t *tool_json_number(double value);

// Writes the value on one line and drops the reference. Returns an exit code; what is not 0 has been told.
int tool_json_print(struct tool_out *out, const char *program, json_t *value);
#endif

#endif
