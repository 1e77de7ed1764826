#include "devices/common/host_buffer.h"

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

struct host_buffer {
    struct bn_buffer base;
    void *owned; // NULL if imported
};

static enum bn_result make(struct bn_device *device, uint64_t size, void *imported, struct bn_buffer **out,
                           struct bn_error *err)
{
    struct host_buffer *buffer = bn_alloc(device->host, sizeof(*buffer));
    if (!buffer)
        return bn_fail_memory(err, sizeof(*buffer), "a buffer object");
    if (!imported) {
        buffer->owned = size <= SIZE_MAX ? bn_alloc(device->host, (size_t)size) : NULL;
        if (!buffer->owned) {
            bn_free(device->host, buffer);
            return bn_fail_memory(err, size, "a buffer");
        }
    }
    buffer->base = (struct bn_buffer){device, size, imported ? imported : buffer->owned};
    *out = &buffer->base;
    return BN_OK;
}

enum bn_result bn_host_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                     struct bn_error *err)
{
    return make(device, size, NULL, out, err);
}

enum bn_result bn_host_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                     struct bn_error *err)
{
    return make(device, size, memory, out, err);
}

void bn_host_buffer_destroy(struct bn_buffer *base)
{
    struct host_buffer *buffer = (struct host_buffer *)base;
    const struct bn_host *host = base->device->host;
    bn_free(host, buffer->owned);
    bn_free(host, buffer);
}
