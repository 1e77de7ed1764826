// The shaders: shaders/manifest.txt lists their variants, the build embeds them.
#ifndef BN_DEVICES_VULKAN_SHADERS_H
#define BN_DEVICES_VULKAN_SHADERS_H

#include <stddef.h>
#include <stdint.h>

// What a shader has variants for.
enum { VARIANT_DOT = 1, VARIANT_SUBGROUP = 2 };

// SHADER(ID, name, variants)
#define SHADERS(X)                                                                                                     \
    X(COPY, "copy", 0)                                                                                                 \
    X(KV_COPY, "kv_copy", 0)                                                                                           \
    X(EMBED, "embed", 0)                                                                                               \
    X(QUANTISE, "quantise", VARIANT_SUBGROUP)                                                                          \
    X(NORM, "norm", VARIANT_SUBGROUP)                                                                                  \
    X(TERNARY, "ternary", VARIANT_DOT | VARIANT_SUBGROUP)                                                              \
    X(TERNARY_FUSED, "ternary_fused", VARIANT_DOT | VARIANT_SUBGROUP)                                                  \
    X(ATTENTION, "attention", VARIANT_SUBGROUP)                                                                        \
    X(HEAD, "head", VARIANT_SUBGROUP)                                                                                  \
    X(TOP_QUANTISE, "top_quantise", VARIANT_SUBGROUP)                                                                  \
    X(TOP_SCAN, "top_scan", VARIANT_DOT | VARIANT_SUBGROUP)                                                            \
    X(TOP_SELECT, "top_select", VARIANT_SUBGROUP)                                                                      \
    X(TOP_RESCORE, "top_rescore", VARIANT_SUBGROUP)

enum shader {
#define SHADER_ID(id, name, variants) SHADER_##id,
    SHADERS(SHADER_ID)
#undef SHADER_ID
        SHADER_COUNT
};

enum { MAX_CONSTANTS = 6 }; // specialisation constants 0 ..; those that a shader does not have are 0

// One variant as it was compiled.
struct spirv {
    const char *name;
    const uint32_t *words;
    size_t bytes;
};

// Of the embedded table; NULL if there is none of this name.
const struct spirv *bn_vulkan_spirv(const char *name);
// A hash over all of them, for the key of the cache on disk.
uint64_t bn_vulkan_spirv_hash(void);

#endif
