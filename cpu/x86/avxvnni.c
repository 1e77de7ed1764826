// AVX-VNNI: four products of bytes and their sum at once, in vectors of 256 bits; also compiled for the same instruction as
// AVX-512 has it.
#include "cpu/x86/avx2.h"
#include "cpu/x86/groups256.h"
#include "cpu/x86/vnni256.h"

// Two rows of weights, or the same one twice if `stride` is 0, with `an` activation rows.
#define MOST_ACTIVATIONS 4

INLINE void two(const uint8_t *w, size_t stride, size_t blocks, const int8_t *q, size_t q_stride,
                const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    const __m256i three = _mm256_set1_epi8(3);
    __m256i sum[2 * MOST_ACTIVATIONS];
#pragma GCC unroll 8
    for (size_t i = 0; i < 2 * MOST_ACTIVATIONS; i++)
        sum[i] = _mm256_setzero_si256();
    for (size_t b = 0; b < blocks; b++, q += BLOCK_COLS) {
        const uint8_t *block = w + b * BLOCK_BYTES;
        _mm_prefetch(beyond(w, 2 * stride + 2 * b * BLOCK_BYTES), _MM_HINT_T0);
        __m256i w0 = load(block), w1 = load(block + stride);
#pragma GCC unroll 4
        for (unsigned plane = 0; plane < 4; plane++) {
            __m256i c0 = _mm256_and_si256(_mm256_srli_epi16(w0, 6 - 2 * plane), three);
            __m256i c1 = _mm256_and_si256(_mm256_srli_epi16(w1, 6 - 2 * plane), three);
#pragma GCC unroll 4
            for (size_t i = 0; i < an; i++) {
                __m256i x = load(q + i * q_stride + 32 * plane);
                sum[2 * i] = add_products(sum[2 * i], c0, x);
                sum[2 * i + 1] = add_products(sum[2 * i + 1], c1, x);
            }
        }
    }
    int32_t sums[2 * MOST_ACTIVATIONS];
    _mm256_storeu_si256((__m256i *)sums, sums8(sum));
    for (size_t i = 0; i < an; i++) {
        acc[i * acc_stride] = sums[2 * i] - scales[i].sum;
        if (stride)
            acc[i * acc_stride + 1] = sums[2 * i + 1] - scales[i].sum;
    }
}

INLINE void two_rows(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                     const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    const size_t stride = blocks * BLOCK_BYTES;
    for (size_t r = 0; r < rows; r += 2)
        two(w + r * stride, r + 1 < rows ? stride : 0, blocks, q, q_stride, scales, acc + r, acc_stride, an);
}

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
            const int8_t *x = q + i * q_stride;
            int32_t *to = acc + i * acc_stride + r;
            an = even_share(n_rows - i, MOST_ACTIVATIONS);
            if (an == 4)
                two_rows(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 4);
            else if (an == 3)
                two_rows(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 3);
            else
                two_rows(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 2);
        }
    }
}

// Four rows, `stride` bytes apart: w + 128 is unsigned, and sums modulo 2^32 are exact in the end. `start` is minus 128
// times the sums of the activations.
INLINE void scan4(const int8_t *w, size_t stride, size_t cols, const int8_t *q, const int32_t *start, int32_t *sums)
{
    const __m256i flip = _mm256_set1_epi8(-128);
    const size_t whole = cols / 32 * 32;
    __m256i sum[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        sum[i] = _mm256_setzero_si256();
    for (size_t i = 0; i < whole; i += 32) {
        __m256i high = load(q + i), low = load(q + cols + i);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++) {
            __m256i v = _mm256_xor_si256(load(w + r * stride + i), flip);
            sum[r] = add_products(sum[r], v, high);
            sum[4 + r] = add_products(sum[4 + r], v, low);
        }
    }
    __m256i from = _mm256_setr_m128i(_mm_set1_epi32(start[0]), _mm_set1_epi32(start[1]));
    _mm256_storeu_si256((__m256i *)sums, _mm256_add_epi32(sums8(sum), from));
    for (size_t i = whole; i < cols; i++)
        for (size_t r = 0; r < 4; r++) {
            sums[r] += w[r * stride + i] * q[i];
            sums[4 + r] += w[r * stride + i] * q[cols + i];
        }
}

// minus 128 times the sum of the whole vectors of activations, modulo 2^32.
static int32_t scan_start(const int8_t *q, size_t cols)
{
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i + 32 <= cols; i += 32)
        sum = add_products(sum, _mm256_set1_epi8(-128), load(q + i));
    return sum_i32(_mm256_sub_epi32(_mm256_setzero_si256(), sum));
}

// Four runs of rows side by side, as in dot; a row that is left over is computed four times.
static void scan2(const int8_t *w, size_t rows, size_t cols, const int8_t *q, int32_t *high, int32_t *low)
{
    const int32_t start[2] = {scan_start(q, cols), scan_start(q + cols, cols)};
    const size_t run = rows / 4;
    int32_t sums[8];
    for (size_t r = 0; r < run; r++) {
        scan4(w + r * cols, run * cols, cols, q, start, sums);
        for (size_t i = 0; i < 4; i++) {
            high[i * run + r] = sums[i];
            low[i * run + r] = sums[4 + i];
        }
    }
    for (size_t r = 4 * run; r < rows; r++) {
        scan4(w + r * cols, 0, cols, q, start, sums);
        high[r] = sums[0];
        low[r] = sums[4];
    }
}

static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    for (size_t i = 0; i < n; i += 2)
        scan2(w, rows, cols, q + i * cols, out + i * out_stride, out + (i + 1) * out_stride);
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
    .ternary_groups = ternary_groups,
    .quantise16 = quantise16,
    .activate = activate,
};
