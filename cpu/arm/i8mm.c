// 64-bit Arm with SMMLA: two rows of eight bytes with two others, four sums at once. Pairs of rows share a vector.
#include "cpu/arm/sdot.h"

// Several activation rows. The codes of eight rows of weights and up to CHUNK blocks are unpacked once, pairs of rows eight
// bytes by eight; then pairs of activation rows, up to MOST_PAIRS, pass over them. Codes stay 0, 1, 2: taking off the rows'
// sums of q makes them -1, 0, +1.
#define WEIGHT_PAIRS 4
#define MOST_PAIRS 4
#define CHUNK 16 // blocks; 16 KiB, with the activations of a chunk half of the first level cache

struct unpacked {
    int8x16_t pairs[CHUNK * BLOCK_COLS / 8][WEIGHT_PAIRS]; // eight columns of two rows
};

// Of eight bytes of a block all four planes, then of the next eight.
static void unpack(const uint8_t *w, size_t stride, size_t rows, size_t blocks, struct unpacked *out)
{
    for (size_t pair = 0; pair < WEIGHT_PAIRS; pair++) { // rows past the end: the last one again
        size_t r0 = 2 * pair, r1 = r0 + 1;
        const uint8_t *w0 = w + (r0 < rows ? r0 : rows - 1) * stride, *w1 = w + (r1 < rows ? r1 : rows - 1) * stride;
        for (size_t i = 0; i < 2 * blocks; i++) {
            uint64x2_t v0 = vreinterpretq_u64_u8(vld1q_u8(w0 + 16 * i));
            uint64x2_t v1 = vreinterpretq_u64_u8(vld1q_u8(w1 + 16 * i));
            uint8x16_t low = vreinterpretq_u8_u64(vzip1q_u64(v0, v1));
            uint8x16_t high = vreinterpretq_u8_u64(vzip2q_u64(v0, v1));
#pragma GCC unroll 4
            for (unsigned plane = 0; plane < 4; plane++) {
                out->pairs[8 * i + plane][pair] = code(low, plane);
                out->pairs[8 * i + 4 + plane][pair] = code(high, plane);
            }
        }
    }
}

// Adds the products of a chunk to acc, or sets acc. `n` activation rows, 2 * pairs or one less; `rows` of the eight.
struct task {
    const struct unpacked *w;
    size_t blocks, rows;
    const int8_t *q;
    size_t q_stride;
    const struct bn_row_scale *scales;
    size_t n;
    int32_t *acc;
    size_t acc_stride;
    bool first;
};

static void add_sums(const struct task *task, int32x4_t (*sum)[WEIGHT_PAIRS])
{
    for (size_t i = 0; i < task->n; i++) {
        int32_t *acc = task->acc + i * task->acc_stride, line[2 * WEIGHT_PAIRS];
        for (size_t pair = 0; pair < WEIGHT_PAIRS; pair++) {
            int32x4_t s = sum[i / 2][pair]; // [activation row][weight row]
            vst1_s32(line + 2 * pair, i % 2 ? vget_high_s32(s) : vget_low_s32(s));
        }
        for (size_t r = 0; r < task->rows; r++)
            acc[r] = (task->first ? -task->scales[i].sum : acc[r]) + line[r];
    }
}

INLINE void multiply(const struct task *task, const size_t pairs)
{
    const size_t last = task->n - 1, stride = task->q_stride;
    int32x4_t sum[MOST_PAIRS][WEIGHT_PAIRS];
    const int8_t *q[2 * MOST_PAIRS];
#pragma GCC unroll 4
    for (size_t i = 0; i < pairs; i++) {
        q[2 * i] = task->q + 2 * i * stride;
        q[2 * i + 1] = task->q + (2 * i < last ? 2 * i + 1 : last) * stride;
#pragma GCC unroll 4
        for (size_t pair = 0; pair < WEIGHT_PAIRS; pair++)
            sum[i][pair] = vdupq_n_s32(0);
    }
    for (size_t half = 0; half < 2 * task->blocks; half++) {
        const size_t at = half / 2 * BLOCK_COLS + half % 2 * 16;
#pragma GCC unroll 1
        for (size_t plane = 0; plane < 4; plane++) {
            const int8x16_t *low = task->w->pairs[8 * half + plane], *high = low + 4 * WEIGHT_PAIRS;
#pragma GCC unroll 4
            for (size_t i = 0; i < pairs; i++) {
                int64x2_t x0 = vreinterpretq_s64_s8(vld1q_s8(q[2 * i] + at + 32 * plane));
                int64x2_t x1 = vreinterpretq_s64_s8(vld1q_s8(q[2 * i + 1] + at + 32 * plane));
                int8x16_t a = vreinterpretq_s8_s64(vzip1q_s64(x0, x1)), b = vreinterpretq_s8_s64(vzip2q_s64(x0, x1));
#pragma GCC unroll 4
                for (size_t pair = 0; pair < WEIGHT_PAIRS; pair++) {
                    sum[i][pair] = vmmlaq_s32(sum[i][pair], a, low[pair]);
                    sum[i][pair] = vmmlaq_s32(sum[i][pair], b, high[pair]);
                }
            }
        }
    }
    add_sums(task, sum);
}

#define MULTIPLY(pairs)                                                                                                \
    static void multiply##pairs(const struct task *task)                                                               \
    {                                                                                                                  \
        multiply(task, pairs);                                                                                         \
    }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
MULTIPLY(4)
static void (*const multiplies[])(const struct task *task) = {multiply1, multiply2, multiply3, multiply4};

static void ternary_many(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                         const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    const size_t stride = blocks * BLOCK_BYTES;
    struct unpacked unpacked;
    for (size_t r = 0; r < rows; r += 2 * WEIGHT_PAIRS) {
        size_t n = rows - r < 2 * WEIGHT_PAIRS ? rows - r : 2 * WEIGHT_PAIRS;
        for (size_t b = 0; b < blocks; b += CHUNK) {
            size_t chunk = blocks - b < CHUNK ? blocks - b : CHUNK;
            unpack(w + r * stride + b * BLOCK_BYTES, stride, n, chunk, &unpacked);
            for (size_t i = 0, an; i < n_rows; i += an) {
                an = n_rows - i <= 2 * MOST_PAIRS ? n_rows - i : 2 * even_share((n_rows - i + 1) / 2, MOST_PAIRS);
                multiplies[(an - 1) / 2](&(struct task){.w = &unpacked,
                                                        .blocks = chunk,
                                                        .rows = n,
                                                        .q = q + i * q_stride + b * BLOCK_COLS,
                                                        .q_stride = q_stride,
                                                        .scales = scales + i,
                                                        .n = an,
                                                        .acc = acc + i * acc_stride + r,
                                                        .acc_stride = acc_stride,
                                                        .first = b == 0});
            }
        }
    }
}

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    if (n_rows == 1)
        ternary_one(w, rows, cols / BLOCK_COLS, q, scales->sum, acc);
    else
        ternary_many(w, rows, cols / BLOCK_COLS, q, q_stride, scales, n_rows, acc, acc_stride);
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
};
