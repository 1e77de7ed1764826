// tokenizer.model: a vocabulary as SentencePiece itself stores it, a message of protocol buffers (sentencepiece_model.proto).
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/protobuf.h"
#include "runtime/model/hf_reader.h"

// Numbers of the fields that count.
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_KIND = 3,
    TRAINER_SUFFIX = 24,
    TRAINER_BYTES = 35,
    TRAINER_UNKNOWN = 40,
    TRAINER_BOS = 41,
    TRAINER_EOS = 42
};
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_COLLAPSE = 4, NORMALIZER_ESCAPE = 5 };
enum { KIND_UNIGRAM = 1, KIND_BPE = 2 };

struct model {
    struct bn_hf_reader r;
    float *scores; // [n_tokens]
    uint32_t n_pieces;
    uint64_t kind, unknown, bos, eos; // of the trainer; ids that are off are 2^64 - 1
    bool prefix, collapses, suffix;
    struct bn_str charsmap;
};

static enum bn_result fail(const struct model *m, enum bn_result code, const char *subject, const char *why)
{
    return bn_json_fail(m->r.json, code, subject, "%s", why);
}

static enum bn_result not_a_model(const struct model *m)
{
    return fail(m, BN_ERR_MODEL, NULL, "is not a SentencePiece model: the message is cut or damaged");
}

static enum bn_result read_trainer(struct model *m, struct bn_str message)
{
    struct bn_protobuf left = bn_protobuf_of(message);
    struct bn_protobuf_field field;
    enum bn_protobuf_step step;
    while ((step = bn_protobuf_next(&left, &field)) == BN_PB_FIELD) {
        if (field.kind != BN_PB_VARINT)
            continue;
        switch (field.number) {
        case TRAINER_KIND:
            m->kind = field.value;
            break;
        case TRAINER_SUFFIX:
            m->suffix = field.value != 0;
            break;
        case TRAINER_BYTES:
            m->r.byte_fallback = field.value != 0;
            break;
        case TRAINER_UNKNOWN:
            m->unknown = field.value;
            break;
        case TRAINER_BOS:
            m->bos = field.value;
            break;
        case TRAINER_EOS:
            m->eos = field.value;
            break;
        }
    }
    return step == BN_PB_END ? BN_OK : not_a_model(m);
}

static enum bn_result read_normaliser(struct model *m, struct bn_str message)
{
    struct bn_protobuf left = bn_protobuf_of(message);
    struct bn_protobuf_field field;
    enum bn_protobuf_step step;
    bool escapes = true;
    while ((step = bn_protobuf_next(&left, &field)) == BN_PB_FIELD) {
        if (field.number == NORMALIZER_CHARSMAP && field.kind == BN_PB_BYTES)
            m->charsmap = field.bytes;
        if (field.kind != BN_PB_VARINT)
            continue;
        if (field.number == NORMALIZER_PREFIX)
            m->prefix = field.value != 0;
        if (field.number == NORMALIZER_COLLAPSE)
            m->collapses = field.value != 0;
        if (field.number == NORMALIZER_ESCAPE)
            escapes = field.value != 0;
    }
    if (step != BN_PB_END)
        return not_a_model(m);
    return escapes ? BN_OK
                   : fail(m, BN_ERR_UNSUPPORTED, "normalizer_spec.escape_whitespaces", "false is not supported");
}

// A piece, as it is (the first pass knows only how many there are).
static enum bn_result read_piece(struct model *m, struct bn_str message)
{
    struct bn_protobuf left = bn_protobuf_of(message);
    struct bn_protobuf_field field;
    enum bn_protobuf_step step;
    uint32_t id = m->n_pieces++, score = 0;
    struct bn_str text = {"", 0};
    uint64_t type = NORMAL;
    while ((step = bn_protobuf_next(&left, &field)) == BN_PB_FIELD) {
        if (field.number == PIECE_TEXT && field.kind == BN_PB_BYTES)
            text = field.bytes;
        if (field.number == PIECE_SCORE && field.kind == BN_PB_32)
            score = (uint32_t)field.value;
        if (field.number == PIECE_TYPE && field.kind == BN_PB_VARINT)
            type = field.value;
    }
    if (step != BN_PB_END || m->n_pieces > MAX_VOCAB)
        return not_a_model(m);
    if (type < NORMAL || type > BYTE)
        return bn_json_fail(m->r.json, BN_ERR_MODEL, "pieces", "piece %" PRIu32 " is of the unknown type %" PRIu64, id,
                            type);
    if (!m->r.tokens)
        return BN_OK;
    m->r.tokens[id] = text;
    m->r.types[id] = (int32_t)type;
    memcpy(&m->scores[id], &score, sizeof(score));
    return BN_OK;
}

static enum bn_result read_message(struct model *m, struct bn_str message)
{
    struct bn_protobuf left = bn_protobuf_of(message);
    struct bn_protobuf_field field;
    enum bn_protobuf_step step;
    enum bn_result result = BN_OK;
    m->n_pieces = 0;
    while (result == BN_OK && (step = bn_protobuf_next(&left, &field)) == BN_PB_FIELD) {
        if (field.kind != BN_PB_BYTES)
            continue;
        if (field.number == MODEL_PIECE)
            result = read_piece(m, field.bytes);
        if (field.number == MODEL_TRAINER)
            result = read_trainer(m, field.bytes);
        if (field.number == MODEL_NORMALIZER)
            result = read_normaliser(m, field.bytes);
    }
    if (result != BN_OK)
        return result;
    return step == BN_PB_END && m->n_pieces ? BN_OK : not_a_model(m);
}

static enum bn_result check(const struct model *m)
{
    const uint32_t n_vocab = m->r.config->n_vocab;
    if (m->kind != KIND_UNIGRAM && m->kind != KIND_BPE)
        return fail(m, BN_ERR_UNSUPPORTED, "trainer_spec.model_type", "only unigram and BPE are supported");
    if (m->suffix)
        return fail(m, BN_ERR_UNSUPPORTED, "trainer_spec.treat_whitespace_as_suffix", "true is not supported");
    if (m->charsmap.bytes)
        return fail(m, BN_ERR_UNSUPPORTED, "normalizer_spec.precompiled_charsmap",
                    "a normaliser with a map of characters is not supported, only identity is");
    if (m->kind == KIND_BPE && m->collapses)
        return fail(m, BN_ERR_UNSUPPORTED, "normalizer_spec.remove_extra_whitespaces",
                    "true is not supported with BPE");
    if (m->n_pieces > n_vocab || n_vocab - m->n_pieces > MAX_FILLERS)
        return bn_json_fail(m->r.json, BN_ERR_MODEL, "pieces",
                            "%" PRIu32 " pieces, but the model has %" PRIu32 " tokens (vocab_size of config.json)",
                            m->n_pieces, n_vocab);
    return BN_OK;
}

// Whether tokenizer_config.json gives the text a role: then it is a control token.
static bool has_role(const struct bn_hf_reader *r, const char *text)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        const json_t *value = r->more->root ? json_object_get(r->more->root, roles[i]) : NULL;
        value = json_is_object(value) ? json_object_get(value, "content") : value;
        if (json_is_string(value) && strcmp(json_string_value(value), text) == 0)
            return true;
    }
    return false;
}

static enum bn_result add_token(struct model *m, int64_t id, const json_t *text, bool special)
{
    if (id < 0 || id >= (int64_t)m->r.n_tokens || !json_is_string(text))
        return fail(m, BN_ERR_MODEL, "added tokens", "one has no text, or an id that the model does not have");
    struct bn_str *token = &m->r.tokens[id], content = bn_json_text(text);
    if (id < (int64_t)m->n_pieces &&
        (token->bytes != content.bytes || memcmp(token->data, content.data, content.bytes)))
        return fail(m, BN_ERR_MODEL, "added tokens", "one has the id of another piece");
    if (id < (int64_t)m->n_pieces)
        return BN_OK; // the model says itself what it is
    *token = content;
    m->r.types[id] = special || has_role(&m->r, json_string_value(text)) ? CONTROL : USER;
    return BN_OK;
}

// Those of tokenizer_config.json, by their ids; of older folders those of added_tokens.json, by their texts.
static enum bn_result read_added(struct model *m, const struct bn_json *older)
{
    json_t *list = NULL, *entry;
    const char *name;
    enum bn_result result = BN_OK;
    if (m->r.more->root)
        result = bn_json_object(m->r.more, m->r.more->root, "added_tokens_decoder", false, &list);
    json_object_foreach(list, name, entry)
    {
        char *end;
        long id = strtol(name, &end, 10);
        const json_t *text = json_object_get(entry, "content");
        bool special = json_is_true(json_object_get(entry, "special"));
        if (result == BN_OK)
            result = add_token(m, *end ? -1 : id, text, special);
        if (result == BN_OK && id >= (long)m->n_pieces)
            result = bn_hf_check_added(&m->r, entry, bn_json_text(text), special);
    }
    json_object_foreach(older->root, name, entry)
    {
        json_t *text = json_string(name);
        if (result == BN_OK && !text)
            result = bn_fail_memory(m->r.json->err, strlen(name), "an added token");
        int64_t id = json_is_integer(entry) ? json_integer_value(entry) : -1;
        if (result == BN_OK &&
            (id < 0 || id >= (int64_t)m->r.n_tokens || id < (int64_t)m->n_pieces || !m->r.tokens[id].data))
            result = add_token(m, id, text, false);
        if (result == BN_OK && id >= (int64_t)m->n_pieces && m->r.tokens[id].data == json_string_value(text))
            m->r.tokens[id].data = name; // which lives as long as the file
        json_decref(text);
    }
    return result;
}

// Pieces that SentencePiece looks for as they are must not be empty; the others decide what is wrong themselves.
static enum bn_result read_tokens(struct model *m, struct bn_str message, const struct bn_json *older)
{
    struct bn_hf_reader *r = &m->r;
    r->n_tokens = r->config->n_vocab;
    r->tokens = bn_alloc_array(r->host, r->n_tokens, sizeof(*r->tokens));
    r->types = bn_alloc_array(r->host, r->n_tokens, sizeof(*r->types));
    m->scores = bn_alloc_array(r->host, r->n_tokens, sizeof(*m->scores));
    if (!r->tokens || !r->types || !m->scores)
        return bn_fail_memory(r->json->err, r->n_tokens * sizeof(*r->tokens), "the vocabulary");
    enum bn_result result = read_message(m, message);
    if (result == BN_OK)
        result = read_added(m, older);
    return result == BN_OK ? bn_hf_space_tokens(r) : result;
}

static void write_scores(struct model *m)
{
    bn_key_array(m->r.blob, "tokenizer.ggml.scores", BN_GGUF_F32, m->r.n_tokens);
    for (uint32_t i = 0; i < m->r.n_tokens; i++) {
        uint32_t bits;
        memcpy(&bits, &m->scores[i], sizeof(bits));
        bn_key_element_u32(m->r.blob, bits);
    }
}

// A role that neither config.json nor tokenizer_config.json gives.
static int64_t role(const struct model *m, int64_t configured, const char *name, uint64_t own)
{
    bool open = configured < 0 && bn_hf_named_id(&m->r, name) < 0;
    return open && own < m->n_pieces ? (int64_t)own : -1;
}

static enum bn_result write(struct model *m, struct bn_str chat_template)
{
    struct bn_hf_reader *r = &m->r;
    bool bpe = m->kind == KIND_BPE;
    bn_key_str(r->blob, "tokenizer.ggml.model", bpe ? (struct bn_str){"llama", 5} : (struct bn_str){"t5", 2});
    bn_key_bool(r->blob, "tokenizer.ggml.add_space_prefix", m->prefix);
    bn_key_bool(r->blob, "tokenizer.ggml.remove_extra_whitespaces", m->collapses);
    bn_hf_write_tokens(r);
    write_scores(m);
    r->bos = role(m, r->config->bos, "bos_token", m->bos);
    r->eos = role(m, r->config->eos, "eos_token", m->eos);
    r->add_bos = bpe; // as transformers' class for it does, unless tokenizer_config.json says otherwise
    enum bn_result result = bn_hf_write_roles(r);
    bn_hf_write_chat_template(r, chat_template);
    return result;
}

enum bn_result bn_hf_read_sentencepiece(const struct bn_hf_config *config, const struct bn_host *host, const char *file,
                                        struct bn_str message, const struct bn_json *more, const struct bn_json *added,
                                        struct bn_str chat_template, struct bn_key_blob *blob, struct bn_error *err)
{
    const struct bn_json name = {.file = file, .err = err};
    struct model m = {.kind = KIND_UNIGRAM, .bos = 1, .eos = 2, .prefix = true, .collapses = true};
    m.r = (struct bn_hf_reader){.config = config, .host = host, .json = &name, .more = more, .blob = blob};
    m.r.unknown = m.r.bos = m.r.eos = -1;
    enum bn_result result = read_message(&m, message);
    if (result == BN_OK)
        result = check(&m);
    if (result == BN_OK)
        result = read_tokens(&m, message, added);
    if (result == BN_OK)
        result = write(&m, chat_template);
    bn_free(host, m.r.tokens);
    bn_free(host, m.r.types);
    bn_free(host, m.r.spaced);
    bn_free(host, m.scores);
    return result;
}
