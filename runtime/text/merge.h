// Byte-pair encoding of one piece of text: neighbours are merged, those of the best rank first, the leftmost among equals,
// until no pair can be.
#ifndef BN_TEXT_MERGE_H
#define BN_TEXT_MERGE_H

#include "runtime/text/tokenizer_impl.h"

// Symbols are known by the byte they start at: a list over `next` and `prev` (-1 ends it). A symbol ends where the next one
// starts. Zero it to start.
struct bn_merge {
    int32_t *ids; // BN_MERGED: part of its left neighbour; other values are the model's
    int32_t *next, *prev;
    // A heap of merges that were possible when they were pushed, as rank and position of the left symbol. Merging removes one
    // entry and adds at most two, so 2n entries are enough.
    uint64_t *heap;
    size_t n_heap;
    size_t capacity; // bytes of a piece
    const char *text;
    size_t bytes;
};
#define BN_MERGED (-1)

// Room for a piece, which becomes `text`. Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_merge_reserve(const struct bn_host *host, struct bn_merge *merge, const char *text, size_t bytes,
                                struct bn_error *err);
void bn_merge_finish(const struct bn_host *host, struct bn_merge *merge);

// Whether two neighbours can be merged, at which rank (the least first), and into what.
typedef bool bn_merge_rule(const void *model, const struct bn_merge *merge, int32_t left, int32_t right, uint32_t *rank,
                           int32_t *id);

// The list is in place, from byte 0 on.
void bn_merge_run(struct bn_merge *merge, bn_merge_rule *rule, const void *model);

static inline size_t bn_merge_length(const struct bn_merge *merge, int32_t symbol)
{
    int32_t next = merge->next[symbol];
    return (next < 0 ? merge->bytes : (size_t)next) - (size_t)symbol;
}

#endif
