#include "devices/vulkan/shaders.h"

#include <string.h>

#include "vulkan_shaders.inl"

static const struct spirv table[] = {VULKAN_SHADERS};

const struct spirv *bn_vulkan_spirv(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

uint64_t bn_vulkan_spirv_hash(void)
{
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a, a word at a time
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t w = 0; w < table[i].bytes / 4; w++)
            hash = (hash ^ table[i].words[w]) * 0x100000001b3u;
    return hash;
}
