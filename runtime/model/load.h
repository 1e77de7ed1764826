// The steps of opening a model; model.c runs them in this order.
#ifndef BN_MODEL_LOAD_H
#define BN_MODEL_LOAD_H

#include "runtime/model/gguf.h"
#include "runtime/model/model_impl.h"

struct bn_family {
    const char *name;
    enum bn_activation activation;
    uint32_t other_vocab, other_layers;
    enum bn_rope_order rope;
    bool tied, scales, masters;
};

struct bn_load {
    struct bn_model *model;
    const struct bn_gguf *gguf;
    struct bn_model_options options;
    const struct bn_family *family; // set by bn_load_geometry
    enum bn_layout i2s;             // the order of this file's I2_S tensors, set by bn_load_tensors
    struct bn_error *err;
};

// vocabulary.c: the tokenizer and info.n_vocab.
enum bn_result bn_load_vocabulary(struct bn_load *load);
// geometry.c: the family, every key, everything of info but the sums over tensors.
enum bn_result bn_load_geometry(struct bn_load *load);
// tensors.c: finds and checks every tensor.
enum bn_result bn_load_tensors(struct bn_load *load);

// stored.c: which layout the tensor's data has, by number and size, for what it is used; fills in layout, as, bytes, scale.
enum bn_use { BN_USE_NORM, BN_USE_LINEAR, BN_USE_EMBEDDING };
enum bn_result bn_load_stored(struct bn_load *load, const struct bn_gguf_tensor *found, enum bn_use use,
                              struct bn_tensor *tensor);

#endif
