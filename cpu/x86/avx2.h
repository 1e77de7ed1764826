// What the levels of 256 bits share: the kernels of floats. Sixteen partial sums are two vectors: `lo` holds sums 0 .. 7,
// `hi` sums 8 .. 15.
#ifndef BN_CPU_X86_AVX2_H
#define BN_CPU_X86_AVX2_H

#include "cpu/x86/scores256.h"

INLINE __m256 load_weight8(enum bn_layout layout, const void *row, size_t i)
{
    if (layout == BN_LAYOUT_F32)
        return _mm256_loadu_ps((const float *)row + i);
    __m128i h = _mm_loadu_si128((const __m128i *)((const uint16_t *)row + i));
    if (layout == BN_LAYOUT_F16)
        return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

// Elements d .. d + 7 of a row of V.
INLINE __m256 load_kv8(const enum bn_kv_type type, const uint8_t *row, size_t d)
{
    if (type == BN_KV_F16)
        return load_weight8(BN_LAYOUT_F16, row, d);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(row + d))));
}

INLINE __m128 halves_sum(__m256 lo, __m256 hi)
{
    __m256 s = _mm256_add_ps(lo, hi);
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

INLINE float tree(__m256 lo, __m256 hi)
{
    __m128 s = halves_sum(lo, hi);
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// Four trees at once.
INLINE __m128 tree4(const __m256 *lo, const __m256 *hi)
{
    __m128 a = halves_sum(lo[0], hi[0]), b = halves_sum(lo[1], hi[1]);
    __m128 c = halves_sum(lo[2], hi[2]), d = halves_sum(lo[3], hi[3]);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    return _mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d));
}

INLINE __m256 exp8(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f), round = _mm256_set1_ps(EXP_ROUND);
    __m256 clamped = _mm256_min_ps(_mm256_set1_ps(EXP_HIGH), x); // this order keeps NaN
    __m256 t = _mm256_fmadd_ps(clamped, _mm256_set1_ps(EXP_LOG2E), round);
    __m256 n = _mm256_sub_ps(t, round);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_HI), clamped);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2_LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C7), r, _mm256_set1_ps(EXP_C6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_fmadd_ps(p, r, one);
    __m256i power = _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(t), 23), _mm256_castps_si256(one));
    __m256 y = _mm256_mul_ps(p, _mm256_castsi256_ps(power));
    return _mm256_and_ps(y, _mm256_cmp_ps(x, _mm256_set1_ps(EXP_LOW), _CMP_NLT_UQ));
}

INLINE void widen_rows(enum bn_layout layout, const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(out + i, load_weight8(layout, in, i));
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
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    for (size_t i = 0; i < n; i += SUMS) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        lo = _mm256_fmadd_ps(a, a, lo);
        hi = _mm256_fmadd_ps(b, b, hi);
    }
    return tree(lo, hi);
}

INLINE __m256 normed8(const float *x, const float *norm, __m256 inv, size_t i)
{
    __m256 v = _mm256_loadu_ps(x + i);
    return norm ? _mm256_mul_ps(_mm256_mul_ps(v, inv), _mm256_loadu_ps(norm + i)) : v;
}

INLINE __m256i abs_bits8(__m256 v)
{
    return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}

INLINE uint32_t max_u31(__m256i v)
{
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}

INLINE __m256i round8(__m256 v, __m256 factor)
{
    v = _mm256_min_ps(_mm256_mul_ps(v, factor), _mm256_set1_ps(QUANT_MAX));
    return _mm256_cvtps_epi32(_mm256_max_ps(v, _mm256_set1_ps(QUANT_MIN)));
}

INLINE bool quantise_row(const float *x, const float *norm, __m256 inv, size_t n, int8_t *q, struct bn_row_scale *scale)
{
    __m256i max0 = _mm256_setzero_si256(), max1 = max0;
    for (size_t i = 0; i < n; i += 16) {
        max0 = _mm256_max_epi32(max0, abs_bits8(normed8(x, norm, inv, i)));
        max1 = _mm256_max_epi32(max1, abs_bits8(normed8(x, norm, inv, i + 8)));
    }
    uint32_t max_bits = max_u31(_mm256_max_epi32(max0, max1));
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise_scale(bits_float(max_bits));
    const __m256 f = _mm256_set1_ps(factor);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); // undoes the lanes of the two packs
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 32) {
        __m256i a = round8(normed8(x, norm, inv, i), f), b = round8(normed8(x, norm, inv, i + 8), f);
        __m256i c = round8(normed8(x, norm, inv, i + 16), f), d = round8(normed8(x, norm, inv, i + 24), f);
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        _mm256_storeu_si256((__m256i *)(q + i), _mm256_permutevar8x32_epi32(bytes, order));
    }
    *scale = (struct bn_row_scale){.scale = factor, .sum = sum_i32(sum)};
    return true;
}

static bool quantise(const float *x, const float *norm, size_t n, float eps, int8_t *q, struct bn_row_scale *scale)
{
    if (!norm)
        return quantise_row(x, NULL, _mm256_setzero_ps(), n, q, scale);
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    return quantise_row(x, norm, _mm256_set1_ps(inverse_rms(ss, n, eps)), n, q, scale);
}

// Two planes of 16 values at a time.
INLINE void split16(__m256i a, __m256i b, int8_t *high, int8_t *low, __m256i *sum_high, __m256i *sum_low)
{
    const __m256i half = _mm256_set1_epi32(128);
    __m256i ha = _mm256_srai_epi32(_mm256_add_epi32(a, half), 8), hb = _mm256_srai_epi32(_mm256_add_epi32(b, half), 8);
    __m256i la = _mm256_sub_epi32(a, _mm256_slli_epi32(ha, 8)), lb = _mm256_sub_epi32(b, _mm256_slli_epi32(hb, 8));
    *sum_high = _mm256_add_epi32(*sum_high, _mm256_add_epi32(ha, hb));
    *sum_low = _mm256_add_epi32(*sum_low, _mm256_add_epi32(la, lb));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); // undoes the lanes of the two packs
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(ha, hb), _mm256_packs_epi32(la, lb));
    bytes = _mm256_permutevar8x32_epi32(bytes, order);
    _mm_storeu_si128((__m128i *)high, _mm256_castsi256_si128(bytes));
    _mm_storeu_si128((__m128i *)low, _mm256_extracti128_si256(bytes, 1));
}

INLINE __m256i round8_16(__m256 v, __m256 factor)
{
    v = _mm256_min_ps(_mm256_mul_ps(v, factor), _mm256_set1_ps(QUANT16_MAX));
    return _mm256_cvtps_epi32(_mm256_max_ps(v, _mm256_set1_ps(-QUANT16_MAX)));
}

static bool quantise16(const float *x, const float *norm, size_t n, float eps, int8_t *high, int8_t *low,
                       struct bn_row_scale *scales)
{
    float ss = norm ? sum_of_squares(x, n) : 0;
    if (!is_finite(ss))
        return false;
    const __m256 inv = _mm256_set1_ps(norm ? inverse_rms(ss, n, eps) : 0);
    __m256i max = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8)
        max = _mm256_max_epi32(max, abs_bits8(normed8(x, norm, inv, i)));
    uint32_t max_bits = max_u31(max);
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise16_scale(bits_float(max_bits));
    const __m256 f = _mm256_set1_ps(factor);
    __m256i upper = _mm256_setzero_si256(), lower = upper;
    for (size_t i = 0; i < n; i += 16)
        split16(round8_16(normed8(x, norm, inv, i), f), round8_16(normed8(x, norm, inv, i + 8), f), high + i, low + i,
                &upper, &lower);
    scales[0] = (struct bn_row_scale){.scale = factor, .sum = sum_i32(upper)};
    scales[1] = (struct bn_row_scale){.scale = factor, .sum = sum_i32(lower)};
    return true;
}

static bool norm_row(const float *x, const float *norm, size_t n, float eps, float *out)
{
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    const __m256 inv = _mm256_set1_ps(inverse_rms(ss, n, eps));
    __m256i max = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        __m256 y = normed8(x, norm, inv, i);
        max = _mm256_max_epi32(max, abs_bits8(y));
        _mm256_storeu_ps(out + i, y);
    }
    return max_u31(max) < INFINITY_BITS;
}

static void dequantise(const int32_t *acc, size_t n, float factor, const float *add, float *out)
{
    const __m256 f = _mm256_set1_ps(factor);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(acc + i))), f);
        if (add)
            v = _mm256_add_ps(v, _mm256_loadu_ps(add + i));
        _mm256_storeu_ps(out + i, v);
    }
    for (; i < n; i++)
        out[i] = add ? dequantise_one(acc[i], factor) + add[i] : dequantise_one(acc[i], factor);
}

INLINE __m256 scaled8(const int32_t *acc, __m256 factor)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)acc)), factor);
}

INLINE __m256 activated8(__m256 a, enum bn_op_activation activation)
{
    const __m256 zero = _mm256_setzero_ps(), one = _mm256_set1_ps(1.0f), minus = _mm256_set1_ps(-0.0f);
    if (activation == BN_OP_RELU2) {
        a = _mm256_max_ps(zero, a); // this order keeps NaN
        return _mm256_mul_ps(a, a);
    }
    __m256 t = a;
    if (activation == BN_OP_GELU)
        t = _mm256_mul_ps(a, _mm256_fmadd_ps(_mm256_set1_ps(GELU_C3), _mm256_mul_ps(a, a), _mm256_set1_ps(GELU_C1)));
    return _mm256_div_ps(a, _mm256_add_ps(one, exp8(_mm256_xor_ps(t, minus))));
}

static void gate(const int32_t *g, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out)
{
    const __m256 gf = _mm256_set1_ps(gate_factor), uf = _mm256_set1_ps(up_factor);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 a = scaled8(g + i, gf), u = scaled8(up + i, uf);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(activated8(a, activation), u));
    }
    for (; i < n; i++)
        out[i] = gate_one(g[i], up[i], gate_factor, up_factor, activation);
}

static void activate(const float *g, const float *up, size_t n, enum bn_op_activation activation, float *out)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 a = activated8(_mm256_loadu_ps(g + i), activation);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(a, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++)
        out[i] = gate_value(g[i], up[i], activation);
}

static void rope_pairs(float *x, size_t head_dim, const float *table)
{
    for (size_t i = 0; i < head_dim; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i), t = _mm256_loadu_ps(table + i);
        __m256 swapped = _mm256_permute_ps(v, 0xb1);
        __m256 c = _mm256_moveldup_ps(t), s = _mm256_movehdup_ps(t);
        _mm256_storeu_ps(x + i, _mm256_addsub_ps(_mm256_mul_ps(v, c), _mm256_mul_ps(swapped, s)));
    }
}

static void rope_halves(float *x, size_t half, const float *table)
{
    for (size_t i = 0; i < half; i += 8) {
        __m256 t0 = _mm256_loadu_ps(table + 2 * i), t1 = _mm256_loadu_ps(table + 2 * i + 8);
        __m256 low = _mm256_permute2f128_ps(t0, t1, 0x20), high = _mm256_permute2f128_ps(t0, t1, 0x31);
        __m256 c = _mm256_shuffle_ps(low, high, 0x88), s = _mm256_shuffle_ps(low, high, 0xdd);
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
        _mm256_storeu_ps(x + i, _mm256_sub_ps(_mm256_mul_ps(a, c), _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(x + half + i, _mm256_add_ps(_mm256_mul_ps(a, s), _mm256_mul_ps(b, c)));
    }
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
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = float_to_half(in[i]);
}

// Four rows, `stride` bytes apart, with x.
INLINE __m128 dot4(enum bn_layout layout, const uint8_t *rows, size_t stride, const float *x, size_t n)
{
    __m256 lo[4], hi[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        lo[r] = hi[r] = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += SUMS) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++) {
            lo[r] = _mm256_fmadd_ps(load_weight8(layout, rows + r * stride, i), a, lo[r]);
            hi[r] = _mm256_fmadd_ps(load_weight8(layout, rows + r * stride, i + 8), b, hi[r]);
        }
    }
    return tree4(lo, hi);
}

INLINE float dot1(enum bn_layout layout, const void *row, const float *x, size_t n)
{
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    for (size_t i = 0; i < n; i += SUMS) {
        lo = _mm256_fmadd_ps(load_weight8(layout, row, i), _mm256_loadu_ps(x + i), lo);
        hi = _mm256_fmadd_ps(load_weight8(layout, row, i + 8), _mm256_loadu_ps(x + i + 8), hi);
    }
    return tree(lo, hi);
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

// Scores of `count` positions, at most four, of one page: K is widened once for all heads. Scores past the last
// position are written too, within the rounded length, and overwritten or ignored later.
static void attend_scores4(const struct bn_attend *a, uint32_t position, uint32_t count)
{
    float k[4 * MAX_HEAD_DIM];
    size_t dim = a->head_dim;
    const uint8_t *row = attend_row(a, a->k_offset, position);
    widen_rows(BN_LAYOUT_F16, row, count * dim, k);
    memset(k + count * dim, 0, (4 - count) * dim * sizeof *k);
    const __m128 scale = _mm_set1_ps(a->scale);
    for (size_t h = 0; h < a->group; h++) {
        __m128 s = dot4(BN_LAYOUT_F32, (const uint8_t *)k, dim * sizeof *k, a->q + h * dim, dim);
        _mm_storeu_ps(attend_scores(a, h) + position, _mm_mul_ps(s, scale));
    }
}

static float maximum(const float *p, size_t n)
{
    float max = p[0];
    size_t i = 0;
    if (n >= 8) {
        __m256 m = _mm256_loadu_ps(p);
        for (i = 8; i + 8 <= n; i += 8)
            m = _mm256_max_ps(m, _mm256_loadu_ps(p + i));
        float lanes[8];
        _mm256_storeu_ps(lanes, m);
        for (size_t j = 0; j < 8; j++)
            max = lanes[j] > max ? lanes[j] : max;
    }
    for (; i < n; i++)
        max = p[i] > max ? p[i] : max;
    return max;
}

// Scores to weights; the denominator. Weights past the end become +0, which leaves the sums as they are.
static float soften(float *p, size_t n)
{
    const __m256 max = _mm256_set1_ps(maximum(p, n));
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS) {
        __m256 a = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + i), max));
        __m256 b = exp8(_mm256_sub_ps(_mm256_loadu_ps(p + i + 8), max));
        _mm256_storeu_ps(p + i, a);
        _mm256_storeu_ps(p + i + 8, b);
        lo = _mm256_add_ps(lo, a);
        hi = _mm256_add_ps(hi, b);
    }
    if (i < n) {
        float last[SUMS];
        for (size_t j = 0; j < SUMS; j++)
            last[j] = i + j < n ? p[i + j] : -INFINITY;
        __m256 a = exp8(_mm256_sub_ps(_mm256_loadu_ps(last), max));
        __m256 b = exp8(_mm256_sub_ps(_mm256_loadu_ps(last + 8), max));
        _mm256_storeu_ps(p + i, a);
        _mm256_storeu_ps(p + i + 8, b);
        lo = _mm256_add_ps(lo, a);
        hi = _mm256_add_ps(hi, b);
    }
    return tree(lo, hi);
}

// Adds one block of values to the outputs of `heads` heads from h on; V is widened once for all of them.
INLINE void attend_values(const struct bn_attend *a, size_t h, uint32_t position, size_t count, const size_t heads,
                          const enum bn_kv_type type)
{
    size_t dim = a->head_dim, row_bytes = dim * bn_kv_element_bytes(type);
    const uint8_t *v = attend_row(a, a->v_offset, position);
    const float *p[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < heads; j++)
        p[j] = attend_scores(a, h + j) + position;
    for (size_t d = 0; d < dim; d += SUMS) {
        __m256 lo[4], hi[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++)
            lo[j] = hi[j] = _mm256_setzero_ps();
        for (size_t i = 0; i < count; i++) {
            __m256 v0 = load_kv8(type, v + i * row_bytes, d), v1 = load_kv8(type, v + i * row_bytes, d + 8);
#pragma GCC unroll 4
            for (size_t j = 0; j < heads; j++) {
                __m256 w = _mm256_broadcast_ss(p[j] + i);
                lo[j] = _mm256_fmadd_ps(w, v0, lo[j]);
                hi[j] = _mm256_fmadd_ps(w, v1, hi[j]);
            }
        }
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++) {
            float *out = a->out + (h + j) * dim + d;
            _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), lo[j]));
            _mm256_storeu_ps(out + 8, _mm256_add_ps(_mm256_loadu_ps(out + 8), hi[j]));
        }
    }
}

// The values and the division for `heads` heads from h on. Scores of f16 rows are there.
INLINE void attend_heads(const struct bn_attend *a, size_t h, const size_t heads, const enum bn_kv_type type)
{
    float denominator[4];
    if (type == BN_KV_INT8)
        int8_scores(a, h, heads);
    for (size_t j = 0; j < heads; j++) {
        denominator[j] = soften(attend_skip(a, h + j), a->n_positions);
        if (type == BN_KV_INT8)
            attend_weigh(a, h + j);
    }
    float *out = a->out + h * a->head_dim;
    memset(out, 0, heads * a->head_dim * sizeof *out);
    for (uint32_t i = 0; i < a->n_positions; i += BN_PAGE_POSITIONS) {
        size_t left = a->n_positions - i;
        attend_values(a, h, i, left < BN_PAGE_POSITIONS ? left : BN_PAGE_POSITIONS, heads, type);
    }
    for (size_t j = 0; j < heads; j++, out += a->head_dim)
        for (size_t d = 0; d < a->head_dim; d += 8)
            _mm256_storeu_ps(out + d, _mm256_div_ps(_mm256_loadu_ps(out + d), _mm256_set1_ps(denominator[j])));
}

INLINE void attend_type(const struct bn_attend *a, const enum bn_kv_type type)
{
    for (uint32_t i = 0; type == BN_KV_F16 && i < a->n_positions; i += 4)
        attend_scores4(a, i, a->n_positions - i < 4 ? a->n_positions - i : 4);
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
