#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/load.h"
#include "runtime/text/tokenizer.h"

#define MAX_VOCAB (1u << 24)

enum { BN_NORMAL = 1, BN_BYTE = 6 }; // of tokenizer.ggml.token_type

static enum bn_result read_strings(struct bn_load *load, const char *name, bool required, struct bn_str **out,
                                   size_t *count)
{
    const struct bn_gguf_key *key;
    *out = NULL;
    *count = 0;
    enum bn_result result = bn_gguf_get_array(load->gguf, name, required, BN_GGUF_STRING, &key, load->err);
    if (!key)
        return result;
    if (key->count > MAX_VOCAB)
        return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &key->name, key->offset, load->err,
                            "%" PRIu64 " entries, expected at most %u", key->count, MAX_VOCAB);
    struct bn_str *list = bn_alloc_array(load->model->host, key->count, sizeof(*list));
    if (!list)
        return bn_fail_memory(load->err, key->count * sizeof(*list), "the vocabulary");
    const uint8_t *at = key->data;
    for (uint64_t i = 0; i < key->count; i++)
        list[i] = bn_gguf_next_str(&at);
    *out = list;
    *count = (size_t)key->count;
    return BN_OK;
}

// An array with an entry of four bytes for each token; NULL in *out if it is absent.
static enum bn_result read_words(struct bn_load *load, const char *name, enum bn_gguf_type type, size_t n_tokens,
                                 void **out)
{
    const struct bn_gguf_key *key;
    *out = NULL;
    enum bn_result result = bn_gguf_get_array(load->gguf, name, false, type, &key, load->err);
    if (!key)
        return result;
    if (key->count != n_tokens)
        return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &key->name, key->offset, load->err,
                            "%" PRIu64 " entries for %zu tokens", key->count, n_tokens);
    *out = bn_alloc_array(load->model->host, n_tokens, 4); // a copy: in the file they may be unaligned
    if (!*out)
        return bn_fail_memory(load->err, n_tokens * 4, "the vocabulary");
    memcpy(*out, key->data, n_tokens * 4);
    return BN_OK;
}

static enum bn_result read_ends(struct bn_load *load, void **ends, size_t *n)
{
    const struct bn_gguf_key *key;
    enum bn_result result = bn_gguf_get_array(load->gguf, "bitnet.end_token_ids", false, BN_GGUF_I32, &key, load->err);
    *n = key ? (size_t)key->count : 0;
    return key ? read_words(load, "bitnet.end_token_ids", BN_GGUF_I32, *n, ends) : result;
}

static enum bn_result read_id(struct bn_load *load, const char *name, size_t n_tokens, int64_t *id)
{
    *id = -1;
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, name);
    if (!key)
        return BN_OK;
    enum bn_result result = bn_gguf_get_i64(load->gguf, name, true, id, load->err);
    if (result == BN_OK && (*id < 0 || (uint64_t)*id >= n_tokens))
        result = bn_gguf_fail(load->gguf, BN_ERR_MODEL, &key->name, key->offset, load->err,
                              "the id %" PRId64 " is outside the vocabulary of %zu tokens", *id, n_tokens);
    return result;
}

static enum bn_result read_ids(struct bn_load *load, struct bn_vocab *vocab)
{
    const struct {
        const char *name;
        int64_t *id;
    } ids[] = {
        {"tokenizer.ggml.bos_token_id", &vocab->bos},
        {"tokenizer.ggml.eos_token_id", &vocab->eos},
        {"tokenizer.ggml.eot_token_id", &vocab->eot},
        {"tokenizer.ggml.padding_token_id", &vocab->pad},
    };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        enum bn_result result = read_id(load, ids[i].name, vocab->n_tokens, ids[i].id);
        if (result != BN_OK)
            return result;
    }
    int by_merges;
    const struct {
        const char *name;
        int *value;
    } flags[] = {
        {"tokenizer.ggml.add_bos_token", &vocab->add_bos},
        {"tokenizer.ggml.add_eos_token", &vocab->add_eos},
        {"tokenizer.ggml.add_space_prefix", &vocab->add_space_prefix},
        {"tokenizer.ggml.remove_extra_whitespaces", &vocab->remove_extra_whitespaces},
        {"bitnet.ignore_merges", &vocab->ignore_merges},
        {"bitnet.nfc", &vocab->nfc},
        {"bitnet.by_merges", &by_merges},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        bool flag;
        *flags[i].value = -1;
        if (!bn_gguf_find(load->gguf, flags[i].name))
            continue;
        enum bn_result result = bn_gguf_get_bool(load->gguf, flags[i].name, true, &flag, load->err);
        if (result != BN_OK)
            return result;
        *flags[i].value = flag;
    }
    const struct bn_gguf_key *charsmap = bn_gguf_find(load->gguf, "tokenizer.ggml.precompiled_charsmap");
    vocab->by_merges = by_merges > 0;
    vocab->has_charsmap = charsmap && charsmap->count > 0;
    return BN_OK;
}

static enum bn_result read_texts(struct bn_load *load, struct bn_vocab *vocab)
{
    enum bn_result result = bn_gguf_get_str(load->gguf, "tokenizer.ggml.model", true, &vocab->model, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_str(load->gguf, "tokenizer.ggml.pre", false, &vocab->pre, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_str(load->gguf, "bitnet.space_prefix", false, &vocab->space_prefix, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_str(load->gguf, "tokenizer.chat_template", false, &vocab->chat_template, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_str(load->gguf, "general.architecture", false, &vocab->architecture, load->err);
    return result;
}

// The tokenizer knows its keys and entries by name only: "tokenizer.ggml.tokens[7]" becomes a place in the file.
static void find_place(const struct bn_load *load, const struct bn_vocab *vocab)
{
    struct bn_error *err = load->err;
    if (!err || err->offset != UINT64_MAX)
        return;
    char name[sizeof(err->subject)];
    size_t n = strcspn(err->subject, "[");
    memcpy(name, err->subject, n);
    name[n] = '\0';
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, name);
    if (!key)
        return;
    err->offset = key->offset;
    bool tokens = strcmp(name, "tokenizer.ggml.tokens") == 0;
    unsigned long entry = err->subject[n] ? strtoul(err->subject + n + 1, NULL, 10) : ULONG_MAX;
    if (entry < (tokens ? vocab->n_tokens : vocab->n_merges)) {
        const struct bn_str *text = tokens ? &vocab->tokens[entry] : &vocab->merges[entry];
        err->offset = (uint64_t)((const uint8_t *)text->data - load->gguf->data);
    }
}

// bitnet.cpp's converter of embeddings calls Gemma's vocabulary "gpt2", and its byte tokens normal ones; but it is SentencePiece's,
// with merges as Hugging Face's tokenizers have them.
static void name_gemma(struct bn_vocab *vocab, int32_t *types)
{
    bool spaces = false;
    if (!bn_str_is(vocab->model, "gpt2") || !bn_str_is(vocab->architecture, "gemma3") || !types)
        return;
    for (size_t i = 0; i < vocab->n_tokens && !spaces; i++)
        spaces = bn_str_is(vocab->tokens[i], "\xe2\x96\x81"); // U+2581
    if (!spaces)
        return;
    vocab->model = (struct bn_str){"llama", 5};
    vocab->by_merges = true;
    vocab->add_space_prefix = 0;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        const struct bn_str *token = &vocab->tokens[i];
        bool byte = token->bytes == 6 && memcmp(token->data, "<0x", 3) == 0 && token->data[5] == '>';
        types[i] = types[i] == BN_NORMAL && byte ? BN_BYTE : types[i];
    }
}

enum bn_result bn_load_vocabulary(struct bn_load *load)
{
    struct bn_vocab vocab = {.file = load->gguf->file};
    struct bn_str *tokens = NULL, *merges = NULL;
    void *types = NULL, *scores = NULL, *ends = NULL;
    enum bn_result result = read_texts(load, &vocab);
    if (result == BN_OK)
        result = read_strings(load, "tokenizer.ggml.tokens", true, &tokens, &vocab.n_tokens);
    if (result == BN_OK && vocab.n_tokens == 0)
        result = bn_fail_at(load->err, BN_ERR_MODEL, vocab.file, "tokenizer.ggml.tokens", UINT64_MAX,
                            "the vocabulary is empty");
    if (result == BN_OK)
        result = read_words(load, "tokenizer.ggml.token_type", BN_GGUF_I32, vocab.n_tokens, &types);
    if (result == BN_OK)
        result = read_words(load, "tokenizer.ggml.scores", BN_GGUF_F32, vocab.n_tokens, &scores);
    if (result == BN_OK)
        result = read_strings(load, "tokenizer.ggml.merges", false, &merges, &vocab.n_merges);
    if (result == BN_OK)
        result = read_ends(load, &ends, &vocab.n_ends);
    if (result == BN_OK)
        result = read_ids(load, &vocab);
    vocab.ends = ends;
    vocab.tokens = tokens;
    vocab.merges = merges;
    vocab.types = types;
    vocab.scores = scores;
    if (result == BN_OK)
        name_gemma(&vocab, types);
    if (result == BN_OK)
        result = bn_tokenizer_create(load->model->host, &vocab, &load->model->tokenizer, load->err);
    if (result == BN_ERR_MODEL || result == BN_ERR_UNSUPPORTED)
        find_place(load, &vocab);
    if (result == BN_OK)
        load->model->info.n_vocab = (uint32_t)vocab.n_tokens;
    bn_free(load->model->host, tokens);
    bn_free(load->model->host, types);
    bn_free(load->model->host, scores);
    bn_free(load->model->host, ends);
    bn_free(load->model->host, merges);
    return result;
}
