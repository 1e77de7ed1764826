// Data of the build that is packed by zlib: shaders/portable/ahead.py writes it.
#ifndef BN_DEVICES_UNPACK_H
#define BN_DEVICES_UNPACK_H

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

// Unpacks what gives exactly `bytes` bytes, at most 4 GiB. Errors: BN_ERR_MEMORY; BN_ERR_INTERNAL if the data is damaged.
enum bn_result bn_unpack(const struct bn_host *host, const void *packed, size_t packed_bytes, void *out, size_t bytes,
                         struct bn_error *err);

#endif
