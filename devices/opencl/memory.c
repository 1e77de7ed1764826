// Buffers. Where the device has fine-grained shared virtual memory, all of them are such memory, and the host reaches them.
// Elsewhere those that the host must reach have a copy in host memory, which commands bring to the device and back.
#include <inttypes.h>
#include <string.h>

#include "devices/opencl/device.h"

enum { ALIGNMENT = 256, SMALL = 1 << 20, SHARED_BLOCK = 4 << 20 };

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static enum bn_result check_room(const struct device *device, uint64_t size, struct bn_error *err)
{
    const struct adapter *adapter = &device->adapter;
    uint64_t total = adapter->info.memory_total, left = total > device->taken ? total - device->taken : 0;
    if (size > adapter->max_allocation)
        return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->base.info.id, NULL, UINT64_MAX,
                          "%" PRIu64 " MiB are needed at once, the device gives %" PRIu64
                          "; use a shorter context, or another way into the device",
                          (size + (1 << 20) - 1) >> 20, adapter->max_allocation >> 20);
    if (size > left)
        return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->base.info.id, NULL, UINT64_MAX,
                          "%" PRIu64 " MiB are needed, %" PRIu64 " of the device's %" PRIu64
                          " MiB are free; use a shorter context, or the CPU",
                          (size + (1 << 20) - 1) >> 20, left >> 20, total >> 20);
    return BN_OK;
}

static void destroy_block(struct device *device, struct block *block)
{
    if (block->memory)
        device->cl.ReleaseMemObject(block->memory);
    if (block->svm)
        device->cl.SVMFree(device->context, block->svm);
    if (block->shadow)
        bn_free(device->base.host, block->host);
    if (!block->imported)
        device->taken -= block->size;
    bn_free(device->base.host, block);
}

static enum bn_result allocate(struct device *device, struct block *block, bool local, struct bn_error *err)
{
    const struct cl *cl = &device->cl;
    cl_int native = CL_SUCCESS;
    if (device->adapter.features.svm) {
        block->svm =
            cl->SVMAlloc(device->context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, (size_t)block->size, 0);
        if (!block->svm)
            return bn_opencl_fail(device, err, CL_MEM_OBJECT_ALLOCATION_FAILURE, "clSVMAlloc");
        block->host = block->svm;
    } else if (!local) {
        block->host = bn_alloc(device->base.host, (size_t)block->size);
        block->shadow = true;
        if (!block->host)
            return bn_fail_memory(err, block->size, "a buffer");
    }
    block->memory = cl->CreateBuffer(device->context, CL_MEM_READ_WRITE | (block->svm ? CL_MEM_USE_HOST_PTR : 0u),
                                     (size_t)block->size, block->svm, &native);
    return native == CL_SUCCESS ? BN_OK : bn_opencl_fail(device, err, native, "clCreateBuffer");
}

static enum bn_result create_block(struct device *device, uint64_t size, bool local, struct block **out,
                                   struct bn_error *err)
{
    enum bn_result result = check_room(device, size, err);
    if (result != BN_OK)
        return result;
    struct block *block = bn_alloc(device->base.host, sizeof(*block));
    if (!block)
        return bn_fail_memory(err, sizeof(*block), "a block of device memory");
    block->size = size;
    device->taken += size;
    result = allocate(device, block, local, err);
    if (result != BN_OK) {
        destroy_block(device, block);
        return result;
    }
    *out = block;
    return BN_OK;
}

// A place for `size` bytes: at the end of a shared block, or a block of its own.
static enum bn_result place(struct device *device, uint64_t size, bool local, struct block **out, struct bn_error *err)
{
    bool shares =
        size <= SMALL && (!local || device->adapter.features.svm) && SHARED_BLOCK <= device->adapter.max_allocation;
    for (struct block *block = device->blocks; shares && block; block = block->next)
        if (block->size - block->used >= size) {
            *out = block;
            return BN_OK;
        }
    enum bn_result result = create_block(device, shares ? SHARED_BLOCK : size, local && !shares, out, err);
    if (result == BN_OK && shares) {
        (*out)->next = device->blocks;
        device->blocks = *out;
    }
    return result;
}

static void leave(struct device *device, struct block *block)
{
    if (--block->users > 0)
        return;
    for (struct block **at = &device->blocks; *at; at = &(*at)->next)
        if (*at == block) {
            *at = block->next;
            break;
        }
    destroy_block(device, block);
}

static enum bn_result create(struct device *device, uint64_t size, bool local, struct bn_buffer **out,
                             struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    struct opencl_buffer *buffer = bn_alloc(host, sizeof(*buffer));
    if (!buffer)
        return bn_fail_memory(err, sizeof(*buffer), "a buffer object");
    uint64_t unit = device->adapter.alignment > ALIGNMENT ? device->adapter.alignment : ALIGNMENT;
    uint64_t room = round_up(size, unit);
    pthread_mutex_lock(&device->lock);
    enum bn_result result = place(device, room, local, &buffer->block, err);
    if (result == BN_OK) {
        buffer->offset = buffer->block->used;
        buffer->block->used += room;
        buffer->block->users++;
    }
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK) {
        bn_free(host, buffer);
        return result;
    }
    buffer->base = (struct bn_buffer){.device = &device->base, .size = size};
    if (buffer->block->host) {
        buffer->base.host = buffer->block->host + buffer->offset;
        memset(buffer->base.host, 0, size); // touched, too
    } else {
        result = bn_opencl_buffer_write(&buffer->base, 0, NULL, size, err);
    }
    if (result != BN_OK) {
        bn_opencl_buffer_destroy(&buffer->base);
        return result;
    }
    *out = &buffer->base;
    return BN_OK;
}

enum bn_result bn_opencl_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err)
{
    return create(device_of(device), size, false, out, err);
}

enum bn_result bn_opencl_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                             struct bn_error *err)
{
    return create(device_of(device), size, true, out, err);
}

enum bn_result bn_opencl_buffer_import(struct bn_device *base, void *memory, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err)
{
    struct device *device = device_of(base);
    if (!device->adapter.features.host_import || size > device->adapter.max_allocation)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    struct opencl_buffer *buffer = bn_alloc(base->host, sizeof(*buffer));
    struct block *block = bn_alloc(base->host, sizeof(*block));
    if (!buffer || !block) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        return bn_fail_memory(err, sizeof(*buffer) + sizeof(*block), "a buffer object");
    }
    cl_int native = CL_SUCCESS;
    *block = (struct block){.size = size, .users = 1, .imported = true};
    block->memory =
        device->cl.CreateBuffer(device->context, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, (size_t)size, memory, &native);
    if (native != CL_SUCCESS) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        if (bn_cl_is_lost(native))
            return bn_opencl_fail(device, err, native, "clCreateBuffer");
        // Drivers answer all kinds of things to memory that they do not like; a copy is the way out of every one of them.
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    }
    *buffer = (struct opencl_buffer){{.device = base, .size = size, .host = memory}, block, 0};
    *out = &buffer->base;
    return BN_OK;
}

void bn_opencl_buffer_destroy(struct bn_buffer *base)
{
    struct opencl_buffer *buffer = buffer_of(base);
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    leave(device, buffer->block);
    pthread_mutex_unlock(&device->lock);
    bn_free(device->base.host, buffer);
}

enum bn_result bn_opencl_buffer_write(struct bn_buffer *base, uint64_t offset, const void *data, uint64_t size,
                                      struct bn_error *err)
{
    struct opencl_buffer *buffer = buffer_of(base);
    struct device *device = device_of(base->device);
    const cl_uint zero = 0;
    const uint64_t at = buffer->offset + offset;
    pthread_mutex_lock(&device->lock);
    cl_int native;
    if (data) {
        native = device->cl.EnqueueWriteBuffer(device->transfers, buffer->block->memory, CL_TRUE, (size_t)at,
                                               (size_t)size, data, 0, NULL, NULL);
    } else {
        native = device->cl.EnqueueFillBuffer(device->transfers, buffer->block->memory, &zero, sizeof(zero), (size_t)at,
                                              (size_t)round_up(size, sizeof(zero)), 0, NULL, NULL);
        native = native == CL_SUCCESS ? device->cl.Finish(device->transfers) : native;
    }
    pthread_mutex_unlock(&device->lock);
    return native == CL_SUCCESS ? BN_OK : bn_opencl_fail(device, err, native, "the upload to the device");
}
