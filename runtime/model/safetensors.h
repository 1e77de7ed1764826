// The header of a safetensors file: an 8-byte length, then JSON {name: {dtype, shape, data_offsets}}, then data.
#ifndef BN_MODEL_SAFETENSORS_H
#define BN_MODEL_SAFETENSORS_H

#include "runtime/base/host.h"
#include "runtime/base/str.h"

#define BN_SAFETENSORS_MAX_HEADER (100u << 20) // the format's own limit
#define BN_SAFETENSORS_MAX_TENSORS 65536u

enum bn_safetensors_dtype { BN_ST_F32, BN_ST_F16, BN_ST_BF16, BN_ST_U8, BN_ST_OTHER };

struct bn_safetensor {
    struct bn_str name;
    enum bn_safetensors_dtype dtype;
    uint32_t n_dims;
    uint64_t dims[4]; // as in the file, the last is contiguous; those from n_dims on are 1
    uint64_t elements;
    uint64_t offset, bytes; // within the file
};

struct bn_safetensors {
    const struct bn_host *host;
    struct bn_safetensor *tensors; // by name
    size_t n_tensors;
    char *names;
};

// `header` is the JSON, without the length; `size` is the whole file's. Every tensor is checked: its bytes are what shape and
// dtype need, they lie within the file, and no two overlap. On failure there is nothing to finish.
// Errors: BN_ERR_MODEL, BN_ERR_UNSUPPORTED (more than 4 dimensions), BN_ERR_NO_MEMORY.
enum bn_result bn_safetensors_init(struct bn_safetensors *st, const struct bn_host *host, const char *file,
                                   struct bn_str header, uint64_t size, struct bn_error *err);
void bn_safetensors_finish(struct bn_safetensors *st);

// NULL if absent.
const struct bn_safetensor *bn_safetensors_find(const struct bn_safetensors *st, const char *name);

// The length of the header, from the file's first 8 bytes. Errors: BN_ERR_MODEL (beyond the file or the format's limit).
enum bn_result bn_safetensors_header(const char *file, const uint8_t first[8], uint64_t size, uint64_t *bytes,
                                     struct bn_error *err);

#endif
