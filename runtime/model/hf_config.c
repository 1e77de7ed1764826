// config.json: which family, its figures, and how its weights are stored. A key that this file does not know is refused: it
// might change what the model computes.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/hf_impl.h"

#define KEY_BYTES 96
#define LAST_TOKEN 3 // of GGUF's pooling types
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define BN_HF_FAMILY(class_, type_, architecture_, ...)                                                                \
    {.class_name = class_, .model_type = type_, .architecture = architecture_, __VA_ARGS__},
static const struct bn_hf_family families[] = {
#include "runtime/model/hf_families.inl"
};
#undef BN_HF_FAMILY

// READ: taken below. FREE: of training, or of how the model is used. The others must have the value that means "not used".
enum rule { READ, FREE, FALSE_OR_NULL, NULL_ONLY, ONE };

static const struct {
    const char *name;
    enum rule rule;
} known_keys[] = {
    {"architectures", READ},
    {"model_type", READ},
    {"vocab_size", READ},
    {"hidden_size", READ},
    {"intermediate_size", READ},
    {"num_hidden_layers", READ},
    {"num_attention_heads", READ},
    {"num_key_value_heads", READ},
    {"head_dim", READ},
    {"hidden_act", READ},
    {"hidden_activation", READ},
    {"max_position_embeddings", READ},
    {"rms_norm_eps", READ},
    {"rope_theta", READ},
    {"rope_scaling", READ},
    {"rope_parameters", READ},
    {"rope_local_base_freq", READ},
    {"sliding_window", READ},
    {"sliding_window_pattern", READ},
    {"_sliding_window_pattern", READ},
    {"use_sliding_window", READ},
    {"layer_types", READ},
    {"query_pre_attn_scalar", READ},
    {"tie_word_embeddings", READ},
    {"quantization_config", READ},
    {"weight_bits", READ},
    {"input_bits", READ},
    {"bos_token_id", READ},
    {"eos_token_id", READ},
    {"pad_token_id", READ},
    {"attention_bias", FALSE_OR_NULL},
    {"mlp_bias", FALSE_OR_NULL},
    {"use_bidirectional_attention", FALSE_OR_NULL},
    {"attn_logit_softcapping", NULL_ONLY},
    {"final_logit_softcapping", NULL_ONLY},
    {"pretraining_tp", ONE},
    {"_name_or_path", FREE},
    {"attention_dropout", FREE},
    {"auto_map", FREE},
    {"cache_implementation", FREE},
    {"dtype", FREE},
    {"initializer_range", FREE},
    {"max_window_layers", FREE},
    {"torch_dtype", FREE},
    {"transformers_version", FREE},
    {"unk_token_id", FREE},
    {"use_cache", FREE},
};

struct reader {
    struct bn_hf_config *config;
    const struct bn_json *json;
    struct bn_key_blob *blob;
    uint32_t n_ctx;
};

static enum bn_result refuse(const struct reader *r, const char *key, const char *why)
{
    return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, key, "%s", why);
}

static enum bn_result check_key(const struct reader *r, const char *name, const json_t *value)
{
    for (size_t i = 0; i < COUNT(known_keys); i++) {
        if (strcmp(name, known_keys[i].name) != 0)
            continue;
        switch (known_keys[i].rule) {
        case READ:
        case FREE:
            return BN_OK;
        case FALSE_OR_NULL:
            return json_is_false(value) || json_is_null(value) ? BN_OK
                                                               : refuse(r, name, "is not supported, only false is");
        case NULL_ONLY:
            return json_is_null(value) ? BN_OK : refuse(r, name, "is not supported, only null is");
        case ONE:
            return json_is_integer(value) && json_integer_value(value) == 1
                       ? BN_OK
                       : refuse(r, name, "is not supported, only 1 is");
        }
    }
    return refuse(r, name, "an unknown key, which may change what the model computes");
}

const struct bn_hf_family *bn_hf_find_family(const char *architecture, bool embeds)
{
    // Both are of the class of the first.
    if (strcmp(architecture, "bitnet-25") == 0)
        architecture = "bitnet-b1.58";
    for (size_t i = 0; i < COUNT(families); i++)
        if (strcmp(families[i].architecture, architecture) == 0 && families[i].embeds == embeds)
            return &families[i];
    return NULL;
}

static enum bn_result find_family(struct reader *r)
{
    struct bn_str type = {0}, class_name = {0};
    json_t *classes;
    enum bn_result result = bn_json_str(r->json, r->json->root, "model_type", true, &type);
    if (result == BN_OK)
        result = bn_json_array(r->json, r->json->root, "architectures", true, &classes);
    if (result != BN_OK)
        return result;
    if (json_is_string(json_array_get(classes, 0)))
        class_name = bn_json_text(json_array_get(classes, 0));
    for (size_t i = 0; i < COUNT(families); i++) {
        if (bn_str_is(type, families[i].model_type) && bn_str_is(class_name, families[i].class_name)) {
            r->config->family = &families[i];
            return BN_OK;
        }
    }
    char a[64], b[64];
    return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "architectures",
                        "\"%s\" of the type \"%s\" is not a model that is known; docs/models.md lists those",
                        bn_str_text(class_name, a, sizeof(a)), bn_str_text(type, b, sizeof(b)));
}

static const char *key(const struct reader *r, const char *name, char text[KEY_BYTES])
{
    snprintf(text, KEY_BYTES, "%s.%s", r->config->family->architecture, name);
    return text;
}

static void put_u32(const struct reader *r, const char *name, uint32_t value)
{
    char text[KEY_BYTES];
    bn_key_u32(r->blob, key(r, name, text), value);
}

static void put_f32(const struct reader *r, const char *name, float value)
{
    char text[KEY_BYTES];
    bn_key_f32(r->blob, key(r, name, text), value);
}

static void put_str(const struct reader *r, const char *name, const char *value)
{
    char text[KEY_BYTES];
    bn_key_str(r->blob, key(r, name, text), (struct bn_str){value, strlen(value)});
}

// The keys that hold counts; the family's rules for them are those of GGUF.
static enum bn_result read_counts(struct reader *r)
{
    struct bn_hf_config *config = r->config;
    uint32_t n_heads = 0, n_kv = 0;
    const struct {
        const char *name, *gguf;
        uint32_t *value;
        bool required;
    } counts[] = {
        {"vocab_size", "vocab_size", &config->n_vocab, true},
        {"max_position_embeddings", "context_length", &r->n_ctx, true},
        {"hidden_size", "embedding_length", &config->n_embd, true},
        {"num_hidden_layers", "block_count", NULL, true},
        {"intermediate_size", "feed_forward_length", NULL, true},
        {"num_attention_heads", "attention.head_count", &n_heads, true},
        {"num_key_value_heads", "attention.head_count_kv", &n_kv, false},
    };
    for (size_t i = 0; i < COUNT(counts); i++) {
        uint32_t value = 0;
        enum bn_result result = bn_json_u32(r->json, r->json->root, counts[i].name, counts[i].required, &value);
        if (result != BN_OK)
            return result;
        if (counts[i].value)
            *counts[i].value = value;
        if (!bn_json_absent(r->json->root, counts[i].name))
            put_u32(r, counts[i].gguf, value);
    }
    config->head_dim = config->family->head_dim                   ? config->family->head_dim
                       : n_heads && config->n_embd % n_heads == 0 ? config->n_embd / n_heads
                                                                  : 0;
    enum bn_result result = bn_json_u32(r->json, r->json->root, "head_dim", false, &config->head_dim);
    if (result == BN_OK && config->head_dim == 0)
        result = bn_json_fail(r->json, BN_ERR_MODEL, "num_attention_heads", "does not divide hidden_size");
    if (result != BN_OK)
        return result;
    put_u32(r, "attention.key_length", config->head_dim);
    put_u32(r, "attention.value_length", config->head_dim);
    put_u32(r, "rope.dimension_count", config->head_dim);
    float scalar = (float)config->head_dim;
    result = bn_json_f32(r->json, r->json->root, "query_pre_attn_scalar", false, &scalar);
    if (result == BN_OK && !(scalar == (float)config->head_dim))
        result = refuse(r, "query_pre_attn_scalar", "is not supported, only the size of a head is");
    return result;
}

// Llama 3.1's: low frequencies are divided, high ones kept, those between get something between.
static enum bn_result llama3_frequencies(struct reader *r, const json_t *scaling, float theta, float factor)
{
    struct bn_hf_config *config = r->config;
    float low = 1, high = 4, original = 8192;
    enum bn_result result = bn_json_f32(r->json, scaling, "low_freq_factor", true, &low);
    if (result == BN_OK)
        result = bn_json_f32(r->json, scaling, "high_freq_factor", true, &high);
    if (result == BN_OK)
        result = bn_json_f32(r->json, scaling, "original_max_position_embeddings", true, &original);
    if (result != BN_OK)
        return result;
    if (!(low > 0 && high > low && original > 0 && factor >= 1) || config->head_dim > 1024 || config->head_dim % 2)
        return bn_json_fail(r->json, BN_ERR_MODEL, "rope_scaling", "figures that cannot be");
    config->host = r->blob->host;
    config->frequencies = bn_alloc_array(config->host, config->head_dim / 2, sizeof(float));
    if (!config->frequencies)
        return bn_fail_memory(r->json->err, config->head_dim * sizeof(float) / 2, "RoPE's frequencies");
    for (uint32_t i = 0; i < config->head_dim / 2; i++) {
        double wave = 2 * 3.14159265358979323846 * pow((double)theta, 2.0 * i / config->head_dim);
        double smooth = ((double)original / wave - (double)low) / ((double)high - (double)low);
        smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
        config->frequencies[i] = (float)(1 / ((1 - smooth) / (double)factor + smooth));
    }
    return BN_OK;
}

static enum bn_result read_scaling(struct reader *r, const json_t *scaling, float theta)
{
    static const char *const known[] = {"rope_type",
                                        "type",
                                        "factor",
                                        "rope_theta",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "beta_fast",
                                        "beta_slow",
                                        "attention_factor"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)scaling, name, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < COUNT(known); i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            return refuse(r, name, "an unknown key of rope_scaling, which may change what the model computes");
    }
    struct bn_str type = {0};
    enum bn_result result = bn_json_str(r->json, scaling, "type", false, &type);
    if (result == BN_OK)
        result = bn_json_str(r->json, scaling, "rope_type", false, &type);
    if (result != BN_OK || !type.data || bn_str_is(type, "default"))
        return result;
    float factor = 1;
    result = bn_json_f32(r->json, scaling, "factor", true, &factor);
    if (result != BN_OK)
        return result;
    if (bn_str_is(type, "llama3"))
        return llama3_frequencies(r, scaling, theta, factor);
    bool yarn = bn_str_is(type, "yarn");
    if (!yarn && !bn_str_is(type, "linear"))
        return refuse(r, "rope_scaling", "is of a type that is not known: default, linear, yarn and llama3 are");
    put_str(r, "rope.scaling.type", yarn ? "yarn" : "linear");
    put_f32(r, "rope.scaling.factor", factor);
    if (!yarn)
        return BN_OK;
    uint32_t original = r->n_ctx;
    float fast = 32, slow = 1;
    result = bn_json_u32(r->json, scaling, "original_max_position_embeddings", false, &original);
    if (result == BN_OK)
        result = bn_json_f32(r->json, scaling, "beta_fast", false, &fast);
    if (result == BN_OK)
        result = bn_json_f32(r->json, scaling, "beta_slow", false, &slow);
    if (result == BN_OK && !bn_json_absent(scaling, "attention_factor"))
        result = refuse(r, "attention_factor", "is not supported, only its default is");
    put_u32(r, "rope.scaling.original_context_length", original);
    put_f32(r, "rope.scaling.yarn_beta_fast", fast);
    put_f32(r, "rope.scaling.yarn_beta_slow", slow);
    return result;
}

// rope_parameters of newer versions holds both; with windows it may have an entry for each kind of layer.
static enum bn_result read_rope(struct reader *r)
{
    const json_t *root = r->json->root;
    json_t *scaling, *parameters, *full, *local;
    float theta = r->config->family->theta, local_theta = 10000;
    bool has_local = !bn_json_absent(root, "rope_local_base_freq");
    enum bn_result result = bn_json_f32(r->json, root, "rope_theta", false, &theta);
    if (result == BN_OK)
        result = bn_json_f32(r->json, root, "rope_local_base_freq", false, &local_theta);
    if (result == BN_OK)
        result = bn_json_object(r->json, root, "rope_scaling", false, &scaling);
    if (result == BN_OK)
        result = bn_json_object(r->json, root, "rope_parameters", false, &parameters);
    if (result == BN_OK && parameters) {
        result = bn_json_object(r->json, parameters, "full_attention", false, &full);
        if (result == BN_OK && full)
            result = bn_json_object(r->json, parameters, "sliding_attention", true, &local);
        if (result == BN_OK && full) {
            has_local = true;
            parameters = full;
            result = bn_json_f32(r->json, local, "rope_theta", true, &local_theta);
        }
        if (result == BN_OK)
            result = bn_json_f32(r->json, parameters, "rope_theta", false, &theta);
        scaling = parameters;
    }
    if (result != BN_OK)
        return result;
    put_f32(r, "rope.freq_base", theta);
    if (has_local)
        put_f32(r, "rope.freq_base_swa", local_theta);
    return scaling ? read_scaling(r, scaling, theta) : BN_OK;
}

// A window is used if it is there and use_sliding_window does not say otherwise. layer_types must say the same as the pattern.
static enum bn_result read_window(struct reader *r)
{
    const json_t *root = r->json->root;
    uint32_t window = 0, period = 6;
    bool used = r->config->family->post_norms;
    json_t *types;
    enum bn_result result = bn_json_u32(r->json, root, "sliding_window", false, &window);
    if (result == BN_OK)
        result = bn_json_u32(r->json, root, "sliding_window_pattern", false, &period);
    if (result == BN_OK)
        result = bn_json_u32(r->json, root, "_sliding_window_pattern", false, &period);
    if (result == BN_OK)
        result = bn_json_bool(r->json, root, "use_sliding_window", false, &used);
    if (result == BN_OK)
        result = bn_json_array(r->json, root, "layer_types", false, &types);
    if (result != BN_OK)
        return result;
    used = used && window != 0;
    if (used && !r->config->family->post_norms)
        return refuse(r, "sliding_window", "is not supported for this class");
    if (used && period == 0)
        return bn_json_fail(r->json, BN_ERR_MODEL, "sliding_window_pattern", "expected a number above 0");
    for (size_t i = 0; types && i < json_array_size(types); i++) {
        bool full = !used || (i + 1) % period == 0;
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, full ? "full_attention" : "sliding_attention") != 0)
            return refuse(r, "layer_types", "is not supported, only what sliding_window_pattern means is");
    }
    if (used) {
        put_u32(r, "attention.sliding_window", window);
        put_u32(r, "attention.sliding_window_pattern", period);
    }
    return BN_OK;
}

static enum bn_result read_activation(struct reader *r)
{
    struct bn_str name = {0};
    enum bn_result result = bn_json_str(r->json, r->json->root, "hidden_activation", false, &name);
    if (result == BN_OK && !name.data)
        result = bn_json_str(r->json, r->json->root, "hidden_act", true, &name);
    if (result != BN_OK)
        return result;
    if (bn_str_is(name, "relu2"))
        put_str(r, "hidden_activation", "relu2");
    else if (bn_str_is(name, "silu"))
        put_str(r, "hidden_activation", "silu");
    else if (!bn_str_is(name, "gelu_pytorch_tanh") || !r->config->family->post_norms)
        return refuse(r, "hidden_act", "is not an activation that is known for this class: relu2, silu");
    return BN_OK;
}

// What quantization_config may say. Without linear_class the scale divides (docs/models.md).
static enum bn_result read_quantisation(struct reader *r)
{
    static const char *const free_keys[] = {"modules_to_not_convert", "rms_norm_eps"};
    static const char *const read_keys[] = {"quant_method", "linear_class", "quantization_mode", "use_rms_norm"};
    json_t *quant;
    enum bn_result result = bn_json_object(r->json, r->json->root, "quantization_config", false, &quant);
    if (result != BN_OK || !quant)
        return result;
    const char *name;
    json_t *value;
    json_object_foreach(quant, name, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < COUNT(free_keys); i++)
            is_known = is_known || strcmp(name, free_keys[i]) == 0;
        for (size_t i = 0; i < COUNT(read_keys); i++)
            is_known = is_known || strcmp(name, read_keys[i]) == 0;
        if (!is_known)
            return refuse(r, name, "an unknown key of quantization_config, which may change what the model computes");
    }
    struct bn_str method = {0}, linear = {"bitlinear", 9}, mode = {"offline", 7};
    bool norms = false;
    result = bn_json_str(r->json, quant, "quant_method", true, &method);
    if (result == BN_OK && !bn_str_is(method, "bitnet"))
        result = refuse(r, "quant_method", "is not supported, only bitnet is");
    if (result == BN_OK)
        result = bn_json_str(r->json, quant, "linear_class", false, &linear);
    if (result == BN_OK)
        result = bn_json_str(r->json, quant, "quantization_mode", false, &mode);
    if (result == BN_OK)
        result = bn_json_bool(r->json, quant, "use_rms_norm", false, &norms);
    if (result != BN_OK)
        return result;
    if (norms)
        return refuse(r, "use_rms_norm", "is not supported, only false is");
    bool automatic = bn_str_is(linear, "autobitlinear");
    if (!automatic && !bn_str_is(linear, "bitlinear"))
        return refuse(r, "linear_class", "is not known: bitlinear and autobitlinear are");
    if (bn_str_is(mode, "online"))
        r->config->weights = BN_HF_MASTER;
    else if (bn_str_is(mode, "offline"))
        r->config->weights = automatic ? BN_HF_PACKED : BN_HF_PACKED_INVERSE;
    else
        return refuse(r, "quantization_mode", "is not known: offline and online are");
    return BN_OK;
}

static enum bn_result read_weights(struct reader *r)
{
    struct bn_hf_config *config = r->config;
    uint32_t weight_bits = 0, input_bits = 8;
    enum bn_result result = bn_json_u32(r->json, r->json->root, "weight_bits", false, &weight_bits);
    if (result == BN_OK)
        result = bn_json_u32(r->json, r->json->root, "input_bits", false, &input_bits);
    if (result != BN_OK)
        return result;
    if (weight_bits > 1)
        return refuse(r, "weight_bits", "is not supported, only 1 is");
    if (input_bits != 8)
        return refuse(r, "input_bits", "is not supported, only 8 is");
    config->weights = config->family->ternary || weight_bits == 1 ? BN_HF_MASTER : BN_HF_PLAIN;
    bool tied;
    result = bn_json_bool(r->json, r->json->root, "tie_word_embeddings", false, &tied);
    config->tied = bn_json_absent(r->json->root, "tie_word_embeddings") ? -1 : result == BN_OK && tied;
    return result == BN_OK ? read_quantisation(r) : result;
}

static enum bn_result read_id(const struct bn_json *json, const char *name, const json_t *value, int64_t *id)
{
    if (!json_is_integer(value) || json_integer_value(value) < -1 || json_integer_value(value) > INT32_MAX)
        return bn_json_fail(json, BN_ERR_MODEL, name, "expected the id of a token");
    *id = json_integer_value(value);
    return BN_OK;
}

// All ids of a list that is longer than an end of text and an end of turn.
static enum bn_result read_ends(struct bn_hf_config *config, const struct bn_json *json, const json_t *list)
{
    config->n_ends = 0;
    if (json_array_size(list) > BN_HF_MOST_ENDS)
        return bn_json_fail(json, BN_ERR_UNSUPPORTED, "eos_token_id", "more than %d ids", BN_HF_MOST_ENDS);
    for (size_t i = 0; json_array_size(list) > 2 && i < json_array_size(list); i++) {
        int64_t id = 0;
        enum bn_result result = read_id(json, "eos_token_id", json_array_get(list, i), &id);
        if (result != BN_OK)
            return result;
        config->ends[config->n_ends++] = (int32_t)id;
    }
    return BN_OK;
}

enum bn_result bn_hf_read_ids(struct bn_hf_config *config, const struct bn_json *json)
{
    const struct {
        const char *name;
        int64_t *id, *second; // of a list
    } ids[] = {
        {"bos_token_id", &config->bos, NULL},
        {"eos_token_id", &config->eos, &config->eot},
        {"pad_token_id", &config->pad, NULL},
    };
    for (size_t i = 0; i < COUNT(ids); i++) {
        const json_t *value = json_object_get(json->root, ids[i].name);
        if (bn_json_absent(json->root, ids[i].name))
            continue;
        bool list = json_is_array(value) && json_array_size(value) > 0;
        enum bn_result result = read_id(json, ids[i].name, list ? json_array_get(value, 0) : value, ids[i].id);
        if (result == BN_OK && ids[i].second)
            result = read_ends(config, json, value);
        if (result == BN_OK && list && json_array_size(value) > 1 && ids[i].second)
            result = read_id(json, ids[i].name, json_array_get(value, json_array_size(value) - 1), ids[i].second);
        if (result != BN_OK)
            return result;
    }
    return BN_OK;
}

// As generate() of transformers: without do_sample it takes the likeliest token, and the others mean nothing.
enum bn_result bn_hf_read_sampling(const struct bn_json *json, struct bn_key_blob *blob)
{
    static const struct {
        const char *name, *key;
    } floats[] = {
        {"temperature", "general.sampling.temp"},
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"},
    };
    bool samples = false;
    uint32_t top_k = 0;
    enum bn_result result = bn_json_bool(json, json->root, "do_sample", false, &samples);
    for (size_t i = 0; i < COUNT(floats) && result == BN_OK && samples; i++) {
        float value = 0;
        result = bn_json_f32(json, json->root, floats[i].name, false, &value);
        if (result == BN_OK && !bn_json_absent(json->root, floats[i].name))
            bn_key_f32(blob, floats[i].key, value);
    }
    if (result == BN_OK && samples)
        result = bn_json_u32(json, json->root, "top_k", false, &top_k);
    if (result == BN_OK && samples && !bn_json_absent(json->root, "top_k"))
        bn_key_u32(blob, "general.sampling.top_k", top_k);
    // transformers looks at the whole text.
    if (result == BN_OK && samples && !bn_json_absent(json->root, "repetition_penalty"))
        bn_key_u32(blob, "general.sampling.penalty_last_n", 4096);
    return result;
}

enum bn_result bn_hf_read_config(struct bn_hf_config *config, const struct bn_host *host, const struct bn_json *json,
                                 struct bn_key_blob *blob)
{
    struct reader r = {.config = config, .json = json, .blob = blob};
    config->host = host;
    config->bos = config->eos = config->eot = config->pad = -1;
    enum bn_result result = find_family(&r);
    const char *name;
    json_t *value;
    json_object_foreach(json->root, name, value)
    {
        if (result == BN_OK)
            result = check_key(&r, name, value);
    }
    if (result != BN_OK)
        return result;
    const char *architecture = config->family->architecture;
    bn_key_str(blob, "general.architecture", (struct bn_str){architecture, strlen(architecture)});
    float eps = config->family->eps;
    result = read_counts(&r);
    if (result == BN_OK)
        result = bn_json_f32(json, json->root, "rms_norm_eps", false, &eps);
    if (result == BN_OK)
        put_f32(&r, "attention.layer_norm_rms_epsilon", eps);
    if (result == BN_OK)
        result = read_rope(&r);
    if (result == BN_OK)
        result = read_window(&r);
    if (result == BN_OK)
        result = read_activation(&r);
    if (result == BN_OK)
        result = read_weights(&r);
    // Who was not trained by BitNet's rules was trained with ternary weights only.
    if (result == BN_OK && config->family->embeds)
        put_u32(&r, "pooling_type", LAST_TOKEN);
    else if (result == BN_OK && !config->family->ternary)
        bn_key_u32(blob, "bitnet.activation_planes", config->weights == BN_HF_PLAIN ? 2 : 1);
    return result == BN_OK ? bn_hf_read_ids(config, json) : result;
}

void bn_hf_config_finish(struct bn_hf_config *config)
{
    if (config->host)
        bn_free(config->host, config->frequencies);
    memset(config, 0, sizeof(*config));
}
