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
        as;       // with its scales it is this: `layout`, or one of order A if all scales are equal, or of a master
    bool widened; // f32 made at load: data is not within the file map, but the model's own
    bool folded;  // multiplies rotated features: struct bn_hadamard
    bool latent;  // an embedding whose rows must be rotated back
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
    const struct bn_tensor *attn_q_norm, *attn_k_norm;                            // of each head
    const struct bn_tensor *post_attention_norm, *post_ffw_norm;                  // before the residual is added
    const struct bn_tensor *attn_q_norm_in, *attn_k_norm_in, *attn_v_norm_in;     // of a matrix's input
    const struct bn_tensor *attn_output_norm_in;                                  // likewise
    const struct bn_tensor *ffn_gate_norm_in, *ffn_up_norm_in, *ffn_down_norm_in; // likewise
};

enum bn_rope_scaling { BN_ROPE_UNSCALED, BN_ROPE_LINEAR, BN_ROPE_YARN };

// The angle of position p in pair i of a head is p * frequency i (docs/numerics.md, "RoPE").
struct bn_rope {
    float theta;
    enum bn_rope_scaling scaling;
    float factor;                        // by which the context was stretched
    float attention_factor;              // of sine and cosine, besides YaRN's own
    float beta_fast, beta_slow;          // YaRN: turns within the original context that keep and lose their frequency
    uint32_t n_ctx_original;             // YaRN
    const struct bn_tensor *frequencies; // f32 [rope_dim / 2], divisors; or NULL
};

// What the file says of sampling.
enum bn_sampling_part {
    BN_SAMPLING_TEMPERATURE = 1,
    BN_SAMPLING_TOP_K = 2,
    BN_SAMPLING_TOP_P = 4,
    BN_SAMPLING_MIN_P = 8,
    BN_SAMPLING_REPEAT_PENALTY = 16,
    BN_SAMPLING_REPEAT_LAST_N = 32,
};
struct bn_model_sampling {
    unsigned given; // enum bn_sampling_part: the members that the file has
    float temperature, top_p, min_p, repeat_penalty;
    uint32_t top_k, repeat_last_n;
};

// Prism's rotation of features (docs/layouts.md, "Hadamard"): folded matrices multiply H(signs * x), latent rows z stand for
// signs * H(z). H is the Walsh-Hadamard transform of every `block` features.
enum { BN_MOST_SIGNS = 8 };
struct bn_hadamard {
    uint32_t block;                        // 0: the model has none of it
    uint32_t n_signs;                      // 0: all signs are +1
    struct bn_tensor signs[BN_MOST_SIGNS]; // f32 [features], each of another number of features
    float *values;                         // what they point into
};

// The entry of `signs` for that many features, or NULL.
static inline const struct bn_tensor *bn_hadamard_signs(const struct bn_hadamard *hadamard, uint32_t features)
{
    for (uint32_t i = 0; i < hadamard->n_signs; i++)
        if (hadamard->signs[i].cols == features)
            return &hadamard->signs[i];
    return NULL;
}

struct bn_model {
    const struct bn_host *host;
    struct bn_file_map map;
    struct bn_model_info info; // strings point into memory of the model
    struct bn_tokenizer *tokenizer;
    enum bn_op_activation activation;
    enum bn_rope_order rope_order;
    enum bn_rope_order gguf_rope_order; // that of the family's GGUF files, if this is none
    uint32_t rope_dim;                  // features of a head that are rotated: head_dim, others are refused
    struct bn_rope rope, local_rope;    // of layers that see everything, and of those with a window
    uint32_t window;   // positions a row sees in layers with a window, itself included; 0: there are none
    uint32_t period;   // every period-th layer sees everything
    uint32_t planes;   // int8 planes of the quantised activations: 1 or 2
    float embed_scale; // of the embedding's rows
    bool pools_last;   // made for embeddings: those of the last token
    struct bn_tensor *tensors;
    size_t n_tensors;
    char *names;                                               // what tensors[].name point into
    const struct bn_tensor *token_embd, *output_norm, *output; // output == token_embd when tied
    struct bn_layer *layers;                                   // [info.n_layer]
    struct bn_model_sampling sampling;
    struct bn_hadamard hadamard;
    // The scan copy of the head that the file has: int8 [n_vocab][n_embd], struct bn_scan_row [n_vocab]. NULL, or of the right
    // size; nobody has looked whether it is that of this head.
    const uint8_t *scan_rows, *scan_info;
    float *widened; // what tensors that are widened point into
};

// Whether layer i sees the last `window` positions only.
static inline bool bn_layer_is_local(const struct bn_model *model, uint32_t i)
{
    return model->window && (i + 1) % model->period != 0;
}

#endif
