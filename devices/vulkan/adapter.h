// Physical devices: what there is, what of it the driver uses, and what it does instead of the rest.
#ifndef BN_DEVICES_VULKAN_ADAPTER_H
#define BN_DEVICES_VULKAN_ADAPTER_H

#include "devices/vulkan/matrices.h"

// What a device may lack. Each has a fallback, which BITNET_VULKAN_WITHOUT=name,name forces for tests.
struct features {
    bool int_dot;      // packed 4x8-bit integer dot product; else shifts and multiplications
    bool coopmat;      // cooperative matrices of int8 in a shape of use, and the build has the shader; else int_dot
    bool subgroup;     // arithmetic and shuffles in subgroups of 8 or more; else shared memory
    bool full;         // whole subgroups of a size that we choose; else what the driver makes of it
    bool large_shared; // more shared memory than Vulkan's least, 16 KiB; else kernels that need no more
    bool timeline;     // timeline semaphores; else one fence per submission
    bool host_import;  // host memory as device memory (VK_EXT_external_memory_host); else copies
    bool host_visible; // device-local memory that the host reaches; else uploads through a staging buffer
    bool budget;       // VK_EXT_memory_budget; else the heap's size less what we took
    bool software;     // a CPU that plays a GPU, for which other shapes of the kernels are best; else those for GPUs
    bool fused;        // norm and quantisation inside their consumer; else dispatches of their own
};

// Invocations of a subgroup: the driver's own choice, and with features.full from which one can be chosen.
struct subgroups {
    uint32_t own, least, most;
    uint32_t per_group; // most of a workgroup where the size is chosen
};

struct adapter {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    struct features features;
    uint8_t uuid[2 * VK_UUID_SIZE]; // of driver and device
    struct subgroups subgroups;
    uint32_t shared_bytes;            // of a workgroup
    struct matrix_shape matrix;       // with coopmat
    uint32_t family, transfer_family; // of queues; the same where the device has no family for transfers alone
    uint64_t max_allocation;
    uint64_t import_align;
    uint32_t timestamp_bits; // of the family's queues; 0: they have none
    bool unified;            // host and device share their memory
    struct bn_device_info info;
};

enum { VK_MAX_ADAPTERS = 16 };

// Every device of every driver, real GPUs before software. Returns how many were written.
uint32_t bn_vulkan_adapters(struct vk *vk, struct adapter *list);

// Families of queues, of which one must compute: one for compute alone, which what the desktop draws does not disturb; and for
// uploads one for transfers alone, or the same. *family is UINT32_MAX if none computes.
void bn_vulkan_choose_families(const VkQueueFamilyProperties *list, uint32_t n, uint32_t *family, uint32_t *transfer);

// The size of subgroups that suits the vendor's cards.
uint32_t bn_vulkan_usual_subgroup(uint32_t vendor);
// The size nearest to `wanted` that a device can be asked for in workgroups of `threads`; 0: none that fills them.
uint32_t bn_vulkan_subgroup_size(const struct subgroups *subgroups, uint32_t wanted, uint32_t threads);

// Free bytes of a memory heap; the whole heap if the driver does not say.
uint64_t bn_vulkan_heap_free(struct vk *vk, const struct adapter *adapter, uint32_t heap);

// The logical device with the features that the adapter has and the driver uses.
VkResult bn_vulkan_create_device(struct vk *vk, const struct adapter *adapter, VkDevice *out);

#endif
