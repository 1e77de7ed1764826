// What the kernel tells in files: /sys, /proc and /dev, all below $BITNET_SYSROOT if that is set.
#ifndef BN_BASE_SYSFS_H
#define BN_BASE_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bitnet/base.h>

enum { BN_SYS_PATH = 512 }; // longest path, the root included

// $BITNET_SYSROOT, or "". Ownership: the environment's. Threads: any.
const char *bn_sys_root(void);

// The first line of a file, without spaces at its ends, made printable. False, and "", if it cannot be read.
bool bn_sys_read(char *text, size_t size, const char *format, ...) BN_PRINTF(3, 4);

// The first number of a file; `base` as in strtoull. False, and 0, if there is none.
bool bn_sys_number(uint64_t *value, int base, const char *format, ...) BN_PRINTF(3, 4);

// The last component of where a symbolic link leads.
bool bn_sys_link(char *text, size_t size, const char *format, ...) BN_PRINTF(3, 4);

bool bn_sys_exists(const char *format, ...) BN_PRINTF(1, 2);

// Calls `line` for each line of a file, without its newline and cut at 1023 bytes, until it returns false.
// False if the file cannot be read.
bool bn_sys_lines(bool (*line)(void *user, const char *text), void *user, const char *format, ...) BN_PRINTF(3, 4);

// Calls `entry` for each name in a folder but "." and "..", in no order. False if it cannot be read.
bool bn_sys_list(void (*entry)(void *user, const char *name), void *user, const char *format, ...) BN_PRINTF(3, 4);

// 0, or the errno that opening a device node for reading and writing would give. The node is not opened, which might wake
// the device.
int bn_sys_access(const char *node);

#endif
