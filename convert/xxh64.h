// XXH64, the 64-bit hash of Yann Collet's xxHash (its specification, "XXH64 algorithm description"), with seed 0.
#ifndef BN_CONVERT_XXH64_H
#define BN_CONVERT_XXH64_H

#include <stddef.h>
#include <stdint.h>

struct bn_xxh64 {
    uint64_t lanes[4];
    uint64_t total;
    uint8_t held[32];
};

void bn_xxh64_begin(struct bn_xxh64 *state);
void bn_xxh64_add(struct bn_xxh64 *state, const void *data, size_t bytes);
uint64_t bn_xxh64_end(const struct bn_xxh64 *state);

#endif
