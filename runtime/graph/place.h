// Weights on a device: each tensor of a model in the layout that the device wants, in place where possible.
#ifndef BN_GRAPH_PLACE_H
#define BN_GRAPH_PLACE_H

#include <bitnet/driver.h>
#include "runtime/model/model_impl.h"

// The layer's weights as op operands. Absent norms have no buffer.
struct bn_placed_layer {
    struct bn_weight q, k, v, o, gate, up, down;
    struct bn_span attn_norm, attn_sub_norm, ffn_norm, ffn_sub_norm;
    struct bn_span q_norm, k_norm;                             // of heads
    struct bn_span attn_post_norm, ffn_post_norm;              // of what is added to the residual stream
    struct bn_span q_in_norm, k_in_norm, v_in_norm, o_in_norm; // of a matrix's input
    struct bn_span gate_in_norm, up_in_norm, down_in_norm;     // likewise
};

struct bn_placement {
    const struct bn_host *host;
    struct bn_buffer *imported; // the whole file, or NULL
    struct bn_buffer *copied;   // what was copied or repacked, or NULL
    struct bn_weight embed, head;
    struct bn_span output_norm;
    struct bn_span signs[BN_MOST_SIGNS]; // of the model's rotation
    struct bn_placed_layer *layers;
    uint64_t imported_bytes, copied_bytes;
    uint64_t layer_bytes; // of everything but the embedding and the head
};

// `copy`: ternary weights are copied into the device's memory even where they could be read in place.
// Errors: BN_ERR_UNSUPPORTED (a layout the device cannot run), BN_ERR_NO_MEMORY, BN_ERR_DEVICE_MEMORY, BN_ERR_MODEL
// (damage that only repacking sees).
enum bn_result bn_placement_init(struct bn_placement *placement, const struct bn_model *model, struct bn_device *device,
                                 bool copy, struct bn_error *err);
void bn_placement_finish(struct bn_placement *placement);

#endif
