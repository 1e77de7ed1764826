#include "convert/hf_texts.h"

#include <bitnet/text.h>

#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"

#define MARK "\xe2\x96\x81" // U+2581
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 }; // of tokenizer.ggml.token_type

static enum bn_result refuse(const struct bn_folder_source *from, const char *subject, const char *why)
{
    return bn_fail_at(from->err, BN_ERR_UNSUPPORTED, from->source->checkpoint.gguf.file, subject, UINT64_MAX, "%s",
                      why);
}

static const struct bn_gguf *keys_of(const struct bn_folder_source *from)
{
    return &from->source->checkpoint.gguf;
}

static void set(struct bn_folder_source *from, json_t *object, const char *name, json_t *value)
{
    from->lost |= json_object_set_new(object, name, value) != 0;
}

static void append(struct bn_folder_source *from, json_t *list, json_t *value)
{
    from->lost |= json_array_append_new(list, value) != 0;
}

static json_t *text(struct bn_str s)
{
    return json_stringn(s.data, s.bytes);
}

enum bn_result bn_folder_find_family(struct bn_folder_source *from)
{
    const struct bn_model *model = from->source->model;
    from->family = bn_hf_find_family(model->info.architecture, model->pools_last);
    if (!from->family)
        return refuse(from, "general.architecture", "no class of transformers is known for it");
    if (model->hadamard.block)
        return refuse(from, "prism.hadamard.version", "folders of Hugging Face do not rotate features");
    if (model->rope.frequencies)
        return refuse(from, "rope_freqs.weight", "config.json has no words for factors of RoPE's frequencies");
    if (model->rope.attention_factor != 1)
        return refuse(from, "rope.scaling.attn_factor", "config.json has no words for it");
    bool wide = model->planes == 2;
    if (wide && (from->form != BN_FOLDER_FLOATS || from->family->ternary))
        return refuse(from, "bitnet.activation_planes",
                      "packed folders, and this class, mean int8 activations: ask for floats");
    return BN_OK;
}

static json_t *rope_scaling(struct bn_folder_source *from, const struct bn_rope *rope)
{
    if (rope->scaling == BN_ROPE_UNSCALED)
        return json_null();
    bool yarn = rope->scaling == BN_ROPE_YARN;
    json_t *scaling = json_object();
    set(from, scaling, "rope_type", json_string(yarn ? "yarn" : "linear"));
    set(from, scaling, "factor", json_real((double)rope->factor));
    if (yarn) {
        set(from, scaling, "original_max_position_embeddings", json_integer(rope->n_ctx_original));
        set(from, scaling, "beta_fast", json_real((double)rope->beta_fast));
        set(from, scaling, "beta_slow", json_real((double)rope->beta_slow));
    }
    return scaling;
}

static void set_window(struct bn_folder_source *from, json_t *config, const struct bn_model *model)
{
    set(from, config, "sliding_window", json_integer(model->window));
    set(from, config, "sliding_window_pattern", json_integer(model->period));
    set(from, config, "rope_local_base_freq", json_real((double)model->local_rope.theta));
    set(from, config, "query_pre_attn_scalar", json_integer(model->info.head_dim));
}

static void set_quantisation(json_t *config, struct bn_folder_source *from)
{
    const bool floats = from->form == BN_FOLDER_FLOATS, divides = from->form == BN_FOLDER_INVERSE;
    if (floats && (from->source->model->planes == 2 || from->family->embeds))
        return;
    json_t *quant = json_object();
    set(from, quant, "quant_method", json_string("bitnet"));
    set(from, quant, "linear_class", json_string(divides ? "bitlinear" : "autobitlinear"));
    set(from, quant, "quantization_mode", json_string(floats ? "online" : "offline"));
    set(from, config, "quantization_config", quant);
}

enum bn_result bn_folder_config(struct bn_folder_source *from, json_t **out)
{
    static const char *const activations[] = {
        [BN_ACTIVATION_RELU2] = "relu2", [BN_ACTIVATION_SILU] = "silu", [BN_ACTIVATION_GELU] = "gelu_pytorch_tanh"};
    const struct bn_model *model = from->source->model;
    const struct bn_model_info *info = &model->info;
    json_t *config = json_object();
    *out = config;
    set(from, config, "architectures", json_pack("[s]", from->family->class_name));
    set(from, config, "model_type", json_string(from->family->model_type));
    const struct {
        const char *name;
        uint32_t value;
    } counts[] = {
        {"vocab_size", info->n_vocab},         {"hidden_size", info->n_embd},
        {"intermediate_size", info->n_ff},     {"num_hidden_layers", info->n_layer},
        {"num_attention_heads", info->n_head}, {"num_key_value_heads", info->n_head_kv},
        {"head_dim", info->head_dim},          {"max_position_embeddings", info->n_ctx_train},
    };
    for (size_t i = 0; i < COUNT(counts); i++)
        set(from, config, counts[i].name, json_integer(counts[i].value));
    set(from, config, "rms_norm_eps", json_real((double)info->norm_eps));
    set(from, config, "rope_theta", json_real((double)info->rope_theta));
    set(from, config, "rope_scaling", rope_scaling(from, &model->rope));
    set(from, config, from->family->post_norms ? "hidden_activation" : "hidden_act",
        json_string(activations[info->activation]));
    set(from, config, "tie_word_embeddings", json_boolean(model->output == model->token_embd));
    if (model->window)
        set_window(from, config, model);
    set_quantisation(config, from);
    return BN_OK;
}

static json_t *id_of(const struct bn_gguf *gguf, const char *name)
{
    int64_t id = -1;
    enum bn_result result = bn_gguf_get_i64(gguf, name, false, &id, NULL);
    return result == BN_OK && id >= 0 ? json_integer(id) : NULL;
}

static void set_ends(struct bn_folder_source *from, const struct bn_gguf *gguf, json_t *object)
{
    const struct bn_gguf_key *key;
    json_t *list = json_array(), *eos = id_of(gguf, "tokenizer.ggml.eos_token_id"),
           *eot = id_of(gguf, "tokenizer.ggml.eot_token_id");
    enum bn_result result = bn_gguf_get_integers(gguf, "bitnet.end_token_ids", false, &key, NULL);
    for (uint64_t i = 0; result == BN_OK && key && i < key->count; i++)
        append(from, list, json_integer(bn_gguf_integer_at(key, i)));
    if (json_array_size(list) == 0) {
        if (eos)
            append(from, list, json_incref(eos));
        if (eos && eot)
            append(from, list, json_incref(eot));
    }
    json_decref(eos);
    json_decref(eot);
    if (json_array_size(list) == 0)
        json_decref(list);
    else
        set(from, object, "eos_token_id", list);
}

enum bn_result bn_folder_generation(struct bn_folder_source *from, json_t **out)
{
    const struct bn_gguf *gguf = keys_of(from);
    const struct bn_model_sampling *sampling = &from->source->model->sampling;
    json_t *object = json_object(), *bos = id_of(gguf, "tokenizer.ggml.bos_token_id"),
           *pad = id_of(gguf, "tokenizer.ggml.padding_token_id");
    *out = object;
    if (bos)
        set(from, object, "bos_token_id", bos);
    if (pad)
        set(from, object, "pad_token_id", pad);
    set_ends(from, gguf, object);
    if (!sampling->given)
        return BN_OK;
    set(from, object, "do_sample", json_true());
    const struct {
        enum bn_sampling_part part;
        const char *name;
        float value;
    } floats[] = {
        {BN_SAMPLING_TEMPERATURE, "temperature", sampling->temperature},
        {BN_SAMPLING_TOP_P, "top_p", sampling->top_p},
        {BN_SAMPLING_MIN_P, "min_p", sampling->min_p},
        {BN_SAMPLING_REPEAT_PENALTY, "repetition_penalty", sampling->repeat_penalty},
    };
    for (size_t i = 0; i < COUNT(floats); i++)
        if (sampling->given & floats[i].part)
            set(from, object, floats[i].name, json_real((double)floats[i].value));
    if (sampling->given & BN_SAMPLING_TOP_K)
        set(from, object, "top_k", json_integer(sampling->top_k));
    return BN_OK;
}

// The vocabulary as the file has it.
struct vocabulary {
    struct bn_folder_source *from;
    const struct bn_tokenizer_info *info;
    const struct bn_gguf_key *tokens, *types;
    bool pieces; // SentencePiece, by merges
};

static bool flag_of(const struct vocabulary *v, const char *name, bool otherwise)
{
    bool value = otherwise;
    enum bn_result result = bn_gguf_get_bool(keys_of(v->from), name, false, &value, NULL);
    return result == BN_OK ? value : otherwise;
}

static int64_t type_of(const struct vocabulary *v, uint64_t i)
{
    return v->types ? bn_gguf_integer_at(v->types, i) : NORMAL;
}

// SentencePiece's user-defined tokens have spaces in GGUF.
static json_t *token_text(const struct vocabulary *v, struct bn_str token, int64_t type)
{
    size_t spaces = 0, n = 0;
    for (size_t i = 0; i < token.bytes; i++)
        spaces += token.data[i] == ' ';
    if (!v->pieces || type != USER || spaces == 0)
        return text(token);
    char *marked = bn_alloc(v->from->source->host, token.bytes + 2 * spaces);
    for (size_t i = 0; marked && i < token.bytes; i++) {
        bool space = token.data[i] == ' ';
        memcpy(marked + n, space ? MARK : token.data + i, space ? 3 : 1);
        n += space ? 3 : 1;
    }
    json_t *value = marked ? json_stringn(marked, n) : NULL;
    bn_free(v->from->source->host, marked);
    return value;
}

static enum bn_result set_tokens(const struct vocabulary *v, json_t *root, json_t *model)
{
    json_t *vocab = json_object(), *added = json_array();
    const uint8_t *at = v->tokens->data;
    enum bn_result result = BN_OK;
    for (uint64_t i = 0; i < v->tokens->count && result == BN_OK; i++) {
        struct bn_str token = bn_gguf_next_str(&at);
        int64_t type = type_of(v, i);
        json_t *name = token_text(v, token, type);
        bool plain = type == NORMAL || (v->pieces && type != UNUSED);
        if (!name || strlen(json_string_value(name)) != json_string_length(name))
            result = refuse(v->from, "tokenizer.ggml.tokens", "a token that is no text of JSON");
        if (result == BN_OK && plain && json_object_get(vocab, json_string_value(name)))
            result = refuse(v->from, "tokenizer.ggml.tokens", "two tokens of the same text");
        if (result == BN_OK && type == BYTE && !v->pieces)
            result = refuse(v->from, "tokenizer.ggml.token_type", "a byte token beside the alphabet of bytes");
        if (result == BN_OK && plain)
            set(v->from, vocab, json_string_value(name), json_integer((json_int_t)i));
        if (result == BN_OK && (type == CONTROL || type == USER || type == UNKNOWN))
            append(v->from, added,
                   json_pack("{s:I,s:O,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)i, "content", name, "single_word", 0,
                             "lstrip", 0, "rstrip", 0, "normalized", 0, "special", type != USER));
        json_decref(name);
    }
    set(v->from, root, "added_tokens", added);
    set(v->from, model, "vocab", vocab);
    return result;
}

static enum bn_result set_merges(const struct vocabulary *v, json_t *model)
{
    const struct bn_gguf_key *key;
    enum bn_result result =
        bn_gguf_get_array(keys_of(v->from), "tokenizer.ggml.merges", false, BN_GGUF_STRING, &key, v->from->err);
    if (result != BN_OK)
        return result;
    json_t *merges = json_array();
    const uint8_t *at = key ? key->data : NULL;
    for (uint64_t i = 0; key && i < key->count; i++)
        append(v->from, merges, text(bn_gguf_next_str(&at)));
    set(v->from, model, "merges", merges);
    return BN_OK;
}

static const struct {
    const char *regex, *name;
} patterns[] = {
#define BN_HF_PRE(regex, name) {regex, name},
#include "runtime/model/hf_pre.inl"
#undef BN_HF_PRE
};

// What pre.inl has for a file that does not say otherwise.
static const struct {
    const char *name, *as;
    bool whole, nfc;
} pres[] = {
    {"llama-bpe", "llama-bpe", true, false},
    {"qwen2", "qwen2", false, true},
    {"olmo", "gpt-2", false, true},
    {"gpt-2", "gpt-2", false, false},
};

static enum bn_result set_byte_level(const struct vocabulary *v, json_t *root, json_t *model)
{
    const char *regex = NULL;
    bool whole = false, nfc = false;
    for (size_t i = 0; i < COUNT(pres); i++) {
        if (strcmp(v->info->pre, pres[i].name) != 0)
            continue;
        whole = pres[i].whole;
        nfc = pres[i].nfc;
        for (size_t p = 0; p < COUNT(patterns); p++)
            regex = strcmp(patterns[p].name, pres[i].as) == 0 ? patterns[p].regex : regex;
    }
    if (!regex)
        return refuse(v->from, "tokenizer.ggml.pre", "tokenizer.json has no pattern for it here");
    json_t *bytes = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                              "use_regex", !*regex);
    if (*regex)
        bytes = json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b},o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                          "pattern", "Regex", regex, "behavior", "Isolated", "invert", 0, bytes);
    set(v->from, root, "pre_tokenizer", bytes);
    bool forms = flag_of(v, "bitnet.nfc", nfc);
    set(v->from, root, "normalizer", forms ? json_pack("{s:s}", "type", "NFC") : json_null());
    set(v->from, root, "decoder",
        json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1));
    set(v->from, model, "byte_fallback", json_false());
    set(v->from, model, "ignore_merges", json_boolean(flag_of(v, "bitnet.ignore_merges", whole)));
    set(v->from, model, "unk_token", json_null());
    return BN_OK;
}

static enum bn_result set_pieces(const struct vocabulary *v, json_t *root, json_t *model)
{
    struct bn_str how = {0};
    bool prefix = flag_of(v, "tokenizer.ggml.add_space_prefix", true);
    enum bn_result result = bn_gguf_get_str(keys_of(v->from), "bitnet.space_prefix", false, &how, v->from->err);
    if (result != BN_OK)
        return result;
    json_t *replace = json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", " ", "content", MARK);
    json_t *prepend = json_pack("{s:s,s:s}", "type", "Prepend", "prepend", MARK);
    json_t *metaspace = json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", MARK, "prepend_scheme",
                                  bn_str_is(how, "metaspace-first") ? "first" : "always", "split", 0);
    bool by_metaspace = prefix && how.bytes, by_prepend = prefix && !how.bytes;
    set(v->from, root, "normalizer",
        by_metaspace ? json_null()
        : by_prepend ? json_pack("{s:s,s:[O,O]}", "type", "Sequence", "normalizers", prepend, replace)
                     : json_incref(replace));
    set(v->from, root, "pre_tokenizer", by_metaspace ? json_incref(metaspace) : json_null());
    set(v->from, root, "decoder",
        json_pack("{s:s,s:[{s:s,s:{s:s},s:s},{s:s},{s:s}]}", "type", "Sequence", "decoders", "type", "Replace",
                  "pattern", "String", MARK, "content", " ", "type", "ByteFallback", "type", "Fuse"));
    json_decref(replace);
    json_decref(prepend);
    json_decref(metaspace);
    set(v->from, model, "byte_fallback", json_true());
    set(v->from, model, "fuse_unk", json_true());
    const uint8_t *at = v->tokens->data;
    for (uint64_t i = 0; i < v->tokens->count; i++) {
        struct bn_str token = bn_gguf_next_str(&at);
        if (type_of(v, i) == UNKNOWN)
            set(v->from, model, "unk_token", text(token));
    }
    return BN_OK;
}

// What is put before and behind a text.
static void set_template(const struct vocabulary *v, json_t *root)
{
    json_t *single = json_array(), *tokens = json_object();
    const int32_t ids[2] = {v->info->add_bos ? v->info->bos : -1, v->info->add_eos ? v->info->eos : -1};
    const struct bn_tokenizer *tokenizer = v->from->source->model->tokenizer;
    for (int i = 0; i < 2; i++) {
        if (i == 1)
            append(v->from, single, json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0));
        size_t bytes;
        const char *name = bn_token_bytes(tokenizer, ids[i], &bytes);
        if (!name)
            continue;
        json_t *value = json_stringn(name, bytes);
        append(v->from, single, json_pack("{s:{s:O,s:i}}", "SpecialToken", "id", value, "type_id", 0));
        set(v->from, tokens, json_string_value(value),
            json_pack("{s:O,s:[i],s:[O]}", "id", value, "ids", ids[i], "tokens", value));
        json_decref(value);
    }
    json_t *template = json_pack("{s:s,s:O,s:O,s:o}", "type", "TemplateProcessing", "single", single, "pair", single,
                                 "special_tokens", tokens);
    json_decref(single);
    set(v->from, root, "post_processor", template);
}

enum bn_result bn_folder_tokenizer(struct bn_folder_source *from, json_t **out)
{
    struct vocabulary v = {.from = from, .info = bn_tokenizer_get_info(from->source->model->tokenizer)};
    json_t *root = json_object(), *model = json_object();
    *out = root;
    set(from, root, "version", json_string("1.0"));
    set(from, root, "model", model);
    set(from, model, "type", json_string("BPE"));
    set(from, model, "dropout", json_null());
    v.pieces = strcmp(v.info->model, "llama") == 0;
    if (strcmp(v.info->model, "t5") == 0 || (v.pieces && !flag_of(&v, "bitnet.by_merges", false)))
        return refuse(from, "tokenizer.ggml.scores",
                      "a vocabulary of SentencePiece by scores, which tokenizer.json does not hold as they are");
    enum bn_result result =
        bn_gguf_get_array(keys_of(from), "tokenizer.ggml.tokens", true, BN_GGUF_STRING, &v.tokens, from->err);
    if (result == BN_OK)
        result = bn_gguf_get_integers(keys_of(from), "tokenizer.ggml.token_type", false, &v.types, from->err);
    if (result == BN_OK)
        result = v.pieces ? set_pieces(&v, root, model) : set_byte_level(&v, root, model);
    if (result == BN_OK)
        result = set_tokens(&v, root, model);
    if (result == BN_OK)
        result = set_merges(&v, model);
    if (result == BN_OK)
        set_template(&v, root);
    return result;
}
