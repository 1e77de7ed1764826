// 64-bit Arm as every processor of it is: NEON, without products of bytes that are summed in int32.
#include "cpu/arm/bytes.h"

// Codes 0, 1, 2 are multiplied as they are with bytes of q, and added in int16: a block gives each lane 16 products of at
// most 2 * 128. FLUSH_BLOCKS blocks stay below 2^15 even with the unused code 3. Taking off the row's sum of q at the end
// makes the codes -1, 0, +1.
#define FLUSH_BLOCKS 5
#define MOST_SUMS 8 // weight rows times activation rows of a tile
#define MOST_ACTIVATIONS 4

// Sums of wn weight rows with an activation rows, both constants. The next tile of rows is fetched, in order, as rows are
// short and a hardware prefetch does not follow so many.
INLINE void ternary_tile(const uint8_t *w, size_t blocks, const int8_t *q, size_t q_stride,
                         const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t wn,
                         const size_t an)
{
    const size_t stride = blocks * BLOCK_BYTES;
    int32x4_t sum[MOST_SUMS];
#pragma GCC unroll 8
    for (size_t k = 0; k < wn * an; k++)
        sum[k] = vdupq_n_s32(0);
    for (size_t b = 0; b < blocks;) {
        size_t end = blocks - b < FLUSH_BLOCKS ? blocks : b + FLUSH_BLOCKS;
        int16x8_t partial[MOST_SUMS];
#pragma GCC unroll 8
        for (size_t k = 0; k < wn * an; k++)
            partial[k] = vdupq_n_s16(0);
        for (; b < end; b++) {
#pragma GCC unroll 2
            for (size_t r = 0; r < wn; r += 2) // two blocks are a cache line
                __builtin_prefetch(beyond(w, wn * stride + (b * wn + r) * BLOCK_BYTES));
#pragma GCC unroll 2
            for (size_t half = 0; half < 2; half++) {
                const size_t at = b * BLOCK_BYTES + 16 * half;
                uint8x16_t bytes[4];
#pragma GCC unroll 4
                for (size_t r = 0; r < wn; r++)
                    bytes[r] = vld1q_u8(w + r * stride + at);
#pragma GCC unroll 4
                for (unsigned plane = 0; plane < 4; plane++) {
                    int8x16_t c[4];
#pragma GCC unroll 4
                    for (size_t r = 0; r < wn; r++)
                        c[r] = code(bytes[r], plane);
#pragma GCC unroll 4
                    for (size_t i = 0; i < an; i++) {
                        int8x16_t x = vld1q_s8(q + i * q_stride + b * BLOCK_COLS + 32 * plane + 16 * half);
#pragma GCC unroll 4
                        for (size_t r = 0; r < wn; r++) {
                            int16x8_t *p = &partial[r * an + i];
                            *p = vmlal_s8(*p, vget_low_s8(c[r]), vget_low_s8(x));
                            *p = vmlal_high_s8(*p, c[r], x);
                        }
                    }
                }
            }
        }
#pragma GCC unroll 8
        for (size_t k = 0; k < wn * an; k++)
            sum[k] = vpadalq_s16(sum[k], partial[k]);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < wn; r++)
#pragma GCC unroll 4
        for (size_t i = 0; i < an; i++)
            acc[i * acc_stride + r] = vaddvq_s32(sum[r * an + i]) - scales[i].sum;
}

// Rows of weights stay in the second level cache while groups of activation rows pass over them.
#define TILE_BYTES (128 * 1024)

INLINE void ternary_group(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t wn,
                          const size_t an)
{
    const size_t stride = blocks * BLOCK_BYTES;
    size_t r = 0;
    for (; r + wn <= rows; r += wn)
        ternary_tile(w + r * stride, blocks, q, q_stride, scales, acc + r, acc_stride, wn, an);
    for (; r < rows; r++)
        ternary_tile(w + r * stride, blocks, q, q_stride, scales, acc + r, acc_stride, 1, an);
}

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS, stride = blocks * BLOCK_BYTES;
    size_t tile = TILE_BYTES / stride ? TILE_BYTES / stride : 1;
    if (n_rows == 1) {
        ternary_group(w, rows, blocks, q, q_stride, scales, acc, acc_stride, 4, 1);
        return;
    }
    for (size_t r = 0; r < rows; r += tile) {
        size_t n = rows - r < tile ? rows - r : tile;
        for (size_t i = 0, an; i < n_rows; i += an) {
            const int8_t *x = q + i * q_stride;
            int32_t *to = acc + i * acc_stride + r;
            an = even_share(n_rows - i, MOST_ACTIVATIONS);
            if (an == 4)
                ternary_group(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 2, 4);
            else if (an == 3)
                ternary_group(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 2, 3);
            else
                ternary_group(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 2, 2);
        }
    }
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
};
