// libze_loader.so.1: one driver. A device with "NPU" in its name is one.
#include "fake/fake.h"

struct base {
    uint32_t type;
    void *next;
};

struct properties {
    struct base base;
    uint32_t type, vendor, device, flags, subdevice, clock;
    uint64_t max_alloc;
    uint32_t counts[7];
    uint64_t timer;
    uint32_t bits[2];
    uint8_t uuid[16];
    char name[256];
};

struct memory {
    struct base base;
    uint32_t flags, clock, width;
    uint64_t total;
    char name[256];
};

struct pci {
    struct base base;
    uint32_t domain, bus, device, function;
};

FAKE_API uint32_t zeInit(uint32_t flags);
FAKE_API uint32_t zeDriverGet(uint32_t *n, void **drivers);
FAKE_API uint32_t zeDriverGetProperties(void *driver, void *properties);
FAKE_API uint32_t zeDeviceGet(void *driver, uint32_t *n, void **devices);
FAKE_API uint32_t zeDeviceGetProperties(struct fake_device *device, struct properties *properties);
FAKE_API uint32_t zeDeviceGetMemoryProperties(struct fake_device *device, uint32_t *n, struct memory *properties);
FAKE_API uint32_t zeDevicePciGetPropertiesExt(struct fake_device *device, struct pci *pci);

uint32_t zeInit(uint32_t flags)
{
    return (uint32_t)fake_start("BITNET_TEST_FAKE_LEVEL_ZERO", 0x78000001);
}

uint32_t zeDriverGet(uint32_t *n, void **drivers)
{
    drivers[0] = &fake;
    *n = 1;
    return 0;
}

uint32_t zeDriverGetProperties(void *driver, void *properties)
{
    ((uint32_t *)properties)[8] = 1u << 24 | 3u << 16 | 29735; // behind the head and a UUID
    return 0;
}

uint32_t zeDeviceGet(void *driver, uint32_t *n, void **devices)
{
    for (int i = 0; i < fake.n; i++)
        devices[i] = &fake.devices[i];
    *n = (uint32_t)fake.n;
    return 0;
}

uint32_t zeDeviceGetProperties(struct fake_device *device, struct properties *properties)
{
    properties->type = strstr(device->name, "NPU") ? 5 : 1;
    properties->flags = 1;
    memcpy(properties->uuid, device->uuid, 16);
    fake_text(properties->name, sizeof properties->name, device->name);
    return 0;
}

uint32_t zeDeviceGetMemoryProperties(struct fake_device *device, uint32_t *n, struct memory *properties)
{
    properties[0].total = fake_memory((int)(device - fake.devices));
    *n = 1;
    return 0;
}

uint32_t zeDevicePciGetPropertiesExt(struct fake_device *device, struct pci *pci)
{
    pci->domain = device->domain;
    pci->bus = device->bus;
    pci->device = device->device;
    pci->function = device->function;
    return 0;
}
