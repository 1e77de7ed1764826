// Embeddings and heads in layouts that the kernels do not read: rows are widened to f32 first.
#include "devices/common/host_buffer.h"
#include "devices/cpu/command.h"
#include "runtime/layout/layout.h"

static bool native(enum bn_layout layout)
{
    return layout == BN_LAYOUT_F32 || layout == BN_LAYOUT_F16 || layout == BN_LAYOUT_BF16;
}

size_t bn_cpu_table_scratch(const struct bn_op *op)
{
    return native(op->w[0].layout) ? 0 : (size_t)BN_CPU_TABLE_ROWS * op->cols * sizeof(float);
}

static void widen(const struct bn_weight *w, uint32_t r, float *out)
{
    const struct bn_matrix matrix = {
        .layout = w->layout,
        .rows = w->rows,
        .cols = w->cols,
        .data = bn_span_host(&w->data),
        .scales = w->scales.buffer ? bn_span_host(&w->scales) : NULL,
        .scale = w->scale,
    };
    bn_matrix_widen(&matrix, r, out);
}

void bn_cpu_table_row(const struct phase *phase, const struct bn_weight *w, uint32_t r, float *out)
{
    if (native(w->layout))
        phase->kernels->widen(w->layout, (const uint8_t *)bn_span_host(&w->data) + w->data.size / w->rows * r, w->cols,
                              out);
    else
        widen(w, r, out);
}

struct bn_cpu_table bn_cpu_table_rows(const struct phase *phase, const struct bn_weight *w, uint32_t first, uint32_t n,
                                      float *scratch)
{
    if (native(w->layout))
        return (struct bn_cpu_table){w->layout,
                                     (const uint8_t *)bn_span_host(&w->data) + w->data.size / w->rows * first};
    for (uint32_t r = 0; r < n; r++)
        widen(w, first + r, scratch + (size_t)r * w->cols);
    return (struct bn_cpu_table){BN_LAYOUT_F32, scratch};
}
