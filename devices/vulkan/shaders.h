// The compiled shaders: shaders/manifest.txt lists the variants of the kernels, the build embeds them.
#ifndef BN_DEVICES_VULKAN_SHADERS_H
#define BN_DEVICES_VULKAN_SHADERS_H

#include <stddef.h>
#include <stdint.h>

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
