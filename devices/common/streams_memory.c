// Memory: blocks that small buffers share, memory of the host that the device reads, uploads through a staging buffer.
#include <inttypes.h>
#include <string.h>

#include "devices/common/streams.h"

enum { ALIGNMENT = 256 };
enum { PORTABLE = 1, MAPPED = 2, READ_ONLY = 8 }; // flags of memory that both see
enum { NO_TIMING = 2 };                           // of events

static void destroy_block(struct bn_device *base, struct bn_block *base_block)
{
    struct bn_streams_device *device = bn_streams_of(base);
    struct bn_streams_block *block = (struct bn_streams_block *)base_block;
    if (block->registered)
        device->api->host_unregister(block->base.host);
    else if (block->base.host)
        device->api->host_free(block->base.host);
    else if (block->address)
        device->api->free(block->address);
    bn_free(device->base.host, block);
}

static enum bn_result too_large(struct bn_streams_device *device, uint64_t size, struct bn_error *err)
{
    size_t left = 0, total = 0;
    if (device->api->memory_info(&left, &total) != 0)
        return bn_streams_fail(device, err, BN_STREAMS_OUT_OF_MEMORY, "device memory");
    return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->base.info.id, NULL, UINT64_MAX,
                      "%" PRIu64
                      " MiB are needed, %zu of the device's %zu MiB are free; use a shorter context, or the CPU",
                      (size + (1 << 20) - 1) >> 20, left >> 20, total >> 20);
}

// Memory of the device, or of the host where the device reads it.
static enum bn_result allocate(struct bn_streams_device *device, struct bn_streams_block *block, bool local,
                               struct bn_error *err)
{
    const struct bn_streams_api *api = device->api;
    int native;
    if (local) {
        native = api->alloc(&block->address, block->base.size);
        if (native != 0)
            block->address = 0;
        return native == BN_STREAMS_OUT_OF_MEMORY ? too_large(device, block->base.size, err)
               : native != 0                      ? bn_streams_fail(device, err, native, "device memory")
                                                  : BN_OK;
    }
    void *host = NULL;
    native = api->host_alloc(&host, block->base.size, PORTABLE | MAPPED);
    if (native == BN_STREAMS_OUT_OF_MEMORY)
        return bn_fail_memory(err, block->base.size, "memory of the host that the device reads");
    if (native != 0)
        return bn_streams_fail(device, err, native, "memory of the host");
    block->base.host = host;
    native = api->host_address(&block->address, host, 0);
    return native == 0 ? BN_OK : bn_streams_fail(device, err, native, "memory of the host");
}

static enum bn_result create_block(struct bn_device *base, uint64_t size, bool local, struct bn_block **out,
                                   struct bn_error *err)
{
    struct bn_streams_block *block = bn_alloc(base->host, sizeof(*block));
    if (!block)
        return bn_fail_memory(err, sizeof(*block), "a block of device memory");
    block->base.size = size;
    enum bn_result result = allocate(bn_streams_of(base), block, local, err);
    if (result != BN_OK) {
        destroy_block(base, &block->base);
        return result;
    }
    *out = &block->base;
    return BN_OK;
}

static void lock(struct bn_device *device)
{
    bn_streams_enter(bn_streams_of(device));
}

static void unlock(struct bn_device *device)
{
    bn_streams_leave(bn_streams_of(device));
}

static const struct bn_block_driver block_driver = {lock, unlock, create_block, destroy_block};

static enum bn_result create(struct bn_streams_device *device, uint64_t size, bool local, struct bn_buffer **out,
                             struct bn_error *err)
{
    const struct bn_block_wish wish = {size, ALIGNMENT, local, true, false};
    return bn_block_buffer_create(&block_driver, &device->base, &device->blocks, &wish, out, err);
}

enum bn_result bn_streams_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                        struct bn_error *err)
{
    return create(bn_streams_of(device), size, false, out, err);
}

// Where device and host share their memory, the host reaches everything.
enum bn_result bn_streams_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                              struct bn_error *err)
{
    return create(bn_streams_of(device), size, !bn_streams_of(device)->unified, out, err);
}

// A mapped file may not be written to, and not every device can register such memory.
static int import(struct bn_streams_device *device, struct bn_streams_block *block)
{
    int native = device->api->host_register(block->base.host, block->base.size, PORTABLE | MAPPED);
    if (native != 0)
        native = device->api->host_register(block->base.host, block->base.size, PORTABLE | MAPPED | READ_ONLY);
    block->registered = native == 0;
    return native == 0 ? device->api->host_address(&block->address, block->base.host, 0) : native;
}

enum bn_result bn_streams_buffer_import(struct bn_device *base, void *memory, uint64_t size, struct bn_buffer **out,
                                        struct bn_error *err)
{
    struct bn_streams_device *device = bn_streams_of(base);
    if (!device->features.import)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device does not read this memory in place");
    struct bn_block_buffer *buffer = bn_alloc(base->host, sizeof(*buffer));
    struct bn_streams_block *block = bn_alloc(base->host, sizeof(*block));
    if (!buffer || !block) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        return bn_fail_memory(err, sizeof(*buffer) + sizeof(*block), "a buffer object");
    }
    *block = (struct bn_streams_block){.base = {.host = memory, .size = size, .users = 1}};
    bn_streams_enter(device);
    int native = import(device, block);
    if (native != 0 && block->registered)
        device->api->host_unregister(memory);
    bn_streams_leave(device);
    if (native != 0) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        // Libraries answer all kinds of things to memory that they do not like; a copy is the way out of those.
        enum bn_result result = bn_streams_fail(device, err, native, "registering memory of the host");
        return result == BN_ERR_DEVICE_LOST
                   ? result
                   : bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    }
    *buffer = (struct bn_block_buffer){{.device = base, .size = size, .host = memory}, &block->base, 0};
    *out = &buffer->base;
    return BN_OK;
}

void bn_streams_buffer_destroy(struct bn_buffer *buffer)
{
    bn_block_buffer_destroy(&block_driver, &bn_streams_of(buffer->device)->blocks, buffer);
}

// Uploads. While one part is copied by the device, the other is filled.
static enum bn_result start_staging(struct bn_streams_device *device, struct bn_error *err)
{
    if (device->staging.buffer)
        return BN_OK;
    struct bn_buffer *buffer = NULL;
    enum bn_result result = create(device, BN_STREAMS_STAGING_PARTS * BN_STREAMS_STAGING_BYTES, false, &buffer, err);
    if (result != BN_OK)
        return result;
    bn_streams_enter(device);
    int native = 0;
    for (int part = 0; part < BN_STREAMS_STAGING_PARTS && native == 0; part++)
        if (!device->staging.events[part])
            native = device->api->event_create(&device->staging.events[part], NO_TIMING);
    bool ours = native == 0 && !device->staging.buffer; // no other thread was faster
    if (ours)
        device->staging.buffer = buffer;
    bn_streams_leave(device);
    if (!ours)
        bn_streams_buffer_destroy(buffer);
    return native == 0 ? BN_OK : bn_streams_fail(device, err, native, "an event");
}

void bn_streams_staging_finish(struct bn_streams_device *device)
{
    bn_streams_enter(device);
    for (int part = 0; part < BN_STREAMS_STAGING_PARTS; part++)
        if (device->staging.events[part])
            device->api->event_destroy(device->staging.events[part]);
    bn_streams_leave(device);
    if (device->staging.buffer)
        bn_streams_buffer_destroy(device->staging.buffer);
}

// Waits until the device has read the part.
static int finish_part(struct bn_streams_device *device, int part)
{
    if (!device->staging.busy[part])
        return 0;
    device->staging.busy[part] = false;
    return device->api->event_wait(device->staging.events[part]);
}

static int send_part(struct bn_streams_device *device, int part, uint64_t to, const uint8_t *data, uint64_t size)
{
    uint8_t *from = (uint8_t *)device->staging.buffer->host + (uint64_t)part * BN_STREAMS_STAGING_BYTES;
    memcpy(from, data, size);
    int native = device->api->copy_in(to, from, size, device->transfer);
    if (native == 0)
        native = device->api->event_record(device->staging.events[part], device->transfer);
    device->staging.busy[part] = native == 0;
    return native;
}

static int upload(struct bn_streams_device *device, uint64_t to, const uint8_t *data, uint64_t size)
{
    int native = 0, part = 0;
    for (uint64_t done = 0; done < size && native == 0; part = (part + 1) % BN_STREAMS_STAGING_PARTS) {
        uint64_t n = size - done < BN_STREAMS_STAGING_BYTES ? size - done : BN_STREAMS_STAGING_BYTES;
        native = finish_part(device, part);
        if (native == 0)
            native = send_part(device, part, to + done, data + done, n);
        done += n;
    }
    for (part = 0; part < BN_STREAMS_STAGING_PARTS; part++) {
        int last = finish_part(device, part);
        native = native == 0 ? last : native;
    }
    return native;
}

enum bn_result bn_streams_buffer_write(struct bn_buffer *base, uint64_t offset, const void *data, uint64_t size,
                                       struct bn_error *err)
{
    struct bn_streams_device *device = bn_streams_of(base->device);
    uint64_t to = bn_streams_address(&(struct bn_span){base, offset, size});
    enum bn_result result = data ? start_staging(device, err) : BN_OK;
    if (result != BN_OK)
        return result;
    bn_streams_enter(device);
    int native;
    if (data) {
        native = upload(device, to, data, size);
    } else {
        native = device->api->fill(to, 0, size, device->transfer);
        native = native == 0 ? device->api->stream_wait(device->transfer) : native;
    }
    bn_streams_leave(device);
    return native == 0 ? BN_OK : bn_streams_fail(device, err, native, "the upload to the device");
}
