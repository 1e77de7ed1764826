#include "runtime/text/merge_list.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/text/utf8.h"

static uint32_t *find_slot(const struct bn_merge_list *list, int32_t left, int32_t right)
{
    uint32_t at = bn_scramble((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
    for (int i = 0; i < BN_MOST_PROBES; i++, at++) {
        uint32_t *slot = &list->slots[at & list->mask];
        if (*slot == 0 || (list->entries[*slot - 1].left == left && list->entries[*slot - 1].right == right))
            return slot;
    }
    return NULL;
}

int64_t bn_merge_list_find(const struct bn_merge_list *list, int32_t left, int32_t right)
{
    const uint32_t *slot = find_slot(list, left, right);
    return slot ? (int64_t)*slot - 1 : -1;
}

// Reads one "left right" into *entry; `scratch` holds text->bytes bytes. Returns what is wrong with it, or NULL. *tokens: what
// is wrong is that a part, or the whole, is no plain token.
static const char *read_entry(const struct bn_tokenizer *tokenizer, const struct bn_token_map *map,
                              bn_merge_decoder *decode, const struct bn_str *text, char *scratch,
                              struct bn_merge_entry *entry, bool *tokens)
{
    const char *space = text->bytes ? memchr(text->data, ' ', text->bytes) : NULL;
    *tokens = false;
    if (!space || bn_utf8_valid(text->data, text->bytes) != text->bytes)
        return "not two tokens";
    struct bn_str left = {text->data, (size_t)(space - text->data)};
    struct bn_str right = {space + 1, text->bytes - left.bytes - 1};
    size_t n_left, n_right;
    if (!decode(&left, scratch, &n_left) || !decode(&right, scratch + n_left, &n_right))
        return "a character that stands for no byte";
    if (n_left == 0 || n_right == 0)
        return "not two tokens";
    entry->left = bn_token_map_find(map, tokenizer, scratch, n_left);
    entry->right = bn_token_map_find(map, tokenizer, scratch + n_left, n_right);
    entry->result = bn_token_map_find(map, tokenizer, scratch, n_left + n_right);
    *tokens = entry->left < 0 || entry->right < 0 || entry->result < 0;
    return *tokens ? "a part, or the whole, is not a normal token of the vocabulary" : NULL;
}

enum bn_result bn_merge_list_init(struct bn_merge_list *list, const struct bn_tokenizer *tokenizer,
                                  const struct bn_vocab *vocab, const struct bn_token_map *map,
                                  bn_merge_decoder *decode, bool strict, struct bn_error *err)
{
    const struct bn_host *host = tokenizer->host;
    size_t longest = 0;
    for (size_t i = 0; i < vocab->n_merges; i++)
        longest = vocab->merges[i].bytes > longest ? vocab->merges[i].bytes : longest;
    list->entries = bn_alloc_array(host, vocab->n_merges, sizeof(*list->entries));
    list->slots = bn_new_slots(host, vocab->n_merges, &list->mask);
    char *scratch = bn_alloc(host, longest);
    enum bn_result result = BN_OK;
    if (!list->entries || !list->slots || !scratch)
        result = bn_fail_memory(err, vocab->n_merges * sizeof(*list->entries), "the merges");
    for (size_t i = 0; i < vocab->n_merges && result == BN_OK; i++) {
        struct bn_merge_entry *entry = &list->entries[i];
        bool tokens;
        const char *fault = read_entry(tokenizer, map, decode, &vocab->merges[i], scratch, entry, &tokens);
        if (tokens && !strict)
            continue;
        uint32_t *slot = fault ? NULL : find_slot(list, entry->left, entry->right);
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

void bn_merge_list_finish(struct bn_merge_list *list, const struct bn_host *host)
{
    bn_free(host, list->entries);
    bn_free(host, list->slots);
    memset(list, 0, sizeof(*list));
}
