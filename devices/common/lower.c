#include "devices/common/lower_impl.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"

enum { MAX_GROUPS = 65535, WORDS_LIMIT = INT32_MAX };

// Work-items of a group: on a GPU, and on a CPU that plays one, where each barrier is expensive. Those that quantise have
// the same number, so that a row has the same bits in every batch.
static const struct {
    uint32_t gpu, software;
} threads[BN_KERNEL_COUNT] = {
    [BN_KERNEL_COPY] = {64, 64},          [BN_KERNEL_KV_COPY] = {64, 64},
    [BN_KERNEL_EMBED] = {64, 64},         [BN_KERNEL_QUANTISE] = {64, 8},
    [BN_KERNEL_NORM] = {128, 8},          [BN_KERNEL_ROW_NORM] = {128, 8},
    [BN_KERNEL_ACTIVATE] = {64, 8},       [BN_KERNEL_ROTATE] = {128, 8},
    [BN_KERNEL_APPEND] = {32, 8},         [BN_KERNEL_TERNARY] = {64, 8},
    [BN_KERNEL_TERNARY_FUSED] = {64, 8},  [BN_KERNEL_TERNARY_SCALED] = {64, 8},
    [BN_KERNEL_TERNARY_TILED] = {128, 8}, [BN_KERNEL_TERNARY_SCALED_TILED] = {128, 8},
    [BN_KERNEL_ATTENTION] = {64, 8},      [BN_KERNEL_ATTENTION_JOIN] = {64, 8},
    [BN_KERNEL_HEAD] = {64, 8},           [BN_KERNEL_TOP_QUANTISE] = {128, 8},
    [BN_KERNEL_TOP_SCAN] = {64, 8},       [BN_KERNEL_TOP_SELECT] = {128, 32},
    [BN_KERNEL_TOP_RESCORE] = {64, 8},
};

uint32_t bn_lower_threads(const struct bn_lower_target *target, enum bn_kernel kernel)
{
    return target->software ? threads[kernel].software : threads[kernel].gpu;
}

struct bn_dispatch *bn_lower_begin(const struct lowering *l, struct bn_dispatch *dispatch, enum bn_kernel kernel,
                                   uint64_t x, uint64_t y)
{
    memset(dispatch, 0, sizeof(*dispatch));
    dispatch->kernel = kernel;
    dispatch->constants[0] = bn_lower_threads(l->target, kernel);
    dispatch->x = x < MAX_GROUPS ? (uint32_t)x : MAX_GROUPS;
    dispatch->y = y < MAX_GROUPS ? (uint32_t)y : MAX_GROUPS;
    return dispatch;
}

static uint32_t layout_constant(enum bn_layout layout)
{
    return layout == BN_LAYOUT_F32 ? LAYOUT_F32 : layout == BN_LAYOUT_F16 ? LAYOUT_F16 : LAYOUT_BF16;
}

static uint32_t lower_embed(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_EMBED, op->rows, 1);
    d->constants[1] = layout_constant(op->w[0].layout);
    SPANS(d, &l->slot, &op->w[0].data, &op->out);
    WORDS(d, l->index, op->cols, bits_of(op->scale));
    return 1;
}

void bn_lower_quantise(const struct lowering *l, struct bn_dispatch *dispatch, const struct bn_span *out,
                       const struct bn_span *scales)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, dispatch, BN_KERNEL_QUANTISE, op->rows, 1);
    d->constants[1] = bn_op_planes(op);
    SPANS(d, &l->slot, &op->in, &op->norm, out, scales);
    WORDS(d, l->index, op->cols, op->norm.buffer != NULL, bits_of(op->eps));
}

static uint32_t lower_quantise(const struct lowering *l, struct bn_dispatch *list)
{
    bn_lower_quantise(l, list, &l->op->out, &l->op->out2);
    return 1;
}

static uint32_t lower_norm(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_NORM, op->rows, 1);
    SPANS(d, &l->slot, &op->in, &op->norm, &op->out);
    WORDS(d, l->index, op->cols, bits_of(op->eps));
    return 1;
}

static uint32_t lower_norm_rows(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_ROW_NORM, op->rows, 1);
    SPANS(d, &l->slot, &op->in, &op->norm, &op->in3, &op->out);
    WORDS(d, l->index, op->cols, op->in3.buffer != NULL, bits_of(op->eps));
    return 1;
}

static uint32_t lower_activate(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    uint32_t per_group = 4 * bn_lower_threads(l->target, BN_KERNEL_ACTIVATE); // elements
    struct bn_dispatch *d =
        bn_lower_begin(l, list, BN_KERNEL_ACTIVATE, groups_of((uint64_t)op->rows * op->cols, per_group), 1);
    d->constants[1] = bn_lower_activation(op);
    SPANS(d, &l->slot, &op->in, &op->in2, &op->out);
    WORDS(d, l->index, op->cols);
    return 1;
}

static uint32_t lower_rotate(const struct lowering *l, struct bn_dispatch *list)
{
    enum { BEFORE = 1, AFTER = 2, OF_OUTPUTS = 4 };
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_ROTATE, op->cols / op->block, op->rows);
    d->constants[1] = op->block;
    SPANS(d, &l->slot, &op->in, &op->norm, &op->norm2, &op->out);
    WORDS(d, l->index, op->cols,
          (op->norm.buffer ? BEFORE : 0u) | (op->norm2.buffer ? AFTER : 0u) | (op->of_outputs ? OF_OUTPUTS : 0u),
          bits_of(1.0f / sqrtf((float)op->block)));
    return 1;
}

void bn_lower_append(const struct lowering *l, struct bn_dispatch *dispatch, const struct bn_span *q,
                     const struct bn_span *k, const struct bn_span *v)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d =
        bn_lower_begin(l, dispatch, BN_KERNEL_APPEND, (uint64_t)op->heads + 2 * (uint64_t)op->kv_heads, op->rows);
    SPANS(d, &l->slot, q, k, v, &op->out, &op->kv, &op->norm, &op->norm2, &op->rope);
    WORDS(d, l->index, packed_heads(op), packed_place(op), page_bytes(op) / 4, op->norm.buffer != NULL,
          bits_of(op->eps));
}

static uint32_t lower_append(const struct lowering *l, struct bn_dispatch *list)
{
    bn_lower_append(l, list, &l->op->in, &l->op->in2, &l->op->in3);
    return 1;
}

// Groups that share a row and head. Without many rows the heads alone do not fill a GPU; a CPU has fewer threads than heads.
static uint32_t splits_of(const struct bn_lower_target *target, const struct bn_op *op)
{
    enum { FEW_ROWS = 8, PER_SPLIT = 256, MOST_SPLITS = 16, LEAST_SPLITS = 4 };
    uint32_t splits = op->positions / PER_SPLIT < MOST_SPLITS ? op->positions / PER_SPLIT : MOST_SPLITS;
    bool wanted = target->splits && !target->software && op->rows <= FEW_ROWS && splits >= LEAST_SPLITS;
    return wanted ? splits : 1;
}

static uint64_t attention_temporary(const struct bn_lower_target *target, const struct bn_op *op)
{
    uint64_t splits = splits_of(target, op), part = op->head_dim + 4; // see attention.comp
    return splits > 1 ? op->rows * splits * op->heads * part * sizeof(float) : 0;
}

static uint32_t lower_attention(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    uint32_t splits = splits_of(l->target, op);
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_ATTENTION, (uint64_t)op->heads * splits, op->rows);
    d->constants[1] = op->head_dim;
    d->constants[2] = splits;
    SPANS(d, &l->slot, &op->in, splits > 1 ? &l->temporary : &op->out, &op->kv, &op->kv);
    WORDS(d, l->index, op->heads, op->kv_heads, op->layer, page_bytes(op) / 16, op->window);
    WORDS(d, bits_of(1.0f / sqrtf((float)op->head_dim)));
    if (splits == 1)
        return 1;
    d = bn_lower_begin(l, &list[1], BN_KERNEL_ATTENTION_JOIN, op->heads, op->rows);
    d->constants[1] = op->head_dim;
    d->constants[2] = splits;
    SPANS(d, &l->slot, &l->temporary, &op->out);
    WORDS(d, l->index, op->heads);
    return 2;
}

static void add_head(const struct lowering *l, struct bn_dispatch *list, bool of_top)
{
    const struct bn_op *op = l->op;
    uint32_t in_group = bn_lower_threads(l->target, BN_KERNEL_HEAD) / LANES;
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_HEAD, groups_of(op->w[0].rows, in_group), op->rows);
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    d->constants[3] = of_top;
    SPANS(d, &l->slot, &op->w[0].data, &op->in, of_top ? &op->out2 : &op->out, &op->out);
    WORDS(d, l->index, op->w[0].rows, op->cols, sizeof(struct bn_top) / 4);
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

static void add_top(const struct lowering *l, struct bn_dispatch *list, enum bn_kernel kernel, uint64_t x, uint64_t y)
{
    const struct bn_op *op = l->op;
    struct bn_dispatch *d = bn_lower_begin(l, list, kernel, x, y);
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    SPANS(d, &l->slot, &l->temporary, &op->in, &op->in2, &op->in3, &op->out, &op->w[0].data);
    WORDS(d, l->index, op->w[0].rows, op->cols, sizeof(struct bn_top) / 4);
}

static uint32_t lower_top(const struct lowering *l, struct bn_dispatch *list)
{
    enum { RESCORE_GROUPS = 64 };
    uint32_t in_group = bn_lower_threads(l->target, BN_KERNEL_TOP_SCAN) / LANES;
    add_top(l, &list[0], BN_KERNEL_TOP_QUANTISE, l->op->rows, 1);
    add_top(l, &list[1], BN_KERNEL_TOP_SCAN, groups_of(l->op->w[0].rows, in_group), 1);
    add_top(l, &list[2], BN_KERNEL_TOP_SELECT, l->op->rows, 1);
    add_top(l, &list[3], BN_KERNEL_TOP_RESCORE, RESCORE_GROUPS, l->op->rows);
    add_head(l, &list[4], true);
    return 5;
}

static uint32_t lower_kv_copy(const struct lowering *l, struct bn_dispatch *list)
{
    uint32_t quads = page_bytes(l->op) / 16, per_group = 4 * bn_lower_threads(l->target, BN_KERNEL_KV_COPY);
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_KV_COPY, groups_of(quads, per_group), 1);
    SPANS(d, &l->slot, &l->op->kv);
    WORDS(d, l->index, quads);
    return 1;
}

static uint32_t lower_copy(const struct lowering *l, struct bn_dispatch *list)
{
    uint32_t bytes = (uint32_t)l->op->in.size, per_group = 4 * bn_lower_threads(l->target, BN_KERNEL_COPY);
    struct bn_dispatch *d = bn_lower_begin(l, list, BN_KERNEL_COPY, groups_of(bytes / 4 + 1, per_group), 1);
    SPANS(d, &l->slot, &l->op->in, &l->op->out);
    WORDS(d, l->index, bytes);
    return 1;
}

static uint32_t (*const table[BN_OP_COUNT])(const struct lowering *l, struct bn_dispatch *list) = {
    [BN_OP_EMBED] = lower_embed,
    [BN_OP_QUANTISE] = lower_quantise,
    [BN_OP_MATMUL] = bn_lower_ternary,
    [BN_OP_QKV] = bn_lower_ternary,
    [BN_OP_ATTENTION] = lower_attention,
    [BN_OP_GATE_UP] = bn_lower_ternary,
    [BN_OP_NORM] = lower_norm,
    [BN_OP_HEAD] = lower_head,
    [BN_OP_TOP] = lower_top,
    [BN_OP_KV_COPY] = lower_kv_copy,
    [BN_OP_COPY] = lower_copy,
    [BN_OP_QUANTISE16] = lower_quantise,
    [BN_OP_NORM_ROWS] = lower_norm_rows,
    [BN_OP_APPEND] = lower_append,
    [BN_OP_ACTIVATE] = lower_activate,
    [BN_OP_ROTATE] = lower_rotate,
    [BN_OP_NORM_MATMUL] = bn_lower_ternary,
    [BN_OP_NORM_QKV] = bn_lower_ternary,
    [BN_OP_NORM_GATE_UP] = bn_lower_ternary,
};

bool bn_lower_supports(enum bn_op_kind kind, enum bn_layout layout, bool fused)
{
    switch (kind) {
    case BN_OP_EMBED:
    case BN_OP_HEAD:
    case BN_OP_TOP:
        return layout == BN_LAYOUT_F32 || layout == BN_LAYOUT_F16 || layout == BN_LAYOUT_BF16;
    case BN_OP_MATMUL:
    case BN_OP_QKV:
    case BN_OP_GATE_UP:
        return layout == BN_LAYOUT_I2S_A || (layout >= BN_LAYOUT_I2S_A_ROW && layout <= BN_LAYOUT_I2S_A_G64);
    case BN_OP_NORM_MATMUL:
    case BN_OP_NORM_QKV:
    case BN_OP_NORM_GATE_UP:
        return fused && layout == BN_LAYOUT_I2S_A;
    default:
        return layout == BN_LAYOUT_COUNT && kind < BN_OP_COUNT;
    }
}

enum bn_result bn_lower_check(const struct bn_lower_target *target, const struct bn_op *op, struct bn_error *err)
{
    const struct bn_span *spans[] = {&op->in,          &op->in2,        &op->in3,       &op->out,
                                     &op->out2,        &op->kv,         &op->norm,      &op->norm2,
                                     &op->w[0].data,   &op->w[1].data,  &op->w[2].data, &op->w[0].scales,
                                     &op->w[1].scales, &op->w[2].scales};
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
    if (op->kind == BN_OP_ROTATE && op->block * sizeof(float) > target->shared_bytes)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, target->id, bn_op_name(op->kind), UINT64_MAX,
                          "blocks of more columns than the memory of a group holds");
    return BN_OK;
}

uint64_t bn_lower_temporary(const struct bn_lower_target *target, const struct bn_op *op)
{
    if (op->kind == BN_OP_TOP)
        return op->rows * top_words(op) * sizeof(uint32_t);
    if (op->kind == BN_OP_ATTENTION)
        return attention_temporary(target, op);
    return table[op->kind] == bn_lower_ternary ? bn_lower_ternary_temporary(target, op) : 0;
}

uint32_t bn_lower(const struct bn_lower_target *target, const struct bn_op *op, uint32_t index,
                  const struct bn_span *slot, const struct bn_span *temporary, struct bn_dispatch *list)
{
    const struct lowering lowering = {target, op, index, *slot, *temporary};
    return table[op->kind](&lowering, list);
}
