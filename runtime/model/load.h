// The steps of opening a model; model.c runs them in this order.
#ifndef BN_MODEL_LOAD_H
#define BN_MODEL_LOAD_H

#include "runtime/model/checkpoint.h"
#include "runtime/model/model_impl.h"

// Groups of tensors that only some families have.
enum bn_part {
    BN_PART_SUB_NORM = 1,   // norms of what attn_output and ffn_down multiply
    BN_PART_HEAD_NORM = 2,  // norms of each head of q and k, before RoPE
    BN_PART_POST_NORM = 4,  // norms of what attention and feed-forward give, before it is added
    BN_PART_INPUT_NORM = 8, // norms of what each matrix multiplies
};

// A row of arch.inl, which explains the members.
struct bn_family {
    const char *name;
    enum bn_activation activation;
    uint32_t other_vocab, other_layers;
    enum bn_rope_order rope;
    uint32_t parts, may_have; // enum bn_part
    bool tied, scales, masters, embed_scale;
    uint32_t planes; // 0: 1
    const char *wide_pre[2];
    uint32_t period;
    float local_theta;
};

struct bn_load {
    struct bn_model *model;
    const struct bn_gguf *gguf;
    struct bn_model_options options;
    const struct bn_family *family; // set by bn_load_geometry
    uint32_t parts;                 // enum bn_part: those that the layers have; likewise
    enum bn_layout i2s;             // the order of this file's I2_S tensors, set by bn_load_tensors
    struct bn_error *err;
};

#define BN_KEY_BYTES 160
// The file's own key for a figure of the family, written to `text`, which holds BN_KEY_BYTES.
const char *bn_load_key(const struct bn_load *load, const char *name, char *text);
// A failure at the family's key NAME.
enum bn_result bn_load_fail_key(struct bn_load *load, enum bn_result code, const char *name, const char *message);

// model.c: the model takes the checkpoint's map, unless there is no memory for it; keys and tensors stay the caller's, who
// closes the checkpoint in any case.
enum bn_result bn_load_checkpoint(struct bn_runtime *runtime, struct bn_checkpoint *checkpoint,
                                  const struct bn_model_options *options, struct bn_model **out, struct bn_error *err);

// vocabulary.c: the tokenizer and info.n_vocab.
enum bn_result bn_load_vocabulary(struct bn_load *load);
// sampling.c: what the file says of it.
enum bn_result bn_load_sampling(struct bn_load *load);
// geometry.c: the family, every key, everything of info but the sums over tensors.
enum bn_result bn_load_geometry(struct bn_load *load);
// rope.c: how positions are turned, with a window in layers that have one.
enum bn_result bn_load_rope(struct bn_load *load);
// tensors.c: finds and checks every tensor.
enum bn_result bn_load_tensors(struct bn_load *load);

// hadamard.c: Prism's rotation; marks the tensors that it concerns, which are bound.
enum bn_result bn_load_hadamard(struct bn_load *load);

// stored.c: which layout the tensor's data has, by number and size, for what it is used; fills in layout, as, bytes, scale.
enum bn_use { BN_USE_NORM, BN_USE_LINEAR, BN_USE_EMBEDDING };
enum bn_result bn_load_stored(struct bn_load *load, const struct bn_gguf_tensor *found, enum bn_use use,
                              struct bn_tensor *tensor);

#endif
