// Products with BN_LAYOUT_BASE3 by AVX-512 with VNNI. A byte u is a fraction of 256 whose first digit in base 3 is the code
// 0, 1 or 2 of its first column: 3 u = 256 code + u', and u' holds the codes of the other four.
#ifndef BN_CPU_X86_BASE3_H
#define BN_CPU_X86_BASE3_H

#include <immintrin.h>

#include "cpu/common.h"

INLINE __m512i next_digit(__m512i u)
{
    return _mm512_add_epi8(_mm512_add_epi8(u, u), u);
}

// 3 u / 256, rounded down: averages round up, which starting from u - 1 makes up for.
INLINE __m512i first_digit(__m512i u)
{
    __m512i less = _mm512_subs_epu8(u, _mm512_set1_epi8(1));
    __m512i average = _mm512_avg_epu8(less, _mm512_avg_epu8(less, _mm512_setzero_si512()));
    return _mm512_and_si512(_mm512_srli_epi16(average, 6), _mm512_set1_epi8(3));
}

// The digits of a block of which there are columns.
INLINE size_t block_digits(size_t cols, size_t block)
{
    size_t left = (cols - block * BASE3_COLS) / BASE3_BYTES;
    return left < BASE3_DIGITS ? left : BASE3_DIGITS;
}

// One activation row, without taking out a single code: in each column 256 code = 3 u - u', hence
// 256 sum(code q) = 3 sum(u q) - sum(u' q). Lanes are exact modulo 2^32, and fit for up to ONE_MOST columns.
#define ONE_MOST (1 << 18)

INLINE void one_block(const uint8_t *w, size_t stride, const int8_t *q, const char *ahead, __m512i (*sum)[2],
                      const size_t digits)
{
    __m512i x[BASE3_DIGITS];
#pragma GCC unroll 5
    for (size_t d = 0; d < digits; d++)
        x[d] = _mm512_loadu_si512(q + d * BASE3_BYTES);
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) {
        _mm_prefetch(ahead + r * BASE3_BYTES, _MM_HINT_T0);
        __m512i u = _mm512_loadu_si512(w + r * stride);
#pragma GCC unroll 5
        for (size_t d = 0; d < digits; d++) {
            sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], u, x[d]);
            u = next_digit(u);
            sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], u, x[d]);
        }
    }
}

// Four rows, `stride` bytes apart: vectors whose lanes are to be added.
INLINE void base3_one(const uint8_t *w, size_t stride, size_t cols, const int8_t *q, const char *ahead, __m512i *sums)
{
    __m512i sum[4][2];
    const size_t whole = cols / BASE3_COLS;
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    for (size_t b = 0; b < whole; b++)
        one_block(w + b * BASE3_BYTES, stride, q + b * BASE3_COLS, ahead + 4 * b * BASE3_BYTES, sum, BASE3_DIGITS);
    w += whole * BASE3_BYTES;
    q += whole * BASE3_COLS;
    ahead += 4 * whole * BASE3_BYTES;
    switch (cols % BASE3_COLS / BASE3_BYTES) {
    case 1:
        one_block(w, stride, q, ahead, sum, 1);
        break;
    case 2:
        one_block(w, stride, q, ahead, sum, 2);
        break;
    case 3:
        one_block(w, stride, q, ahead, sum, 3);
        break;
    case 4:
        one_block(w, stride, q, ahead, sum, 4);
        break;
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) {
        __m512i thrice = _mm512_add_epi32(_mm512_add_epi32(sum[r][0], sum[r][0]), sum[r][0]);
        sums[r] = _mm512_srai_epi32(_mm512_sub_epi32(thrice, sum[r][1]), 8);
    }
}

// A few activation rows with two rows of weights, or the same one twice if `stride` is 0.
#define BASE3_ACTIVATIONS 8

INLINE void base3_few(const uint8_t *w, size_t stride, size_t cols, const int8_t *q, size_t q_stride,
                      const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    const size_t blocks = (cols + BASE3_COLS - 1) / BASE3_COLS, line = blocks * BASE3_BYTES;
    __m512i sum[BASE3_ACTIVATIONS][2];
#pragma GCC unroll 8
    for (size_t i = 0; i < an; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_si512();
    for (size_t b = 0; b < blocks; b++, w += BASE3_BYTES) {
        __m512i u0 = _mm512_loadu_si512(w), u1 = _mm512_loadu_si512(w + stride);
        _mm_prefetch(beyond(w, 2 * line + b * BASE3_BYTES), _MM_HINT_T0);
        _mm_prefetch(beyond(w, 2 * line + (b + 1) * BASE3_BYTES), _MM_HINT_T0);
        for (size_t d = block_digits(cols, b); d > 0; d--, q += BASE3_BYTES) {
            __m512i c0 = first_digit(u0), c1 = first_digit(u1);
#pragma GCC unroll 8
            for (size_t i = 0; i < an; i++) {
                __m512i x = _mm512_loadu_si512(q + i * q_stride);
                sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], c0, x);
                sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], c1, x);
            }
            u0 = next_digit(u0);
            u1 = next_digit(u1);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < an; i++) {
        acc[i * acc_stride] = _mm512_reduce_add_epi32(sum[i][0]) - scales[i].sum;
        if (stride)
            acc[i * acc_stride + 1] = _mm512_reduce_add_epi32(sum[i][1]) - scales[i].sum;
    }
}

// Some columns of a row, a multiple of 128 that begins with a block, as blocks of BN_LAYOUT_I2S_A.
INLINE void base3_to_i2s(const uint8_t *w, size_t cols, uint8_t *out)
{
    __m512i u = _mm512_setzero_si512(), even = u;
    for (size_t line = 0; line < cols / BASE3_BYTES; line++) {
        u = line % BASE3_DIGITS ? next_digit(u) : _mm512_loadu_si512(w + line / BASE3_DIGITS * BASE3_BYTES);
        __m512i codes = first_digit(u);
        if (line % 2 == 0) {
            even = codes;
            continue;
        }
        __m512i both = _mm512_or_si512(_mm512_slli_epi16(even, 4), codes); // halves: columns 0 and 64, 32 and 96
        __m256i low = _mm512_castsi512_si256(both), high = _mm512_extracti64x4_epi64(both, 1);
        _mm256_storeu_si256((__m256i *)out, _mm256_or_si256(_mm256_slli_epi16(low, 2), high));
        out += BLOCK_BYTES;
    }
}

#endif
