// Vulkan, by the few of its declarations that are needed here (names and numbers as in the Vulkan 1.3 specification).
#include "tools/probe/probe.h"

#include <stdio.h>
#include <string.h>

enum {
    INCOMPATIBLE_DRIVER = -9,
    TYPE_INTEGRATED = 1,
    TYPE_DISCRETE = 2,
    TYPE_VIRTUAL = 3,
    TYPE_CPU = 4,
    HEAP_DEVICE_LOCAL = 1,
    // VkStructureType
    APPLICATION_INFO = 0,
    INSTANCE_CREATE_INFO = 1,
    PROPERTIES_2 = 1000059001,
    MEMORY_PROPERTIES_2 = 1000059006,
    ID_PROPERTIES = 1000071004,
    DRIVER_PROPERTIES = 1000196000,
    PCI_BUS_INFO = 1000212000,
    MEMORY_BUDGET = 1000237000,
    DRM_PROPERTIES = 1000353000,
};

#define VERSION(major, minor) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12)

struct base {
    int type;
    void *next;
};

struct application_info {
    struct base base;
    const char *application;
    uint32_t application_version;
    const char *engine;
    uint32_t engine_version, api_version;
};

struct instance_create_info {
    struct base base;
    uint32_t flags;
    const struct application_info *application;
    uint32_t n_layers;
    const char *const *layers;
    uint32_t n_extensions;
    const char *const *extensions;
};

struct properties {
    struct base base;
    uint32_t api_version, driver_version, vendor, device;
    int type;
    char name[256];
    uint8_t pipeline_cache_uuid[16];
    uint64_t limits[63];
    uint32_t sparse[5];
};
_Static_assert(sizeof(struct properties) == 16 + 824, "VkPhysicalDeviceProperties has 824 bytes");

struct id_properties {
    struct base base;
    uint8_t device_uuid[16], driver_uuid[16], luid[8];
    uint32_t node_mask, luid_valid;
};

struct driver_properties {
    struct base base;
    int id;
    char name[256], info[256];
    uint8_t conformance[4];
};

struct pci_bus_info {
    struct base base;
    uint32_t domain, bus, device, function;
};

struct drm_properties {
    struct base base;
    uint32_t has_primary, has_render;
    int64_t primary_major, primary_minor, render_major, render_minor;
};

struct memory_properties {
    struct base base;
    uint32_t n_types;
    uint32_t types[32][2];
    uint32_t n_heaps;
    struct {
        uint64_t size;
        uint32_t flags;
    } heaps[16];
};

struct memory_budget {
    struct base base;
    uint64_t budget[16], usage[16];
};

struct extension {
    char name[256];
    uint32_t version;
};

static void *(*get_proc)(void *instance, const char *name);
static int (*create_instance)(const struct instance_create_info *info, const void *allocator, void **instance);
static int (*enumerate_version)(uint32_t *version);
static int (*enumerate_devices)(void *instance, uint32_t *n, void **devices);
static int (*enumerate_extensions)(void *device, const char *layer, uint32_t *n, struct extension *list);
static void (*get_properties)(void *device, struct properties *properties);
static void (*get_memory)(void *device, struct memory_properties *properties);

static bool find(void *instance, const char *name, void *target)
{
    void *address = get_proc(instance, name);
    memcpy(target, &address, sizeof address);
    return address != NULL;
}

static bool has(const struct extension *list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strncmp(list[i].name, name, sizeof list[i].name) == 0)
            return true;
    return false;
}

// Puts `link` behind the head of a chain.
static void chain(struct base *head, struct base *link, int type)
{
    link->type = type;
    link->next = head->next;
    head->next = link;
}

static void record_memory(void *device, bool has_budget)
{
    struct memory_properties memory = {.base = {MEMORY_PROPERTIES_2, NULL}};
    struct memory_budget budget = {.base = {0, NULL}};
    uint64_t total = 0, left = 0;
    if (has_budget)
        chain(&memory.base, &budget.base, MEMORY_BUDGET);
    get_memory(device, &memory);
    for (uint32_t i = 0; i < memory.n_heaps && i < 16; i++) {
        if (!(memory.heaps[i].flags & HEAP_DEVICE_LOCAL))
            continue;
        total += memory.heaps[i].size;
        left += budget.budget[i] > budget.usage[i] ? budget.budget[i] - budget.usage[i] : 0;
    }
    record_number("total", total);
    record_number("free", has_budget ? left : UINT64_MAX);
}

static void record_device(void *device)
{
    static struct extension extensions[1024];
    uint32_t n = sizeof extensions / sizeof *extensions;
    struct properties properties = {.base = {PROPERTIES_2, NULL}};
    struct id_properties id = {.base = {0, NULL}};
    struct driver_properties driver = {.base = {0, NULL}};
    struct pci_bus_info pci = {.base = {0, NULL}};
    struct drm_properties drm = {.base = {0, NULL}};
    if (enumerate_extensions(device, NULL, &n, extensions) < 0)
        n = 0;
    bool has_pci = has(extensions, n, "VK_EXT_pci_bus_info"),
         has_drm = has(extensions, n, "VK_EXT_physical_device_drm");
    chain(&properties.base, &id.base, ID_PROPERTIES);
    chain(&properties.base, &driver.base, DRIVER_PROPERTIES);
    if (has_pci)
        chain(&properties.base, &pci.base, PCI_BUS_INFO);
    if (has_drm)
        chain(&properties.base, &drm.base, DRM_PROPERTIES);
    get_properties(device, &properties);
    record_start("device");
    record_text("kind", properties.type == TYPE_CPU ? "cpu" : "gpu");
    record_text("name", properties.name);
    record_text("label", properties.name);
    record_text("driver", driver.name);
    record_version("version", properties.api_version >> 22 & 0x7f, properties.api_version >> 12 & 0x3ff,
                   properties.api_version & 0xfff);
    record_number("shared", properties.type == TYPE_INTEGRATED || properties.type == TYPE_CPU);
    if (has_pci)
        record_pci(pci.domain, pci.bus, pci.device, pci.function);
    record_uuid(id.device_uuid);
    if (has_drm && drm.has_render) {
        char number[48];
        snprintf(number, sizeof number, "%lld:%lld", (long long)drm.render_major, (long long)drm.render_minor);
        record_text("render", number);
    }
    record_memory(device, has(extensions, n, "VK_EXT_memory_budget"));
    if (properties.api_version < VERSION(1, 1)) {
        record_text("state", bn_device_state_name(BN_STATE_TOO_OLD));
        record_text("reason", "the driver has Vulkan 1.0 only");
        record_text("mend", "update the driver: Vulkan 1.1 or later is needed");
    }
    record_end();
}

static void *open_instance(void)
{
    void *instance = NULL;
    uint32_t version = VERSION(1, 0);
    const struct application_info application = {
        .base = {APPLICATION_INFO, NULL}, .application = "bitnet-probe", .api_version = VERSION(1, 2)};
    const struct instance_create_info info = {.base = {INSTANCE_CREATE_INFO, NULL}, .application = &application};
    if (find(NULL, "vkEnumerateInstanceVersion", &enumerate_version))
        enumerate_version(&version);
    if (version < VERSION(1, 1)) {
        record_state(BN_STATE_TOO_OLD, "update libvulkan1", "the Vulkan loader has version 1.0 only");
        return NULL;
    }
    int result = create_instance(&info, NULL, &instance);
    if (result == INCOMPATIBLE_DRIVER)
        record_state(BN_STATE_MISSING_LIBRARY, NULL, "the loader is there, but no driver that works");
    else if (result != 0)
        record_state(BN_STATE_FAULTED, NULL, "vkCreateInstance: VkResult %d", result);
    return result == 0 ? instance : NULL;
}

void probe_vulkan(void)
{
    static const char *const names[] = {"libvulkan.so.1", "libvulkan.so", NULL};
    const struct symbol symbols[] = {{"vkGetInstanceProcAddr", &get_proc, false},
                                     {"vkCreateInstance", &create_instance, false}};
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols))
        return;
    void *instance = open_instance(), *devices[64];
    uint32_t n = 64;
    if (!instance)
        return;
    if (!find(instance, "vkEnumeratePhysicalDevices", &enumerate_devices) ||
        !find(instance, "vkEnumerateDeviceExtensionProperties", &enumerate_extensions) ||
        !find(instance, "vkGetPhysicalDeviceProperties2", &get_properties) ||
        !find(instance, "vkGetPhysicalDeviceMemoryProperties2", &get_memory)) {
        record_state(BN_STATE_TOO_OLD, "update libvulkan1", "the Vulkan loader lacks functions of version 1.1");
        return;
    }
    int result = enumerate_devices(instance, &n, devices);
    if (result < 0)
        record_state(BN_STATE_FAULTED, NULL, "vkEnumeratePhysicalDevices: VkResult %d", result);
    for (uint32_t i = 0; result >= 0 && i < n; i++)
        record_device(devices[i]);
}
