#include "runtime/text/tokenizer_impl.h"

#include "runtime/base/fail.h"
#include "runtime/text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bn_text_model *const models[] = {&bn_bpe_model, &bn_spm_model, &bn_unigram_model};

// Control tokens that end a turn, the likeliest first, and those that end a text. They end generation whatever the
// file names as EOS: files of chat models often name only one of the two.
static const char *const turn_ends[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eom_id|>"};
static const char *const text_ends[] = {"<|end_of_text|>", "<|endoftext|>", "</s>"};

// Far above any real token. Looking for special tokens takes time in proportion to the longest.
#define MAX_TOKEN_BYTES 4096

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_special(enum bn_token_type type)
{
    return type == BN_TYPE_CONTROL || type == BN_TYPE_UNKNOWN || type == BN_TYPE_USER;
}

static enum bn_token_type type_of(const struct bn_vocab *vocab, size_t id)
{
    if (vocab->tokens[id].bytes == 0)
        return BN_TYPE_UNUSED;
    // A file without types still names its most special tokens.
    if (!vocab->types)
        return (int64_t)id == vocab->bos || (int64_t)id == vocab->eos || (int64_t)id == vocab->eot ? BN_TYPE_CONTROL
                                                                                                   : BN_TYPE_NORMAL;
    int32_t type = vocab->types[id];
    return type >= BN_TYPE_NORMAL && type <= BN_TYPE_BYTE ? (enum bn_token_type)type : BN_TYPE_UNUSED;
}

static enum bn_result decode_tokens(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    const struct bn_host *host = tokenizer->host;
    size_t n = vocab->n_tokens, total = 0;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_add_overflow(total, vocab->tokens[i].bytes, &total))
            return bn_fail_memory(err, UINT64_MAX, "the tokens");
    }
    tokenizer->bytes = bn_alloc(host, total);
    tokenizer->offsets = bn_alloc_array(host, n + 1, sizeof(*tokenizer->offsets));
    tokenizer->types = bn_alloc_array(host, n, sizeof(*tokenizer->types));
    tokenizer->plain = bn_alloc_array(host, n, sizeof(*tokenizer->plain));
    tokenizer->end = bn_alloc_array(host, n, sizeof(*tokenizer->end));
    if (!tokenizer->bytes || !tokenizer->offsets || !tokenizer->types || !tokenizer->plain || !tokenizer->end)
        return bn_fail_memory(err, total, "the tokens");
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct bn_str *text = &vocab->tokens[i];
        enum bn_token_type type = type_of(vocab, i);
        char subject[64];
        snprintf(subject, sizeof(subject), "tokenizer.ggml.tokens[%zu]", i);
        if (bn_utf8_valid(text->data, text->bytes) != text->bytes)
            return bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "not UTF-8");
        if (text->bytes > MAX_TOKEN_BYTES)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, subject, UINT64_MAX,
                              "a token of %zu bytes; at most %d are read", text->bytes, MAX_TOKEN_BYTES);
        size_t bytes = text->bytes;
        if (type == BN_TYPE_NORMAL || type == BN_TYPE_BYTE) {
            enum bn_result result = tokenizer->model->decode(text, type, tokenizer->bytes + at, &bytes,
                                                             &tokenizer->plain[i], vocab->file, subject, err);
            if (result != BN_OK)
                return result;
        } else if (bytes) {
            memcpy(tokenizer->bytes + at, text->data, bytes);
        }
        tokenizer->types[i] = (uint8_t)type;
        tokenizer->n_specials += is_special(type);
        tokenizer->offsets[i] = at;
        at += bytes;
    }
    tokenizer->offsets[n] = at;
    return BN_OK;
}

static int compare_specials(const void *a, const void *b)
{
    const struct bn_str *x = &((const struct bn_special *)a)->text, *y = &((const struct bn_special *)b)->text;
    int order = memcmp(x->data, y->data, x->bytes < y->bytes ? x->bytes : y->bytes);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

// Heap sort: C's qsort may allocate behind the host's back.
static void sift(struct bn_special *list, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && compare_specials(&list[child], &list[child + 1]) < 0)
            child++;
        if (compare_specials(&list[at], &list[child]) >= 0)
            return;
        struct bn_special swap = list[at];
        list[at] = list[child];
        list[child] = swap;
    }
}

static void sort(struct bn_special *list, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(list, i, n);
    for (size_t i = n; i-- > 1;) {
        struct bn_special swap = list[0];
        list[0] = list[i];
        list[i] = swap;
        sift(list, 0, i);
    }
}

static enum bn_result sort_specials(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    tokenizer->specials = bn_alloc_array(tokenizer->host, tokenizer->n_specials, sizeof(*tokenizer->specials));
    if (!tokenizer->specials)
        return bn_fail_memory(err, tokenizer->n_specials * sizeof(*tokenizer->specials), "the special tokens");
    struct bn_special *special = tokenizer->specials;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        enum bn_token_type type = tokenizer->types[i];
        if (!is_special(type))
            continue;
        special->text.data = tokenizer->bytes + tokenizer->offsets[i];
        special->text.bytes = tokenizer->offsets[i + 1] - tokenizer->offsets[i];
        special->id = (int32_t)i;
        tokenizer->starts[(unsigned char)special->text.data[0]] |=
            type == BN_TYPE_USER ? BN_START_USER : BN_START_OTHER;
        special++;
    }
    sort(tokenizer->specials, tokenizer->n_specials);
    for (size_t i = 1; i < tokenizer->n_specials; i++) {
        special = &tokenizer->specials[i];
        if (compare_specials(special - 1, special) != 0)
            continue;
        bool swap = special[-1].id > special->id;
        char subject[64];
        snprintf(subject, sizeof(subject), "tokenizer.ggml.tokens[%" PRId32 "]", special[swap ? -1 : 0].id);
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "the same token as %" PRId32,
                          special[swap ? 0 : -1].id);
    }
    return BN_OK;
}

int32_t bn_control_token(const struct bn_tokenizer *tokenizer, const char *name)
{
    struct bn_special wanted = {{name, strlen(name)}, 0};
    const struct bn_special *found =
        bsearch(&wanted, tokenizer->specials, tokenizer->n_specials, sizeof(wanted), compare_specials);
    return found && tokenizer->types[found->id] == BN_TYPE_CONTROL ? found->id : -1;
}

static enum bn_result read_role(const struct bn_vocab *vocab, int64_t id, const char *key, int32_t *out,
                                struct bn_error *err)
{
    *out = -1;
    if (id == -1)
        return BN_OK;
    if (id < 0 || (uint64_t)id >= vocab->n_tokens)
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, key, UINT64_MAX,
                          "the id %" PRId64 " is outside the vocabulary of %zu tokens", id, vocab->n_tokens);
    *out = (int32_t)id;
    return BN_OK;
}

static void mark_end(struct bn_tokenizer *tokenizer, int32_t id)
{
    if (id >= 0)
        tokenizer->end[id] = true;
}

static enum bn_result read_roles(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    struct bn_tokenizer_info *info = &tokenizer->info;
    enum bn_result result = read_role(vocab, vocab->bos, "tokenizer.ggml.bos_token_id", &info->bos, err);
    if (result == BN_OK)
        result = read_role(vocab, vocab->eos, "tokenizer.ggml.eos_token_id", &info->eos, err);
    if (result == BN_OK)
        result = read_role(vocab, vocab->eot, "tokenizer.ggml.eot_token_id", &info->eot, err);
    if (result == BN_OK)
        result = read_role(vocab, vocab->pad, "tokenizer.ggml.padding_token_id", &info->pad, err);
    if (result != BN_OK)
        return result;
    for (size_t i = 0; i < COUNT(turn_ends); i++) {
        int32_t id = bn_control_token(tokenizer, turn_ends[i]);
        info->eot = info->eot < 0 ? id : info->eot;
        mark_end(tokenizer, id);
    }
    for (size_t i = 0; i < COUNT(text_ends); i++)
        mark_end(tokenizer, bn_control_token(tokenizer, text_ends[i]));
    mark_end(tokenizer, info->eos);
    mark_end(tokenizer, info->eot);
    for (size_t i = 0; i < vocab->n_ends && result == BN_OK; i++) {
        int32_t id;
        result = read_role(vocab, vocab->ends[i], "bitnet.end_token_ids", &id, err);
        mark_end(tokenizer, id);
    }
    if (result != BN_OK)
        return result;
    if (vocab->add_bos > 0 && info->bos < 0)
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, "tokenizer.ggml.add_bos_token", UINT64_MAX,
                          "the file asks for a BOS token and names none");
    if (vocab->add_eos > 0 && info->eos < 0)
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, "tokenizer.ggml.add_eos_token", UINT64_MAX,
                          "the file asks for an EOS token and names none");
    info->add_eos = vocab->add_eos > 0;
    info->add_bos = (vocab->add_bos < 0 ? info->add_bos : vocab->add_bos != 0) && info->bos >= 0;
    return BN_OK;
}

static enum bn_result fill(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    for (size_t i = 0; i < COUNT(models) && !tokenizer->model; i++) {
        if (bn_str_is(vocab->model, models[i]->name))
            tokenizer->model = models[i];
    }
    char kind[64];
    if (!tokenizer->model)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.model", UINT64_MAX,
                          "this build has no tokenizer of the kind \"%s\"",
                          bn_str_text(vocab->model, kind, sizeof(kind)));
    if (vocab->n_tokens == 0 || vocab->n_tokens >= INT32_MAX)
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, "tokenizer.ggml.tokens", UINT64_MAX,
                          "a vocabulary of %zu tokens", vocab->n_tokens);
    tokenizer->info.size = sizeof(tokenizer->info);
    tokenizer->info.n_vocab = (uint32_t)vocab->n_tokens;
    tokenizer->info.model = tokenizer->model->name;
    tokenizer->info.pre = "";
    enum bn_result result = decode_tokens(tokenizer, vocab, err);
    if (result == BN_OK)
        result = sort_specials(tokenizer, vocab, err);
    if (result == BN_OK)
        result = tokenizer->model->create(tokenizer, vocab, err);
    if (result == BN_OK)
        result = read_roles(tokenizer, vocab, err);
    if (result == BN_OK)
        bn_chat_recognise(tokenizer, vocab);
    return result;
}

enum bn_result bn_tokenizer_create(const struct bn_host *host, const struct bn_vocab *vocab, struct bn_tokenizer **out,
                                   struct bn_error *err)
{
    *out = NULL;
    struct bn_tokenizer *tokenizer = bn_alloc(host, sizeof(*tokenizer));
    if (!tokenizer)
        return bn_fail_memory(err, sizeof(*tokenizer), "the tokenizer");
    tokenizer->host = host;
    enum bn_result result = fill(tokenizer, vocab, err);
    if (result != BN_OK) {
        bn_tokenizer_destroy(tokenizer);
        return result;
    }
    *out = tokenizer;
    return BN_OK;
}

void bn_tokenizer_destroy(struct bn_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    const struct bn_host *host = tokenizer->host;
    if (tokenizer->model)
        tokenizer->model->destroy(tokenizer);
    bn_free(host, tokenizer->bytes);
    bn_free(host, tokenizer->offsets);
    bn_free(host, tokenizer->types);
    bn_free(host, tokenizer->plain);
    bn_free(host, tokenizer->end);
    bn_free(host, tokenizer->specials);
    bn_free(host, tokenizer);
}

// The longest special token that the text starts with; 0 if there is none. The range [low, high) holds the specials
// that agree with the text so far, which are neighbours.
static size_t special_at(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, bool all, int32_t *id)
{
    const struct bn_special *specials = tokenizer->specials;
    size_t low = 0, high = tokenizer->n_specials, found = 0;
    for (size_t depth = 0; low < high; depth++) {
        if (specials[low].text.bytes == depth) {
            if (depth && (all || tokenizer->types[specials[low].id] == BN_TYPE_USER)) {
                found = depth;
                *id = specials[low].id;
            }
            low++;
        }
        if (depth == bytes)
            break;
        unsigned char c = (unsigned char)text[depth];
        size_t limits[2];
        for (int side = 0; side < 2; side++) {
            size_t a = low, b = high;
            while (a < b) {
                size_t middle = a + (b - a) / 2;
                if ((unsigned char)specials[middle].text.data[depth] < c + side)
                    a = middle + 1;
                else
                    b = middle;
            }
            limits[side] = a;
        }
        low = limits[0];
        high = limits[1];
    }
    return found;
}

// Special tokens are taken from left to right, the longest first. User-defined ones are part of the language and
// always recognised, as in llama.cpp; control tokens and the unknown token with BN_TOKENIZE_SPECIAL.
enum bn_result bn_tokenizer_encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags,
                                   struct bn_token_sink *sink, struct bn_error *err)
{
    if (bytes > INT32_MAX)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "a text of %zu bytes; at most %" PRId32 " can be tokenised at once",
                       bytes, INT32_MAX);
    bool all = flags & BN_TOKENIZE_SPECIAL, first = !(flags & BN_ENCODE_INSIDE);
    unsigned mask = all ? BN_START_USER | BN_START_OTHER : BN_START_USER;
    enum bn_result result = BN_OK;
    size_t start = 0;
    for (size_t i = 0; i < bytes && result == BN_OK;) {
        int32_t id;
        size_t n =
            tokenizer->starts[(unsigned char)text[i]] & mask ? special_at(tokenizer, text + i, bytes - i, all, &id) : 0;
        if (n == 0) {
            i++;
            continue;
        }
        if (i > start)
            result = tokenizer->model->encode(tokenizer, text + start, i - start, first && start == 0, sink, err);
        bn_token_put(sink, id);
        i += n;
        start = i;
    }
    if (start < bytes && result == BN_OK)
        result = tokenizer->model->encode(tokenizer, text + start, bytes - start, first && start == 0, sink, err);
    return result;
}

enum bn_result bn_tokenize(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags,
                           int32_t *ids, size_t capacity, size_t *count, struct bn_error *err)
{
    if (count)
        *count = 0;
    if (!tokenizer || !count || (!text && bytes) || (!ids && capacity))
        return bn_fail(err, BN_ERR_ARGUMENT, "bn_tokenize needs a tokenizer, text, ids and a count");
    if (flags & ~(unsigned)(BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL | BN_TOKENIZE_EOS))
        return bn_fail(err, BN_ERR_ARGUMENT, "bn_tokenize does not know the flags 0x%x", flags);
    struct bn_token_sink sink = {ids, capacity, 0};
    if ((flags & BN_TOKENIZE_BOS) && tokenizer->info.add_bos)
        bn_token_put(&sink, tokenizer->info.bos);
    enum bn_result result = bn_tokenizer_encode(tokenizer, text, bytes, flags, &sink, err);
    if ((flags & BN_TOKENIZE_EOS) && tokenizer->info.add_eos)
        bn_token_put(&sink, tokenizer->info.eos);
    *count = result == BN_OK ? sink.count : 0;
    return result;
}

const char *bn_token_bytes(const struct bn_tokenizer *tokenizer, int32_t id, size_t *bytes)
{
    if (id < 0 || (uint32_t)id >= tokenizer->info.n_vocab) {
        *bytes = 0;
        return NULL;
    }
    *bytes = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return tokenizer->bytes + tokenizer->offsets[id];
}

enum bn_token_kind bn_token_get_kind(const struct bn_tokenizer *tokenizer, int32_t id)
{
    if (id < 0 || (uint32_t)id >= tokenizer->info.n_vocab)
        return BN_TOKEN_UNUSED;
    switch ((enum bn_token_type)tokenizer->types[id]) {
    case BN_TYPE_NORMAL:
    case BN_TYPE_USER:
        return BN_TOKEN_NORMAL;
    case BN_TYPE_BYTE:
        return BN_TOKEN_BYTE;
    case BN_TYPE_CONTROL:
    case BN_TYPE_UNKNOWN:
        return BN_TOKEN_SPECIAL;
    case BN_TYPE_UNUSED:
        break;
    }
    return BN_TOKEN_UNUSED;
}

const struct bn_tokenizer_info *bn_tokenizer_get_info(const struct bn_tokenizer *tokenizer)
{
    return &tokenizer->info;
}

bool bn_token_is_end(const struct bn_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (uint32_t)id < tokenizer->info.n_vocab && tokenizer->end[id];
}
