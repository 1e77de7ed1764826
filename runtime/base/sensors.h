// What a GPU tells of its power, heat and clocks, whatever drives it.
#ifndef BN_BASE_SENSORS_H
#define BN_BASE_SENSORS_H

#include <bitnet/device.h>

// Nothing known.
void bn_sensors_clear(struct bn_device_sensors *out);

// Of the device at a PCI address, "0000:03:00.0", by the kernel's files (hwmon). False if it tells nothing.
// Threads: any.
bool bn_sensors_hwmon(const char *pci, struct bn_device_sensors *out);

// The same by NVML, which is opened once and stays. False if it is not there, or does not know the device.
// Threads: any.
bool bn_sensors_nvml(const char *pci, struct bn_device_sensors *out);

#endif
