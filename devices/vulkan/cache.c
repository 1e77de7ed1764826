// The pipeline cache on disk: $BITNET_CACHE_DIR/vulkan-KEY.bin, KEY a hash of driver, device and shaders.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices/vulkan/device.h"
#include "runtime/base/cache.h"

enum { NAME_BYTES = 64, MOST_BYTES = 64 << 20 };

// Before the driver's data, which it must not see damaged: not every driver checks it.
struct header {
    char magic[8];
    uint64_t key, bytes, hash;
};
static const char MAGIC[8] = "bnvkpc1";

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u; // FNV-1a
    return hash;
}

static uint64_t key_of(const struct device *device)
{
    const VkPhysicalDeviceProperties *properties = &device->adapter.properties;
    uint64_t hash = hash_bytes(bn_vulkan_spirv_hash(), device->adapter.uuid, sizeof(device->adapter.uuid));
    hash = hash_bytes(hash, &properties->driverVersion, sizeof(properties->driverVersion));
    return hash_bytes(hash, properties->pipelineCacheUUID, VK_UUID_SIZE);
}

static void name_of(const struct device *device, char *name)
{
    snprintf(name, NAME_BYTES, "vulkan-%016" PRIx64 ".bin", key_of(device));
}

// What lies in the file at `data`, of so many bytes, is what was written for this device.
static bool sound(const struct device *device, const uint8_t *data, size_t bytes)
{
    struct header header;
    if (bytes < sizeof(header))
        return false;
    memcpy(&header, data, sizeof(header));
    return memcmp(header.magic, MAGIC, sizeof(MAGIC)) == 0 && header.key == key_of(device) &&
           header.bytes == bytes - sizeof(header) && hash_bytes(0, data + sizeof(header), header.bytes) == header.hash;
}

VkPipelineCache bn_vulkan_cache_load(struct device *device)
{
    const struct bn_host *host = device->base.host;
    char name[NAME_BYTES];
    size_t bytes = 0;
    name_of(device, name);
    void *data = NULL;
    enum bn_result result = bn_cache_read_all(host, name, MOST_BYTES, &data, &bytes, NULL);
    bool good = result == BN_OK && sound(device, data, bytes);
    if (!good && result != BN_ERR_NOT_FOUND)
        bn_log(host, BN_LOG_INFO, "vulkan: %s in the cache folder is damaged, and ignored", name);
    const VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
        .initialDataSize = good ? bytes - sizeof(struct header) : 0,
        .pInitialData = good ? (const uint8_t *)data + sizeof(struct header) : NULL,
    };
    VkPipelineCache cache = VK_NULL_HANDLE;
    if (device->vk.CreatePipelineCache(device->logical, &info, NULL, &cache) != VK_SUCCESS)
        cache = VK_NULL_HANDLE; // pipelines are compiled without
    bn_free(host, data);
    return cache;
}

void bn_vulkan_cache_save(struct device *device)
{
    const struct bn_host *host = device->base.host;
    size_t bytes = 0;
    if (!device->cache || atomic_load(&device->lost) ||
        device->vk.GetPipelineCacheData(device->logical, device->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0 ||
        bytes > MOST_BYTES - sizeof(struct header))
        return;
    uint8_t *file = bn_alloc(host, sizeof(struct header) + bytes), *data = file + sizeof(struct header);
    if (file && device->vk.GetPipelineCacheData(device->logical, device->cache, &bytes, data) == VK_SUCCESS) {
        struct header header = {.key = key_of(device), .bytes = bytes, .hash = hash_bytes(0, data, bytes)};
        char name[NAME_BYTES];
        memcpy(header.magic, MAGIC, sizeof(MAGIC));
        memcpy(file, &header, sizeof(header));
        name_of(device, name);
        enum bn_result result = bn_cache_write(name, file, sizeof(header) + bytes, NULL);
        if (result == BN_OK)
            bn_cache_trim("vulkan-", BN_CACHE_PROGRAMS);
        else if (result != BN_ERR_NOT_FOUND) // without a folder nobody wanted it
            bn_log(host, BN_LOG_INFO, "vulkan: the cache of compiled shaders cannot be written");
    }
    bn_free(host, file);
}
