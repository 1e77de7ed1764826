#include "devices/vulkan/adapter.h"

#include <stdio.h>
#include <string.h>

#include "devices/vulkan/shaders.h"

enum { MAX_EXTENSIONS = 512, MAX_FAMILIES = 16 };

// Least limits that the shaders rely on; Vulkan promises them, so only a broken driver has less.
enum { LEAST_PUSH_CONSTANTS = 128, LEAST_SHARED = 16384, LEAST_INVOCATIONS = 128 };
enum { LEAST_SUBGROUP = 8 }; // they shuffle among eight

static bool has_extension(const VkExtensionProperties *list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(list[i].extensionName, name) == 0)
            return true;
    return false;
}

// Whether `name` is a word of the list "a,b,c".
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

static void apply_mask(struct features *features)
{
    const char *without = bn_env("BITNET_VULKAN_WITHOUT");
    const struct {
        const char *name;
        bool *feature;
    } table[] = {
        {"int_dot", &features->int_dot},           {"subgroup", &features->subgroup},
        {"timeline", &features->timeline},         {"host_import", &features->host_import},
        {"host_visible", &features->host_visible}, {"budget", &features->budget},
        {"software", &features->software},         {"fused", &features->fused},
        {"coopmat", &features->coopmat},           {"subgroup_size", &features->full},
        {"large_shared", &features->large_shared},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (listed(without, table[i].name))
            *table[i].feature = false;
}

void bn_vulkan_choose_families(const VkQueueFamilyProperties *list, uint32_t n, uint32_t *family, uint32_t *transfer)
{
    bool alone = false;
    *family = *transfer = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        VkQueueFlags flags = list[i].queueFlags;
        bool compute = flags & VK_QUEUE_COMPUTE_BIT, graphics = flags & VK_QUEUE_GRAPHICS_BIT;
        if (compute && (*family == UINT32_MAX || (!graphics && !alone))) {
            *family = i;
            alone = !graphics;
        }
        // Families for video can transfer, too, but are slow at it.
        bool others =
            flags & ~(VkQueueFlags)(VK_QUEUE_TRANSFER_BIT | VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT);
        if (*transfer == UINT32_MAX && !others && (flags & VK_QUEUE_TRANSFER_BIT))
            *transfer = i;
    }
    if (*transfer == UINT32_MAX)
        *transfer = *family;
}

static void choose_families(struct vk *vk, struct adapter *adapter)
{
    VkQueueFamilyProperties families[MAX_FAMILIES];
    uint32_t n = MAX_FAMILIES;
    vk->GetPhysicalDeviceQueueFamilyProperties(adapter->physical, &n, families);
    bn_vulkan_choose_families(families, n, &adapter->family, &adapter->transfer_family);
    if (adapter->family != UINT32_MAX)
        adapter->timestamp_bits = families[adapter->family].timestampValidBits;
}

// Unmeasured; from what vendors advise: Intel's compilers have registers for 16, AMD's newer cards run 32 at a time, as NVIDIA's.
uint32_t bn_vulkan_usual_subgroup(uint32_t vendor)
{
    enum { INTEL = 0x8086, USUAL = 32, FOR_INTEL = 16 };
    return vendor == INTEL ? FOR_INTEL : USUAL;
}

uint32_t bn_vulkan_subgroup_size(const struct subgroups *subgroups, uint32_t wanted, uint32_t threads)
{
    uint32_t size = wanted > subgroups->most ? subgroups->most : wanted < subgroups->least ? subgroups->least : wanted;
    while (size > threads && size > subgroups->least)
        size /= 2; // all of these are powers of two
    return size > 0 && threads % size == 0 && threads / size <= subgroups->per_group ? size : 0;
}

static bool has_host_visible(const VkPhysicalDeviceMemoryProperties *memory)
{
    VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                   VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint64_t largest = 0;
    for (uint32_t h = 0; h < memory->memoryHeapCount; h++)
        largest = memory->memoryHeaps[h].size > largest ? memory->memoryHeaps[h].size : largest;
    for (uint32_t t = 0; t < memory->memoryTypeCount; t++)
        if ((memory->memoryTypes[t].propertyFlags & wanted) == wanted &&
            memory->memoryHeaps[memory->memoryTypes[t].heapIndex].size >= largest / 2) // not only a small window
            return true;
    return false;
}

static void refuse(struct bn_device_info *info, enum bn_device_state state, const char *reason)
{
    info->state = state;
    snprintf(info->reason, sizeof(info->reason), "%s", reason);
    snprintf(info->mend, sizeof(info->mend), "%s", "update the device's Vulkan driver");
}

// Cooperative matrices, with all that the shader asks for beside them.
static bool has_matrices(struct vk *vk, struct adapter *adapter)
{
    struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features features12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                   .pNext = &matrices};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features12};
    struct VkPhysicalDeviceCooperativeMatrixPropertiesKHR stages = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &stages};
    vk->GetPhysicalDeviceFeatures2(adapter->physical, &features);
    vk->GetPhysicalDeviceProperties2(adapter->physical, &properties);
    return matrices.cooperativeMatrix && features12.vulkanMemoryModel && features12.shaderInt8 &&
           (stages.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
           bn_vulkan_find_shape(vk, adapter->physical, adapter->subgroups.own, &adapter->matrix);
}

static void probe_features(struct vk *vk, struct adapter *adapter, const VkExtensionProperties *extensions, uint32_t n)
{
    bool dot = has_extension(extensions, n, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME);
    bool import = has_extension(extensions, n, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
    bool sized = has_extension(extensions, n, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    VkPhysicalDeviceSubgroupSizeControlFeatures size_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
        .pNext = sized ? &size_features : NULL};
    VkPhysicalDeviceVulkan12Features features12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                   .pNext = dot ? (void *)&dot_features : dot_features.pNext};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features12};
    vk->GetPhysicalDeviceFeatures2(adapter->physical, &features);

    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT, .pNext = sized ? &sizes : NULL};
    VkPhysicalDeviceIDProperties ids = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                        .pNext = import ? (void *)&host : host.pNext};
    VkPhysicalDeviceMaintenance3Properties maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &ids};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &maintenance};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroup};
    vk->GetPhysicalDeviceProperties2(adapter->physical, &properties);

    const VkSubgroupFeatureFlags wanted =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    const VkPhysicalDeviceLimits *limits = &adapter->properties.limits;
    VkPhysicalDeviceType type = adapter->properties.deviceType;
    adapter->unified = type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU || type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    adapter->max_allocation = maintenance.maxMemoryAllocationSize;
    adapter->import_align = host.minImportedHostPointerAlignment;
    adapter->subgroups = (struct subgroups){subgroup.subgroupSize, sizes.minSubgroupSize, sizes.maxSubgroupSize,
                                            sizes.maxComputeWorkgroupSubgroups};
    memcpy(adapter->uuid, ids.driverUUID, VK_UUID_SIZE);
    memcpy(adapter->uuid + VK_UUID_SIZE, ids.deviceUUID, VK_UUID_SIZE);
    adapter->features = (struct features){
        .int_dot = dot && dot_features.shaderIntegerDotProduct,
        .subgroup = (subgroup.supportedOperations & wanted) == wanted &&
                    (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT),
        .full = size_features.subgroupSizeControl && size_features.computeFullSubgroups &&
                (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT),
        .large_shared = limits->maxComputeSharedMemorySize > LEAST_SHARED,
        .timeline = features12.timelineSemaphore,
        .host_import = import && adapter->unified && host.minImportedHostPointerAlignment <= 65536,
        .host_visible = has_host_visible(&adapter->memory),
        .budget = has_extension(extensions, n, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME),
        .software = type == VK_PHYSICAL_DEVICE_TYPE_CPU,
        .fused = true,
        .coopmat = bn_vulkan_spirv("ternary_tiled_coopmat") &&
                   has_extension(extensions, n, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) && has_matrices(vk, adapter),
    };
    apply_mask(&adapter->features);
    uint32_t invocations = adapter->features.full ? sizes.maxSubgroupSize : subgroup.subgroupSize;
    adapter->features.subgroup = adapter->features.subgroup && invocations >= LEAST_SUBGROUP;
    adapter->shared_bytes = adapter->features.large_shared ? limits->maxComputeSharedMemorySize : LEAST_SHARED;
    if (adapter->properties.apiVersion < VK_API_VERSION_1_2)
        refuse(&adapter->info, BN_STATE_TOO_OLD, "the device's driver is older than Vulkan 1.2");
    else if (!features12.bufferDeviceAddress)
        refuse(&adapter->info, BN_STATE_TOO_OLD, "the device lacks bufferDeviceAddress");
    else if (adapter->family == UINT32_MAX)
        refuse(&adapter->info, BN_STATE_TOO_OLD, "the device has no queue for compute");
    else if (limits->maxPushConstantsSize < LEAST_PUSH_CONSTANTS || limits->maxComputeSharedMemorySize < LEAST_SHARED ||
             limits->maxComputeWorkGroupInvocations < LEAST_INVOCATIONS)
        refuse(&adapter->info, BN_STATE_FAULTED, "the device's limits are below those that Vulkan promises");
}

static void describe(struct vk *vk, struct adapter *adapter)
{
    struct bn_device_info *info = &adapter->info;
    const VkPhysicalDeviceProperties *properties = &adapter->properties;
    *info = (struct bn_device_info){.size = sizeof(*info), .kind = BN_DEVICE_GPU};
    snprintf(info->driver, sizeof(info->driver), "vulkan");
    snprintf(info->name, sizeof(info->name), "%.95s", properties->deviceName);
    bn_make_printable(info->name);
    snprintf(info->isa, sizeof(info->isa), "vulkan %u.%u", VK_API_VERSION_MAJOR(properties->apiVersion),
             VK_API_VERSION_MINOR(properties->apiVersion));
    if (properties->deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
        info->kind = BN_DEVICE_CPU;
    for (uint32_t h = 0; h < adapter->memory.memoryHeapCount; h++)
        if (adapter->memory.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            adapter->memory.memoryHeaps[h].size > info->memory_total) {
            info->memory_total = adapter->memory.memoryHeaps[h].size;
            info->memory_free = bn_vulkan_heap_free(vk, adapter, h);
        }
}

// By what other drivers and bitnet-devices know a card; software has no place of its own.
static void locate(struct vk *vk, struct adapter *adapter, const VkExtensionProperties *extensions, uint32_t n)
{
    struct bn_device_info *info = &adapter->info;
    bool on_pci = has_extension(extensions, n, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
    bool has_node = has_extension(extensions, n, VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME);
    VkPhysicalDevicePCIBusInfoPropertiesEXT pci = {.sType =
                                                       VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT};
    VkPhysicalDeviceDrmPropertiesEXT drm = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT,
                                            .pNext = on_pci ? &pci : NULL};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    if (adapter->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
        return;
    if (has_node)
        properties.pNext = &drm;
    else if (on_pci)
        properties.pNext = &pci;
    vk->GetPhysicalDeviceProperties2(adapter->physical, &properties);
    if (on_pci)
        snprintf(info->pci, sizeof(info->pci), "%04x:%02x:%02x.%x", pci.pciDomain, pci.pciBus & 0xffu,
                 pci.pciDevice & 0xffu, pci.pciFunction & 0xfu);
    if (has_node && drm.hasRender)
        snprintf(info->node, sizeof(info->node), "%u:%u", (unsigned)drm.renderMajor, (unsigned)drm.renderMinor);
    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(info->uuid + 2 * i, 3, "%02x", adapter->uuid[VK_UUID_SIZE + i]);
}

static void look_at(struct vk *vk, struct adapter *adapter)
{
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vk->GetPhysicalDeviceProperties2(adapter->physical, &properties);
    adapter->properties = properties.properties;
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    vk->GetPhysicalDeviceMemoryProperties2(adapter->physical, &memory);
    adapter->memory = memory.memoryProperties;
    VkExtensionProperties extensions[MAX_EXTENSIONS];
    uint32_t n = MAX_EXTENSIONS;
    if (vk->EnumerateDeviceExtensionProperties(adapter->physical, NULL, &n, extensions) < 0)
        n = 0;
    choose_families(vk, adapter);
    describe(vk, adapter);
    probe_features(vk, adapter, extensions, n);
    if (adapter->features.budget)
        describe(vk, adapter);
    locate(vk, adapter, extensions, n);
}

static int rank(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 1;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 3;
    default:
        return 2;
    }
}

uint32_t bn_vulkan_adapters(struct vk *vk, struct adapter *list)
{
    VkPhysicalDevice physical[VK_MAX_ADAPTERS];
    uint32_t n = VK_MAX_ADAPTERS, written = 0, gpus = 0;
    if (vk->EnumeratePhysicalDevices(vk->instance, &n, physical) < 0)
        return 0;
    for (int wanted = 0; wanted < 4; wanted++)
        for (uint32_t i = 0; i < n; i++) {
            VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
            vk->GetPhysicalDeviceProperties2(physical[i], &properties);
            if (rank(properties.properties.deviceType) != wanted)
                continue;
            struct adapter *adapter = &list[written];
            memset(adapter, 0, sizeof(*adapter));
            adapter->physical = physical[i];
            look_at(vk, adapter);
            adapter->info.index = written++;
            // Software is one more way into the CPU.
            if (adapter->info.kind == BN_DEVICE_CPU)
                snprintf(adapter->info.id, sizeof(adapter->info.id), "cpu");
            else
                snprintf(adapter->info.id, sizeof(adapter->info.id), "gpu%u", gpus++);
        }
    return written;
}

uint64_t bn_vulkan_heap_free(struct vk *vk, const struct adapter *adapter, uint32_t heap)
{
    if (!adapter->features.budget)
        return adapter->memory.memoryHeaps[heap].size;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = &budget};
    vk->GetPhysicalDeviceMemoryProperties2(adapter->physical, &memory);
    return budget.heapBudget[heap] > budget.heapUsage[heap] ? budget.heapBudget[heap] - budget.heapUsage[heap] : 0;
}

VkResult bn_vulkan_create_device(struct vk *vk, const struct adapter *adapter, VkDevice *out)
{
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queues[2] = {
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = adapter->family,
         .queueCount = 1,
         .pQueuePriorities = &priority},
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = adapter->transfer_family,
         .queueCount = 1,
         .pQueuePriorities = &priority},
    };
    const struct features *features = &adapter->features;
    const char *extensions[6];
    uint32_t n = 0;
    if (features->int_dot)
        extensions[n++] = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
    if (features->host_import)
        extensions[n++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    if (features->budget)
        extensions[n++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (features->coopmat)
        extensions[n++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (features->full)
        extensions[n++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = VK_TRUE,
        .computeFullSubgroups = VK_TRUE,
    };
    struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = features->full ? &sizes : NULL,
        .cooperativeMatrix = VK_TRUE,
    };
    void *more = features->coopmat ? (void *)&matrices : matrices.pNext;
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
        .pNext = more,
        .shaderIntegerDotProduct = VK_TRUE,
    };
    const VkPhysicalDeviceVulkan12Features features12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = features->int_dot ? &dot : more,
        .shaderInt8 = features->coopmat,
        .bufferDeviceAddress = VK_TRUE,
        .timelineSemaphore = features->timeline,
        .vulkanMemoryModel = features->coopmat,
    };
    const VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &features12,
        .queueCreateInfoCount = adapter->transfer_family == adapter->family ? 1 : 2,
        .pQueueCreateInfos = queues,
        .enabledExtensionCount = n,
        .ppEnabledExtensionNames = extensions,
    };
    return vk->CreateDevice(adapter->physical, &info, NULL, out);
}
