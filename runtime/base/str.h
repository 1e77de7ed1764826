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

#endif
