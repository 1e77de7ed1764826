// 64-bit Arm with SDOT: four products of bytes and their sum at once.
#include "cpu/arm/sdot.h"

// Two rows of weights, or the same one twice if `stride` is 0, with `an` activation rows: 16 sums. Twice as many rows of
// weights with half as many activation rows would load less, but unpack each byte twice as often.
#define MOST_ACTIVATIONS 8

INLINE void two(const uint8_t *w, size_t stride, size_t blocks, const int8_t *q, size_t q_stride,
                const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    int32x4_t sum[2 * MOST_ACTIVATIONS];
#pragma GCC unroll 16
    for (size_t i = 0; i < 2 * an; i++)
        sum[i] = vdupq_n_s32(0);
    for (size_t b = 0; b < blocks; b++, q += BLOCK_COLS) {
        __builtin_prefetch(beyond(w, 2 * stride + 2 * b * BLOCK_BYTES));
#pragma GCC unroll 2
        for (size_t half = 0; half < 32; half += 16) {
            uint8x16_t w0 = vld1q_u8(w + b * BLOCK_BYTES + half), w1 = vld1q_u8(w + stride + b * BLOCK_BYTES + half);
#pragma GCC unroll 4
            for (unsigned plane = 0; plane < 4; plane++) {
                int8x16_t c0 = code(w0, plane), c1 = code(w1, plane);
#pragma GCC unroll 8
                for (size_t i = 0; i < an; i++) {
                    int8x16_t x = vld1q_s8(q + i * q_stride + 32 * plane + half);
                    sum[2 * i] = vdotq_s32(sum[2 * i], c0, x);
                    sum[2 * i + 1] = vdotq_s32(sum[2 * i + 1], c1, x);
                }
            }
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < an; i++) {
        acc[i * acc_stride] = vaddvq_s32(sum[2 * i]) - scales[i].sum;
        if (stride)
            acc[i * acc_stride + 1] = vaddvq_s32(sum[2 * i + 1]) - scales[i].sum;
    }
}

// Codes stay 0, 1, 2: taking off the rows' sums of q makes them -1, 0, +1.
#define ROWS_BY(an)                                                                                                    \
    static void rows_by_##an(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,           \
                             const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride)                       \
    {                                                                                                                  \
        const size_t stride = blocks * BLOCK_BYTES;                                                                    \
        for (size_t r = 0; r < rows; r += 2)                                                                           \
            two(w + r * stride, r + 1 < rows ? stride : 0, blocks, q, q_stride, scales, acc + r, acc_stride, an);      \
    }
ROWS_BY(2)
ROWS_BY(3)
ROWS_BY(4)
ROWS_BY(5)
ROWS_BY(6)
ROWS_BY(7)
ROWS_BY(8)
static void (*const rows_by[])(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                               const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride) = {
    NULL, NULL, rows_by_2, rows_by_3, rows_by_4, rows_by_5, rows_by_6, rows_by_7, rows_by_8};

// Rows of weights stay in the second level cache while groups of activation rows pass over them.
#define TILE_BYTES (128 * 1024)

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS, stride = blocks * BLOCK_BYTES;
    size_t tile = TILE_BYTES / stride ? TILE_BYTES / stride : 1;
    if (n_rows == 1) {
        ternary_one(w, rows, blocks, q, scales->sum, acc);
        return;
    }
    for (size_t r = 0; r < rows; r += tile) {
        size_t n = rows - r < tile ? rows - r : tile;
        for (size_t i = 0, an; i < n_rows; i += an) {
            an = even_share(n_rows - i, MOST_ACTIVATIONS);
            rows_by[an](w + r * stride, n, blocks, q + i * q_stride, q_stride, scales + i, acc + i * acc_stride + r,
                        acc_stride);
        }
    }
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
};
