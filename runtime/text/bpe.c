// tokenizer.ggml.model "gpt2": byte-level byte-pair encoding.
//
// Text is cut into pieces by a pre-tokeniser. In each piece, which starts as one token per byte, the pair of neighbours
// that comes first in the list of merges is merged, the leftmost first among equals, until no pair is in the list.
// Only well-formed UTF-8 is cut and merged: it is cut up to the next byte that is not UTF-8 as if the text ended there,
// and each byte that is not becomes its own token.
#include "runtime/base/fail.h"
#include "runtime/text/merge.h"
#include "runtime/text/split.h"
#include "runtime/text/token_map.h"
#include "runtime/text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct merge {
    int32_t left, right, result;
};

struct bpe {
    const struct bn_pre *pre;
    struct bn_splitter *splitter;
    int32_t byte_ids[256];
    struct bn_token_map map;
    struct merge *merges;  // by rank
    uint32_t *merge_slots; // rank + 1 by (left, right)
    uint32_t merge_mask;
};

// The byte of a character of GPT-2's alphabet, or -1. Printable characters of Latin-1 stand for themselves; the 68
// other bytes are U+0100 onwards, in order.
static int alphabet_byte(uint32_t code)
{
    if ((code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff))
        return (int)code;
    if (code < 0x100 || code > 0x143)
        return -1;
    int n = (int)code - 0x100;
    return n <= 0x20 ? n : n < 0x43 ? n - 0x21 + 0x7f : 0xad;
}

// From the alphabet to bytes; false if a character is not in it. `text` is well-formed.
static bool decode_alphabet(const struct bn_str *text, char *out, size_t *bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < text->bytes;) {
        uint32_t code;
        i += bn_utf8_next(text->data + i, text->bytes - i, &code);
        int byte = alphabet_byte(code);
        if (byte < 0)
            return false;
        out[n++] = (char)byte;
    }
    *bytes = n;
    return true;
}

// A token with a character outside the alphabet stands for its own text, as in Hugging Face's decoder; that happens to
// special tokens whose type was lost. Merges cannot make it.
static enum bn_result bpe_decode(const struct bn_str *text, enum bn_token_type type, char *out, size_t *bytes,
                                 bool *plain, const char *file, const char *subject, struct bn_error *err)
{
    *plain = false;
    if (type == BN_TYPE_BYTE) {
        *bytes = 1;
        return bn_decode_byte_token(text, out, file, subject, err);
    }
    *plain = decode_alphabet(text, out, bytes);
    if (!*plain) {
        memcpy(out, text->data, text->bytes);
        *bytes = text->bytes;
    }
    return BN_OK;
}

static uint32_t hash_pair(int32_t left, int32_t right)
{
    return bn_scramble((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

static uint32_t *merge_slot(const struct bpe *bpe, int32_t left, int32_t right)
{
    uint32_t at = hash_pair(left, right);
    for (int i = 0; i < BN_MOST_PROBES; i++, at++) {
        uint32_t *slot = &bpe->merge_slots[at & bpe->merge_mask];
        if (*slot == 0 || (bpe->merges[*slot - 1].left == left && bpe->merges[*slot - 1].right == right))
            return slot;
    }
    return NULL;
}

// Reads one "left right" into *merge; `scratch` holds text->bytes bytes. Returns what is wrong with it, or NULL.
static const char *read_merge(const struct bn_tokenizer *tokenizer, const struct bn_str *text, char *scratch,
                              struct merge *merge)
{
    const struct bpe *bpe = tokenizer->state;
    const char *space = text->bytes ? memchr(text->data, ' ', text->bytes) : NULL;
    if (!space || bn_utf8_valid(text->data, text->bytes) != text->bytes)
        return "not two tokens";
    struct bn_str left = {text->data, (size_t)(space - text->data)};
    struct bn_str right = {space + 1, text->bytes - left.bytes - 1};
    size_t n_left, n_right;
    if (!decode_alphabet(&left, scratch, &n_left) || !decode_alphabet(&right, scratch + n_left, &n_right))
        return "a character that stands for no byte";
    if (n_left == 0 || n_right == 0)
        return "not two tokens";
    merge->left = bn_token_map_find(&bpe->map, tokenizer, scratch, n_left);
    merge->right = bn_token_map_find(&bpe->map, tokenizer, scratch + n_left, n_right);
    merge->result = bn_token_map_find(&bpe->map, tokenizer, scratch, n_left + n_right);
    if (merge->left < 0 || merge->right < 0 || merge->result < 0)
        return "a part, or the whole, is not a normal token of the vocabulary";
    return NULL;
}

static enum bn_result add_merges(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    struct bpe *bpe = tokenizer->state;
    const struct bn_host *host = tokenizer->host;
    size_t longest = 0;
    for (size_t i = 0; i < vocab->n_merges; i++)
        longest = vocab->merges[i].bytes > longest ? vocab->merges[i].bytes : longest;
    bpe->merges = bn_alloc_array(host, vocab->n_merges, sizeof(*bpe->merges));
    bpe->merge_slots = bn_new_slots(host, vocab->n_merges, &bpe->merge_mask);
    char *scratch = bn_alloc(host, longest);
    enum bn_result result = BN_OK;
    if (!bpe->merges || !bpe->merge_slots || !scratch)
        result = bn_fail_memory(err, vocab->n_merges * sizeof(*bpe->merges), "the merges");
    for (size_t i = 0; i < vocab->n_merges && result == BN_OK; i++) {
        struct merge *merge = &bpe->merges[i];
        const char *fault = read_merge(tokenizer, &vocab->merges[i], scratch, merge);
        uint32_t *slot = fault ? NULL : merge_slot(bpe, merge->left, merge->right);
        if (slot) {
            // The first of equal merges counts, as in llama.cpp.
            if (*slot == 0)
                *slot = (uint32_t)i + 1;
            continue;
        }
        char subject[64];
        snprintf(subject, sizeof(subject), "tokenizer.ggml.merges[%zu]", i);
        result = bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "%s",
                            fault ? fault : "the merges are made to collide");
    }
    bn_free(host, scratch);
    return result;
}

static enum bn_result bpe_create(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    if (vocab->n_tokens > BN_MOST_ENTRIES || vocab->n_merges > BN_MOST_ENTRIES)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.tokens", UINT64_MAX,
                          "more than %u tokens or merges", BN_MOST_ENTRIES);
    struct bpe *bpe = bn_alloc(tokenizer->host, sizeof(*bpe));
    tokenizer->state = bpe;
    if (!bpe)
        return bn_fail_memory(err, sizeof(*bpe), "the tokenizer");
    enum bn_result result = bn_pre_find(tokenizer->host, vocab, &bpe->pre, err);
    if (result == BN_OK)
        result = bn_splitter_create(tokenizer->host, vocab->file, bpe->pre, &bpe->splitter, err);
    if (result == BN_OK)
        result = bn_token_map_init(&bpe->map, tokenizer, vocab->file, false, err);
    if (result == BN_OK)
        bn_token_map_bytes(&bpe->map, tokenizer, true, bpe->byte_ids);
    if (result == BN_OK)
        result = add_merges(tokenizer, vocab, err);
    if (result != BN_OK)
        return result;
    tokenizer->info.pre = bpe->pre->names[0];
    tokenizer->info.add_bos = bpe->pre->add_bos;
    return BN_OK;
}

static void bpe_destroy(struct bn_tokenizer *tokenizer)
{
    struct bpe *bpe = tokenizer->state;
    if (!bpe)
        return;
    bn_splitter_destroy(bpe->splitter);
    bn_token_map_finish(&bpe->map, tokenizer->host);
    bn_free(tokenizer->host, bpe->merges);
    bn_free(tokenizer->host, bpe->merge_slots);
    bn_free(tokenizer->host, bpe);
}

static bool find_merge(const void *model, const struct bn_merge *merge, int32_t left, int32_t right, uint32_t *rank,
                       int32_t *id)
{
    const struct bpe *bpe = model;
    const uint32_t *slot = merge_slot(bpe, merge->ids[left], merge->ids[right]);
    if (!slot || !*slot)
        return false;
    *rank = *slot - 1;
    *id = bpe->merges[*rank].result;
    return true;
}

static enum bn_result byte_token(const struct bpe *bpe, char c, int32_t *id, struct bn_error *err)
{
    *id = bpe->byte_ids[(unsigned char)c];
    if (*id < 0)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the vocabulary has no token for the byte 0x%02x", (unsigned char)c);
    return BN_OK;
}

static enum bn_result encode_piece(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                   struct bn_merge *merge, struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    int32_t whole = bpe->pre->whole ? bn_token_map_find(&bpe->map, tokenizer, text, bytes) : -1;
    if (whole >= 0) {
        bn_token_put(sink, whole);
        return BN_OK;
    }
    enum bn_result result = bn_merge_reserve(tokenizer->host, merge, text, bytes, err);
    for (size_t i = 0; i < bytes && result == BN_OK; i++) {
        result = byte_token(bpe, text[i], &merge->ids[i], err);
        merge->prev[i] = (int32_t)i - 1;
        merge->next[i] = i + 1 < bytes ? (int32_t)i + 1 : -1;
    }
    if (result != BN_OK)
        return result;
    bn_merge_run(merge, find_merge, bpe);
    for (int32_t i = 0; i >= 0; i = merge->next[i])
        bn_token_put(sink, merge->ids[i]);
    return BN_OK;
}

static enum bn_result bpe_encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                 struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    struct bn_merge merge = {0};
    struct bn_split *split;
    enum bn_result result = bn_split_create(bpe->splitter, &split, err);
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        const char *run = text + at;
        size_t valid = bn_utf8_valid(run, bytes - at);
        for (size_t start = 0, end; start < valid && result == BN_OK; start = end) {
            result = bn_split_next(bpe->splitter, split, run, valid, start, &end, err);
            if (result == BN_OK)
                result = encode_piece(tokenizer, run + start, end - start, &merge, sink, err);
        }
        at += valid;
        uint32_t code;
        size_t bad = at < bytes ? bn_utf8_next(text + at, bytes - at, &code) : 0;
        for (size_t i = 0; i < bad && result == BN_OK; i++) {
            int32_t id;
            result = byte_token(bpe, text[at + i], &id, err);
            if (result == BN_OK)
                bn_token_put(sink, id);
        }
        at += bad;
    }
    bn_split_destroy(split);
    bn_merge_finish(tokenizer->host, &merge);
    return result;
}

const struct bn_text_model bn_bpe_model = {"gpt2", bpe_decode, bpe_create, bpe_destroy, bpe_encode};
