// The scheduler of an engine's device: two state slots, the commands recorded for them, and the timeline that orders it
// all. A slot is rewritten only after its timeline value, so filling one overlaps with running the other.
#ifndef BN_SCHED_SCHED_H
#define BN_SCHED_SCHED_H

#include <stdatomic.h>

#include "runtime/graph/plan.h"

enum { BN_SLOTS = 2, BN_MAX_BUCKETS = 8 };

struct bn_sched_slot {
    struct bn_buffer *buffer;
    struct bn_command *commands[BN_MAX_BUCKETS];
    uint64_t value; // timeline value of its last submission; 0: none
    size_t bucket;  // of that
};

// The ops of a bucket's commands, for those who ask where the device was.
struct bn_sched_ops {
    uint8_t *kinds;
    size_t n;
};

struct bn_sched {
    const struct bn_host *host;
    struct bn_device *device;
    struct bn_queue *queue;
    struct bn_slot_limits limits;
    struct bn_sched_slot slots[BN_SLOTS];
    uint32_t buckets[BN_MAX_BUCKETS]; // rows, ascending
    size_t n_buckets;
    struct bn_sched_ops ops[BN_MAX_BUCKETS];
    uint64_t submitted; // last timeline value handed out
    uint64_t records;
    _Atomic uint64_t steps; // submissions so far
};

// Opens the queue and records one command per bucket and slot. The largest bucket holds limits.rows.
enum bn_result bn_sched_init(struct bn_sched *sched, struct bn_device *device, const struct bn_plan_config *plan,
                             const struct bn_slot_limits *limits, struct bn_error *err);
void bn_sched_finish(struct bn_sched *sched);

// The slot that the next submission will use, with its arrays' offsets filled in and its counts 0. Waits until the
// device has let go of it.
enum bn_result bn_sched_begin(struct bn_sched *sched, struct bn_slot **slot, struct bn_error *err);

// Submits the slot from bn_sched_begin; *value is its place on the timeline.
enum bn_result bn_sched_submit(struct bn_sched *sched, const uint32_t *stop, uint32_t stop_at, uint64_t *value,
                               struct bn_error *err);

enum bn_result bn_sched_wait(struct bn_sched *sched, uint64_t value, struct bn_error *err);

// The slot that was submitted with `value`, one of the last BN_SLOTS.
const struct bn_slot *bn_sched_slot_of(const struct bn_sched *sched, uint64_t value);

#endif
