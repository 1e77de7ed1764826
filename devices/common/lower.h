// Ops as dispatches of kernels, for every driver of GPUs.
#ifndef BN_DEVICES_LOWER_H
#define BN_DEVICES_LOWER_H

#include <bitnet/driver.h>

#include "devices/common/kernels.h"

enum { BN_MAX_DISPATCHES = 6, BN_MAX_SPANS = 12, BN_MAX_WORDS = 16 };

// What lowering asks of a device.
struct bn_lower_target {
    const char *id;        // for messages
    bool software;         // a CPU that plays a GPU
    uint32_t shared_bytes; // of a group's memory
    bool whole_rows;       // a work-item takes ternary rows alone, where it has wide vectors and meeting others is dear
    bool tiled;            // there is a kernel "ternary_tiled"
    bool scaled_tiled;     // there is a kernel "ternary_scaled_tiled"
    bool splits;           // there is a kernel "attention_join", and "attention" splits contexts
};

// One run of a kernel. Its parameters are the operands, the slot first, and behind them the words.
struct bn_dispatch {
    enum bn_kernel kernel;
    uint32_t constants[BN_MAX_CONSTANTS];
    uint32_t x, y;                      // groups of constants[0] work-items
    struct bn_span spans[BN_MAX_SPANS]; // without a buffer: the kernel does not touch this operand
    uint32_t n_spans;
    uint32_t words[BN_MAX_WORDS]; // u32, or the bits of f32
    uint32_t n_words;
};

// Whether there are kernels for the op: struct bn_driver, supports. NORM_x aside, they take all options of ops.
bool bn_lower_supports(enum bn_op_kind kind, enum bn_layout layout, bool fused);
enum {
    BN_LOWER_OPTIONS = BN_OP_WITH_PLANES | BN_OP_WITH_WINDOW | BN_OP_WITH_HEAD_NORM | BN_OP_WITH_GELU | BN_OP_WITH_SCALE
};

// Whether the kernels can run this op where its operands lie.
enum bn_result bn_lower_check(const struct bn_lower_target *target, const struct bn_op *op, struct bn_error *err);

// Device memory that the dispatches of the op hand over to each other, bytes.
uint64_t bn_lower_temporary(const struct bn_lower_target *target, const struct bn_op *op);

// Writes the dispatches of op `index` of a command, which run one after the other: at most BN_MAX_DISPATCHES. Returns their
// number. `temporary`: as large as said above, without a buffer if nothing was; it may be that of other ops, too.
uint32_t bn_lower(const struct bn_lower_target *target, const struct bn_op *op, uint32_t index,
                  const struct bn_span *slot, const struct bn_span *temporary, struct bn_dispatch *list);

#endif
