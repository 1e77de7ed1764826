// From the bytes of a token to its id.
#ifndef BN_TEXT_TOKEN_MAP_H
#define BN_TEXT_TOKEN_MAP_H

#include "runtime/text/tokenizer_impl.h"

struct bn_token_map {
    uint32_t *slots; // id + 1 by the bytes of the token; 0: free
    uint32_t mask;
};

// Fills the map with the plain tokens. Of equal ones the first counts if `equal` is true; else they are an error.
// Errors: BN_ERR_MODEL, BN_ERR_NO_MEMORY. The map is to be finished whatever the result.
enum bn_result bn_token_map_init(struct bn_token_map *map, const struct bn_tokenizer *tokenizer, const char *file,
                                 bool equal, struct bn_error *err);
void bn_token_map_finish(struct bn_token_map *map, const struct bn_host *host);

// The id of the plain token with these bytes, or -1.
int32_t bn_token_map_find(const struct bn_token_map *map, const struct bn_tokenizer *tokenizer, const char *data,
                          size_t bytes);

// The ids of tokens for single bytes, -1 where there is none: a plain token of that byte if `plain` is true, else the byte
// token.
void bn_token_map_bytes(const struct bn_token_map *map, const struct bn_tokenizer *tokenizer, bool plain,
                        int32_t ids[256]);

// Decodes the name of a byte token, "<0x0A>". Errors: BN_ERR_MODEL with `subject`.
enum bn_result bn_decode_byte_token(const struct bn_str *text, char *out, const char *file, const char *subject,
                                    struct bn_error *err);

// Slots for a table of so many entries, twice as many at least; *mask is their number less one. NULL without memory.
uint32_t *bn_new_slots(const struct bn_host *host, size_t entries, uint32_t *mask);
uint32_t bn_scramble(uint64_t x); // a hash

// No honest vocabulary comes near, and a made-up one cannot make loading quadratic.
#define BN_MOST_PROBES 1024
#define BN_MOST_ENTRIES (1u << 28)

#endif
