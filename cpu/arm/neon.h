// What the levels of 64-bit Arm share: the kernels of floats. Sixteen partial sums are four vectors, sums 0 .. 3 in the first.
#ifndef BN_CPU_ARM_NEON_H
#define BN_CPU_ARM_NEON_H

#include <arm_neon.h>

#include "cpu/common.h"

struct sixteen {
    float32x4_t v[4];
};

INLINE struct sixteen load16(const float *x)
{
    return (struct sixteen){{vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8), vld1q_f32(x + 12)}};
}

INLINE void store16(float *x, struct sixteen s)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        vst1q_f32(x + 4 * i, s.v[i]);
}

INLINE struct sixteen zeros(void)
{
    float32x4_t zero = vdupq_n_f32(0);
    return (struct sixteen){{zero, zero, zero, zero}};
}

INLINE struct sixteen add16(struct sixteen a, struct sixteen b)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        a.v[i] = vaddq_f32(a.v[i], b.v[i]);
    return a;
}

INLINE struct sixteen fma16(struct sixteen sum, struct sixteen a, struct sixteen b)
{
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        sum.v[i] = vfmaq_f32(sum.v[i], a.v[i], b.v[i]);
    return sum;
}

INLINE struct sixteen load_weights(enum bn_layout layout, const void *row, size_t i)
{
    if (layout == BN_LAYOUT_F32)
        return load16((const float *)row + i);
    const uint16_t *p = (const uint16_t *)row + i;
    uint16x8_t a = vld1q_u16(p), b = vld1q_u16(p + 8);
    if (layout == BN_LAYOUT_F16) {
        float16x8_t c = vreinterpretq_f16_u16(a), d = vreinterpretq_f16_u16(b);
        return (struct sixteen){
            {vcvt_f32_f16(vget_low_f16(c)), vcvt_high_f32_f16(c), vcvt_f32_f16(vget_low_f16(d)), vcvt_high_f32_f16(d)}};
    }
    return (struct sixteen){
        {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(a), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(a, 16)),
         vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(b), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(b, 16))}};
}

// Elements d .. d + 15 of a row of V.
INLINE struct sixteen load_kv(const enum bn_kv_type type, const uint8_t *row, size_t d)
{
    if (type == BN_KV_F16)
        return load_weights(BN_LAYOUT_F16, row, d);
    int8x16_t q = vld1q_s8((const int8_t *)row + d);
    int16x8_t a = vmovl_s8(vget_low_s8(q)), b = vmovl_high_s8(q);
    return (struct sixteen){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(a))), vcvtq_f32_s32(vmovl_high_s16(a)),
                             vcvtq_f32_s32(vmovl_s16(vget_low_s16(b))), vcvtq_f32_s32(vmovl_high_s16(b))}};
}

INLINE float32x4_t quarter_sums(struct sixteen s)
{
    return vaddq_f32(vaddq_f32(s.v[0], s.v[2]), vaddq_f32(s.v[1], s.v[3]));
}

INLINE float tree(struct sixteen s)
{
    float32x4_t q = quarter_sums(s);
    return vpadds_f32(vadd_f32(vget_low_f32(q), vget_high_f32(q)));
}

// The first halves of two vectors plus their second halves.
INLINE float32x4_t fold(float32x4_t a, float32x4_t b)
{
    float64x2_t c = vreinterpretq_f64_f32(a), d = vreinterpretq_f64_f32(b);
    return vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(c, d)), vreinterpretq_f32_f64(vzip2q_f64(c, d)));
}

// Four trees at once.
INLINE float32x4_t tree4(const struct sixteen *s)
{
    float32x4_t ab = fold(quarter_sums(s[0]), quarter_sums(s[1])), cd = fold(quarter_sums(s[2]), quarter_sums(s[3]));
    return vpaddq_f32(ab, cd);
}

INLINE float32x4_t exp4(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f), round = vdupq_n_f32(EXP_ROUND);
    float32x4_t clamped = vminq_f32(x, vdupq_n_f32(EXP_HIGH)); // NaN stays NaN
    float32x4_t t = vfmaq_f32(round, clamped, vdupq_n_f32(EXP_LOG2E));
    float32x4_t n = vsubq_f32(t, round);
    float32x4_t r = vfmaq_f32(clamped, n, vdupq_n_f32(-EXP_LN2_HI));
    r = vfmaq_f32(r, n, vdupq_n_f32(-EXP_LN2_LO));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(EXP_C6), vdupq_n_f32(EXP_C7), r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C5), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C2), p, r);
    p = vfmaq_f32(one, p, r);
    p = vfmaq_f32(one, p, r);
    uint32x4_t power = vaddq_u32(vshlq_n_u32(vreinterpretq_u32_f32(t), 23), vreinterpretq_u32_f32(one));
    uint32x4_t y = vreinterpretq_u32_f32(vmulq_f32(p, vreinterpretq_f32_u32(power)));
    return vreinterpretq_f32_u32(vbicq_u32(y, vcltq_f32(x, vdupq_n_f32(EXP_LOW))));
}

INLINE void widen_rows(enum bn_layout layout, const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16)
        store16(out + i, load_weights(layout, in, i));
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
    struct sixteen s = zeros();
    for (size_t i = 0; i < n; i += SUMS) {
        struct sixteen v = load16(x + i);
        s = fma16(s, v, v);
    }
    return tree(s);
}

INLINE float32x4_t normed4(const float *x, const float *norm, float inv, size_t i)
{
    float32x4_t v = vld1q_f32(x + i);
    return norm ? vmulq_f32(vmulq_n_f32(v, inv), vld1q_f32(norm + i)) : v;
}

INLINE uint32x4_t abs_bits4(float32x4_t v)
{
    return vreinterpretq_u32_f32(vabsq_f32(v));
}

// Eight elements rounded to nearest even; the narrowing does the clamp.
INLINE int16x8_t round8(const float *x, const float *norm, float inv, float factor, size_t i)
{
    int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(normed4(x, norm, inv, i), factor));
    int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(normed4(x, norm, inv, i + 4), factor));
    return vqmovn_high_s32(vqmovn_s32(a), b);
}

INLINE bool quantise_row(const float *x, const float *norm, float inv, size_t n, int8_t *q, struct bn_row_scale *scale)
{
    uint32x4_t max0 = vdupq_n_u32(0), max1 = max0;
    for (size_t i = 0; i < n; i += 8) {
        max0 = vmaxq_u32(max0, abs_bits4(normed4(x, norm, inv, i)));
        max1 = vmaxq_u32(max1, abs_bits4(normed4(x, norm, inv, i + 4)));
    }
    uint32_t max_bits = vmaxvq_u32(vmaxq_u32(max0, max1));
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise_scale(bits_float(max_bits));
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < n; i += 16) {
        int16x8_t a = round8(x, norm, inv, factor, i), b = round8(x, norm, inv, factor, i + 8);
        int8x16_t bytes = vqmovn_high_s16(vqmovn_s16(a), b);
        sum = vpadalq_s16(sum, vpaddlq_s8(bytes));
        vst1q_s8(q + i, bytes);
    }
    *scale = (struct bn_row_scale){.scale = factor, .sum = vaddvq_s32(sum)};
    return true;
}

static bool quantise(const float *x, const float *norm, size_t n, float eps, int8_t *q, struct bn_row_scale *scale)
{
    if (!norm)
        return quantise_row(x, NULL, 0, n, q, scale);
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    return quantise_row(x, norm, inverse_rms(ss, n, eps), n, q, scale);
}

static bool norm_row(const float *x, const float *norm, size_t n, float eps, float *out)
{
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    float inv = inverse_rms(ss, n, eps);
    uint32x4_t max = vdupq_n_u32(0);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t y = normed4(x, norm, inv, i);
        max = vmaxq_u32(max, abs_bits4(y));
        vst1q_f32(out + i, y);
    }
    return vmaxvq_u32(max) < INFINITY_BITS;
}

INLINE float32x4_t scaled4(const int32_t *acc, float factor)
{
    return vmulq_n_f32(vcvtq_f32_s32(vld1q_s32(acc)), factor);
}

static void dequantise(const int32_t *acc, size_t n, float factor, const float *add, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = scaled4(acc + i, factor);
        vst1q_f32(out + i, add ? vaddq_f32(v, vld1q_f32(add + i)) : v);
    }
    for (; i < n; i++)
        out[i] = add ? dequantise_one(acc[i], factor) + add[i] : dequantise_one(acc[i], factor);
}

INLINE float32x4_t activated4(float32x4_t a, enum bn_op_activation activation)
{
    if (activation == BN_OP_RELU2) {
        a = vmaxq_f32(a, vdupq_n_f32(0)); // NaN stays NaN
        return vmulq_f32(a, a);
    }
    float32x4_t t = a;
    if (activation == BN_OP_GELU)
        t = vmulq_f32(a, vfmaq_f32(vdupq_n_f32(GELU_C1), vdupq_n_f32(GELU_C3), vmulq_f32(a, a)));
    return vdivq_f32(a, vaddq_f32(vdupq_n_f32(1.0f), exp4(vnegq_f32(t))));
}

static void gate(const int32_t *g, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t a = scaled4(g + i, gate_factor), u = scaled4(up + i, up_factor);
        vst1q_f32(out + i, vmulq_f32(activated4(a, activation), u));
    }
    for (; i < n; i++)
        out[i] = gate_one(g[i], up[i], gate_factor, up_factor, activation);
}

INLINE float32x4x2_t rotate4(float32x4_t a, float32x4_t b, const float *table)
{
    float32x4x2_t t = vld2q_f32(table); // cosines, sines
    return (float32x4x2_t){{vsubq_f32(vmulq_f32(a, t.val[0]), vmulq_f32(b, t.val[1])),
                            vaddq_f32(vmulq_f32(a, t.val[1]), vmulq_f32(b, t.val[0]))}};
}

static void rope(float *x, size_t heads, size_t head_dim, const float *table, enum bn_rope_order order)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i += 4) {
            if (order == BN_ROPE_PAIRS) {
                float32x4x2_t v = vld2q_f32(x + 2 * i);
                vst2q_f32(x + 2 * i, rotate4(v.val[0], v.val[1], table + 2 * i));
            } else {
                float32x4x2_t v = rotate4(vld1q_f32(x + i), vld1q_f32(x + half + i), table + 2 * i);
                vst1q_f32(x + i, v.val[0]);
                vst1q_f32(x + half + i, v.val[1]);
            }
        }
}

static void narrow_f16(const float *in, size_t n, uint16_t *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(in + i))));
    for (; i < n; i++)
        out[i] = float_to_half(in[i]);
}

// Four rows, `stride` bytes apart, with x.
INLINE float32x4_t dot4(enum bn_layout layout, const uint8_t *rows, size_t stride, const float *x, size_t n)
{
    struct sixteen s[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++)
        s[r] = zeros();
    for (size_t i = 0; i < n; i += SUMS) {
        struct sixteen v = load16(x + i);
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++)
            s[r] = fma16(s[r], load_weights(layout, rows + r * stride, i), v);
    }
    return tree4(s);
}

INLINE float dot1(enum bn_layout layout, const void *row, const float *x, size_t n)
{
    struct sixteen s = zeros();
    for (size_t i = 0; i < n; i += SUMS)
        s = fma16(s, load_weights(layout, row, i), load16(x + i));
    return tree(s);
}

// Four runs of rows side by side: a hardware prefetch follows each of them from row to row.
INLINE void dot_rows(enum bn_layout layout, const uint8_t *w, size_t rows, size_t cols, const float *x, float *out)
{
    const size_t stride = cols * weight_bytes(layout), run = rows / 4;
    for (size_t r = 0; r < run; r++) {
        float four[4];
        vst1q_f32(four, dot4(layout, w + r * stride, run * stride, x, cols));
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
    widen_rows(BN_LAYOUT_F16, attend_row(a, a->k_offset, position), count * dim, k);
    memset(k + count * dim, 0, (4 - count) * dim * sizeof *k);
    for (size_t h = 0; h < a->group; h++) {
        float32x4_t s = dot4(BN_LAYOUT_F32, (const uint8_t *)k, dim * sizeof *k, a->q + h * dim, dim);
        vst1q_f32(attend_scores(a, h) + position, vmulq_n_f32(s, a->scale));
    }
}

// Scores of one head with int8 rows: exact sums, so their order is free. Four positions at a time; those past the last are
// rows of the same page.
static void int8_scores(const struct bn_attend *a, size_t h)
{
    int16_t q[MAX_HEAD_DIM];
    const size_t dim = a->head_dim;
    const float unit = attend_query(a, h, q);
    float *scores = attend_scores(a, h);
    for (uint32_t i = 0; i < a->n_positions; i += 4) {
        const int8_t *k = (const int8_t *)attend_row(a, a->k_offset, i);
        int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (size_t d = 0; d < dim; d += 16) {
            int16x8_t x = vld1q_s16(q + d), y = vld1q_s16(q + d + 8);
#pragma GCC unroll 4
            for (size_t r = 0; r < 4; r++) {
                int8x16_t row = vld1q_s8(k + r * dim + d);
                int16x8_t low = vmovl_s8(vget_low_s8(row)), high = vmovl_high_s8(row);
                sum[r] = vmlal_s16(sum[r], vget_low_s16(low), vget_low_s16(x));
                sum[r] = vmlal_high_s16(sum[r], low, x);
                sum[r] = vmlal_s16(sum[r], vget_low_s16(high), vget_low_s16(y));
                sum[r] = vmlal_high_s16(sum[r], high, y);
            }
        }
        int32x4_t sums = vpaddq_s32(vpaddq_s32(sum[0], sum[1]), vpaddq_s32(sum[2], sum[3]));
        float32x4_t units = vmulq_n_f32(vld1q_f32(attend_step(a, a->k_offset, i)), unit);
        vst1q_f32(scores + i, vmulq_f32(vcvtq_f32_s32(sums), units));
    }
}

static float maximum(const float *p, size_t n)
{
    float max = p[0];
    size_t i = 0;
    if (n >= 4) {
        float32x4_t m = vld1q_f32(p);
        for (i = 4; i + 4 <= n; i += 4)
            m = vmaxq_f32(m, vld1q_f32(p + i));
        max = vmaxvq_f32(m);
    }
    for (; i < n; i++)
        max = p[i] > max ? p[i] : max;
    return max;
}

// Scores to weights; the denominator. Weights past the end become +0, which leaves the sums as they are.
static float soften(float *p, size_t n)
{
    const float32x4_t max = vdupq_n_f32(maximum(p, n));
    for (size_t i = n; i % SUMS; i++)
        p[i] = -INFINITY;
    struct sixteen sum = zeros();
    for (size_t i = 0; i < n; i += SUMS) {
        struct sixteen e = load16(p + i);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++)
            e.v[j] = exp4(vsubq_f32(e.v[j], max));
        store16(p + i, e);
        sum = add16(sum, e);
    }
    return tree(sum);
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
        struct sixteen s[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++)
            s[j] = zeros();
        for (size_t i = 0; i < count; i++) {
            struct sixteen value = load_kv(type, v + i * row_bytes, d);
#pragma GCC unroll 4
            for (size_t j = 0; j < heads; j++)
#pragma GCC unroll 4
                for (size_t c = 0; c < 4; c++)
                    s[j].v[c] = vfmaq_n_f32(s[j].v[c], value.v[c], p[j][i]);
        }
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++) {
            float *out = a->out + (h + j) * dim + d;
            store16(out, add16(load16(out), s[j]));
        }
    }
}

// The values and the division for `heads` heads from h on. Scores of f16 rows are there.
INLINE void attend_heads(const struct bn_attend *a, size_t h, const size_t heads, const enum bn_kv_type type)
{
    float denominator[4];
    for (size_t j = 0; j < heads; j++) {
        if (type == BN_KV_INT8)
            int8_scores(a, h + j);
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
        for (size_t d = 0; d < a->head_dim; d += 4)
            vst1q_f32(out + d, vdivq_f32(vld1q_f32(out + d), vdupq_n_f32(denominator[j])));
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
