// Any model that can be read as a GGUF file.
#ifndef BN_CONVERT_CONVERT_H
#define BN_CONVERT_CONVERT_H

#include <bitnet/model.h>
#include <bitnet/op.h>

#define BN_SUMS_KEY "bitnet.checksums" // of GGUF, an array of u64; of safetensors, in the metadata, digits

// What a tensor may become.
struct bn_target {
    const char *name; // "i2_s"
    uint32_t type;    // GGUF's
    enum bn_layout layout;
    bool ternary;
    uint32_t file_type; // general.file_type of a model whose matrices have it; 0: none
};

// The table; *n is its length. Ownership: static.
const struct bn_target *bn_targets(size_t *n);

struct bn_conversion {
    const char *matrices;            // a name of the table, or NULL: as they are, and I2_S if GGUF has no such type
    const char *embeddings;          // likewise, of the embedding and the head
    struct bn_model_options options; // how the source is read
    enum bn_i2s_order order;         // of I2_S that is written; AUTO: A
    bool lossy;                      // scales and floats may be rounded, and several scales become their mean
    uint64_t scan_from;              // a head of this many bytes or more gets its scan copy beside it; 0: none does
    uint64_t shard_bytes;            // of a folder's files of weights, about; 0: there is one
    bool resume;                     // go on with what an earlier attempt has left
    uint32_t threads;                // of the work; 0: as many as there are CPUs, at most 8
    // Called now and then, on any thread, never on two at once; false stops the work with BN_ERR_CANCELLED. May be NULL.
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
};

// What was done.
struct bn_converted {
    uint64_t bytes; // of the file
    uint64_t kept;  // bytes of data that an earlier attempt had written
    uint64_t n_tensors;
    uint64_t n_copied; // of them as they were
};

// Writes the model at `from` to the file `to`, which is replaced if it exists. The file appears under its name only when it is
// complete; until then it is `to`.part. That is left for a later call with `resume` if the work was stopped, or could not be
// finished because the disk is full, and removed after other failures.
// Memory: the keys, and a few rows for each thread. Errors: those of bn_model_open; BN_ERR_UNSUPPORTED also for what `to` cannot hold without
//   loss; BN_ERR_IO, BN_ERR_CANCELLED.
enum bn_result bn_convert(struct bn_runtime *runtime, const char *from, const char *to,
                          const struct bn_conversion *conversion, struct bn_converted *done, struct bn_error *err);

// Compares the data of every tensor, of a file or a folder, with the checksum that a conversion has stored. *n: how many were compared.
// Errors: those of reading GGUF; BN_ERR_MODEL with the tensor that differs; BN_ERR_NOT_FOUND: the file has no checksums.
enum bn_result bn_verify(struct bn_runtime *runtime, const char *path,
                         bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                         struct bn_error *err);

#endif
