// libvulkan.so.1. An address that has no ".", such as "226:129", is the number of a render node; "-" is none.
#include "fake/fake.h"

struct base {
    int type;
    struct base *next;
};

struct extension {
    char name[256];
    uint32_t version;
};

static int enumerate_version(uint32_t *version)
{
    *version = 1u << 22 | 3u << 12;
    return 0;
}

static int enumerate_devices(void *instance, uint32_t *n, void **devices)
{
    for (int i = 0; i < fake.n; i++)
        devices[i] = &fake.devices[i];
    *n = (uint32_t)fake.n;
    return 0;
}

static int enumerate_extensions(struct fake_device *device, const char *layer, uint32_t *n, struct extension *list)
{
    *n = 0;
    if (device->address[0] != '-')
        fake_text(list[(*n)++].name, 256,
                  strchr(device->address, '.') ? "VK_EXT_pci_bus_info" : "VK_EXT_physical_device_drm");
    return 0;
}

static void get_properties(struct fake_device *device, struct base *head)
{
    uint32_t *words = (uint32_t *)(void *)(head + 1);
    words[0] = 1u << 22 | 3u << 12 | 246;
    words[4] = strstr(device->name, "llvmpipe") ? 4 : 2;
    fake_text((char *)(words + 5), 256, device->name);
    for (struct base *link = head->next; link; link = link->next) {
        uint32_t *value = (uint32_t *)(void *)(link + 1);
        long long major = 0, minor = 0;
        switch (link->type) {
        case 1000071004: // identity
            memcpy(value, device->uuid, 16);
            break;
        case 1000196000: // driver
            fake_text((char *)(value + 1), 256, "fakevk");
            break;
        case 1000212000:
            value[0] = device->domain, value[1] = device->bus, value[2] = device->device, value[3] = device->function;
            break;
        case 1000353000:
            sscanf(device->address, "%lld:%lld", &major, &minor);
            value[1] = 1;
            memcpy(value + 6, &(int64_t){major}, 8);
            memcpy(value + 8, &(int64_t){minor}, 8);
            break;
        }
    }
}

static void get_memory(struct fake_device *device, struct base *head)
{
    uint8_t *bytes = (uint8_t *)(head + 1);
    uint64_t total = fake_memory((int)(device - fake.devices));
    memcpy(bytes + 4 + 256, &(uint32_t){1}, 4); // behind the types: one heap
    memcpy(bytes + 264, &total, 8);
    memcpy(bytes + 272, &(uint32_t){1}, 4);
}

FAKE_API void *vkGetInstanceProcAddr(void *instance, const char *name);
FAKE_API int vkCreateInstance(const void *info, const void *allocator, void **instance);

int vkCreateInstance(const void *info, const void *allocator, void **instance)
{
    *instance = &fake;
    return fake_start("BITNET_TEST_FAKE_VULKAN", -9);
}

void *vkGetInstanceProcAddr(void *instance, const char *name)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } functions[] = {
        {"vkEnumerateInstanceVersion", (void (*)(void))enumerate_version},
        {"vkEnumeratePhysicalDevices", (void (*)(void))enumerate_devices},
        {"vkEnumerateDeviceExtensionProperties", (void (*)(void))enumerate_extensions},
        {"vkGetPhysicalDeviceProperties2", (void (*)(void))get_properties},
        {"vkGetPhysicalDeviceMemoryProperties2", (void (*)(void))get_memory},
    };
    void *address = NULL;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            memcpy(&address, &functions[i].function, sizeof address);
    return address;
}
