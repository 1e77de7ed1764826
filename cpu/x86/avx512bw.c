// AVX-512 F, BW, DQ and VL without VNNI, as the first processors with it have: products of bytes added in pairs.
#include "cpu/x86/avx512.h"
#include "cpu/x86/groups256.h"
#include "cpu/x86/maddubs256.h"

// Several activation rows: four rows of weights in two vectors, rows 0 and 2 in the first, with `an` rows of activations.
// FLUSH_BLOCKS has the range of the sums in int16. The next four rows are at `ahead`.
#define MOST_ACTIVATIONS 4

INLINE __m512i two_blocks(const uint8_t *first, const uint8_t *second)
{
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)first));
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)second), 1);
}

INLINE __m512i products(__m512i codes, const int8_t *q)
{
    return _mm512_maddubs_epi16(codes, _mm512_broadcast_i64x4(load_q(q)));
}

// Sums of the halves: a's low one, b's low one, a's high one, b's high one.
INLINE __m128i half_sums(__m512i a, __m512i b)
{
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    s = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, 0x4e));
    __m256i low = _mm512_castsi512_si256(s), high = _mm512_extracti64x4_epi64(s, 1);
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    __m128i y = _mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    return _mm_unpacklo_epi64(x, y);
}

INLINE void four(const uint8_t *const *w, const char *ahead, size_t blocks, const int8_t *q, size_t q_stride,
                 __m128i *sums, const size_t an)
{
    const __m512i three = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
    __m512i sum[2 * MOST_ACTIVATIONS];
#pragma GCC unroll 8
    for (size_t k = 0; k < 2 * an; k++)
        sum[k] = _mm512_setzero_si512();
    for (size_t b = 0; b < blocks;) {
        size_t end = blocks - b < FLUSH_BLOCKS ? blocks : b + FLUSH_BLOCKS;
        __m512i partial[2 * MOST_ACTIVATIONS];
#pragma GCC unroll 8
        for (size_t k = 0; k < 2 * an; k++)
            partial[k] = _mm512_setzero_si512();
        for (; b < end; b++) {
            const size_t at = b * BLOCK_BYTES;
            _mm_prefetch(ahead + 4 * at, _MM_HINT_T0);
            _mm_prefetch(ahead + 4 * at + 64, _MM_HINT_T0);
            __m512i v[2] = {two_blocks(w[0] + at, w[2] + at), two_blocks(w[1] + at, w[3] + at)};
#pragma GCC unroll 2
            for (size_t pair = 0; pair < 2; pair++) {
                __m512i c0 = _mm512_and_si512(_mm512_srli_epi16(v[pair], 6), three);
                __m512i c1 = _mm512_and_si512(_mm512_srli_epi16(v[pair], 4), three);
                __m512i c2 = _mm512_and_si512(_mm512_srli_epi16(v[pair], 2), three);
                __m512i c3 = _mm512_and_si512(v[pair], three);
#pragma GCC unroll 4
                for (size_t i = 0; i < an; i++) {
                    const int8_t *x = q + i * q_stride + b * BLOCK_COLS;
                    __m512i p01 = _mm512_add_epi16(products(c0, x), products(c1, x + 32));
                    __m512i p23 = _mm512_add_epi16(products(c2, x + 64), products(c3, x + 96));
                    partial[2 * i + pair] = _mm512_add_epi16(partial[2 * i + pair], _mm512_add_epi16(p01, p23));
                }
            }
        }
#pragma GCC unroll 8
        for (size_t k = 0; k < 2 * an; k++)
            sum[k] = _mm512_add_epi32(sum[k], _mm512_madd_epi16(partial[k], ones));
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < an; i++)
        sums[i] = half_sums(sum[2 * i], sum[2 * i + 1]);
}

// Rows past n are the last one again. Codes stay 0, 1, 2: taking off the rows' sums of q makes them -1, 0, +1.
INLINE void fours(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                  const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    const size_t stride = blocks * BLOCK_BYTES;
    for (size_t r = 0; r < rows; r += 4) {
        const size_t n = rows - r < 4 ? rows - r : 4;
        const uint8_t *from[4];
        for (size_t i = 0; i < 4; i++)
            from[i] = w + (r + (i < n ? i : n - 1)) * stride;
        __m128i sums[MOST_ACTIVATIONS];
        four(from, beyond(w, (r + 4) * stride), blocks, q, q_stride, sums, an);
        for (size_t i = 0; i < an; i++)
            _mm_mask_storeu_epi32(acc + i * acc_stride + r, (__mmask8)first_lanes(n),
                                  _mm_sub_epi32(sums[i], _mm_set1_epi32(scales[i].sum)));
    }
}

// Rows of weights stay in the second level cache while groups of activation rows pass over them.
#define TILE_BYTES (128 * 1024)

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS, stride = blocks * BLOCK_BYTES;
    size_t tile = TILE_BYTES / stride ? TILE_BYTES / stride : 1;
    if (n_rows == 1) {
        ternary_one(w, rows, blocks, q, scales, acc);
        return;
    }
    for (size_t r = 0; r < rows; r += tile) {
        size_t n = rows - r < tile ? rows - r : tile;
        for (size_t i = 0, an; i < n_rows; i += an) {
            const int8_t *x = q + i * q_stride;
            int32_t *to = acc + i * acc_stride + r;
            an = even_share(n_rows - i, MOST_ACTIVATIONS);
            if (an == 4)
                fours(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 4);
            else if (an == 3)
                fours(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 3);
            else
                fours(w + r * stride, n, blocks, x, q_stride, scales + i, to, acc_stride, 2);
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
