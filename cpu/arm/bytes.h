// Codes and products of bytes; four products at once are added to a lane where the file is compiled for SDOT.
#ifndef BN_CPU_ARM_BYTES_H
#define BN_CPU_ARM_BYTES_H

#include "cpu/arm/neon.h"

// Codes of 16 columns: those of byte j of a block of 128 columns stand for columns j, 32 + j, 64 + j and 96 + j.
INLINE int8x16_t code(uint8x16_t bytes, const unsigned plane)
{
    uint8x16_t v = plane == 0   ? vshrq_n_u8(bytes, 6)
                   : plane == 1 ? vshrq_n_u8(bytes, 4)
                   : plane == 2 ? vshrq_n_u8(bytes, 2)
                                : bytes;
    return vreinterpretq_s8_u8(plane == 0 ? v : vandq_u8(v, vdupq_n_u8(3)));
}

// sum + products in -127 .. 127 squared. Without SDOT they are added in pairs first: 2 * 127 * 127 stays below 2^15.
INLINE int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sum, a, b);
#else
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
#endif
}

// Four rows, `stride` bytes apart, with two or four planes: sums of all rows with the first plane, then with the next.
INLINE void scan4(const int8_t *w, size_t stride, size_t cols, const int8_t *q, int32_t *sums, const size_t planes)
{
    const size_t whole = cols / 16 * 16;
    int32x4_t sum[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 4 * planes; i++)
        sum[i] = vdupq_n_s32(0);
    for (size_t i = 0; i < whole; i += 16) {
        int8x16_t x[4];
#pragma GCC unroll 4
        for (size_t plane = 0; plane < planes; plane++)
            x[plane] = vld1q_s8(q + plane * cols + i);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++) {
            int8x16_t v = vld1q_s8(w + r * stride + i);
#pragma GCC unroll 4
            for (size_t plane = 0; plane < planes; plane++)
                sum[4 * plane + r] = add_products(sum[4 * plane + r], v, x[plane]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < 4 * planes; i++)
        sums[i] = vaddvq_s32(sum[i]);
    for (size_t i = whole; i < cols; i++)
        for (size_t k = 0; k < 4 * planes; k++)
            sums[k] += w[k % 4 * stride + i] * q[k / 4 * cols + i];
}

// Four rows with all planes; out of row r is `out_step` * r further. A row that is left over is computed four times.
INLINE void scan_rows(const int8_t *w, size_t stride, size_t cols, const int8_t *q, size_t n, int32_t *out,
                      size_t out_step, size_t out_stride)
{
    for (size_t i = 0, planes; i < n; i += planes) {
        int32_t sums[16];
        planes = n - i >= 4 ? 4 : 2;
        if (planes == 4)
            scan4(w, stride, cols, q + i * cols, sums, 4);
        else
            scan4(w, stride, cols, q + i * cols, sums, 2);
        for (size_t plane = 0; plane < planes; plane++)
            for (size_t r = 0; r < (stride ? 4 : 1); r++)
                out[(i + plane) * out_stride + r * out_step] = sums[4 * plane + r];
    }
}

// Four runs of rows side by side, as in dot.
static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    const size_t run = rows / 4;
    for (size_t r = 0; r < run; r++)
        scan_rows(w + r * cols, run * cols, cols, q, n, out + r, run, out_stride);
    for (size_t r = 4 * run; r < rows; r++)
        scan_rows(w + r * cols, 0, cols, q, n, out + r, 0, out_stride);
}

#endif
