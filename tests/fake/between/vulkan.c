// Passes the calls of the Vulkan driver on to the real loader, and lets one of them fail. Two functions of its own, found by
// dlsym: between_fail, and between_families, which makes of a device's one family of queues two, the second for transfers.
#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#define API __attribute__((visibility("default")))

// What may fail, each with its place among the arguments: the call counts, and the one of number `at` gives `result`.
static struct {
    const char *name; // NULL: nothing fails
    unsigned at, calls;
    VkResult result;
} plan;
static bool two_families;

static PFN_vkGetInstanceProcAddr real_instance;
static PFN_vkGetDeviceProcAddr real_device;

API void between_fail(const char *name, unsigned at, int result);
API unsigned between_calls(void);
API void between_families(int on);
API PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char *name);

void between_fail(const char *name, unsigned at, int result)
{
    plan.name = name;
    plan.at = at;
    plan.calls = 0;
    plan.result = (VkResult)result;
}

unsigned between_calls(void)
{
    return plan.calls;
}

void between_families(int on)
{
    two_families = on;
}

static bool fails(const char *name)
{
    return plan.name && strcmp(plan.name, name) == 0 && ++plan.calls == plan.at;
}

// FAILING(name, parameters, arguments)
#define CALLS(X)                                                                                                       \
    X(AllocateMemory, (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a, VkDeviceMemory *m),  \
      (d, i, a, m))                                                                                                    \
    X(MapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize s, VkMemoryMapFlags f, void **p),         \
      (d, m, o, s, f, p))                                                                                              \
    X(BindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize o), (d, b, m, o))                      \
    X(GetMemoryHostPointerPropertiesEXT,                                                                               \
      (VkDevice d, VkExternalMemoryHandleTypeFlagBits t, const void *h, VkMemoryHostPointerPropertiesEXT *p),          \
      (d, t, h, p))                                                                                                    \
    X(CreateShaderModule,                                                                                              \
      (VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a, VkShaderModule *m),              \
      (d, i, a, m))                                                                                                    \
    X(CreateComputePipelines,                                                                                          \
      (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i,                                \
       const VkAllocationCallbacks *a, VkPipeline *p),                                                                 \
      (d, c, n, i, a, p))                                                                                              \
    X(CreatePipelineLayout,                                                                                            \
      (VkDevice d, const VkPipelineLayoutCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineLayout *l),          \
      (d, i, a, l))                                                                                                    \
    X(CreatePipelineCache,                                                                                             \
      (VkDevice d, const VkPipelineCacheCreateInfo *i, const VkAllocationCallbacks *a, VkPipelineCache *c),            \
      (d, i, a, c))                                                                                                    \
    X(AllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *b), (d, i, b))       \
    X(BeginCommandBuffer, (VkCommandBuffer b, const VkCommandBufferBeginInfo *i), (b, i))                              \
    X(EndCommandBuffer, (VkCommandBuffer b), (b))                                                                      \
    X(QueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f), (q, n, i, f))                            \
    X(CreateSemaphore, (VkDevice d, const VkSemaphoreCreateInfo *i, const VkAllocationCallbacks *a, VkSemaphore *s),   \
      (d, i, a, s))                                                                                                    \
    X(CreateFence, (VkDevice d, const VkFenceCreateInfo *i, const VkAllocationCallbacks *a, VkFence *f), (d, i, a, f)) \
    X(GetSemaphoreCounterValue, (VkDevice d, VkSemaphore s, uint64_t * v), (d, s, v))                                  \
    X(WaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t), (d, i, t))                               \
    X(WaitForFences, (VkDevice d, uint32_t n, const VkFence *f, VkBool32 a, uint64_t t), (d, n, f, a, t))              \
    X(ResetFences, (VkDevice d, uint32_t n, const VkFence *f), (d, n, f))

#define FUNCTION(name, parameters, arguments)                                                                          \
    static PFN_vk##name real_##name;                                                                                   \
    static VKAPI_ATTR VkResult VKAPI_CALL name parameters                                                              \
    {                                                                                                                  \
        return fails(#name) ? plan.result : real_##name arguments;                                                     \
    }
CALLS(FUNCTION)

static PFN_vkGetPhysicalDeviceQueueFamilyProperties real_families;
static PFN_vkCreateDevice real_CreateDevice;
static PFN_vkGetDeviceQueue real_GetDeviceQueue;
static PFN_vkCreateCommandPool real_CreateCommandPool;
static PFN_vkCreateBuffer real_CreateBuffer;

static VKAPI_ATTR void VKAPI_CALL families(VkPhysicalDevice device, uint32_t *n, VkQueueFamilyProperties *list)
{
    uint32_t room = *n;
    real_families(device, n, list);
    if (two_families && list && *n == 1 && room > 1) {
        list[1] = list[0];
        list[1].queueFlags = VK_QUEUE_TRANSFER_BIT;
        *n = 2;
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                   const VkAllocationCallbacks *allocator, VkDevice *out)
{
    VkDeviceCreateInfo one = *info;
    one.queueCreateInfoCount = two_families ? 1 : one.queueCreateInfoCount;
    return fails("CreateDevice") ? plan.result : real_CreateDevice(physical, &one, allocator, out);
}

static VKAPI_ATTR void VKAPI_CALL GetDeviceQueue(VkDevice device, uint32_t family, uint32_t index, VkQueue *out)
{
    real_GetDeviceQueue(device, two_families ? 0 : family, index, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateCommandPool(VkDevice device, const VkCommandPoolCreateInfo *info,
                                                        const VkAllocationCallbacks *allocator, VkCommandPool *out)
{
    VkCommandPoolCreateInfo first = *info;
    first.queueFamilyIndex = two_families ? 0 : first.queueFamilyIndex;
    return fails("CreateCommandPool") ? plan.result : real_CreateCommandPool(device, &first, allocator, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateBuffer(VkDevice device, const VkBufferCreateInfo *info,
                                                   const VkAllocationCallbacks *allocator, VkBuffer *out)
{
    VkBufferCreateInfo one = *info;
    if (two_families) { // both families reach it
        if (one.sharingMode != VK_SHARING_MODE_CONCURRENT || one.queueFamilyIndexCount != 2)
            return VK_ERROR_UNKNOWN;
        one.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
    }
    return fails("CreateBuffer") ? plan.result : real_CreateBuffer(device, &one, allocator, out);
}

static PFN_vkVoidFunction get_device(VkDevice device, const char *name)
{
    PFN_vkVoidFunction real = real_device(device, name);
#define ROW(function, mine)                                                                                            \
    if (real && strcmp(name, "vk" #function) == 0) {                                                                   \
        real_##function = (PFN_vk##function)real;                                                                      \
        return (PFN_vkVoidFunction)mine;                                                                               \
    }
#define CALL_ROW(function, parameters, arguments) ROW(function, function)
    CALLS(CALL_ROW)
    ROW(GetDeviceQueue, GetDeviceQueue)
    ROW(CreateCommandPool, CreateCommandPool)
    ROW(CreateBuffer, CreateBuffer)
    return real;
}

PFN_vkVoidFunction vkGetInstanceProcAddr(VkInstance instance, const char *name)
{
    if (!real_instance) {
        void *address = dlsym(dlopen(REAL_LOADER, RTLD_NOW | RTLD_LOCAL), "vkGetInstanceProcAddr");
        memcpy(&real_instance, &address, sizeof(address));
    }
    PFN_vkVoidFunction real = real_instance(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)get_device;
    }
    if (strcmp(name, "vkGetPhysicalDeviceQueueFamilyProperties") == 0) {
        real_families = (PFN_vkGetPhysicalDeviceQueueFamilyProperties)real;
        return (PFN_vkVoidFunction)families;
    }
    ROW(CreateDevice, CreateDevice)
    return real;
}
