// What the levels with SDOT share, which adds four products of bytes to each lane at once: one activation row.
#ifndef BN_CPU_ARM_SDOT_H
#define BN_CPU_ARM_SDOT_H

#include "cpu/arm/bytes.h"

#define ONE_ROWS 4

// One activation row with four rows of weights, or fewer. Codes 0, 1, 2 are multiplied as they are, or times 4 or 16 where they
// lie in the byte, with sums of their own: 16 * 2 * 128 for a quarter of the columns, less than their number times 2^10.
// Taking off the row's sum of q at the end makes the codes -1, 0, +1. The next rows are fetched, in order, as rows are short
// and a hardware prefetch does not follow so many.
INLINE void one(const uint8_t *w, size_t blocks, const int8_t *q, int32_t row_sum, int32_t *acc, const size_t rows)
{
    const uint8x16_t m3 = vdupq_n_u8(3), m12 = vdupq_n_u8(12), m48 = vdupq_n_u8(48);
    const size_t stride = blocks * BLOCK_BYTES;
    int32x4_t times1[ONE_ROWS], times4[ONE_ROWS], times16[ONE_ROWS];
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
        times1[r] = times4[r] = times16[r] = vdupq_n_s32(0);
    for (size_t b = 0; b < blocks; b++, q += BLOCK_COLS) {
#pragma GCC unroll 2
        for (size_t r = 0; r < rows; r += 2) // two blocks are a cache line
            __builtin_prefetch(beyond(w, rows * stride + (b * rows + r) * BLOCK_BYTES));
#pragma GCC unroll 2
        for (size_t half = 0; half < 32; half += 16) {
            int8x16_t q0 = vld1q_s8(q + half), q1 = vld1q_s8(q + 32 + half);
            int8x16_t q2 = vld1q_s8(q + 64 + half), q3 = vld1q_s8(q + 96 + half);
#pragma GCC unroll 4
            for (size_t r = 0; r < rows; r++) {
                uint8x16_t v = vld1q_u8(w + r * stride + b * BLOCK_BYTES + half);
                times1[r] = vdotq_s32(times1[r], vreinterpretq_s8_u8(vshrq_n_u8(v, 6)), q0);
                times16[r] = vdotq_s32(times16[r], vreinterpretq_s8_u8(vandq_u8(v, m48)), q1);
                times4[r] = vdotq_s32(times4[r], vreinterpretq_s8_u8(vandq_u8(v, m12)), q2);
                times1[r] = vdotq_s32(times1[r], vreinterpretq_s8_u8(vandq_u8(v, m3)), q3);
            }
        }
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
        int32x4_t sum = vsraq_n_s32(vsraq_n_s32(times1[r], times4[r], 2), times16[r], 4);
        acc[r] = vaddvq_s32(sum) - row_sum;
    }
}

static void ternary_one(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, int32_t row_sum, int32_t *acc)
{
    const size_t stride = blocks * BLOCK_BYTES;
    size_t r = 0;
    for (; r + ONE_ROWS <= rows; r += ONE_ROWS)
        one(w + r * stride, blocks, q, row_sum, acc + r, ONE_ROWS);
    for (; r < rows; r++)
        one(w + r * stride, blocks, q, row_sum, acc + r, 1);
}

#endif
