// tokenizer.ggml.model "llama" and "t5": SentencePiece, byte-pair encoding and unigram.
//
// Text is normalised: a space is put in front if the model wants it, U+2581 becomes a space (in the vocabulary, spaces are
// U+2581). That space stands in front of the text and behind each special token, as in llama.cpp and with Hugging Face's
// normaliser Prepend; SentencePiece itself knows no special tokens in a text. With Hugging Face's Metaspace not in front of a
// space, and with its scheme "first" not behind special tokens. Then byte-pair encoding starts with one symbol per character and merges neighbours that make a token, the one of
// the highest score first, the leftmost among equals (or as a list of merges says, which Hugging Face's tokenizers have); unigram takes the cut into tokens whose scores sum to the most, the
// longest last token among equals. What no token covers becomes byte tokens, or without them the unknown token.
// Bytes that are not UTF-8 are byte tokens, and stand between two texts.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/text/merge.h"
#include "runtime/text/merge_list.h"
#include "runtime/text/token_map.h"
#include "runtime/text/utf8.h"

enum {
    UNCOVERED = -2,        // a character that is no token
    MOST_PIECE_BYTES = 256 // of unigram: the work per character is in proportion
};

static const char space_mark[] = "\xe2\x96\x81"; // U+2581

struct sentencepiece {
    struct bn_token_map map;
    int32_t byte_ids[256];
    int32_t unknown; // -1: there is none
    bool add_space, collapse_spaces;
    bool not_twice, only_first; // of the space in front: not before a space; not behind a special token
    bool by_merges;
    struct bn_merge_list merges;
    size_t longest; // token, bytes
    // Byte-pair encoding: the place of the token's score among all, equal scores sharing one. Unigram: the score's bits.
    uint32_t *ranks; // [n_vocab]
    float unknown_score;
};

static bool is_mark(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, space_mark, 3) == 0;
}

static size_t unescape(const struct bn_str *text, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text->bytes; n++) {
        bool mark = is_mark(text->data + i, text->bytes - i);
        out[n] = mark ? ' ' : text->data[i];
        i += mark ? 3 : 1;
    }
    return n;
}

static enum bn_result decode(const struct bn_str *text, enum bn_token_type type, char *out, size_t *bytes, bool *plain,
                             const char *file, const char *subject, struct bn_error *err)
{
    *plain = type == BN_TYPE_NORMAL;
    *bytes = 1;
    if (type == BN_TYPE_BYTE)
        return bn_decode_byte_token(text, out, file, subject, err);
    *bytes = unescape(text, out);
    return BN_OK;
}

static bool before(const float *scores, uint32_t a, uint32_t b)
{
    return scores[a] > scores[b] || (scores[a] >= scores[b] && a < b);
}

// Heap sort by falling score: C's qsort may allocate behind the host's back, and takes no context.
static void sift(const float *scores, uint32_t *ids, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(scores, ids[child], ids[child + 1]))
            child++;
        if (!before(scores, ids[at], ids[child]))
            return;
        uint32_t swap = ids[at];
        ids[at] = ids[child];
        ids[child] = swap;
    }
}

static enum bn_result rank_tokens(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    struct sentencepiece *sp = tokenizer->state;
    uint32_t *ids = bn_alloc_array(tokenizer->host, vocab->n_tokens, sizeof(*ids));
    if (!ids)
        return bn_fail_memory(err, vocab->n_tokens * sizeof(*ids), "the scores");
    for (uint32_t i = 0; i < vocab->n_tokens; i++)
        ids[i] = i;
    for (size_t i = vocab->n_tokens / 2; i-- > 0;)
        sift(vocab->scores, ids, i, vocab->n_tokens);
    for (size_t i = vocab->n_tokens; i-- > 1;) {
        uint32_t swap = ids[0];
        ids[0] = ids[i];
        ids[i] = swap;
        sift(vocab->scores, ids, 0, i);
    }
    uint32_t rank = 0;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        rank += i > 0 && vocab->scores[ids[i]] < vocab->scores[ids[i - 1]];
        sp->ranks[ids[i]] = rank;
    }
    bn_free(tokenizer->host, ids);
    return BN_OK;
}

static enum bn_result keep_scores(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    struct sentencepiece *sp = tokenizer->state;
    float least = INFINITY;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        memcpy(&sp->ranks[i], &vocab->scores[i], sizeof(sp->ranks[i]));
        if (tokenizer->plain[i])
            least = vocab->scores[i] < least ? vocab->scores[i] : least;
    }
    sp->unknown_score = (isinf(least) ? 0 : least) - 10; // as SentencePiece has it
    if (sp->longest > MOST_PIECE_BYTES)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.tokens", UINT64_MAX,
                          "a token of %zu bytes; at most %d are read", sp->longest, MOST_PIECE_BYTES);
    return BN_OK;
}

static enum bn_result check_vocabulary(const struct bn_vocab *vocab, struct bn_error *err)
{
    char subject[64];
    if (vocab->n_tokens > BN_MOST_ENTRIES || vocab->n_merges > BN_MOST_ENTRIES)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.tokens", UINT64_MAX,
                          "more than %u tokens or merges", BN_MOST_ENTRIES);
    if (vocab->has_charsmap)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.precompiled_charsmap", UINT64_MAX,
                          "the normaliser of this vocabulary is not built");
    if (!vocab->scores && !vocab->by_merges)
        return bn_fail_at(err, BN_ERR_MODEL, vocab->file, "tokenizer.ggml.scores", UINT64_MAX,
                          "the scores are missing");
    bool how = vocab->space_prefix.bytes == 0 || bn_str_is(vocab->space_prefix, "metaspace") ||
               bn_str_is(vocab->space_prefix, "metaspace-first");
    if (!how)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "bitnet.space_prefix", UINT64_MAX,
                          "is not known: metaspace and metaspace-first are");
    for (size_t i = 0; i < vocab->n_tokens && vocab->scores; i++) {
        snprintf(subject, sizeof(subject), "tokenizer.ggml.scores[%zu]", i);
        if (!isfinite(vocab->scores[i]))
            return bn_fail_at(err, BN_ERR_MODEL, vocab->file, subject, UINT64_MAX, "a score is not finite");
    }
    return BN_OK;
}

static bool decode_part(const struct bn_str *text, char *out, size_t *bytes)
{
    *bytes = unescape(text, out);
    return true;
}

static enum bn_result create(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err)
{
    enum bn_result result = check_vocabulary(vocab, err);
    if (result != BN_OK)
        return result;
    struct sentencepiece *sp = bn_alloc(tokenizer->host, sizeof(*sp));
    tokenizer->state = sp;
    if (!sp)
        return bn_fail_memory(err, sizeof(*sp), "the tokenizer");
    sp->ranks = bn_alloc_array(tokenizer->host, vocab->n_tokens, sizeof(*sp->ranks));
    if (!sp->ranks)
        return bn_fail_memory(err, vocab->n_tokens * sizeof(*sp->ranks), "the scores");
    sp->unknown = -1;
    for (size_t i = 0; i < vocab->n_tokens; i++) {
        if (vocab->by_merges && tokenizer->types[i] == BN_TYPE_USER)
            tokenizer->plain[i] = true; // merges make them, too
        size_t bytes = tokenizer->offsets[i + 1] - tokenizer->offsets[i];
        if (tokenizer->plain[i] && bytes > sp->longest)
            sp->longest = bytes;
        if (tokenizer->types[i] == BN_TYPE_UNKNOWN && sp->unknown < 0)
            sp->unknown = (int32_t)i;
    }
    bool unigram = tokenizer->model == &bn_unigram_model;
    sp->add_space = vocab->add_space_prefix != 0;
    sp->not_twice = vocab->space_prefix.bytes > 0;
    sp->only_first = bn_str_is(vocab->space_prefix, "metaspace-first");
    sp->by_merges = vocab->by_merges && !unigram;
    sp->collapse_spaces = unigram && vocab->remove_extra_whitespaces > 0;
    result = bn_token_map_init(&sp->map, tokenizer, vocab->file, true, err);
    if (result == BN_OK)
        bn_token_map_bytes(&sp->map, tokenizer, false, sp->byte_ids);
    if (result == BN_OK && sp->by_merges)
        result = bn_merge_list_init(&sp->merges, tokenizer, vocab, &sp->map, decode_part, false, err);
    else if (result == BN_OK)
        result = unigram ? keep_scores(tokenizer, vocab, err) : rank_tokens(tokenizer, vocab, err);
    tokenizer->info.add_bos = !unigram;
    return result;
}

static void destroy(struct bn_tokenizer *tokenizer)
{
    struct sentencepiece *sp = tokenizer->state;
    if (!sp)
        return;
    bn_token_map_finish(&sp->map, tokenizer->host);
    bn_merge_list_finish(&sp->merges, tokenizer->host);
    bn_free(tokenizer->host, sp->ranks);
    bn_free(tokenizer->host, sp);
}

// Writes the normalised text to `out`, which holds bytes + 1; returns its length. `spaced`: with a space in front.
static size_t normalise(const struct sentencepiece *sp, const char *text, size_t bytes, bool spaced, char *out)
{
    size_t n = 0, start = 0;
    while (sp->collapse_spaces && start < bytes && text[start] == ' ')
        start++;
    bool twice = start < bytes && (text[start] == ' ' || is_mark(text + start, bytes - start));
    if (spaced && start < bytes && !(sp->not_twice && twice))
        out[n++] = ' ';
    for (size_t i = start; i < bytes;) {
        bool mark = is_mark(text + i, bytes - i);
        bool again = i > start && text[i] == ' ' && text[i - 1] == ' ';
        if (!(sp->collapse_spaces && again))
            out[n++] = mark ? ' ' : text[i];
        i += mark ? 3 : 1;
    }
    while (sp->collapse_spaces && n && out[n - 1] == ' ')
        n--;
    return n;
}

// A character that no token covers. Several in a row are one unknown token.
static enum bn_result put_uncovered(const struct sentencepiece *sp, const char *text, size_t bytes, bool after_unknown,
                                    struct bn_token_sink *sink, bool *unknown, struct bn_error *err)
{
    *unknown = false;
    for (size_t i = 0; i < bytes; i++) {
        int32_t id = sp->byte_ids[(unsigned char)text[i]];
        if (id >= 0) {
            bn_token_put(sink, id);
            continue;
        }
        if (sp->unknown < 0)
            return bn_fail(err, BN_ERR_UNSUPPORTED, "the vocabulary has no token for the byte 0x%02x",
                           (unsigned char)text[i]);
        *unknown = true;
        if (!after_unknown && i == 0)
            bn_token_put(sink, sp->unknown);
        break;
    }
    return BN_OK;
}

static bool find_merge(const void *model, const struct bn_merge *merge, int32_t left, int32_t right, uint32_t *rank,
                       int32_t *id)
{
    const struct bn_tokenizer *tokenizer = model;
    const struct sentencepiece *sp = tokenizer->state;
    if (sp->by_merges) {
        int64_t found = bn_merge_list_find(&sp->merges, merge->ids[left], merge->ids[right]);
        *rank = (uint32_t)found;
        *id = found < 0 ? -1 : sp->merges.entries[found].result;
        return found >= 0;
    }
    size_t bytes = bn_merge_length(merge, left) + bn_merge_length(merge, right);
    *id = bytes > sp->longest ? -1 : bn_token_map_find(&sp->map, tokenizer, merge->text + left, bytes);
    if (*id < 0)
        return false;
    *rank = sp->ranks[*id];
    return true;
}

// One symbol per character, each with its token or UNCOVERED.
static void cut(const struct bn_tokenizer *tokenizer, struct bn_merge *merge)
{
    const struct sentencepiece *sp = tokenizer->state;
    for (size_t i = 0, previous = 0, n; i < merge->bytes; previous = i, i += n) {
        uint32_t code;
        n = bn_utf8_next(merge->text + i, merge->bytes - i, &code);
        int32_t id = bn_token_map_find(&sp->map, tokenizer, merge->text + i, n);
        merge->ids[i] = id < 0 ? UNCOVERED : id;
        merge->prev[i] = i ? (int32_t)previous : -1;
        merge->next[i] = i + n < merge->bytes ? (int32_t)(i + n) : -1;
    }
}

static enum bn_result put_symbols(const struct sentencepiece *sp, const struct bn_merge *merge,
                                  struct bn_token_sink *sink, struct bn_error *err)
{
    enum bn_result result = BN_OK;
    bool unknown = false;
    for (int32_t i = 0; i >= 0 && result == BN_OK; i = merge->next[i]) {
        if (merge->ids[i] == UNCOVERED) {
            result = put_uncovered(sp, merge->text + i, bn_merge_length(merge, i), unknown, sink, &unknown, err);
        } else {
            bn_token_put(sink, merge->ids[i]);
            unknown = false;
        }
    }
    return result;
}

static float score_of(const struct sentencepiece *sp, int32_t id)
{
    float score;
    memcpy(&score, &sp->ranks[id], sizeof(score));
    return score;
}

// The best way to each place: `prev` of a place is where its last symbol starts, `ids` what that is, `best` the sum of scores.
// Then the way to the end is turned into a list.
static void find_best(const struct bn_tokenizer *tokenizer, struct bn_merge *merge, double *best)
{
    const struct sentencepiece *sp = tokenizer->state;
    size_t bytes = merge->bytes;
    for (size_t i = 1; i <= bytes; i++)
        best[i] = -(double)INFINITY;
    best[0] = 0;
    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code;
        n = bn_utf8_next(merge->text + i, bytes - i, &code);
        size_t most = bytes - i < sp->longest ? bytes - i : sp->longest;
        bool covered = false;
        for (size_t length = n; length <= most;) {
            int32_t id = bn_token_map_find(&sp->map, tokenizer, merge->text + i, length);
            covered |= id >= 0 && length == n;
            if (id >= 0 && best[i] + (double)score_of(sp, id) > best[i + length]) {
                best[i + length] = best[i] + (double)score_of(sp, id);
                merge->prev[i + length] = (int32_t)i;
                merge->ids[i + length] = id;
            }
            length += i + length < bytes ? bn_utf8_next(merge->text + i + length, bytes - i - length, &code) : 1;
        }
        if (!covered && best[i] + (double)sp->unknown_score > best[i + n]) {
            best[i + n] = best[i] + (double)sp->unknown_score;
            merge->prev[i + n] = (int32_t)i;
            merge->ids[i + n] = UNCOVERED;
        }
    }
    int32_t next = -1;
    for (size_t end = bytes; end > 0; end = (size_t)next) {
        size_t start = (size_t)merge->prev[end];
        merge->heap[start] = (uint64_t)(uint32_t)next << 32 | (uint32_t)merge->ids[end];
        next = (int32_t)start;
    }
    for (int32_t i = 0; i >= 0; i = merge->next[i]) {
        merge->ids[i] = (int32_t)(uint32_t)merge->heap[i];
        merge->next[i] = (int32_t)(uint32_t)(merge->heap[i] >> 32);
    }
}

static enum bn_result encode_text(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, bool spaced,
                                  struct bn_merge *merge, struct bn_token_sink *sink, struct bn_error *err)
{
    const struct sentencepiece *sp = tokenizer->state;
    bool unigram = tokenizer->model == &bn_unigram_model;
    char *normal = bn_alloc(tokenizer->host, bytes + 1);
    double *best = unigram ? bn_alloc_array(tokenizer->host, bytes + 2, sizeof(*best)) : NULL;
    enum bn_result result = BN_OK;
    if (!normal || (unigram && !best))
        result = bn_fail_memory(err, bytes + 1, "a text");
    size_t n = result == BN_OK ? normalise(sp, text, bytes, spaced, normal) : 0;
    if (n > 0)
        result = bn_merge_reserve(tokenizer->host, merge, normal, n + 2, err); // unigram has places up to n
    if (n > 0 && result == BN_OK) {
        merge->bytes = n;
        if (unigram) {
            find_best(tokenizer, merge, best);
        } else {
            cut(tokenizer, merge);
            bn_merge_run(merge, find_merge, tokenizer);
        }
        result = put_symbols(sp, merge, sink, err);
    }
    bn_free(tokenizer->host, normal);
    bn_free(tokenizer->host, best);
    return result;
}

static enum bn_result encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, bool first,
                             struct bn_token_sink *sink, struct bn_error *err)
{
    const struct sentencepiece *sp = tokenizer->state;
    struct bn_merge merge = {0};
    bool spaced = sp->add_space && (first || !sp->only_first);
    enum bn_result result = BN_OK;
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        size_t valid = bn_utf8_valid(text + at, bytes - at);
        if (valid)
            result = encode_text(tokenizer, text + at, valid, spaced && at == 0, &merge, sink, err);
        at += valid;
        uint32_t code;
        size_t bad = at < bytes ? bn_utf8_next(text + at, bytes - at, &code) : 0;
        bool unknown;
        if (bad && result == BN_OK)
            result = put_uncovered(sp, text + at, bad, false, sink, &unknown, err);
        at += bad;
    }
    bn_merge_finish(tokenizer->host, &merge);
    return result;
}

const struct bn_text_model bn_spm_model = {"llama", decode, create, destroy, encode};
const struct bn_text_model bn_unigram_model = {"t5", decode, create, destroy, encode};
