// The head of a GGUF file made in memory: for models that come in other formats, which bn_gguf_init then reads, and for
// bitnet-convert, which writes it.
#ifndef BN_MODEL_KEY_BLOB_H
#define BN_MODEL_KEY_BLOB_H

#include "runtime/model/gguf.h"

// Begin with bn_key_blob_begin. A lack of memory is kept in `failed`, and later calls do nothing.
struct bn_key_blob {
    const struct bn_host *host;
    uint8_t *data; // `bytes` of them are written
    size_t bytes, capacity;
    uint64_t n_keys;    // written by the functions below
    uint64_t n_tensors; // of the descriptions that were put behind the keys; the caller's
    bool failed;
};

void bn_key_blob_begin(struct bn_key_blob *blob, const struct bn_host *host);
void bn_key_blob_finish(struct bn_key_blob *blob);

void bn_key_u32(struct bn_key_blob *blob, const char *key, uint32_t value);
void bn_key_f32(struct bn_key_blob *blob, const char *key, float value);
void bn_key_bool(struct bn_key_blob *blob, const char *key, bool value);
void bn_key_str(struct bn_key_blob *blob, const char *key, struct bn_str value);

// An array: `count` elements follow, one call of bn_key_element_* each.
void bn_key_array(struct bn_key_blob *blob, const char *key, enum bn_gguf_type element, uint64_t count);
void bn_key_element_u32(struct bn_key_blob *blob, uint32_t bits); // an element of u32, i32 or f32
void bn_key_element_str(struct bn_key_blob *blob, struct bn_str value);

// A key as another file has it.
void bn_key_copy(struct bn_key_blob *blob, const struct bn_gguf_key *key);
// Bytes as they are: descriptions of tensors, behind the keys.
void bn_key_blob_put(struct bn_key_blob *blob, const void *data, size_t bytes);
void bn_key_blob_put_str(struct bn_key_blob *blob, struct bn_str value); // with its length

// `n` zeroed bytes behind what is there, from a multiple of `alignment` on; their offset. 0: no memory.
size_t bn_key_blob_room(struct bn_key_blob *blob, size_t n, size_t alignment);

// Completes the head, with the counts. Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_key_blob_end(struct bn_key_blob *blob, struct bn_error *err);

#endif
