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

// An op that multiplies the quantised activations.
static struct bn_op *add_multiply(struct builder *builder, enum bn_op_kind kind, uint32_t cols)
{
    struct bn_op *op = add(builder, kind, cols);
    op->in = builder->config->activations.quantised;
    op->in2 = builder->config->activations.scales;
    return op;
}

static void add_residual(struct builder *builder, const struct bn_weight *w)
{
    struct bn_op *op = add_multiply(builder, BN_OP_MATMUL, w->cols);
    op->w[0] = *w;
    op->in3 = op->out = builder->config->activations.x;
}

static void add_layer(struct builder *builder, uint32_t layer)
{
    const struct bn_plan_config *config = builder->config;
    const struct bn_activations *a = &config->activations;
    const struct bn_placed_layer *w = &config->placement->layers[layer];
    uint32_t n_embd = config->model->info.n_embd;

    add_quantise(builder, &a->x, &w->attn_norm, n_embd);
    struct bn_op *op = add_multiply(builder, BN_OP_QKV, n_embd);
    op->w[0] = w->q;
    op->w[1] = w->k;
    op->w[2] = w->v;
    op->out = a->q;
    op->kv = config->kv;
    op->rope = config->rope;
    op->layer = layer;
    op = add(builder, BN_OP_ATTENTION, w->o.cols);
    op->in = a->q;
    op->out = a->attended;
    op->kv = config->kv;
    op->layer = layer;
    add_quantise(builder, &a->attended, &w->attn_sub_norm, w->o.cols);
    add_residual(builder, &w->o);

    add_quantise(builder, &a->x, &w->ffn_norm, n_embd);
    op = add_multiply(builder, BN_OP_GATE_UP, n_embd);
    op->w[0] = w->gate;
    op->w[1] = w->up;
    op->out = a->hidden;
    add_quantise(builder, &a->hidden, &w->ffn_sub_norm, w->down.cols);
    add_residual(builder, &w->down);
}

void bn_plan_build(const struct bn_plan_config *config, uint32_t rows, uint32_t outputs, struct bn_op *ops)
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
        return;
    builder.rows = outputs < BN_TOP_OUTPUTS ? outputs : BN_TOP_OUTPUTS;
    op = add(&builder, BN_OP_TOP, n_embd);
    op->w[0] = placement->head;
    op->in = config->activations.final;
    op->in2 = config->scan->rows;
    op->in3 = config->scan->info;
    op->out = config->activations.tops;
    op->out2 = config->activations.logits;
}
