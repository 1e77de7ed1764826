// What the levels without VNNI share: products of bytes added in pairs, in vectors of 256 bits.
#ifndef BN_CPU_X86_MADDUBS256_H
#define BN_CPU_X86_MADDUBS256_H

#include "cpu/x86/sum256.h"

// Ternary products. The codes 0, 1, 2 of a block of 128 columns are multiplied as they are, bytes with bytes into pairs
// in int16: a pair is at most 2 * 2 * 128 in magnitude, a block adds four. FLUSH_BLOCKS blocks stay below 2^15 even
// with the unused code 3. The row sum of q, taken off at the end, makes the codes -1, 0, +1.
#define FLUSH_BLOCKS 8
#define TILE 4 // most rows of a tile

INLINE __m256i load_q(const int8_t *q)
{
    return _mm256_loadu_si256((const __m256i *)q);
}

// Sums of wn weight rows with an activation rows; both constants, one of them 1. Rows are short and come from memory:
// the hardware's prefetch does not follow four of them, so the next tile is fetched, in order, while this one is summed.
INLINE void ternary_tile(const uint8_t *w, size_t blocks, const int8_t *q, size_t q_stride,
                         const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t wn,
                         const size_t an)
{
    const __m256i three = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    const size_t stride = blocks * BLOCK_BYTES;
    __m256i sum[TILE];
#pragma GCC unroll 4
    for (size_t k = 0; k < wn * an; k++)
        sum[k] = _mm256_setzero_si256();

    for (size_t b = 0; b < blocks;) {
        size_t end = blocks - b < FLUSH_BLOCKS ? blocks : b + FLUSH_BLOCKS;
        __m256i partial[TILE];
#pragma GCC unroll 4
        for (size_t k = 0; k < wn * an; k++)
            partial[k] = _mm256_setzero_si256();
        for (; b < end; b++) {
#pragma GCC unroll 4
            for (size_t r = 0; r < wn; r++) {
                if (r % 2 == 0) // of the next tile; two blocks are a cache line
                    _mm_prefetch(beyond(w, wn * stride + (b * wn + r) * BLOCK_BYTES), _MM_HINT_T0);
                __m256i bits = _mm256_loadu_si256((const __m256i *)(w + r * stride + b * BLOCK_BYTES));
                __m256i c0 = _mm256_and_si256(_mm256_srli_epi16(bits, 6), three);
                __m256i c1 = _mm256_and_si256(_mm256_srli_epi16(bits, 4), three);
                __m256i c2 = _mm256_and_si256(_mm256_srli_epi16(bits, 2), three);
                __m256i c3 = _mm256_and_si256(bits, three);
#pragma GCC unroll 4
                for (size_t i = 0; i < an; i++) {
                    const int8_t *qb = q + i * q_stride + b * BLOCK_COLS;
                    __m256i p01 = _mm256_add_epi16(_mm256_maddubs_epi16(c0, load_q(qb)),
                                                   _mm256_maddubs_epi16(c1, load_q(qb + 32)));
                    __m256i p23 = _mm256_add_epi16(_mm256_maddubs_epi16(c2, load_q(qb + 64)),
                                                   _mm256_maddubs_epi16(c3, load_q(qb + 96)));
                    partial[r * an + i] = _mm256_add_epi16(partial[r * an + i], _mm256_add_epi16(p01, p23));
                }
            }
        }
#pragma GCC unroll 4
        for (size_t k = 0; k < wn * an; k++)
            sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(partial[k], ones));
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < wn; r++)
#pragma GCC unroll 4
        for (size_t i = 0; i < an; i++)
            acc[i * acc_stride + r] = sum_i32(sum[r * an + i]) - scales[i].sum;
}

static void ternary_one(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q,
                        const struct bn_row_scale *scales, int32_t *acc)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        ternary_tile(w + r * blocks * BLOCK_BYTES, blocks, q, 0, scales, acc + r, 0, 4, 1);
    for (; r < rows; r++)
        ternary_tile(w + r * blocks * BLOCK_BYTES, blocks, q, 0, scales, acc + r, 0, 1, 1);
}

// |w| times q with the sign of w: products of pairs stay within 2 * 127 * 127 < 2^15.
INLINE __m256i scan_step(__m256i magnitude, __m256i w, const int8_t *q, __m256i sum)
{
    __m256i x = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)q), w);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, x), _mm256_set1_epi16(1)));
}

static void scan2(const int8_t *w, size_t rows, size_t cols, const int8_t *q, int32_t *high, int32_t *low)
{
    size_t whole = cols / 32 * 32;
    for (size_t r = 0; r < rows; r++, w += cols) {
        __m256i h = _mm256_setzero_si256(), l = h;
        for (size_t i = 0; i < whole; i += 32) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(w + i)), magnitude = _mm256_abs_epi8(v);
            h = scan_step(magnitude, v, q + i, h);
            l = scan_step(magnitude, v, q + cols + i, l);
        }
        high[r] = sum_i32(h);
        low[r] = sum_i32(l);
        for (size_t i = whole; i < cols; i++) {
            high[r] += w[i] * q[i];
            low[r] += w[i] * q[cols + i];
        }
    }
}

static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    for (size_t i = 0; i < n; i += 2)
        scan2(w, rows, cols, q + i * cols, out + i * out_stride, out + (i + 1) * out_stride);
}

#endif
