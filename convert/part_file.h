// A GGUF file that is being written: PATH.part until it is complete, and so made that writing can go on after any interruption.
//
// Until the end it starts with "PART" in place of "GGUF", and has the fingerprint of its source in place of the number of
// tensors. Its head holds a checksum per tensor (the array of u64 at `sums_at`, 0: not written yet), each stored when the
// tensor's data is complete. Going on means to keep those tensors, from the first on, whose data still has its checksum.
#ifndef BN_CONVERT_PART_FILE_H
#define BN_CONVERT_PART_FILE_H

#include "runtime/base/host.h"

struct bn_part_config {
    const char *path;
    const uint8_t *head; // of the complete file, sums being 0; kept by the caller until the end
    size_t head_bytes;
    size_t sums_at;
    uint64_t n_tensors;
    const uint64_t *offsets, *bytes; // of each tensor's data in the file; ascending
    uint64_t total;                  // bytes of the file
    uint64_t fingerprint;            // of the source and what is made of it
    bool resume;
};

struct bn_part {
    const struct bn_host *host;
    struct bn_part_config config;
    int fd;
    char *temporary;
    bool owned;      // locked
    uint64_t n_done; // tensors that are complete
};

// Opens or creates PATH.part, asks for the room of the whole file, and finds what is complete already.
// Errors: BN_ERR_IO (also: too little room, or another process writes it), BN_ERR_NO_MEMORY.
enum bn_result bn_part_begin(struct bn_part *part, const struct bn_host *host, const struct bn_part_config *config,
                             struct bn_error *err);

// Bytes of tensor n_done, from `at` of its data on. Errors: BN_ERR_IO.
enum bn_result bn_part_write(struct bn_part *part, uint64_t at, const void *data, size_t bytes, struct bn_error *err);
// Tensor n_done is complete. Errors: BN_ERR_IO.
enum bn_result bn_part_sum(struct bn_part *part, uint64_t sum, struct bn_error *err);

// Makes the file one that counts and gives it its name, replacing another one. Errors: BN_ERR_IO.
enum bn_result bn_part_end(struct bn_part *part, struct bn_error *err);
// Leaves PATH.part for a later bn_part_begin, or removes it. After bn_part_end it does nothing.
void bn_part_close(struct bn_part *part, bool keep);

// The checksum of a tensor's data; never 0.
uint64_t bn_tensor_sum(const void *data, size_t bytes);

#endif
