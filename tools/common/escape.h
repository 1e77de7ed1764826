// Text with backslash escapes: \n \r \t \\ \" \' \0 and \xHH.
#ifndef TOOLS_COMMON_ESCAPE_H
#define TOOLS_COMMON_ESCAPE_H

#include <stddef.h>

// Replaces the escapes in place; an unknown one stays as it is. Returns the new length; the text stays terminated, and
// may hold zeros.
size_t tool_unescape(char *text, size_t bytes);

// Writes text that can be shown on one line: control characters, backslashes and what is not UTF-8 are escaped.
// `out` must hold 4 * bytes + 1 bytes. Returns the length, without the terminating zero.
size_t tool_escape(const char *text, size_t bytes, char *out);

// Bytes of the control character (C0, DEL, C1) that the text starts with; 0 if it starts with something else.
size_t tool_control(const char *text, size_t bytes);

// Replaces control characters, and what is not UTF-8, by question marks, in place.
void tool_make_printable(char *text);

#endif
