// A loaded model: checked tensors in the order in which the graph needs them.
#ifndef BN_MODEL_MODEL_IMPL_H
#define BN_MODEL_MODEL_IMPL_H

#include <bitnet/model.h>
#include <bitnet/op.h>

#include "runtime/base/file_map.h"
#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

struct bn_tensor {
    const char *name;
    const uint8_t *data; // within the file map
    uint64_t bytes;      // of the data without scale
    uint64_t offset;     // in the file, for messages
    uint32_t rows, cols; // cols = GGUF dims[0]; vectors have rows = 1
    enum bn_layout layout;
    float scale; // 1 for float layouts; finite and not NaN; multiplies the scales within the data
    float rule;  // of floats that become ternary: the scale by which they are rounded
    enum bn_layout
        as; // with its scales it is this: `layout`, or one of order A if all scales are equal, or of a master
};

static inline struct bn_matrix bn_tensor_matrix(const struct bn_tensor *tensor)
{
    float scale = tensor->rule != 0 ? tensor->rule : tensor->scale;
    return (struct bn_matrix){tensor->layout, tensor->rows, tensor->cols, tensor->data, NULL, scale};
}

// NULL members are absent from the file, which the family allows.
struct bn_layer {
    const struct bn_tensor *attn_norm, *attn_q, *attn_k, *attn_v, *attn_sub_norm, *attn_output;
    const struct bn_tensor *ffn_norm, *ffn_gate, *ffn_up, *ffn_sub_norm, *ffn_down;
};

struct bn_model {
    const struct bn_host *host;
    struct bn_file_map map;
    struct bn_model_info info; // strings point into memory of the model
    struct bn_tokenizer *tokenizer;
    enum bn_op_activation activation;
    enum bn_rope_order rope_order;
    uint32_t rope_dim; // features of a head that are rotated; equals head_dim for now
    struct bn_tensor *tensors;
    size_t n_tensors;
    char *names;                                               // what tensors[].name point into
    const struct bn_tensor *token_embd, *output_norm, *output; // output == token_embd when tied
    struct bn_layer *layers;                                   // [info.n_layer]
};

#endif
