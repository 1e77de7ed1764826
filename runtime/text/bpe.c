// tokenizer.ggml.model "gpt2": byte-level byte-pair encoding.
//
// Text is cut into pieces by a pre-tokeniser. In each piece, which starts as one token per byte, the pair of neighbours
// that comes first in the list of merges is merged, the leftmost first among equals, until no pair is in the list.
// Only well-formed UTF-8 is cut and merged: it is cut up to the next byte that is not UTF-8 as if the text ended there,
// and each byte that is not becomes its own token.
#include "runtime/base/fail.h"
#include "runtime/text/split.h"
#include "runtime/text/tokenizer_impl.h"
#include "runtime/text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_ENTRIES (1u << 28)
// No honest vocabulary comes near, and a made-up one cannot make loading quadratic.
#define MAX_PROBES 1024

struct merge {
    int32_t left, right, result;
};

struct bpe {
    const struct bn_pre *pre;
    struct bn_splitter *splitter;
    int32_t byte_ids[256];
    uint32_t *token_slots; // id + 1 by the bytes of the token, of plain tokens; 0: free
    uint32_t token_mask;
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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

// A token with a character outside the alphabet stands for its own text, as in Hugging Face's decoder; that happens to
// special tokens whose type was lost. Merges cannot make it.
static enum bn_result bpe_decode(const struct bn_str *text, enum bn_token_type type, char *out, size_t *bytes,
                                 bool *plain, const char *file, const char *subject, struct bn_error *err)
{
    *plain = false;
    if (type == BN_TYPE_BYTE) {
        int high = text->bytes == 6 ? hex_digit(text->data[3]) : -1;
        int low = text->bytes == 6 ? hex_digit(text->data[4]) : -1;
        if (high < 0 || low < 0 || memcmp(text->data, "<0x", 3) != 0 || text->data[5] != '>')
            return bn_fail_at(err, BN_ERR_MODEL, file, subject, UINT64_MAX,
                              "a byte token that is not of the form <0x0A>");
        out[0] = (char)(high * 16 + low);
        *bytes = 1;
        return BN_OK;
    }
    *plain = decode_alphabet(text, out, bytes);
    if (!*plain) {
        memcpy(out, text->data, text->bytes);
        *bytes = text->bytes;
    }
    return BN_OK;
}

static uint32_t scramble(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    return (uint32_t)x ^ (uint32_t)(x >> 32);
}

static uint32_t hash_bytes(const char *data, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3ull;
    return scramble(hash);
}

static uint32_t hash_pair(int32_t left, int32_t right)
{
    return scramble((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

// The slot that holds the token, or the free one where it would be; NULL if there is neither nearby.
static uint32_t *token_slot(const struct bn_tokenizer *tokenizer, const char *data, size_t bytes)
{
    const struct bpe *bpe = tokenizer->state;
    uint32_t at = hash_bytes(data, bytes);
    for (int i = 0; i < MAX_PROBES; i++, at++) {
        uint32_t *slot = &bpe->token_slots[at & bpe->token_mask];
        if (*slot == 0)
            return slot;
        size_t start = tokenizer->offsets[*slot - 1];
        if (tokenizer->offsets[*slot] - start == bytes && memcmp(tokenizer->bytes + start, data, bytes) == 0)
            return slot;
    }
    return NULL;
}

static int32_t find_token(const struct bn_tokenizer *tokenizer, const char *data, size_t bytes)
{
    const uint32_t *slot = token_slot(tokenizer, data, bytes);
    return slot ? (int32_t)*slot - 1 : -1;
}

static uint32_t *merge_slot(const struct bpe *bpe, int32_t left, int32_t right)
{
    uint32_t at = hash_pair(left, right);
    for (int i = 0; i < MAX_PROBES; i++, at++) {
        uint32_t *slot = &bpe->merge_slots[at & bpe->merge_mask];
        if (*slot == 0 || (bpe->merges[*slot - 1].left == left && bpe->merges[*slot - 1].right == right))
            return slot;
    }
    return NULL;
}

static uint32_t *new_slots(const struct bn_host *host, size_t entries, uint32_t *mask)
{
    uint32_t n = 16;
    while (n < entries * 2)
        n *= 2;
    *mask = n - 1;
    return bn_alloc_array(host, n, sizeof(uint32_t));
}

static enum bn_result add_tokens(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    struct bpe *bpe = tokenizer->state;
    bpe->token_slots = new_slots(tokenizer->host, vocab->n_tokens, &bpe->token_mask);
    if (!bpe->token_slots)
        return bn_fail_memory(err, ((uint64_t)bpe->token_mask + 1) * sizeof(uint32_t), "the vocabulary");
    for (size_t id = 0; id < vocab->n_tokens; id++) {
        if (!tokenizer->plain[id])
            continue;
        size_t start = tokenizer->offsets[id];
        uint32_t *slot = token_slot(tokenizer, tokenizer->bytes + start, tokenizer->offsets[id + 1] - start);
        if (slot && *slot == 0) {
            *slot = (uint32_t)id + 1;
            continue;
        }
        char subject[64];
        snprintf(subject, sizeof(subject), "tokenizer.ggml.tokens[%zu]", id);
        if (!slot)
            return bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "the tokens are made to collide");
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "the same token as %" PRIu32, *slot - 1);
    }
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bpe->byte_ids[byte] = find_token(tokenizer, &c, 1);
    }
    for (size_t id = 0; id < vocab->n_tokens; id++) {
        if (tokenizer->types[id] == BN_TYPE_BYTE) {
            int32_t *byte_id = &bpe->byte_ids[(unsigned char)tokenizer->bytes[tokenizer->offsets[id]]];
            *byte_id = *byte_id < 0 ? (int32_t)id : *byte_id;
        }
    }
    return BN_OK;
}

// Reads one "left right" into *merge; `scratch` holds text->bytes bytes. Returns what is wrong with it, or NULL.
static const char *read_merge(const struct bn_tokenizer *tokenizer, const struct bn_str *text, char *scratch,
                              struct merge *merge)
{
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
    merge->left = find_token(tokenizer, scratch, n_left);
    merge->right = find_token(tokenizer, scratch + n_left, n_right);
    merge->result = find_token(tokenizer, scratch, n_left + n_right);
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
    bpe->merge_slots = new_slots(host, vocab->n_merges, &bpe->merge_mask);
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
    if (vocab->n_tokens > MAX_ENTRIES || vocab->n_merges > MAX_ENTRIES)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.tokens", UINT64_MAX,
                          "more than %u tokens or merges", MAX_ENTRIES);
    struct bpe *bpe = bn_alloc(tokenizer->host, sizeof(*bpe));
    tokenizer->state = bpe;
    if (!bpe)
        return bn_fail_memory(err, sizeof(*bpe), "the tokenizer");
    enum bn_result result = bn_pre_find(tokenizer->host, vocab, &bpe->pre, err);
    if (result == BN_OK)
        result = bn_splitter_create(tokenizer->host, vocab->file, bpe->pre, &bpe->splitter, err);
    if (result == BN_OK)
        result = add_tokens(tokenizer, vocab, err);
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
    bn_free(tokenizer->host, bpe->token_slots);
    bn_free(tokenizer->host, bpe->merges);
    bn_free(tokenizer->host, bpe->merge_slots);
    bn_free(tokenizer->host, bpe);
}

// A piece while it is merged: a list of tokens, and a heap of merges that were possible when they were pushed, as rank
// and position of the left token. Merging removes one entry and adds at most two, so 2n entries are enough.
struct work {
    int32_t *ids; // -1: merged into its left neighbour
    int32_t *next, *prev;
    uint64_t *heap;
    size_t n_heap;
    size_t capacity; // bytes of a piece
};

static void work_finish(const struct bn_host *host, struct work *work)
{
    bn_free(host, work->ids);
    bn_free(host, work->next);
    bn_free(host, work->prev);
    bn_free(host, work->heap);
    memset(work, 0, sizeof(*work));
}

static enum bn_result work_reserve(const struct bn_host *host, struct work *work, size_t bytes, struct bn_error *err)
{
    if (bytes <= work->capacity)
        return BN_OK;
    size_t capacity = bytes < 32 ? 64 : bytes * 2;
    work_finish(host, work);
    work->ids = bn_alloc_array(host, capacity, sizeof(*work->ids));
    work->next = bn_alloc_array(host, capacity, sizeof(*work->next));
    work->prev = bn_alloc_array(host, capacity, sizeof(*work->prev));
    work->heap = bn_alloc_array(host, capacity, 2 * sizeof(*work->heap));
    if (!work->ids || !work->next || !work->prev || !work->heap)
        return bn_fail_memory(err, (uint64_t)capacity * 28, "merging a long word");
    work->capacity = capacity;
    return BN_OK;
}

static void heap_push(struct work *work, uint64_t value)
{
    size_t i = work->n_heap++;
    for (; i > 0 && work->heap[(i - 1) / 2] > value; i = (i - 1) / 2)
        work->heap[i] = work->heap[(i - 1) / 2];
    work->heap[i] = value;
}

static uint64_t heap_pop(struct work *work)
{
    uint64_t top = work->heap[0], last = work->heap[--work->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < work->n_heap; child = 2 * i + 1) {
        if (child + 1 < work->n_heap && work->heap[child + 1] < work->heap[child])
            child++;
        if (work->heap[child] >= last)
            break;
        work->heap[i] = work->heap[child];
        i = child;
    }
    work->heap[i] = last;
    return top;
}

static void offer(const struct bpe *bpe, struct work *work, int32_t left)
{
    if (left < 0 || work->next[left] < 0)
        return;
    const uint32_t *slot = merge_slot(bpe, work->ids[left], work->ids[work->next[left]]);
    if (slot && *slot)
        heap_push(work, (uint64_t)(*slot - 1) << 32 | (uint32_t)left);
}

// The list is in place, one token per byte.
static void merge_all(const struct bpe *bpe, struct work *work, size_t bytes)
{
    work->n_heap = 0;
    for (size_t i = 0; i + 1 < bytes; i++)
        offer(bpe, work, (int32_t)i);
    while (work->n_heap > 0) {
        uint64_t top = heap_pop(work);
        const struct merge *merge = &bpe->merges[top >> 32];
        int32_t left = (int32_t)(top & UINT32_MAX), right = work->next[left];
        if (work->ids[left] != merge->left || right < 0 || work->ids[right] != merge->right)
            continue;
        work->ids[left] = merge->result;
        work->ids[right] = -1;
        work->next[left] = work->next[right];
        if (work->next[left] >= 0)
            work->prev[work->next[left]] = left;
        offer(bpe, work, work->prev[left]);
        offer(bpe, work, left);
    }
}

static enum bn_result byte_token(const struct bpe *bpe, char c, int32_t *id, struct bn_error *err)
{
    *id = bpe->byte_ids[(unsigned char)c];
    if (*id < 0)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the vocabulary has no token for the byte 0x%02x", (unsigned char)c);
    return BN_OK;
}

static enum bn_result encode_piece(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                   struct work *work, struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    int32_t whole = bpe->pre->whole ? find_token(tokenizer, text, bytes) : -1;
    if (whole >= 0) {
        bn_token_put(sink, whole);
        return BN_OK;
    }
    enum bn_result result = work_reserve(tokenizer->host, work, bytes, err);
    for (size_t i = 0; i < bytes && result == BN_OK; i++) {
        result = byte_token(bpe, text[i], &work->ids[i], err);
        work->prev[i] = (int32_t)i - 1;
        work->next[i] = i + 1 < bytes ? (int32_t)i + 1 : -1;
    }
    if (result != BN_OK)
        return result;
    merge_all(bpe, work, bytes);
    for (int32_t i = 0; i >= 0; i = work->next[i])
        bn_token_put(sink, work->ids[i]);
    return BN_OK;
}

static enum bn_result bpe_encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                 struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bpe *bpe = tokenizer->state;
    struct work work = {0};
    struct bn_split *split;
    enum bn_result result = bn_split_create(bpe->splitter, &split, err);
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        const char *run = text + at;
        size_t valid = bn_utf8_valid(run, bytes - at);
        for (size_t start = 0, end; start < valid && result == BN_OK; start = end) {
            result = bn_split_next(bpe->splitter, split, run, valid, start, &end, err);
            if (result == BN_OK)
                result = encode_piece(tokenizer, run + start, end - start, &work, sink, err);
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
    work_finish(tokenizer->host, &work);
    return result;
}

const struct bn_text_model bn_bpe_model = {"gpt2", bpe_decode, bpe_create, bpe_destroy, bpe_encode};
