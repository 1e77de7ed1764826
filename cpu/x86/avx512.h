// What the levels with AVX-512 F, BW, DQ and VL share: the kernels of floats. One vector is the sixteen partial sums.
#ifndef BN_CPU_X86_AVX512_H
#define BN_CPU_X86_AVX512_H

#include "cpu/x86/scores256.h"

// The first n lanes of sixteen; all of them from 16 on.
INLINE __mmask16 first_lanes(size_t n)
{
    return (__mmask16)_bzhi_u32(0xffff, n < SUMS ? (uint32_t)n : SUMS);
}

INLINE __m512 load_weight16(enum bn_layout layout, const void *row, size_t i)
{
    if (layout == BN_LAYOUT_F32)
        return _mm512_loadu_ps((const float *)row + i);
    __m256i h = _mm256_loadu_si256((const __m256i *)((const uint16_t *)row + i));
    if (layout == BN_LAYOUT_F16)
        return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

// Elements d .. d + 15 of a row of V.
INLINE __m512 load_kv16(const enum bn_kv_type type, const uint8_t *row, size_t d)
{
    if (type == BN_KV_F16)
        return load_weight16(BN_LAYOUT_F16, row, d);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(row + d))));
}

INLINE float tree(__m512 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// The first two steps of four trees: four sums of each in its own quarter.
INLINE __m512 quarters(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
}

// The last two steps of sixteen trees: lane i of each quarter is from argument i.
INLINE __m512 finish16(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_ps(c, d, 0x44), _mm512_shuffle_ps(c, d, 0xee));
    return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
}

// Four trees at once.
INLINE __m128 tree4(const __m512 *v)
{
    __m512 s = quarters(v[0], v[1], v[2], v[3]);
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, s));
}

INLINE __m512 exp16(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f), round = _mm512_set1_ps(EXP_ROUND);
    __m512 clamped = _mm512_min_ps(_mm512_set1_ps(EXP_HIGH), x); // this order keeps NaN
    __m512 t = _mm512_fmadd_ps(clamped, _mm512_set1_ps(EXP_LOG2E), round);
    __m512 n = _mm512_sub_ps(t, round);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HI), clamped);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LO), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C7), r, _mm512_set1_ps(EXP_C6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, one);
    p = _mm512_fmadd_ps(p, r, one);
    __m512i power = _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(t), 23), _mm512_castps_si512(one));
    __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_LOW), _CMP_NLT_UQ);
    return _mm512_maskz_mul_ps(above, p, _mm512_castsi512_ps(power));
}

INLINE void widen_rows(enum bn_layout layout, const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(out + i, load_weight16(layout, in, i));
}

static void widen(enum bn_layout layout, const void *in, size_t n, float *out)
{
    if (layout == BN_LAYOUT_F32)
        memcpy(out, in, n * sizeof *out);
    else if (layout == BN_LAYOUT_F16)
        widen_rows(BN_LAYOUT_F16, in, n, out);
    else
        widen_rows(BN_LAYOUT_BF16, in, n, out);
}

static float sum_of_squares(const float *x, size_t n)
{
    __m512 s = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += SUMS) {
        __m512 v = _mm512_loadu_ps(x + i);
        s = _mm512_fmadd_ps(v, v, s);
    }
    return tree(s);
}

INLINE __m512 normed16(const float *x, const float *norm, __m512 inv, size_t i)
{
    __m512 v = _mm512_loadu_ps(x + i);
    return norm ? _mm512_mul_ps(_mm512_mul_ps(v, inv), _mm512_loadu_ps(norm + i)) : v;
}

INLINE __m512i abs_bits16(__m512 v)
{
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

// Without the clamp, which the packs do: the product is at most 127 and a few roundings.
INLINE __m512i round16(__m512 v, __m512 factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(v, factor));
}

INLINE bool quantise_row(const float *x, const float *norm, __m512 inv, size_t n, int8_t *q, struct bn_row_scale *scale)
{
    __m512i max0 = _mm512_setzero_si512(), max1 = max0;
    for (size_t i = 0; i < n; i += 32) {
        max0 = _mm512_max_epi32(max0, abs_bits16(normed16(x, norm, inv, i)));
        max1 = _mm512_max_epi32(max1, abs_bits16(normed16(x, norm, inv, i + 16)));
    }
    uint32_t max_bits = (uint32_t)_mm512_reduce_max_epi32(_mm512_max_epi32(max0, max1));
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise_scale(bits_float(max_bits));
    const __m512 f = _mm512_set1_ps(factor);
    // Undoes the lanes of the two packs.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i zero = _mm512_setzero_si512();
    __m512i sum = zero; // of q + 128, in words of 64 bits
    for (size_t i = 0; i < n; i += 64) {
        __m512i a = round16(normed16(x, norm, inv, i), f), b = round16(normed16(x, norm, inv, i + 16), f);
        __m512i c = round16(normed16(x, norm, inv, i + 32), f), d = round16(normed16(x, norm, inv, i + 48), f);
        __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_xor_si512(bytes, _mm512_set1_epi8(-128)), zero));
        _mm512_storeu_si512(q + i, _mm512_permutexvar_epi32(order, bytes));
    }
    *scale = (struct bn_row_scale){.scale = factor, .sum = (int32_t)(_mm512_reduce_add_epi64(sum) - 128 * (int64_t)n)};
    return true;
}

static bool quantise(const float *x, const float *norm, size_t n, float eps, int8_t *q, struct bn_row_scale *scale)
{
    if (!norm)
        return quantise_row(x, NULL, _mm512_setzero_ps(), n, q, scale);
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    return quantise_row(x, norm, _mm512_set1_ps(inverse_rms(ss, n, eps)), n, q, scale);
}

static bool quantise16(const float *x, const float *norm, size_t n, float eps, int8_t *high, int8_t *low,
                       struct bn_row_scale *scales)
{
    float ss = norm ? sum_of_squares(x, n) : 0;
    if (!is_finite(ss))
        return false;
    const __m512 inv = _mm512_set1_ps(norm ? inverse_rms(ss, n, eps) : 0);
    __m512i max = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16)
        max = _mm512_max_epi32(max, abs_bits16(normed16(x, norm, inv, i)));
    uint32_t max_bits = (uint32_t)_mm512_reduce_max_epi32(max);
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise16_scale(bits_float(max_bits));
    const __m512 f = _mm512_set1_ps(factor), most = _mm512_set1_ps(QUANT16_MAX), least = _mm512_set1_ps(-QUANT16_MAX);
    __m512i upper = _mm512_setzero_si512(), lower = upper;
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_mul_ps(normed16(x, norm, inv, i), f);
        __m512i value = _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(v, most), least));
        __m512i h = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(128)), 8);
        __m512i l = _mm512_sub_epi32(value, _mm512_slli_epi32(h, 8));
        upper = _mm512_add_epi32(upper, h);
        lower = _mm512_add_epi32(lower, l);
        _mm_storeu_si128((__m128i *)(high + i), _mm512_cvtepi32_epi8(h));
        _mm_storeu_si128((__m128i *)(low + i), _mm512_cvtepi32_epi8(l));
    }
    scales[0] = (struct bn_row_scale){.scale = factor, .sum = _mm512_reduce_add_epi32(upper)};
    scales[1] = (struct bn_row_scale){.scale = factor, .sum = _mm512_reduce_add_epi32(lower)};
    return true;
}

static bool norm_row(const float *x, const float *norm, size_t n, float eps, float *out)
{
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    const __m512 inv = _mm512_set1_ps(inverse_rms(ss, n, eps));
    __m512i max = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        __m512 y = normed16(x, norm, inv, i);
        max = _mm512_max_epi32(max, abs_bits16(y));
        _mm512_storeu_ps(out + i, y);
    }
    return (uint32_t)_mm512_reduce_max_epi32(max) < INFINITY_BITS;
}

INLINE __m512 scaled16(__mmask16 lanes, const int32_t *acc, __m512 factor)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, acc)), factor);
}

// Loops have a step of all lanes, without masks, and one of the lanes that are left.
#define ALL_LANES 0xffff

INLINE void store16(float *out, const __mmask16 lanes, __m512 v)
{
    if (lanes == ALL_LANES)
        _mm512_storeu_ps(out, v);
    else
        _mm512_mask_storeu_ps(out, lanes, v);
}

INLINE void dequantise16(const int32_t *acc, float factor, const float *add, float *out, __mmask16 lanes)
{
    __m512 v = scaled16(lanes, acc, _mm512_set1_ps(factor));
    if (add)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, add));
    store16(out, lanes, v);
}

static void dequantise(const int32_t *acc, size_t n, float factor, const float *add, float *out)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        dequantise16(acc + i, factor, add ? add + i : NULL, out + i, ALL_LANES);
    if (i < n)
        dequantise16(acc + i, factor, add ? add + i : NULL, out + i, first_lanes(n - i));
}

INLINE __m512 activated16(__m512 a, enum bn_op_activation activation)
{
    if (activation == BN_OP_RELU2) {
        a = _mm512_max_ps(_mm512_setzero_ps(), a); // this order keeps NaN
        return _mm512_mul_ps(a, a);
    }
    __m512 t = a;
    if (activation == BN_OP_GELU)
        t = _mm512_mul_ps(a, _mm512_fmadd_ps(_mm512_set1_ps(GELU_C3), _mm512_mul_ps(a, a), _mm512_set1_ps(GELU_C1)));
    __m512 e = exp16(_mm512_xor_ps(t, _mm512_set1_ps(-0.0f)));
    return _mm512_div_ps(a, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

INLINE void gate16(const int32_t *g, const int32_t *up, float gate_factor, float up_factor,
                   enum bn_op_activation activation, float *out, __mmask16 lanes)
{
    __m512 a = scaled16(lanes, g, _mm512_set1_ps(gate_factor)), u = scaled16(lanes, up, _mm512_set1_ps(up_factor));
    store16(out, lanes, _mm512_mul_ps(activated16(a, activation), u));
}

static void gate(const int32_t *g, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        gate16(g + i, up + i, gate_factor, up_factor, activation, out + i, ALL_LANES);
    if (i < n)
        gate16(g + i, up + i, gate_factor, up_factor, activation, out + i, first_lanes(n - i));
}

static void activate(const float *g, const float *up, size_t n, enum bn_op_activation activation, float *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = first_lanes(n - i);
        __m512 a = activated16(_mm512_maskz_loadu_ps(lanes, g + i), activation);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(a, _mm512_maskz_loadu_ps(lanes, up + i)));
    }
}

static void rope_pairs(float *x, size_t head_dim, const float *table)
{
    for (size_t i = 0; i < head_dim; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i), t = _mm512_loadu_ps(table + i);
        __m512 a = _mm512_mul_ps(v, _mm512_moveldup_ps(t));
        __m512 b = _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), _mm512_movehdup_ps(t));
        _mm512_storeu_ps(x + i, _mm512_mask_sub_ps(_mm512_add_ps(a, b), 0x5555, a, b));
    }
}

INLINE void rotate16(float *a, float *b, const float *table, __mmask16 lanes)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    __m512 t0 = _mm512_loadu_ps(table), t1 = lanes == ALL_LANES ? _mm512_loadu_ps(table + 16) : t0;
    __m512 c = _mm512_permutex2var_ps(t0, even, t1), s = _mm512_permutex2var_ps(t0, odd, t1);
    __m512 x = _mm512_maskz_loadu_ps(lanes, a), y = _mm512_maskz_loadu_ps(lanes, b);
    store16(a, lanes, _mm512_sub_ps(_mm512_mul_ps(x, c), _mm512_mul_ps(y, s)));
    store16(b, lanes, _mm512_add_ps(_mm512_mul_ps(x, s), _mm512_mul_ps(y, c)));
}

static void rope_halves(float *x, size_t half, const float *table)
{
    size_t i = 0;
    for (; i + 16 <= half; i += 16)
        rotate16(x + i, x + half + i, table + 2 * i, ALL_LANES);
    if (i < half)
        rotate16(x + i, x + half + i, table + 2 * i, 0x00ff); // half is a multiple of eight
}

static void rope(float *x, size_t heads, size_t head_dim, const float *table, enum bn_rope_order order)
{
    for (size_t h = 0; h < heads; h++, x += head_dim)
        if (order == BN_ROPE_PAIRS)
            rope_pairs(x, head_dim, table);
        else
            rope_halves(x, head_dim / 2, table);
}

static void narrow_f16(const float *in, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtps_ph(_mm512_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = float_to_half(in[i]);
}

// Four rows, `stride` bytes apart, with x.
INLINE __m128 dot4(enum bn_layout layout, const uint8_t *rows, size_t stride, const float *x, size_t n)
{
    __m512 s[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        s[r] = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += SUMS) {
        __m512 v = _mm512_loadu_ps(x + i);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++)
            s[r] = _mm512_fmadd_ps(load_weight16(layout, rows + r * stride, i), v, s[r]);
    }
    return tree4(s);
}

INLINE float dot1(enum bn_layout layout, const void *row, const float *x, size_t n)
{
    __m512 s = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += SUMS)
        s = _mm512_fmadd_ps(load_weight16(layout, row, i), _mm512_loadu_ps(x + i), s);
    return tree(s);
}

// Four runs of rows side by side: the prefetch follows each of them from row to row.
INLINE void dot_rows(enum bn_layout layout, const uint8_t *w, size_t rows, size_t cols, const float *x, float *out)
{
    const size_t stride = cols * weight_bytes(layout), run = rows / 4;
    for (size_t r = 0; r < run; r++) {
        float four[4];
        _mm_storeu_ps(four, dot4(layout, w + r * stride, run * stride, x, cols));
        for (size_t i = 0; i < 4; i++)
            out[i * run + r] = four[i];
    }
    for (size_t r = 4 * run; r < rows; r++)
        out[r] = dot1(layout, w + r * stride, x, cols);
}

static void dot(enum bn_layout layout, const void *w, size_t rows, size_t cols, const float *x, float *out)
{
    if (layout == BN_LAYOUT_F32)
        dot_rows(BN_LAYOUT_F32, w, rows, cols, x, out);
    else if (layout == BN_LAYOUT_F16)
        dot_rows(BN_LAYOUT_F16, w, rows, cols, x, out);
    else
        dot_rows(BN_LAYOUT_BF16, w, rows, cols, x, out);
}

// Scores of `heads` heads, 1, 2 or 4, from h on, with the 16 / heads positions from `position` on. Positions past the last
// are rows of the same page; their scores, within the rounded length, are overwritten or ignored later.
INLINE void attend_scores16(const struct bn_attend *a, size_t h, uint32_t position, const size_t heads)
{
    const size_t dim = a->head_dim, fours = 4 / heads;
    const uint16_t *k = (const uint16_t *)(const void *)attend_row(a, a->k_offset, position);
    const float *q = a->q + h * dim;
    const char *ahead = attend_ahead(a, a->k_offset, position + K_AHEAD);
    __m512 s[4][4]; // [quarter: head within a four of positions][position of the four]
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++)
        s[i / 4][i % 4] = _mm512_setzero_ps();
    for (size_t d = 0; d < dim; d += SUMS) {
        __m512 x[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++)
            x[j] = _mm512_loadu_ps(q + j * dim + d);
#pragma GCC unroll 16
        for (size_t i = 0; i < 4 * fours; i++) {
            __m512 row = load_weight16(BN_LAYOUT_F16, k + i * dim, d);
            if (i % 2 == 0)
                _mm_prefetch(ahead + 2 * (4 * fours * d + 16 * i), _MM_HINT_T1);
#pragma GCC unroll 4
            for (size_t j = 0; j < heads; j++)
                s[i / 4 * heads + j][i % 4] = _mm512_fmadd_ps(row, x[j], s[i / 4 * heads + j][i % 4]);
        }
    }
    __m512 of[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        of[i] = quarters(s[0][i], s[1][i], s[2][i], s[3][i]);
    __m512 all = _mm512_mul_ps(finish16(of[0], of[1], of[2], of[3]), _mm512_set1_ps(a->scale));
    __m128 four[4] = {_mm512_castps512_ps128(all), _mm512_extractf32x4_ps(all, 1), _mm512_extractf32x4_ps(all, 2),
                      _mm512_extractf32x4_ps(all, 3)};
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        _mm_storeu_ps(attend_scores(a, h + i % heads) + position + 4 * (i / heads), four[i]);
}

static float maximum(const float *p, size_t n)
{
    const __m512 least = _mm512_set1_ps(-INFINITY);
    __m512 max = least;
    for (size_t i = 0; i < n; i += 16)
        max = _mm512_max_ps(max, _mm512_mask_loadu_ps(least, first_lanes(n - i), p + i));
    return _mm512_reduce_max_ps(max);
}

// Scores to weights; the denominator. Weights past the end become +0, which leaves the sums as they are.
static float soften(float *p, size_t n)
{
    const __m512 least = _mm512_set1_ps(-INFINITY), max = _mm512_set1_ps(maximum(p, n));
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += SUMS) {
        __m512 e = exp16(_mm512_sub_ps(_mm512_mask_loadu_ps(least, first_lanes(n - i), p + i), max));
        _mm512_storeu_ps(p + i, e);
        sum = _mm512_add_ps(sum, e);
    }
    return tree(sum);
}

// Adds the values of `count` positions from v on, 16 * wide of their columns, to the outputs of `heads` heads.
INLINE void attend_columns(const uint8_t *v, size_t dim, size_t count, const float *const *p, float *out,
                           const char *ahead, const size_t heads, const size_t wide, const enum bn_kv_type type)
{
    const size_t row_bytes = dim * bn_kv_element_bytes(type);
    __m512 s[4][4];
#pragma GCC unroll 16
    for (size_t i = 0; i < heads * wide; i++)
        s[i / wide][i % wide] = _mm512_setzero_ps();
    for (size_t i = 0; i < count; i++, v += row_bytes, ahead += row_bytes) {
        __m512 value[4];
        _mm_prefetch(ahead, _MM_HINT_T1);
        if (wide == 4 && type == BN_KV_F16)
            _mm_prefetch(ahead + 64, _MM_HINT_T1);
#pragma GCC unroll 4
        for (size_t c = 0; c < wide; c++)
            value[c] = load_kv16(type, v, 16 * c);
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++) {
            __m512 weight = _mm512_set1_ps(p[j][i]);
#pragma GCC unroll 4
            for (size_t c = 0; c < wide; c++)
                s[j][c] = _mm512_fmadd_ps(weight, value[c], s[j][c]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < heads * wide; i++) {
        float *o = out + i / wide * dim + 16 * (i % wide);
        _mm512_storeu_ps(o, _mm512_add_ps(_mm512_loadu_ps(o), s[i / wide][i % wide]));
    }
}

// The attention of `heads` heads, 1, 2 or 4, from h on.
INLINE void attend_heads(const struct bn_attend *a, size_t h, const size_t heads, const enum bn_kv_type type)
{
    const size_t n = a->n_positions, dim = a->head_dim, bytes = bn_kv_element_bytes(type);
    if (type == BN_KV_INT8)
        int8_scores(a, h, heads);
    for (uint32_t i = 0; type == BN_KV_F16 && i < n; i += 16 / heads)
        attend_scores16(a, h, i, heads);
    float denominator[4], *out = a->out + h * dim;
    for (size_t j = 0; j < heads; j++) {
        denominator[j] = soften(attend_skip(a, h + j), n);
        if (type == BN_KV_INT8)
            attend_weigh(a, h + j);
    }
    memset(out, 0, heads * dim * sizeof *out);
    for (uint32_t i = 0; i < n; i += BN_PAGE_POSITIONS) {
        size_t count = n - i < BN_PAGE_POSITIONS ? n - i : BN_PAGE_POSITIONS, d = 0;
        const uint8_t *v = attend_row(a, a->v_offset, i);
        const char *ahead = attend_ahead(a, a->v_offset, i + BN_PAGE_POSITIONS);
        const float *p[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++)
            p[j] = attend_scores(a, h + j) + i;
        for (; d + 64 <= dim; d += 64)
            attend_columns(v + d * bytes, dim, count, p, out + d, ahead + d * bytes, heads, 4, type);
        for (; d < dim; d += 16)
            attend_columns(v + d * bytes, dim, count, p, out + d, ahead + d * bytes, heads, 1, type);
    }
    for (size_t j = 0; j < heads; j++, out += dim)
        for (size_t d = 0; d < dim; d += 16)
            _mm512_storeu_ps(out + d, _mm512_div_ps(_mm512_loadu_ps(out + d), _mm512_set1_ps(denominator[j])));
}

INLINE void attend_type(const struct bn_attend *a, const enum bn_kv_type type)
{
    size_t h = 0;
    for (; h + 4 <= a->group; h += 4)
        attend_heads(a, h, 4, type);
    for (; h + 2 <= a->group; h += 2)
        attend_heads(a, h, 2, type);
    if (h < a->group)
        attend_heads(a, h, 1, type);
}

static void attend(const struct bn_attend *a)
{
    if (a->kv_type == BN_KV_INT8)
        attend_type(a, BN_KV_INT8);
    else
        attend_type(a, BN_KV_F16);
}

#endif
