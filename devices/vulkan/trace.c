#include "devices/vulkan/trace.h"

#include "devices/vulkan/command.h"

static enum bn_result make_stamps(struct device *device, struct command *command, const struct bn_op *ops,
                                  struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    uint32_t n = command->n_ops;
    struct bn_vulkan_stamps *stamps = bn_alloc(host, sizeof(*stamps));
    command->stamps = stamps;
    if (!stamps)
        return bn_fail_memory(err, sizeof(*stamps), "timestamps");
    enum bn_result result = bn_measure_ops(&device->measure.base, host, ops, n, &stamps->ops, err);
    if (result != BN_OK)
        return result;
    stamps->ticks = bn_alloc_array(host, (size_t)n + 1, sizeof(*stamps->ticks));
    if (!stamps->ticks)
        return bn_fail_memory(err, n * sizeof(*stamps->ticks), "timestamps");
    const VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = n + 1};
    VkResult native = device->vk.CreateQueryPool(device->logical, &info, NULL, &stamps->pool);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, "vkCreateQueryPool");
}

enum bn_result bn_vulkan_stamps_begin(struct device *device, struct command *command, const struct bn_op *ops,
                                      struct bn_error *err)
{
    if (!device->measure.base.profiles)
        return BN_OK;
    enum bn_result result = make_stamps(device, command, ops, err);
    if (result != BN_OK)
        return result;
    struct bn_vulkan_stamps *stamps = command->stamps;
    device->vk.CmdResetQueryPool(command->commands, stamps->pool, 0, command->n_ops + 1);
    device->vk.CmdWriteTimestamp(command->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, stamps->pool, 0);
    return BN_OK;
}

void bn_vulkan_stamp(struct device *device, struct command *command, uint32_t op, uint32_t dispatches)
{
    if (!command->stamps)
        return;
    command->stamps->ops[op].dispatches = dispatches;
    device->vk.CmdWriteTimestamp(command->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, command->stamps->pool,
                                 op + 1);
}

void bn_vulkan_stamps_destroy(struct device *device, struct command *command)
{
    struct bn_vulkan_stamps *stamps = command->stamps;
    const struct bn_host *host = device->base.host;
    if (!stamps)
        return;
    if (stamps->pool)
        device->vk.DestroyQueryPool(device->logical, stamps->pool, NULL);
    bn_free(host, stamps->ops);
    bn_free(host, stamps->ticks);
    bn_free(host, stamps);
}

void bn_vulkan_stamps_read(struct device *device, const struct command *command, uint64_t signal, uint64_t submitted_ns,
                           struct bn_spans *spans)
{
    struct bn_vulkan_stamps *stamps = command->stamps;
    struct measure *measure = &device->measure;
    uint32_t n = command->n_ops;
    if (!stamps ||
        device->vk.GetQueryPoolResults(device->logical, stamps->pool, 0, n + 1, (n + 1) * sizeof(*stamps->ticks),
                                       stamps->ticks, sizeof(*stamps->ticks), VK_QUERY_RESULT_64_BIT) != VK_SUCCESS)
        return;
    uint64_t mask = measure->valid_bits < 64 ? (UINT64_C(1) << measure->valid_bits) - 1 : UINT64_MAX;
    uint64_t base = stamps->ticks[0]; // of the counter that wraps
    for (uint32_t i = 0; i <= n; i++) // ticks to nanoseconds behind the start
        stamps->ticks[i] = (uint64_t)((double)((stamps->ticks[i] - base) & mask) * measure->period);
    uint64_t start = (uint64_t)((double)(base & mask) * measure->period);
    int64_t offset = bn_measure_align(&measure->base, start, start + stamps->ticks[n], submitted_ns);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t ns = stamps->ticks[i + 1] - stamps->ticks[i], at = start + (uint64_t)offset + stamps->ticks[i];
        bn_measure_add(&stamps->ops[i], spans, signal, at, at + ns, ns);
    }
}

enum bn_result bn_vulkan_profile(struct bn_device *base, struct bn_op_profile *list, size_t capacity, size_t *count,
                                 struct bn_error *err)
{
    struct device *device = device_of(base);
    pthread_mutex_lock(&device->lock);
    enum bn_result result = bn_measure_profile(&device->measure.base, base, list, capacity, count, err);
    pthread_mutex_unlock(&device->lock);
    return result;
}
