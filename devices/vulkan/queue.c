// Submissions: one timeline semaphore per queue, or a fence per submission where the device has none.
#include <inttypes.h>
#include <time.h>

#include "devices/common/flight.h"
#include "devices/vulkan/command.h"
#include "devices/vulkan/trace.h"
#include "runtime/base/clock.h"

struct flight {
    struct bn_flight base;
    const struct command *command;
    uint64_t submitted_ns; // clock; 0 on a device that does not measure
};

struct queue {
    struct bn_queue base;
    VkSemaphore timeline;
    VkFence fences[BN_IN_FLIGHT]; // without timeline; entry i is of flight i
    struct flight flights[BN_IN_FLIGHT];
    uint64_t first, end; // flights that are not over; modulo BN_IN_FLIGHT
    uint64_t value;      // the timeline as it was seen last
    struct bn_spans spans;
};

void bn_vulkan_queue_close(struct bn_queue *base)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    device->vk.DeviceWaitIdle(device->logical);
    if (queue->timeline)
        device->vk.DestroySemaphore(device->logical, queue->timeline, NULL);
    for (int i = 0; i < BN_IN_FLIGHT; i++)
        if (queue->fences[i])
            device->vk.DestroyFence(device->logical, queue->fences[i], NULL);
    pthread_mutex_unlock(&device->lock);
    bn_spans_finish(&queue->spans, device->base.host);
    bn_free(device->base.host, queue);
}

static VkResult create_sync(struct device *device, struct queue *queue)
{
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                            .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    if (device->adapter.features.timeline)
        return device->vk.CreateSemaphore(device->logical, &semaphore, NULL, &queue->timeline);
    VkResult native = VK_SUCCESS;
    for (int i = 0; i < BN_IN_FLIGHT && native == VK_SUCCESS; i++)
        native = device->vk.CreateFence(device->logical, &fence, NULL, &queue->fences[i]);
    return native;
}

enum bn_result bn_vulkan_queue_open(struct bn_device *base, struct bn_queue **out, struct bn_error *err)
{
    struct queue *queue = bn_alloc(base->host, sizeof(*queue));
    if (!queue)
        return bn_fail_memory(err, sizeof(*queue), "a queue");
    queue->base.device = base;
    if (device_of(base)->measure.base.traced && bn_spans_init(&queue->spans, base->host, err) != BN_OK) {
        bn_free(base->host, queue);
        return BN_ERR_NO_MEMORY;
    }
    VkResult native = create_sync(device_of(base), queue);
    if (native != VK_SUCCESS) {
        bn_vulkan_queue_close(&queue->base);
        return bn_vulkan_fail(device_of(base), err, native, "vkCreateSemaphore");
    }
    *out = &queue->base;
    return BN_OK;
}

// Looks at the device: what is over is retired, what shall stop is told so.
static VkResult look(struct device *device, struct queue *queue)
{
    if (queue->timeline) {
        VkResult native = device->vk.GetSemaphoreCounterValue(device->logical, queue->timeline, &queue->value);
        if (native != VK_SUCCESS)
            return native;
    }
    for (; queue->first != queue->end; queue->first++) {
        uint64_t at = queue->first % BN_IN_FLIGHT;
        if (!queue->timeline) {
            VkResult native = device->vk.GetFenceStatus(device->logical, queue->fences[at]);
            if (native == VK_NOT_READY)
                break;
            if (native != VK_SUCCESS)
                return native;
        } else if (queue->flights[at].base.signal > queue->value) {
            break;
        }
        bn_flight_end(&queue->flights[at].base);
        if (queue->flights[at].submitted_ns)
            bn_vulkan_stamps_read(device, queue->flights[at].command, queue->flights[at].base.signal,
                                  queue->flights[at].submitted_ns, &queue->spans);
        queue->value = queue->timeline ? queue->value : queue->flights[at].base.signal;
    }
    for (uint64_t i = queue->first; i != queue->end; i++)
        if (bn_flight_stops(&queue->flights[i % BN_IN_FLIGHT].base))
            bn_flight_stop(&queue->flights[i % BN_IN_FLIGHT].base);
    if (queue->first != queue->end) {
        const struct command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
        atomic_store_explicit(&device->last_op, __atomic_load_n(&command->slot->progress, __ATOMIC_RELAXED),
                              memory_order_relaxed);
    }
    return VK_SUCCESS;
}

// A lost device, with the op that ran. Only who finds out looks at the commands: once it is known, their owners may have destroyed
// them.
static enum bn_result lost(struct device *device, struct queue *queue, struct bn_error *err)
{
    uint32_t op = atomic_load(&device->last_op);
    if (!atomic_exchange(&device->lost, 1) && queue->first != queue->end) {
        const struct command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
        bool known = op < command->n_ops;
        device->lost_in = known ? bn_op_name((enum bn_op_kind)command->kinds[op]) : NULL;
        device->done_before = known && op > 0 ? bn_op_name((enum bn_op_kind)command->kinds[op - 1]) : NULL;
    }
    queue->first = queue->end;
    bn_fail_at(err, BN_ERR_DEVICE_LOST, device->base.info.id, device->lost_in ? device->lost_in : "?", UINT64_MAX,
               "the device is lost; op %" PRIu32 " of the command was the last that started, %s%s was the last to end",
               op, device->done_before ? "the one before it, " : "none of this command",
               device->done_before ? device->done_before : "");
    if (err)
        err->native = VK_ERROR_DEVICE_LOST;
    return BN_ERR_DEVICE_LOST;
}

static VkResult submit(struct device *device, struct queue *queue, const struct command *command, uint64_t signal)
{
    const VkTimelineSemaphoreSubmitInfo timeline = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                                    .signalSemaphoreValueCount = 1,
                                                    .pSignalSemaphoreValues = &signal};
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = queue->timeline ? &timeline : NULL,
        .commandBufferCount = 1,
        .pCommandBuffers = &command->commands,
        .signalSemaphoreCount = queue->timeline ? 1 : 0,
        .pSignalSemaphores = &queue->timeline,
    };
    VkFence fence = queue->timeline ? VK_NULL_HANDLE : queue->fences[queue->end % BN_IN_FLIGHT];
    VkResult native = fence ? device->vk.ResetFences(device->logical, 1, &fence) : VK_SUCCESS;
    return native == VK_SUCCESS ? device->vk.QueueSubmit(device->queue, 1, &info, fence) : native;
}

enum bn_result bn_vulkan_submit(struct bn_queue *base, const struct bn_submission *submission, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    const struct command *command = (const struct command *)submission->command;
    pthread_mutex_lock(&device->lock);
    enum bn_result result = BN_OK;
    VkResult native = atomic_load(&device->lost) ? VK_ERROR_DEVICE_LOST : VK_SUCCESS;
    if (native == VK_SUCCESS && queue->end - queue->first == BN_IN_FLIGHT)
        native = look(device, queue);
    if (native == VK_SUCCESS && queue->end - queue->first == BN_IN_FLIGHT)
        result = bn_fail(err, BN_ERR_BUSY, "the queue holds %d submissions", BN_IN_FLIGHT);
    if (native == VK_SUCCESS && result == BN_OK) {
        struct flight *flight = &queue->flights[queue->end % BN_IN_FLIGHT];
        *flight = (struct flight){bn_flight_begin(command->slot, submission), command,
                                  device->measure.base.profiles ? bn_clock_ns() : 0};
        native = submit(device, queue, command, submission->signal);
        queue->end += native == VK_SUCCESS;
    }
    if (native == VK_ERROR_DEVICE_LOST)
        result = lost(device, queue, err);
    else if (native != VK_SUCCESS)
        result = bn_vulkan_fail(device, err, native, "vkQueueSubmit");
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK)
        return result;
    atomic_fetch_add_explicit(&device->submissions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&device->dispatches, command->n_dispatches, memory_order_relaxed);
    return BN_OK;
}

enum bn_result bn_vulkan_poll(struct bn_queue *base, uint64_t *value, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    enum bn_result result = BN_OK;
    pthread_mutex_lock(&device->lock);
    VkResult native = atomic_load(&device->lost) ? VK_ERROR_DEVICE_LOST : look(device, queue);
    if (native == VK_ERROR_DEVICE_LOST)
        result = lost(device, queue, err);
    else if (native != VK_SUCCESS)
        result = bn_vulkan_fail(device, err, native, "vkGetSemaphoreCounterValue");
    *value = queue->value;
    pthread_mutex_unlock(&device->lock);
    return result;
}

void bn_vulkan_wait(struct bn_queue *base, uint64_t value, uint64_t timeout_ns)
{
    enum { NAP_NS = 100000 };
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &queue->timeline,
                                      .pValues = &value};
    const struct timespec time = {0, NAP_NS};
    if (queue->timeline) // what it returns, poll will say
        device->vk.WaitSemaphores(device->logical, &info, timeout_ns);
    else
        clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

enum bn_result bn_vulkan_take_spans(struct bn_queue *base, struct bn_op_span *list, size_t capacity, size_t *count,
                                    struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    enum bn_result result = bn_measure_take(&queue->spans, base->device, list, capacity, count, err);
    pthread_mutex_unlock(&device->lock);
    return result;
}
