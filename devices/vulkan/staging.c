// Writing to memory that the host does not reach.
#include <string.h>

#include "devices/vulkan/device.h"

static enum bn_result create_part(struct device *device, int part, struct bn_error *err)
{
    const VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                  .commandPool = device->transfer_pool,
                                                  .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                  .commandBufferCount = 1};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult native = device->vk.AllocateCommandBuffers(device->logical, &commands, &device->staging.commands[part]);
    if (native == VK_SUCCESS)
        native = device->vk.CreateFence(device->logical, &fence, NULL, &device->staging.fences[part]);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, "vkAllocateCommandBuffers");
}

enum bn_result bn_vulkan_staging_init(struct device *device, struct bn_error *err)
{
    enum bn_result result =
        bn_vulkan_buffer_create(&device->base, STAGING_PARTS * STAGING_BYTES, &device->staging.buffer, err);
    for (int part = 0; part < STAGING_PARTS && result == BN_OK; part++)
        result = create_part(device, part, err);
    return result;
}

void bn_vulkan_staging_finish(struct device *device)
{
    for (int part = 0; part < STAGING_PARTS; part++)
        if (device->staging.fences[part])
            device->vk.DestroyFence(device->logical, device->staging.fences[part], NULL);
    if (device->staging.buffer)
        bn_vulkan_buffer_destroy(device->staging.buffer);
}

// Waits until the device has read the part.
static VkResult finish_part(struct device *device, int part)
{
    struct staging *staging = &device->staging;
    if (!staging->busy[part])
        return VK_SUCCESS;
    staging->busy[part] = false;
    return device->vk.WaitForFences(device->logical, 1, &staging->fences[part], VK_TRUE, UINT64_MAX);
}

// Fills at most a part and starts its way to the device.
static VkResult send_part(struct device *device, int part, const struct bn_block_buffer *to, uint64_t offset,
                          const uint8_t *data, uint64_t size)
{
    const struct vk *vk = &device->vk;
    struct staging *staging = &device->staging;
    const struct bn_block_buffer *from = (const struct bn_block_buffer *)staging->buffer;
    VkCommandBuffer commands = staging->commands[part];
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult native = vk->BeginCommandBuffer(commands, &begin);
    if (native != VK_SUCCESS)
        return native;
    uint64_t at = (uint64_t)part * STAGING_BYTES;
    if (data) {
        memcpy((uint8_t *)staging->buffer->host + at, data, size);
        const VkBufferCopy copy = {from->offset + at, to->offset + offset, size};
        vk->CmdCopyBuffer(commands, bn_vulkan_block(from)->buffer, bn_vulkan_block(to)->buffer, 1, &copy);
    } else {
        vk->CmdFillBuffer(commands, bn_vulkan_block(to)->buffer, to->offset + offset, (size + 3) / 4 * 4, 0);
    }
    native = vk->EndCommandBuffer(commands);
    if (native != VK_SUCCESS)
        return native;
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    native = vk->ResetFences(device->logical, 1, &staging->fences[part]);
    if (native == VK_SUCCESS)
        native = vk->QueueSubmit(device->transfer, 1, &submit, staging->fences[part]);
    staging->busy[part] = native == VK_SUCCESS;
    return native;
}

enum bn_result bn_vulkan_buffer_write(struct bn_buffer *base, uint64_t offset, const void *data, uint64_t size,
                                      struct bn_error *err)
{
    struct bn_block_buffer *buffer = (struct bn_block_buffer *)base;
    struct device *device = device_of(base->device);
    VkResult native = VK_SUCCESS;
    pthread_mutex_lock(&device->lock);
    const uint64_t most = data ? STAGING_BYTES : (uint64_t)1 << 30;
    int part = 0;
    for (uint64_t done = 0; done < size && native == VK_SUCCESS; part = (part + 1) % STAGING_PARTS) {
        uint64_t n = size - done < most ? size - done : most;
        native = finish_part(device, part);
        if (native == VK_SUCCESS)
            native = send_part(device, part, buffer, offset + done, data ? (const uint8_t *)data + done : NULL, n);
        done += n;
    }
    for (part = 0; part < STAGING_PARTS; part++) {
        VkResult last = finish_part(device, part);
        native = native == VK_SUCCESS ? last : native;
    }
    if (native != VK_SUCCESS) // a part may be under way whose end we did not see
        device->vk.DeviceWaitIdle(device->logical);
    pthread_mutex_unlock(&device->lock);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, "the upload to the device");
}
