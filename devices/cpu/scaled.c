// Products with matrices whose scales reach rows or groups of columns. They come as floats; what follows is that of the
// others, in plain C.
#include <math.h>
#include <string.h>

#include "devices/common/host_buffer.h"
#include "devices/cpu/command.h"
#include "runtime/layout/layout.h"

#define HOST(span) bn_span_host(&phase->op->span)

// Group sums are floats before the planes meet: fma(256, high, low).
static void join_planes(const struct phase *phase, const struct bn_cpu_tile *tile, float *values)
{
    size_t stride = tile->stride;
    for (uint32_t r = 0; r < phase->slot->n_rows && bn_op_planes(phase->op) == 2; r++)
        for (uint32_t i = 0; i < tile->n; i++)
            values[r * stride + i] =
                fmaf(256.0f, values[(size_t)2 * r * stride + i], values[((size_t)2 * r + 1) * stride + i]);
}

// To floats, each times the scale of its row; + 0 as sum16 of one pair has it.
static void scale_rows(const struct phase *phase, const float *scales, const struct bn_cpu_tile *tile, float *values)
{
    for (uint32_t r = 0; r < phase->slot->n_rows; r++, values += tile->stride)
        for (uint32_t i = 0; i < tile->n; i++) {
            int32_t sum;
            memcpy(&sum, &values[i], sizeof(sum));
            values[i] = scales ? (float)sum * scales[i] + 0.0f : (float)sum;
        }
}

// w times the rows of the replay, without the tensor's scale and that of the rows.
static void multiply(const struct phase *phase, const struct bn_weight *w, const struct bn_cpu_tile *tile,
                     float *values)
{
    const struct bn_layout_info *info = bn_layout_get(w->layout);
    uint64_t groups = bn_layout_scales(w->layout, w->cols);
    const float *scales = groups ? (const float *)bn_span_host(&w->scales) + tile->first * groups : NULL;
    if (info->reach != BN_SCALE_GROUP) {
        bn_cpu_multiply(phase, w, tile->first, tile->n, (int32_t *)(void *)values,
                        tile->stride); // at the floats' place
        scale_rows(phase, scales, tile, values);
        return;
    }
    uint32_t cols = bn_padded_cols(phase->op->cols);
    bn_kernels_groups(phase->kernels)(&(struct bn_groups){
        .w = (const uint8_t *)bn_span_host(&w->data) + (size_t)tile->first * (cols / 4),
        .rows = tile->n,
        .cols = cols,
        .group = info->group,
        .groups = groups,
        .scales = scales,
        .q = HOST(in),
        .q_stride = cols,
        .n_rows = phase->slot->n_rows * bn_op_planes(phase->op),
        .out = values,
        .out_stride = tile->stride,
    });
    join_planes(phase, tile, values);
}

void bn_cpu_scaled_matmul(const struct phase *phase, const struct bn_weight *w, const struct bn_cpu_tile *tile,
                          const float *add, float *out, float *values)
{
    multiply(phase, w, tile, values);
    for (uint32_t r = 0; r < phase->slot->n_rows; r++) {
        size_t at = (size_t)r * w->rows + tile->first;
        bn_scale_values(values + (size_t)r * tile->stride, tile->n, w->scale / bn_cpu_row_scale(phase, r),
                        add ? add + at : NULL, out + at);
    }
}

void bn_cpu_scaled_gate(const struct phase *phase, const struct bn_cpu_tile *tile, float *gates, float *ups)
{
    const struct bn_op *op = phase->op;
    const struct bn_weight *gate = &op->w[0], *up = &op->w[1];
    multiply(phase, gate, tile, gates);
    multiply(phase, up, tile, ups);
    for (uint32_t r = 0; r < phase->slot->n_rows; r++)
        bn_gate_values(gates + (size_t)r * tile->stride, ups + (size_t)r * tile->stride, tile->n,
                       gate->scale / bn_cpu_row_scale(phase, r), up->scale / bn_cpu_row_scale(phase, r), op->activation,
                       (float *)HOST(out) + (size_t)r * gate->rows + tile->first);
}
