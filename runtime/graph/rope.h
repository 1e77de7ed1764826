// Tables of RoPE.
#ifndef BN_GRAPH_ROPE_H
#define BN_GRAPH_ROPE_H

#include "runtime/model/model_impl.h"

// Cosine and sine of every position and pair: f32 [positions][dim / 2][2], computed in double (docs/numerics.md).
void bn_rope_fill(const struct bn_rope *rope, uint32_t dim, uint32_t positions, float *table);

#endif
