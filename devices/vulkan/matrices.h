// Cooperative matrices (VK_KHR_cooperative_matrix): products of small matrices by a subgroup, as "ternary_tiled_coopmat" uses them.
#ifndef BN_DEVICES_VULKAN_MATRICES_H
#define BN_DEVICES_VULKAN_MATRICES_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/vulkan/vk.h"

// What the device multiplies at once: m x k weights with k x n activations.
struct matrix_shape {
    uint32_t m, n, k;
};

// Of `list`, the best shape that the shader can use: int8 added in int32, by a subgroup, dividing the shader's tile. False if
// there is none.
bool bn_vulkan_choose_shape(const struct VkCooperativeMatrixPropertiesKHR *list, uint32_t n, uint32_t subgroup_size,
                            struct matrix_shape *out);

// The same of what a device with the extension offers.
bool bn_vulkan_find_shape(const struct vk *vk, VkPhysicalDevice physical, uint32_t subgroup_size,
                          struct matrix_shape *out);

#endif
