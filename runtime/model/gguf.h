// Reading GGUF v2 and v3 from memory. Every count, size and offset is checked against the file before it is used;
// strings, arrays and tensors are views of the file, which must outlive the reader.
#ifndef BN_MODEL_GGUF_H
#define BN_MODEL_GGUF_H

#include "runtime/base/host.h"
#include "runtime/base/str.h"

enum bn_gguf_type {
    BN_GGUF_U8,
    BN_GGUF_I8,
    BN_GGUF_U16,
    BN_GGUF_I16,
    BN_GGUF_U32,
    BN_GGUF_I32,
    BN_GGUF_F32,
    BN_GGUF_BOOL,
    BN_GGUF_STRING,
    BN_GGUF_ARRAY,
    BN_GGUF_U64,
    BN_GGUF_I64,
    BN_GGUF_F64,
    BN_GGUF_TYPE_COUNT,
};

// Tensor types that this project reads. Others are listed by bn_gguf_tensor_type_name only.
#define BN_GGUF_TENSOR_F32 0
#define BN_GGUF_TENSOR_F16 1
#define BN_GGUF_TENSOR_I8 24
#define BN_GGUF_TENSOR_BF16 30

// The scan copy of a head (docs/numerics.md): int8 rows, and a bn_scan_row each, as f32 [3].
#define BN_GGUF_SCAN_ROWS "output.scan"
#define BN_GGUF_SCAN_INFO "output.scan_info"
#define BN_GGUF_TENSOR_HF 0x10000 // not GGUF's: Hugging Face's packed uint8, in views of folders only
#define BN_GGUF_TENSOR_I2S 36     // bitnet.cpp's number; elsewhere it was another type, so sizes decide

struct bn_gguf_key {
    struct bn_str name;
    enum bn_gguf_type type;
    enum bn_gguf_type element; // of arrays; never an array
    uint64_t count;            // elements of an array; 1 otherwise
    const uint8_t *data;       // the value, or the first element; strings begin with their u64 length
    uint64_t offset;           // of the key in the file
};

struct bn_gguf_tensor {
    struct bn_str name;
    uint32_t n_dims;
    uint64_t dims[4]; // dims[0] is contiguous; 1 from n_dims on
    uint64_t elements;
    uint32_t type;
    uint64_t described_at; // file offset of its description, for messages
    uint64_t offset;       // of its data in the file
    uint64_t room;         // bytes up to the next tensor's start, or the file's end
    bool last;             // no tensor starts after it
    float scale;           // that stands elsewhere, in views of folders; 1 otherwise
};

// A file that a view of a folder is made of.
struct bn_gguf_part {
    uint64_t start; // in the view
    char name[256];
};

struct bn_gguf {
    const struct bn_host *host;
    const char *file; // for messages
    const uint8_t *data;
    uint64_t size;
    uint32_t version;
    uint32_t alignment;
    uint64_t data_offset;     // where tensor data starts
    struct bn_gguf_key *keys; // in file order
    uint32_t n_keys;
    uint32_t *sorted_keys;          // indices by name
    struct bn_gguf_tensor *tensors; // in file order
    uint32_t n_tensors;
    uint32_t *sorted_tensors; // indices by name
    // Of a view of a folder (hf.h); a file has none of it.
    struct bn_gguf_part *parts;
    uint32_t n_parts;
    char *names;
    bool master; // matrices of floats are to be quantised as the model was trained
    bool halves; // RoPE turns features i and i + head_dim/2, whatever the family's GGUF files do
};

// `file` must outlive the reader. On failure there is nothing to finish.
// Errors: BN_ERR_MODEL (damaged; key or tensor and offset say where), BN_ERR_UNSUPPORTED (version 1, big-endian),
//   BN_ERR_NO_MEMORY.
enum bn_result bn_gguf_init(struct bn_gguf *gguf, const struct bn_host *host, const char *file, const uint8_t *data,
                            uint64_t size, struct bn_error *err);
void bn_gguf_finish(struct bn_gguf *gguf);

// For a view: the tensors in place of those that the reader found, which were none. Takes tensors, names and parts over, from
// the same host, also on failure. Errors: BN_ERR_MODEL (a name occurs twice), BN_ERR_NO_MEMORY.
enum bn_result bn_gguf_set_tensors(struct bn_gguf *gguf, struct bn_gguf_tensor *tensors, uint32_t n, char *names,
                                   struct bn_gguf_part *parts, uint32_t n_parts, struct bn_error *err);

// NULL if absent.
const struct bn_gguf_key *bn_gguf_find(const struct bn_gguf *gguf, const char *name);
const struct bn_gguf_tensor *bn_gguf_find_tensor(const struct bn_gguf *gguf, const char *name);

// Typed values. An absent key leaves *value alone if `required` is false. Integers of any width are accepted if the
// value fits. Errors: BN_ERR_MODEL (absent, or of another type or range).
enum bn_result bn_gguf_get_u32(const struct bn_gguf *gguf, const char *name, bool required, uint32_t *value,
                               struct bn_error *err);
enum bn_result bn_gguf_get_i64(const struct bn_gguf *gguf, const char *name, bool required, int64_t *value,
                               struct bn_error *err);
enum bn_result bn_gguf_get_f32(const struct bn_gguf *gguf, const char *name, bool required, float *value,
                               struct bn_error *err);
enum bn_result bn_gguf_get_bool(const struct bn_gguf *gguf, const char *name, bool required, bool *value,
                                struct bn_error *err);
enum bn_result bn_gguf_get_str(const struct bn_gguf *gguf, const char *name, bool required, struct bn_str *value,
                               struct bn_error *err);

// The array of integers of any width, or NULL in *key if absent; then element i of it. Errors: likewise.
enum bn_result bn_gguf_get_integers(const struct bn_gguf *gguf, const char *name, bool required,
                                    const struct bn_gguf_key **key, struct bn_error *err);
int64_t bn_gguf_integer_at(const struct bn_gguf_key *key, uint64_t i);

// The array of that element type, or NULL in *key if absent.
enum bn_result bn_gguf_get_array(const struct bn_gguf *gguf, const char *name, bool required, enum bn_gguf_type element,
                                 const struct bn_gguf_key **key, struct bn_error *err);

// Where the key's value ends.
const uint8_t *bn_gguf_value_end(const struct bn_gguf_key *key);

// Walks an array of strings: start with *at = key->data, call at most key->count times.
struct bn_str bn_gguf_next_str(const uint8_t **at);

// "u32", "f16", ...; NULL outside the known types.
const char *bn_gguf_type_name(uint32_t type);
const char *bn_gguf_tensor_type_name(uint32_t type);

// A failure at a place of the file; subject may be NULL.
enum bn_result bn_gguf_fail(const struct bn_gguf *gguf, enum bn_result code, const struct bn_str *subject,
                            uint64_t offset, struct bn_error *err, const char *format, ...) BN_PRINTF(6, 7);

#endif
