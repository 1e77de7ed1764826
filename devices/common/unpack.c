#include "devices/common/unpack.h"

#include <string.h>

enum { LEAST_MATCH = 4 };

struct source {
    const uint8_t *at, *end;
};

// A length that starts in four bits and goes on in bytes while they are 255. SIZE_MAX if it does not end.
static size_t read_length(struct source *in, size_t length)
{
    if (length < 15)
        return length;
    for (;;) {
        if (in->at == in->end)
            return SIZE_MAX;
        length += *in->at;
        if (*in->at++ != 255)
            return length;
    }
}

// Sequences: literals, then what stood `distance` bytes before; the last one has literals only.
bool bn_unpack(const uint8_t *packed, size_t packed_bytes, uint8_t *out, size_t bytes)
{
    struct source in = {packed, packed + packed_bytes};
    size_t done = 0;
    while (in.at < in.end) {
        uint8_t token = *in.at++;
        size_t literals = read_length(&in, token >> 4);
        if (literals > (size_t)(in.end - in.at) || literals > bytes - done)
            return false;
        memcpy(out + done, in.at, literals);
        in.at += literals;
        done += literals;
        if (in.at == in.end)
            break;
        if (in.end - in.at < 2)
            return false;
        size_t distance = in.at[0] | (size_t)in.at[1] << 8;
        in.at += 2;
        size_t match = read_length(&in, token & 15);
        if (match > bytes || distance == 0 || distance > done || match + LEAST_MATCH > bytes - done)
            return false;
        for (size_t i = 0; i < match + LEAST_MATCH; i++, done++) // may overlap itself
            out[done] = out[done - distance];
    }
    return done == bytes;
}
