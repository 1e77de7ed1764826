// Vulkan without linking it: the loader opened at run time, and the functions found through it.
#ifndef BN_DEVICES_VULKAN_VK_H
#define BN_DEVICES_VULKAN_VK_H

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <bitnet/driver.h>

#include "devices/vulkan/coopmat.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"

// An instance with its functions, and after bn_vk_load_device those of its one device.
struct vk {
    void *library;
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
    VkInstance instance;
#define VK_GLOBAL(name) PFN_vk##name name;
#define VK_INSTANCE(name) PFN_vk##name name;
#define VK_INSTANCE_OPTIONAL(name) PFN_vk##name name;
#define VK_DEVICE(name) PFN_vk##name name;
#define VK_OPTIONAL(name) PFN_vk##name name;
#include "devices/vulkan/functions.inl"
};

// Opens the loader and makes an instance. On failure nothing is left, and *state, reason and mend say why.
bool bn_vk_open(struct vk *vk, struct bn_device_info *why);
void bn_vk_close(struct vk *vk);
// Finds the functions of a device. False if one is missing that every device must have.
bool bn_vk_load_device(struct vk *vk, VkDevice device);

// Maps a VkResult to ours, with what was tried: "vkQueueSubmit".
enum bn_result bn_vk_fail(struct bn_error *err, VkResult result, const char *what);

#endif
