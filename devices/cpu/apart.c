// Ops of models whose layers are not those of BitNet b1.58: two planes of activations, norms and rotations of whole rows, and the parts of
// QKV and gate-up where each matrix has an input of its own. All work on one row at a time.
#include <math.h>
#include <string.h>

#include "devices/common/host_buffer.h"
#include "devices/cpu/command.h"

#define HOST(span) bn_span_host(&phase->op->span)

void bn_cpu_quantise16(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const float *in = HOST(in), *norm = HOST(norm);
    struct bn_row_scale *scales = HOST(out2);
    uint32_t padded = bn_padded_cols(op->cols);
    for (uint32_t r = begin; r < end; r++) {
        int8_t *high = (int8_t *)HOST(out) + (size_t)2 * r * padded, *low = high + padded;
        if (!bn_kernels_quantise16(phase->kernels, in + (size_t)r * op->cols, norm, op->cols, op->eps, high, low,
                                   &scales[(size_t)2 * r]))
            bn_cpu_not_finite(phase);
        memset(high + op->cols, 0, padded - op->cols);
        memset(low + op->cols, 0, padded - op->cols);
    }
}

void bn_cpu_join_planes(const struct bn_op *op, uint32_t rows, uint32_t n, size_t stride, int32_t *acc)
{
    for (uint32_t r = 0; r < rows && bn_op_planes(op) == 2; r++)
        for (uint32_t i = 0; i < n; i++)
            acc[r * stride + i] = 256 * acc[(size_t)2 * r * stride + i] + acc[((size_t)2 * r + 1) * stride + i];
}

float bn_cpu_row_scale(const struct phase *phase, uint32_t r)
{
    const struct bn_row_scale *scales = HOST(in2);
    return scales[r * bn_op_planes(phase->op)].scale;
}

void bn_cpu_norm_rows(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const float *in = HOST(in), *norm = HOST(norm), *add = HOST(in3);
    float *normed = (float *)worker->scratch, *out = HOST(out);
    for (uint32_t r = begin; r < end; r++) {
        size_t at = (size_t)r * op->cols;
        if (!phase->kernels->norm(in + at, norm, op->cols, op->eps, add ? normed : out + at))
            bn_cpu_not_finite(phase);
        for (uint32_t i = 0; add && i < op->cols; i++)
            out[at + i] = normed[i] + add[at + i];
    }
}

// The Walsh-Hadamard transform in its natural order: in each level sums and differences of what is `step` apart.
static void transform(float *x, uint32_t n)
{
    for (uint32_t step = 1; step < n; step *= 2) {
        for (uint32_t start = 0; start < n; start += 2 * step) {
            for (uint32_t i = start; i < start + step; i++) {
                float low = x[i], high = x[i + step];
                x[i] = low + high;
                x[i + step] = low - high;
            }
        }
    }
}

void bn_cpu_rotate(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const float *before = HOST(norm), *after = HOST(norm2);
    float factor = 1 / sqrtf((float)op->block);
    for (uint32_t r = begin; r < end; r++) {
        const float *in = (const float *)HOST(in) + (size_t)r * op->cols;
        float *out = (float *)HOST(out) + (size_t)r * op->cols;
        for (uint32_t i = 0; i < op->cols; i++)
            out[i] = before ? in[i] * before[i] : in[i];
        for (uint32_t i = 0; i < op->cols; i += op->block)
            transform(out + i, op->block);
        for (uint32_t i = 0; i < op->cols; i++)
            out[i] = after ? (out[i] * factor) * after[i] : out[i] * factor;
    }
}

void bn_cpu_append(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    size_t q_row = (size_t)op->heads * op->head_dim, kv_row = (size_t)op->kv_heads * op->head_dim;
    float *in = HOST(in), *k = HOST(in2), *v = HOST(in3), *out = HOST(out);
    for (uint32_t r = begin; r < end; r++) {
        float *q = out + r * q_row;
        if (in != out)
            memcpy(q, in + r * q_row, q_row * sizeof(*q));
        bn_cpu_append_row(phase, r, q, k + r * kv_row, v + r * kv_row);
    }
}

void bn_cpu_activate(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    for (uint32_t r = begin; r < end; r++) {
        size_t at = (size_t)r * op->cols;
        bn_kernels_activate(phase->kernels, (const float *)HOST(in) + at, (const float *)HOST(in2) + at, op->cols,
                            op->activation, (float *)HOST(out) + at);
    }
}
