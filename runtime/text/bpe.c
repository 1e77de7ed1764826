// tokenizer.ggml.model "gpt2": byte-level byte-pair encoding.
//
// Text is put into form NFC if the model was trained so, and cut into pieces by a pre-tokeniser. In each piece, which starts as one token per byte, the pair of neighbours
// that comes first in the list of merges is merged, the leftmost first among equals, until no pair is in the list.
// Only well-formed UTF-8 is cut and merged: it is cut up to the next byte that is not UTF-8 as if the text ended there,
// and each byte that is not becomes its own token.
#include "runtime/base/fail.h"
#include "runtime/text/merge.h"
#include "runtime/text/merge_list.h"
#include "runtime/text/nfc.h"
#include "runtime/text/split.h"
#include "runtime/text/token_map.h"
#include "runtime/text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bpe {
    const struct bn_pre *pre;
    struct bn_splitter *splitter;
    int32_t byte_ids[256];
    struct bn_token_map map;
    struct bn_merge_list merges;
    bool whole, nfc; // those of `pre`, unless the file says otherwise
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
        result = bn_merge_list_init(&bpe->merges, tokenizer, vocab, &bpe->map, decode_alphabet, true, err);
    if (result != BN_OK)
        return result;
    bpe->whole = vocab->ignore_merges < 0 ? bpe->pre->whole : vocab->ignore_merges != 0;
    bpe->nfc = vocab->nfc < 0 ? bpe->pre->nfc : vocab->nfc != 0;
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
    bn_merge_list_finish(&bpe->merges, tokenizer->host);
    bn_free(tokenizer->host, bpe);
}

static bool find_merge(const void *model, const struct bn_merge *merge, int32_t left, int32_t right, uint32_t *rank,
                       int32_t *id)
{
    const struct bpe *bpe = model;
    int64_t found = bn_merge_list_find(&bpe->merges, merge->ids[left], merge->ids[right]);
    if (found < 0)
        return false;
    *rank = (uint32_t)found;
    *id = bpe->merges.entries[found].result;
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
    int32_t whole = bpe->whole ? bn_token_map_find(&bpe->map, tokenizer, text, bytes) : -1;
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

// Well-formed text, in form NFC if the model was trained with that.
static enum bn_result encode_run(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                 struct bn_split *split, struct bn_merge *merge, struct bn_token_sink *sink,
                                 struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    char *normal = NULL;
    enum bn_result result = bpe->nfc ? bn_nfc(tokenizer->host, text, bytes, &normal, &bytes, err) : BN_OK;
    const char *run = normal ? normal : text;
    for (size_t start = 0, end; start < bytes && result == BN_OK; start = end) {
        result = bn_split_next(bpe->splitter, split, run, bytes, start, &end, err);
        if (result == BN_OK)
            result = encode_piece(tokenizer, run + start, end - start, merge, sink, err);
    }
    bn_free(tokenizer->host, normal);
    return result;
}

static enum bn_result bpe_encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, bool first,
                                 struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    struct bn_merge merge = {0};
    struct bn_split *split;
    enum bn_result result = bn_split_create(bpe->splitter, &split, err);
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        size_t valid = bn_utf8_valid(text + at, bytes - at);
        if (valid)
            result = encode_run(tokenizer, text + at, valid, split, &merge, sink, err);
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
