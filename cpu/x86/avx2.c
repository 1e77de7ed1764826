// AVX2 with FMA and F16C.
#include "cpu/x86/avx2.h"
#include "cpu/x86/groups256.h"
#include "cpu/x86/maddubs256.h"

// Rows of weights stay in the second level cache while groups of activation rows pass over them.
#define TILE_BYTES (128 * 1024)

INLINE void ternary_group(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    for (size_t r = 0; r < rows; r++)
        ternary_tile(w + r * blocks * BLOCK_BYTES, blocks, q, q_stride, scales, acc + r, acc_stride, 1, an);
}

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS, stride = blocks * BLOCK_BYTES;
    size_t tile = TILE_BYTES / stride ? TILE_BYTES / stride : 1;
    if (n_rows == 1)
        tile = rows;
    for (size_t r = 0; r < rows; r += tile) {
        size_t n = rows - r < tile ? rows - r : tile;
        const uint8_t *wr = w + r * stride;
        for (size_t i = 0; i < n_rows;) {
            const int8_t *qi = q + i * q_stride;
            int32_t *ai = acc + i * acc_stride + r;
            size_t an = n_rows - i < TILE ? n_rows - i : TILE;
            if (an == 4)
                ternary_group(wr, n, blocks, qi, q_stride, scales + i, ai, acc_stride, 4);
            else if (an == 3)
                ternary_group(wr, n, blocks, qi, q_stride, scales + i, ai, acc_stride, 3);
            else if (an == 2)
                ternary_group(wr, n, blocks, qi, q_stride, scales + i, ai, acc_stride, 2);
            else
                ternary_one(wr, n, blocks, qi, scales + i, ai);
            i += an;
        }
    }
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
    .ternary_groups = ternary_groups,
    .quantise16 = quantise16,
    .activate = activate,
};
