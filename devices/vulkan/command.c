#include "devices/vulkan/command.h"
#include "devices/vulkan/trace.h"

#include <string.h>

// Everything written so far is seen by what follows.
static void barrier(const struct device *device, VkCommandBuffer commands, VkPipelineStageFlags to,
                    VkAccessFlags access)
{
    const VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .dstAccessMask = access};
    device->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, to,
                                  0, 1, &memory, 0, NULL, 0, NULL);
}

// The parameters of a kernel as push constants: addresses, then words, so that nothing needs padding.
static uint32_t write_push(const struct bn_dispatch *dispatch, uint8_t *push)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < dispatch->n_spans; i++, bytes += sizeof(VkDeviceAddress)) {
        VkDeviceAddress address = bn_vulkan_address(&dispatch->spans[i]);
        memcpy(push + bytes, &address, sizeof(address));
    }
    memcpy(push + bytes, dispatch->words, dispatch->n_words * sizeof(uint32_t));
    return bytes + dispatch->n_words * (uint32_t)sizeof(uint32_t);
}

static enum bn_result record_dispatch(struct device *device, VkCommandBuffer commands,
                                      const struct bn_dispatch *dispatch, struct bn_error *err)
{
    VkPipeline pipeline;
    enum bn_result result = bn_vulkan_pipeline(device, dispatch->kernel, dispatch->constants, &pipeline, err);
    if (result != BN_OK)
        return result;
    barrier(device, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
    device->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    uint8_t push[BN_MAX_SPANS * sizeof(VkDeviceAddress) + BN_MAX_WORDS * sizeof(uint32_t)];
    uint32_t bytes = write_push(dispatch, push);
    if (bytes > PUSH_BYTES)
        return bn_fail_at(err, BN_ERR_INTERNAL, device->base.info.id, bn_kernel_infos[dispatch->kernel].name,
                          UINT64_MAX, "the kernel has more parameters than push constants hold");
    device->vk.CmdPushConstants(commands, device->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, bytes, push);
    device->vk.CmdDispatch(commands, dispatch->x, dispatch->y, 1);
    return BN_OK;
}

static enum bn_result record_ops(struct device *device, struct command *command, const struct bn_op *ops,
                                 const struct bn_span *slot, struct bn_error *err)
{
    const VkCommandBufferAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                  .commandPool = device->pool,
                                                  .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                  .commandBufferCount = 1};
    VkResult native = device->vk.AllocateCommandBuffers(device->logical, &allocate, &command->commands);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkAllocateCommandBuffers");
    // The same command may be submitted again before it has ended.
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    native = device->vk.BeginCommandBuffer(command->commands, &begin);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkBeginCommandBuffer");
    enum bn_result result = bn_vulkan_stamps_begin(device, command, ops, err);
    if (result != BN_OK)
        return result;
    const struct bn_span temporary = {command->temporary, 0, command->temporary ? command->temporary->size : 0};
    for (uint32_t i = 0; i < command->n_ops; i++) {
        struct bn_dispatch list[BN_MAX_DISPATCHES];
        uint32_t n = bn_lower(&device->target, &ops[i], i, slot, &temporary, list);
        for (uint32_t d = 0; d < n; d++) {
            result = record_dispatch(device, command->commands, &list[d], err);
            if (result != BN_OK)
                return result;
        }
        bn_vulkan_stamp(device, command, i, n);
        command->n_dispatches += n;
        command->kinds[i] = (uint8_t)ops[i].kind;
    }
    barrier(device, command->commands, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    native = device->vk.EndCommandBuffer(command->commands);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, "vkEndCommandBuffer");
}

enum bn_result bn_vulkan_record(struct bn_device *base, const struct bn_op *ops, size_t n_ops,
                                const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    struct device *device = device_of(base);
    uint64_t temporary = 0;
    for (size_t i = 0; i < n_ops; i++) {
        enum bn_result result = bn_lower_check(&device->target, &ops[i], err);
        if (result != BN_OK)
            return result;
        uint64_t bytes = bn_lower_temporary(&device->target, &ops[i]);
        temporary = bytes > temporary ? bytes : temporary;
    }
    if (!slot->buffer->host)
        return bn_fail(err, BN_ERR_ARGUMENT, "the state slot lies in memory that the host does not reach");
    struct command *command = bn_alloc(base->host, sizeof(*command) + n_ops);
    if (!command)
        return bn_fail_memory(err, sizeof(*command) + n_ops, "a command");
    command->base.device = base;
    command->slot = (struct bn_slot *)(void *)((uint8_t *)slot->buffer->host + slot->offset);
    command->n_ops = (uint32_t)n_ops;
    enum bn_result result = BN_OK;
    if (temporary > 0)
        result = bn_vulkan_buffer_create_local(base, temporary, &command->temporary, err);
    pthread_mutex_lock(&device->lock);
    if (result == BN_OK)
        result = record_ops(device, command, ops, slot, err);
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK) {
        bn_vulkan_command_destroy(&command->base);
        return result;
    }
    *out = &command->base;
    return BN_OK;
}

void bn_vulkan_command_destroy(struct bn_command *base)
{
    struct command *command = (struct command *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    if (command->commands)
        device->vk.FreeCommandBuffers(device->logical, device->pool, 1, &command->commands);
    bn_vulkan_stamps_destroy(device, command);
    pthread_mutex_unlock(&device->lock);
    if (command->temporary)
        bn_vulkan_buffer_destroy(command->temporary);
    bn_free(device->base.host, command);
}
