// Buffers. Where the device has fine-grained shared virtual memory, all of them are such memory, and the host reaches them.
// Elsewhere those that the host must reach have a copy in host memory, which commands bring to the device and back.
#include <inttypes.h>

#include "devices/opencl/device.h"

enum { ALIGNMENT = 256 };

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

static void destroy_block(struct bn_device *base, struct bn_block *base_block)
{
    struct device *device = device_of(base);
    struct block *block = (struct block *)base_block;
    if (block->memory)
        device->cl.ReleaseMemObject(block->memory);
    if (block->svm)
        device->cl.SVMFree(device->context, block->svm);
    if (block->shadow)
        bn_free(device->base.host, block->base.host);
    if (!block->imported)
        device->taken -= block->base.size;
    bn_free(device->base.host, block);
}

static enum bn_result allocate(struct device *device, struct block *block, bool local, struct bn_error *err)
{
    const struct cl *cl = &device->cl;
    cl_int native = CL_SUCCESS;
    if (device->adapter.features.svm) {
        block->svm = cl->SVMAlloc(device->context, CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER,
                                  (size_t)block->base.size, 0);
        if (!block->svm)
            return bn_opencl_fail(device, err, CL_MEM_OBJECT_ALLOCATION_FAILURE, "clSVMAlloc");
        block->base.host = block->svm;
    } else if (!local) {
        block->base.host = bn_alloc(device->base.host, (size_t)block->base.size);
        block->shadow = true;
        if (!block->base.host)
            return bn_fail_memory(err, block->base.size, "a buffer");
    }
    block->memory = cl->CreateBuffer(device->context, CL_MEM_READ_WRITE | (block->svm ? CL_MEM_USE_HOST_PTR : 0u),
                                     (size_t)block->base.size, block->svm, &native);
    return native == CL_SUCCESS ? BN_OK : bn_opencl_fail(device, err, native, "clCreateBuffer");
}

static enum bn_result create_block(struct bn_device *base, uint64_t size, bool local, struct bn_block **out,
                                   struct bn_error *err)
{
    struct device *device = device_of(base);
    enum bn_result result = check_room(device, size, err);
    if (result != BN_OK)
        return result;
    struct block *block = bn_alloc(device->base.host, sizeof(*block));
    if (!block)
        return bn_fail_memory(err, sizeof(*block), "a block of device memory");
    block->base.size = size;
    device->taken += size;
    result = allocate(device, block, local, err);
    if (result != BN_OK) {
        destroy_block(&device->base, &block->base);
        return result;
    }
    *out = &block->base;
    return BN_OK;
}

static void lock(struct bn_device *device)
{
    pthread_mutex_lock(&device_of(device)->lock);
}

static void unlock(struct bn_device *device)
{
    pthread_mutex_unlock(&device_of(device)->lock);
}

static const struct bn_block_driver block_driver = {lock, unlock, create_block, destroy_block};

static enum bn_result create(struct device *device, uint64_t size, bool local, struct bn_buffer **out,
                             struct bn_error *err)
{
    const struct adapter *adapter = &device->adapter;
    bool shares = (!local || adapter->features.svm) && BN_SHARED_BLOCK <= adapter->max_allocation;
    uint64_t unit = adapter->alignment > ALIGNMENT ? adapter->alignment : ALIGNMENT;
    const struct bn_block_wish wish = {size, unit, local, shares, true};
    return bn_block_buffer_create(&block_driver, &device->base, &device->blocks, &wish, out, err);
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
    struct bn_block_buffer *buffer = bn_alloc(base->host, sizeof(*buffer));
    struct block *block = bn_alloc(base->host, sizeof(*block));
    if (!buffer || !block) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        return bn_fail_memory(err, sizeof(*buffer) + sizeof(*block), "a buffer object");
    }
    cl_int native = CL_SUCCESS;
    *block = (struct block){.base = {.size = size, .users = 1}, .imported = true};
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
    *buffer = (struct bn_block_buffer){{.device = base, .size = size, .host = memory}, &block->base, 0};
    *out = &buffer->base;
    return BN_OK;
}

void bn_opencl_buffer_destroy(struct bn_buffer *buffer)
{
    bn_block_buffer_destroy(&block_driver, &device_of(buffer->device)->blocks, buffer);
}

enum bn_result bn_opencl_buffer_write(struct bn_buffer *base, uint64_t offset, const void *data, uint64_t size,
                                      struct bn_error *err)
{
    struct bn_block_buffer *buffer = buffer_of(base);
    struct device *device = device_of(base->device);
    const cl_uint zero = 0;
    const uint64_t at = buffer->offset + offset;
    pthread_mutex_lock(&device->lock);
    cl_int native;
    if (data) {
        native = device->cl.EnqueueWriteBuffer(device->transfers, block_of(buffer)->memory, CL_TRUE, (size_t)at,
                                               (size_t)size, data, 0, NULL, NULL);
    } else {
        native = device->cl.EnqueueFillBuffer(device->transfers, block_of(buffer)->memory, &zero, sizeof(zero),
                                              (size_t)at, (size_t)round_up(size, sizeof(zero)), 0, NULL, NULL);
        native = native == CL_SUCCESS ? device->cl.Finish(device->transfers) : native;
    }
    pthread_mutex_unlock(&device->lock);
    return native == CL_SUCCESS ? BN_OK : bn_opencl_fail(device, err, native, "the upload to the device");
}
