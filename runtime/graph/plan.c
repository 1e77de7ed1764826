#include "runtime/graph/plan.h"

#include <string.h>

enum { OPS_PER_LAYER = 9, OPS_AROUND = 4 };

struct builder {
    const struct bn_plan_config *config;
    uint32_t rows;
    struct bn_op *ops;
    size_t n;
};

size_t bn_plan_size(const struct bn_plan_config *config)
{
    return OPS_AROUND + (config->scan->buffer != NULL) + (size_t)OPS_PER_LAYER * config->model->info.n_layer;
}

static struct bn_op *add(struct builder *builder, enum bn_op_kind kind, uint32_t cols)
{
    const struct bn_model_info *info = &builder->config->model->info;
    struct bn_op *op = &builder->ops[builder->n++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    op->rows = builder->rows;
    op->cols = cols;
    op->eps = info->norm_eps;
    op->activation = builder->config->model->activation;
    op->rope_order = builder->config->model->rope_order;
    op->heads = info->n_head;
    op->kv_heads = info->n_head_kv;
    op->head_dim = info->head_dim;
    op->n_layers = info->n_layer;
    op->positions = builder->config->positions;
    return op;
}

static void add_quantise(struct builder *builder, const struct bn_span *in, const struct bn_span *norm, uint32_t cols)
{
    struct bn_op *op = add(builder, BN_OP_QUANTISE, cols);
    op->in = *in;
    op->norm = *norm;
    op->out = builder->config->activations.quantised;
    op->out2 = builder->config->activations.scales;
}

// What a ternary op is called when it quantises its input itself.
static enum bn_op_kind fused_kind(enum bn_op_kind kind)
{
    return kind == BN_OP_MATMUL ? BN_OP_NORM_MATMUL : kind == BN_OP_QKV ? BN_OP_NORM_QKV : BN_OP_NORM_GATE_UP;
}

// An op that multiplies `in`, normed and quantised, by n matrices: one op where the device has it and there is one row, so that
// the norm is cheap to repeat; else two.
static struct bn_op *add_multiply(struct builder *builder, enum bn_op_kind kind, const struct bn_span *in,
                                  const struct bn_span *norm, const struct bn_weight *const *w, int n)
{
    const struct bn_activations *a = &builder->config->activations;
    bool fused = builder->rows == 1;
    for (int i = 0; i < n; i++)
        fused = fused && bn_device_supports(builder->config->device, fused_kind(kind), w[i]->layout);
    if (!fused)
        add_quantise(builder, in, norm, w[0]->cols);
    struct bn_op *op = add(builder, fused ? fused_kind(kind) : kind, w[0]->cols);
    op->in = fused ? *in : a->quantised;
    if (fused)
        op->norm = *norm;
    else
        op->in2 = a->scales;
    for (int i = 0; i < n; i++)
        op->w[i] = *w[i];
    return op;
}

static void add_residual(struct builder *builder, const struct bn_span *in, const struct bn_span *norm,
                         const struct bn_weight *w)
{
    struct bn_op *op = add_multiply(builder, BN_OP_MATMUL, in, norm, &w, 1);
    op->in3 = op->out = builder->config->activations.x;
}

static void add_layer(struct builder *builder, uint32_t layer)
{
    const struct bn_plan_config *config = builder->config;
    const struct bn_activations *a = &config->activations;
    const struct bn_placed_layer *w = &config->placement->layers[layer];

    const struct bn_weight *qkv[] = {&w->q, &w->k, &w->v}, *gate_up[] = {&w->gate, &w->up};
    struct bn_op *op = add_multiply(builder, BN_OP_QKV, &a->x, &w->attn_norm, qkv, 3);
    op->out = a->q;
    op->kv = config->kv;
    op->rope = config->rope;
    op->layer = layer;
    op = add(builder, BN_OP_ATTENTION, w->o.cols);
    op->in = a->q;
    op->out = a->attended;
    op->kv = config->kv;
    op->layer = layer;
    add_residual(builder, &a->attended, &w->attn_sub_norm, &w->o);

    op = add_multiply(builder, BN_OP_GATE_UP, &a->x, &w->ffn_norm, gate_up, 2);
    op->out = a->hidden;
    add_residual(builder, &a->hidden, &w->ffn_sub_norm, &w->down);
}

size_t bn_plan_build(const struct bn_plan_config *config, uint32_t rows, uint32_t outputs, struct bn_op *ops)
{
    struct builder builder = {config, rows, ops, 0};
    const struct bn_placement *placement = config->placement;
    uint32_t n_embd = config->model->info.n_embd;

    struct bn_op *op = add(&builder, BN_OP_KV_COPY, n_embd);
    op->kv = config->kv;
    op = add(&builder, BN_OP_EMBED, n_embd);
    op->w[0] = placement->embed;
    op->out = config->activations.x;
    for (uint32_t layer = 0; layer < config->model->info.n_layer; layer++)
        add_layer(&builder, layer);
    builder.rows = outputs;
    op = add(&builder, BN_OP_NORM, n_embd);
    op->in = config->activations.x;
    op->norm = placement->output_norm;
    op->out = config->activations.final;
    op = add(&builder, BN_OP_HEAD, n_embd);
    op->w[0] = placement->head;
    op->in = config->activations.final;
    op->out = config->activations.logits;
    if (!config->scan->buffer)
        return builder.n;
    builder.rows = outputs < BN_TOP_OUTPUTS ? outputs : BN_TOP_OUTPUTS;
    op = add(&builder, BN_OP_TOP, n_embd);
    op->w[0] = placement->head;
    op->in = config->activations.final;
    op->in2 = config->scan->rows;
    op->in3 = config->scan->info;
    op->out = config->activations.tops;
    op->out2 = config->activations.logits;
    return builder.n;
}
