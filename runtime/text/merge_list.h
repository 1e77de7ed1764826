// The merges that a vocabulary lists, by rank.
#ifndef BN_TEXT_MERGE_LIST_H
#define BN_TEXT_MERGE_LIST_H

#include "runtime/text/token_map.h"

struct bn_merge_entry {
    int32_t left, right, result;
};

struct bn_merge_list {
    struct bn_merge_entry *entries; // by rank
    uint32_t *slots;                // rank + 1 by (left, right); 0: free
    uint32_t mask;
};

// How the two parts of a merge are written: to bytes, at most as many as the text has; false if that is no text of a token.
typedef bool bn_merge_decoder(const struct bn_str *text, char *out, size_t *bytes);

// From vocab->merges; `map` has the plain tokens. `strict`: each part and each result must be one of them; else such merges are
// left out. The list is to be finished whatever the result. Errors: BN_ERR_MODEL, BN_ERR_NO_MEMORY.
enum bn_result bn_merge_list_init(struct bn_merge_list *list, const struct bn_tokenizer *tokenizer,
                                  const struct bn_vocab *vocab, const struct bn_token_map *map,
                                  bn_merge_decoder *decode, bool strict, struct bn_error *err);
void bn_merge_list_finish(struct bn_merge_list *list, const struct bn_host *host);

// The rank of the pair, or -1.
int64_t bn_merge_list_find(const struct bn_merge_list *list, int32_t left, int32_t right);

#endif
