#include "runtime/text/utf8.h"

#include <bitnet/text.h>

#include <string.h>

// Bytes of the character that `lead` starts, 0 if none does, and what its second byte may be: the narrow ranges
// exclude overlong forms, surrogates, and everything above U+10FFFF.
static unsigned sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t bn_utf8_next(const char *text, size_t bytes, uint32_t *code)
{
    unsigned char lead = (unsigned char)text[0], low, high;
    unsigned n = sequence(lead, &low, &high);
    if (n <= 1) {
        *code = n ? lead : BN_UTF8_BAD;
        return 1;
    }
    uint32_t value = lead & (0xffu >> (n + 1));
    for (unsigned i = 1; i < n; i++) {
        unsigned char c = i < bytes ? (unsigned char)text[i] : 0;
        if (c < low || c > high) {
            *code = i < bytes ? BN_UTF8_BAD : BN_UTF8_SHORT;
            return i;
        }
        value = value << 6 | (c & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *code = value;
    return n;
}

size_t bn_utf8_valid(const char *text, size_t bytes)
{
    size_t i = 0;
    while (i < bytes) {
        uint32_t code;
        size_t n = bn_utf8_next(text + i, bytes - i, &code);
        if (code >= BN_UTF8_SHORT)
            break;
        i += n;
    }
    return i;
}

size_t bn_utf8_push(struct bn_utf8_stream *stream, const char *data, size_t bytes, char *out)
{
    static const char replacement[3] = {'\xef', '\xbf', '\xbd'};
    char *start = out;
    if (bytes == 0 && stream->n_held > 0) {
        memcpy(out, replacement, 3);
        out += 3;
        stream->n_held = 0;
    }
    // What is held is the start of a character, so with one byte more it is a character, a longer start, or a bad
    // part without that byte.
    size_t used = 0;
    while (stream->n_held > 0 && stream->n_held < sizeof stream->held && used < bytes) {
        char joined[4];
        uint32_t code;
        memcpy(joined, stream->held, stream->n_held);
        joined[stream->n_held] = data[used];
        size_t n = bn_utf8_next(joined, stream->n_held + 1, &code);
        if (code == BN_UTF8_BAD) {
            memcpy(out, replacement, 3);
            out += 3;
            stream->n_held = 0;
            break;
        }
        stream->held[stream->n_held++] = (unsigned char)data[used++];
        if (code != BN_UTF8_SHORT) {
            memcpy(out, joined, n);
            out += n;
            stream->n_held = 0;
        }
    }
    while (used < bytes) {
        uint32_t code;
        size_t n = bn_utf8_next(data + used, bytes - used, &code);
        if (code == BN_UTF8_SHORT) {
            memcpy(stream->held, data + used, n);
            stream->n_held = (unsigned)n;
        } else if (code == BN_UTF8_BAD) {
            memcpy(out, replacement, 3);
            out += 3;
        } else {
            memcpy(out, data + used, n);
            out += n;
        }
        used += n;
    }
    return (size_t)(out - start);
}
