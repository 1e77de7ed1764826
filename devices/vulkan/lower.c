#include "devices/vulkan/lower.h"

#include <math.h>
#include <string.h>

enum { MAX_GROUPS = 65535, WORDS_LIMIT = INT32_MAX };
enum { FLAG_ADD = 1, FLAG_SILU = 2, FLAG_NORM = 4 };      // of ternary.comp
enum { MODE_MATMUL = 0, MODE_GATE_UP = 1, MODE_QKV = 2 }; // its MODE
enum { LANES = 8, BATCH = 4 }; // invocations that share a row; rows of activations that share weights

// Invocations of a workgroup: on a GPU, and on a CPU that plays one, where each barrier is expensive. Those that quantise have
// the same number, so that a row has the same bits in every batch.
static const struct {
    uint32_t gpu, software;
} threads[SHADER_COUNT] = {
    [SHADER_COPY] = {64, 64},         [SHADER_KV_COPY] = {64, 64},  [SHADER_EMBED] = {64, 64},
    [SHADER_QUANTISE] = {64, 8},      [SHADER_NORM] = {128, 8},     [SHADER_TERNARY] = {64, 8},
    [SHADER_TERNARY_FUSED] = {64, 8}, [SHADER_ATTENTION] = {64, 8}, [SHADER_HEAD] = {64, 8},
    [SHADER_TOP_QUANTISE] = {128, 8}, [SHADER_TOP_SCAN] = {64, 8},  [SHADER_TOP_SELECT] = {128, 32},
    [SHADER_TOP_RESCORE] = {64, 8},
};

static uint32_t threads_of(const struct device *device, enum shader shader)
{
    return device->adapter.info.kind == BN_DEVICE_CPU ? threads[shader].software : threads[shader].gpu;
}

static uint32_t groups(uint64_t items, uint32_t per_group)
{
    uint64_t n = (items + per_group - 1) / per_group;
    return n < 1 ? 1 : n > MAX_GROUPS ? MAX_GROUPS : (uint32_t)n; // the shaders go round if there are too few
}

static struct dispatch *begin(const struct device *device, struct dispatch *dispatch, enum shader shader, uint32_t x,
                              uint32_t y)
{
    memset(dispatch, 0, sizeof(*dispatch));
    dispatch->shader = shader;
    dispatch->constants[0] = threads_of(device, shader);
    dispatch->x = x;
    dispatch->y = y;
    return dispatch;
}

// Push constants in the order of the shader's block: addresses first, so that nothing needs padding.
static void push_bytes(struct dispatch *dispatch, const void *data, uint32_t bytes)
{
    memcpy(dispatch->push + dispatch->push_bytes, data, bytes);
    dispatch->push_bytes += bytes;
}

static void push_address(struct dispatch *dispatch, VkDeviceAddress address)
{
    push_bytes(dispatch, &address, sizeof(address));
}

static void push_span(struct dispatch *dispatch, const struct bn_span *span)
{
    push_address(dispatch, bn_vulkan_address(span));
}

static void push_u32(struct dispatch *dispatch, uint32_t value)
{
    push_bytes(dispatch, &value, sizeof(value));
}

static void push_f32(struct dispatch *dispatch, float value)
{
    push_bytes(dispatch, &value, sizeof(value));
}

static uint32_t layout_constant(enum bn_layout layout)
{
    return layout == BN_LAYOUT_F32 ? 0 : layout == BN_LAYOUT_F16 ? 1 : 2;
}

static uint32_t page_bytes(const struct bn_op *op)
{
    return (uint32_t)bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim);
}

struct lowering {
    const struct device *device;
    const struct bn_op *op;
    uint32_t index;
    VkDeviceAddress slot, temporary;
};

static uint32_t lower_embed(const struct lowering *l, struct dispatch *list)
{
    struct dispatch *d = begin(l->device, list, SHADER_EMBED, groups(l->op->rows, 1), 1);
    d->constants[1] = layout_constant(l->op->w[0].layout);
    push_address(d, l->slot);
    push_span(d, &l->op->w[0].data);
    push_span(d, &l->op->out);
    push_u32(d, l->index);
    push_u32(d, l->op->cols);
    return 1;
}

static void add_quantise(const struct lowering *l, struct dispatch *list, VkDeviceAddress out, VkDeviceAddress scales)
{
    struct dispatch *d = begin(l->device, list, SHADER_QUANTISE, groups(l->op->rows, 1), 1);
    push_address(d, l->slot);
    push_span(d, &l->op->in);
    push_span(d, &l->op->norm);
    push_address(d, out);
    push_address(d, scales);
    push_u32(d, l->index);
    push_u32(d, l->op->cols);
    push_u32(d, l->op->norm.buffer != NULL);
    push_f32(d, l->op->eps);
}

static uint32_t lower_quantise(const struct lowering *l, struct dispatch *list)
{
    add_quantise(l, list, bn_vulkan_address(&l->op->out), bn_vulkan_address(&l->op->out2));
    return 1;
}

static uint32_t lower_norm(const struct lowering *l, struct dispatch *list)
{
    struct dispatch *d = begin(l->device, list, SHADER_NORM, groups(l->op->rows, 1), 1);
    push_address(d, l->slot);
    push_span(d, &l->op->in);
    push_span(d, &l->op->norm);
    push_span(d, &l->op->out);
    push_u32(d, l->index);
    push_u32(d, l->op->cols);
    push_f32(d, l->op->eps);
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

// Whether the shader may quantise: one row, and it fits the memory of a workgroup, with some 2 KiB for sums. On a CPU that
// plays a GPU the barriers of that shader cost more than the dispatch that they save, unless the matrix is small.
static bool quantises_itself(const struct device *device, const struct bn_op *op)
{
    enum { SOFTWARE_BYTES = 128 << 10 };
    bool small = op->w[0].data.size <= SOFTWARE_BYTES || device->adapter.info.kind != BN_DEVICE_CPU;
    return small && op->rows == 1 &&
           bn_padded_cols(op->cols) + 2048 <= device->adapter.properties.limits.maxComputeSharedMemorySize;
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

static void push_ternary(const struct lowering *l, struct dispatch *d, const struct ternary *t)
{
    const struct bn_op *op = l->op;
    for (int i = 0; i < 3; i++)
        push_span(d, &op->w[i].data);
    push_span(d, &op->out);
    push_span(d, t->mode == MODE_QKV ? &op->kv : &op->in3);
    push_span(d, &op->rope);
    push_u32(d, l->index);
    push_u32(d, op->w[0].rows);
    push_u32(d, (op->in3.buffer ? FLAG_ADD : 0u) | (op->norm.buffer ? FLAG_NORM : 0u) |
                    (t->mode == MODE_GATE_UP && op->activation == BN_OP_SILU ? FLAG_SILU : 0u));
    for (int i = 0; i < 3; i++)
        push_f32(d, op->w[i].scale);
    push_u32(d, op->heads | op->kv_heads << 16);
    push_u32(d, op->head_dim | (op->rope_order == BN_ROPE_PAIRS ? 0x8000u : 0u) | op->layer << 16);
    push_u32(d, t->mode == MODE_QKV ? page_bytes(op) / 4 : 0);
    push_f32(d, op->eps);
}

static uint32_t lower_ternary(const struct lowering *l, struct dispatch *list)
{
    enum { SOFTWARE_FUSED_GROUPS = 8 }; // a CPU repeats the norm for each of its threads, and some more for balance
    const struct bn_op *op = l->op;
    struct ternary t = ternary_of(op);
    bool fused = t.fused && quantises_itself(l->device, op), software = l->device->adapter.info.kind == BN_DEVICE_CPU;
    uint32_t n = 0;
    if (t.fused && !fused)
        add_quantise(l, &list[n++], l->temporary, l->temporary + quantised_bytes(op));
    enum shader shader = fused ? SHADER_TERNARY_FUSED : SHADER_TERNARY;
    uint32_t x = groups(row_groups(op, t.mode), threads_of(l->device, shader) / LANES);
    x = fused && software && x > SOFTWARE_FUSED_GROUPS ? SOFTWARE_FUSED_GROUPS : x;
    uint32_t batch = op->rows > 1 ? BATCH : 1;
    struct dispatch *d = begin(l->device, &list[n++], shader, x, groups(op->rows, batch));
    d->constants[1] = LANES;
    d->constants[2] = t.mode;
    d->constants[3] = bn_padded_cols(op->cols);
    d->constants[4] = op->cols;
    d->constants[5] = batch;
    push_address(d, l->slot);
    push_address(d, t.fused && !fused ? l->temporary : bn_vulkan_address(&op->in));
    push_address(d, fused     ? bn_vulkan_address(&op->norm)
                    : t.fused ? l->temporary + quantised_bytes(op)
                              : bn_vulkan_address(&op->in2));
    push_ternary(l, d, &t);
    return n;
}

static uint32_t lower_attention(const struct lowering *l, struct dispatch *list)
{
    const struct bn_op *op = l->op;
    struct dispatch *d = begin(l->device, list, SHADER_ATTENTION, groups(op->heads, 1), groups(op->rows, 1));
    d->constants[1] = op->head_dim;
    push_address(d, l->slot);
    push_span(d, &op->in);
    push_span(d, &op->out);
    push_span(d, &op->kv);
    push_span(d, &op->kv);
    push_u32(d, l->index);
    push_u32(d, op->heads);
    push_u32(d, op->kv_heads);
    push_u32(d, op->layer);
    push_u32(d, page_bytes(op) / 16);
    push_f32(d, 1.0f / sqrtf((float)op->head_dim));
    return 1;
}

static struct dispatch *add_head(const struct lowering *l, struct dispatch *list, bool of_top)
{
    const struct bn_op *op = l->op;
    uint32_t in_group = threads_of(l->device, SHADER_HEAD) / LANES;
    struct dispatch *d = begin(l->device, list, SHADER_HEAD, groups(op->w[0].rows, in_group), groups(op->rows, 1));
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    d->constants[3] = of_top;
    push_address(d, l->slot);
    push_span(d, &op->w[0].data);
    push_span(d, &op->in);
    push_span(d, of_top ? &op->out2 : &op->out);
    push_span(d, &op->out);
    push_u32(d, l->index);
    push_u32(d, op->w[0].rows);
    push_u32(d, op->cols);
    push_u32(d, sizeof(struct bn_top) / 4);
    return d;
}

static uint32_t lower_head(const struct lowering *l, struct dispatch *list)
{
    add_head(l, list, false);
    return 1;
}

static uint64_t top_words(const struct bn_op *op)
{
    return 16 + op->cols / 2 + ((uint64_t)op->w[0].rows + 3) / 4 * 4; // of one output: see top.glsl
}

static struct dispatch *add_top(const struct lowering *l, struct dispatch *list, enum shader shader, uint32_t x,
                                uint32_t y)
{
    const struct bn_op *op = l->op;
    struct dispatch *d = begin(l->device, list, shader, x, y);
    d->constants[1] = LANES;
    d->constants[2] = layout_constant(op->w[0].layout);
    push_address(d, l->slot);
    push_address(d, l->temporary);
    push_span(d, &op->in);
    push_span(d, &op->in2);
    push_span(d, &op->in3);
    push_span(d, &op->out);
    push_span(d, &op->w[0].data);
    push_u32(d, l->index);
    push_u32(d, op->w[0].rows);
    push_u32(d, op->cols);
    push_u32(d, sizeof(struct bn_top) / 4);
    return d;
}

static uint32_t lower_top(const struct lowering *l, struct dispatch *list)
{
    enum { RESCORE_GROUPS = 64 };
    uint32_t in_group = threads_of(l->device, SHADER_TOP_SCAN) / LANES;
    add_top(l, &list[0], SHADER_TOP_QUANTISE, l->op->rows, 1);
    add_top(l, &list[1], SHADER_TOP_SCAN, groups(l->op->w[0].rows, in_group), 1);
    add_top(l, &list[2], SHADER_TOP_SELECT, l->op->rows, 1);
    add_top(l, &list[3], SHADER_TOP_RESCORE, RESCORE_GROUPS, l->op->rows);
    add_head(l, &list[4], true);
    return 5;
}

static uint32_t lower_kv_copy(const struct lowering *l, struct dispatch *list)
{
    uint32_t quads = page_bytes(l->op) / 16;
    struct dispatch *d =
        begin(l->device, list, SHADER_KV_COPY, groups(quads, 4 * threads_of(l->device, SHADER_KV_COPY)), 1);
    push_address(d, l->slot);
    push_span(d, &l->op->kv);
    push_u32(d, l->index);
    push_u32(d, quads);
    return 1;
}

static uint32_t lower_copy(const struct lowering *l, struct dispatch *list)
{
    uint32_t bytes = (uint32_t)l->op->in.size;
    struct dispatch *d =
        begin(l->device, list, SHADER_COPY, groups(bytes / 4, 4 * threads_of(l->device, SHADER_COPY)), 1);
    push_address(d, l->slot);
    push_span(d, &l->op->in);
    push_span(d, &l->op->out);
    push_u32(d, l->index);
    push_u32(d, bytes);
    return 1;
}

static uint32_t (*const table[BN_OP_COUNT])(const struct lowering *l, struct dispatch *list) = {
    [BN_OP_EMBED] = lower_embed,      [BN_OP_QUANTISE] = lower_quantise,
    [BN_OP_MATMUL] = lower_ternary,   [BN_OP_QKV] = lower_ternary,
    [BN_OP_GATE_UP] = lower_ternary,  [BN_OP_ATTENTION] = lower_attention,
    [BN_OP_NORM] = lower_norm,        [BN_OP_HEAD] = lower_head,
    [BN_OP_TOP] = lower_top,          [BN_OP_KV_COPY] = lower_kv_copy,
    [BN_OP_COPY] = lower_copy,        [BN_OP_NORM_MATMUL] = lower_ternary,
    [BN_OP_NORM_QKV] = lower_ternary, [BN_OP_NORM_GATE_UP] = lower_ternary,
};

enum bn_result bn_vulkan_check(const struct device *device, const struct bn_op *op, struct bn_error *err)
{
    const struct bn_span *spans[] = {&op->in, &op->in2,  &op->in3,       &op->out,       &op->out2,
                                     &op->kv, &op->norm, &op->w[0].data, &op->w[1].data, &op->w[2].data};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (!spans[i]->buffer)
            continue;
        if (op->kind != BN_OP_COPY && bn_vulkan_address(spans[i]) % 16)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->base.info.id, bn_op_name(op->kind), UINT64_MAX,
                              "operands of this device begin at multiples of 16 bytes");
        if (spans[i]->size / 4 > WORDS_LIMIT)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->base.info.id, bn_op_name(op->kind), UINT64_MAX,
                              "operands of this device have at most 8 GiB");
    }
    return BN_OK;
}

uint64_t bn_vulkan_temporary(const struct device *device, const struct bn_op *op)
{
    if (op->kind == BN_OP_TOP)
        return op->rows * top_words(op) * sizeof(uint32_t);
    bool fused = op->kind == BN_OP_NORM_MATMUL || op->kind == BN_OP_NORM_QKV || op->kind == BN_OP_NORM_GATE_UP;
    return fused && !quantises_itself(device, op) ? quantised_bytes(op) + op->rows * sizeof(struct bn_row_scale) : 0;
}

uint32_t bn_vulkan_lower(const struct device *device, const struct bn_op *op, uint32_t index, VkDeviceAddress slot,
                         VkDeviceAddress temporary, struct dispatch *list)
{
    const struct lowering lowering = {device, op, index, slot, temporary};
    return table[op->kind](&lowering, list);
}
