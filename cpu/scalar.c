// The oracle: every kernel in plain C. Other levels give the same bits, only faster.
#include "common.h"

static void widen(enum bn_layout layout, const void *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = load_weight(layout, in, i);
}

static float sum_of_squares(const float *x, size_t n)
{
    float s[SUMS] = {0};
    for (size_t i = 0; i < n; i += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            s[j] = fmaf(x[i + j], x[i + j], s[j]);
    return sum_tree(s);
}

// Row element i as it is quantised.
static float normed(const float *x, const float *norm, float inv, size_t i)
{
    return norm ? (x[i] * inv) * norm[i] : x[i];
}

static bool quantise(const float *x, const float *norm, size_t n, float eps, int8_t *q, struct bn_row_scale *scale)
{
    float inv = 0;
    if (norm) {
        float ss = sum_of_squares(x, n);
        if (!is_finite(ss))
            return false;
        inv = inverse_rms(ss, n, eps);
    }
    uint32_t max_bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = abs_bits(normed(x, norm, inv, i));
        max_bits = bits > max_bits ? bits : max_bits;
    }
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise_scale(bits_float(max_bits));
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        float v = normed(x, norm, inv, i) * factor;
        v = v > QUANT_MAX ? QUANT_MAX : v < QUANT_MIN ? QUANT_MIN : v;
        q[i] = (int8_t)lrintf(v);
        sum += q[i];
    }
    *scale = (struct bn_row_scale){.scale = factor, .sum = sum};
    return true;
}

static bool quantise16(const float *x, const float *norm, size_t n, float eps, int8_t *high, int8_t *low,
                       struct bn_row_scale *scales)
{
    float inv = 0;
    if (norm) {
        float ss = sum_of_squares(x, n);
        if (!is_finite(ss))
            return false;
        inv = inverse_rms(ss, n, eps);
    }
    uint32_t max_bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = abs_bits(normed(x, norm, inv, i));
        max_bits = bits > max_bits ? bits : max_bits;
    }
    if (max_bits >= INFINITY_BITS)
        return false;
    float factor = quantise16_scale(bits_float(max_bits));
    int32_t sums[2] = {0};
    for (size_t i = 0; i < n; i++) {
        float v = normed(x, norm, inv, i) * factor;
        v = v > QUANT16_MAX ? QUANT16_MAX : v < -QUANT16_MAX ? -QUANT16_MAX : v;
        int32_t value = (int32_t)lrintf(v), upper = (value + 32896) / 256 - 128, lower = value - 256 * upper;
        high[i] = (int8_t)upper;
        low[i] = (int8_t)lower;
        sums[0] += upper;
        sums[1] += lower;
    }
    for (size_t plane = 0; plane < 2; plane++)
        scales[plane] = (struct bn_row_scale){.scale = factor, .sum = sums[plane]};
    return true;
}

static bool norm_row(const float *x, const float *norm, size_t n, float eps, float *out)
{
    float ss = sum_of_squares(x, n);
    if (!is_finite(ss))
        return false;
    float inv = inverse_rms(ss, n, eps);
    uint32_t max_bits = 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = normed(x, norm, inv, i);
        uint32_t bits = abs_bits(out[i]);
        max_bits = bits > max_bits ? bits : max_bits;
    }
    return max_bits < INFINITY_BITS;
}

static void unpack_block(const uint8_t *block, int8_t *trits)
{
    for (size_t j = 0; j < BLOCK_BYTES; j++) {
        trits[j] = (int8_t)((block[j] >> 6) - 1);
        trits[32 + j] = (int8_t)((block[j] >> 4 & 3) - 1);
        trits[64 + j] = (int8_t)((block[j] >> 2 & 3) - 1);
        trits[96 + j] = (int8_t)((block[j] & 3) - 1);
    }
}

static void ternary(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    (void)scales; // sums of trits need no correction
    size_t blocks = cols / BLOCK_COLS;
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = w + r * blocks * BLOCK_BYTES;
        for (size_t i = 0; i < n_rows; i++)
            acc[i * acc_stride + r] = 0;
        for (size_t b = 0; b < blocks; b++) {
            int8_t trits[BLOCK_COLS];
            unpack_block(row + b * BLOCK_BYTES, trits);
            for (size_t i = 0; i < n_rows; i++) {
                const int8_t *qb = q + i * q_stride + b * BLOCK_COLS;
                int32_t sum = 0;
                for (size_t j = 0; j < BLOCK_COLS; j++)
                    sum += trits[j] * qb[j];
                acc[i * acc_stride + r] += sum;
            }
        }
    }
}

static void ternary_base3(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride)
{
    (void)scales;
    size_t stride = (cols + BASE3_COLS - 1) / BASE3_COLS * BASE3_BYTES;
    for (size_t r = 0; r < rows; r++, w += stride)
        for (size_t i = 0; i < n_rows; i++) {
            int32_t sum = 0;
            for (size_t c = 0; c < cols; c++) {
                uint32_t u = w[c / BASE3_COLS * BASE3_BYTES + c % BASE3_BYTES];
                for (size_t d = c % BASE3_COLS / BASE3_BYTES; d > 0; d--)
                    u = 3 * u & 255;
                sum += ((int32_t)(3 * u >> 8) - 1) * q[i * q_stride + c];
            }
            acc[i * acc_stride + r] = sum;
        }
}

static void dequantise(const int32_t *acc, size_t n, float factor, const float *add, float *out)
{
    if (add)
        for (size_t i = 0; i < n; i++)
            out[i] = dequantise_one(acc[i], factor) + add[i];
    else
        for (size_t i = 0; i < n; i++)
            out[i] = dequantise_one(acc[i], factor);
}

static void gate(const int32_t *g, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate_one(g[i], up[i], gate_factor, up_factor, activation);
}

static void activate(const float *g, const float *up, size_t n, enum bn_op_activation activation, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate_value(g[i], up[i], activation);
}

static void rope(float *x, size_t heads, size_t head_dim, const float *table, enum bn_rope_order order)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim)
        for (size_t i = 0; i < half; i++) {
            float *a = order == BN_ROPE_PAIRS ? x + 2 * i : x + i;
            float *b = order == BN_ROPE_PAIRS ? a + 1 : a + half;
            float c = table[2 * i], s = table[2 * i + 1];
            float first = (*a * c) - (*b * s);
            *b = (*a * s) + (*b * c);
            *a = first;
        }
}

static void narrow_f16(const float *in, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = float_to_half(in[i]);
}

static float dot_row(enum bn_layout layout, const void *row, const float *x, size_t n)
{
    float s[SUMS] = {0};
    for (size_t i = 0; i < n; i += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            s[j] = fmaf(load_weight(layout, row, i + j), x[i + j], s[j]);
    return sum_tree(s);
}

// Element d of a row of K or V.
static float kv_value(enum bn_kv_type type, const uint8_t *row, size_t d)
{
    return type == BN_KV_INT8 ? (float)(int8_t)row[d] : load_weight(BN_LAYOUT_F16, row, d);
}

static void scores_int8(const struct bn_attend *a, size_t head, float *scores)
{
    int16_t q[MAX_HEAD_DIM];
    float unit = attend_query(a, head, q);
    for (uint32_t i = 0; i < a->n_positions; i++) {
        const int8_t *k = (const int8_t *)attend_row(a, a->k_offset, i);
        int32_t sum = 0;
        for (size_t d = 0; d < a->head_dim; d++)
            sum += k[d] * q[d];
        scores[i] = (float)sum * (*attend_step(a, a->k_offset, i) * unit);
    }
}

static void scores_f16(const struct bn_attend *a, size_t head, float *scores)
{
    for (uint32_t i = 0; i < a->n_positions; i++)
        scores[i] =
            dot_row(BN_LAYOUT_F16, attend_row(a, a->k_offset, i), a->q + head * a->head_dim, a->head_dim) * a->scale;
}

static void attend(const struct bn_attend *a)
{
    size_t n = a->n_positions, dim = a->head_dim;
    for (size_t h = 0; h < a->group; h++) {
        float *out = a->out + h * dim, *p = attend_scores(a, h);
        (a->kv_type == BN_KV_INT8 ? scores_int8 : scores_f16)(a, h, p);
        attend_skip(a, h);
        float max = p[0];
        for (size_t i = 1; i < n; i++)
            max = p[i] > max ? p[i] : max;

        float s[SUMS] = {0};
        for (size_t i = 0; i < n; i++) {
            p[i] = exp_f32(p[i] - max);
            s[i % SUMS] += p[i];
        }
        float denominator = sum_tree(s);
        if (a->kv_type == BN_KV_INT8)
            attend_weigh(a, h);

        memset(out, 0, dim * sizeof *out);
        for (uint32_t i = 0; i < n;) {
            size_t end = n - i < BN_PAGE_POSITIONS ? n : i + BN_PAGE_POSITIONS;
            const uint8_t *v = attend_row(a, a->v_offset, i);
            float block[MAX_HEAD_DIM] = {0};
            for (; i < end; i++, v += dim * bn_kv_element_bytes(a->kv_type))
                for (size_t d = 0; d < dim; d++)
                    block[d] = fmaf(p[i], kv_value(a->kv_type, v, d), block[d]);
            for (size_t d = 0; d < dim; d++)
                out[d] += block[d];
        }
        for (size_t d = 0; d < dim; d++)
            out[d] /= denominator;
    }
}

static void dot(enum bn_layout layout, const void *w, size_t rows, size_t cols, const float *x, float *out)
{
    size_t stride = cols * weight_bytes(layout);
    for (size_t r = 0; r < rows; r++)
        out[r] = dot_row(layout, (const uint8_t *)w + r * stride, x, cols);
}

static void scan(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride)
{
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rows; r++) {
            int32_t sum = 0;
            for (size_t c = 0; c < cols; c++)
                sum += w[r * cols + c] * q[i * cols + c];
            out[i * out_stride + r] = sum;
        }
}

extern const struct bn_kernels bn_kernels_scalar;
const struct bn_kernels bn_kernels_scalar = {
    .name = "scalar",
    KERNELS_OF_EVERY_LEVEL,
    .ternary_base3 = ternary_base3,
    .quantise16 = quantise16,
    .activate = activate,
};
