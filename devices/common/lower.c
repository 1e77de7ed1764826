#include "devices/common/lower.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"

enum { MAX_GROUPS = 65535, WORDS_LIMIT = INT32_MAX };
enum { FLAG_ADD = 1, FLAG_SILU = 2, FLAG_NORM = 4 };      // of ternary.comp
enum { MODE_MATMUL = 0, MODE_GATE_UP = 1, MODE_QKV = 2 }; // its MODE
enum { LANES = 8, BATCH = 4 }; // invocations that share a row; rows of activations that share weights

// Invocations of a workgroup: on a GPU, and on a CPU that plays one, where each barrier is expensive. Those that quantise have
// the same number, so that a row has the same bits in every batch.
static const struct {
    uint32_t gpu, software;
} threads[BN_KERNEL_COUNT] = {
    [BN_KERNEL_COPY] = {64, 64},         [BN_KERNEL_KV_COPY] = {64, 64},  [BN_KERNEL_EMBED] = {64, 64},
    [BN_KERNEL_QUANTISE] = {64, 8},      [BN_KERNEL_NORM] = {128, 8},     [BN_KERNEL_TERNARY] = {64, 8},
    [BN_KERNEL_TERNARY_FUSED] = {64, 8}, [BN_KERNEL_ATTENTION] = {64, 8}, [BN_KERNEL_HEAD] = {64, 8},
    [BN_KERNEL_TOP_QUANTISE] = {128, 8}, [BN_KERNEL_TOP_SCAN] = {64, 8},  [BN_KERNEL_TOP_SELECT] = {128, 32},
    [BN_KERNEL_TOP_RESCORE] = {64, 8},
};

static uint32_t threads_of(const struct bn_lower_target *target, enum bn_kernel kernel)
{
    return target->software ? threads[kernel].software : threads[kernel].gpu;
}

static uint32_t groups(uint64_t items, uint32_t per_group)
{
    uint64_t n = (items + per_group - 1) / per_group;
    return n < 1 ? 1 : n > MAX_GROUPS ? MAX_GROUPS : (uint32_t)n; // the kernels go round if there are too few
}

static struct bn_dispatch *begin(const struct bn_lower_target *target, struct bn_dispatch *dispatch,
                                 enum bn_kernel kernel, uint32_t x, uint32_t y)
{
    memset(dispatch, 0, sizeof(*dispatch));
    dispatch->kernel = kernel;
    dispatch->constants[0] = threads_of(target, kernel);
    dispatch->x = x;
    dispatch->y = y;
    return dispatch;
}

static void add_span(struct bn_dispatch *dispatch, const struct bn_span *span)
{
    dispatch->spans[dispatch->n_spans++] = *span;
}

static void add_u32(struct bn_dispatch *dispatch, uint32_t value)
{
    dispatch->words[dispatch->n_words++] = value;
}

static void add_f32(struct bn_dispatch *dispatch, float value)
{
    memcpy(&dispatch->words[dispatch->n_words++], &value, sizeof(value));
}

// What follows the first bytes of a span.
static struct bn_span part_of(const struct bn_span *span, uint64_t offset)
{
    return (struct bn_span){span->buffer, span->offset + offset, span->size - offset};
}

static uint32_t layout_constant(enum bn_layout layout)
{
    return layout == BN_LAYOUT_F32 ? 0 : layout == BN_LAYOUT_F16 ? 1 : 2;
}

static uint32_t page_bytes(const struct bn_op *op)
{
    return (uint32_t)bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
}

struct lowering {
    const struct bn_lower_target *target;
    const struct bn_op *op;
    uint32_t index;
    struct bn_span slot, temporary;
};

static uint32_t lower_embed(const struct lowering *l, struct bn_dispatch *list)
{
    struct bn_dispatch *d = begin(l->target, list, BN_KERNEL_EMBED, groups(l->op->rows, 1), 1);
    d->constants[1] = layout_constant(l->op->w[0].layout);
    add_span(d, &l->slot);
    add_span(d, &l->op->w[0].data);
    add_span(d, &l->op->out);
    add_u32(d, l->index);
    add_u32(d, l->op->cols);
    return 1;
}

static void add_quantise(const struct lowering *l, struct bn_dispatch *list, const struct bn_span *out,
                         const struct bn_span *scales)
{
    struct bn_dispatch *d = begin(l->target, list, BN_KERNEL_QUANTISE, groups(l->op->rows, 1), 1);
    add_span(d, &l->slot);
    add_span(d, &l->op->in);
    add_span(d, &l->op->norm);
    add_span(d, out);
    add_span(d, scales);
    add_u32(d, l->index);
    add_u32(d, l->op->cols);
    add_u32(d, l->op->norm.buffer != NULL);
    add_f32(d, l->op->eps);
}

static uint32_t lower_quantise(const struct lowering *l, struct bn_dispatch *list)
{
    add_quantise(l, list, &l->op->out, &l->op->out2);
    return 1;
}

static uint32_t lower_norm(const struct lowering *l, struct bn_dispatch *list)
{
    struct bn_dispatch *d = begin(l->target, list, BN_KERNEL_NORM, groups(l->op->rows, 1), 1);
    add_span(d, &l->slot);
    add_span(d, &l->op->in);
    add_span(d, &l->op->norm);
    add_span(d, &l->op->out);
    add_u32(d, l->index);
    add_u32(d, l->op->cols);
    add_f32(d, l->op->eps);
    return 1;
}

// How a ternary op is lowered.
struct ternary {
    uint32_t mode;
    bool fused;
};

static struct ternary ternary_of(const struct bn_op *op)
{
    switch (op->kind) {
    case BN_OP_QKV:
    case BN_OP_NORM_QKV:
        return (struct ternary){MODE_QKV, op->kind == BN_OP_NORM_QKV};
    case BN_OP_GATE_UP:
    case BN_OP_NORM_GATE_UP:
        return (struct ternary){MODE_GATE_UP, op->kind == BN_OP_NORM_GATE_UP};
    default:
        return (struct ternary){MODE_MATMUL, op->kind == BN_OP_NORM_MATMUL};
    }
}

// Whether the kernel may quantise: one row, and it fits the memory of a group, with some 2 KiB for sums. On a CPU that
// plays a GPU the barriers of that kernel cost more than the dispatch that they save, unless the matrix is small.
static bool quantises_itself(const struct bn_lower_target *target, const struct bn_op *op)
{
    enum { SOFTWARE_BYTES = 128 << 10 };
    bool small = op->w[0].data.size <= SOFTWARE_BYTES || !target->software;
    return small && op->rows == 1 && bn_padded_cols(op->cols) + 2048 <= target->shared_bytes;
}

// Groups of four weight rows.
static uint32_t row_groups(const struct bn_op *op, uint32_t mode)
{
    if (mode == MODE_QKV)
        return (op->w[0].rows + op->w[1].rows + op->w[2].rows) / 4;
    return mode == MODE_GATE_UP ? (op->w[0].rows + 1) / 2 : (op->w[0].rows + 3) / 4;
}

// The int8 rows of a fused op that needs them outside of workgroups, and their scales behind.
static uint64_t quantised_bytes(const struct bn_op *op)
{
    return (uint64_t)op->rows * bn_padded_cols(op->cols);
}

static void add_ternary(const struct lowering *l, struct bn_dispatch *d, const struct ternary *t)
{
    const struct bn_op *op = l->op;
    for (int i = 0; i < 3; i++)
        add_span(d, &op->w[i].data);
    add_span(d, &op->out);
    add_span(d, t->mode == MODE_QKV ? &op->kv : &op->in3);
    add_span(d, &op->rope);
    add_u32(d, l->index);
    add_u32(d, op->w[0].rows);
    add_u32(d, (op->in3.buffer ? FLAG_ADD : 0u) | (op->norm.buffer ? FLAG_NORM : 0u) |
                   (t->mode == MODE_GATE_UP && op->activation == BN_OP_SILU ? FLAG_SILU : 0u));
    for (int i = 0; i < 3; i++)
        add_f32(d, op->w[i].scale);
    add_u32(d, op->heads | op->kv_heads << 16);
    add_u32(d, op->head_dim | (op->rope_order == BN_ROPE_PAIRS ? 0x8000u : 0u) | op->layer << 16);
    add_u32(d, t->mode == MODE_QKV ? page_bytes(op) / 4 : 0);
    add_f32(d, op->eps);
}

static uint32_t lower_ternary(const struct lowering *l, struct bn_dispatch *list)
{
    enum { SOFTWARE_FUSED_GROUPS = 8 }; // a CPU repeats the norm for each of its threads, and some more for balance
    const struct bn_op *op = l->op;
    struct ternary t = ternary_of(op);
    bool fused = t.fused && quantises_itself(l->target, op), software = l->target->software;
    struct bn_span q = l->temporary, scales = part_of(&l->temporary, quantised_bytes(op));
    uint32_t n = 0;
    if (t.fused && !fused)
        add_quantise(l, &list[n++], &q, &scales);
    enum bn_kernel kernel = fused ? BN_KERNEL_TERNARY_FUSED : BN_KERNEL_TERNARY;
    uint32_t x = groups(row_groups(op, t.mode), threads_of(l->target, kernel) / LANES);
    x = fused && software && x > SOFTWARE_FUSED_GROUPS ? SOFTWARE_FUSED_GROUPS : x;
    uint32_t batch = op->rows > 1 ? BATCH : 1;
    struct bn_dispatch *d = begin(l->target, &list[n++], kernel, x, groups(op->rows, batch));
    d->constants[1] = LANES;
    d->constants[2] = t.mode;
    d->constants[3] = bn_padded_cols(op->cols);
    d->constants[4] = op->cols;
    d->constants[5] = batch;
    add_span(d, &l->slot);
    add_span(d, t.fused && !fused ? &q : &op->in);
    add_span(d, fused ? &op->norm : t.fused ? &scales : &op->in2);
    add_ternary(l, d, &t);
    return n;
}

static uint32_t lower_attention(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = begin(l->target, list, BN_KERNEL_ATTENTION, groups(op->heads, 1), groups(op->rows, 1));
    d->constants[1] = op->head_dim;
    add_span(d, &l->slot);
    add_span(d, &op->in);
    add_span(d, &op->out);
    add_span(d, &op->kv);
    add_span(d, &op->kv);
    add_u32(d, l->index);
    add_u32(d, op->heads);
    add_u32(d, op->kv_heads);
    add_u32(d, op->layer);
    add_u32(d, page_bytes(op) / 16);
    add_f32(d, 1.0f / sqrtf((float)op->head_dim));
    return 1;
}

static struct bn_dispatch *add_head(const struct lowering *l, struct bn_dispatch *list, bool of_top)
{
    const struct bn_op *op = l->op;
    uint32_t in_group = threads_of(l->target, BN_KERNEL_HEAD) / LANES;
    struct bn_dispatch *d =
        begin(l->target, list, BN_KERNEL_HEAD, groups(op->w[0].rows, in_group), groups(op->rows, 1));
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    d->constants[3] = of_top;
    add_span(d, &l->slot);
    add_span(d, &op->w[0].data);
    add_span(d, &op->in);
    add_span(d, of_top ? &op->out2 : &op->out);
    add_span(d, &op->out);
    add_u32(d, l->index);
    add_u32(d, op->w[0].rows);
    add_u32(d, op->cols);
    add_u32(d, sizeof(struct bn_top) / 4);
    return d;
}

static uint32_t lower_head(const struct lowering *l, struct bn_dispatch *list)
{
    add_head(l, list, false);
    return 1;
}

static uint64_t top_words(const struct bn_op *op)
{
    return 16 + op->cols / 2 + ((uint64_t)op->w[0].rows + 3) / 4 * 4; // of one output: see top.glsl
}

static struct bn_dispatch *add_top(const struct lowering *l, struct bn_dispatch *list, enum bn_kernel kernel,
                                   uint32_t x, uint32_t y)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = begin(l->target, list, kernel, x, y);
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    add_span(d, &l->slot);
    add_span(d, &l->temporary);
    add_span(d, &op->in);
    add_span(d, &op->in2);
    add_span(d, &op->in3);
    add_span(d, &op->out);
    add_span(d, &op->w[0].data);
    add_u32(d, l->index);
    add_u32(d, op->w[0].rows);
    add_u32(d, op->cols);
    add_u32(d, sizeof(struct bn_top) / 4);
    return d;
}

static uint32_t lower_top(const struct lowering *l, struct bn_dispatch *list)
{
    enum { RESCORE_GROUPS = 64 };
    uint32_t in_group = threads_of(l->target, BN_KERNEL_TOP_SCAN) / LANES;
    add_top(l, &list[0], BN_KERNEL_TOP_QUANTISE, l->op->rows, 1);
    add_top(l, &list[1], BN_KERNEL_TOP_SCAN, groups(l->op->w[0].rows, in_group), 1);
    add_top(l, &list[2], BN_KERNEL_TOP_SELECT, l->op->rows, 1);
    add_top(l, &list[3], BN_KERNEL_TOP_RESCORE, RESCORE_GROUPS, l->op->rows);
    add_head(l, &list[4], true);
    return 5;
}

static uint32_t lower_kv_copy(const struct lowering *l, struct bn_dispatch *list)
{
    uint32_t quads = page_bytes(l->op) / 16;
    struct bn_dispatch *d =
        begin(l->target, list, BN_KERNEL_KV_COPY, groups(quads, 4 * threads_of(l->target, BN_KERNEL_KV_COPY)), 1);
    add_span(d, &l->slot);
    add_span(d, &l->op->kv);
    add_u32(d, l->index);
    add_u32(d, quads);
    return 1;
}

static uint32_t lower_copy(const struct lowering *l, struct bn_dispatch *list)
{
    uint32_t bytes = (uint32_t)l->op->in.size;
    struct bn_dispatch *d =
        begin(l->target, list, BN_KERNEL_COPY, groups(bytes / 4, 4 * threads_of(l->target, BN_KERNEL_COPY)), 1);
    add_span(d, &l->slot);
    add_span(d, &l->op->in);
    add_span(d, &l->op->out);
    add_u32(d, l->index);
    add_u32(d, bytes);
    return 1;
}

static uint32_t (*const table[BN_OP_COUNT])(const struct lowering *l, struct bn_dispatch *list) = {
    [BN_OP_EMBED] = lower_embed,      [BN_OP_QUANTISE] = lower_quantise,
    [BN_OP_MATMUL] = lower_ternary,   [BN_OP_QKV] = lower_ternary,
    [BN_OP_GATE_UP] = lower_ternary,  [BN_OP_ATTENTION] = lower_attention,
    [BN_OP_NORM] = lower_norm,        [BN_OP_HEAD] = lower_head,
    [BN_OP_TOP] = lower_top,          [BN_OP_KV_COPY] = lower_kv_copy,
    [BN_OP_COPY] = lower_copy,        [BN_OP_NORM_MATMUL] = lower_ternary,
    [BN_OP_NORM_QKV] = lower_ternary, [BN_OP_NORM_GATE_UP] = lower_ternary,
};

enum bn_result bn_lower_check(const struct bn_lower_target *target, const struct bn_op *op, struct bn_error *err)
{
    const struct bn_span *spans[] = {&op->in, &op->in2,  &op->in3,       &op->out,       &op->out2,
                                     &op->kv, &op->norm, &op->w[0].data, &op->w[1].data, &op->w[2].data};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (!spans[i]->buffer)
            continue;
        if (op->kind != BN_OP_COPY && spans[i]->offset % 16)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, target->id, bn_op_name(op->kind), UINT64_MAX,
                              "operands of this device begin at multiples of 16 bytes");
        if (spans[i]->size / 4 > WORDS_LIMIT)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, target->id, bn_op_name(op->kind), UINT64_MAX,
                              "operands of this device have at most 8 GiB");
    }
    return BN_OK;
}

uint64_t bn_lower_temporary(const struct bn_lower_target *target, const struct bn_op *op)
{
    if (op->kind == BN_OP_TOP)
        return op->rows * top_words(op) * sizeof(uint32_t);
    bool fused = op->kind == BN_OP_NORM_MATMUL || op->kind == BN_OP_NORM_QKV || op->kind == BN_OP_NORM_GATE_UP;
    return fused && !quantises_itself(target, op) ? quantised_bytes(op) + op->rows * sizeof(struct bn_row_scale) : 0;
}

uint32_t bn_lower(const struct bn_lower_target *target, const struct bn_op *op, uint32_t index,
                  const struct bn_span *slot, const struct bn_span *temporary, struct bn_dispatch *list)
{
    const struct lowering lowering = {target, op, index, *slot, *temporary};
    return table[op->kind](&lowering, list);
}
