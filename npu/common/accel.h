// Nodes of the kernel's accel class, and what the drivers of NPUs share as long as they run nothing.
#ifndef BN_NPU_ACCEL_H
#define BN_NPU_ACCEL_H

#include <bitnet/driver.h>

// What `driver` of this library finds among the nodes that the kernel's driver `kernel` made. `ask` gets an open node and
// fills in `info->isa` and `about`, a few words on firmware and size; false: the node does not answer.
struct bn_accel_probe {
    const char *driver, *kernel, *name;
    bool (*ask)(int fd, struct bn_device_info *info, char *about, size_t size);
};

// The slots `probe` and `open` of such a driver.
enum bn_result bn_accel_list(const struct bn_accel_probe *probe, struct bn_device_info *list, size_t capacity,
                             size_t *count);
enum bn_result bn_accel_open(const struct bn_device_info *info, struct bn_error *err);

// An ioctl of the DRM, which are all of type 'd', tried again when a signal interrupts it. True: done.
bool bn_accel_ioctl(int fd, unsigned long request, void *argument);

#endif
