// When ops run: timestamps around them in command buffers, for traces and profiles. Devices that were opened for neither have
// none of it.
#ifndef BN_DEVICES_VULKAN_TRACE_H
#define BN_DEVICES_VULKAN_TRACE_H

#include "devices/vulkan/device.h"

struct command;

// Timestamps of a command: one at its start, one behind each op.
struct bn_vulkan_stamps {
    VkQueryPool pool;
    struct bn_measured_op *ops; // [n_ops]
    uint64_t *ticks;            // [n_ops + 1], read from the pool
};

// While a command is recorded, under the device's lock. Nothing is done on a device that does not measure.
enum bn_result bn_vulkan_stamps_begin(struct device *device, struct command *command, const struct bn_op *ops,
                                      struct bn_error *err);
void bn_vulkan_stamp(struct device *device, struct command *command, uint32_t op, uint32_t dispatches);
void bn_vulkan_stamps_destroy(struct device *device, struct command *command);

// A submission is done: its times go to the profile and to `spans`, if it has a list. Under the lock.
void bn_vulkan_stamps_read(struct device *device, const struct command *command, uint64_t signal, uint64_t submitted_ns,
                           struct bn_spans *spans);

// Slots of the driver.
enum bn_result bn_vulkan_profile(struct bn_device *device, struct bn_op_profile *list, size_t capacity, size_t *count,
                                 struct bn_error *err);
enum bn_result bn_vulkan_take_spans(struct bn_queue *queue, struct bn_op_span *list, size_t capacity, size_t *count,
                                    struct bn_error *err);

#endif
