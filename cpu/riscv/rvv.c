// RISC-V V 1.0. The sixteen partial sums of a float reduction are sixteen lanes of four registers, whatever the length of a
// register (128 bits at least): a longer one is not filled there. All else goes by the length that the machine has.
#include <riscv_vector.h>

#include "cpu/common.h"

// f16 to f32 by integers and one exact product, as V alone has no floats of 16 bits. What is 2^16 or more then was infinity or
// NaN, which becomes quiet.
INLINE vfloat32m4_t widen_half(vuint16m2_t h, size_t vl)
{
    vint32m4_t high = __riscv_vreinterpret_i32m4(__riscv_vsll(__riscv_vzext_vf2(h, vl), 16, vl));
    vuint32m4_t bits = __riscv_vand(__riscv_vreinterpret_u32m4(__riscv_vsra(high, 3, vl)), 0x8fffe000u, vl);
    vfloat32m4_t f = __riscv_vfmul(__riscv_vreinterpret_f32m4(bits), 0x1p112f, vl);
    bits = __riscv_vreinterpret_u32m4(f);
    vbool8_t special = __riscv_vmsgtu(__riscv_vsll(bits, 1, vl), 0x8effffffu, vl);
    bits = __riscv_vor_mu(special, bits, bits, INFINITY_BITS, vl);
    f = __riscv_vreinterpret_f32m4(bits);
    bits = __riscv_vor_mu(__riscv_vmfne(f, f, vl), bits, bits, 0x400000, vl);
    return __riscv_vreinterpret_f32m4(bits);
}

// Loaded as bytes, since rows may lie at any address, and not every processor takes other elements from there.
INLINE vfloat32m4_t load_weights(enum bn_layout layout, const void *row, size_t i, size_t vl)
{
    const uint8_t *p = (const uint8_t *)row + i * weight_bytes(layout);
    if (layout == BN_LAYOUT_F32)
        return __riscv_vreinterpret_f32m4(__riscv_vreinterpret_u32m4(__riscv_vle8_v_u8m4(p, 4 * vl)));
    vuint16m2_t h = __riscv_vreinterpret_u16m2(__riscv_vle8_v_u8m2(p, 2 * vl));
    if (layout == BN_LAYOUT_F16)
        return widen_half(h, vl);
    return __riscv_vreinterpret_f32m4(__riscv_vsll(__riscv_vzext_vf2(h, vl), 16, vl));
}

// Elements d .. d + vl - 1 of a row of V.
INLINE vfloat32m4_t load_kv(const enum bn_kv_type type, const uint8_t *row, size_t d, size_t vl)
{
    if (type == BN_KV_F16)
        return load_weights(BN_LAYOUT_F16, row, d, vl);
    vint8m1_t q = __riscv_vle8_v_i8m1((const int8_t *)row + d, vl);
    return __riscv_vfcvt_f_x_v_f32m4(__riscv_vsext_vf4_i32m4(q, vl), vl);
}

INLINE vfloat32m4_t splat(float f, size_t vl)
{
    return __riscv_vfmv_v_f_f32m4(f, vl);
}

INLINE float tree(vfloat32m4_t sums)
{
    float s[SUMS];
    __riscv_vse32(s, sums, SUMS);
    return sum_tree(s);
}

// Comparisons instead of minima keep NaN.
INLINE vfloat32m4_t exponential(vfloat32m4_t x, size_t vl)
{
    vfloat32m4_t clamped = __riscv_vfmerge(x, EXP_HIGH, __riscv_vmfgt(x, EXP_HIGH, vl), vl);
    vfloat32m4_t t = __riscv_vfmacc(splat(EXP_ROUND, vl), EXP_LOG2E, clamped, vl);
    vfloat32m4_t n = __riscv_vfsub(t, EXP_ROUND, vl);
    vfloat32m4_t r = __riscv_vfmacc(clamped, -EXP_LN2_HI, n, vl);
    r = __riscv_vfmacc(r, -EXP_LN2_LO, n, vl);
    vfloat32m4_t p = __riscv_vfmacc(splat(EXP_C6, vl), EXP_C7, r, vl);
    p = __riscv_vfmadd(p, r, splat(EXP_C5, vl), vl);
    p = __riscv_vfmadd(p, r, splat(EXP_C4, vl), vl);
    p = __riscv_vfmadd(p, r, splat(EXP_C3, vl), vl);
    p = __riscv_vfmadd(p, r, splat(EXP_C2, vl), vl);
    p = __riscv_vfmadd(p, r, splat(1.0f, vl), vl);
    p = __riscv_vfmadd(p, r, splat(1.0f, vl), vl);
    vuint32m4_t power = __riscv_vadd(__riscv_vsll(__riscv_vreinterpret_u32m4(t), 23, vl), 0x3f800000u, vl);
    vfloat32m4_t y = __riscv_vfmul(p, __riscv_vreinterpret_f32m4(power), vl);
    return __riscv_vfmerge(y, 0.0f, __riscv_vmflt(x, EXP_LOW, vl), vl);
}

INLINE void widen_rows(enum bn_layout layout, const void *in, size_t n, float *out)
{
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        __riscv_vse32(out + i, load_weights(layout, in, i, vl), vl);
    }
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
    vfloat32m4_t s = splat(0, SUMS);
    for (size_t i = 0; i < n; i += SUMS) {
        vfloat32m4_t v = __riscv_vle32_v_f32m4(x + i, SUMS);
        s = __riscv_vfmacc(s, v, v, SUMS);
    }
    return tree(s);
}

INLINE vfloat32m4_t normed(const float *x, const float *norm, float inv, size_t i, size_t vl)
{
    vfloat32m4_t v = __riscv_vle32_v_f32m4(x + i, vl);
    return norm ? __riscv_vfmul(__riscv_vfmul(v, inv, vl), __riscv_vle32_v_f32m4(norm + i, vl), vl) : v;
}

INLINE vuint32m4_t max_of(vuint32m4_t max, vfloat32m4_t v, size_t vl)
{
    return __riscv_vmaxu_tu(max, max, __riscv_vand(__riscv_vreinterpret_u32m4(v), 0x7fffffffu, vl), vl);
}

INLINE uint32_t max_bits_of(vuint32m4_t max)
{
    vuint32m1_t zero = __riscv_vmv_v_x_u32m1(0, 1);
    return __riscv_vmv_x(__riscv_vredmaxu(max, zero, __riscv_vsetvlmax_e32m4()));
}

INLINE bool quantise_row(const float *x, const float *norm, float inv, size_t n, int8_t *q, struct bn_row_scale *scale)
{
    vuint32m4_t max = __riscv_vmv_v_x_u32m4(0, __riscv_vsetvlmax_e32m4());
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        max = max_of(max, normed(x, norm, inv, i, vl), vl);
    }
    uint32_t max_bits = max_bits_of(max);
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise_scale(bits_float(max_bits));
    vint32m1_t sum = __riscv_vmv_v_x_i32m1(0, 1);
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t v = __riscv_vfmin(__riscv_vfmul(normed(x, norm, inv, i, vl), factor, vl), QUANT_MAX, vl);
        vint32m4_t k = __riscv_vfcvt_x(__riscv_vfmax(v, QUANT_MIN, vl), vl);
        sum = __riscv_vredsum(k, sum, vl);
        __riscv_vse8(q + i, __riscv_vncvt_x(__riscv_vncvt_x(k, vl), vl), vl);
    }
    *scale = (struct bn_row_scale){.scale = factor, .sum = __riscv_vmv_x(sum)};
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
    vuint32m4_t max = __riscv_vmv_v_x_u32m4(0, __riscv_vsetvlmax_e32m4());
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t y = normed(x, norm, inv, i, vl);
        max = max_of(max, y, vl);
        __riscv_vse32(out + i, y, vl);
    }
    return max_bits_of(max) < INFINITY_BITS;
}

INLINE vfloat32m4_t scaled(const int32_t *acc, float factor, size_t vl)
{
    return __riscv_vfmul(__riscv_vfcvt_f(__riscv_vle32_v_i32m4(acc, vl), vl), factor, vl);
}

static void dequantise(const int32_t *acc, size_t n, float factor, const float *add, float *out)
{
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t v = scaled(acc + i, factor, vl);
        if (add)
            v = __riscv_vfadd(v, __riscv_vle32_v_f32m4(add + i, vl), vl);
        __riscv_vse32(out + i, v, vl);
    }
}

static void gate(const int32_t *g, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out)
{
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t a = scaled(g + i, gate_factor, vl), u = scaled(up + i, up_factor, vl);
        if (activation == BN_OP_RELU2) {
            a = __riscv_vfmerge(a, 0.0f, __riscv_vmflt(a, 0.0f, vl), vl); // keeps NaN
            a = __riscv_vfmul(a, a, vl);
        } else {
            vfloat32m4_t t = a;
            if (activation == BN_OP_GELU)
                t = __riscv_vfmul(
                    a, __riscv_vfmacc(__riscv_vfmv_v_f_f32m4(GELU_C1, vl), GELU_C3, __riscv_vfmul(a, a, vl), vl), vl);
            a = __riscv_vfdiv(a, __riscv_vfadd(exponential(__riscv_vfneg(t, vl), vl), 1.0f, vl), vl);
        }
        __riscv_vse32(out + i, __riscv_vfmul(a, u, vl), vl);
    }
}

INLINE vfloat32m2x2_t rotate(vfloat32m2_t a, vfloat32m2_t b, const float *table, size_t vl)
{
    vfloat32m2x2_t t = __riscv_vlseg2e32_v_f32m2x2(table, vl);
    vfloat32m2_t c = __riscv_vget_f32m2(t, 0), s = __riscv_vget_f32m2(t, 1);
    return __riscv_vcreate_v_f32m2x2(__riscv_vfsub(__riscv_vfmul(a, c, vl), __riscv_vfmul(b, s, vl), vl),
                                     __riscv_vfadd(__riscv_vfmul(a, s, vl), __riscv_vfmul(b, c, vl), vl));
}

static void rope(float *x, size_t heads, size_t head_dim, const float *table, enum bn_rope_order order)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0, vl; i < half; i += vl) {
            vl = __riscv_vsetvl_e32m2(half - i);
            if (order == BN_ROPE_PAIRS) {
                vfloat32m2x2_t v = __riscv_vlseg2e32_v_f32m2x2(x + 2 * i, vl);
                v = rotate(__riscv_vget_f32m2(v, 0), __riscv_vget_f32m2(v, 1), table + 2 * i, vl);
                __riscv_vsseg2e32(x + 2 * i, v, vl);
            } else {
                vfloat32m2_t a = __riscv_vle32_v_f32m2(x + i, vl), b = __riscv_vle32_v_f32m2(x + half + i, vl);
                vfloat32m2x2_t v = rotate(a, b, table + 2 * i, vl);
                __riscv_vse32(x + i, __riscv_vget_f32m2(v, 0), vl);
                __riscv_vse32(x + half + i, __riscv_vget_f32m2(v, 1), vl);
            }
        }
}

// float_to_half of common.h, all its branches at once.
static void narrow_f16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vuint32m4_t u = __riscv_vreinterpret_u32m4(__riscv_vle32_v_f32m4(in + i, vl));
        vuint32m4_t sign = __riscv_vand(__riscv_vsrl(u, 16, vl), 0x8000, vl), a = __riscv_vand(u, 0x7fffffffu, vl);
        vuint32m4_t odd = __riscv_vand(__riscv_vsrl(a, 13, vl), 1, vl);
        vuint32m4_t h = __riscv_vsrl(__riscv_vadd(__riscv_vadd(a, odd, vl), 0xfffu - 0x38000000u, vl), 13, vl);
        vfloat32m4_t half = __riscv_vfadd(__riscv_vreinterpret_f32m4(a), 0.5f, vl);
        vuint32m4_t small = __riscv_vsub(__riscv_vreinterpret_u32m4(half), 0x3f000000u, vl);
        h = __riscv_vmerge(h, small, __riscv_vmsltu(a, 0x38800000u, vl), vl);
        h = __riscv_vmerge(h, 0x7c00u, __riscv_vmsgtu(a, 0x477fefffu, vl), vl);
        vuint32m4_t nan = __riscv_vor(__riscv_vand(__riscv_vsrl(a, 13, vl), 0x3ff, vl), 0x7e00, vl);
        h = __riscv_vmerge(h, nan, __riscv_vmsgtu(a, INFINITY_BITS, vl), vl);
        __riscv_vse16(out + i, __riscv_vncvt_x(__riscv_vor(h, sign, vl), vl), vl);
    }
}

// Two rows with x; four would need more registers than there are.
INLINE void dot2(enum bn_layout layout, const uint8_t *rows, size_t stride, const float *x, size_t n, float *out)
{
    vfloat32m4_t s0 = splat(0, SUMS), s1 = s0;
    for (size_t i = 0; i < n; i += SUMS) {
        vfloat32m4_t v = __riscv_vle32_v_f32m4(x + i, SUMS);
        s0 = __riscv_vfmacc(s0, load_weights(layout, rows, i, SUMS), v, SUMS);
        s1 = __riscv_vfmacc(s1, load_weights(layout, rows + stride, i, SUMS), v, SUMS);
    }
    out[0] = tree(s0);
    out[1] = tree(s1);
}

INLINE float dot1(enum bn_layout layout, const void *row, const float *x, size_t n)
{
    vfloat32m4_t s = splat(0, SUMS);
    for (size_t i = 0; i < n; i += SUMS)
        s = __riscv_vfmacc(s, load_weights(layout, row, i, SUMS), __riscv_vle32_v_f32m4(x + i, SUMS), SUMS);
    return tree(s);
}

INLINE void dot_rows(enum bn_layout layout, const uint8_t *w, size_t rows, size_t cols, const float *x, float *out)
{
    const size_t stride = cols * weight_bytes(layout);
    size_t r = 0;
    for (; r + 2 <= rows; r += 2)
        dot2(layout, w + r * stride, stride, x, cols, out + r);
    if (r < rows)
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

// Scores of two positions of one page: K is widened once for all heads. The one past the last position is a row of the same
// page; its score, within the rounded length, is ignored later.
static void attend_scores2(const struct bn_attend *a, uint32_t position)
{
    float k[2 * MAX_HEAD_DIM];
    size_t dim = a->head_dim;
    widen_rows(BN_LAYOUT_F16, attend_row(a, a->k_offset, position), 2 * dim, k);
    for (size_t h = 0; h < a->group; h++) {
        float *s = attend_scores(a, h) + position;
        dot2(BN_LAYOUT_F32, (const uint8_t *)k, dim * sizeof *k, a->q + h * dim, dim, s);
        s[0] *= a->scale;
        s[1] *= a->scale;
    }
}

// Scores of one head with int8 rows: exact sums, so their order is free.
static void int8_scores(const struct bn_attend *a, size_t h)
{
    int16_t q[MAX_HEAD_DIM];
    const float unit = attend_query(a, h, q);
    for (uint32_t i = 0; i < a->n_positions; i++) {
        const int8_t *k = (const int8_t *)attend_row(a, a->k_offset, i);
        vint32m1_t sum = __riscv_vmv_v_x_i32m1(0, 1);
        for (size_t d = 0, vl; d < a->head_dim; d += vl) {
            vl = __riscv_vsetvl_e16m2(a->head_dim - d);
            vint16m2_t row = __riscv_vsext_vf2_i16m2(__riscv_vle8_v_i8m1(k + d, vl), vl);
            vint32m4_t products = __riscv_vwmul_vv_i32m4(row, __riscv_vle16_v_i16m2(q + d, vl), vl);
            sum = __riscv_vredsum_vs_i32m4_i32m1(products, sum, vl);
        }
        attend_scores(a, h)[i] = (float)__riscv_vmv_x_s_i32m1_i32(sum) * (*attend_step(a, a->k_offset, i) * unit);
    }
}

// Scores to weights; the denominator. A score of NaN is no maximum, but its weight is NaN, and so is the sum.
static float soften(float *p, size_t n)
{
    vfloat32m1_t best = __riscv_vfmv_v_f_f32m1(p[0], 1);
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        best = __riscv_vfredmax(__riscv_vle32_v_f32m4(p + i, vl), best, vl);
    }
    float max = __riscv_vfmv_f(best);
    for (size_t i = 0, vl; i < n; i += vl) {
        vl = __riscv_vsetvl_e32m4(n - i);
        vfloat32m4_t below = __riscv_vfsub(__riscv_vle32_v_f32m4(p + i, vl), max, vl);
        __riscv_vse32(p + i, exponential(below, vl), vl);
    }
    vfloat32m4_t sum = splat(0, SUMS);
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        sum = __riscv_vfadd(sum, __riscv_vle32_v_f32m4(p + i, SUMS), SUMS);
    if (i < n)
        sum = __riscv_vfadd_tu(sum, sum, __riscv_vle32_v_f32m4(p + i, n - i), n - i);
    return tree(sum);
}

INLINE void add_to(float *out, vfloat32m4_t block, size_t vl)
{
    __riscv_vse32(out, __riscv_vfadd(__riscv_vle32_v_f32m4(out, vl), block, vl), vl);
}

// Adds one block of values to the outputs of four heads from h on; V is widened once for all of them.
INLINE void attend_values4(const struct bn_attend *a, size_t h, uint32_t position, size_t count,
                           const enum bn_kv_type type)
{
    size_t dim = a->head_dim;
    const uint8_t *v = attend_row(a, a->v_offset, position);
    const float *p[4];
    for (size_t j = 0; j < 4; j++)
        p[j] = attend_scores(a, h + j) + position;
    for (size_t d = 0, vl; d < dim; d += vl) {
        vl = __riscv_vsetvl_e32m4(dim - d);
        vfloat32m4_t s0 = splat(0, vl), s1 = s0, s2 = s0, s3 = s0;
        for (size_t i = 0; i < count; i++) {
            vfloat32m4_t value = load_kv(type, v, i * dim + d, vl);
            s0 = __riscv_vfmacc(s0, p[0][i], value, vl);
            s1 = __riscv_vfmacc(s1, p[1][i], value, vl);
            s2 = __riscv_vfmacc(s2, p[2][i], value, vl);
            s3 = __riscv_vfmacc(s3, p[3][i], value, vl);
        }
        float *out = a->out + h * dim + d;
        add_to(out, s0, vl);
        add_to(out + dim, s1, vl);
        add_to(out + 2 * dim, s2, vl);
        add_to(out + 3 * dim, s3, vl);
    }
}

INLINE void attend_values1(const struct bn_attend *a, size_t h, uint32_t position, size_t count,
                           const enum bn_kv_type type)
{
    size_t dim = a->head_dim;
    const uint8_t *v = attend_row(a, a->v_offset, position);
    const float *p = attend_scores(a, h) + position;
    for (size_t d = 0, vl; d < dim; d += vl) {
        vl = __riscv_vsetvl_e32m4(dim - d);
        vfloat32m4_t s = splat(0, vl);
        for (size_t i = 0; i < count; i++)
            s = __riscv_vfmacc(s, p[i], load_kv(type, v, i * dim + d, vl), vl);
        add_to(a->out + h * dim + d, s, vl);
    }
}

INLINE void attend_type(const struct bn_attend *a, const enum bn_kv_type type)
{
    const size_t n = a->n_positions, dim = a->head_dim;
    for (uint32_t i = 0; type == BN_KV_F16 && i < n; i += 2)
        attend_scores2(a, i);
    memset(a->out, 0, a->group * dim * sizeof *a->out);
    float denominator[4];
    for (size_t h = 0, heads; h < a->group; h += heads) {
        heads = a->group - h >= 4 ? 4 : 1;
        for (size_t j = 0; j < heads; j++) {
            if (type == BN_KV_INT8)
                int8_scores(a, h + j);
            denominator[j] = soften(attend_skip(a, h + j), n);
            if (type == BN_KV_INT8)
                attend_weigh(a, h + j);
        }
        for (uint32_t i = 0; i < n; i += BN_PAGE_POSITIONS) {
            size_t count = n - i < BN_PAGE_POSITIONS ? n - i : BN_PAGE_POSITIONS;
            if (heads == 4)
                attend_values4(a, h, i, count, type);
            else
                attend_values1(a, h, i, count, type);
        }
        for (size_t j = 0; j < heads; j++) {
            float *out = a->out + (h + j) * dim;
            for (size_t d = 0, vl; d < dim; d += vl) {
                vl = __riscv_vsetvl_e32m4(dim - d);
                __riscv_vse32(out + d, __riscv_vfdiv(__riscv_vle32_v_f32m4(out + d, vl), denominator[j], vl), vl);
            }
        }
    }
}

static void attend(const struct bn_attend *a)
{
    if (a->kv_type == BN_KV_INT8)
        attend_type(a, BN_KV_INT8);
    else
        attend_type(a, BN_KV_F16);
}

// Ternary products. A block's 32 bytes are two registers of 128 bits, or a part of longer ones. Codes 0, 1, 2 are multiplied
// as they are and added in int16: a block gives each lane four products of at most 2 * 128. FLUSH_BLOCKS blocks stay below
// 2^15 even with the unused code 3. Taking off the row's sum of q at the end makes the codes -1, 0, +1.
#define FLUSH_BLOCKS 16

INLINE vint8m2_t code(vuint8m2_t bytes, const unsigned plane)
{
    vuint8m2_t v = plane == 3 ? bytes : __riscv_vsrl(bytes, 6 - 2 * plane, BLOCK_BYTES);
    return __riscv_vreinterpret_i8m2(plane == 0 ? v : __riscv_vand(v, 3, BLOCK_BYTES));
}

INLINE vint8m2_t load_q(const int8_t *q)
{
    return __riscv_vle8_v_i8m2(q, BLOCK_BYTES);
}

INLINE vint16m4_t add_products(vint16m4_t sum, vint8m2_t a, vint8m2_t b)
{
    return __riscv_vwmacc(sum, a, b, BLOCK_BYTES);
}

INLINE vint32m1_t add_lanes(vint32m1_t total, vint16m4_t sum)
{
    return __riscv_vwredsum(sum, total, BLOCK_BYTES);
}

// Four rows of weights with one of activations.
static void four_by_one(const uint8_t *const *w, size_t blocks, const int8_t *q, int32_t *sums)
{
    vint32m1_t t0 = __riscv_vmv_v_x_i32m1(0, 1), t1 = t0, t2 = t0, t3 = t0;
    for (size_t b = 0; b < blocks;) {
        size_t end = blocks - b < FLUSH_BLOCKS ? blocks : b + FLUSH_BLOCKS;
        vint16m4_t s0 = __riscv_vmv_v_x_i16m4(0, BLOCK_BYTES), s1 = s0, s2 = s0, s3 = s0;
        for (; b < end; b++) {
            vuint8m2_t w0 = __riscv_vle8_v_u8m2(w[0] + b * BLOCK_BYTES, BLOCK_BYTES);
            vuint8m2_t w1 = __riscv_vle8_v_u8m2(w[1] + b * BLOCK_BYTES, BLOCK_BYTES);
            vuint8m2_t w2 = __riscv_vle8_v_u8m2(w[2] + b * BLOCK_BYTES, BLOCK_BYTES);
            vuint8m2_t w3 = __riscv_vle8_v_u8m2(w[3] + b * BLOCK_BYTES, BLOCK_BYTES);
#pragma GCC unroll 4
            for (unsigned plane = 0; plane < 4; plane++) {
                vint8m2_t x = load_q(q + b * BLOCK_COLS + 32 * plane);
                s0 = add_products(s0, code(w0, plane), x);
                s1 = add_products(s1, code(w1, plane), x);
                s2 = add_products(s2, code(w2, plane), x);
                s3 = add_products(s3, code(w3, plane), x);
            }
        }
        t0 = add_lanes(t0, s0);
        t1 = add_lanes(t1, s1);
        t2 = add_lanes(t2, s2);
        t3 = add_lanes(t3, s3);
    }
    sums[0] = __riscv_vmv_x(t0);
    sums[1] = __riscv_vmv_x(t1);
    sums[2] = __riscv_vmv_x(t2);
    sums[3] = __riscv_vmv_x(t3);
}

// One row of weights with four of activations.
static void one_by_four(const uint8_t *w, size_t blocks, const int8_t *const *q, int32_t *sums)
{
    vint32m1_t t0 = __riscv_vmv_v_x_i32m1(0, 1), t1 = t0, t2 = t0, t3 = t0;
    for (size_t b = 0; b < blocks;) {
        size_t end = blocks - b < FLUSH_BLOCKS ? blocks : b + FLUSH_BLOCKS;
        vint16m4_t s0 = __riscv_vmv_v_x_i16m4(0, BLOCK_BYTES), s1 = s0, s2 = s0, s3 = s0;
        for (; b < end; b++) {
            vuint8m2_t bytes = __riscv_vle8_v_u8m2(w + b * BLOCK_BYTES, BLOCK_BYTES);
#pragma GCC unroll 4
            for (unsigned plane = 0; plane < 4; plane++) {
                const size_t at = b * BLOCK_COLS + 32 * plane;
                vint8m2_t c = code(bytes, plane);
                s0 = add_products(s0, c, load_q(q[0] + at));
                s1 = add_products(s1, c, load_q(q[1] + at));
                s2 = add_products(s2, c, load_q(q[2] + at));
                s3 = add_products(s3, c, load_q(q[3] + at));
            }
        }
        t0 = add_lanes(t0, s0);
        t1 = add_lanes(t1, s1);
        t2 = add_lanes(t2, s2);
        t3 = add_lanes(t3, s3);
    }
    sums[0] = __riscv_vmv_x(t0);
    sums[1] = __riscv_vmv_x(t1);
    sums[2] = __riscv_vmv_x(t2);
    sums[3] = __riscv_vmv_x(t3);
}

// Rows past the end are the last one again.
static void rows_by_one(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, int32_t row_sum, int32_t *acc)
{
    for (size_t r = 0; r < rows; r += 4) {
        size_t n = rows - r < 4 ? rows - r : 4;
        const uint8_t *from[4];
        int32_t sums[4];
        for (size_t i = 0; i < 4; i++)
            from[i] = w + (r + (i < n ? i : n - 1)) * blocks * BLOCK_BYTES;
        four_by_one(from, blocks, q, sums);
        for (size_t i = 0; i < n; i++)
            acc[r + i] = sums[i] - row_sum;
    }
}

static void rows_by_four(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                         const struct bn_row_scale *scales, size_t n, int32_t *acc, size_t acc_stride)
{
    const int8_t *from[4];
    for (size_t i = 0; i < 4; i++)
        from[i] = q + (i < n ? i : n - 1) * q_stride;
    for (size_t r = 0; r < rows; r++) {
        int32_t sums[4];
        one_by_four(w + r * blocks * BLOCK_BYTES, blocks, from, sums);
        for (size_t i = 0; i < n; i++)
            acc[i * acc_stride + r] = sums[i] - scales[i].sum;
    }
}

// Rows of weights stay in the second level cache while groups of activation rows pass over them.
#define TILE_BYTES (128 * 1024)

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    size_t blocks = cols / BLOCK_COLS, stride = blocks * BLOCK_BYTES;
    size_t tile = n_rows == 1 ? rows : TILE_BYTES / stride ? TILE_BYTES / stride : 1;
    for (size_t r = 0; r < rows; r += tile) {
        size_t n = rows - r < tile ? rows - r : tile;
        for (size_t i = 0, an; i < n_rows; i += an) {
            const int8_t *x = q + i * q_stride;
            int32_t *to = acc + i * acc_stride + r;
            an = n_rows - i < 4 ? n_rows - i : 4;
            if (an == 1)
                rows_by_one(w + r * stride, n, blocks, x, scales[i].sum, to);
            else
                rows_by_four(w + r * stride, n, blocks, x, q_stride, scales + i, an, to, acc_stride);
        }
    }
}

INLINE int32_t sum_lanes(vint32m4_t v)
{
    return __riscv_vmv_x(__riscv_vredsum(v, __riscv_vmv_v_x_i32m1(0, 1), __riscv_vsetvlmax_e32m4()));
}

// Two rows with two planes: sums of both rows with the first plane, then with the second.
static void scan2(const int8_t *w0, const int8_t *w1, size_t cols, const int8_t *q, int32_t *sums)
{
    vint32m4_t s0 = __riscv_vmv_v_x_i32m4(0, __riscv_vsetvlmax_e32m4()), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0, vl; i < cols; i += vl) {
        vl = __riscv_vsetvl_e8m1(cols - i);
        vint8m1_t a = __riscv_vle8_v_i8m1(w0 + i, vl), b = __riscv_vle8_v_i8m1(w1 + i, vl);
        vint8m1_t x = __riscv_vle8_v_i8m1(q + i, vl), y = __riscv_vle8_v_i8m1(q + cols + i, vl);
        s0 = __riscv_vwadd_wv_tu(s0, s0, __riscv_vwmul(a, x, vl), vl);
        s1 = __riscv_vwadd_wv_tu(s1, s1, __riscv_vwmul(b, x, vl), vl);
        s2 = __riscv_vwadd_wv_tu(s2, s2, __riscv_vwmul(a, y, vl), vl);
        s3 = __riscv_vwadd_wv_tu(s3, s3, __riscv_vwmul(b, y, vl), vl);
    }
    sums[0] = sum_lanes(s0);
    sums[1] = sum_lanes(s1);
    sums[2] = sum_lanes(s2);
    sums[3] = sum_lanes(s3);
}

static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    for (size_t r = 0; r < rows; r += 2) {
        bool pair = r + 1 < rows;
        for (size_t i = 0; i < n; i += 2) {
            int32_t sums[4];
            scan2(w + r * cols, w + (r + pair) * cols, cols, q + i * cols, sums);
            for (size_t k = 0; k < 2; k++) {
                out[(i + k) * out_stride + r] = sums[2 * k];
                if (pair)
                    out[(i + k) * out_stride + r + 1] = sums[2 * k + 1];
            }
        }
    }
}

extern const struct bn_kernels BN_KERNELS;
const struct bn_kernels BN_KERNELS = {
    .name = BN_KERNELS_NAME,
    KERNELS_OF_EVERY_LEVEL,
};
