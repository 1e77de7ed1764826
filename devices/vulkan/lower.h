// Ops as dispatches of shaders.
#ifndef BN_DEVICES_VULKAN_LOWER_H
#define BN_DEVICES_VULKAN_LOWER_H

#include "devices/vulkan/device.h"

enum { MOST_DISPATCHES = 6, PUSH_BYTES = 128 };

struct dispatch {
    enum shader shader;
    uint32_t constants[MAX_CONSTANTS];
    uint32_t x, y; // workgroups
    uint8_t push[PUSH_BYTES];
    uint32_t push_bytes;
};

// Whether the shaders can run this op where its operands lie.
enum bn_result bn_vulkan_check(const struct device *device, const struct bn_op *op, struct bn_error *err);

// Device memory that the dispatches of the op hand over to each other, bytes.
uint64_t bn_vulkan_temporary(const struct device *device, const struct bn_op *op);

// Writes the op's dispatches, which run one after the other, and returns their number. `temporary`: as large as said above,
// 0 if nothing was.
uint32_t bn_vulkan_lower(const struct device *device, const struct bn_op *op, uint32_t index, VkDeviceAddress slot,
                         VkDeviceAddress temporary, struct dispatch *list);

#endif
