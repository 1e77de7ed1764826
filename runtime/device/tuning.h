// The tuning of the machine: include/bitnet/device.h has what it is, and who writes it.
#ifndef BN_DEVICE_TUNING_H
#define BN_DEVICE_TUNING_H

#include <bitnet/device.h>

#define BN_TUNING_FILE "tuning-cpu.txt" // in the cache folder

// The tuning for this CPU. On failure *tuning is that of a machine that was not tuned.
// Errors: BN_ERR_NOT_FOUND (none), BN_ERR_MODEL (of another machine or version, or damaged), BN_ERR_IO.
enum bn_result bn_tuning_load(const struct bn_device_info *cpu, struct bn_tuning *tuning, struct bn_error *err);

// device.c: the first device that the selector names; one by a driver's name disturbs no other driver.
// Errors: BN_ERR_NOT_FOUND, and what the driver says.
enum bn_result bn_device_find(struct bn_runtime *runtime, const char *selector, struct bn_device_info *info,
                              struct bn_error *err);

#endif
