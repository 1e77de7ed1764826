// A GGUF or safetensors file that is being written: PATH.part until it is complete, and so made that writing can go on after any
// interruption.
//
// Until the end it starts with "PART" in place of its first four bytes, and has the fingerprint of its source in place of eight others.
// Its head holds a checksum per tensor, of 0 while it is not written yet, stored when the tensor's data is complete. Going on means to
// keep those tensors, from the first on, whose data still has its checksum.
#ifndef BN_CONVERT_PART_FILE_H
#define BN_CONVERT_PART_FILE_H

#include "runtime/base/host.h"

struct bn_part_config {
    const char *path;
    const uint8_t *head; // of the complete file, sums being 0; kept by the caller until the end
    size_t head_bytes;
    size_t sums_at; // of the checksums in the head; 0: there are none, and writing cannot go on
    bool text;      // they are of sixteen hexadecimal digits each, else u64
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
    uint64_t n_done; // tensors that were complete at the beginning
};

// Opens or creates PATH.part, asks for the room of the whole file, and finds what is complete already.
// Errors: BN_ERR_IO (also: too little room, or another process writes it), BN_ERR_NO_MEMORY.
enum bn_result bn_part_begin(struct bn_part *part, const struct bn_host *host, const struct bn_part_config *config,
                             struct bn_error *err);

// Bytes of a tensor, from `at` of its data on. Threads: any, at the same time. Errors: BN_ERR_IO.
enum bn_result bn_part_write(const struct bn_part *part, uint64_t tensor, uint64_t at, const void *data, size_t bytes,
                             struct bn_error *err);
// The tensor is complete. Threads: likewise. Errors: BN_ERR_IO.
enum bn_result bn_part_sum(const struct bn_part *part, uint64_t tensor, uint64_t sum, struct bn_error *err);
// In place of all data: zeros that take no room on the disk. Errors: BN_ERR_IO.
enum bn_result bn_part_hole(const struct bn_part *part, struct bn_error *err);

// Makes the file one that counts and gives it its name, replacing another one. Errors: BN_ERR_IO.
enum bn_result bn_part_end(struct bn_part *part, struct bn_error *err);
// Leaves PATH.part for a later bn_part_begin, or removes it. After bn_part_end it does nothing.
void bn_part_close(struct bn_part *part, bool keep);

// The checksum of a tensor's data; never 0.
uint64_t bn_tensor_sum(const void *data, size_t bytes);
// As text of sixteen digits; and back, 0 if it is not one.
void bn_sum_text(uint64_t sum, char text[17]);
uint64_t bn_sum_of_text(const char *text);

#endif
