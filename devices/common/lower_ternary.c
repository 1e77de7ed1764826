// Products with ternary matrices. These kernels share them: "ternary" for BitNet's own, one scale per tensor and int8 activations;
// "ternary_tiled", the same for many rows; "ternary_fused", which also norms and quantises its row; "ternary_scaled" and
// "ternary_scaled_tiled" for everything else.
#include "devices/common/lower_impl.h"

enum { MODE_SHIFT = 4, REACH_SHIFT = 8 };                 // in the flags of "ternary_scaled"
enum { BATCH = 4, BATCH_OF_PLANES = 2, TILED_FROM = 16 }; // rows of activations that share weights

// How an op is lowered.
struct ternary {
    uint32_t mode;
    bool fused;  // the op norms and quantises its input
    bool scaled; // with "ternary_scaled"
};

static struct ternary ternary_of(const struct bn_op *op)
{
    struct ternary t = {MODE_MATMUL, false, bn_op_planes(op) == 2};
    t.fused = op->kind == BN_OP_NORM_MATMUL || op->kind == BN_OP_NORM_QKV || op->kind == BN_OP_NORM_GATE_UP;
    if (op->kind == BN_OP_QKV || op->kind == BN_OP_NORM_QKV)
        t.mode = MODE_QKV;
    else if (op->kind == BN_OP_GATE_UP || op->kind == BN_OP_NORM_GATE_UP)
        t.mode = MODE_GATE_UP;
    for (int i = 0; i < 3; i++)
        t.scaled = t.scaled || op->w[i].scales.buffer;
    t.scaled = t.scaled || (op->kind == BN_OP_QKV && op->norm.buffer); // norms of heads need whole heads
    return t;
}

// Whether the kernel may quantise: one row, and it fits the memory of a group, with some 2 KiB for sums. On a CPU that
// plays a GPU the barriers of that kernel cost more than the dispatch that they save, unless the matrix is small.
static bool quantises_itself(const struct bn_lower_target *target, const struct bn_op *op)
{
    enum { SOFTWARE_BYTES = 128 << 10, FOR_SUMS = 2048 };
    bool small = op->w[0].data.size <= SOFTWARE_BYTES || !target->software;
    return small && op->rows == 1 && bn_padded_cols(op->cols) + FOR_SUMS <= target->shared_bytes;
}

// Groups of four weight rows.
static uint32_t row_groups(const struct bn_op *op, uint32_t mode)
{
    if (mode == MODE_QKV)
        return (op->w[0].rows + op->w[1].rows + op->w[2].rows) / 4;
    return mode == MODE_GATE_UP ? (op->w[0].rows + 1) / 2 : (op->w[0].rows + 3) / 4;
}

// The int8 rows of a fused op that needs them outside of groups, and their scales behind.
static uint64_t quantised_bytes(const struct bn_op *op)
{
    return (uint64_t)op->rows * bn_padded_cols(op->cols);
}

// K, and as much again for V: f32, before norms of heads, RoPE and the KV pool.
static uint64_t k_bytes(const struct bn_op *op)
{
    return (uint64_t)op->rows * op->w[1].rows * sizeof(float);
}

uint32_t bn_lower_activation(const struct bn_op *op)
{
    return op->activation == BN_OP_SILU ? FLAG_SILU : op->activation == BN_OP_GELU ? FLAG_GELU : 0;
}

static uint32_t flags_of(const struct bn_op *op, const struct ternary *t)
{
    return (op->in3.buffer ? FLAG_ADD : 0) | (t->mode == MODE_GATE_UP ? bn_lower_activation(op) : 0);
}

static struct bn_dispatch *begin_product(const struct lowering *l, struct bn_dispatch *list, enum bn_kernel kernel,
                                         const struct ternary *t, uint32_t batch)
{
    uint32_t lanes = l->target->whole_rows && !t->scaled ? 1 : LANES;
    uint64_t x = groups_of(row_groups(l->op, t->mode), bn_lower_threads(l->target, kernel) / lanes);
    struct bn_dispatch *d = bn_lower_begin(l, list, kernel, x, groups_of(l->op->rows, batch));
    d->constants[1] = lanes;
    return d;
}

// Whether a kernel for many rows is right for these. On a CPU that plays a GPU shared memory is as far away as any.
static bool many_rows(const struct lowering *l)
{
    return !l->target->software && l->op->rows >= TILED_FROM;
}

// `x` and `scales`: the quantised rows, or the floats and the norm for "ternary_fused".
static void add_plain(const struct lowering *l, struct bn_dispatch *list, enum bn_kernel kernel,
                      const struct ternary *t, const struct bn_span *x, const struct bn_span *scales)
{
    enum { SOFTWARE_FUSED_GROUPS = 8 }; // a CPU repeats the norm for each of its threads, and some more for balance
    const struct bn_op *op = l->op;
    uint32_t batch = op->rows > 1 ? BATCH : 1;
    bool tiled = kernel == BN_KERNEL_TERNARY_TILED;
    struct bn_dispatch *d = begin_product(l, list, kernel, t, tiled ? LANES * batch : batch);
    d->constants[2] = t->mode;
    d->constants[3] = bn_padded_cols(op->cols);
    d->constants[4] = op->cols;
    d->constants[5] = batch;
    if (kernel == BN_KERNEL_TERNARY_FUSED && l->target->software && d->x > SOFTWARE_FUSED_GROUPS)
        d->x = SOFTWARE_FUSED_GROUPS;
    SPANS(d, &l->slot, x, scales, &op->w[0].data, &op->w[1].data, &op->w[2].data, &op->out,
          t->mode == MODE_QKV ? &op->kv : &op->in3, &op->rope);
    WORDS(d, l->index, op->w[0].rows, flags_of(op, t) | (op->norm.buffer ? FLAG_NORM : 0));
    WORDS(d, bits_of(op->w[0].scale), bits_of(op->w[1].scale), bits_of(op->w[2].scale));
    WORDS(d, packed_heads(op), packed_place(op), t->mode == MODE_QKV ? page_bytes(op) / 4 : 0, bits_of(op->eps));
}

// What a scale of the matrix reaches: 0 all of it, 1 a row, or 16 << code columns of a row.
static uint32_t reach_code(const struct bn_weight *w)
{
    switch (w->scales.buffer ? w->layout : BN_LAYOUT_I2S_A) {
    case BN_LAYOUT_I2S_A_ROW:
        return 1;
    case BN_LAYOUT_I2S_A_G64:
        return 2;
    case BN_LAYOUT_I2S_A_G128:
        return 3;
    case BN_LAYOUT_I2S_A_G256:
        return 4;
    default:
        return 0;
    }
}

static void add_scaled(const struct lowering *l, struct bn_dispatch *list, const struct ternary *t,
                       const struct bn_span *second, const struct bn_span *third)
{
    const struct bn_op *op = l->op;
    uint32_t planes = bn_op_planes(op), batch = op->rows == 1 ? 1 : planes == 2 ? BATCH_OF_PLANES : BATCH;
    bool tiled = l->target->scaled_tiled && many_rows(l);
    enum bn_kernel kernel = tiled ? BN_KERNEL_TERNARY_SCALED_TILED : BN_KERNEL_TERNARY_SCALED;
    struct bn_dispatch *d = begin_product(l, list, kernel, t, tiled ? LANES * batch : batch);
    uint32_t flags = flags_of(op, t) | t->mode << MODE_SHIFT;
    d->constants[2] = batch;
    d->constants[3] = planes;
    for (uint32_t i = 0; i < 3; i++) {
        flags |= reach_code(&op->w[i]) << (REACH_SHIFT + 4 * i);
        d->constants[4] |= reach_code(&op->w[i]) > 1;
    }
    SPANS(d, &l->slot, &op->in, &op->in2, &op->w[0].data, &op->w[1].data, &op->w[2].data, &op->w[0].scales,
          &op->w[1].scales, &op->w[2].scales, &op->out, second, third);
    WORDS(d, l->index, op->w[0].rows, op->w[1].rows, op->cols, flags);
    WORDS(d, bits_of(op->w[0].scale), bits_of(op->w[1].scale), bits_of(op->w[2].scale));
}

uint32_t bn_lower_ternary(const struct lowering *l, struct bn_dispatch *list)
{
    const struct bn_op *op = l->op;
    const struct ternary t = ternary_of(op);
    if (t.scaled && t.mode == MODE_QKV) {
        struct bn_span k = l->temporary, v = part_of(&k, k_bytes(op));
        add_scaled(l, &list[0], &t, &k, &v);
        bn_lower_append(l, &list[1], &op->out, &k, &v);
        return 2;
    }
    if (t.scaled) {
        const struct bn_span none = {NULL, 0, 0};
        add_scaled(l, &list[0], &t, &op->in3, &none);
        return 1;
    }
    enum bn_kernel rows_kernel = l->target->tiled && many_rows(l) ? BN_KERNEL_TERNARY_TILED : BN_KERNEL_TERNARY;
    if (t.fused && quantises_itself(l->target, op)) {
        add_plain(l, &list[0], BN_KERNEL_TERNARY_FUSED, &t, &op->in, &op->norm);
        return 1;
    }
    if (!t.fused) {
        add_plain(l, &list[0], rows_kernel, &t, &op->in, &op->in2);
        return 1;
    }
    struct bn_span q = l->temporary, scales = part_of(&q, quantised_bytes(op));
    bn_lower_quantise(l, &list[0], &q, &scales);
    add_plain(l, &list[1], rows_kernel, &t, &q, &scales);
    return 2;
}

uint64_t bn_lower_ternary_temporary(const struct bn_lower_target *target, const struct bn_op *op)
{
    const struct ternary t = ternary_of(op);
    if (t.fused && !quantises_itself(target, op))
        return quantised_bytes(op) + op->rows * sizeof(struct bn_row_scale);
    return t.scaled && t.mode == MODE_QKV ? 2 * k_bytes(op) : 0;
}
