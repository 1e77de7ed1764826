// The kernels of the drivers of GPUs. Each has the same name, operands and constants in every language: shaders/glsl has the
// shaders of Vulkan.
#ifndef BN_DEVICES_KERNELS_H
#define BN_DEVICES_KERNELS_H

#include <stdint.h>

// What a kernel has variants for: packed integer dot product; arithmetic and shuffles in subgroups; cooperative matrices.
enum { BN_KERNEL_DOT = 1, BN_KERNEL_SUBGROUP = 2, BN_KERNEL_COOPMAT = 4 };

// KERNEL(ID, name, variants)
#define BN_KERNELS(X)                                                                                                  \
    X(COPY, "copy", 0)                                                                                                 \
    X(KV_COPY, "kv_copy", 0)                                                                                           \
    X(EMBED, "embed", 0)                                                                                               \
    X(QUANTISE, "quantise", BN_KERNEL_SUBGROUP)                                                                        \
    X(NORM, "norm", BN_KERNEL_SUBGROUP)                                                                                \
    X(ROW_NORM, "row_norm", BN_KERNEL_SUBGROUP)                                                                        \
    X(ACTIVATE, "activate", 0)                                                                                         \
    X(ROTATE, "hadamard", 0)                                                                                           \
    X(APPEND, "append", BN_KERNEL_SUBGROUP)                                                                            \
    X(TERNARY, "ternary", BN_KERNEL_DOT | BN_KERNEL_SUBGROUP)                                                          \
    X(TERNARY_FUSED, "ternary_fused", BN_KERNEL_DOT | BN_KERNEL_SUBGROUP)                                              \
    X(TERNARY_TILED, "ternary_tiled", BN_KERNEL_DOT | BN_KERNEL_COOPMAT)                                               \
    X(TERNARY_SCALED, "ternary_scaled", BN_KERNEL_DOT | BN_KERNEL_SUBGROUP)                                            \
    X(TERNARY_SCALED_TILED, "ternary_scaled_tiled", BN_KERNEL_DOT)                                                     \
    X(ATTENTION, "attention", BN_KERNEL_SUBGROUP)                                                                      \
    X(ATTENTION_JOIN, "attention_join", 0)                                                                             \
    X(HEAD, "head", BN_KERNEL_SUBGROUP)                                                                                \
    X(TOP_QUANTISE, "top_quantise", BN_KERNEL_SUBGROUP)                                                                \
    X(TOP_SCAN, "top_scan", BN_KERNEL_DOT | BN_KERNEL_SUBGROUP)                                                        \
    X(TOP_SELECT, "top_select", BN_KERNEL_SUBGROUP)                                                                    \
    X(TOP_RESCORE, "top_rescore", BN_KERNEL_SUBGROUP)

enum bn_kernel {
#define BN_KERNEL_ID(id, name, variants) BN_KERNEL_##id,
    BN_KERNELS(BN_KERNEL_ID)
#undef BN_KERNEL_ID
        BN_KERNEL_COUNT
};

struct bn_kernel_info {
    const char *name;
    uint32_t variants; // of BN_KERNEL_DOT, BN_KERNEL_SUBGROUP, BN_KERNEL_COOPMAT
};

extern const struct bn_kernel_info bn_kernel_infos[BN_KERNEL_COUNT];

// What is fixed when a kernel is compiled: constants[0] is the work-items of a group, the others are the kernel's; those that it
// does not have are 0.
enum { BN_MAX_CONSTANTS = 6 };

#endif
