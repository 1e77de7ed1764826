// Compiled programs on disk: $BITNET_CACHE_DIR/opencl-KEY.bin.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "devices/opencl/device.h"
#include "runtime/base/cache.h"

enum { NAME_BYTES = 64, MOST_BYTES = 64 << 20 };

// Before the driver's data, which it must not see damaged: not every driver checks it.
struct header {
    char magic[8];
    uint64_t key, bytes, hash;
};
static const char MAGIC[8] = "bnclpr1";

uint64_t bn_opencl_hash(uint64_t hash, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u; // FNV-1a
    return hash;
}

static void name_of(uint64_t key, char *name)
{
    snprintf(name, NAME_BYTES, "opencl-%016" PRIx64 ".bin", key);
}

// What lies in the file at `data`, of so many bytes, is what was written for this key.
static bool sound(const void *data, size_t bytes, uint64_t key)
{
    struct header header;
    if (bytes < sizeof(header))
        return false;
    memcpy(&header, data, sizeof(header));
    return memcmp(header.magic, MAGIC, sizeof(MAGIC)) == 0 && header.key == key &&
           header.bytes == bytes - sizeof(header) &&
           bn_opencl_hash(0, (const uint8_t *)data + sizeof(header), header.bytes) == header.hash;
}

void *bn_opencl_cache_load(struct device *device, uint64_t key, size_t *bytes)
{
    const struct bn_host *host = device->base.host;
    char name[NAME_BYTES];
    void *data = NULL;
    name_of(key, name);
    enum bn_result result = bn_cache_read_all(host, name, MOST_BYTES, &data, bytes, NULL);
    if (result == BN_OK && sound(data, *bytes, key)) {
        *bytes -= sizeof(struct header);
        memmove(data, (uint8_t *)data + sizeof(struct header), *bytes);
        return data;
    }
    if (result != BN_ERR_NOT_FOUND)
        bn_log(host, BN_LOG_INFO, "opencl: %s in the cache folder is damaged, and ignored", name);
    bn_free(host, data);
    return NULL;
}

void bn_opencl_cache_save(struct device *device, uint64_t key, cl_program program)
{
    const struct bn_host *host = device->base.host;
    const struct cl *cl = &device->cl;
    size_t bytes = 0; // of the context's only device
    if (cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(bytes), &bytes, NULL) != CL_SUCCESS || bytes == 0 ||
        bytes > MOST_BYTES - sizeof(struct header))
        return;
    uint8_t *file = bn_alloc(host, sizeof(struct header) + bytes), *data = file + sizeof(struct header);
    if (file && cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(data), &data, NULL) == CL_SUCCESS) {
        struct header header = {.key = key, .bytes = bytes, .hash = bn_opencl_hash(0, data, bytes)};
        char name[NAME_BYTES];
        memcpy(header.magic, MAGIC, sizeof(MAGIC));
        memcpy(file, &header, sizeof(header));
        name_of(key, name);
        enum bn_result result = bn_cache_write(name, file, sizeof(header) + bytes, NULL);
        if (result == BN_OK)
            bn_cache_trim("opencl-", BN_CACHE_PROGRAMS);
        else if (result != BN_ERR_NOT_FOUND) // without a folder nobody wanted it
            bn_log(host, BN_LOG_INFO, "opencl: compiled programs cannot be written to the cache folder");
    }
    bn_free(host, file);
}
