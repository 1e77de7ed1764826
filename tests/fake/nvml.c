// libnvidia-ml.so.1. Devices whose names have " MIG " in them are instances of the whole device before them.
#include <time.h>

#include "fake/fake.h"

struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char address[32];
};

struct memory {
    unsigned long long total, left, used;
};

FAKE_API int nvmlInit_v2(void);
FAKE_API int nvmlSystemGetDriverVersion(char *version, unsigned size);
FAKE_API int nvmlDeviceGetCount_v2(unsigned *count);
FAKE_API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
FAKE_API int nvmlDeviceGetName(struct fake_device *device, char *name, unsigned size);
FAKE_API int nvmlDeviceGetUUID(struct fake_device *device, char *uuid, unsigned size);
FAKE_API int nvmlDeviceGetPciInfo_v3(struct fake_device *device, struct pci *pci);
FAKE_API int nvmlDeviceGetMemoryInfo(struct fake_device *device, struct memory *memory);
FAKE_API int nvmlDeviceGetUtilizationRates(struct fake_device *device, unsigned load[2]);
FAKE_API int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device);
FAKE_API int nvmlDeviceGetTemperature(struct fake_device *device, int sensor, unsigned *celsius);
FAKE_API int nvmlDeviceGetPowerUsage(struct fake_device *device, unsigned *milliwatts);
FAKE_API int nvmlDeviceGetTotalEnergyConsumption(struct fake_device *device, unsigned long long *millijoules);
FAKE_API int nvmlDeviceGetClockInfo(struct fake_device *device, int which, unsigned *mhz);
FAKE_API int nvmlDeviceGetCurrentClocksThrottleReasons(struct fake_device *device, unsigned long long *reasons);
FAKE_API int nvmlDeviceGetMaxMigDeviceCount(struct fake_device *device, unsigned *count);
FAKE_API int nvmlDeviceGetMigDeviceHandleByIndex(struct fake_device *device, unsigned index, void **part);

static int is_part(const struct fake_device *device)
{
    return strstr(device->name, " MIG ") != NULL;
}

int nvmlInit_v2(void)
{
    return fake_start("BITNET_TEST_FAKE_NVML", 9);
}

int nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    fake_text(version, size, "550.54.14");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 0;
    for (int i = 0; i < fake.n; i++)
        *count += !is_part(&fake.devices[i]);
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    for (int i = 0; i < fake.n; i++) {
        *device = &fake.devices[i];
        if (!is_part(&fake.devices[i]) && index-- == 0)
            return 0;
    }
    return 2;
}

int nvmlDeviceGetName(struct fake_device *device, char *name, unsigned size)
{
    fake_text(name, size, device->name);
    return 0;
}

int nvmlDeviceGetUUID(struct fake_device *device, char *uuid, unsigned size)
{
    fake_text(uuid, size, device->uuid_text);
    return 0;
}

int nvmlDeviceGetPciInfo_v3(struct fake_device *device, struct pci *pci)
{
    memset(pci, 0, sizeof *pci);
    fake_text(pci->address, sizeof pci->address, device->address);
    return 0;
}

int nvmlDeviceGetMemoryInfo(struct fake_device *device, struct memory *memory)
{
    memory->total = fake_memory((int)(device - fake.devices));
    memory->used = memory->total / 4;
    memory->left = memory->total - memory->used;
    return 0;
}

int nvmlDeviceGetUtilizationRates(struct fake_device *device, unsigned load[2])
{
    load[0] = 42;
    load[1] = 0;
    return is_part(device) ? 3 : 0; // an instance does not tell
}

int nvmlDeviceGetMaxMigDeviceCount(struct fake_device *device, unsigned *count)
{
    *count = 7;
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(struct fake_device *device, unsigned index, void **part)
{
    struct fake_device *next = device + 1 + index;
    if (next >= fake.devices + fake.n || !is_part(next) || strcmp(next->address, device->address) != 0)
        return 6;
    *part = next;
    return 0;
}

// Addresses with a domain of four digits or eight, of the whole device.
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device)
{
    unsigned domain, bus, slot;
    if (sscanf(address, "%x:%x:%x", &domain, &bus, &slot) != 3)
        return 2;
    for (int i = 0; i < fake.n; i++)
        if (fake.devices[i].domain == domain && fake.devices[i].bus == bus && !is_part(&fake.devices[i])) {
            *device = &fake.devices[i];
            return 0;
        }
    return 6;
}

int nvmlDeviceGetTemperature(struct fake_device *device, int sensor, unsigned *celsius)
{
    *celsius = 61;
    return sensor != 0 ? 2 : is_part(device) ? 3 : 0;
}

int nvmlDeviceGetPowerUsage(struct fake_device *device, unsigned *milliwatts)
{
    *milliwatts = 250000;
    return is_part(device) ? 3 : 0;
}

// 250 W, always.
int nvmlDeviceGetTotalEnergyConsumption(struct fake_device *device, unsigned long long *millijoules)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = (unsigned long long)now.tv_sec * 250000 + (unsigned long long)now.tv_nsec / 4000;
    return is_part(device) ? 3 : 0;
}

int nvmlDeviceGetClockInfo(struct fake_device *device, int which, unsigned *mhz)
{
    *mhz = which == 1 ? 1980 : 2619;
    return which != 1 && which != 2 ? 2 : is_part(device) ? 3 : 0;
}

// Capped by its power, and too warm.
int nvmlDeviceGetCurrentClocksThrottleReasons(struct fake_device *device, unsigned long long *reasons)
{
    *reasons = 0x24;
    return is_part(device) ? 3 : 0;
}
