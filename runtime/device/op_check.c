#include "runtime/device/op_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "runtime/base/fail.h"
#include "runtime/device/live.h"
#include "runtime/layout/layout.h"

enum {
    MAX_ROWS = 1 << 20,
    MAX_COLS = 1 << 20,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 512,
    MAX_LAYERS = 4096,
    MAX_COLS_2 = 1 << 16
};

// How large an operand must be.
enum extent {
    EXTENT__,
    EXTENT_ANY,
    EXTENT_SAME_AS_IN,
    EXTENT_COLS, // f32 [cols]
    EXTENT_OPT_COLS,
    EXTENT_OPT_HEAD,  // f32 [head_dim]
    EXTENT_ROWS_COLS, // f32 [rows][cols]
    EXTENT_OPT_ROWS_COLS,
    EXTENT_ROWS_COLS_I8, // rows and planes of bn_padded_cols
    EXTENT_ROWS_SCALE,   // bn_row_scale [rows][planes]
    EXTENT_ROWS_W0,      // f32 [rows][w[0].rows]
    EXTENT_OPT_ROWS_W0,
    EXTENT_ROWS_HEADS, // f32 [rows][heads * head_dim]
    EXTENT_ROWS_KV,    // f32 [rows][kv_heads * head_dim]
    EXTENT_W0_COLS_I8, // int8 [w[0].rows][cols]
    EXTENT_W0_SCAN,    // bn_scan_row [w[0].rows]
    EXTENT_ROWS_TOP,   // bn_top [rows]
    EXTENT_PAGES,      // one KV page or more
    EXTENT_ROPE,       // f32 [positions][head_dim / 2][2]
};

enum { OPERANDS = 9 };
static const char *const operand_names[OPERANDS] = {"in", "in2", "in3", "out", "out2", "norm", "norm2", "kv", "rope"};

static const struct {
    const char *name;
    int weights;
    enum bn_layout_class kind;
    enum extent extents[OPERANDS];
} table[BN_OP_COUNT] = {
#define BN_OP(kind, name, weights, class, a, b, c, d, e, f, g, h, i)                                                   \
    [BN_OP_##kind] = {                                                                                                 \
        name,                                                                                                          \
        weights,                                                                                                       \
        BN_LAYOUT_##class,                                                                                             \
        {EXTENT_##a, EXTENT_##b, EXTENT_##c, EXTENT_##d, EXTENT_##e, EXTENT_##f, EXTENT_##g, EXTENT_##h, EXTENT_##i}},
#include "runtime/device/ops.inl"
#undef BN_OP
};

const char *bn_op_name(enum bn_op_kind kind)
{
    return (size_t)kind < BN_OP_COUNT ? table[kind].name : "?";
}

struct check {
    struct bn_device *device;
    const struct bn_op *op;
    size_t index;
    struct bn_error *err;
};

static enum bn_result wrong(const struct check *check, enum bn_result code, const char *operand, const char *reason)
{
    const struct bn_device_info *info = &check->device->info;
    char subject[96], device[sizeof(info->id) + sizeof(info->driver) + 1];
    snprintf(subject, sizeof(subject), "op %zu %s %s", check->index, bn_op_name(check->op->kind), operand);
    snprintf(device, sizeof(device), "%s/%s", info->id, info->driver);
    return bn_fail_at(check->err, code, device, subject, UINT64_MAX, "%s", reason);
}

// Bytes the operand must have. Dimensions were bounded before, so nothing overflows.
static uint64_t needed(const struct bn_op *op, enum extent extent)
{
    uint64_t rows = op->rows, f32 = sizeof(float), planes = bn_op_planes(op);
    switch (extent) {
    case EXTENT_SAME_AS_IN:
        return op->in.size;
    case EXTENT_COLS:
    case EXTENT_OPT_COLS:
        return op->cols * f32;
    case EXTENT_OPT_HEAD:
        return op->head_dim * f32;
    case EXTENT_ROWS_COLS:
    case EXTENT_OPT_ROWS_COLS:
        return rows * op->cols * f32;
    case EXTENT_ROWS_COLS_I8:
        return rows * planes * bn_padded_cols(op->cols);
    case EXTENT_ROWS_SCALE:
        return rows * planes * sizeof(struct bn_row_scale);
    case EXTENT_ROWS_W0:
    case EXTENT_OPT_ROWS_W0:
        return rows * op->w[0].rows * f32;
    case EXTENT_ROWS_HEADS:
        return rows * op->heads * op->head_dim * f32;
    case EXTENT_ROWS_KV:
        return rows * op->kv_heads * op->head_dim * f32;
    case EXTENT_W0_COLS_I8:
        return (uint64_t)op->w[0].rows * op->cols;
    case EXTENT_W0_SCAN:
        return op->w[0].rows * sizeof(struct bn_scan_row);
    case EXTENT_ROWS_TOP:
        return rows * sizeof(struct bn_top);
    case EXTENT_PAGES:
        return bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
    case EXTENT_ROPE:
        return (uint64_t)op->positions * op->head_dim * f32;
    default:
        return 0;
    }
}

static bool may_be_absent(enum extent extent)
{
    return extent == EXTENT__ || extent == EXTENT_OPT_COLS || extent == EXTENT_OPT_ROWS_W0 ||
           extent == EXTENT_OPT_ROWS_COLS || extent == EXTENT_OPT_HEAD;
}

static enum bn_result check_span(const struct check *check, const char *name, const struct bn_span *span,
                                 uint64_t bytes)
{
    if (!bn_live_has(check->device, span->buffer))
        return wrong(check, BN_ERR_ARGUMENT, name, "no such buffer: destroyed, or of another device");
    if (span->offset > span->buffer->size || span->size > span->buffer->size - span->offset)
        return wrong(check, BN_ERR_ARGUMENT, name, "the span lies outside its buffer");
    if (span->offset % sizeof(float))
        return wrong(check, BN_ERR_ARGUMENT, name, "the span's offset is not a multiple of 4");
    if (span->size < bytes)
        return wrong(check, BN_ERR_ARGUMENT, name, "the span is smaller than the op's rows and columns need");
    return BN_OK;
}

static enum bn_result check_operands(const struct check *check)
{
    const struct bn_op *op = check->op;
    const struct bn_span *spans[OPERANDS] = {&op->in,   &op->in2,   &op->in3, &op->out, &op->out2,
                                             &op->norm, &op->norm2, &op->kv,  &op->rope};
    for (int i = 0; i < OPERANDS; i++) {
        enum extent extent = table[op->kind].extents[i];
        if (!spans[i]->buffer) {
            if (!may_be_absent(extent))
                return wrong(check, BN_ERR_ARGUMENT, operand_names[i], "the operand is missing");
            continue;
        }
        if (extent == EXTENT__)
            return wrong(check, BN_ERR_ARGUMENT, operand_names[i], "this op has no such operand");
        enum bn_result result = check_span(check, operand_names[i], spans[i], needed(op, extent));
        if (result != BN_OK)
            return result;
    }
    return BN_OK;
}

static enum bn_result check_weight(const struct check *check, int i)
{
    static const char *const names[] = {"w[0]", "w[1]", "w[2]"};
    const struct bn_op *op = check->op;
    const struct bn_weight *w = &op->w[i];
    if (i >= table[op->kind].weights)
        return w->data.buffer ? wrong(check, BN_ERR_ARGUMENT, names[i], "this op has no such weight") : BN_OK;
    const struct bn_layout_info *layout = bn_layout_get(w->layout);
    if (!w->data.buffer || !layout)
        return wrong(check, BN_ERR_ARGUMENT, names[i], "the weight is missing");
    if (w->cols != op->cols)
        return wrong(check, BN_ERR_ARGUMENT, names[i], "the weight's columns differ from the op's");
    if (w->rows == 0 || w->rows > MAX_COLS)
        return wrong(check, BN_ERR_ARGUMENT, names[i], "the weight's rows are out of range");
    uint64_t bytes = bn_layout_bytes(w->layout, w->rows, w->cols);
    if (bytes == 0 || w->data.size != bytes)
        return wrong(check, BN_ERR_ARGUMENT, names[i], "the weight's bytes do not fit its layout and shape");
    uint64_t scales = w->rows * bn_layout_scales(w->layout, w->cols) * sizeof(float);
    if (scales != w->scales.size || (scales && !w->scales.buffer))
        return wrong(check, BN_ERR_ARGUMENT, names[i], "the weight's scales do not fit its layout and shape");
    if (scales) {
        enum bn_result result = check_span(check, names[i], &w->scales, scales);
        if (result != BN_OK)
            return result;
    }
    bool other = table[op->kind].kind == BN_LAYOUT_TERNARY && layout->kind != BN_LAYOUT_TERNARY;
    if (other || !check->device->driver->supports(check->device, op->kind, w->layout))
        return wrong(check, BN_ERR_UNSUPPORTED, names[i], "the device has no kernel for this layout");
    return check_span(check, names[i], &w->data, bytes);
}

static enum bn_result check_shape(const struct check *check)
{
    const struct bn_op *op = check->op;
    bool no_cols = op->kind == BN_OP_COPY || op->kind == BN_OP_KV_COPY;
    if (op->rows == 0 || op->rows > MAX_ROWS || (op->cols == 0 && !no_cols) || op->cols > MAX_COLS)
        return wrong(check, BN_ERR_ARGUMENT, "rows", "rows or columns are out of range");
    bool quantises = op->kind == BN_OP_QUANTISE || op->kind == BN_OP_QUANTISE16;
    if (op->cols % (table[op->kind].kind == BN_LAYOUT_TERNARY || quantises ? 64 : 16))
        return wrong(check, BN_ERR_ARGUMENT, "cols", "columns must be a multiple of 64 (ternary) or 16");
    if (op->planes > 2 || (op->kind == BN_OP_QUANTISE16) != (quantises && op->planes == 2))
        return wrong(check, BN_ERR_ARGUMENT, "planes", "must be 0, 1 or 2, and fit the kind");
    if (op->planes == 2 && op->cols > MAX_COLS_2) // 32639 * cols must fit an int32
        return wrong(check, BN_ERR_UNSUPPORTED, "cols", "at most 65536 columns with two planes");
    bool whole = op->block > 1 && (op->block & (op->block - 1)) == 0 && op->cols % op->block == 0;
    if (op->kind == BN_OP_ROTATE && !whole)
        return wrong(check, BN_ERR_ARGUMENT, "block", "must be a power of 2 that divides the columns");
    bool is_qkv = op->kind == BN_OP_QKV || op->kind == BN_OP_NORM_QKV;
    bool attends = is_qkv || op->kind == BN_OP_ATTENTION || op->kind == BN_OP_KV_COPY || op->kind == BN_OP_APPEND;
    if (!attends)
        return BN_OK;
    if (op->heads == 0 || op->heads > MAX_HEADS || op->kv_heads == 0 || op->heads % op->kv_heads)
        return wrong(check, BN_ERR_ARGUMENT, "heads", "heads must be a multiple of kv_heads");
    if (op->head_dim == 0 || op->head_dim % 16 || op->head_dim > MAX_HEAD_DIM)
        return wrong(check, BN_ERR_ARGUMENT, "head_dim", "must be a multiple of 16, at most 512");
    if (op->n_layers == 0 || op->n_layers > MAX_LAYERS || op->layer >= op->n_layers)
        return wrong(check, BN_ERR_ARGUMENT, "layer", "out of range");
    if (op->positions == 0)
        return wrong(check, BN_ERR_ARGUMENT, "positions", "must not be 0");
    if (op->kv_type > BN_KV_INT8)
        return wrong(check, BN_ERR_ARGUMENT, "kv_type", "no such type");
    if (is_qkv && (op->w[0].rows != op->heads * op->head_dim || op->w[1].rows != op->kv_heads * op->head_dim ||
                   op->w[2].rows != op->w[1].rows))
        return wrong(check, BN_ERR_ARGUMENT, "w", "the rows of q, k and v do not fit the heads");
    return BN_OK;
}

// What the op asks for beyond its kind, and what the device must be able to do then.
static enum bn_result check_options(const struct check *check)
{
    const struct bn_op *op = check->op;
    const struct {
        const char *name;
        uint32_t option;
        bool wanted;
    } options[] = {
        {"planes", BN_OP_WITH_PLANES, op->planes == 2},
        {"window", BN_OP_WITH_WINDOW, op->kind == BN_OP_ATTENTION && op->window},
        {"norm2", BN_OP_WITH_HEAD_NORM, op->kind != BN_OP_ROTATE && op->norm2.buffer},
        {"activation", BN_OP_WITH_GELU,
         (op->kind == BN_OP_GATE_UP || op->kind == BN_OP_NORM_GATE_UP || op->kind == BN_OP_ACTIVATE) &&
             op->activation == BN_OP_GELU},
        {"scale", BN_OP_WITH_SCALE, op->kind == BN_OP_EMBED && op->scale != 0},
        {"kv_type int8", BN_OP_WITH_INT8_KV, op->kv.buffer && op->kv_type == BN_KV_INT8},
    };
    struct bn_caps caps = {0};
    check->device->driver->caps(check->device, &caps);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (options[i].wanted && !(caps.op_options & options[i].option))
            return wrong(check, BN_ERR_UNSUPPORTED, options[i].name, "the device does not run ops with it");
    return BN_OK;
}

enum bn_result bn_op_check(struct bn_device *device, const struct bn_op *op, size_t index, struct bn_error *err)
{
    const struct check check = {device, op, index, err};
    if ((size_t)op->kind >= BN_OP_COUNT)
        return wrong(&check, BN_ERR_ARGUMENT, "kind", "no such op");
    enum bn_result result = check_shape(&check);
    for (int i = 0; i < 3 && result == BN_OK; i++)
        result = check_weight(&check, i);
    if (result != BN_OK)
        return result;
    if (op->kind == BN_OP_TOP && op->rows > BN_TOP_OUTPUTS)
        return wrong(&check, BN_ERR_ARGUMENT, "rows", "at most 8 outputs");
    bool gates = op->kind == BN_OP_GATE_UP || op->kind == BN_OP_NORM_GATE_UP;
    if (gates && op->w[0].rows != op->w[1].rows)
        return wrong(&check, BN_ERR_ARGUMENT, "w", "gate and up differ in rows");
    bool activates = gates || op->kind == BN_OP_ACTIVATE;
    if (activates && (op->activation < BN_OP_RELU2 || op->activation > BN_OP_GELU))
        return wrong(&check, BN_ERR_ARGUMENT, "activation", "no such activation");
    if ((op->kind == BN_OP_QKV || op->kind == BN_OP_APPEND) && !op->norm.buffer != !op->norm2.buffer)
        return wrong(&check, BN_ERR_ARGUMENT, "norm2", "the heads of q and k are both normed or neither");
    result = check_options(&check);
    if (result != BN_OK)
        return result;
    if (table[op->kind].weights == 0 && !device->driver->supports(device, op->kind, BN_LAYOUT_COUNT))
        return wrong(&check, BN_ERR_UNSUPPORTED, "kind", "the device does not run this op");
    return check_operands(&check);
}
