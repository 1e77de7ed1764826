// tokenizer.json: the vocabulary, the merges, and which pre-tokeniser is meant.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/hf_reader.h"

#define FILLER_BYTES 16
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *regex, *name;
} pre_tokenisers[] = {
#define BN_HF_PRE(regex, name) {regex, name},
#include "runtime/model/hf_pre.inl"
#undef BN_HF_PRE
};

static enum bn_result refuse(const struct bn_hf_reader *r, const char *subject, const char *what, struct bn_str value)
{
    char text[160];
    return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, subject, "%s \"%s\"", what,
                        bn_str_text(value, text, sizeof(text)));
}

static bool absent_or_empty(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return bn_json_absent(object, name) || (json_is_string(value) && json_string_length(value) == 0);
}

static bool is_byte_level(const json_t *step)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    const json_t *list = json_object_get(step, "pretokenizers");
    bool found = type && strcmp(type, "ByteLevel") == 0;
    for (size_t i = 0; i < json_array_size(list) && !found; i++)
        found = is_byte_level(json_array_get(list, i));
    return found;
}

// Which tokenizer it is, and that it has no feature that is not built.
static enum bn_result check_model(struct bn_hf_reader *r)
{
    struct bn_str type = {"BPE", 3};
    bool whole = false;
    enum bn_result result = bn_json_object(r->json, r->json->root, "model", true, &r->model);
    if (result == BN_OK)
        result = bn_json_str(r->json, r->model, "type", false, &type);
    if (result == BN_OK && !bn_str_is(type, "BPE") && !bn_str_is(type, "Unigram"))
        result = refuse(r, "model.type", "this build has no tokenizer of the kind", type);
    if (result == BN_OK)
        result = bn_json_bool(r->json, r->model, "byte_fallback", false, &r->byte_fallback);
    if (result == BN_OK)
        result = bn_json_bool(r->json, r->model, "ignore_merges", false, &whole);
    if (result != BN_OK)
        return result;
    bool byte_level = is_byte_level(json_object_get(r->json->root, "pre_tokenizer"));
    r->kind = bn_str_is(type, "Unigram") ? UNIGRAM : byte_level ? BYTE_LEVEL : PIECES;
    if (r->kind == BYTE_LEVEL && r->byte_fallback)
        return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "model.byte_fallback", "with a pre-tokeniser of bytes");
    if (r->kind == PIECES && (!r->byte_fallback || whole))
        return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, whole ? "model.ignore_merges" : "model.byte_fallback",
                            "%s is not supported for a vocabulary of SentencePiece", whole ? "true" : "false");
    const char *const unused[] = {"continuing_subword_prefix", "end_of_word_suffix", "dropout"};
    for (size_t i = 0; i < COUNT(unused) && result == BN_OK; i++)
        if (!absent_or_empty(r->model, unused[i]))
            result = bn_json_fail(r->json, BN_ERR_UNSUPPORTED, unused[i], "is not supported, only null is");
    if (result == BN_OK)
        result = r->kind == UNIGRAM ? bn_json_array(r->json, r->model, "vocab", true, &r->vocab)
                                    : bn_json_object(r->json, r->model, "vocab", true, &r->vocab);
    if (result == BN_OK)
        result = bn_json_array(r->json, r->json->root, "added_tokens", false, &r->added);
    if (r->kind == BYTE_LEVEL)
        bn_key_bool(r->blob, "bitnet.ignore_merges", whole);
    return result;
}

// Of byte-level vocabularies.
static enum bn_result read_normaliser(const struct bn_hf_reader *r)
{
    json_t *normalizer;
    struct bn_str type = {0};
    enum bn_result result = bn_json_object(r->json, r->json->root, "normalizer", false, &normalizer);
    if (result == BN_OK && normalizer)
        result = bn_json_str(r->json, normalizer, "type", true, &type);
    if (result == BN_OK && normalizer && !bn_str_is(type, "NFC"))
        return refuse(r, "normalizer", "is of a type that is not supported:", type);
    bn_key_bool(r->blob, "bitnet.nfc", normalizer != NULL);
    return result;
}

// One step of the pre-tokeniser.
static enum bn_result read_step(const struct bn_hf_reader *r, const json_t *step, struct bn_str *regex, bool *own)
{
    struct bn_str type = {0}, behavior = {0};
    json_t *pattern;
    enum bn_result result = bn_json_str(r->json, step, "type", true, &type);
    if (result != BN_OK)
        return result;
    if (bn_str_is(type, "ByteLevel")) {
        bool prefix = false;
        *own = true;
        result = bn_json_bool(r->json, step, "add_prefix_space", false, &prefix);
        if (result == BN_OK)
            result = bn_json_bool(r->json, step, "use_regex", false, own);
        if (result == BN_OK && prefix)
            result = bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "add_prefix_space", "is not supported, only false is");
        return result;
    }
    bool inverted = false;
    if (!bn_str_is(type, "Split") || regex->data)
        return refuse(r, "pre_tokenizer", "is of a type that is not supported:", type);
    result = bn_json_object(r->json, step, "pattern", true, &pattern);
    if (result == BN_OK)
        result = bn_json_str(r->json, pattern, "Regex", true, regex);
    if (result == BN_OK)
        result = bn_json_str(r->json, step, "behavior", true, &behavior);
    if (result == BN_OK)
        result = bn_json_bool(r->json, step, "invert", false, &inverted);
    if (result == BN_OK && (inverted || !bn_str_is(behavior, "Isolated")))
        result = refuse(r, "pre_tokenizer", "a Split of this behaviour is not supported:", behavior);
    return result;
}

static enum bn_result read_pre(struct bn_hf_reader *r)
{
    json_t *pre, *steps = NULL;
    struct bn_str type = {0}, regex = {0};
    bool own = false;
    enum bn_result result = bn_json_object(r->json, r->json->root, "pre_tokenizer", true, &pre);
    if (result == BN_OK)
        result = bn_json_str(r->json, pre, "type", true, &type);
    bool sequence = bn_str_is(type, "Sequence");
    if (result == BN_OK && sequence)
        result = bn_json_array(r->json, pre, "pretokenizers", true, &steps);
    for (size_t i = 0; i < (sequence ? json_array_size(steps) : 1) && result == BN_OK; i++)
        result = read_step(r, sequence ? json_array_get(steps, i) : pre, &regex, &own);
    if (result != BN_OK)
        return result;
    for (size_t i = 0; i < COUNT(pre_tokenisers); i++) {
        if (bn_str_is(regex, pre_tokenisers[i].regex) && own == (regex.bytes == 0)) {
            const char *name = pre_tokenisers[i].name;
            bn_key_str(r->blob, "tokenizer.ggml.pre", (struct bn_str){name, strlen(name)});
            return BN_OK;
        }
    }
    return refuse(r, "pre_tokenizer", "its pattern is not known:", regex);
}

static enum bn_result read_processor(struct bn_hf_reader *r, const json_t *processor, int depth);

// What is put before and behind a text.
static enum bn_result read_template(struct bn_hf_reader *r, const json_t *processor)
{
    json_t *single, *tokens;
    enum bn_result result = bn_json_array(r->json, processor, "single", true, &single);
    if (result == BN_OK)
        result = bn_json_object(r->json, processor, "special_tokens", true, &tokens);
    bool behind = false;
    r->has_template = true;
    for (size_t i = 0; result == BN_OK && i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        behind = behind || !special;
        if (!special)
            continue;
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *id = json_array_get(json_object_get(json_object_get(tokens, name ? name : ""), "ids"), 0);
        bool again = behind ? r->add_eos : i > 0;
        if (again || !json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "post_processor",
                                "only a text with one special token before it and one behind it is supported");
        *(behind ? &r->eos : &r->bos) = json_integer_value(id);
        *(behind ? &r->add_eos : &r->add_bos) = true;
    }
    return result;
}

static enum bn_result read_processor(struct bn_hf_reader *r, const json_t *processor, int depth)
{
    struct bn_str type = {0};
    json_t *list;
    enum bn_result result = bn_json_str(r->json, processor, "type", true, &type);
    if (result != BN_OK || bn_str_is(type, "ByteLevel"))
        return result;
    if (bn_str_is(type, "TemplateProcessing"))
        return read_template(r, processor);
    if (!bn_str_is(type, "Sequence") || depth > 0)
        return refuse(r, "post_processor", "is of a type that is not supported:", type);
    result = bn_json_array(r->json, processor, "processors", true, &list);
    for (size_t i = 0; result == BN_OK && i < json_array_size(list); i++)
        result = read_processor(r, json_array_get(list, i), depth + 1);
    return result;
}

static enum bn_result read_id(const struct bn_hf_reader *r, const char *subject, const json_t *value, uint32_t *id)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= MAX_VOCAB)
        return bn_json_fail(r->json, BN_ERR_MODEL, subject, "expected an id of at most %u", MAX_VOCAB - 1);
    *id = (uint32_t)json_integer_value(value);
    return BN_OK;
}

// Whether the token is found in a text in another way than by its text alone.
enum bn_result bn_hf_check_added(const struct bn_hf_reader *r, const json_t *entry, struct bn_str text, bool special)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < COUNT(flags) && result == BN_OK; i++) {
        bool set = false;
        result = bn_json_bool(r->json, entry, flags[i], false, &set);
        bool harmless = i == 3 && (special || r->pieces.prefix != BN_HF_PREFIX_PREPEND);
        char name[64];
        if (result == BN_OK && set && !harmless)
            result = bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "added_tokens", "%s of \"%s\" is not supported",
                                  flags[i], bn_str_text(text, name, sizeof(name)));
    }
    return result;
}

// An added token's id, text and type.
static enum bn_result read_added(const struct bn_hf_reader *r, size_t i, uint32_t *id, struct bn_str *text,
                                 int32_t *type)
{
    const json_t *entry = json_array_get(r->added, i);
    bool special = false;
    enum bn_result result = read_id(r, "added_tokens", json_object_get(entry, "id"), id);
    if (result == BN_OK)
        result = bn_json_str(r->json, entry, "content", true, text);
    if (result == BN_OK)
        result = bn_json_bool(r->json, entry, "special", false, &special);
    if (result == BN_OK)
        result = bn_hf_check_added(r, entry, *text, special);
    *type = special ? CONTROL : USER;
    return result;
}

// Calls for each entry of the vocabulary: an object from texts to ids, or an array of texts with scores.
static enum bn_result each_token(struct bn_hf_reader *r,
                                 enum bn_result (*take)(struct bn_hf_reader *r, uint32_t id, struct bn_str text))
{
    const char *name;
    json_t *value;
    uint32_t id = 0;
    enum bn_result result = BN_OK;
    for (size_t i = 0; r->kind == UNIGRAM && i < json_array_size(r->vocab) && result == BN_OK; i++) {
        const json_t *text = json_array_get(json_array_get(r->vocab, i), 0);
        if (!json_is_string(text) || !json_is_number(json_array_get(json_array_get(r->vocab, i), 1)))
            return bn_json_fail(r->json, BN_ERR_MODEL, "model.vocab", "entry %zu is not a text with a score", i);
        result = i >= MAX_VOCAB ? bn_json_fail(r->json, BN_ERR_MODEL, "model.vocab", "more than %u tokens", MAX_VOCAB)
                                : take(r, (uint32_t)i, bn_json_text(text));
    }
    if (r->kind == UNIGRAM)
        return result;
    json_object_foreach(r->vocab, name, value)
    {
        if (result == BN_OK)
            result = read_id(r, "model.vocab", value, &id);
        if (result == BN_OK)
            result = take(r, id, (struct bn_str){name, strlen(name)});
    }
    return result;
}

// While it counts, n_tokens is one more than the largest id.
static enum bn_result count_token(struct bn_hf_reader *r, uint32_t id, struct bn_str text)
{
    r->n_tokens = id >= r->n_tokens ? id + 1 : r->n_tokens;
    return BN_OK;
}

static enum bn_result count_tokens(struct bn_hf_reader *r)
{
    enum bn_result result = each_token(r, count_token);
    for (size_t i = 0; i < json_array_size(r->added) && result == BN_OK; i++) {
        uint32_t id;
        struct bn_str text;
        int32_t type;
        result = read_added(r, i, &id, &text, &type);
        if (result == BN_OK)
            result = count_token(r, id, text);
    }
    if (result != BN_OK)
        return result;
    size_t listed =
        (r->kind == UNIGRAM ? json_array_size(r->vocab) : json_object_size(r->vocab)) + json_array_size(r->added);
    uint32_t most = r->n_tokens;
    r->n_tokens = r->config->n_vocab;
    if (most > r->n_tokens)
        return bn_json_fail(r->json, BN_ERR_MODEL, "model.vocab",
                            "the id %" PRIu32 ", but the model has %" PRIu32 " tokens (vocab_size of config.json)",
                            most - 1, r->n_tokens);
    if (r->n_tokens > MAX_VOCAB || r->n_tokens > listed + MAX_FILLERS)
        return bn_json_fail(r->json, BN_ERR_MODEL, "model.vocab",
                            "%zu tokens, but the model has %" PRIu32 " (vocab_size of config.json)", listed,
                            r->n_tokens);
    return BN_OK;
}

static enum bn_result put_token(struct bn_hf_reader *r, uint32_t id, struct bn_str text, int32_t type)
{
    struct bn_str *token = &r->tokens[id];
    if (token->data && type == NORMAL)
        return bn_json_fail(r->json, BN_ERR_MODEL, "model.vocab", "two tokens have the id %" PRIu32, id);
    if (token->data && (token->bytes != text.bytes || memcmp(token->data, text.data, text.bytes) != 0))
        return bn_json_fail(r->json, BN_ERR_MODEL, "added_tokens", "two tokens have the id %" PRIu32, id);
    *token = text;
    r->types[id] = type;
    return BN_OK;
}

static bool is_byte(struct bn_str text)
{
    return text.bytes == 6 && memcmp(text.data, "<0x", 3) == 0 && text.data[5] == '>';
}

static enum bn_result take_token(struct bn_hf_reader *r, uint32_t id, struct bn_str text)
{
    int32_t type = r->byte_fallback && is_byte(text) ? BYTE : NORMAL;
    const char *inner = text.bytes > 3 && r->pieces.splits ? memmem(text.data + 1, text.bytes - 1, MARK, 3) : NULL;
    if (inner)
        return refuse(r, "pre_tokenizer", "a Metaspace that splits, but a token has a space inside:", text);
    enum bn_result result = put_token(r, id, text, NORMAL);
    if (result == BN_OK)
        r->types[id] = type;
    return result;
}

// The texts of SentencePiece's user-defined tokens are looked for as they are, so they need their spaces.
static void space_token(struct bn_hf_reader *r, uint32_t id, size_t *used)
{
    struct bn_str *token = &r->tokens[id];
    char *to = r->spaced + *used;
    size_t n = 0;
    for (size_t i = 0; i < token->bytes; n++) {
        bool mark = token->bytes - i >= 3 && memcmp(token->data + i, MARK, 3) == 0;
        to[n] = mark ? ' ' : token->data[i];
        i += mark ? 3 : 1;
    }
    *token = (struct bn_str){to, n};
    *used += n;
}

enum bn_result bn_hf_space_tokens(struct bn_hf_reader *r)
{
    size_t bytes = 1, used = 0;
    for (uint32_t i = 0; i < r->n_tokens; i++)
        bytes += r->types[i] == USER ? r->tokens[i].bytes : 0;
    r->spaced = bn_alloc(r->host, bytes);
    if (!r->spaced)
        return bn_fail_memory(r->json->err, bytes, "the user-defined tokens");
    for (uint32_t i = 0; i < r->n_tokens; i++)
        if (r->types[i] == USER)
            space_token(r, i, &used);
    return BN_OK;
}

// The token for what no other covers: by its text, or of Unigram by its id.
static enum bn_result find_unknown(struct bn_hf_reader *r)
{
    struct bn_str text = {0};
    uint32_t id = 0;
    enum bn_result result = bn_json_str(r->json, r->model, "unk_token", false, &text);
    if (result == BN_OK && r->kind == UNIGRAM && !bn_json_absent(r->model, "unk_id")) {
        result = bn_json_u32(r->json, r->model, "unk_id", true, &id);
        if (result == BN_OK && (id >= r->n_tokens || !r->tokens[id].data))
            result = bn_json_fail(r->json, BN_ERR_MODEL, "model.unk_id", "is the id of no token");
        r->unknown = result == BN_OK ? (int64_t)id : -1;
    }
    for (uint32_t i = 0; i < r->n_tokens && r->kind == PIECES && text.data; i++)
        if (r->tokens[i].data && r->tokens[i].bytes == text.bytes &&
            memcmp(r->tokens[i].data, text.data, text.bytes) == 0)
            r->unknown = i;
    if (r->unknown >= 0)
        r->types[r->unknown] = UNKNOWN;
    return result;
}

static enum bn_result read_tokens(struct bn_hf_reader *r)
{
    enum bn_result result = count_tokens(r);
    if (result != BN_OK)
        return result;
    r->tokens = bn_alloc_array(r->host, r->n_tokens, sizeof(*r->tokens));
    r->types = bn_alloc_array(r->host, r->n_tokens, sizeof(*r->types));
    if (!r->tokens || !r->types)
        return bn_fail_memory(r->json->err, r->n_tokens * sizeof(*r->tokens), "the vocabulary");
    result = each_token(r, take_token);
    for (size_t i = 0; i < json_array_size(r->added) && result == BN_OK; i++) {
        uint32_t id;
        struct bn_str text = {0};
        int32_t type;
        result = read_added(r, i, &id, &text, &type);
        if (result == BN_OK)
            result = put_token(r, id, text, type);
    }
    if (result == BN_OK && r->kind != BYTE_LEVEL)
        result = find_unknown(r);
    return result == BN_OK && r->kind != BYTE_LEVEL ? bn_hf_space_tokens(r) : result;
}

void bn_hf_write_tokens(struct bn_hf_reader *r)
{
    char filler[FILLER_BYTES];
    bn_key_array(r->blob, "tokenizer.ggml.tokens", BN_GGUF_STRING, r->n_tokens);
    for (uint32_t i = 0; i < r->n_tokens; i++) {
        int n = snprintf(filler, sizeof(filler), "[PAD%" PRIu32 "]", i);
        bn_key_element_str(r->blob, r->tokens[i].data ? r->tokens[i] : (struct bn_str){filler, (size_t)n});
    }
    bn_key_array(r->blob, "tokenizer.ggml.token_type", BN_GGUF_I32, r->n_tokens);
    for (uint32_t i = 0; i < r->n_tokens; i++)
        bn_key_element_u32(r->blob, (uint32_t)(r->tokens[i].data ? r->types[i] : UNUSED));
}

// A merge is "left right", or of newer versions ["left", "right"].
static enum bn_result write_merge(struct bn_hf_reader *r, size_t i, const json_t *merge)
{
    struct bn_str joined = json_is_string(merge) ? bn_json_text(merge) : (struct bn_str){0};
    if (json_is_string(merge)) {
        bn_key_element_str(r->blob, joined);
        return BN_OK;
    }
    const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
    char text[512];
    size_t a = json_string_length(left), b = json_string_length(right);
    if (json_array_size(merge) != 2 || a == 0 || b == 0 || a + b + 2 > sizeof(text))
        return bn_json_fail(r->json, BN_ERR_MODEL, "model.merges", "merge %zu is not two short texts", i);
    memcpy(text, json_string_value(left), a);
    text[a] = ' ';
    memcpy(text + a + 1, json_string_value(right), b);
    bn_key_element_str(r->blob, (struct bn_str){text, a + 1 + b});
    return BN_OK;
}

static enum bn_result write_merges(struct bn_hf_reader *r)
{
    json_t *merges;
    enum bn_result result = bn_json_array(r->json, r->model, "merges", true, &merges);
    if (result != BN_OK)
        return result;
    bn_key_array(r->blob, "tokenizer.ggml.merges", BN_GGUF_STRING, json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges) && result == BN_OK; i++)
        result = write_merge(r, i, json_array_get(merges, i));
    return result;
}

// What a merge makes, or -1.
static int64_t result_of(const struct bn_hf_reader *r, const json_t *merge)
{
    char text[512];
    size_t n = 0;
    const char *words[2] = {json_string_value(json_array_get(merge, 0)), json_string_value(json_array_get(merge, 1))};
    if (json_is_string(merge)) {
        words[0] = json_string_value(merge);
        words[1] = "";
    }
    for (int w = 0; w < 2; w++)
        for (const char *at = words[w]; at && *at && n + 1 < sizeof(text); at++)
            if (*at != ' ')
                text[n++] = *at;
    text[n] = '\0';
    const json_t *id = json_object_get(r->vocab, text);
    return json_is_integer(id) && json_integer_value(id) < r->n_tokens ? json_integer_value(id) : -1;
}

// Unigram's scores; of SentencePiece's merges minus the place of the first that makes the token, for programs that know no
// merges of such vocabularies.
static enum bn_result write_scores(struct bn_hf_reader *r)
{
    float *scores = bn_alloc_array(r->host, r->n_tokens, sizeof(*scores));
    if (!scores)
        return bn_fail_memory(r->json->err, r->n_tokens * sizeof(*scores), "the scores");
    const json_t *merges = json_object_get(r->model, "merges");
    size_t n = json_array_size(r->kind == UNIGRAM ? r->vocab : merges);
    for (uint32_t i = 0; i < r->n_tokens; i++)
        scores[i] = r->kind == UNIGRAM ? 0 : -(float)(n + 1);
    for (size_t i = n; i-- > 0;) {
        int64_t made = r->kind == UNIGRAM ? (int64_t)i : result_of(r, json_array_get(merges, i));
        if (r->kind == UNIGRAM)
            scores[i] = (float)json_number_value(json_array_get(json_array_get(r->vocab, i), 1));
        else if (made >= 0)
            scores[made] = -(float)i;
    }
    bn_key_array(r->blob, "tokenizer.ggml.scores", BN_GGUF_F32, r->n_tokens);
    for (uint32_t i = 0; i < r->n_tokens; i++) {
        uint32_t bits;
        memcpy(&bits, &scores[i], sizeof(bits));
        bn_key_element_u32(r->blob, bits);
    }
    bn_free(r->host, scores);
    return BN_OK;
}

static void write_pieces(struct bn_hf_reader *r)
{
    static const char *const how[] = {[BN_HF_PREFIX_METASPACE] = "metaspace", [BN_HF_PREFIX_FIRST] = "metaspace-first"};
    const char *prefix = r->pieces.prefix >= BN_HF_PREFIX_METASPACE ? how[r->pieces.prefix] : NULL;
    bn_key_bool(r->blob, "tokenizer.ggml.add_space_prefix", r->pieces.prefix != BN_HF_PREFIX_NONE);
    bn_key_bool(r->blob, "tokenizer.ggml.remove_extra_whitespaces", r->pieces.collapses);
    if (prefix)
        bn_key_str(r->blob, "bitnet.space_prefix", (struct bn_str){prefix, strlen(prefix)});
    if (r->kind == PIECES)
        bn_key_bool(r->blob, "bitnet.by_merges", true);
}

// The id of a token that tokenizer_config.json names: a string, or an object with its content.
int64_t bn_hf_named_id(const struct bn_hf_reader *r, const char *name)
{
    const json_t *value = r->more->root ? json_object_get(r->more->root, name) : NULL;
    value = json_is_object(value) ? json_object_get(value, "content") : value;
    for (uint32_t i = 0; json_is_string(value) && i < r->n_tokens; i++) {
        if (r->tokens[i].data && bn_str_is(r->tokens[i], json_string_value(value)))
            return i;
    }
    return -1;
}

// What the template of the text itself says counts before config.json, which says what the model begins with.
enum bn_result bn_hf_write_roles(struct bn_hf_reader *r)
{
    const struct bn_hf_config *config = r->config;
    enum bn_result result = BN_OK;
    if (!r->has_template && r->more->root)
        result = bn_json_bool(r->more, r->more->root, "add_bos_token", false, &r->add_bos);
    const struct {
        const char *key, *name;
        int64_t id;
    } roles[] = {
        {"tokenizer.ggml.bos_token_id", "bos_token", r->bos >= 0 ? r->bos : config->bos},
        {"tokenizer.ggml.eos_token_id", "eos_token", r->eos >= 0 ? r->eos : config->eos},
        {"tokenizer.ggml.eot_token_id", "", config->eot},
        {"tokenizer.ggml.padding_token_id", "pad_token", config->pad},
    };
    for (size_t i = 0; i < COUNT(roles); i++) {
        int64_t id = roles[i].id < 0 && roles[i].name[0] ? bn_hf_named_id(r, roles[i].name) : roles[i].id;
        if (id >= 0)
            bn_key_u32(r->blob, roles[i].key, (uint32_t)id);
    }
    if (config->n_ends > 0)
        bn_key_array(r->blob, "bitnet.end_token_ids", BN_GGUF_I32, config->n_ends);
    for (uint32_t i = 0; i < config->n_ends; i++)
        bn_key_element_u32(r->blob, (uint32_t)config->ends[i]);
    bn_key_bool(r->blob, "tokenizer.ggml.add_bos_token", r->add_bos);
    if (r->add_eos)
        bn_key_bool(r->blob, "tokenizer.ggml.add_eos_token", true);
    return result;
}

// One template, or a list of them with names.
void bn_hf_write_chat_template(struct bn_hf_reader *r, struct bn_str chat_template)
{
    const json_t *value = r->more->root ? json_object_get(r->more->root, "chat_template") : NULL;
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, "default") == 0 && json_is_string(json_object_get(entry, "template")))
            value = json_object_get(entry, "template");
    }
    if (chat_template.bytes == 0 && json_is_string(value))
        chat_template = bn_json_text(value);
    if (chat_template.bytes)
        bn_key_str(r->blob, "tokenizer.chat_template", chat_template);
}

// The kind of tokenizer, and what it does to a text before it is cut into tokens.
static enum bn_result read_kind(struct bn_hf_reader *r)
{
    static const char *const names[] = {[BYTE_LEVEL] = "gpt2", [PIECES] = "llama", [UNIGRAM] = "t5"};
    enum bn_result result = check_model(r);
    if (result != BN_OK)
        return result;
    bn_key_str(r->blob, "tokenizer.ggml.model", (struct bn_str){names[r->kind], strlen(names[r->kind])});
    if (r->kind != BYTE_LEVEL) {
        result = bn_hf_read_pieces(r->json, &r->pieces);
        write_pieces(r);
        return result != BN_OK || r->kind == UNIGRAM || !r->pieces.collapses
                   ? result
                   : bn_json_fail(r->json, BN_ERR_UNSUPPORTED, "normalizer", "runs of spaces become one");
    }
    result = read_normaliser(r);
    return result == BN_OK ? read_pre(r) : result;
}

static enum bn_result read_all(struct bn_hf_reader *r, struct bn_str chat_template)
{
    json_t *processor;
    enum bn_result result = read_kind(r);
    if (result == BN_OK)
        result = bn_json_object(r->json, r->json->root, "post_processor", false, &processor);
    if (result == BN_OK && processor)
        result = read_processor(r, processor, 0);
    if (result == BN_OK)
        result = read_tokens(r);
    if (result != BN_OK)
        return result;
    bn_hf_write_tokens(r);
    if (r->kind != UNIGRAM)
        result = write_merges(r);
    if (result == BN_OK && r->kind != BYTE_LEVEL)
        result = write_scores(r);
    if (result == BN_OK)
        result = bn_hf_write_roles(r);
    bn_hf_write_chat_template(r, chat_template);
    return result;
}

enum bn_result bn_hf_read_tokenizer(const struct bn_hf_config *config, const struct bn_host *host,
                                    const struct bn_json *json, const struct bn_json *more, struct bn_str chat_template,
                                    struct bn_key_blob *blob)
{
    struct bn_hf_reader r = {.config = config, .host = host, .json = json, .more = more, .blob = blob};
    r.unknown = r.bos = r.eos = -1;
    enum bn_result result = read_all(&r, chat_template);
    bn_free(host, r.tokens);
    bn_free(host, r.types);
    bn_free(host, r.spaced);
    return result;
}
