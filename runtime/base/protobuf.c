#include "runtime/base/protobuf.h"

#include <string.h>

struct bn_protobuf bn_protobuf_of(struct bn_str message)
{
    const uint8_t *data = (const uint8_t *)message.data;
    return (struct bn_protobuf){data, data ? data + message.bytes : NULL};
}

// Seven bits a byte, the lowest first, at most ten bytes.
static bool take_varint(struct bn_protobuf *message, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && message->at < message->end; shift += 7) {
        uint8_t byte = *message->at++;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_fixed(struct bn_protobuf *message, size_t bytes, uint64_t *value)
{
    *value = 0;
    if ((size_t)(message->end - message->at) < bytes)
        return false;
    memcpy(value, message->at, bytes);
    message->at += bytes;
    return true;
}

static bool take_bytes(struct bn_protobuf *message, struct bn_protobuf_field *field)
{
    if (!take_varint(message, &field->value) || field->value > (uint64_t)(message->end - message->at))
        return false;
    field->bytes = (struct bn_str){(const char *)message->at, (size_t)field->value};
    message->at += field->value;
    return true;
}

enum bn_protobuf_step bn_protobuf_next(struct bn_protobuf *message, struct bn_protobuf_field *field)
{
    uint64_t tag;
    memset(field, 0, sizeof(*field));
    if (message->at == message->end)
        return BN_PB_END;
    if (!take_varint(message, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return BN_PB_BAD;
    field->number = (uint32_t)(tag >> 3);
    field->kind = (enum bn_protobuf_kind)(tag & 7);
    bool sound = field->kind == BN_PB_VARINT  ? take_varint(message, &field->value)
                 : field->kind == BN_PB_64    ? take_fixed(message, 8, &field->value)
                 : field->kind == BN_PB_32    ? take_fixed(message, 4, &field->value)
                 : field->kind == BN_PB_BYTES ? take_bytes(message, field)
                                              : false;
    return sound ? BN_PB_FIELD : BN_PB_BAD;
}
