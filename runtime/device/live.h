// Which buffers of a device there are. Handles come from applications, so one that was destroyed, or that never was one,
// must be told from a good one without looking at what it points to.
#ifndef BN_DEVICE_LIVE_H
#define BN_DEVICE_LIVE_H

#include <bitnet/driver.h>

enum bn_result bn_live_create(struct bn_device *device, struct bn_error *err);
void bn_live_destroy(struct bn_device *device);

bool bn_live_has(const struct bn_device *device, const struct bn_buffer *buffer);

// A command keeps the buffers of its ops: one more user each.
enum bn_result bn_live_keep(struct bn_command *command, const struct bn_op *ops, size_t n_ops,
                            const struct bn_span *slot, struct bn_error *err);
void bn_live_drop(struct bn_command *command);

#endif
