// The ways to read memory that are tried. All loops sum what they read, so that no load can be left out.
#include "bench/loops.h"

#define VECTOR_BYTES 16
#define SUFFIX 16
#include "bench/loops_impl.h"

static uint64_t read_words(const void *data, size_t bytes)
{
    const uint64_t *p = data, *end = p + bytes / sizeof *p;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (; p < end; p += 4) {
        a += p[0];
        b += p[1];
        c += p[2];
        d += p[3];
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d)); // words, not vectors
    }
    return a + b + c + d;
}

static const struct {
    struct read_loop loop;
    int bits; // of its vectors; 0: runs anywhere
} table[] = {
    {{"64-bit words", false, read_words}, 0},
    {{"128-bit, page ahead", false, read_ahead_16}, 0},
    {{"128-bit, 4 streams", false, read_streams_16}, 0},
    {{"128-bit, interleaved", true, read_sequential_16}, 0},
#if defined(__x86_64__)
    {{"256-bit", false, read_sequential_32}, 256},
    {{"256-bit, page ahead", false, read_ahead_32}, 256},
    {{"256-bit, 4 streams", false, read_streams_32}, 256},
    {{"256-bit, interleaved", true, read_sequential_32}, 256},
    {{"512-bit", false, read_sequential_64}, 512},
    {{"512-bit, page ahead", false, read_ahead_64}, 512},
#endif
};

static bool has_vectors(int bits)
{
#if defined(__x86_64__)
    if (bits == 256)
        return __builtin_cpu_supports("avx2");
    if (bits == 512)
        return __builtin_cpu_supports("avx512f");
#endif
    return bits == 0;
}

size_t loops_list(struct read_loop *list)
{
    size_t n = 0;
    _Static_assert(sizeof table / sizeof *table <= MAX_LOOPS, "MAX_LOOPS");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (has_vectors(table[i].bits))
            list[n++] = table[i].loop;
    }
    return n;
}
