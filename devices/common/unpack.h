// Data of the build that is packed, in the format of LZ4's blocks: shaders/portable/ahead.py writes it.
#ifndef BN_DEVICES_UNPACK_H
#define BN_DEVICES_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// False unless `packed` is sound and gives exactly `bytes` bytes.
bool bn_unpack(const uint8_t *packed, size_t packed_bytes, uint8_t *out, size_t bytes);

#endif
