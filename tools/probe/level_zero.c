// Level Zero: Intel's GPUs and NPUs (names and numbers as in its specification 1.5).
#include "tools/probe/probe.h"

#include <stdio.h>
#include <string.h>

enum {
    UNINITIALIZED = 0x78000001,
    PERMISSION = 0x70010000,
    TYPE_GPU = 1,
    TYPE_CPU = 2,
    TYPE_VPU = 5,
    INTEGRATED = 1,
    // ze_structure_type_t
    DRIVER_PROPERTIES = 0x1,
    DEVICE_PROPERTIES = 0x3,
    MEMORY_PROPERTIES = 0x7,
    PCI_PROPERTIES = 0x10008,
};

struct base {
    uint32_t type;
    void *next;
};

struct driver_properties {
    struct base base;
    uint8_t uuid[16];
    uint32_t version;
};

struct device_properties {
    struct base base;
    uint32_t type, vendor, device, flags, subdevice, clock;
    uint64_t max_alloc;
    uint32_t contexts, priority, threads, simd, units, subslices, slices;
    uint64_t timer;
    uint32_t timestamp_bits, kernel_timestamp_bits;
    uint8_t uuid[16];
    char name[256];
};

struct memory_properties {
    struct base base;
    uint32_t flags, clock, width;
    uint64_t total;
    char name[256];
};

struct pci_properties {
    struct base base;
    uint32_t domain, bus, device, function;
    int32_t generation, width;
    int64_t rate;
};

static struct {
    uint32_t (*init)(uint32_t flags);
    uint32_t (*drivers)(uint32_t *n, void **drivers);
    uint32_t (*driver)(void *driver, struct driver_properties *properties);
    uint32_t (*devices)(void *driver, uint32_t *n, void **devices);
    uint32_t (*device)(void *device, struct device_properties *properties);
    uint32_t (*memory)(void *device, uint32_t *n, struct memory_properties *properties);
    uint32_t (*pci)(void *device, struct pci_properties *properties);
} ze;

static void record_memory(void *device)
{
    struct memory_properties list[4];
    uint32_t n = 4;
    uint64_t total = 0;
    memset(list, 0, sizeof list);
    for (int i = 0; i < 4; i++)
        list[i].base.type = MEMORY_PROPERTIES;
    if (ze.memory(device, &n, list) != 0)
        return;
    for (uint32_t i = 0; i < n && i < 4; i++)
        total += list[i].total;
    if (total)
        record_number("total", total);
}

static void record_device(void *device, uint32_t version)
{
    struct device_properties properties = {.base = {DEVICE_PROPERTIES, NULL}};
    struct pci_properties pci = {.base = {PCI_PROPERTIES, NULL}};
    if (ze.device(device, &properties) != 0)
        return;
    properties.name[sizeof properties.name - 1] = '\0';
    record_start("device");
    record_text("kind", properties.type == TYPE_CPU ? "cpu" : properties.type == TYPE_GPU ? "gpu" : "npu");
    record_text("name", properties.name);
    record_text("label", properties.name);
    record_version("version", version >> 24, version >> 16 & 0xff, version & 0xffff);
    record_number("shared", (properties.flags & INTEGRATED) || properties.type == TYPE_VPU);
    if (ze.pci && ze.pci(device, &pci) == 0)
        record_pci(pci.domain, pci.bus, pci.device, pci.function);
    record_uuid(properties.uuid);
    record_memory(device);
    record_end();
}

void probe_level_zero(void)
{
    static const char *const names[] = {"libze_loader.so.1", NULL};
    const struct symbol symbols[] = {
        {"zeInit", &ze.init, false},
        {"zeDriverGet", &ze.drivers, false},
        {"zeDriverGetProperties", &ze.driver, false},
        {"zeDeviceGet", &ze.devices, false},
        {"zeDeviceGetProperties", &ze.device, false},
        {"zeDeviceGetMemoryProperties", &ze.memory, false},
        {"zeDevicePciGetPropertiesExt", &ze.pci, true},
    };
    void *drivers[16], *devices[64];
    uint32_t n_drivers = 16;
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols))
        return;
    uint32_t result = ze.init(0);
    if (result == 0)
        result = ze.drivers(&n_drivers, drivers);
    if (result == UNINITIALIZED)
        record_state(BN_STATE_MISSING_LIBRARY, NULL, "the loader is there, but no driver that works");
    else if (result == PERMISSION)
        record_state(BN_STATE_PERMISSION_DENIED, "join the group render", "no permission for the devices");
    else if (result != 0)
        record_state(BN_STATE_FAULTED, NULL, "zeInit: result 0x%x", result);
    for (uint32_t i = 0; result == 0 && i < n_drivers && i < 16; i++) {
        struct driver_properties driver = {.base = {DRIVER_PROPERTIES, NULL}};
        uint32_t n = 64;
        ze.driver(drivers[i], &driver);
        if (ze.devices(drivers[i], &n, devices) != 0)
            continue;
        for (uint32_t d = 0; d < n && d < 64; d++)
            record_device(devices[d], driver.version);
    }
}
