// Finds the tensors of a model, each checked against the shape that the keys ask for.
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/layout/layout.h"
#include "runtime/model/load.h"

#define NAME_BYTES 48 // "blk.1023.attn_sub_norm.weight" and more

enum features { EMBD, FF, Q, KV, HEAD, PAIRS, VOCAB, ONE };

// The tensors of a layer, in the order in which the graph needs them. `part`: who has them; 0: every model.
#define MEMBER(name) #name, offsetof(struct bn_layer, name)
static const struct {
    const char *name;
    size_t member;
    enum bn_use use;
    enum features rows, cols;
    uint32_t part; // enum bn_part
} layer_tensors[] = {
    {MEMBER(attn_norm), BN_USE_NORM, ONE, EMBD, 0},
    {MEMBER(attn_q), BN_USE_LINEAR, Q, EMBD, 0},
    {MEMBER(attn_k), BN_USE_LINEAR, KV, EMBD, 0},
    {MEMBER(attn_v), BN_USE_LINEAR, KV, EMBD, 0},
    {MEMBER(attn_sub_norm), BN_USE_NORM, ONE, Q, BN_PART_SUB_NORM},
    {MEMBER(attn_output), BN_USE_LINEAR, EMBD, Q, 0},
    {MEMBER(ffn_norm), BN_USE_NORM, ONE, EMBD, 0},
    {MEMBER(ffn_gate), BN_USE_LINEAR, FF, EMBD, 0},
    {MEMBER(ffn_up), BN_USE_LINEAR, FF, EMBD, 0},
    {MEMBER(ffn_sub_norm), BN_USE_NORM, ONE, FF, BN_PART_SUB_NORM},
    {MEMBER(ffn_down), BN_USE_LINEAR, EMBD, FF, 0},
    {MEMBER(attn_q_norm), BN_USE_NORM, ONE, HEAD, BN_PART_HEAD_NORM},
    {MEMBER(attn_k_norm), BN_USE_NORM, ONE, HEAD, BN_PART_HEAD_NORM},
    {MEMBER(post_attention_norm), BN_USE_NORM, ONE, EMBD, BN_PART_POST_NORM},
    {MEMBER(post_ffw_norm), BN_USE_NORM, ONE, EMBD, BN_PART_POST_NORM},
    {MEMBER(attn_q_norm_in), BN_USE_NORM, ONE, EMBD, BN_PART_INPUT_NORM},
    {MEMBER(attn_k_norm_in), BN_USE_NORM, ONE, EMBD, BN_PART_INPUT_NORM},
    {MEMBER(attn_v_norm_in), BN_USE_NORM, ONE, EMBD, BN_PART_INPUT_NORM},
    {MEMBER(attn_output_norm_in), BN_USE_NORM, ONE, Q, BN_PART_INPUT_NORM},
    {MEMBER(ffn_gate_norm_in), BN_USE_NORM, ONE, EMBD, BN_PART_INPUT_NORM},
    {MEMBER(ffn_up_norm_in), BN_USE_NORM, ONE, EMBD, BN_PART_INPUT_NORM},
    {MEMBER(ffn_down_norm_in), BN_USE_NORM, ONE, FF, BN_PART_INPUT_NORM},
};
#define LAYER_TENSORS (sizeof(layer_tensors) / sizeof(layer_tensors[0]))

// Work of this file: the tensors taken so far, of the model and of the file.
struct binder {
    struct bn_load *load;
    bool *used;       // [gguf->n_tensors]
    size_t n_widened; // of model->widened
};

static uint32_t count_of(const struct bn_model_info *info, enum features features)
{
    switch (features) {
    case EMBD:
        return info->n_embd;
    case FF:
        return info->n_ff;
    case Q:
        return info->n_head * info->head_dim;
    case KV:
        return info->n_head_kv * info->head_dim;
    case HEAD:
        return info->head_dim;
    case PAIRS:
        return info->head_dim / 2;
    case VOCAB:
        return info->n_vocab;
    case ONE:
        return 1;
    }
    return 0;
}

static enum bn_result fail_tensor(struct binder *binder, enum bn_result code, const struct bn_gguf_tensor *found,
                                  const char *message)
{
    return bn_gguf_fail(binder->load->gguf, code, &found->name, found->offset, binder->load->err, "%s", message);
}

static enum bn_result choose_order(struct binder *binder)
{
    static const struct {
        const char *name;
        enum bn_layout layout;
    } orders[] = {
        [BN_I2S_A] = {"128/32", BN_LAYOUT_I2S_A},
        [BN_I2S_B] = {"64/16", BN_LAYOUT_I2S_B},
        [BN_I2S_C] = {"1x4", BN_LAYOUT_I2S_C},
    };
    struct bn_load *load = binder->load;
    struct bn_str name = {0};
    enum bn_result result = bn_gguf_get_str(load->gguf, "bitnet.i2s_layout", false, &name, load->err);
    if (result != BN_OK)
        return result;
    enum bn_i2s_order order = load->options.i2s_order;
    for (unsigned i = BN_I2S_A; i <= BN_I2S_C && order == BN_I2S_AUTO; i++) {
        if (name.data ? bn_str_is(name, orders[i].name) : i == BN_I2S_A)
            order = (enum bn_i2s_order)i;
    }
    if (order == BN_I2S_AUTO) {
        const struct bn_gguf_key *key = bn_gguf_find(load->gguf, "bitnet.i2s_layout");
        return bn_gguf_fail(load->gguf, BN_ERR_UNSUPPORTED, &key->name, key->offset, load->err,
                            "is not an order that is known: 128/32, 64/16, 1x4");
    }
    load->i2s = orders[order].layout;
    return BN_OK;
}

static enum bn_result check_shape(struct binder *binder, const struct bn_gguf_tensor *found, uint32_t rows,
                                  uint32_t cols)
{
    if (found->dims[0] == cols && found->dims[1] == rows && found->dims[2] == 1 && found->dims[3] == 1)
        return BN_OK;
    char message[256];
    int n = snprintf(message, sizeof(message), "expected the shape %" PRIu32 "x%" PRIu32 ", found %" PRIu64, cols, rows,
                     found->dims[0]);
    for (uint32_t d = 1; d < 4 && (d < 2 || d < found->n_dims); d++)
        n += snprintf(message + n, sizeof(message) - (size_t)n, "x%" PRIu64, found->dims[d]);
    return fail_tensor(binder, BN_ERR_MODEL, found, message);
}

static enum bn_result check_finite(struct binder *binder, const struct bn_gguf_tensor *found,
                                   const struct bn_tensor *tensor)
{
    for (uint64_t at = 0; at < tensor->bytes; at += sizeof(float)) {
        float weight;
        memcpy(&weight, tensor->data + at, sizeof(weight));
        if (!isfinite(weight))
            return bn_gguf_fail(binder->load->gguf, BN_ERR_MODEL, &found->name, tensor->offset + at, binder->load->err,
                                "a weight is not finite");
    }
    return BN_OK;
}

// Norms in half precision are few, and the ops want them in f32.
static void widen(struct binder *binder, struct bn_tensor *tensor)
{
    float *wide = binder->load->model->widened + binder->n_widened;
    bn_layout_get(tensor->layout)->widen(tensor->data, tensor->cols, 0, wide);
    binder->n_widened += tensor->cols;
    tensor->data = (const uint8_t *)wide;
    tensor->layout = tensor->as = BN_LAYOUT_F32;
    tensor->bytes = bn_layout_bytes(BN_LAYOUT_F32, 1, tensor->cols);
    tensor->widened = true;
}

// Room for all of them: an element takes two bytes of the file, and the reader has seen that tensors do not overlap.
static enum bn_result reserve_widened(struct binder *binder)
{
    struct bn_load *load = binder->load;
    uint64_t n = 0;
    for (uint32_t i = 0; i < load->gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *tensor = &load->gguf->tensors[i];
        bool half = tensor->type == BN_GGUF_TENSOR_F16 || tensor->type == BN_GGUF_TENSOR_BF16;
        if (half && tensor->dims[1] == 1)
            n += tensor->elements;
    }
    if (n == 0)
        return BN_OK;
    load->model->widened = bn_alloc_array(load->model->host, n, sizeof(float));
    return load->model->widened ? BN_OK : bn_fail_memory(load->err, n * sizeof(float), "the norms");
}

// A tensor PREFIX + suffix of one element multiplies the scale of the matrix.
static enum bn_result apply_scale(struct binder *binder, const char *prefix, const char *suffix, bool required,
                                  struct bn_tensor *tensor)
{
    char name[NAME_BYTES];
    struct bn_load *load = binder->load;
    struct bn_tensor scale;
    snprintf(name, sizeof(name), "%s%s", prefix, suffix);
    const struct bn_gguf_tensor *found = bn_gguf_find_tensor(load->gguf, name);
    if (!found && required)
        return bn_fail_at(load->err, BN_ERR_MODEL, load->gguf->file, name, UINT64_MAX, "the tensor is missing");
    if (!found)
        return BN_OK;
    enum bn_result result = check_shape(binder, found, 1, 1);
    if (result == BN_OK)
        result = bn_load_stored(load, found, BN_USE_NORM, &scale);
    if (result == BN_OK && scale.layout != BN_LAYOUT_F32)
        result = fail_tensor(binder, BN_ERR_UNSUPPORTED, found, "only F32 is for scales");
    if (result != BN_OK)
        return result;
    float factor;
    memcpy(&factor, load->gguf->data + found->offset, sizeof(factor));
    tensor->scale *= factor;
    binder->used[found - load->gguf->tensors] = true;
    if (!isfinite(tensor->scale))
        return fail_tensor(binder, BN_ERR_MODEL, found, "the scale is not finite");
    return BN_OK;
}

static enum bn_result apply_scales(struct binder *binder, const char *prefix, struct bn_tensor *tensor)
{
    bool table = tensor->layout == BN_LAYOUT_TL1 || tensor->layout == BN_LAYOUT_TL2; // their scale is never elsewhere
    enum bn_result result = BN_OK;
    if (table)
        result = apply_scale(binder, prefix, ".weight_scale", true, tensor);
    if (result == BN_OK && binder->load->family->scales)
        result = apply_scale(binder, prefix, ".scale", false, tensor);
    return result;
}

// Appends PREFIX.weight to the model's tensors. An absent tensor gives NULL in *out if it need not be there.
static enum bn_result bind(struct binder *binder, const char *prefix, enum bn_use use, enum features rows,
                           enum features cols, bool required, const struct bn_tensor **out)
{
    struct bn_load *load = binder->load;
    struct bn_model *model = load->model;
    *out = NULL;
    struct bn_tensor *tensor = &model->tensors[model->n_tensors];
    char *name = model->names + model->n_tensors * NAME_BYTES;
    snprintf(name, NAME_BYTES, "%s.weight", prefix);
    const struct bn_gguf_tensor *found = bn_gguf_find_tensor(load->gguf, name);
    if (!found && required)
        return bn_fail_at(load->err, BN_ERR_MODEL, load->gguf->file, name, UINT64_MAX, "the tensor is missing");
    if (!found)
        return BN_OK;
    *tensor = (struct bn_tensor){
        .name = name,
        .data = load->gguf->data + found->offset,
        .offset = found->offset,
        .rows = count_of(&model->info, rows),
        .cols = count_of(&model->info, cols),
    };
    enum bn_result result = check_shape(binder, found, tensor->rows, tensor->cols);
    if (result == BN_OK)
        result = bn_load_stored(load, found, use, tensor);
    if (result == BN_OK && use == BN_USE_NORM && tensor->layout != BN_LAYOUT_F32)
        widen(binder, tensor);
    if (result == BN_OK && use == BN_USE_NORM)
        result = check_finite(binder, found, tensor);
    if (result == BN_OK && (use == BN_USE_LINEAR || bn_layout_get(tensor->layout)->kind == BN_LAYOUT_TERNARY))
        result = apply_scales(binder, prefix, tensor);
    if (result != BN_OK)
        return result;
    binder->used[found - load->gguf->tensors] = true;
    model->info.n_params += found->elements;
    model->n_tensors++;
    *out = tensor;
    return BN_OK;
}

static enum bn_result bind_layer(struct binder *binder, uint32_t layer)
{
    unsigned char *members = (unsigned char *)&binder->load->model->layers[layer];
    for (size_t i = 0; i < LAYER_TENSORS; i++) {
        char prefix[NAME_BYTES - 8]; // without ".weight"
        const struct bn_tensor *tensor;
        snprintf(prefix, sizeof(prefix), "blk.%" PRIu32 ".%s", layer, layer_tensors[i].name);
        if ((layer_tensors[i].part & binder->load->parts) != layer_tensors[i].part)
            continue;
        enum bn_result result =
            bind(binder, prefix, layer_tensors[i].use, layer_tensors[i].rows, layer_tensors[i].cols, true, &tensor);
        if (result != BN_OK)
            return result;
        memcpy(members + layer_tensors[i].member, &tensor, sizeof(tensor));
    }
    return BN_OK;
}

// They divide.
static enum bn_result check_frequencies(struct binder *binder)
{
    const struct bn_tensor *tensor = binder->load->model->rope.frequencies;
    for (uint32_t i = 0; tensor && i < tensor->cols; i++) {
        float factor;
        memcpy(&factor, tensor->data + i * sizeof(factor), sizeof(factor));
        if (!(factor >= 0x1p-10f && factor <= 0x1p20f))
            return bn_fail_at(binder->load->err, BN_ERR_MODEL, binder->load->gguf->file, tensor->name, tensor->offset,
                              "a factor of RoPE's frequencies is out of range");
    }
    return BN_OK;
}

// Takes one tensor of the scan copy, whose type and shape must be right; *data is in the file.
static enum bn_result bind_scan_part(struct binder *binder, const char *name, uint32_t type, uint32_t cols,
                                     const uint8_t **data)
{
    struct bn_load *load = binder->load;
    const struct bn_gguf_tensor *found = bn_gguf_find_tensor(load->gguf, name);
    if (!found)
        return bn_fail_at(load->err, BN_ERR_MODEL, load->gguf->file, name, UINT64_MAX, "the tensor is missing");
    enum bn_result result = check_shape(binder, found, load->model->info.n_vocab, cols);
    if (result != BN_OK)
        return result;
    if (found->type != type)
        return fail_tensor(binder, BN_ERR_UNSUPPORTED, found, "a scan copy has rows of I8, and F32 beside them");
    uint64_t bytes = (uint64_t)load->model->info.n_vocab * cols * (type == BN_GGUF_TENSOR_I8 ? 1 : sizeof(float));
    if (found->room < bytes)
        return fail_tensor(binder, BN_ERR_MODEL, found, "the data is shorter than the shape");
    binder->used[found - load->gguf->tensors] = true;
    *data = load->gguf->data + found->offset;
    return BN_OK;
}

// What bitnet-convert --pack puts beside a large head.
static enum bn_result bind_scan(struct binder *binder)
{
    struct bn_model *model = binder->load->model;
    const struct bn_gguf *gguf = binder->load->gguf;
    if (!bn_gguf_find_tensor(gguf, BN_GGUF_SCAN_ROWS) && !bn_gguf_find_tensor(gguf, BN_GGUF_SCAN_INFO))
        return BN_OK;
    enum bn_result result =
        bind_scan_part(binder, BN_GGUF_SCAN_ROWS, BN_GGUF_TENSOR_I8, model->info.n_embd, &model->scan_rows);
    return result == BN_OK ? bind_scan_part(binder, BN_GGUF_SCAN_INFO, BN_GGUF_TENSOR_F32, 3, &model->scan_info)
                           : result;
}

static enum bn_result bind_all(struct binder *binder)
{
    struct bn_model *model = binder->load->model;
    enum bn_result result = bind(binder, "token_embd", BN_USE_EMBEDDING, VOCAB, EMBD, true, &model->token_embd);
    for (uint32_t layer = 0; layer < model->info.n_layer && result == BN_OK; layer++)
        result = bind_layer(binder, layer);
    if (result == BN_OK)
        result = bind(binder, "output_norm", BN_USE_NORM, ONE, EMBD, true, &model->output_norm);
    if (result == BN_OK)
        result = bind(binder, "output", BN_USE_EMBEDDING, VOCAB, EMBD, !binder->load->family->tied, &model->output);
    if (result == BN_OK && !model->output)
        model->output = model->token_embd;
    if (result == BN_OK)
        result = bind(binder, "rope_freqs", BN_USE_NORM, ONE, PAIRS, false, &model->rope.frequencies);
    if (result == BN_OK)
        result = bind_scan(binder);
    return result == BN_OK ? check_frequencies(binder) : result;
}

// A tensor that nothing takes, a bias say, would change the result if it were obeyed.
static enum bn_result check_unused(struct binder *binder)
{
    const struct bn_gguf *gguf = binder->load->gguf;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        if (!binder->used[i])
            return fail_tensor(binder, BN_ERR_UNSUPPORTED, &gguf->tensors[i],
                               "a tensor that models of this architecture and size do not have");
    }
    return BN_OK;
}

// What one decoded token streams: every layer, the head, and one row of the embedding. A large head is scanned.
static uint64_t token_bytes(const struct bn_model *model)
{
    const struct bn_tensor *embd = model->token_embd, *head = model->output;
    uint64_t bytes =
        (head->bytes < BN_SCAN_FROM ? head->bytes : bn_scan_bytes(head->rows, head->cols)) + embd->bytes / embd->rows;
    for (size_t i = 0; i < model->n_tensors; i++) {
        if (&model->tensors[i] != model->output && &model->tensors[i] != embd)
            bytes += model->tensors[i].bytes;
    }
    return bytes;
}

static enum bn_result check_vocab_size(struct bn_load *load)
{
    char name[64];
    uint32_t size = load->model->info.n_vocab;
    snprintf(name, sizeof(name), "%s.vocab_size", load->family->name);
    enum bn_result result = bn_gguf_get_u32(load->gguf, name, false, &size, load->err);
    if (result == BN_OK && size != load->model->info.n_vocab) {
        const struct bn_gguf_key *key = bn_gguf_find(load->gguf, name);
        result =
            bn_gguf_fail(load->gguf, BN_ERR_MODEL, &key->name, key->offset, load->err,
                         "%" PRIu32 ", but the vocabulary has %" PRIu32 " tokens", size, load->model->info.n_vocab);
    }
    return result;
}

enum bn_result bn_load_tensors(struct bn_load *load)
{
    struct bn_model *model = load->model;
    struct binder binder = {.load = load};
    size_t most = 4 + LAYER_TENSORS * model->info.n_layer;
    enum bn_result result = check_vocab_size(load);
    if (result == BN_OK)
        result = choose_order(&binder);
    if (result != BN_OK)
        return result;
    model->tensors = bn_alloc_array(model->host, most, sizeof(*model->tensors));
    model->names = bn_alloc_array(model->host, most, NAME_BYTES);
    model->layers = bn_alloc_array(model->host, model->info.n_layer, sizeof(*model->layers));
    binder.used = bn_alloc_array(model->host, load->gguf->n_tensors, sizeof(*binder.used));
    if (!model->tensors || !model->names || !model->layers || !binder.used)
        result = bn_fail_memory(load->err, most * (sizeof(*model->tensors) + NAME_BYTES), "the tensors of a model");
    if (result == BN_OK)
        result = reserve_widened(&binder);
    if (result == BN_OK)
        result = bind_all(&binder);
    if (result == BN_OK)
        result = check_unused(&binder);
    if (result == BN_OK)
        result = bn_load_hadamard(load);
    if (result == BN_OK)
        model->info.token_bytes = token_bytes(model);
    bn_free(model->host, binder.used);
    return result;
}
