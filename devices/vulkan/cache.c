// The pipeline cache on disk: $BITNET_CACHE_DIR/vulkan-KEY.bin, KEY a hash of driver, device and shaders.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/vulkan/device.h"
#include "runtime/base/cache.h"

enum { MOST_BYTES = 64 << 20 };

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

static bool cache_path(const struct device *device, char *path, bool make)
{
    char name[64];
    snprintf(name, sizeof(name), "vulkan-%016" PRIx64 ".bin", key_of(device));
    return bn_cache_path(path, name, make);
}

// The driver's data, or NULL if the file is missing, foreign or damaged.
static void *read_cache(const struct device *device, size_t *bytes)
{
    char path[BN_CACHE_PATH_BYTES];
    struct header header;
    struct stat st;
    int fd = cache_path(device, path, false) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return NULL;
    void *data = NULL;
    bool good = fstat(fd, &st) == 0 && read(fd, &header, sizeof(header)) == sizeof(header) &&
                memcmp(header.magic, MAGIC, sizeof(MAGIC)) == 0 && header.key == key_of(device) &&
                header.bytes <= MOST_BYTES && (uint64_t)st.st_size == sizeof(header) + header.bytes;
    if (good)
        data = bn_alloc(device->base.host, header.bytes);
    if (data &&
        (read(fd, data, header.bytes) != (ssize_t)header.bytes || hash_bytes(0, data, header.bytes) != header.hash)) {
        good = false;
        bn_free(device->base.host, data);
        data = NULL;
    }
    close(fd);
    if (!good)
        bn_log(device->base.host, BN_LOG_INFO, "vulkan: %s is damaged, and ignored", path);
    *bytes = data ? header.bytes : 0;
    return data;
}

VkPipelineCache bn_vulkan_cache_load(struct device *device)
{
    size_t bytes = 0;
    void *data = read_cache(device, &bytes);
    const VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = bytes, .pInitialData = data};
    VkPipelineCache cache = VK_NULL_HANDLE;
    if (device->vk.CreatePipelineCache(device->logical, &info, NULL, &cache) != VK_SUCCESS)
        cache = VK_NULL_HANDLE; // pipelines are compiled without
    bn_free(device->base.host, data);
    return cache;
}

static bool write_cache(const struct device *device, const void *data, size_t bytes)
{
    char path[BN_CACHE_PATH_BYTES], temporary[BN_CACHE_PATH_BYTES + 32];
    if (!cache_path(device, path, true))
        return true; // nowhere to put it, and nobody wanted it
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    struct header header = {.key = key_of(device), .bytes = bytes, .hash = hash_bytes(0, data, bytes)};
    memcpy(header.magic, MAGIC, sizeof(MAGIC));
    bool written = write(fd, &header, sizeof(header)) == sizeof(header) && write(fd, data, bytes) == (ssize_t)bytes;
    written = close(fd) == 0 && written && rename(temporary, path) == 0;
    if (!written)
        unlink(temporary);
    return written;
}

void bn_vulkan_cache_save(struct device *device)
{
    size_t bytes = 0;
    if (!device->cache || atomic_load(&device->lost) ||
        device->vk.GetPipelineCacheData(device->logical, device->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0 ||
        bytes > MOST_BYTES)
        return;
    void *data = bn_alloc(device->base.host, bytes);
    if (data && device->vk.GetPipelineCacheData(device->logical, device->cache, &bytes, data) == VK_SUCCESS &&
        !write_cache(device, data, bytes))
        bn_log(device->base.host, BN_LOG_INFO, "vulkan: the cache of compiled shaders cannot be written");
    bn_free(device->base.host, data);
}
