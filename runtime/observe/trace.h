// Traces from inside: events on tracks, in a ring.
#ifndef BN_OBSERVE_TRACE_H
#define BN_OBSERVE_TRACE_H

#include <bitnet/diag.h>

enum { BN_TRACE_TRACKS = 32, BN_TRACE_ARGS = 4, BN_TRACE_HOST = 0 }; // track 0 is the host's

// What a kind of event says of itself. All strings are static.
struct bn_trace_keys {
    const char *names[BN_TRACE_ARGS]; // NULL after the last
};

struct bn_trace_event {
    const char *name;
    const struct bn_trace_keys *keys; // NULL: no arguments
    uint64_t start, end;              // bn_clock_ns
    uint64_t values[BN_TRACE_ARGS];
    uint32_t track;
};

// A new track; the name is copied. The last one is shared when there are too many.
uint32_t bn_trace_track(struct bn_trace *trace, const char *name);

// Adds an event; the oldest goes if there is no room. No allocation, no system call but for a contended lock. Threads: any.
void bn_trace_add(struct bn_trace *trace, const struct bn_trace_event *event);

#endif
