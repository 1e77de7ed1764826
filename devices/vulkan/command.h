// Recorded commands of the Vulkan driver.
#ifndef BN_DEVICES_VULKAN_COMMAND_H
#define BN_DEVICES_VULKAN_COMMAND_H

#include "devices/vulkan/device.h"

struct command {
    struct bn_command base;
    VkCommandBuffer commands;
    struct bn_slot *slot;
    struct bn_buffer *temporary;     // NULL if the ops need none
    struct bn_vulkan_stamps *stamps; // trace.h; NULL on a device that does not measure
    uint32_t n_dispatches;
    uint32_t n_ops;
    uint8_t kinds[]; // enum bn_op_kind of each op, for the report of a lost device
};

#endif
