// Which family a file is of, and what its keys say. A key that this file does not know is refused: it might change
// what the model computes.
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/load.h"

#define KEY_BYTES BN_KEY_BYTES

#define BN_FAMILY(...) {__VA_ARGS__},
static const struct bn_family families[] = {
#include "runtime/model/arch.inl"
};
#undef BN_FAMILY

#define BN_FAMILY(name, ...) ", " name
static const char known_families[] =
#include "runtime/model/arch.inl"
    ;
#undef BN_FAMILY

// Families that are known, and why they are not run.
static const struct {
    const char *name, *reason;
} refused[] = {
    {"qwen35", "layers with linear attention are not built"},
    {"maple", "a mixture of experts, which is not built"},
};

// What may stand in a family's keys. READ: taken below. The others must have the value that means "not used"; NOTE
// changes nothing.
enum rule { READ, NOTE, MUST_BE_ZERO, MUST_BE_ONE, MUST_BE_TRUE };

static const struct {
    const char *name;
    enum rule rule;
} known_keys[] = {
    {"vocab_size", READ},
    {"context_length", READ},
    {"embedding_length", READ},
    {"block_count", READ},
    {"feed_forward_length", READ},
    {"hidden_activation", READ},
    {"attention.head_count", READ},
    {"attention.head_count_kv", READ},
    {"attention.key_length", READ},
    {"attention.value_length", READ},
    {"attention.layer_norm_rms_epsilon", READ},
    {"rope.dimension_count", READ},
    {"rope.freq_base", READ},
    {"rope.freq_base_swa", READ},
    {"rope.scaling.type", READ},
    {"rope.scaling.factor", READ},
    {"rope.scale_linear", MUST_BE_ONE},
    {"rope.scaling.attn_factor", READ},
    {"rope.scaling.original_context_length", READ},
    {"rope.scaling.finetuned", NOTE},
    {"rope.scaling.yarn_ext_factor", MUST_BE_ONE},
    {"rope.scaling.yarn_attn_factor", READ},
    {"rope.scaling.yarn_beta_fast", READ},
    {"rope.scaling.yarn_beta_slow", READ},
    {"attention.causal", MUST_BE_TRUE},
    {"attention.sliding_window", READ},
    {"attention.sliding_window_pattern", READ},
    {"pooling_type", READ},
    {"expert_count", MUST_BE_ZERO},
    {"expert_used_count", MUST_BE_ZERO},
};

// Keys that do not say what a model computes, or that are read where they matter.
static const char *const free_prefixes[] = {"general.", "tokenizer.", "quantize.", "split.", "prism.hadamard."};

// Of this project.
static const char *const own_keys[] = {
    "bitnet.i2s_layout",   "bitnet.activation_planes", "bitnet.checksums",
    "bitnet.space_prefix", "bitnet.ignore_merges",     "bitnet.nfc",
    "bitnet.by_merges",    "bitnet.end_token_ids",
};

static enum bn_result refuse(struct bn_load *load, const struct bn_gguf_key *key, const char *why)
{
    return bn_gguf_fail(load->gguf, BN_ERR_UNSUPPORTED, &key->name, key->offset, load->err, "%s", why);
}

static enum bn_result find_family(struct bn_load *load)
{
    struct bn_str name;
    enum bn_result result = bn_gguf_get_str(load->gguf, "general.architecture", true, &name, load->err);
    if (result != BN_OK)
        return result;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (bn_str_is(name, families[i].name)) {
            load->family = &families[i];
            return BN_OK;
        }
    }
    char text[64];
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, "general.architecture");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (bn_str_is(name, refused[i].name))
            return bn_gguf_fail(load->gguf, BN_ERR_UNSUPPORTED, &key->name, key->offset, load->err, "%s: %s",
                                refused[i].name, refused[i].reason);
    return bn_gguf_fail(load->gguf, BN_ERR_UNSUPPORTED, &key->name, key->offset, load->err,
                        "the architecture \"%s\" is not one of those known: %s", bn_str_text(name, text, sizeof(text)),
                        known_families + 2);
}

static enum bn_result check_rule(struct bn_load *load, const struct bn_gguf_key *key, const char *name, enum rule rule)
{
    const struct bn_gguf *gguf = load->gguf;
    enum bn_result result = BN_OK;
    uint32_t number = 0;
    float real = 1;
    bool flag = true;
    switch (rule) {
    case READ:
    case NOTE:
        return BN_OK;
    case MUST_BE_ZERO:
        result = bn_gguf_get_u32(gguf, name, true, &number, load->err);
        return result == BN_OK && number != 0 ? refuse(load, key, "is not supported, only 0 is") : result;
    case MUST_BE_ONE:
        result = bn_gguf_get_f32(gguf, name, true, &real, load->err);
        return result == BN_OK && !(real == 1) ? refuse(load, key, "is not supported, only 1 is") : result;
    case MUST_BE_TRUE:
        result = bn_gguf_get_bool(gguf, name, true, &flag, load->err);
        return result == BN_OK && !flag ? refuse(load, key, "is not supported, only true is") : result;
    }
    return BN_OK;
}

static enum bn_result check_key(struct bn_load *load, const struct bn_gguf_key *key)
{
    for (size_t i = 0; i < sizeof(free_prefixes) / sizeof(free_prefixes[0]); i++) {
        if (bn_str_starts(key->name, free_prefixes[i]))
            return BN_OK;
    }
    for (size_t i = 0; i < sizeof(own_keys) / sizeof(own_keys[0]); i++) {
        if (bn_str_is(key->name, own_keys[i]))
            return BN_OK;
    }
    char name[KEY_BYTES];
    for (size_t i = 0; i < sizeof(known_keys) / sizeof(known_keys[0]); i++) {
        snprintf(name, sizeof(name), "%s.%s", load->family->name, known_keys[i].name);
        if (bn_str_is(key->name, name))
            return check_rule(load, key, name, known_keys[i].rule);
    }
    return refuse(load, key, "an unknown key, which may change what the model computes");
}

static enum bn_result check_keys(struct bn_load *load)
{
    enum bn_result result = BN_OK;
    for (uint32_t i = 0; i < load->gguf->n_keys && result == BN_OK; i++)
        result = check_key(load, &load->gguf->keys[i]);
    if (result != BN_OK)
        return result;
    uint32_t parts = 1;
    result = bn_gguf_get_u32(load->gguf, "split.count", false, &parts, load->err);
    if (result == BN_OK && parts > 1)
        result =
            refuse(load, bn_gguf_find(load->gguf, "split.count"), "one part of a split model; join the parts first");
    return result;
}

const char *bn_load_key(const struct bn_load *load, const char *name, char *text)
{
    snprintf(text, KEY_BYTES, "%s.%s", load->family->name, name);
    return text;
}

enum bn_result bn_load_fail_key(struct bn_load *load, enum bn_result code, const char *name, const char *message)
{
    char text[KEY_BYTES];
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, bn_load_key(load, name, text));
    struct bn_str subject = {text, strlen(text)};
    return bn_gguf_fail(load->gguf, code, &subject, key ? key->offset : UINT64_MAX, load->err, "%s", message);
}

static enum bn_result read_counts(struct bn_load *load)
{
    struct bn_model_info *info = &load->model->info;
    const struct {
        const char *name;
        uint32_t *value;
        uint32_t most;
        bool required;
    } counts[] = {
        {"block_count", &info->n_layer, 1024, true},
        {"embedding_length", &info->n_embd, 1 << 16, true},
        {"feed_forward_length", &info->n_ff, 1 << 18, true},
        {"attention.head_count", &info->n_head, 1024, true},
        {"attention.head_count_kv", &info->n_head_kv, 1024, false},
        {"attention.key_length", &info->head_dim, 1 << 16, false},
        {"context_length", &info->n_ctx_train, 1 << 24, true},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        char text[KEY_BYTES], message[64];
        uint32_t value = 1;
        enum bn_result result =
            bn_gguf_get_u32(load->gguf, bn_load_key(load, counts[i].name, text), counts[i].required, &value, load->err);
        if (result != BN_OK)
            return result;
        snprintf(message, sizeof(message), "%" PRIu32 ", expected 1 to %" PRIu32, value, counts[i].most);
        if (value < 1 || value > counts[i].most)
            return bn_load_fail_key(load, BN_ERR_MODEL, counts[i].name, message);
        if (bn_gguf_find(load->gguf, text))
            *counts[i].value = value;
    }
    return BN_OK;
}

// What the counts must be to each other, and what the kernels can do.
static enum bn_result check_counts(struct bn_load *load)
{
    struct bn_model_info *info = &load->model->info;
    if (info->n_head_kv == 0)
        info->n_head_kv = info->n_head;
    if (info->n_head % info->n_head_kv)
        return bn_load_fail_key(load, BN_ERR_MODEL, "attention.head_count_kv", "does not divide the number of heads");
    if (info->head_dim == 0) {
        if (info->n_embd % info->n_head)
            return bn_load_fail_key(load, BN_ERR_MODEL, "attention.head_count", "does not divide the embedding length");
        info->head_dim = info->n_embd / info->n_head;
    }
    char text[KEY_BYTES], message[160];
    const char *equal[] = {"attention.value_length", "rope.dimension_count"};
    for (size_t i = 0; i < 2; i++) {
        uint32_t value = info->head_dim;
        enum bn_result result =
            bn_gguf_get_u32(load->gguf, bn_load_key(load, equal[i], text), false, &value, load->err);
        if (result != BN_OK)
            return result;
        snprintf(message, sizeof(message), "%" PRIu32 " is not supported, only the head size, which is %" PRIu32, value,
                 info->head_dim);
        if (value != info->head_dim)
            return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, equal[i], message);
    }
    load->model->rope_dim = info->head_dim;
    if (info->head_dim % 16 || info->head_dim > 512) {
        snprintf(message, sizeof(message),
                 "a head size of %" PRIu32 " is not supported: it must be a multiple of 16 and at most 512",
                 info->head_dim);
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "attention.head_count", message);
    }
    const struct {
        const char *name;
        uint32_t features;
    } columns[] = {
        {"embedding_length", info->n_embd},
        {"feed_forward_length", info->n_ff},
        {"attention.head_count", info->n_head * info->head_dim},
    };
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        snprintf(message, sizeof(message),
                 "%" PRIu32 " features are not supported: the columns of a ternary matrix must be a multiple of 64",
                 columns[i].features);
        if (columns[i].features % 64)
            return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, columns[i].name, message);
    }
    return BN_OK;
}

static enum bn_result read_numbers(struct bn_load *load)
{
    struct bn_model_info *info = &load->model->info;
    char text[KEY_BYTES];
    info->rope_theta = 10000; // the format's default
    enum bn_result result =
        bn_gguf_get_f32(load->gguf, bn_load_key(load, "rope.freq_base", text), false, &info->rope_theta, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_f32(load->gguf, bn_load_key(load, "attention.layer_norm_rms_epsilon", text), true,
                                 &info->norm_eps, load->err);
    if (result != BN_OK)
        return result;
    if (!isfinite(info->rope_theta) || info->rope_theta < 1)
        return bn_load_fail_key(load, BN_ERR_MODEL, "rope.freq_base", "expected a finite number of at least 1");
    if (!(info->norm_eps > 0 && info->norm_eps < 1))
        return bn_load_fail_key(load, BN_ERR_MODEL, "attention.layer_norm_rms_epsilon",
                                "expected a number between 0 and 1");
    return BN_OK;
}

// The option decides, then the key, then the family.
static enum bn_result choose_activation(struct bn_load *load)
{
    struct bn_model_info *info = &load->model->info;
    const struct bn_family *family = load->family;
    static const struct {
        const char *name;
        enum bn_activation activation;
    } names[] = {
        {"relu2", BN_ACTIVATION_RELU2}, {"silu", BN_ACTIVATION_SILU}, {"swish", BN_ACTIVATION_SILU},
        {"swiglu", BN_ACTIVATION_SILU}, {"gelu", BN_ACTIVATION_GELU}, {"gelu_pytorch_tanh", BN_ACTIVATION_GELU},
    };
    static const enum bn_op_activation ops[] = {
        [BN_ACTIVATION_RELU2] = BN_OP_RELU2, [BN_ACTIVATION_SILU] = BN_OP_SILU, [BN_ACTIVATION_GELU] = BN_OP_GELU};
    char text[KEY_BYTES];
    struct bn_str name = {0};
    enum bn_result result =
        bn_gguf_get_str(load->gguf, bn_load_key(load, "hidden_activation", text), false, &name, load->err);
    if (result != BN_OK)
        return result;
    const struct bn_gguf_key *tokens = bn_gguf_find(load->gguf, "tokenizer.ggml.tokens");
    info->activation = family->activation;
    if (family->other_layers == info->n_layer && tokens && tokens->count == family->other_vocab)
        info->activation = family->activation == BN_ACTIVATION_SILU ? BN_ACTIVATION_RELU2 : BN_ACTIVATION_SILU;
    bool known = !name.data;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!bn_str_is(name, names[i].name))
            continue;
        info->activation = names[i].activation;
        known = true;
    }
    if (!known && load->options.activation == BN_ACTIVATION_AUTO)
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "hidden_activation",
                                "is not an activation that is known: relu2, silu, gelu");
    if (load->options.activation != BN_ACTIVATION_AUTO)
        info->activation = load->options.activation;
    load->model->activation = ops[info->activation];
    return BN_OK;
}

// Which of the parts that a model may have it has: the first layer tells, and bn_load_tensors holds the others to it.
static void choose_parts(struct bn_load *load)
{
    load->parts = load->family->parts;
    if ((load->family->may_have & BN_PART_INPUT_NORM) && bn_gguf_find_tensor(load->gguf, "blk.0.attn_q_norm_in.weight"))
        load->parts |= BN_PART_INPUT_NORM;
}

// The option decides, then the file's own key, then what the family was trained with.
static enum bn_result choose_planes(struct bn_load *load)
{
    static const char key[] = "bitnet.activation_planes";
    const struct bn_family *family = load->family;
    struct bn_str pre = {0};
    enum bn_result result = bn_gguf_get_str(load->gguf, "tokenizer.ggml.pre", false, &pre, load->err);
    uint32_t planes = load->parts & BN_PART_INPUT_NORM || !family->planes ? 1 : family->planes;
    for (size_t i = 0; i < sizeof(family->wide_pre) / sizeof(family->wide_pre[0]) && family->wide_pre[i]; i++)
        planes = bn_str_is(pre, family->wide_pre[i]) ? 2 : planes;
    if (result == BN_OK)
        result = bn_gguf_get_u32(load->gguf, key, false, &planes, load->err);
    if (result != BN_OK)
        return result;
    if (planes < 1 || planes > 2) {
        const struct bn_gguf_key *found = bn_gguf_find(load->gguf, key);
        return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &found->name, found->offset, load->err,
                            "%" PRIu32 ", expected 1 or 2", planes);
    }
    load->model->planes = load->options.activation_planes ? load->options.activation_planes : planes;
    load->model->info.activation_planes = load->model->planes;
    return BN_OK;
}

// How a sequence becomes one vector. Only what the embedding models of these families do is there.
static enum bn_result read_pooling(struct bn_load *load)
{
    enum { NONE = 0, LAST = 3 };
    char text[KEY_BYTES];
    uint32_t pooling = NONE;
    enum bn_result result =
        bn_gguf_get_u32(load->gguf, bn_load_key(load, "pooling_type", text), false, &pooling, load->err);
    if (result == BN_OK && pooling != NONE && pooling != LAST)
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "pooling_type",
                                "is not supported, only none (0) and the last token (3) are");
    load->model->pools_last = load->model->info.embeds = pooling == LAST;
    return result;
}

enum bn_result bn_load_geometry(struct bn_load *load)
{
    enum bn_result result = find_family(load);
    if (result == BN_OK)
        result = check_keys(load);
    if (result == BN_OK)
        result = read_counts(load);
    if (result == BN_OK)
        result = check_counts(load);
    if (result == BN_OK)
        result = read_numbers(load);
    if (result == BN_OK)
        result = choose_activation(load);
    if (result != BN_OK)
        return result;
    load->model->gguf_rope_order = load->family->rope;
    load->model->rope_order = load->gguf->halves ? BN_ROPE_HALVES : load->family->rope;
    load->model->embed_scale = load->family->embed_scale ? sqrtf((float)load->model->info.n_embd) : 1;
    choose_parts(load);
    result = choose_planes(load);
    if (result == BN_OK)
        result = read_pooling(load);
    return result == BN_OK ? bn_load_rope(load) : result;
}
