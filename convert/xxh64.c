#include "convert/xxh64.h"

#include <string.h>

static const uint64_t primes[6] = {
    0, 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5,
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static uint64_t read64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value)); // little-endian, as everything here
    return value;
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
    return rotate(lane + input * primes[2], 31) * primes[1];
}

void bn_xxh64_begin(struct bn_xxh64 *state)
{
    memset(state, 0, sizeof(*state));
    state->lanes[0] = primes[1] + primes[2];
    state->lanes[1] = primes[2];
    state->lanes[3] = 0 - primes[1];
}

static void add_stripes(struct bn_xxh64 *state, const uint8_t *data, size_t stripes)
{
    uint64_t a = state->lanes[0], b = state->lanes[1], c = state->lanes[2], d = state->lanes[3];
    for (size_t i = 0; i < stripes; i++, data += 32) {
        a = mix(a, read64(data));
        b = mix(b, read64(data + 8));
        c = mix(c, read64(data + 16));
        d = mix(d, read64(data + 24));
    }
    state->lanes[0] = a;
    state->lanes[1] = b;
    state->lanes[2] = c;
    state->lanes[3] = d;
}

void bn_xxh64_add(struct bn_xxh64 *state, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    size_t held = (size_t)(state->total % 32);
    state->total += bytes;
    if (held) {
        size_t n = bytes < 32 - held ? bytes : 32 - held;
        memcpy(state->held + held, at, n);
        at += n;
        bytes -= n;
        if (held + n < 32)
            return;
        add_stripes(state, state->held, 1);
    }
    add_stripes(state, at, bytes / 32);
    if (bytes % 32)
        memcpy(state->held, at + bytes / 32 * 32, bytes % 32);
}

uint64_t bn_xxh64_end(const struct bn_xxh64 *state)
{
    const uint64_t *lanes = state->lanes;
    uint64_t hash = state->lanes[2] + primes[5];
    if (state->total >= 32) {
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
        for (int i = 0; i < 4; i++)
            hash = (hash ^ mix(0, lanes[i])) * primes[1] + primes[4];
    }
    hash += state->total;
    const uint8_t *at = state->held;
    size_t left = (size_t)(state->total % 32);
    for (; left >= 8; left -= 8, at += 8)
        hash = rotate(hash ^ mix(0, read64(at)), 27) * primes[1] + primes[4];
    if (left >= 4) {
        uint32_t value;
        memcpy(&value, at, sizeof(value));
        hash = rotate(hash ^ value * primes[1], 23) * primes[2] + primes[3];
        left -= 4;
        at += 4;
    }
    for (; left > 0; left--, at++)
        hash = rotate(hash ^ *at * primes[5], 11) * primes[1];
    hash = (hash ^ hash >> 33) * primes[2];
    hash = (hash ^ hash >> 29) * primes[3];
    return hash ^ hash >> 32;
}
