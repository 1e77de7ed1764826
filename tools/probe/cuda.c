// CUDA's driver library, and NVML, which tells memory, load and the instances of a GPU that is cut in pieces (MIG).
#include "tools/probe/probe.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 128 };

// An instance has the name of its GPU with its size behind it: "NVIDIA H200 MIG 1g.18gb".
static void record_name(const char *name)
{
    char partition[64];
    const char *mig = strstr(name, " MIG ");
    record_text("name", name);
    record_text("label", name);
    if (mig) {
        snprintf(partition, sizeof partition, "mig %.40s", mig + 5);
        record_text("partition", partition);
    }
}

// CUDA driver API: CUresult and CUdevice are int.
static struct {
    int (*init)(unsigned flags);
    int (*version)(int *version);
    int (*count)(int *count);
    int (*get)(int *device, int index);
    int (*name)(char *name, int size, int device);
    int (*bus)(char *address, int size, int device);
    int (*memory)(size_t *bytes, int device);
    int (*uuid)(uint8_t uuid[16], int device);
    int (*attribute)(int *value, int attribute, int device);
} cu;

enum {
    CU_NO_DEVICE = 100,
    CU_OLD_DRIVER = 35,
    CU_MISMATCH = 803,
    CU_COMPAT = 804,
    CU_INTEGRATED = 18,
    CU_MAJOR = 75,
    CU_MINOR = 76
};

static bool cuda_init(void)
{
    int result = cu.init(0);
    if (result == CU_NO_DEVICE)
        record_state(BN_STATE_MISSING_LIBRARY, "nvidia-smi tells more; CUDA_VISIBLE_DEVICES may hide devices",
                     "CUDA finds no device");
    else if (result == CU_OLD_DRIVER || result == CU_MISMATCH || result == CU_COMPAT)
        record_state(BN_STATE_TOO_OLD, "reboot after an update of NVIDIA's driver, or update it",
                     "kernel module and CUDA library do not fit (error %d)", result);
    else if (result != 0)
        record_state(BN_STATE_FAULTED, "nvidia-smi and dmesg tell more", "cuInit: error %d", result);
    return result == 0;
}

static void cuda_device(int index, const char *version)
{
    int device, integrated = 0, major = 0, minor = 0;
    char name[NAME] = "", address[32] = "", isa[32];
    size_t bytes = 0;
    uint8_t uuid[16];
    if (cu.get(&device, index) != 0)
        return;
    cu.name(name, sizeof name - 1, device);
    cu.bus(address, sizeof address - 1, device);
    cu.attribute(&integrated, CU_INTEGRATED, device);
    cu.attribute(&major, CU_MAJOR, device);
    cu.attribute(&minor, CU_MINOR, device);
    snprintf(isa, sizeof isa, "sm_%d%d", major, minor);
    record_start("device");
    record_name(name);
    record_text("version", version);
    record_text("pci", address);
    record_text("isa", major ? isa : NULL);
    record_number("shared", integrated != 0);
    if (cu.uuid && cu.uuid(uuid, device) == 0)
        record_uuid(uuid);
    if (cu.memory(&bytes, device) == 0)
        record_number("total", bytes);
    record_end();
}

void probe_cuda(void)
{
    static const char *const names[] = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", NULL};
    const struct symbol symbols[] = {
        {"cuInit", &cu.init, false},
        {"cuDriverGetVersion", &cu.version, false},
        {"cuDeviceGetCount", &cu.count, false},
        {"cuDeviceGet", &cu.get, false},
        {"cuDeviceGetName", &cu.name, false},
        {"cuDeviceGetPCIBusId", &cu.bus, false},
        {"cuDeviceTotalMem_v2", &cu.memory, false},
        {"cuDeviceGetUuid_v2", &cu.uuid, true},
        {"cuDeviceGetAttribute", &cu.attribute, false},
    };
    int number = 0, n = 0;
    char version[32];
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols) || !cuda_init())
        return;
    cu.version(&number);
    snprintf(version, sizeof version, "%d.%d", number / 1000, number % 1000 / 10);
    if (cu.count(&n) != 0)
        record_state(BN_STATE_FAULTED, NULL, "cuDeviceGetCount failed");
    for (int i = 0; i < n && i < 256; i++)
        cuda_device(i, version);
}

// NVML.
struct nvml_pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char address[32];
};

struct nvml_memory {
    unsigned long long total, left, used;
};

struct nvml_load {
    unsigned gpu, memory;
};

static struct {
    int (*init)(void);
    int (*version)(char *version, unsigned size);
    int (*count)(unsigned *count);
    int (*get)(unsigned index, void **device);
    int (*name)(void *device, char *name, unsigned size);
    int (*uuid)(void *device, char *uuid, unsigned size);
    int (*pci)(void *device, struct nvml_pci *pci);
    int (*memory)(void *device, struct nvml_memory *memory);
    int (*load)(void *device, struct nvml_load *load);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
    int (*power)(void *device, unsigned *milliwatts);
    int (*clock)(void *device, int which, unsigned *mhz);
    int (*limits)(void *device, unsigned long long *reasons);
    int (*max_parts)(void *device, unsigned *count);
    int (*part)(void *device, unsigned index, void **part);
} nvml;

enum { NVML_NO_PERMISSION = 4, NVML_NOT_LOADED = 9, NVML_MISMATCH = 18 };

static bool nvml_start(void)
{
    int result = nvml.init();
    if (result == NVML_NOT_LOADED)
        record_state(BN_STATE_MISSING_LIBRARY, "load it: sudo modprobe nvidia", "NVIDIA's kernel module is not loaded");
    else if (result == NVML_NO_PERMISSION)
        record_state(BN_STATE_PERMISSION_DENIED, "join the group that owns /dev/nvidiactl",
                     "no permission for the GPUs");
    else if (result == NVML_MISMATCH)
        record_state(BN_STATE_TOO_OLD, "reboot after an update of NVIDIA's driver",
                     "kernel module and library have different versions");
    else if (result != 0)
        record_state(BN_STATE_FAULTED, "nvidia-smi and dmesg tell more", "nvmlInit: error %d", result);
    return result == 0;
}

// What an instance tells of itself is nothing.
static void nvml_sensors(void *device)
{
    enum { GPU = 0, SM = 1, MEMORY = 2 };
    enum { BY_POWER = 0x84, BY_HEAT = 0x60 }; // nvmlClocksEventReasons
    unsigned value;
    unsigned long long reasons;
    if (nvml.temperature && nvml.temperature(device, GPU, &value) == 0)
        record_number("temperature", value);
    if (nvml.power && nvml.power(device, &value) == 0)
        record_number("power", value);
    if (nvml.clock && nvml.clock(device, SM, &value) == 0)
        record_number("clock", value);
    if (nvml.clock && nvml.clock(device, MEMORY, &value) == 0)
        record_number("memory_clock", value);
    if (nvml.limits && nvml.limits(device, &reasons) == 0)
        record_number("limits", (reasons & BY_POWER ? BN_LIMIT_POWER : 0u) | (reasons & BY_HEAT ? BN_LIMIT_HEAT : 0u));
}

static void nvml_device(void *device, const struct nvml_pci *pci, const char *version)
{
    char name[NAME] = "", uuid[96] = "";
    struct nvml_memory memory;
    struct nvml_load load;
    nvml.name(device, name, sizeof name);
    nvml.uuid(device, uuid, sizeof uuid);
    record_start("device");
    record_name(name);
    record_text("uuid", uuid);
    record_text("version", version);
    record_text("kernel", version);
    record_text("pci", pci->address);
    if (nvml.memory(device, &memory) == 0) {
        record_number("total", memory.total);
        record_number("free", memory.left);
    }
    if (nvml.load && nvml.load(device, &load) == 0)
        record_number("load", load.gpu);
    nvml_sensors(device);
    record_end();
}

void probe_nvml(void)
{
    static const char *const names[] = {"libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", NULL};
    const struct symbol symbols[] = {
        {"nvmlInit_v2", &nvml.init, false},
        {"nvmlSystemGetDriverVersion", &nvml.version, false},
        {"nvmlDeviceGetCount_v2", &nvml.count, false},
        {"nvmlDeviceGetHandleByIndex_v2", &nvml.get, false},
        {"nvmlDeviceGetName", &nvml.name, false},
        {"nvmlDeviceGetUUID", &nvml.uuid, false},
        {"nvmlDeviceGetPciInfo_v3", &nvml.pci, false},
        {"nvmlDeviceGetMemoryInfo", &nvml.memory, false},
        {"nvmlDeviceGetUtilizationRates", &nvml.load, true},
        {"nvmlDeviceGetTemperature", &nvml.temperature, true},
        {"nvmlDeviceGetPowerUsage", &nvml.power, true},
        {"nvmlDeviceGetClockInfo", &nvml.clock, true},
        {"nvmlDeviceGetCurrentClocksThrottleReasons", &nvml.limits, true},
        {"nvmlDeviceGetMaxMigDeviceCount", &nvml.max_parts, true},
        {"nvmlDeviceGetMigDeviceHandleByIndex", &nvml.part, true},
    };
    char version[64] = "";
    unsigned n = 0;
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols) || !nvml_start())
        return;
    nvml.version(version, sizeof version);
    nvml.count(&n);
    for (unsigned i = 0; i < n && i < 256; i++) {
        struct nvml_pci pci = {.address = ""};
        void *device, *part;
        unsigned n_parts = 0;
        if (nvml.get(i, &device) != 0)
            continue;
        nvml.pci(device, &pci);
        nvml_device(device, &pci, version);
        if (nvml.max_parts && nvml.part && nvml.max_parts(device, &n_parts) != 0)
            n_parts = 0;
        for (unsigned p = 0; p < n_parts && p < 16; p++)
            if (nvml.part(device, p, &part) == 0)
                nvml_device(part, &pci, version);
    }
}
