// Reading messages of protocol buffers, untrusted: fields one after the other, nothing copied.
#ifndef BN_BASE_PROTOBUF_H
#define BN_BASE_PROTOBUF_H

#include "runtime/base/str.h"

#include <stdint.h>

// What is left of a message.
struct bn_protobuf {
    const uint8_t *at, *end;
};

struct bn_protobuf_field {
    uint32_t number;
    enum bn_protobuf_kind { BN_PB_VARINT = 0, BN_PB_64 = 1, BN_PB_BYTES = 2, BN_PB_32 = 5 } kind;
    uint64_t value;      // of a number; of BYTES the length
    struct bn_str bytes; // of BYTES, within the message
};

enum bn_protobuf_step { BN_PB_FIELD, BN_PB_END, BN_PB_BAD };

struct bn_protobuf bn_protobuf_of(struct bn_str message);
// The next field. BN_PB_BAD: the message is cut, or not one; groups, which are no longer used, are not read.
enum bn_protobuf_step bn_protobuf_next(struct bn_protobuf *message, struct bn_protobuf_field *field);

#endif
