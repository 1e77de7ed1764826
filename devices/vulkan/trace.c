#include "devices/vulkan/trace.h"

#include <string.h>

#include "devices/vulkan/command.h"
#include "runtime/base/clock.h"

static struct bn_op_profile *profile_of(struct device *device, const struct bn_op_span *op)
{
    struct measure *measure = &device->measure;
    for (size_t i = 0; i < measure->n_profiles; i++)
        if (measure->profiles[i].kind == op->kind && measure->profiles[i].rows == op->rows &&
            measure->profiles[i].cols == op->cols)
            return &measure->profiles[i];
    if (measure->n_profiles == MAX_PROFILES)
        return NULL;
    struct bn_op_profile *profile = &measure->profiles[measure->n_profiles++];
    *profile = (struct bn_op_profile){.kind = op->kind, .rows = op->rows, .cols = op->cols};
    return profile;
}

static enum bn_result make_stamps(struct device *device, struct command *command, struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    uint32_t n = command->n_ops;
    struct bn_vulkan_stamps *stamps = bn_alloc(host, sizeof(*stamps));
    command->stamps = stamps;
    if (!stamps)
        return bn_fail_memory(err, sizeof(*stamps), "timestamps");
    stamps->ops = bn_alloc_array(host, n, sizeof(*stamps->ops));
    stamps->profiles = bn_alloc_array(host, n, sizeof(struct bn_op_profile *));
    stamps->dispatches = bn_alloc_array(host, n, sizeof(*stamps->dispatches));
    stamps->ticks = bn_alloc_array(host, (size_t)n + 1, sizeof(*stamps->ticks));
    if (!stamps->ops || !stamps->profiles || !stamps->dispatches || !stamps->ticks)
        return bn_fail_memory(err, n * sizeof(*stamps->ops), "timestamps");
    const VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = n + 1};
    VkResult native = device->vk.CreateQueryPool(device->logical, &info, NULL, &stamps->pool);
    return native == VK_SUCCESS ? BN_OK : bn_vulkan_fail(device, err, native, "vkCreateQueryPool");
}

enum bn_result bn_vulkan_stamps_begin(struct device *device, struct command *command, const struct bn_op *ops,
                                      struct bn_error *err)
{
    if (!device->measure.profiles)
        return BN_OK;
    enum bn_result result = make_stamps(device, command, err);
    if (result != BN_OK)
        return result;
    struct bn_vulkan_stamps *stamps = command->stamps;
    for (uint32_t i = 0; i < command->n_ops; i++) {
        stamps->ops[i] = (struct bn_op_span){.op = i,
                                             .kind = ops[i].kind,
                                             .rows = ops[i].w[0].rows + ops[i].w[1].rows + ops[i].w[2].rows,
                                             .cols = ops[i].cols};
        stamps->profiles[i] = profile_of(device, &stamps->ops[i]);
    }
    device->vk.CmdResetQueryPool(command->commands, stamps->pool, 0, command->n_ops + 1);
    device->vk.CmdWriteTimestamp(command->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, stamps->pool, 0);
    return BN_OK;
}

void bn_vulkan_stamp(struct device *device, struct command *command, uint32_t op, uint32_t dispatches)
{
    if (!command->stamps)
        return;
    command->stamps->dispatches[op] = dispatches;
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
    bn_free(host, stamps->profiles);
    bn_free(host, stamps->dispatches);
    bn_free(host, stamps->ticks);
    bn_free(host, stamps);
}

// The device's clock has an epoch of its own and drifts. What is known: the submission did not begin before it was made, and
// had ended when that was seen. The offset is moved just as far as this one asks for.
static int64_t align_clocks(struct measure *measure, uint64_t first, uint64_t last, uint64_t submitted_ns)
{
    int64_t least = (int64_t)(submitted_ns - first), most = (int64_t)(bn_clock_ns() - last);
    if (!measure->aligned || measure->offset < least)
        measure->offset = least;
    else if (measure->offset > most)
        measure->offset = most;
    measure->aligned = true;
    return measure->offset;
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
    int64_t offset = align_clocks(measure, start, start + stamps->ticks[n], submitted_ns);
    for (uint32_t i = 0; i < n; i++) {
        struct bn_op_span span = stamps->ops[i];
        struct bn_op_profile *profile = stamps->profiles[i];
        uint64_t ns = stamps->ticks[i + 1] - stamps->ticks[i];
        span.signal = signal;
        span.start_ns = start + (uint64_t)offset + stamps->ticks[i];
        span.end_ns = span.start_ns + ns;
        if (spans->list)
            bn_spans_push(spans, &span);
        if (profile) {
            profile->runs++;
            profile->barriers += stamps->dispatches[i];
            profile->ns += ns;
            profile->work_ns += ns;
        }
    }
}

enum bn_result bn_vulkan_profile(struct bn_device *base, struct bn_op_profile *list, size_t capacity, size_t *count,
                                 struct bn_error *err)
{
    struct device *device = device_of(base);
    if (!device->measure.profiles)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, base->info.id, NULL, UINT64_MAX,
                          "the device was not opened to measure its ops, or has no timestamps");
    pthread_mutex_lock(&device->lock);
    *count = device->measure.n_profiles;
    if (capacity > 0)
        memcpy(list, device->measure.profiles, (*count < capacity ? *count : capacity) * sizeof(*list));
    pthread_mutex_unlock(&device->lock);
    return BN_OK;
}
