// Faults on purpose: a decorator around any driver, and the plan that says which call of which slot fails, and how.
//
// A plan is "DRIVER:slot@n=fault;slot@n=fault": n counts the calls of the slot from 1, '*' is every call. Slots: open caps
// supports alloc import write record queue submit poll drive. Faults: lost oom host-oom busy timeout unavailable unsupported
// numeric delay. "lost" is sticky: from then on every slot that can fail says so. "delay" sleeps for 5 ms and goes on.
#ifndef BN_DEVICE_FAULT_H
#define BN_DEVICE_FAULT_H

#include <bitnet/driver.h>

// Whether the plan (may be NULL) is for this driver.
bool bn_fault_concerns(const char *plan, const char *driver);

// Before the driver's open: checks the plan and its `open` faults.
// Errors: BN_ERR_ARGUMENT naming the entry that is none, or the fault itself.
enum bn_result bn_fault_open(const char *plan, const char *driver, struct bn_error *err);

// After it: puts the decorator between the front doors and the device's driver, until the device is closed.
enum bn_result bn_fault_wrap(struct bn_device *device, const char *plan, struct bn_error *err);

// Times each slot was called, in the order of the list above, of a wrapped device; for tests that visit every call.
enum { BN_FAULT_SLOTS = 11 };
bool bn_fault_counts(const struct bn_device *device, uint64_t counts[BN_FAULT_SLOTS]);
const char *bn_fault_slot_name(int slot);

#endif
