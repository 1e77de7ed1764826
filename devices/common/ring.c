#include "devices/common/ring.h"

#include <string.h>

void bn_ring_init(struct bn_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
}

bool bn_ring_push(struct bn_ring *ring, const struct bn_submission *submission)
{
    uint64_t number = atomic_load_explicit(&ring->write, memory_order_relaxed);
    do {
        // Acquire: the consumer has finished reading the packet whose place we take.
        if (number - atomic_load_explicit(&ring->read, memory_order_acquire) >= BN_RING_CAPACITY)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&ring->write, &number, number + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    struct bn_packet *packet = &ring->packets[number % BN_RING_CAPACITY];
    packet->command = submission->command;
    packet->signal = submission->signal;
    packet->stop = submission->stop;
    packet->stop_at = submission->stop_at;
    atomic_store_explicit(&packet->header, (uint32_t)(number + 1), memory_order_release);
    atomic_fetch_add(&ring->doorbell.value, 1);
    bn_word_wake(&ring->doorbell);
    return true;
}

const struct bn_packet *bn_ring_peek(struct bn_ring *ring)
{
    uint64_t number = atomic_load_explicit(&ring->read, memory_order_relaxed);
    const struct bn_packet *packet = &ring->packets[number % BN_RING_CAPACITY];
    uint32_t header = atomic_load_explicit(&packet->header, memory_order_acquire);
    return header == (uint32_t)(number + 1) ? packet : NULL;
}

void bn_ring_retire(struct bn_ring *ring)
{
    uint64_t number = atomic_load_explicit(&ring->read, memory_order_relaxed);
    uint64_t signal = ring->packets[number % BN_RING_CAPACITY].signal;
    atomic_store_explicit(&ring->timeline, signal, memory_order_release);
    atomic_store_explicit(&ring->read, number + 1, memory_order_release);
}

uint64_t bn_ring_timeline(const struct bn_ring *ring)
{
    return atomic_load_explicit(&ring->timeline, memory_order_acquire);
}
