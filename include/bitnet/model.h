// Models: immutable weights, geometry and vocabulary, shared by any number of engines.
#ifndef BITNET_MODEL_H
#define BITNET_MODEL_H

#include <bitnet/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

// The three byte orders in which files store I2_S under one type number (docs/layouts.md). No header field tells
// them apart; AUTO takes the file's own key `bitnet.i2s_layout` ("128/32", "64/16", "1x4") if it has one, else A.
enum bn_i2s_order { BN_I2S_AUTO, BN_I2S_A, BN_I2S_B, BN_I2S_C };

// The feed-forward activation. AUTO: `<arch>.hidden_activation` if present, else what the architecture was
// trained with.
enum bn_activation { BN_ACTIVATION_AUTO, BN_ACTIVATION_RELU2, BN_ACTIVATION_SILU, BN_ACTIVATION_GELU };

// How a model is read; what a file does not say can be said here.
struct bn_model_options {
    size_t size;
    enum bn_i2s_order i2s_order;
    enum bn_activation activation;
    bool vocab_only; // read the tokenizer and keys only; the file may have no tensors
    // Int8 planes of the quantised activations: 1, as BitNet models were trained; 2 makes 16 bits, for models that were
    // trained with ternary weights only. 0: what the family was trained with.
    uint32_t activation_planes;
};

// What a model is. The strings are terminated UTF-8, borrowed from the model.
struct bn_model_info {
    size_t size;
    const char *architecture;      // "bitnet-b1.58"; "" for a vocabulary-only file without one
    const char *name;              // general.name, "" if absent
    enum bn_activation activation; // never AUTO; 0 only for vocabulary-only models
    uint32_t n_vocab;              // tokens of the vocabulary
    uint32_t n_embd;               // features of the residual stream
    uint32_t n_layer;              // transformer blocks
    uint32_t n_head;               // of the queries
    uint32_t n_head_kv;            // of keys and values; divides n_head
    uint32_t head_dim;             // features of a head
    uint32_t n_ff;                 // features between gate/up and down
    uint32_t n_ctx_train;          // positions the model was trained for
    float rope_theta;              // base of RoPE's frequencies
    float norm_eps;                // added to the mean square in RMSNorm
    uint64_t n_params;             // elements of all tensors
    uint64_t bytes;                // bytes of all tensors as stored
    uint64_t token_bytes;          // weight bytes one decoded token streams; of a large head, its scan copy
    uint32_t activation_planes;    // int8 planes of the quantised activations: 1 or 2
    bool embeds;                   // made for embeddings of texts: see bn_embed
};

// A model file, mapped: weights, geometry, vocabulary.
struct bn_model;
// The vocabulary of a model and how it cuts text; see text.h.
struct bn_tokenizer;

// Opens a model by mapping it: a GGUF file (v2 or v3), or a folder of Hugging Face (config.json, tokenizer.json, safetensors).
// The files must not change while the model lives.
// Ownership: the caller destroys *out. Threads: any.
// Errors: BN_ERR_IO, BN_ERR_MODEL (damaged), BN_ERR_UNSUPPORTED (an architecture, tensor type or key this build does
//   not run, by name), BN_ERR_NO_MEMORY, BN_ERR_ARGUMENT.
BN_API BN_MUST_CHECK enum bn_result bn_model_open(struct bn_runtime *runtime, const char *path,
                                                  const struct bn_model_options *options, // NULL: defaults
                                                  struct bn_model **out, struct bn_error *err);

// The same from a descriptor of a regular file, from its start; the descriptor may be closed afterwards. `name` is
// used in messages and may be NULL.
// Ownership: the caller destroys *out, and keeps the descriptor. Threads: any. Errors: those of bn_model_open.
BN_API BN_MUST_CHECK enum bn_result bn_model_open_fd(struct bn_runtime *runtime, int fd, const char *name,
                                                     const struct bn_model_options *options, struct bn_model **out,
                                                     struct bn_error *err);

// The same from memory that the caller keeps unchanged while the model lives; aligned to 64 bytes or more.
// Ownership: the caller destroys *out, and keeps the memory. Threads: any. Errors: those of bn_model_open.
BN_API BN_MUST_CHECK enum bn_result bn_model_open_memory(struct bn_runtime *runtime, const void *data, size_t bytes,
                                                         const char *name, const struct bn_model_options *options,
                                                         struct bn_model **out, struct bn_error *err);

// Engines with it must be gone first. Threads: one at a time.
BN_API void bn_model_destroy(struct bn_model *model);

// Ownership: borrowed. Threads: any.
BN_API const struct bn_model_info *bn_model_get_info(const struct bn_model *model);

// The model's tokenizer; never NULL. Ownership: borrowed. Threads: any.
BN_API const struct bn_tokenizer *bn_model_get_tokenizer(const struct bn_model *model);

#ifdef __cplusplus
}
#endif
#endif
