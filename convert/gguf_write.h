// Writing GGUF v3 as a stream: keys, then the list of tensors, then their data, in this order. The file appears under
// its name only when it is complete.
#ifndef BN_CONVERT_GGUF_WRITE_H
#define BN_CONVERT_GGUF_WRITE_H

#include "runtime/model/gguf.h"

#define BN_GGUF_WRITE_BUFFER (1u << 20)
#define BN_GGUF_WRITE_ALIGNMENT 32u

// The first failure is kept in `result` and *err, and every later call does nothing: only bn_gguf_write_end need be
// checked, and a loop that writes much may look at `result`.
struct bn_gguf_write {
    const struct bn_host *host;
    struct bn_error *err;
    enum bn_result result;
    int fd;
    char *path;
    char *temporary;
    uint8_t *buffer; // [BN_GGUF_WRITE_BUFFER]
    size_t held;     // bytes in it
    uint64_t at;     // file offset of the next byte
    uint64_t n_keys;
    uint64_t n_tensors;
    uint64_t data_at;    // where tensor data starts; 0 before
    uint64_t data_bytes; // declared, padded to the alignment
    uint64_t *ends;      // of declared tensors, from data_at; padding not included
    uint64_t n_ended;    // tensors whose data is complete
    uint64_t array_left; // elements missing from the array that was begun
};

// Creates the file under a temporary name beside `path`. On failure there is nothing to end.
// Errors: BN_ERR_IO, BN_ERR_NO_MEMORY.
enum bn_result bn_gguf_write_begin(struct bn_gguf_write *writer, const struct bn_host *host, const char *path,
                                   struct bn_error *err);

void bn_gguf_write_u32(struct bn_gguf_write *writer, const char *key, uint32_t value);
void bn_gguf_write_f32(struct bn_gguf_write *writer, const char *key, float value);
void bn_gguf_write_bool(struct bn_gguf_write *writer, const char *key, bool value);
void bn_gguf_write_str(struct bn_gguf_write *writer, const char *key, const char *value);

// An array: `count` elements follow, one call each.
void bn_gguf_write_array(struct bn_gguf_write *writer, const char *key, enum bn_gguf_type element, uint64_t count);
void bn_gguf_write_array_u32(struct bn_gguf_write *writer, uint32_t bits); // an element of u32, i32 or f32
void bn_gguf_write_array_str(struct bn_gguf_write *writer, const char *data, size_t bytes);

// Names a tensor of `bytes` bytes; data comes later, in the same order. cols is dims[0]; rows = 0: a vector.
void bn_gguf_write_tensor(struct bn_gguf_write *writer, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                          uint64_t bytes);

// Appends to the data of the current tensor; the first call ends the list of tensors. Padding is added here.
void bn_gguf_write_data(struct bn_gguf_write *writer, const void *data, size_t bytes);

// In place of all data: zeros that take no room on the disk.
void bn_gguf_write_hole(struct bn_gguf_write *writer);

// Completes the file and gives it its name, replacing another one. Keeps nothing on failure, or if `keep` is false.
// Errors: BN_ERR_IO, BN_ERR_NO_MEMORY, BN_ERR_ARGUMENT (what was announced did not come).
enum bn_result bn_gguf_write_end(struct bn_gguf_write *writer, bool keep);

#endif
