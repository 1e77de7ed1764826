#include "runtime/graph/plan.h"

#include <string.h>

enum { OPS_PER_LAYER = 9, OPS_OF_POST_NORMS = 2, OPS_OF_INPUT_NORMS = 10, OPS_OF_ROTATIONS = 6, OPS_AROUND = 4 };

struct builder {
    const struct bn_plan_config *config;
    uint32_t rows;
    struct bn_op *ops;
    size_t n;
};

size_t bn_plan_size(const struct bn_plan_config *config)
{
    const struct bn_layer *layer = &config->model->layers[0]; // all have the same parts
    size_t per_layer = OPS_PER_LAYER + (layer->post_ffw_norm ? OPS_OF_POST_NORMS : 0) +
                       (layer->attn_q_norm_in ? OPS_OF_INPUT_NORMS : 0) +
                       (config->model->hadamard.block ? OPS_OF_ROTATIONS : 0);
    size_t around = OPS_AROUND + (config->model->hadamard.block ? 2 : 0);
    if (config->model->pools_last) // it ends with the norm
        return around - 1 + per_layer * config->model->info.n_layer;
    return around + (config->scan->rows.buffer != NULL) + per_layer * config->model->info.n_layer;
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
    op->kv_type = builder->config->kv_type;
    return op;
}

static void add_quantise(struct builder *builder, const struct bn_span *in, const struct bn_span *norm, uint32_t cols)
{
    bool wide = builder->config->model->planes == 2;
    struct bn_op *op = add(builder, wide ? BN_OP_QUANTISE16 : BN_OP_QUANTISE, cols);
    op->planes = builder->config->model->planes;
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
    uint32_t planes = builder->config->model->planes;
    bool fused = builder->rows == 1 && planes == 1 &&
                 !(kind == BN_OP_QKV && builder->config->placement->layers[0].q_norm.buffer);
    for (int i = 0; i < n; i++)
        fused = fused && bn_device_supports(builder->config->device, fused_kind(kind), w[i]->layout);
    if (!fused)
        add_quantise(builder, in, norm, w[0]->cols);
    struct bn_op *op = add(builder, fused ? fused_kind(kind) : kind, w[0]->cols);
    op->planes = planes;
    op->in = fused ? *in : a->quantised;
    if (fused)
        op->norm = *norm;
    else
        op->in2 = a->scales;
    for (int i = 0; i < n; i++)
        op->w[i] = *w[i];
    return op;
}

static struct bn_op *add_matmul(struct builder *builder, const struct bn_span *in, const struct bn_span *norm,
                                const struct bn_weight *w, const struct bn_span *out)
{
    struct bn_op *op = add_multiply(builder, BN_OP_MATMUL, in, norm, &w, 1);
    op->out = *out;
    return op;
}

// out = norm of in, plus `residual` if it is not NULL.
static void add_norm(struct builder *builder, const struct bn_span *in, const struct bn_span *norm,
                     const struct bn_span *residual, const struct bn_span *out)
{
    struct bn_op *op = add(builder, BN_OP_NORM_ROWS, builder->config->model->info.n_embd);
    op->in = *in;
    op->norm = *norm;
    op->out = *out;
    if (residual)
        op->in3 = *residual;
}

// x = H(signs * x), or inversely signs * H(x).
static struct bn_op *add_rotation(struct builder *builder, const struct bn_span *x, uint32_t cols, bool inverse)
{
    const struct bn_hadamard *hadamard = &builder->config->model->hadamard;
    const struct bn_tensor *signs = bn_hadamard_signs(hadamard, cols);
    struct bn_op *op = add(builder, BN_OP_ROTATE, cols);
    op->in = op->out = *x;
    op->block = hadamard->block;
    if (signs)
        *(inverse ? &op->norm2 : &op->norm) = builder->config->placement->signs[signs - hadamard->signs];
    return op;
}

// What a folded matrix multiplies in place of the residual stream: that, normed and rotated, and no norm any more.
static void fold_input(struct builder *builder, const struct bn_tensor *w, const struct bn_span **in,
                       const struct bn_span **norm)
{
    static const struct bn_span none;
    const struct bn_activations *a = &builder->config->activations;
    if (!w->folded)
        return;
    add_norm(builder, *in, *norm, NULL, &a->normed);
    add_rotation(builder, &a->normed, w->cols, false);
    *in = &a->normed;
    *norm = &none;
}

// The matrix that ends a half of a layer, and what it adds to the residual stream.
static void add_residual(struct builder *builder, const struct bn_span *in, const struct bn_span *norm,
                         const struct bn_weight *w, const struct bn_span *post_norm)
{
    const struct bn_activations *a = &builder->config->activations;
    struct bn_op *op = add_matmul(builder, in, norm, w, post_norm->buffer ? &a->normed : &a->x);
    if (post_norm->buffer)
        add_norm(builder, &a->normed, post_norm, &a->x, &a->x);
    else
        op->in3 = a->x;
}

static void set_attention(struct builder *builder, struct bn_op *op, uint32_t layer)
{
    const struct bn_plan_config *config = builder->config;
    bool local = bn_layer_is_local(config->model, layer);
    op->kv = config->kv;
    op->layer = layer;
    if (op->kind == BN_OP_ATTENTION) {
        op->window = local ? config->model->window : 0;
        return;
    }
    op->rope = local ? config->local_rope : config->rope;
    if (op->kind == BN_OP_NORM_QKV) // whose norm is that of its input; there are none of heads
        return;
    op->norm = config->placement->layers[layer].q_norm;
    op->norm2 = config->placement->layers[layer].k_norm;
}

static void add_attention(struct builder *builder, uint32_t layer)
{
    const struct bn_plan_config *config = builder->config;
    const struct bn_activations *a = &config->activations;
    const struct bn_placed_layer *w = &config->placement->layers[layer];
    const struct bn_layer *layer_of = &config->model->layers[layer];
    const struct bn_weight *qkv[] = {&w->q, &w->k, &w->v};
    const struct bn_span *in = &a->x, *norm = &w->attn_norm;
    struct bn_op *op;
    if (w->q_in_norm.buffer) { // with a norm of its own before each matrix, nothing can be shared
        add_norm(builder, &a->x, &w->attn_norm, NULL, &a->normed);
        add_matmul(builder, &a->normed, &w->q_in_norm, &w->q, &a->q);
        add_matmul(builder, &a->normed, &w->k_in_norm, &w->k, &a->k);
        add_matmul(builder, &a->normed, &w->v_in_norm, &w->v, &a->v);
        op = add(builder, BN_OP_APPEND, w->q.rows);
        op->in = a->q;
        op->in2 = a->k;
        op->in3 = a->v;
    } else {
        fold_input(builder, layer_of->attn_q, &in, &norm);
        op = add_multiply(builder, BN_OP_QKV, in, norm, qkv, 3);
    }
    op->out = a->q;
    set_attention(builder, op, layer);
    op = add(builder, BN_OP_ATTENTION, w->o.cols);
    op->in = a->q;
    op->out = a->attended;
    set_attention(builder, op, layer);
    if (layer_of->attn_output->folded)
        add_rotation(builder, &a->attended, w->o.cols, false);
    add_residual(builder, &a->attended, w->o_in_norm.buffer ? &w->o_in_norm : &w->attn_sub_norm, &w->o,
                 &w->attn_post_norm);
}

static void add_feed_forward(struct builder *builder, uint32_t layer)
{
    const struct bn_activations *a = &builder->config->activations;
    const struct bn_placed_layer *w = &builder->config->placement->layers[layer];
    const struct bn_layer *layer_of = &builder->config->model->layers[layer];
    const struct bn_weight *gate_up[] = {&w->gate, &w->up};
    const struct bn_span *in = &a->x, *norm = &w->ffn_norm;
    struct bn_op *op;
    if (w->gate_in_norm.buffer) {
        add_norm(builder, &a->x, &w->ffn_norm, NULL, &a->normed);
        add_matmul(builder, &a->normed, &w->gate_in_norm, &w->gate, &a->hidden);
        add_matmul(builder, &a->normed, &w->up_in_norm, &w->up, &a->up);
        op = add(builder, BN_OP_ACTIVATE, w->gate.rows);
        op->in = a->hidden;
        op->in2 = a->up;
    } else {
        fold_input(builder, layer_of->ffn_gate, &in, &norm);
        op = add_multiply(builder, BN_OP_GATE_UP, in, norm, gate_up, 2);
    }
    op->out = a->hidden;
    if (layer_of->ffn_down->folded)
        add_rotation(builder, &a->hidden, w->down.cols, false);
    add_residual(builder, &a->hidden, w->down_in_norm.buffer ? &w->down_in_norm : &w->ffn_sub_norm, &w->down,
                 &w->ffn_post_norm);
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
    op->scale = config->model->embed_scale == 1 ? 0 : config->model->embed_scale;
    if (config->model->token_embd->latent)
        add_rotation(&builder, &config->activations.x, n_embd, true);
    for (uint32_t layer = 0; layer < config->model->info.n_layer; layer++) {
        add_attention(&builder, layer);
        add_feed_forward(&builder, layer);
    }
    builder.rows = outputs;
    op = add(&builder, BN_OP_NORM, n_embd);
    op->in = config->activations.x;
    op->norm = placement->output_norm;
    op->out = config->activations.final;
    if (config->model->pools_last)
        return builder.n;
    if (config->model->output->folded)
        add_rotation(&builder, &config->activations.final, n_embd, false)->of_outputs = true;
    op = add(&builder, BN_OP_HEAD, n_embd);
    op->w[0] = placement->head;
    op->in = config->activations.final;
    op->out = config->activations.logits;
    if (!config->scan->rows.buffer)
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
