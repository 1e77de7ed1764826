// Checks of ops against ops.inl, before a driver sees them.
#ifndef BN_DEVICE_OP_CHECK_H
#define BN_DEVICE_OP_CHECK_H

#include <bitnet/driver.h>

// Whether op number `index` of a list is complete: every operand there, inside its buffer, on this device and large enough for
// op->rows rows; shapes that kernels rely on; layouts that the device supports.
// Errors: BN_ERR_ARGUMENT, BN_ERR_UNSUPPORTED; the subject is "op INDEX NAME operand".
enum bn_result bn_op_check(struct bn_device *device, const struct bn_op *op, size_t index, struct bn_error *err);

#endif
