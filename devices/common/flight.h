// A submission that is under way, for drivers whose kernels look at the state slot. Under the lock of the driver.
#ifndef BN_DEVICES_FLIGHT_H
#define BN_DEVICES_FLIGHT_H

#include <bitnet/driver.h>

enum { BN_IN_FLIGHT = 64 }; // most of a queue

struct bn_flight {
    struct bn_slot *slot; // of the command
    uint64_t signal;
    const uint32_t *stop;
    uint32_t stop_at;
    bool stopped;
};

// Whether the submission shall stop.
static inline bool bn_flight_stops(const struct bn_flight *flight)
{
    return flight->stop && __atomic_load_n(flight->stop, __ATOMIC_RELAXED) == flight->stop_at;
}

// Tells the kernels of the submission to do nothing more.
static inline void bn_flight_stop(struct bn_flight *flight)
{
    flight->stopped = true;
    __atomic_store_n(&flight->slot->skip, 1, __ATOMIC_RELAXED);
}

// Before the kernels are submitted.
static inline struct bn_flight bn_flight_begin(struct bn_slot *slot, const struct bn_submission *submission)
{
    struct bn_flight flight = {slot, submission->signal, submission->stop, submission->stop_at, false};
    slot->status = BN_SLOT_OK;
    slot->skip = 0;
    if (bn_flight_stops(&flight))
        bn_flight_stop(&flight);
    return flight;
}

// After they are done.
static inline void bn_flight_end(const struct bn_flight *flight)
{
    if (!flight->stopped)
        return;
    flight->slot->status = BN_SLOT_STOPPED;
    flight->slot->status_op = flight->slot->progress;
}

#endif
