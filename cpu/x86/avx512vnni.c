// AVX-512 with VNNI: four products of bytes and their sum at once.
#include "cpu/x86/avx512.h"
#include "cpu/x86/base3.h"
#include "cpu/x86/groups256.h"
#include "cpu/x86/vnni256.h"

INLINE __m512i two_blocks(const uint8_t *first, const uint8_t *second)
{
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)first));
    return _mm512_mask_broadcast_i64x4(v, 0xf0, _mm256_loadu_si256((const __m256i *)second));
}

INLINE __m512i both_halves(const int8_t *q)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)q));
}

// The sums of the eight halves of four vectors, in their order.
INLINE __m256i half_sums8(const __m512i *v)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m512i a = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i b = _mm512_setr_epi32(4, 12, 5, 13, 6, 14, 7, 15, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castsi512_si256(_mm512_add_epi32(_mm512_permutexvar_epi32(a, s), _mm512_permutexvar_epi32(b, s)));
}

// `an` activation rows, up to eight, with four rows of weights, or with n and copies of the last one.
#define MOST_ACTIVATIONS 8

INLINE void few_by_four(const uint8_t *w, size_t n, size_t blocks, const int8_t *q, size_t q_stride,
                        const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride, const size_t an)
{
    const __m512i three = _mm512_set1_epi8(3);
    const size_t stride = blocks * BLOCK_BYTES;
    const uint8_t *w1 = w + (n > 1 ? 1 : n - 1) * stride, *w2 = w + (n > 2 ? 2 : n - 1) * stride;
    const uint8_t *w3 = w + (n > 3 ? 3 : n - 1) * stride;
    __m512i sum[2 * MOST_ACTIVATIONS];
#pragma GCC unroll 16
    for (size_t i = 0; i < 2 * MOST_ACTIVATIONS; i++)
        sum[i] = _mm512_setzero_si512();
    for (size_t b = 0; b < blocks; b++) {
        const size_t at = b * BLOCK_BYTES;
        const int8_t *x = q + b * BLOCK_COLS;
        _mm_prefetch(beyond(w, 4 * (stride + at)), _MM_HINT_T0);
        _mm_prefetch(beyond(w, 4 * (stride + at) + 64), _MM_HINT_T0);
        __m512i v0 = two_blocks(w + at, w1 + at), v1 = two_blocks(w2 + at, w3 + at);
#pragma GCC unroll 4
        for (unsigned plane = 0; plane < 4; plane++, x += 32) {
            __m512i c0 = _mm512_and_si512(_mm512_srli_epi16(v0, 6 - 2 * plane), three);
            __m512i c1 = _mm512_and_si512(_mm512_srli_epi16(v1, 6 - 2 * plane), three);
#pragma GCC unroll 8
            for (size_t i = 0; i < an; i++) {
                __m512i both = both_halves(x + i * q_stride);
                sum[2 * i] = _mm512_dpbusd_epi32(sum[2 * i], c0, both);
                sum[2 * i + 1] = _mm512_dpbusd_epi32(sum[2 * i + 1], c1, both);
            }
        }
    }
    int32_t sums[MOST_ACTIVATIONS][4];
#pragma GCC unroll 4
    for (size_t i = 0; i < an; i += 2)
        _mm256_storeu_si256((__m256i *)sums[i], half_sums8(sum + 2 * i));
    for (size_t i = 0; i < an; i++)
        for (size_t r = 0; r < n; r++)
            acc[i * acc_stride + r] = sums[i][r] - scales[i].sum;
}

#define FEW(an)                                                                                                        \
    static void few##an(const uint8_t *w, size_t n, size_t blocks, const int8_t *q, size_t q_stride,                   \
                        const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride)                            \
    {                                                                                                                  \
        few_by_four(w, n, blocks, q, q_stride, scales, acc, acc_stride, an);                                           \
    }
FEW(2)
FEW(3)
FEW(4)
FEW(5)
FEW(6)
FEW(7)
FEW(8)
static void (*const few[])(const uint8_t *w, size_t n, size_t blocks, const int8_t *q, size_t q_stride,
                           const struct bn_row_scale *scales, int32_t *acc,
                           size_t acc_stride) = {NULL, NULL, few2, few3, few4, few5, few6, few7, few8};

static void ternary_few(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                        const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    const size_t stride = blocks * BLOCK_BYTES;
    for (size_t r = 0; r < rows; r += 4)
        few[n_rows](w + r * stride, rows - r < 4 ? rows - r : 4, blocks, q, q_stride, scales, acc + r, acc_stride);
}

// Several activation rows. The weights of 32 rows and up to CHUNK blocks are transposed once, still packed: a vector is four
// bytes, each four columns, of sixteen rows. Then four activations are broadcast to all of them, and a lane is the sum of a
// row: nothing is left to be added across lanes. MOST_ACTIVATIONS * 2 sums stay in registers.
#define WEIGHT_ROWS 32
#define CHUNK 8 // with the activations of a chunk it fits the first level cache

struct packed {
    __m512i rows[CHUNK * BLOCK_BYTES / 4][2];
};

// 64 bytes, or as many as the mask says, of sixteen rows: out[2 * i] is word i of all of them.
INLINE void transpose(const uint8_t *const *rows, size_t at, __mmask16 words, __m512i *out)
{
    __m512i t[4][4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        __m512i r0 = _mm512_maskz_loadu_epi32(words, rows[4 * i] + at);
        __m512i r1 = _mm512_maskz_loadu_epi32(words, rows[4 * i + 1] + at);
        __m512i r2 = _mm512_maskz_loadu_epi32(words, rows[4 * i + 2] + at);
        __m512i r3 = _mm512_maskz_loadu_epi32(words, rows[4 * i + 3] + at);
        __m512i a = _mm512_unpacklo_epi32(r0, r1), b = _mm512_unpackhi_epi32(r0, r1);
        __m512i c = _mm512_unpacklo_epi32(r2, r3), d = _mm512_unpackhi_epi32(r2, r3);
        t[i][0] = _mm512_unpacklo_epi64(a, c);
        t[i][1] = _mm512_unpackhi_epi64(a, c);
        t[i][2] = _mm512_unpacklo_epi64(b, d);
        t[i][3] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (size_t e = 0; e < 4; e++) {
        __m512i a = _mm512_shuffle_i32x4(t[0][e], t[1][e], 0x88), b = _mm512_shuffle_i32x4(t[0][e], t[1][e], 0xdd);
        __m512i c = _mm512_shuffle_i32x4(t[2][e], t[3][e], 0x88), d = _mm512_shuffle_i32x4(t[2][e], t[3][e], 0xdd);
        _mm512_store_si512(out + 2 * e, _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_store_si512(out + 2 * (4 + e), _mm512_shuffle_i32x4(b, d, 0x88));
        if (words == 0xffff) {
            _mm512_store_si512(out + 2 * (8 + e), _mm512_shuffle_i32x4(a, c, 0xdd));
            _mm512_store_si512(out + 2 * (12 + e), _mm512_shuffle_i32x4(b, d, 0xdd));
        }
    }
}

// Rows past n are copies of the last one.
static void pack(const uint8_t *w, size_t stride, size_t n, size_t blocks, struct packed *packed)
{
    const uint8_t *rows[WEIGHT_ROWS];
    for (size_t r = 0; r < WEIGHT_ROWS; r++)
        rows[r] = w + (r < n ? r : n - 1) * stride;
    for (size_t group = 0; group < 2; group++) {
        size_t b = 0;
        for (; b + 2 <= blocks; b += 2)
            transpose(rows + 16 * group, b * BLOCK_BYTES, 0xffff, &packed->rows[8 * b][group]);
        if (b < blocks)
            transpose(rows + 16 * group, b * BLOCK_BYTES, 0x00ff, &packed->rows[8 * b][group]);
    }
}

INLINE __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

// A chunk and the activations that it is multiplied with. For each word, two lines of what comes after the 32 rows are
// fetched: nothing else would, as their parts are read far from each other.
struct task {
    const struct packed *packed;
    size_t blocks;
    const int8_t *q;
    size_t q_stride;
    const char *ahead;
    size_t ahead_step; // bytes per word; 0 once it was fetched
};

// out[i] = sums of codes times activation row i, for `an` of them.
INLINE void multiply(const struct task *task, __m512i (*out)[2], const size_t an)
{
    const __m512i three = _mm512_set1_epi8(3);
    const size_t blocks = task->blocks, q_stride = task->q_stride, ahead_step = task->ahead_step;
    const char *ahead = task->ahead;
    const int8_t *q = task->q;
    __m512i sum0[MOST_ACTIVATIONS], sum1[MOST_ACTIVATIONS];
#pragma GCC unroll 8
    for (size_t i = 0; i < an; i++)
        sum0[i] = sum1[i] = _mm512_setzero_si512();
    for (size_t word = 0; word < 8 * blocks; word++) {
        const __m512i *w = task->packed->rows[word];
        const int8_t *x = q + word / 8 * BLOCK_COLS + word % 8 * 4;
        _mm_prefetch(ahead + word * ahead_step, _MM_HINT_T1);
        _mm_prefetch(ahead + word * ahead_step + 64, _MM_HINT_T1);
#pragma GCC unroll 4
        for (unsigned plane = 0; plane < 4; plane++, x += 32) {
            __m512i w0 = _mm512_and_si512(_mm512_srli_epi16(w[0], 6 - 2 * plane), three);
            __m512i w1 = _mm512_and_si512(_mm512_srli_epi16(w[1], 6 - 2 * plane), three);
#pragma GCC unroll 8
            for (size_t i = 0; i < an; i++) {
                __m512i four = broadcast4(x + i * q_stride);
                sum0[i] = _mm512_dpbusd_epi32(sum0[i], w0, four);
                sum1[i] = _mm512_dpbusd_epi32(sum1[i], w1, four);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < an; i++) {
        _mm512_store_si512(&out[i][0], sum0[i]);
        _mm512_store_si512(&out[i][1], sum1[i]);
    }
}

#define MULTIPLY(an)                                                                                                   \
    static void multiply##an(const struct task *task, __m512i(*out)[2])                                                \
    {                                                                                                                  \
        multiply(task, out, an);                                                                                       \
    }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
MULTIPLY(4)
MULTIPLY(5)
MULTIPLY(6)
MULTIPLY(7)
MULTIPLY(8)
static void (*const multiplies[])(const struct task *task, __m512i (*out)[2]) = {
    multiply1, multiply2, multiply3, multiply4, multiply5, multiply6, multiply7, multiply8};

// The first chunk starts from what makes the codes -1, 0, +1; the others add to acc.
static void add_sums(const __m512i *sums, size_t rows, bool first, int32_t start, int32_t *acc)
{
    for (size_t r = 0; r < rows; r += 16) {
        __mmask16 lanes = first_lanes(rows - r);
        __m512i before = first ? _mm512_set1_epi32(start) : _mm512_maskz_loadu_epi32(lanes, acc + r);
        _mm512_mask_storeu_epi32(acc + r, lanes, _mm512_add_epi32(before, sums[r / 16]));
    }
}

#ifdef BN_TILES
#include "cpu/x86/amx.h"
#endif

// Up to WEIGHT_ROWS rows; the first part of their columns sets acc, the others add to it.
static void multiply_tile(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride, bool first)
{
#ifdef BN_TILES
    if (n_rows > MOST_ACTIVATIONS) {
        multiply_by_tiles(w, rows, blocks, q, q_stride, scales, n_rows, acc, acc_stride, first);
        return;
    }
#endif
    const size_t stride = blocks * BLOCK_BYTES;
    struct packed packed;
    for (size_t b = 0; b < blocks; b += CHUNK) {
        size_t chunk = blocks - b < CHUNK ? blocks - b : CHUNK;
        pack(w + b * BLOCK_BYTES, stride, rows, chunk, &packed);
        struct task task = {.packed = &packed,
                            .blocks = chunk,
                            .q = q + b * BLOCK_COLS,
                            .q_stride = q_stride,
                            .ahead = beyond(w, rows * stride + b * rows * BLOCK_BYTES),
                            .ahead_step = 128};
        for (size_t i = 0, an; i < n_rows; i += an) {
            __m512i sums[MOST_ACTIVATIONS][2];
            an = even_share(n_rows - i, MOST_ACTIVATIONS);
            multiplies[an - 1](&task, sums);
            for (size_t j = 0; j < an; j++)
                add_sums(sums[j], rows, first && b == 0, -scales[i + j].sum, acc + (i + j) * acc_stride);
            task.q += an * q_stride;
            task.ahead_step = 0;
        }
    }
}

static void ternary_many(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                         const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    for (size_t r = 0; r < rows; r += WEIGHT_ROWS)
        multiply_tile(w + r * blocks * BLOCK_BYTES, rows - r < WEIGHT_ROWS ? rows - r : WEIGHT_ROWS, blocks, q,
                      q_stride, scales, n_rows, acc + r, acc_stride, true);
}

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS;
    if (n_rows == 1)
        ternary_one(w, rows, blocks, q, scales->sum, acc);
    else if (n_rows <= MOST_ACTIVATIONS)
        ternary_few(w, rows, blocks, q, q_stride, scales, n_rows, acc, acc_stride);
    else
        ternary_many(w, rows, blocks, q, q_stride, scales, n_rows, acc, acc_stride);
}

// Sums of four vectors.
INLINE __m128i sums4(const __m512i *v)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Four rows at a time; past the end, the last one again.
static void base3_rows(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, int32_t sum, int32_t *acc)
{
    const size_t stride = (cols + BASE3_COLS - 1) / BASE3_COLS * BASE3_BYTES;
    const __m128i correction = _mm_set1_epi32(sum);
    __m512i sums[4];
    size_t r = 0;
    for (; r + 4 <= rows; r += 4, w += 4 * stride) {
        base3_one(w, stride, cols, q, beyond(w, 8 * stride), sums);
        _mm_storeu_si128((__m128i *)(acc + r), _mm_sub_epi32(sums4(sums), correction));
    }
    for (; r < rows; r++, w += stride) {
        base3_one(w, 0, cols, q, (const char *)w, sums);
        acc[r] = _mm_cvtsi128_si32(sums4(sums)) - sum;
    }
}

#define BASE3_FEW(an)                                                                                                  \
    static void base3_few##an(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,            \
                              const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride)                      \
    {                                                                                                                  \
        const size_t stride = (cols + BASE3_COLS - 1) / BASE3_COLS * BASE3_BYTES;                                      \
        for (size_t r = 0; r < rows; r += 2)                                                                           \
            base3_few(w + r * stride, r + 1 < rows ? stride : 0, cols, q, q_stride, scales, acc + r, acc_stride, an);  \
    }
BASE3_FEW(1)
BASE3_FEW(2)
BASE3_FEW(3)
BASE3_FEW(4)
BASE3_FEW(5)
BASE3_FEW(6)
BASE3_FEW(7)
BASE3_FEW(8)
static void (*const base3_fews[])(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                                  const struct bn_row_scale *scales, int32_t *acc, size_t acc_stride) = {
    NULL, base3_few1, base3_few2, base3_few3, base3_few4, base3_few5, base3_few6, base3_few7, base3_few8};

// Many activation rows: tiles of weights are turned into BN_LAYOUT_I2S_A first.
#define TILE_COLS (BASE3_COLS * 8) // a whole number of blocks of both layouts

static void base3_many(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                       const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    const size_t stride = (cols + BASE3_COLS - 1) / BASE3_COLS * BASE3_BYTES;
    uint8_t tile[WEIGHT_ROWS * TILE_COLS / 4];
    for (size_t r = 0; r < rows; r += WEIGHT_ROWS)
        for (size_t c = 0; c < cols; c += TILE_COLS) {
            size_t n = rows - r < WEIGHT_ROWS ? rows - r : WEIGHT_ROWS;
            size_t some = cols - c < TILE_COLS ? cols - c : TILE_COLS;
            for (size_t i = 0; i < n; i++)
                base3_to_i2s(w + (r + i) * stride + c / BASE3_COLS * BASE3_BYTES, some, tile + i * some / 4);
            multiply_tile(tile, n, some / BLOCK_COLS, q + c, q_stride, scales, n_rows, acc + r, acc_stride, c == 0);
        }
}

static void ternary_base3(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    if (n_rows == 1 && cols <= ONE_MOST)
        base3_rows(w, rows, cols, q, scales->sum, acc);
    else if (n_rows <= BASE3_ACTIVATIONS)
        base3_fews[n_rows](w, rows, cols, q, q_stride, scales, acc, acc_stride);
    else
        base3_many(w, rows, cols, q, q_stride, scales, n_rows, acc, acc_stride);
}

// Adds 64 columns, or those of the mask, of four rows to their sums with each of n planes: w + 128 is unsigned, and sums
// modulo 2^32 are exact in the end.
INLINE void scan64(const int8_t *w, size_t stride, const int8_t *q, size_t cols, __mmask64 lanes, __m512i (*sum)[4],
                   const size_t n)
{
    __m512i v[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        v[r] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, w + r * stride), _mm512_set1_epi8(-128));
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++) {
        __m512i x = _mm512_maskz_loadu_epi8(lanes, q + i * cols);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++)
            sum[i][r] = _mm512_dpbusd_epi32(sum[i][r], v[r], x);
    }
}

// minus 128 times the activations, to start from.
static __m512i scan_start(const int8_t *q, size_t cols)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < cols; i += 64) {
        __mmask64 lanes = _bzhi_u64(~0ull, cols - i < 64 ? (uint32_t)(cols - i) : 64);
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(-128), _mm512_maskz_loadu_epi8(lanes, q + i));
    }
    return _mm512_sub_epi32(_mm512_setzero_si512(), sum);
}

// Four rows, `stride` bytes apart, with n planes. The row at `ahead` is fetched.
INLINE void scan_rows(const int8_t *w, size_t stride, size_t cols, const int8_t *q, const __m512i *start,
                      const char *ahead, int32_t (*sums)[4], const size_t n)
{
    const size_t whole = cols / 64 * 64;
    __m512i sum[4][4];
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = sum[i][2] = sum[i][3] = start[i];
    for (size_t c = 0; c < whole; c += 64) {
        if (n > 2)
            _mm_prefetch(ahead + c, _MM_HINT_T1);
        scan64(w + c, stride, q + c, cols, ~0ull, sum, n);
    }
    if (whole < cols)
        scan64(w + whole, stride, q + whole, cols, _bzhi_u64(~0ull, (uint32_t)(cols - whole)), sum, n);
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
        _mm_storeu_si128((__m128i *)sums[i], sums4(sum[i]));
}

// Most planes of one pass over the rows.
#define MOST_PLANES 16

// Four rows with all planes: out[i * out_stride + j * run], for j < n. While they are multiplied from the first level cache,
// each four planes fetch one of the next rows: the hardware's prefetch comes to rest meanwhile.
INLINE void scan_four(const int8_t *w, size_t stride, size_t cols, const int8_t *q, const __m512i *start, size_t planes,
                      int32_t *out, size_t out_stride, size_t n, size_t run)
{
    int32_t sums[4][4];
    for (size_t i = 0; i < planes; i += 4) {
        const char *ahead = beyond(w, cols + i / 4 * stride);
        size_t some = planes - i < 4 ? 2 : 4;
        if (some == 4)
            scan_rows(w, stride, cols, q + i * cols, start + i, ahead, sums, 4);
        else
            scan_rows(w, stride, cols, q + i * cols, start + i, ahead, sums, 2);
        for (size_t p = 0; p < some; p++)
            for (size_t j = 0; j < n; j++)
                out[(i + p) * out_stride + j * run] = sums[p][j];
    }
}

// One row with two planes: their sums go to sum[0] and sum[4].
INLINE void scan_one(const int8_t *w, size_t cols, const int8_t *q, const __m512i *start, __m512i *sum)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    const int8_t *low = q + cols;
    __m512i high0 = start[0], low0 = start[1], high1 = _mm512_setzero_si512(), low1 = high1;
    size_t c = 0;
    for (; c + 128 <= cols; c += 128) {
        __m512i v0 = _mm512_xor_si512(_mm512_loadu_si512(w + c), flip);
        __m512i v1 = _mm512_xor_si512(_mm512_loadu_si512(w + c + 64), flip);
        high0 = _mm512_dpbusd_epi32(high0, v0, _mm512_loadu_si512(q + c));
        low0 = _mm512_dpbusd_epi32(low0, v0, _mm512_loadu_si512(low + c));
        high1 = _mm512_dpbusd_epi32(high1, v1, _mm512_loadu_si512(q + c + 64));
        low1 = _mm512_dpbusd_epi32(low1, v1, _mm512_loadu_si512(low + c + 64));
    }
    for (; c < cols; c += 64) {
        __mmask64 lanes = _bzhi_u64(~0ull, cols - c < 64 ? (uint32_t)(cols - c) : 64);
        __m512i v = _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, w + c), flip);
        high0 = _mm512_dpbusd_epi32(high0, v, _mm512_maskz_loadu_epi8(lanes, q + c));
        low0 = _mm512_dpbusd_epi32(low0, v, _mm512_maskz_loadu_epi8(lanes, low + c));
    }
    sum[0] = _mm512_add_epi32(high0, high1);
    sum[4] = _mm512_add_epi32(low0, low1);
}

// The planes of one output, as when a token is decoded: memory is the limit, and one stream is read fastest, without
// prefetch. Rows past the end are the last one again.
static void scan_two(const int8_t *w, size_t rows, size_t cols, const int8_t *q, const __m512i *start, int32_t *out,
                     size_t out_stride)
{
    for (size_t r = 0; r < rows; r += 4) {
        size_t n = rows - r < 4 ? rows - r : 4;
        __m512i sum[8];
        int32_t sums[2][4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            scan_one(w + (r + (i < n ? i : n - 1)) * cols, cols, q, start, sum + i);
        _mm_storeu_si128((__m128i *)sums[0], sums4(sum));
        _mm_storeu_si128((__m128i *)sums[1], sums4(sum + 4));
        for (size_t p = 0; p < 2; p++)
            memcpy(out + p * out_stride + r, sums[p], n * sizeof **sums);
    }
}

// Four runs of rows side by side, as in dot; a row that is left over is computed four times.
static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    const size_t run = rows / 4;
    __m512i start[MOST_PLANES];
    for (size_t planes; n > 0; n -= planes, q += planes * cols, out += planes * out_stride) {
        planes = n < MOST_PLANES ? n : MOST_PLANES;
        for (size_t i = 0; i < planes; i++)
            start[i] = scan_start(q + i * cols, cols);
        if (planes == 2) {
            scan_two(w, rows, cols, q, start, out, out_stride);
            continue;
        }
        for (size_t r = 0; r < run; r++)
            scan_four(w + r * cols, run * cols, cols, q, start, planes, out + r, out_stride, 4, run);
        for (size_t r = 4 * run; r < rows; r++)
            scan_four(w + r * cols, 0, cols, q, start, planes, out + r, out_stride, 1, run);
    }
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
    .ternary_groups = ternary_groups,
    .ternary_base3 = ternary_base3,
    .quantise16 = quantise16,
    .activate = activate,
};
