// Memory: blocks that small buffers share, memory of the host that the device reads, uploads through a staging buffer.
#include <inttypes.h>
#include <string.h>

#include "devices/common/streams.h"

enum { ALIGNMENT = 256, SMALL = 1 << 20, SHARED_BLOCK = 4 << 20 };
enum { PORTABLE = 1, MAPPED = 2, READ_ONLY = 8 }; // flags of memory that both see
enum { NO_TIMING = 2 };                           // of events

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static void destroy_block(struct bn_streams_device *device, struct bn_streams_block *block)
{
    if (block->registered)
        device->api->host_unregister(block->host);
    else if (block->host)
        device->api->host_free(block->host);
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
        native = api->alloc(&block->address, block->size);
        if (native != 0)
            block->address = 0;
        return native == BN_STREAMS_OUT_OF_MEMORY ? too_large(device, block->size, err)
               : native != 0                      ? bn_streams_fail(device, err, native, "device memory")
                                                  : BN_OK;
    }
    void *host = NULL;
    native = api->host_alloc(&host, block->size, PORTABLE | MAPPED);
    if (native == BN_STREAMS_OUT_OF_MEMORY)
        return bn_fail_memory(err, block->size, "memory of the host that the device reads");
    if (native != 0)
        return bn_streams_fail(device, err, native, "memory of the host");
    block->host = host;
    native = api->host_address(&block->address, host, 0);
    return native == 0 ? BN_OK : bn_streams_fail(device, err, native, "memory of the host");
}

// A place for `size` bytes: at the end of a shared block, or a block of its own.
static enum bn_result place(struct bn_streams_device *device, uint64_t size, bool local, struct bn_streams_block **out,
                            struct bn_error *err)
{
    bool shares = size <= SMALL;
    for (struct bn_streams_block *block = device->blocks; shares && block; block = block->next)
        if (!block->host == local && block->size - block->used >= size) {
            *out = block;
            return BN_OK;
        }
    struct bn_streams_block *block = bn_alloc(device->base.host, sizeof(*block));
    if (!block)
        return bn_fail_memory(err, sizeof(*block), "a block of device memory");
    block->size = shares ? SHARED_BLOCK : size;
    enum bn_result result = allocate(device, block, local, err);
    if (result != BN_OK) {
        destroy_block(device, block);
        return result;
    }
    if (shares) {
        block->next = device->blocks;
        device->blocks = block;
    }
    *out = block;
    return BN_OK;
}

static void leave(struct bn_streams_device *device, struct bn_streams_block *block)
{
    if (--block->users > 0)
        return;
    for (struct bn_streams_block **link = &device->blocks; *link; link = &(*link)->next)
        if (*link == block) {
            *link = block->next;
            break;
        }
    destroy_block(device, block);
}

static enum bn_result create(struct bn_streams_device *device, uint64_t size, bool local, struct bn_buffer **out,
                             struct bn_error *err)
{
    struct bn_streams_buffer *buffer = bn_alloc(device->base.host, sizeof(*buffer));
    if (!buffer)
        return bn_fail_memory(err, sizeof(*buffer), "a buffer object");
    uint64_t whole = round_up(size, ALIGNMENT);
    bn_streams_enter(device);
    enum bn_result result = place(device, whole, local, &buffer->block, err);
    if (result == BN_OK) {
        buffer->offset = buffer->block->used;
        buffer->block->used += whole;
        buffer->block->users++;
    }
    bn_streams_leave(device);
    if (result != BN_OK) {
        bn_free(device->base.host, buffer);
        return result;
    }
    buffer->base = (struct bn_buffer){.device = &device->base, .size = size};
    if (buffer->block->host) {
        buffer->base.host = buffer->block->host + buffer->offset;
        memset(buffer->base.host, 0, size); // touched, too
    } else {
        result = bn_streams_buffer_write(&buffer->base, 0, NULL, size, err);
    }
    if (result != BN_OK) {
        bn_streams_buffer_destroy(&buffer->base);
        return result;
    }
    *out = &buffer->base;
    return BN_OK;
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
    int native = device->api->host_register(block->host, block->size, PORTABLE | MAPPED);
    if (native != 0)
        native = device->api->host_register(block->host, block->size, PORTABLE | MAPPED | READ_ONLY);
    block->registered = native == 0;
    return native == 0 ? device->api->host_address(&block->address, block->host, 0) : native;
}

enum bn_result bn_streams_buffer_import(struct bn_device *base, void *memory, uint64_t size, struct bn_buffer **out,
                                        struct bn_error *err)
{
    struct bn_streams_device *device = bn_streams_of(base);
    if (!device->features.import)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device does not read this memory in place");
    struct bn_streams_buffer *buffer = bn_alloc(base->host, sizeof(*buffer));
    struct bn_streams_block *block = bn_alloc(base->host, sizeof(*block));
    if (!buffer || !block) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        return bn_fail_memory(err, sizeof(*buffer) + sizeof(*block), "a buffer object");
    }
    *block = (struct bn_streams_block){.host = memory, .size = size, .users = 1};
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
    *buffer = (struct bn_streams_buffer){{.device = base, .size = size, .host = memory}, block, 0};
    *out = &buffer->base;
    return BN_OK;
}

void bn_streams_buffer_destroy(struct bn_buffer *base)
{
    struct bn_streams_buffer *buffer = (struct bn_streams_buffer *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    bn_streams_enter(device);
    leave(device, buffer->block);
    bn_streams_leave(device);
    bn_free(device->base.host, buffer);
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
    struct bn_streams_buffer *buffer = (struct bn_streams_buffer *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    uint64_t to = buffer->block->address + buffer->offset + offset;
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
