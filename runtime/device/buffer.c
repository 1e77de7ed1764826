#include <inttypes.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/device/live.h"

// Buffers whose owner has not destroyed them, sorted by address.
struct bn_live {
    pthread_mutex_t lock;
    struct bn_buffer **buffers;
    size_t n, capacity;
};

enum { SPANS_PER_OP = 15 };

enum bn_result bn_live_create(struct bn_device *device, struct bn_error *err)
{
    device->live = bn_alloc(device->host, sizeof(*device->live));
    if (!device->live)
        return bn_fail_memory(err, sizeof(*device->live), "the table of buffers");
    pthread_mutex_init(&device->live->lock, NULL);
    return BN_OK;
}

void bn_live_destroy(struct bn_device *device)
{
    if (!device->live)
        return;
    pthread_mutex_destroy(&device->live->lock);
    bn_free(device->host, device->live->buffers);
    bn_free(device->host, device->live);
}

// Where the buffer is, or where it would have to be put.
static size_t find(const struct bn_live *live, const struct bn_buffer *buffer)
{
    size_t low = 0, high = live->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)live->buffers[middle] < (uintptr_t)buffer)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has(const struct bn_live *live, const struct bn_buffer *buffer)
{
    size_t at = find(live, buffer);
    return at < live->n && live->buffers[at] == buffer;
}

bool bn_live_has(const struct bn_device *device, const struct bn_buffer *buffer)
{
    pthread_mutex_lock(&device->live->lock);
    bool found = has(device->live, buffer);
    pthread_mutex_unlock(&device->live->lock);
    return found;
}

static bool add(struct bn_device *device, struct bn_buffer *buffer)
{
    struct bn_live *live = device->live;
    if (live->n == live->capacity) {
        size_t capacity = live->capacity * 2 + 16;
        struct bn_buffer **buffers = bn_alloc_array(device->host, capacity, sizeof(struct bn_buffer *));
        if (!buffers)
            return false;
        if (live->n)
            memcpy(buffers, live->buffers, live->n * sizeof(*buffers));
        bn_free(device->host, live->buffers);
        live->buffers = buffers;
        live->capacity = capacity;
    }
    size_t at = find(live, buffer);
    memmove(live->buffers + at + 1, live->buffers + at, (live->n - at) * sizeof(struct bn_buffer *));
    live->buffers[at] = buffer;
    live->n++;
    return true;
}

// A new buffer from the driver gets its owner.
static enum bn_result enter(struct bn_device *device, struct bn_buffer **out, struct bn_error *err)
{
    (*out)->users = 1;
    pthread_mutex_lock(&device->live->lock);
    bool added = add(device, *out);
    pthread_mutex_unlock(&device->live->lock);
    if (added)
        return BN_OK;
    device->driver->buffer_destroy(*out);
    *out = NULL;
    return bn_fail_memory(err, sizeof(void *), "the table of buffers");
}

static void drop_user(struct bn_buffer *buffer)
{
    if (__atomic_sub_fetch(&buffer->users, 1, __ATOMIC_ACQ_REL) == 0)
        buffer->device->driver->buffer_destroy(buffer);
}

static enum bn_result create(struct bn_device *device, uint64_t size, bool local, struct bn_buffer **out,
                             struct bn_error *err)
{
    if (!device || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "device or out is NULL");
    *out = NULL;
    struct bn_caps caps;
    bn_device_get_caps(device, &caps);
    if (size == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "a buffer of 0 bytes");
    if (size > caps.max_buffer)
        return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->info.id, NULL, UINT64_MAX,
                          "a buffer of %" PRIu64 " bytes was asked for, the device's largest has %" PRIu64, size,
                          caps.max_buffer);
    const struct bn_driver *driver = device->driver;
    enum bn_result result = local && driver->buffer_create_local ? driver->buffer_create_local(device, size, out, err)
                                                                 : driver->buffer_create(device, size, out, err);
    return result == BN_OK ? enter(device, out, err) : result;
}

enum bn_result bn_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out, struct bn_error *err)
{
    return create(device, size, false, out, err);
}

enum bn_result bn_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                      struct bn_error *err)
{
    return create(device, size, true, out, err);
}

enum bn_result bn_buffer_write(struct bn_device *device, struct bn_buffer *buffer, uint64_t offset, const void *data,
                               uint64_t size, struct bn_error *err)
{
    if (!device || !buffer || (!data && size) || !bn_live_has(device, buffer))
        return bn_fail(err, BN_ERR_ARGUMENT, "device or data is NULL, or there is no such buffer");
    if (offset % 4 || size % 4 || offset > buffer->size || size > buffer->size - offset)
        return bn_fail(err, BN_ERR_ARGUMENT, "the bytes lie outside the buffer, or are not whole words");
    if (!buffer->host)
        return size ? device->driver->buffer_write(buffer, offset, data, size, err) : BN_OK;
    if (size)
        memcpy((uint8_t *)buffer->host + offset, data, size);
    return BN_OK;
}

enum bn_result bn_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                struct bn_error *err)
{
    if (!device || !out || !memory || size == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "device, memory or out is NULL, or there are 0 bytes");
    *out = NULL;
    struct bn_caps caps;
    bn_device_get_caps(device, &caps);
    if (!device->driver->buffer_import || caps.import_align == 0 || (uintptr_t)memory % caps.import_align)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    enum bn_result result = device->driver->buffer_import(device, memory, size, out, err);
    return result == BN_OK ? enter(device, out, err) : result;
}

void bn_buffer_destroy(struct bn_buffer *buffer)
{
    if (!buffer)
        return;
    struct bn_live *live = buffer->device->live;
    pthread_mutex_lock(&live->lock);
    size_t at = find(live, buffer);
    memmove(live->buffers + at, live->buffers + at + 1, (live->n - at - 1) * sizeof(struct bn_buffer *));
    live->n--;
    pthread_mutex_unlock(&live->lock);
    drop_user(buffer);
}

// Adds the buffer to the command unless it has it already.
static void keep(struct bn_command *command, struct bn_buffer *buffer)
{
    for (size_t i = 0; i < command->n_buffers; i++)
        if (command->buffers[i] == buffer)
            return;
    command->buffers[command->n_buffers++] = buffer;
    __atomic_add_fetch(&buffer->users, 1, __ATOMIC_RELAXED);
}

enum bn_result bn_live_keep(struct bn_command *command, const struct bn_op *ops, size_t n_ops,
                            const struct bn_span *slot, struct bn_error *err)
{
    struct bn_live *live = command->device->live;
    pthread_mutex_lock(&live->lock);
    size_t most = n_ops * SPANS_PER_OP + 1 < live->n ? n_ops * SPANS_PER_OP + 1 : live->n;
    command->n_buffers = 0;
    command->buffers = bn_alloc_array(command->device->host, most, sizeof(struct bn_buffer *));
    for (size_t i = 0; i < n_ops && command->buffers; i++) {
        const struct bn_op *op = &ops[i];
        struct bn_buffer *const used[SPANS_PER_OP] = {
            op->in.buffer,          op->in2.buffer,         op->in3.buffer,         op->out.buffer,
            op->out2.buffer,        op->norm.buffer,        op->norm2.buffer,       op->kv.buffer,
            op->rope.buffer,        op->w[0].data.buffer,   op->w[1].data.buffer,   op->w[2].data.buffer,
            op->w[0].scales.buffer, op->w[1].scales.buffer, op->w[2].scales.buffer,
        };
        for (int u = 0; u < SPANS_PER_OP; u++)
            if (used[u])
                keep(command, used[u]);
    }
    if (command->buffers)
        keep(command, slot->buffer);
    pthread_mutex_unlock(&live->lock);
    return command->buffers ? BN_OK : bn_fail_memory(err, most * sizeof(void *), "a command's buffers");
}

void bn_live_drop(struct bn_command *command)
{
    for (size_t i = 0; i < command->n_buffers; i++)
        drop_user(command->buffers[i]);
    bn_free(command->device->host, command->buffers);
}
