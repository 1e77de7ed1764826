// Models of a given size with random weights, for tests of size and speed that need no download.
#ifndef BN_CONVERT_SYNTHETIC_H
#define BN_CONVERT_SYNTHETIC_H

#include <bitnet/model.h>

struct bn_size {
    const char *name, *about;
    uint32_t vocab, specials, merges, text, ctx, embd, layers, ff, heads, kv_heads;
    float theta;
};

struct bn_synthetic {
    const char *size;         // of sizes.inl
    const char *architecture; // a family of arch.inl, NULL: "bitnet-b1.58"; 2b4t is of this one only
    enum bn_i2s_order order;  // AUTO: A; the trits are the same in all
    uint64_t seed;
    uint32_t layers; // 0: as many as the size has
    bool no_weights; // all of them zero, which takes no room on the disk
    // Called now and then while data is written; false stops the work with BN_ERR_CANCELLED. May be NULL.
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
};

// The table; *n is its length. Ownership: static.
const struct bn_size *bn_sizes(size_t *n);

// Writes the model to `path`, which is replaced if it exists. Nothing is left of it on failure.
//   bitnet-b1.58  as published: relu^2, tied head
//   bitnet-25     relu^2, a head of its own
//   bitnet        SiLU, tied head, a tensor NAME.scale for each matrix
// Errors: BN_ERR_ARGUMENT (unknown size or architecture), BN_ERR_IO, BN_ERR_NO_MEMORY, BN_ERR_CANCELLED.
enum bn_result bn_synthetic_write(struct bn_runtime *runtime, const char *path, const struct bn_synthetic *config,
                                  struct bn_error *err);

#endif
