// What tools say of the device that they opened.
#ifndef TOOLS_COMMON_DEVICE_H
#define TOOLS_COMMON_DEVICE_H

#include <bitnet/device.h>

// Options of a device that were given and that its driver has no use for: a line on stderr each, by the names that they have on
// the command lines. The library ignores them.
void tool_note_unused(const char *program, const struct bn_device *device, const struct bn_device_options *options);

#endif
