// Engines and sessions from inside.
#ifndef BN_ENGINE_ENGINE_IMPL_H
#define BN_ENGINE_ENGINE_IMPL_H

#include <bitnet/diag.h>

#include <stdatomic.h>

#include "runtime/base/clock.h"
#include "runtime/base/thread.h"
#include "runtime/sched/sched.h"

// The pages of a KV pool. A page is free (0 references) or held by one or several sessions.
struct bn_pages {
    uint32_t *references; // [n]
    uint32_t *free;       // stack of free pages
    uint32_t n;
    _Atomic uint32_t n_free; // read by the statistics from any thread
};

struct bn_engine {
    const struct bn_host *host;
    struct bn_model *model;
    struct bn_device *device; // NULL while it is on none
    struct bn_engine_config config;
    uint32_t pages_per_session;

    struct bn_placement placement;
    struct bn_scan scan;
    struct bn_buffer *kv, *work, *rope; // the device's own
    struct bn_buffer *results;          // logits and candidates, which the host reads
    struct bn_activations activations;
    struct bn_sched sched;
    struct bn_pages pages;
    struct bn_session *sessions; // a list
    uint32_t n_sessions;
    pthread_mutex_t placing; // held while what is on the device changes, and by the statistics
    // What set_recovery said.
    enum bn_result (*recover)(void *user, struct bn_engine *engine, const struct bn_error *lost, struct bn_error *err);
    void *recover_user;
    struct bn_trace *trace;         // NULL: none
    const struct bn_queue *tracked; // whose track it is
    uint32_t track;
    uint64_t traced_to;          // timeline value up to which the driver told of its ops
    struct bn_engine_stats past; // counts of devices that it has left
    uint32_t
        chunk_rows; // most rows of the next chunk: n_batch, or less on a device that must not work for long at a time
    uint64_t idle_since; // clock when the last chunk was done

    struct bn_slot_copy *copies;        // [n_sessions], of the step under way
    float *adjusted;                    // [n_vocab], logits after penalties
    struct bn_candidate *adjusted_list; // [BN_TOP_MOST], likewise
    struct bn_candidate *candidates;    // [n_vocab], the best ones

    // Cancelling, see cancel.c: step number << 32 | sessions of that step not cancelled yet.
    _Atomic uint64_t live;
    uint32_t stop; // step number to be stopped; accessed with __atomic builtins, the device reads it
    uint32_t step;
    uint32_t n_ends; // end tokens of the vocabulary
    _Atomic uint64_t rows, outputs, scanned, rescored, recoveries, restored, wait_ns;
};

struct bn_session {
    struct bn_engine *engine;
    struct bn_session *next, **link; // of the engine's list
    struct bn_sampling sampling;
    int32_t *tokens; // [n_ctx]
    uint32_t *pages; // [pages_per_session]
    uint32_t n_pages;
    size_t length;
    size_t computed;        // of `length`, positions that the pages hold; fewer after the engine has changed its device
    size_t from;            // first position of its rows in the step under way
    _Atomic uint64_t state; // cancel.c
    bool in_step;
};

// pages.c. Room for positions length .. length + n - 1 of the session: pages are taken, and a shared last page is
// replaced. *copy is set to the pages to copy (from == to: none). Takes nothing on failure.
bool bn_session_reserve(struct bn_session *session, size_t n, struct bn_slot_copy *copy);
// Before the session's length changes: the copy was made, or was not and the shared page comes back.
void bn_session_settle_copy(struct bn_session *session, const struct bn_slot_copy *copy, bool copied);
// Gives back pages beyond `length` positions.
void bn_session_release(struct bn_session *session, size_t length);
enum bn_result bn_pages_init(struct bn_pages *pages, const struct bn_host *host, uint32_t n, struct bn_error *err);
void bn_pages_finish(struct bn_pages *pages, const struct bn_host *host);

// cancel.c. Around a step: begin counts the sessions that are not cancelled.
void bn_cancel_begin(struct bn_engine *engine, struct bn_step_item *items, size_t n_items);
void bn_cancel_end(struct bn_engine *engine, struct bn_step_item *items, size_t n_items);
bool bn_session_is_cancelled(const struct bn_session *session);

// trace.c. An event of the host that began at `start` and ends now, with what its kind tells; nothing without a trace.
enum bn_phase { BN_PHASE_STEP, BN_PHASE_BATCH, BN_PHASE_SUBMIT, BN_PHASE_WAIT, BN_PHASE_SAMPLE, BN_PHASE_RECOVER };
void bn_trace_phase(struct bn_trace *trace, enum bn_phase phase, uint64_t start, uint64_t a, uint64_t b, uint64_t c);
// A submission is done that the device began at `since` or later. There is a trace.
void bn_trace_submission(struct bn_engine *engine, uint64_t value, uint64_t since);
static inline uint64_t bn_trace_start(const struct bn_trace *trace)
{
    return trace ? bn_clock_ns() : 0;
}

// sample.c. As bn_session_sample and bn_session_sample_top, from what a step gave; `no_end`: end tokens are never chosen.
enum bn_result bn_sample(struct bn_session *session, const struct bn_step_item *item, bool no_end, int32_t *token,
                         struct bn_error *err);
size_t bn_sample_needs(const struct bn_session *session, bool no_end);

#endif
