// Views of text that lies elsewhere.
#ifndef BN_BASE_STR_H
#define BN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

// A string in memory that outlives its use; not terminated, may hold any bytes.
struct bn_str {
    const char *data;
    size_t bytes;
};

// A view of 0 bytes may have no data.
static inline bool bn_str_is(struct bn_str str, const char *text)
{
    return str.bytes == strlen(text) && (str.bytes == 0 || memcmp(str.data, text, str.bytes) == 0);
}

static inline bool bn_str_starts(struct bn_str str, const char *prefix)
{
    size_t n = strlen(prefix);
    return str.bytes >= n && (n == 0 || memcmp(str.data, prefix, n) == 0);
}

// A terminated copy for a message, cut to fit, with '?' for zeros; returns `text`.
static inline const char *bn_str_text(struct bn_str str, char *text, size_t capacity)
{
    size_t n = str.bytes < capacity - 1 ? str.bytes : capacity - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = str.data[i] ? str.data[i] : '?';
    text[n] = '\0';
    return text;
}

#endif
