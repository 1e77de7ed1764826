#include "runtime/base/sensors.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/dynlib.h"
#include "runtime/base/sysfs.h"

#define PCI "/sys/bus/pci/devices/%s/hwmon"

void bn_sensors_clear(struct bn_device_sensors *out)
{
    *out = (struct bn_device_sensors){.energy_j = NAN, .power_w = NAN, .temperature_c = NAN};
}

static void note_name(void *user, const char *name)
{
    if (strncmp(name, "hwmon", 5) == 0)
        snprintf(user, 32, "%.31s", name);
}

// amdgpu, i915, xe and nouveau: docs of the kernel, hwmon/sysfs-interface and gpu/amdgpu/thermal.
bool bn_sensors_hwmon(const char *pci, struct bn_device_sensors *out)
{
    char name[32] = "";
    uint64_t value;
    bn_sensors_clear(out);
    if (!pci[0] || !bn_sys_list(note_name, name, PCI, pci) || !name[0])
        return false;
    if (bn_sys_number(&value, 10, PCI "/%s/temp1_input", pci, name))
        out->temperature_c = (float)((double)value * 1e-3);
    if (bn_sys_number(&value, 10, PCI "/%s/power1_average", pci, name) ||
        bn_sys_number(&value, 10, PCI "/%s/power1_input", pci, name))
        out->power_w = (float)((double)value * 1e-6);
    if (bn_sys_number(&value, 10, PCI "/%s/energy1_input", pci, name))
        out->energy_j = (double)value * 1e-6;
    if (bn_sys_number(&value, 10, PCI "/%s/freq1_input", pci, name))
        out->clock_mhz = (uint32_t)(value / 1000000);
    if (bn_sys_number(&value, 10, PCI "/%s/freq2_input", pci, name))
        out->memory_clock_mhz = (uint32_t)(value / 1000000);
    return true;
}

// NVML. All functions return 0 or an error.
static struct {
    pthread_mutex_t lock;
    bool tried, ready;
    int (*init)(void);
    int (*by_pci)(const char *address, void **device);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
    int (*power)(void *device, unsigned *milliwatts);
    int (*energy)(void *device, unsigned long long *millijoules);
    int (*clock)(void *device, int which, unsigned *mhz);
    int (*limits)(void *device, unsigned long long *reasons);
    int (*old_limits)(void *device, unsigned long long *reasons);
} nvml = {.lock = PTHREAD_MUTEX_INITIALIZER};

// Once; a library that does not start now is not asked again.
static void start_nvml(void)
{
    static const char *const names[] = {"libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", NULL};
    static const struct {
        const char *name;
        void *at;
    } symbols[] = {
        {"nvmlInit_v2", &nvml.init},
        {"nvmlDeviceGetHandleByPciBusId_v2", &nvml.by_pci},
        {"nvmlDeviceGetTemperature", &nvml.temperature},
        {"nvmlDeviceGetPowerUsage", &nvml.power},
        {"nvmlDeviceGetTotalEnergyConsumption", &nvml.energy}, // since Volta
        {"nvmlDeviceGetClockInfo", &nvml.clock},
        {"nvmlDeviceGetCurrentClocksEventReasons", &nvml.limits},
        {"nvmlDeviceGetCurrentClocksThrottleReasons", &nvml.old_limits}, // before 535
    };
    char reason[128];
    nvml.tried = true;
    void *library = bn_dynlib_open(names, reason, sizeof(reason));
    for (size_t i = 0; library && i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        bn_dynlib_function function = bn_dynlib_symbol(library, symbols[i].name);
        memcpy(symbols[i].at, &function, sizeof(function));
    }
    nvml.limits = nvml.limits ? nvml.limits : nvml.old_limits;
    nvml.ready = library && nvml.init && nvml.by_pci && nvml.init() == 0;
}

static uint32_t limits_of(unsigned long long reasons)
{
    enum { POWER_CAP = 0x4, SLOWDOWN = 0x8, HEAT = 0x20, HEAT_SLOWDOWN = 0x40, BRAKE = 0x80 };
    return (reasons & (POWER_CAP | BRAKE) ? BN_LIMIT_POWER : 0u) |
           (reasons & (HEAT | HEAT_SLOWDOWN) ? BN_LIMIT_HEAT : 0u) |
           ((reasons & SLOWDOWN) && !(reasons & (HEAT_SLOWDOWN | BRAKE)) ? BN_LIMIT_OTHER : 0u);
}

bool bn_sensors_nvml(const char *pci, struct bn_device_sensors *out)
{
    enum { GPU = 0, SM = 1, MEMORY = 2 };
    void *device = NULL;
    unsigned value;
    unsigned long long wide;
    bn_sensors_clear(out);
    pthread_mutex_lock(&nvml.lock);
    if (!nvml.tried)
        start_nvml();
    bool known = pci[0] && nvml.ready && nvml.by_pci(pci, &device) == 0;
    pthread_mutex_unlock(&nvml.lock);
    if (!known)
        return false;
    if (nvml.temperature && nvml.temperature(device, GPU, &value) == 0)
        out->temperature_c = (float)value;
    if (nvml.power && nvml.power(device, &value) == 0)
        out->power_w = (float)((double)value * 1e-3);
    if (nvml.energy && nvml.energy(device, &wide) == 0)
        out->energy_j = (double)wide * 1e-3;
    if (nvml.clock && nvml.clock(device, SM, &value) == 0)
        out->clock_mhz = value;
    if (nvml.clock && nvml.clock(device, MEMORY, &value) == 0)
        out->memory_clock_mhz = value;
    if (nvml.limits && nvml.limits(device, &wide) == 0)
        out->limits = limits_of(wide);
    return true;
}
