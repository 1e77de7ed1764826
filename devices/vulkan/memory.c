#include "devices/vulkan/device.h"

#include <inttypes.h>

enum { ALIGNMENT = 256, PREFERENCES = 3 };

static const VkMemoryPropertyFlags LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                   VISIBLE = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                   CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

// The first type among `allowed` that has the flags wanted first, or second ...; UINT32_MAX if none has.
static uint32_t find_type(const struct device *device, uint32_t allowed, const VkMemoryPropertyFlags *wanted)
{
    const VkPhysicalDeviceMemoryProperties *memory = &device->adapter.memory;
    for (int w = 0; w < PREFERENCES; w++)
        for (uint32_t t = 0; t < memory->memoryTypeCount; t++)
            if ((allowed & 1u << t) && (memory->memoryTypes[t].propertyFlags & wanted[w]) == wanted[w])
                return t;
    return UINT32_MAX;
}

// Small shared buffers (state slots) are read by every op: near the device. Large ones (logits) are read by the host: cached.
static uint32_t choose_type(const struct device *device, uint32_t allowed, uint64_t size, bool local)
{
    if (local && device->adapter.features.host_visible)
        return find_type(device, allowed, (const VkMemoryPropertyFlags[PREFERENCES]){LOCAL | VISIBLE, LOCAL, VISIBLE});
    if (local)
        return find_type(device, allowed, (const VkMemoryPropertyFlags[PREFERENCES]){LOCAL, VISIBLE, VISIBLE});
    if (device->adapter.unified || size > 65536)
        return find_type(device, allowed,
                         (const VkMemoryPropertyFlags[PREFERENCES]){device->adapter.unified ? LOCAL | VISIBLE | CACHED
                                                                                            : VISIBLE | CACHED,
                                                                    VISIBLE | CACHED, VISIBLE});
    return find_type(device, allowed,
                     (const VkMemoryPropertyFlags[PREFERENCES]){LOCAL | VISIBLE, VISIBLE | CACHED, VISIBLE});
}

static enum bn_result check_budget(struct device *device, uint32_t heap, uint64_t size, struct bn_error *err)
{
    uint64_t free = bn_vulkan_heap_free(&device->vk, &device->adapter, heap);
    if (!device->adapter.features.budget)
        free = free > device->taken[heap] ? free - device->taken[heap] : 0;
    if (size <= free)
        return BN_OK;
    return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->base.info.id, NULL, UINT64_MAX,
                      "%" PRIu64 " MiB are needed, %" PRIu64 " of the device's %" PRIu64
                      " MiB are free; use a shorter context, or the CPU",
                      (size + (1 << 20) - 1) >> 20, free >> 20, device->adapter.memory.memoryHeaps[heap].size >> 20);
}

static void destroy_block(struct bn_device *base, struct bn_block *base_block)
{
    struct device *device = device_of(base);
    struct block *block = (struct block *)base_block;
    if (block->buffer)
        device->vk.DestroyBuffer(device->logical, block->buffer, NULL);
    if (block->memory) {
        device->vk.FreeMemory(device->logical, block->memory, NULL); // unmaps it
        if (!block->imported)
            device->taken[block->heap] -= block->base.size;
    }
    bn_free(device->base.host, block);
}

static VkResult create_vk_buffer(struct device *device, uint64_t size, bool imported, VkBuffer *out)
{
    const uint32_t families[] = {device->adapter.family, device->adapter.transfer_family};
    const VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
    };
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = imported ? &external : NULL,
        .size = size,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
        .sharingMode = families[0] == families[1] ? VK_SHARING_MODE_EXCLUSIVE : VK_SHARING_MODE_CONCURRENT,
        .queueFamilyIndexCount = families[0] == families[1] ? 0 : 2,
        .pQueueFamilyIndices = families,
    };
    return device->vk.CreateBuffer(device->logical, &info, NULL, out);
}

// What follows an import: the memory is the caller's, not the heap's.
static enum bn_result allocate(struct device *device, struct block *block, void *memory, uint32_t type,
                               struct bn_error *err)
{
    block->type = type;
    block->heap = device->adapter.memory.memoryTypes[type].heapIndex;
    enum bn_result result = memory ? BN_OK : check_budget(device, block->heap, block->base.size, err);
    if (result != BN_OK)
        return result;
    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
        .pHostPointer = memory,
    };
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .pNext = memory ? &import : NULL,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = block->base.size,
                                       .memoryTypeIndex = type};
    VkResult native = device->vk.AllocateMemory(device->logical, &info, NULL, &block->memory);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkAllocateMemory");
    if (!memory)
        device->taken[block->heap] += block->base.size;
    native = device->vk.BindBufferMemory(device->logical, block->buffer, block->memory, 0);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkBindBufferMemory");
    const VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                               .buffer = block->buffer};
    block->address = device->vk.GetBufferDeviceAddress(device->logical, &address);
    return BN_OK;
}

// A local block is out of the host's reach if the device has, or feigns to have, such memory only.
static enum bn_result map(struct device *device, struct block *block, bool local, struct bn_error *err)
{
    bool visible = device->adapter.memory.memoryTypes[block->type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    if (!visible || (local && !device->adapter.features.host_visible))
        return BN_OK;
    void *host = NULL;
    VkResult native = device->vk.MapMemory(device->logical, block->memory, 0, VK_WHOLE_SIZE, 0, &host);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkMapMemory");
    block->base.host = host;
    return BN_OK;
}

static enum bn_result create_block(struct bn_device *base, uint64_t size, bool local, struct bn_block **out,
                                   struct bn_error *err)
{
    struct device *device = device_of(base);
    struct block *block = bn_alloc(device->base.host, sizeof(*block));
    if (!block)
        return bn_fail_memory(err, sizeof(*block), "a block of device memory");
    enum bn_result result = BN_OK;
    VkMemoryRequirements needs = {.memoryTypeBits = 0};
    VkResult native = create_vk_buffer(device, size, false, &block->buffer);
    if (native != VK_SUCCESS)
        result = bn_vulkan_fail(device, err, native, "vkCreateBuffer");
    uint32_t type = UINT32_MAX;
    if (result == BN_OK) {
        device->vk.GetBufferMemoryRequirements(device->logical, block->buffer, &needs);
        block->base.size = needs.size;
        type = choose_type(device, needs.memoryTypeBits, size, local);
        if (type == UINT32_MAX)
            result = bn_fail_at(err, BN_ERR_UNSUPPORTED, device->base.info.id, NULL, UINT64_MAX,
                                "the device has no memory for buffers that the host reaches");
    }
    if (result == BN_OK)
        result = allocate(device, block, NULL, type, err);
    if (result == BN_OK)
        result = map(device, block, local, err);
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
    bool shares = !local || device->adapter.features.host_visible;
    const struct bn_block_wish wish = {size, ALIGNMENT, local, shares, true};
    return bn_block_buffer_create(&block_driver, &device->base, &device->blocks, &wish, out, err);
}

enum bn_result bn_vulkan_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err)
{
    return create(device_of(device), size, false, out, err);
}

enum bn_result bn_vulkan_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                             struct bn_error *err)
{
    return create(device_of(device), size, true, out, err);
}

static enum bn_result import(struct device *device, struct block *block, void *memory, struct bn_error *err)
{
    VkMemoryHostPointerPropertiesEXT pointer = {.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    VkResult native = device->vk.GetMemoryHostPointerPropertiesEXT(
        device->logical, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, memory, &pointer);
    if (native == VK_SUCCESS)
        native = create_vk_buffer(device, block->base.size, true, &block->buffer);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkGetMemoryHostPointerPropertiesEXT");
    VkMemoryRequirements needs;
    device->vk.GetBufferMemoryRequirements(device->logical, block->buffer, &needs);
    const VkMemoryPropertyFlags any[PREFERENCES] = {VISIBLE | CACHED, VISIBLE, 0};
    uint32_t type = find_type(device, needs.memoryTypeBits & pointer.memoryTypeBits, any);
    if (type == UINT32_MAX || needs.size > block->base.size)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    return allocate(device, block, memory, type, err);
}

enum bn_result bn_vulkan_buffer_import(struct bn_device *base, void *memory, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err)
{
    struct device *device = device_of(base);
    if (!device->adapter.features.host_import || !device->vk.GetMemoryHostPointerPropertiesEXT)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    struct bn_block_buffer *buffer = bn_alloc(base->host, sizeof(*buffer));
    struct block *block = bn_alloc(base->host, sizeof(*block));
    if (!buffer || !block) {
        bn_free(base->host, buffer);
        bn_free(base->host, block);
        return bn_fail_memory(err, sizeof(*buffer) + sizeof(*block), "a buffer object");
    }
    block->base.size = round_up(size, device->adapter.import_align); // the rest of the last page
    block->imported = true;
    block->base.users = 1;
    pthread_mutex_lock(&device->lock);
    enum bn_result result = import(device, block, memory, err);
    if (result != BN_OK)
        destroy_block(&device->base, &block->base);
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK) {
        bn_free(base->host, buffer);
        // Drivers answer all kinds of things to memory that they do not like; a copy is the way out of every one of them.
        return result == BN_ERR_DEVICE_LOST || result == BN_ERR_NO_MEMORY
                   ? result
                   : bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    }
    *buffer = (struct bn_block_buffer){{.device = base, .size = size, .host = memory}, &block->base, 0};
    *out = &buffer->base;
    return BN_OK;
}

void bn_vulkan_buffer_destroy(struct bn_buffer *buffer)
{
    bn_block_buffer_destroy(&block_driver, &device_of(buffer->device)->blocks, buffer);
}
