// What an engine says to a trace: phases of the host, and on a track for each queue its submissions with their ops.
#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/engine/engine_impl.h"
#include "runtime/observe/trace.h"

static const struct bn_trace_keys step_keys = {{"sessions", "rows"}}, chunk_keys = {{"rows", "outputs", "submission"}},
                                  submission_keys = {{"submission", "ops", "estimated"}},
                                  op_keys = {{"op", "part", "rows", "cols"}};

static const struct {
    const char *name;
    const struct bn_trace_keys *keys;
} phases[] = {
    [BN_PHASE_STEP] = {"step", &step_keys},      [BN_PHASE_BATCH] = {"batch", &chunk_keys},
    [BN_PHASE_SUBMIT] = {"submit", &chunk_keys}, [BN_PHASE_WAIT] = {"wait", &chunk_keys},
    [BN_PHASE_SAMPLE] = {"sample", NULL},        [BN_PHASE_RECOVER] = {"recover", NULL},
};

void bn_trace_phase(struct bn_trace *trace, enum bn_phase phase, uint64_t start, uint64_t a, uint64_t b, uint64_t c)
{
    if (!trace)
        return;
    bn_trace_add(trace, &(struct bn_trace_event){.name = phases[phase].name,
                                                 .keys = phases[phase].keys,
                                                 .start = start,
                                                 .end = bn_clock_ns(),
                                                 .values = {a, b, c}});
}

// The track of the queue that the engine has now.
static void name_queue(struct bn_engine *engine)
{
    char name[64];
    const struct bn_device_info *info = &engine->device->info;
    snprintf(name, sizeof(name), "queue of %s/%s", info->id, info->driver);
    engine->track = bn_trace_track(engine->trace, name);
    engine->tracked = engine->sched.queue;
    engine->traced_to = 0; // a new timeline
}

void bn_engine_set_trace(struct bn_engine *engine, struct bn_trace *trace)
{
    engine->trace = trace;
    engine->tracked = NULL;
}

// A submission whose spans are being read.
struct reading {
    uint64_t signal, start, end, n;
    uint64_t part; // of an op that takes several phases
    uint32_t op;
};

static void end_submission(struct bn_engine *engine, const struct reading *r)
{
    if (r->n == 0)
        return;
    bn_trace_add(engine->trace, &(struct bn_trace_event){.name = "submission",
                                                         .keys = &submission_keys,
                                                         .start = r->start,
                                                         .end = r->end,
                                                         .track = engine->track,
                                                         .values = {r->signal, r->n, 0}});
    engine->traced_to = r->signal;
}

static void add_op(struct bn_engine *engine, struct reading *r, const struct bn_op_span *span)
{
    if (r->n == 0 || span->signal != r->signal) {
        end_submission(engine, r);
        *r = (struct reading){.signal = span->signal, .start = span->start_ns, .end = span->end_ns, .op = span->op};
    } else {
        r->part = span->op == r->op ? r->part + 1 : 0;
        r->op = span->op;
        r->start = span->start_ns < r->start ? span->start_ns : r->start;
        r->end = span->end_ns > r->end ? span->end_ns : r->end;
    }
    r->n++;
    bn_trace_add(engine->trace, &(struct bn_trace_event){.name = bn_op_name(span->kind),
                                                         .keys = &op_keys,
                                                         .start = span->start_ns,
                                                         .end = span->end_ns,
                                                         .track = engine->track,
                                                         .values = {span->op, r->part, span->rows, span->cols}});
}

void bn_trace_submission(struct bn_engine *engine, uint64_t value, uint64_t since)
{
    enum { ROUND = 64 };
    struct bn_op_span spans[ROUND];
    struct reading r = {0};
    struct bn_error ignored;
    size_t n = ROUND;
    if (engine->tracked != engine->sched.queue)
        name_queue(engine);
    while (n == ROUND && bn_queue_take_spans(engine->sched.queue, spans, ROUND, &n, &ignored) == BN_OK)
        for (size_t i = 0; i < n; i++)
            add_op(engine, &r, &spans[i]);
    end_submission(engine, &r);
    if (engine->traced_to >= value) // the driver told
        return;
    bn_trace_add(engine->trace, &(struct bn_trace_event){.name = "submission",
                                                         .keys = &submission_keys,
                                                         .start = since,
                                                         .end = bn_clock_ns(),
                                                         .track = engine->track,
                                                         .values = {value, 0, 1}});
}
