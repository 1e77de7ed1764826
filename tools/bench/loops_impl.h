// Loops that read memory with vectors of VECTOR_BYTES, defined under names that end in SUFFIX. Included by one file for
// each vector width, which is compiled with the flags for it.
#include "bench/bench.h"

#include <string.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(name) JOIN(name, SUFFIX)

typedef uint64_t NAME(vector_) __attribute__((vector_size(VECTOR_BYTES), aligned(VECTOR_BYTES), may_alias));
typedef NAME(vector_) vector;

static uint64_t total(vector a, vector b, vector c, vector d)
{
    vector sum = (a + b) + (c + d);
    uint64_t parts[VECTOR_BYTES / 8], all = 0;
    memcpy(parts, &sum, sizeof parts);
    for (size_t i = 0; i < VECTOR_BYTES / 8; i++)
        all += parts[i];
    return all;
}

// `bytes` is a multiple of 4096. One stream from start to end.
uint64_t NAME(read_sequential_)(const void *data, size_t bytes)
{
    const vector *p = data, *end = p + bytes / sizeof *p;
    vector a = {0}, b = {0}, c = {0}, d = {0};
    for (; p < end; p += 4) {
        a += p[0];
        b += p[1];
        c += p[2];
        d += p[3];
    }
    return total(a, b, c, d);
}

// The same with the lines one page ahead asked for: the hardware's prefetchers stop at pages. Asking beyond the end
// is harmless.
uint64_t NAME(read_ahead_)(const void *data, size_t bytes)
{
    const vector *p = data, *end = p + bytes / sizeof *p;
    vector a = {0}, b = {0}, c = {0}, d = {0};
    for (; p < end; p += 256 / sizeof *p) {
        const char *ahead = (const char *)p + 4096;
        for (size_t i = 0; i < 4; i++)
            __builtin_prefetch(ahead + i * 64, 0, 3);
        for (size_t i = 0; i < 256 / sizeof *p; i += 4) {
            a += p[i];
            b += p[i + 1];
            c += p[i + 2];
            d += p[i + 3];
        }
    }
    return total(a, b, c, d);
}

// Four streams, each through a quarter.
uint64_t NAME(read_streams_)(const void *data, size_t bytes)
{
    size_t quarter = bytes / 4 / sizeof(vector);
    const vector *p = data;
    vector a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < quarter; i += 2) {
        a += p[i] + p[i + 1];
        b += p[i + quarter] + p[i + quarter + 1];
        c += p[i + 2 * quarter] + p[i + 2 * quarter + 1];
        d += p[i + 3 * quarter] + p[i + 3 * quarter + 1];
    }
    return total(a, b, c, d);
}
