// What every level shares: conversions, the exponential and the element-wise formulas. docs/numerics.md is the
// reference for each of them. Static functions only: a file compiled for one level must not lend code to another.
#ifndef BN_CPU_COMMON_H
#define BN_CPU_COMMON_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float expressions must be evaluated in float");

#define INLINE static inline __attribute__((always_inline))

#define SUMS 16        // partial sums of a float reduction
#define BLOCK_COLS 128 // columns of a block of BN_LAYOUT_I2S_A
#define BLOCK_BYTES 32
#define BASE3_COLS 320 // of a block of BN_LAYOUT_BASE3: each byte has a digit of columns j, 64 + j, ... 256 + j
#define BASE3_BYTES 64
#define BASE3_DIGITS 5
#define MAX_HEAD_DIM 512

// exp(x) = 2^n e^r with n = round(x log2 e) and r = x - n ln 2, ln 2 in two parts so that n * EXP_LN2_HI is exact.
// Adding EXP_ROUND leaves n in the low bits of the sum.
#define EXP_LOW -87.0f // below: 0
#define EXP_HIGH 88.0f // above: exp(EXP_HIGH)
#define EXP_ROUND 0x1.8p23f
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_LN2_HI 0x1.63p-1f
#define EXP_LN2_LO -0x1.bd0106p-13f
#define EXP_C7 (1.0f / 5040)
#define EXP_C6 (1.0f / 720)
#define EXP_C5 (1.0f / 120)
#define EXP_C4 (1.0f / 24)
#define EXP_C3 (1.0f / 6)
#define EXP_C2 0.5f

#define QUANT_MAX 127.0f
#define QUANT_MIN -128.0f
#define QUANT_FLOOR 1e-5f     // least absolute maximum of a quantised row
#define QUANT16_MAX 32639.0f  // 127 * 256 + 127: both planes are int8
#define QUERY_MAX 32767.0f    // times 127, over 512 elements: an int32
#define ROUND16 0x1.8p23f     // leaves an integer rounded to nearest even in the low bits of the sum
#define GELU_C1 1.5957691216f // 2 sqrt(2 / pi)
#define GELU_C3 0.0713548163f // 0.044715 times that
#define INFINITY_BITS 0x7f800000u

// The slots that every level fills, each with its static function of the same name.
#define KERNELS_OF_EVERY_LEVEL                                                                                         \
    .widen = widen, .quantise = quantise, .norm = norm_row, .ternary = ternary, .dequantise = dequantise,              \
    .gate = gate, .rope = rope, .narrow_f16 = narrow_f16, .attend = attend, .dot = dot, .scan = scan

// An address to prefetch; it may lie past the end of the array.
static inline const char *beyond(const void *array, size_t bytes)
{
    return (const char *)((uintptr_t)array + bytes);
}

// How many of `n` to take next so that the parts, none above `most`, are about equal.
static inline size_t even_share(size_t n, size_t most)
{
    size_t parts = (n + most - 1) / most;
    return (n + parts - 1) / parts;
}

static inline uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

// Bits of |f|: as integers they have the order of the numbers, infinity above all of them and NaN above infinity.
static inline uint32_t abs_bits(float f)
{
    return float_bits(f) & 0x7fffffffu;
}

static inline bool is_finite(float f)
{
    return abs_bits(f) < INFINITY_BITS;
}

static inline float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
    if (exponent == 31) // infinity; NaN becomes quiet
        return bits_float(sign | INFINITY_BITS | mantissa << 13 | (mantissa ? 0x400000u : 0));
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t float_to_half(float f)
{
    uint32_t u = float_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > INFINITY_BITS)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) // 65520: rounds past the largest half
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000) // below the least normal half: adding 0.5 rounds to multiples of 2^-24
        return (uint16_t)(sign | (float_bits(bits_float(a) + 0.5f) - 0x3f000000));
    a += 0xfff + (a >> 13 & 1); // may carry into the exponent, as it should
    return (uint16_t)(sign | (a - 0x38000000) >> 13);
}

static inline float bfloat_to_float(uint16_t h)
{
    return bits_float((uint32_t)h << 16);
}

// Element i of a row of float weights; the row may lie at any address.
static inline float load_weight(enum bn_layout layout, const void *row, size_t i)
{
    if (layout == BN_LAYOUT_F32) {
        float f;
        memcpy(&f, (const uint8_t *)row + 4 * i, 4);
        return f;
    }
    uint16_t h;
    memcpy(&h, (const uint8_t *)row + 2 * i, 2);
    return layout == BN_LAYOUT_F16 ? half_to_float(h) : bfloat_to_float(h);
}

static inline size_t weight_bytes(enum bn_layout layout)
{
    return layout == BN_LAYOUT_F32 ? 4 : 2;
}

// The end of every float reduction.
static inline float sum_tree(float *s)
{
    for (size_t width = SUMS / 2; width; width /= 2)
        for (size_t i = 0; i < width; i++)
            s[i] += s[i + width];
    return s[0];
}

// NaN gives NaN.
static inline float exp_f32(float x)
{
    float clamped = EXP_HIGH < x ? EXP_HIGH : x;
    float t = fmaf(clamped, EXP_LOG2E, EXP_ROUND);
    float n = t - EXP_ROUND;
    float r = fmaf(n, -EXP_LN2_LO, fmaf(n, -EXP_LN2_HI, clamped));
    float p = fmaf(EXP_C7, r, EXP_C6);
    p = fmaf(p, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return x < EXP_LOW ? 0.0f : p * bits_float((float_bits(t) << 23) + 0x3f800000u);
}

static inline float dequantise_one(int32_t acc, float factor)
{
    return (float)acc * factor;
}

static inline float gate_value(float g, float u, enum bn_op_activation activation)
{
    if (activation == BN_OP_RELU2) {
        g = 0.0f > g ? 0.0f : g;
        return (g * g) * u;
    }
    float t = activation == BN_OP_GELU ? g * fmaf(GELU_C3, g * g, GELU_C1) : g;
    return (g / (1.0f + exp_f32(-t))) * u;
}

static inline float gate_one(int32_t gate, int32_t up, float gate_factor, float up_factor,
                             enum bn_op_activation activation)
{
    return gate_value((float)gate * gate_factor, (float)up * up_factor, activation);
}

static inline float quantise_scale(float absmax)
{
    return QUANT_MAX / (absmax > QUANT_FLOOR ? absmax : QUANT_FLOOR);
}

static inline float quantise16_scale(float absmax)
{
    return QUANT16_MAX / (absmax > QUANT_FLOOR ? absmax : QUANT_FLOOR);
}

static inline float query_scale(float absmax)
{
    return QUERY_MAX / (absmax > QUANT_FLOOR ? absmax : QUANT_FLOOR);
}

static inline float inverse_rms(float sum_of_squares, size_t n, float eps)
{
    return 1.0f / sqrtf(sum_of_squares / (float)n + eps);
}

// The memory of one attention call: rows of K and V within the pool.
static inline const uint8_t *attend_row(const struct bn_attend *a, uint64_t offset, uint32_t position)
{
    const uint8_t *page = a->pool + a->pages[position / BN_PAGE_POSITIONS] * a->page_bytes;
    return page + offset + (size_t)(position % BN_PAGE_POSITIONS) * a->head_dim * bn_kv_element_bytes(a->kv_type);
}

// The step of the int8 row of a position; those of the page's later positions follow.
static inline const float *attend_step(const struct bn_attend *a, uint64_t offset, uint32_t position)
{
    const uint8_t *page = a->pool + a->pages[position / BN_PAGE_POSITIONS] * a->page_bytes;
    const float *steps = (const float *)(const void *)(page + bn_kv_steps_offset(offset, a->head_dim));
    return steps + position % BN_PAGE_POSITIONS;
}

static inline float *attend_scores(const struct bn_attend *a, size_t head)
{
    size_t stride = ((size_t)a->n_positions + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS * BN_PAGE_POSITIONS;
    return a->scores + head * stride;
}

// The scores of a head, once they are there. Positions that are not attended after all get a weight of +0, which leaves
// every sum as it is.
static inline float *attend_skip(const struct bn_attend *a, size_t head)
{
    float *scores = attend_scores(a, head);
    for (uint32_t i = 0; i < a->skip; i++)
        scores[i] = -INFINITY;
    return scores;
}

// What to fetch while other rows are computed, as the hardware does not follow from page to page: K in order, some rows
// early; V column by column, from the next page. Into the second level: the first one's few fill buffers would be the limit.
#define K_AHEAD 32

static inline const char *attend_ahead(const struct bn_attend *a, uint64_t offset, uint32_t position)
{
    return (const char *)attend_row(a, offset, position < a->n_positions ? position : 0);
}

// Int8 rows: a query of 16 bits, so that scores are exact sums of products. Returns what such a product with a row of step 1
// is multiplied by. If the query is not finite that is NaN, and every score will be.
static inline float attend_query(const struct bn_attend *a, size_t head, int16_t *restrict out)
{
    const float *restrict q = a->q + head * a->head_dim;
    uint32_t most[SUMS] = {0};
    for (size_t d = 0; d < a->head_dim; d += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            most[j] = abs_bits(q[d + j]) > most[j] ? abs_bits(q[d + j]) : most[j];
    for (size_t j = 1; j < SUMS; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    bool finite = most[0] < INFINITY_BITS;
    float scale = finite ? query_scale(bits_float(most[0])) : 0.0f;
    for (size_t d = 0; d < a->head_dim; d += SUMS)
        for (size_t j = 0; j < SUMS; j++) {
            float v = finite ? q[d + j] * scale : 0.0f;
            v = v > QUERY_MAX ? QUERY_MAX : v < -QUERY_MAX ? -QUERY_MAX : v;
            out[d + j] = (int16_t)float_bits(v + ROUND16); // to nearest even: the low bits of the sum
        }
    return finite ? a->scale / scale : NAN;
}

static inline void multiply16(float *restrict x, const float *restrict by)
{
    for (size_t i = 0; i < SUMS; i++)
        x[i] *= by[i];
}

// Weights of int8 rows of V: those of their positions times their steps, which the denominator has no part in. Past the last
// position, within the rounded length, they are anything.
static inline void attend_weigh(const struct bn_attend *a, size_t head)
{
    float *p = attend_scores(a, head);
    for (uint32_t i = 0; i < a->n_positions; i += SUMS)
        multiply16(p + i, attend_step(a, a->v_offset, i));
}

#endif
