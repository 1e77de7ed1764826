// A made-up byte-level BPE vocabulary of a given size.
#ifndef BN_CONVERT_SYNTHETIC_VOCAB_H
#define BN_CONVERT_SYNTHETIC_VOCAB_H

#include "convert/synthetic.h"

// What is made of a size: how many tokens of each kind. Every token but the bytes is the result of at least one merge of
// two other tokens.
struct bn_made_vocab {
    uint32_t plain; // tokens that are not special
    uint32_t merges;
    uint32_t spare;   // merges above one per token, given to the tokens that allow more, longest words first
    uint32_t longest; // words of five syllables in place of words of four, to meet the number of bytes
    uint32_t specials;
};

// Where the strings go: tokens in order of id, merges in order of rank.
struct bn_vocab_sink {
    void (*token)(void *user, const char *text, size_t bytes);
    void (*merge)(void *user, const char *text, size_t bytes);
    void *user;
};

// False if the size asks for numbers that this kind of vocabulary cannot have.
bool bn_make_vocab(const struct bn_size *size, struct bn_made_vocab *vocab);
void bn_emit_vocab(const struct bn_made_vocab *vocab, const struct bn_vocab_sink *sink);

#endif
