// Spans of ops that a queue keeps for a trace: a ring of fixed size, the oldest go.
#ifndef BN_DEVICES_SPANS_H
#define BN_DEVICES_SPANS_H

#include <bitnet/driver.h>

struct bn_spans {
    struct bn_op_span *list; // [BN_SPANS]; NULL: none are kept
    uint64_t first, end;     // modulo BN_SPANS
};

enum { BN_SPANS = 1 << 14 }; // two replays of the largest plans, and their phases

// All of these are called by one thread at a time.
enum bn_result bn_spans_init(struct bn_spans *spans, const struct bn_host *host, struct bn_error *err);
void bn_spans_finish(struct bn_spans *spans, const struct bn_host *host);
void bn_spans_push(struct bn_spans *spans, const struct bn_op_span *span);
// Moves at most `capacity` out, oldest first, and returns how many.
size_t bn_spans_take(struct bn_spans *spans, struct bn_op_span *list, size_t capacity);

#endif
