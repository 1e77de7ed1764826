// The plan: a model as a list of ops over an engine's buffers.
#ifndef BN_GRAPH_PLAN_H
#define BN_GRAPH_PLAN_H

#include "runtime/graph/place.h"
#include "runtime/graph/scan.h"

// Activations of one replay, in one device buffer, shared by all commands of an engine.
struct bn_activations {
    struct bn_span x;         // f32 [rows][n_embd]: residual stream
    struct bn_span q;         // f32 [rows][heads * head_dim]
    struct bn_span attended;  // f32 [rows][heads * head_dim]
    struct bn_span hidden;    // f32 [rows][n_ff]
    struct bn_span quantised; // int8 [rows][planes][widest input of a ternary matrix]
    struct bn_span scales;    // bn_row_scale [rows][planes]
    struct bn_span normed;    // f32 [rows][n_embd]; of models with norms of outputs or inputs
    struct bn_span k, v, up;  // f32 [rows][kv_heads * head_dim], [rows][n_ff]; of models with norms of inputs
    struct bn_span final;     // f32 [outputs][n_embd]
    struct bn_span logits;    // f32 [outputs][n_vocab]
    struct bn_span tops;      // bn_top [outputs, at most BN_TOP_OUTPUTS]; unused without a scan copy
};

struct bn_plan_config {
    struct bn_device *device; // fused ops are used where it has them
    const struct bn_model *model;
    const struct bn_placement *placement;
    const struct bn_scan *scan; // there may be none
    struct bn_activations activations;
    struct bn_span kv, rope, local_rope;
    enum bn_kv_type kv_type;
    uint32_t positions; // most of a sequence
};

size_t bn_plan_size(const struct bn_plan_config *config); // most ops

// Writes at most bn_plan_size ops for replays of at most `rows` rows, `outputs` of which go through the head; returns their
// number.
size_t bn_plan_build(const struct bn_plan_config *config, uint32_t rows, uint32_t outputs, struct bn_op *ops);

#endif
