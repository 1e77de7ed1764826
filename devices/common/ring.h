// The packet ring: a user-mode queue of 64-byte packets with doorbell, back-pressure and a timeline. The cpu and null
// drivers use it; drivers that ring a hardware doorbell will too. Any number of producers, one consumer at a time.
//
// A producer reserves a packet by moving `write`, fills in everything but the header, then publishes it with one
// release store of the header. The header is the packet's own number, so a slot that was not refilled yet never
// looks like the next packet. The consumer retires packets in order: timeline first, then `read`, which is what
// makes room for producers.
#ifndef BN_DEVICES_RING_H
#define BN_DEVICES_RING_H

#include <bitnet/driver.h>

#include "runtime/base/thread.h"

#define BN_RING_CAPACITY 64 // packets, a power of two

struct bn_packet {
    _Alignas(64) _Atomic uint32_t header; // number of the packet + 1 (mod 2^32), stored last
    uint32_t stop_at;
    const uint32_t *stop;
    struct bn_command *command;
    uint64_t signal;
};

struct bn_ring {
    _Alignas(64) _Atomic uint64_t write; // packets reserved so far
    _Alignas(64) _Atomic uint64_t read;  // packets retired so far
    _Alignas(64) _Atomic uint64_t timeline;
    struct bn_word doorbell; // changes with every packet published
    struct bn_packet packets[BN_RING_CAPACITY];
};

_Static_assert(sizeof(struct bn_packet) == 64, "a packet is one cache line");

void bn_ring_init(struct bn_ring *ring);

// Producer, any thread. Publishes one packet and rings the doorbell; false when the ring is full.
bool bn_ring_push(struct bn_ring *ring, const struct bn_submission *submission);

// Consumer. The next packet, or NULL if none is published; it stays valid until it is retired.
const struct bn_packet *bn_ring_peek(struct bn_ring *ring);

// Consumer. The packet from bn_ring_peek is done: the timeline takes its value, its place is free.
void bn_ring_retire(struct bn_ring *ring);

// Any thread.
uint64_t bn_ring_timeline(const struct bn_ring *ring);

#endif
