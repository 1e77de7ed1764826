// Building a tokenizer from a vocabulary, whatever file it came from.
#ifndef BN_TEXT_TOKENIZER_H
#define BN_TEXT_TOKENIZER_H

#include <bitnet/text.h>

#include "runtime/base/host.h"
#include "runtime/base/str.h"

// What a file says. Token texts are in the byte-to-unicode alphabet of GPT-2 for model "gpt2" (space is "Ġ"), plain
// for special tokens; those of SentencePiece have U+2581 for a space. Everything is untrusted: lengths were checked against the file, contents were not.
struct bn_vocab {
    const char *file;    // for messages
    struct bn_str model; // tokenizer.ggml.model
    struct bn_str pre;   // tokenizer.ggml.pre; empty if absent
    struct bn_str architecture;
    struct bn_str chat_template;
    const struct bn_str *tokens;
    // tokenizer.ggml.token_type, or NULL: all normal. 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
    const int32_t *types;
    size_t n_tokens;
    const struct bn_str *merges; // "left right"
    size_t n_merges;
    int64_t bos, eos, eot, pad; // -1: absent
    const int32_t *ends;        // further ids that end generation
    size_t n_ends;
    int add_bos, add_eos;   // -1: absent
    int ignore_merges, nfc; // of "gpt2"; -1: as the pre-tokeniser has it
    // SentencePiece ("llama": byte-pair encoding, "t5": unigram).
    const float *scores;          // [n_tokens], or NULL
    bool by_merges;               // "llama": `merges` decide, not scores
    int add_space_prefix;         // -1: absent, which means true
    struct bn_str space_prefix;   // how: empty, "metaspace" or "metaspace-first" (sentencepiece.c)
    int remove_extra_whitespaces; // -1: absent
    bool has_charsmap;            // a normaliser that is not known
};

// Copies what it keeps. Errors: BN_ERR_MODEL (damaged), BN_ERR_UNSUPPORTED (model or pre-tokeniser, by name),
// BN_ERR_NO_MEMORY.
enum bn_result bn_tokenizer_create(const struct bn_host *host, const struct bn_vocab *vocab, struct bn_tokenizer **out,
                                   struct bn_error *err);
void bn_tokenizer_destroy(struct bn_tokenizer *tokenizer);

#endif
