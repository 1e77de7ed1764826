// UTF-8 by the rules of Unicode 15, table 3-7.
#ifndef BN_TEXT_UTF8_H
#define BN_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Looks at the start of `text`; bytes >= 1. If a well-formed character is there: returns its length, sets *code.
// Otherwise: returns the length of the maximal part that can be replaced by one U+FFFD and sets *code to BN_UTF8_BAD,
// or to BN_UTF8_SHORT if the text ends where the character would go on.
#define BN_UTF8_BAD UINT32_MAX
#define BN_UTF8_SHORT (UINT32_MAX - 1)
size_t bn_utf8_next(const char *text, size_t bytes, uint32_t *code);

// Length of the well-formed text at the start.
size_t bn_utf8_valid(const char *text, size_t bytes);

#endif
