#include "runtime/text/token_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"

uint32_t bn_scramble(uint64_t x)
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
    return bn_scramble(hash);
}

// The slot that holds the token, or the free one where it would be; NULL if there is neither nearby.
static uint32_t *find_slot(const struct bn_token_map *map, const struct bn_tokenizer *tokenizer, const char *data,
                           size_t bytes)
{
    uint32_t at = hash_bytes(data, bytes);
    for (int i = 0; i < BN_MOST_PROBES; i++, at++) {
        uint32_t *slot = &map->slots[at & map->mask];
        if (*slot == 0)
            return slot;
        size_t start = tokenizer->offsets[*slot - 1];
        if (tokenizer->offsets[*slot] - start == bytes && memcmp(tokenizer->bytes + start, data, bytes) == 0)
            return slot;
    }
    return NULL;
}

int32_t bn_token_map_find(const struct bn_token_map *map, const struct bn_tokenizer *tokenizer, const char *data,
                          size_t bytes)
{
    const uint32_t *slot = find_slot(map, tokenizer, data, bytes);
    return slot ? (int32_t)*slot - 1 : -1;
}

uint32_t *bn_new_slots(const struct bn_host *host, size_t entries, uint32_t *mask)
{
    uint32_t n = 16;
    while (n < entries * 2)
        n *= 2;
    *mask = n - 1;
    return bn_alloc_array(host, n, sizeof(uint32_t));
}

enum bn_result bn_token_map_init(struct bn_token_map *map, const struct bn_tokenizer *tokenizer, const char *file,
                                 bool equal, struct bn_error *err)
{
    uint32_t n_tokens = tokenizer->info.n_vocab;
    map->slots = bn_new_slots(tokenizer->host, n_tokens, &map->mask);
    if (!map->slots)
        return bn_fail_memory(err, ((uint64_t)map->mask + 1) * sizeof(uint32_t), "the vocabulary");
    for (uint32_t id = 0; id < n_tokens; id++) {
        if (!tokenizer->plain[id])
            continue;
        size_t start = tokenizer->offsets[id];
        uint32_t *slot = find_slot(map, tokenizer, tokenizer->bytes + start, tokenizer->offsets[id + 1] - start);
        if (slot && *slot == 0)
            *slot = id + 1;
        if (slot && (equal || *slot == id + 1))
            continue;
        char subject[64];
        snprintf(subject, sizeof(subject), "tokenizer.ggml.tokens[%" PRIu32 "]", id);
        if (!slot)
            return bn_fail_at(err, BN_ERR_MODEL, file, subject, UINT64_MAX, "the tokens are made to collide");
        return bn_fail_at(err, BN_ERR_MODEL, file, subject, UINT64_MAX, "the same token as %" PRIu32, *slot - 1);
    }
    return BN_OK;
}

void bn_token_map_finish(struct bn_token_map *map, const struct bn_host *host)
{
    bn_free(host, map->slots);
    map->slots = NULL;
}

void bn_token_map_bytes(const struct bn_token_map *map, const struct bn_tokenizer *tokenizer, bool plain,
                        int32_t ids[256])
{
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        ids[byte] = plain ? bn_token_map_find(map, tokenizer, &c, 1) : -1;
    }
    for (uint32_t id = 0; id < tokenizer->info.n_vocab; id++) {
        if (tokenizer->types[id] == BN_TYPE_BYTE) {
            int32_t *byte_id = &ids[(unsigned char)tokenizer->bytes[tokenizer->offsets[id]]];
            *byte_id = *byte_id < 0 ? (int32_t)id : *byte_id;
        }
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

enum bn_result bn_decode_byte_token(const struct bn_str *text, char *out, const char *file, const char *subject,
                                    struct bn_error *err)
{
    int high = text->bytes == 6 ? hex_digit(text->data[3]) : -1;
    int low = text->bytes == 6 ? hex_digit(text->data[4]) : -1;
    if (high < 0 || low < 0 || memcmp(text->data, "<0x", 3) != 0 || text->data[5] != '>')
        return bn_fail_at(err, BN_ERR_MODEL, file, subject, UINT64_MAX, "a byte token that is not of the form <0x0A>");
    out[0] = (char)(high * 16 + low);
    return BN_OK;
}
