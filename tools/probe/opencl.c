// OpenCL, through its loader (names and numbers as in the OpenCL 3.0 specification and its extensions).
#include "tools/probe/probe.h"

#include <stdio.h>
#include <string.h>

enum {
    NO_PLATFORM = -1001,
    DEVICE_NOT_FOUND = -1,
    PLATFORM_NAME = 0x0902,
    TYPE = 0x1000,
    GLOBAL_MEMORY = 0x101f,
    NAME = 0x102b,
    DRIVER_VERSION = 0x102d,
    VERSION = 0x102f,
    HOST_UNIFIED = 0x1035,
    UUID_KHR = 0x106a,
    NV_BUS = 0x4008,
    NV_SLOT = 0x4009,
    NV_DOMAIN = 0x400a,
    AMD_TOPOLOGY = 0x4037,
    AMD_BOARD_NAME = 0x4038,
    AMD_FREE_MEMORY = 0x4039, // KiB
    PCI_BUS_INFO_KHR = 0x410f,
};

static int (*get_platforms)(uint32_t n, void **platforms, uint32_t *count);
static int (*get_platform_info)(void *platform, uint32_t what, size_t size, void *value, size_t *used);
static int (*get_devices)(void *platform, uint64_t type, uint32_t n, void **devices, uint32_t *count);
static int (*get_device_info)(void *device, uint32_t what, size_t size, void *value, size_t *used);

static const char *text_of(void *device, uint32_t what, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    if (get_device_info(device, what, size - 1, text, &used) != 0)
        text[0] = '\0';
    text[used < size ? used : size - 1] = '\0';
    return text;
}

static bool value_of(void *device, uint32_t what, void *value, size_t size)
{
    size_t used = 0;
    return get_device_info(device, what, size, value, &used) == 0 && used == size;
}

static void record_address(void *device)
{
    uint32_t pci[4], bus, slot, domain = 0;
    uint8_t amd[24];
    if (value_of(device, PCI_BUS_INFO_KHR, pci, sizeof pci)) {
        record_pci(pci[0], pci[1], pci[2], pci[3]);
    } else if (value_of(device, NV_BUS, &bus, sizeof bus) && value_of(device, NV_SLOT, &slot, sizeof slot)) {
        value_of(device, NV_DOMAIN, &domain, sizeof domain);
        record_pci(domain, bus, slot >> 3, slot & 7);
    } else if (value_of(device, AMD_TOPOLOGY, amd, sizeof amd) && amd[0] == 1) { // type PCIe; the last three bytes
        record_pci(0, amd[21], amd[22], amd[23]);
    }
}

static void record_device(void *device, const char *platform)
{
    char text[256];
    uint64_t type = 0, total = UINT64_MAX;
    size_t left[2] = {0, 0}, used = 0;
    uint32_t unified = 0;
    uint8_t uuid[16];
    value_of(device, TYPE, &type, sizeof type);
    value_of(device, HOST_UNIFIED, &unified, sizeof unified);
    record_start("device");
    record_text("kind", type & 2 ? "cpu" : type & 4 ? "gpu" : "npu"); // CL_DEVICE_TYPE_ACCELERATOR
    record_text("label", text_of(device, NAME, text, sizeof text));
    text_of(device, AMD_BOARD_NAME, text, sizeof text);
    record_text("name", *text ? text : text_of(device, NAME, text, sizeof text));
    record_text("driver", platform);
    text_of(device, VERSION, text, sizeof text); // "OpenCL 3.0 PoCL HSTR: ..."
    char *version = strncmp(text, "OpenCL ", 7) == 0 ? text + 7 : text, more[128], both[200];
    version[strcspn(version, " ")] = '\0';
    snprintf(both, sizeof both, "%.20s, %.100s", version, text_of(device, DRIVER_VERSION, more, sizeof more));
    record_text("version", both);
    record_number("shared", unified != 0);
    record_address(device);
    if (value_of(device, UUID_KHR, uuid, sizeof uuid))
        record_uuid(uuid);
    value_of(device, GLOBAL_MEMORY, &total, sizeof total);
    record_number("total", total);
    if (get_device_info(device, AMD_FREE_MEMORY, sizeof left, left, &used) == 0 && left[0] < SIZE_MAX / 1024)
        record_number("free", (uint64_t)left[0] * 1024);
    record_end();
}

void probe_opencl(void)
{
    static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", NULL};
    const struct symbol symbols[] = {{"clGetPlatformIDs", &get_platforms, false},
                                     {"clGetPlatformInfo", &get_platform_info, false},
                                     {"clGetDeviceIDs", &get_devices, false},
                                     {"clGetDeviceInfo", &get_device_info, false}};
    void *platforms[16], *devices[64];
    uint32_t n_platforms = 0, n_devices;
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols))
        return;
    int result = get_platforms(16, platforms, &n_platforms);
    if (result == NO_PLATFORM || (result == 0 && n_platforms == 0)) {
        record_state(BN_STATE_MISSING_LIBRARY, NULL, "the loader is there, but no driver that works");
        return;
    }
    if (result != 0) {
        record_state(BN_STATE_FAULTED, NULL, "clGetPlatformIDs: error %d", result);
        return;
    }
    for (uint32_t p = 0; p < n_platforms && p < 16; p++) {
        char name[128] = "";
        n_devices = 0;
        get_platform_info(platforms[p], PLATFORM_NAME, sizeof name - 1, name, NULL);
        if (get_devices(platforms[p], 0xffffffffu, 64, devices, &n_devices) != 0)
            continue;
        for (uint32_t d = 0; d < n_devices && d < 64; d++)
            record_device(devices[d], name);
    }
}
