// Kernels that were compiled ahead of time: what the model decides is not known then, so some constants have a variant for each
// value (shaders/portable/manifest.txt), and those that are shapes are parameters.
#ifndef BN_DEVICES_AHEAD_H
#define BN_DEVICES_AHEAD_H

#include "devices/common/lower.h"

enum { BN_AHEAD_NAME = 64 };

// The kernel that takes the place of "ternary_tiled" on this processor ("sm_90", "gfx1100"), with its instructions for matrices of
// int8; NULL if there is none. Ownership: static.
const char *bn_ahead_matrices(const char *isa);

// Writes the name of the variant that runs a dispatch, BN_AHEAD_NAME bytes: "ternary_0_4"; `matrices` as above, or NULL. Its parameters are those of the dispatch
// and behind them the constants that are no part of the name: they go to `shape`, BN_MAX_CONSTANTS words. Returns their number.
uint32_t bn_ahead_variant(const struct bn_dispatch *dispatch, const char *matrices, char *name, uint32_t *shape);

// BN_ERR_UNSUPPORTED if the op's shape is larger than what these kernels were compiled for.
enum bn_result bn_ahead_check(const struct bn_lower_target *target, const struct bn_op *op, struct bn_error *err);

// What lowering may ask of a group's memory.
uint32_t bn_ahead_shared_bytes(void);

#endif
