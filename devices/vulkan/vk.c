#include "devices/vulkan/vk.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/dynlib.h"

static const char *const loader_names[] = {"libvulkan.so.1", "libvulkan.so", NULL};

static bool refuse(struct vk *vk, struct bn_device_info *why, enum bn_device_state state, const char *reason,
                   const char *mend)
{
    why->state = state;
    snprintf(why->reason, sizeof(why->reason), "%s", reason);
    snprintf(why->mend, sizeof(why->mend), "%s", mend);
    bn_vk_close(vk);
    return false;
}

static bool load_instance(struct vk *vk)
{
    bool all = true;
#define VK_INSTANCE(name)                                                                                              \
    vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(vk->instance, "vk" #name);                                        \
    all = all && vk->name;
#define VK_INSTANCE_OPTIONAL(name) vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(vk->instance, "vk" #name);
#include "devices/vulkan/functions.inl"
    return all;
}

bool bn_vk_load_device(struct vk *vk, VkDevice device)
{
    bool all = true;
#define VK_DEVICE(name)                                                                                                \
    vk->name = (PFN_vk##name)vk->GetDeviceProcAddr(device, "vk" #name);                                                \
    all = all && vk->name;
#define VK_OPTIONAL(name) vk->name = (PFN_vk##name)vk->GetDeviceProcAddr(device, "vk" #name);
#include "devices/vulkan/functions.inl"
    return all;
}

bool bn_vk_open(struct vk *vk, struct bn_device_info *why)
{
    memset(vk, 0, sizeof(*vk));
    char reason[sizeof(why->reason)];
    vk->library = bn_dynlib_open(loader_names, reason, sizeof(reason));
    if (!vk->library)
        return refuse(vk, why, BN_STATE_MISSING_LIBRARY, reason, "install the Vulkan loader (Debian: libvulkan1)");
    vk->GetInstanceProcAddr = (PFN_vkGetInstanceProcAddr)bn_dynlib_symbol(vk->library, "vkGetInstanceProcAddr");
    if (vk->GetInstanceProcAddr) {
#define VK_GLOBAL(name) vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(NULL, "vk" #name);
#include "devices/vulkan/functions.inl"
    }
    uint32_t version = 0;
    if (!vk->CreateInstance || !vk->EnumerateInstanceVersion || vk->EnumerateInstanceVersion(&version) != VK_SUCCESS ||
        version < VK_API_VERSION_1_2)
        return refuse(vk, why, BN_STATE_TOO_OLD, "the Vulkan loader is older than 1.2", "update the Vulkan loader");
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pEngineName = "bitnet", .apiVersion = VK_API_VERSION_1_2};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    VkResult result = vk->CreateInstance(&info, NULL, &vk->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return refuse(vk, why, BN_STATE_MISSING_LIBRARY, "no Vulkan driver is installed",
                      "install the driver of your GPU (Debian: mesa-vulkan-drivers, nvidia-driver)");
    if (result != VK_SUCCESS) {
        snprintf(reason, sizeof(reason), "vkCreateInstance gives %d", result);
        return refuse(vk, why, BN_STATE_FAULTED, reason, "look at what vulkaninfo says");
    }
    if (!load_instance(vk))
        return refuse(vk, why, BN_STATE_TOO_OLD, "the Vulkan loader lacks functions of 1.2",
                      "update the Vulkan loader");
    return true;
}

void bn_vk_close(struct vk *vk)
{
    if (vk->instance && vk->DestroyInstance)
        vk->DestroyInstance(vk->instance, NULL);
    bn_dynlib_close(vk->library);
    memset(vk, 0, sizeof(*vk));
}

enum bn_result bn_vk_fail(struct bn_error *err, VkResult result, const char *what)
{
    static const struct {
        VkResult native;
        enum bn_result result;
        const char *text;
    } table[] = {
        {VK_ERROR_OUT_OF_HOST_MEMORY, BN_ERR_NO_MEMORY, "the driver is out of host memory"},
        {VK_ERROR_OUT_OF_DEVICE_MEMORY, BN_ERR_DEVICE_MEMORY, "out of device memory"},
        {VK_ERROR_TOO_MANY_OBJECTS, BN_ERR_DEVICE_MEMORY, "too many allocations"},
        {VK_ERROR_DEVICE_LOST, BN_ERR_DEVICE_LOST, "the device is lost; close it and open it again"},
        {VK_ERROR_INITIALIZATION_FAILED, BN_ERR_UNAVAILABLE, "the driver cannot be initialised"},
        {VK_ERROR_FEATURE_NOT_PRESENT, BN_ERR_UNAVAILABLE, "the driver refuses a feature that it listed"},
        {VK_ERROR_EXTENSION_NOT_PRESENT, BN_ERR_UNAVAILABLE, "the driver refuses an extension that it listed"},
        {VK_ERROR_INVALID_EXTERNAL_HANDLE, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place"},
    };
    enum bn_result ours = BN_ERR_INTERNAL;
    const char *text = "unexpected result of the driver";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].native == result) {
            ours = table[i].result;
            text = table[i].text;
        }
    bn_fail_at(err, ours, NULL, what, UINT64_MAX, "%s (VkResult %d)", text, result);
    if (err)
        err->native = result;
    return ours;
}
