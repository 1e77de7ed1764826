// What the levels with VNNI share: products of one activation row, in vectors of 256 bits. From memory, wider ones are slower.
#ifndef BN_CPU_X86_VNNI256_H
#define BN_CPU_X86_VNNI256_H

#include "cpu/x86/sum256.h"

// sum + four products in each lane, `a` unsigned.
INLINE __m256i add_products(__m256i sum, __m256i a, __m256i b)
{
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(sum, a, b);
#else
    return _mm256_dpbusd_epi32(sum, a, b);
#endif
}

INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

// One activation row with four rows of weights, or one: vectors whose lanes are to be added. Codes 0, 1, 2 are multiplied as
// they are or times four: those of the first and third plane are left two bits up, and have sums of their own. Taking off
// the row's sum of q at the end makes the codes -1, 0, +1. The KiB at `ahead` are fetched as they come.
INLINE void one(const uint8_t *w, size_t blocks, const int8_t *q, const char *ahead, __m256i *sums, const size_t rows)
{
    const __m256i three = _mm256_set1_epi8(3), twelve = _mm256_set1_epi8(12);
    const size_t stride = blocks * BLOCK_BYTES;
    __m256i once[4], four_times[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
        once[r] = four_times[r] = _mm256_setzero_si256();
    for (size_t b = 0; b < blocks; b++, q += BLOCK_COLS) {
        __m256i q0 = load(q), q1 = load(q + 32), q2 = load(q + 64), q3 = load(q + 96);
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++) {
            if (r % 2 == 0) // two blocks are a cache line
                _mm_prefetch(ahead + (b * rows + r) * BLOCK_BYTES, _MM_HINT_T0);
            __m256i low = load(w + r * stride + b * BLOCK_BYTES), high = _mm256_srli_epi16(low, 4);
            four_times[r] = add_products(four_times[r], _mm256_and_si256(high, twelve), q0);
            once[r] = add_products(once[r], _mm256_and_si256(high, three), q1);
            four_times[r] = add_products(four_times[r], _mm256_and_si256(low, twelve), q2);
            once[r] = add_products(once[r], _mm256_and_si256(low, three), q3);
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
        sums[r] = _mm256_add_epi32(_mm256_srai_epi32(four_times[r], 2), once[r]);
}

// The next rows are fetched, in order, as the hardware's prefetch does not follow so many: those after the four under way,
// and this many bytes more. Much more than that, as eight long rows, is slower.
#define LEAD 2560

static void ternary_one(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, int32_t sum, int32_t *acc)
{
    const size_t stride = blocks * BLOCK_BYTES;
    const __m256i correction = _mm256_set1_epi32(sum);
    __m256i sums[8];
    size_t r = 0;
    for (; r + 8 <= rows; r += 8, w += 8 * stride) {
        one(w, blocks, q, beyond(w, 4 * stride + LEAD), sums, 4);
        one(w + 4 * stride, blocks, q, beyond(w, 8 * stride + LEAD), sums + 4, 4);
        _mm256_storeu_si256((__m256i *)(acc + r), _mm256_sub_epi32(sums8(sums), correction));
    }
    if (r == rows)
        return;
    for (size_t i = 0; i < 8; i++) // past the end: the last one again
        one(w + (i < rows - r ? i : rows - r - 1) * stride, blocks, q, beyond(w, 0), sums + i, 1);
    int32_t last[8];
    _mm256_storeu_si256((__m256i *)last, _mm256_sub_epi32(sums8(sums), correction));
    memcpy(acc + r, last, (rows - r) * sizeof *acc);
}

#endif
