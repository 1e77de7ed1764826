// One step: the sessions' tokens as one run of rows, cut into chunks, at most one chunk running while the next is filled.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/device/op_check.h"
#include "runtime/engine/engine_impl.h"

struct step {
    struct bn_engine *engine;
    struct bn_step_item *items;
    size_t n_items;
    struct bn_error *err;
    size_t n_rows;    // of all items that take part
    size_t filled;    // rows put into slots
    size_t committed; // rows the device has finished
    size_t n_outputs; // put into slots
    size_t top;       // candidates asked for; 0: logits
    size_t item, row; // the next row: its item, and which of the item's
    struct {
        uint64_t value;
        size_t rows;
        uint64_t since; // clock when it was submitted
    } in_flight[BN_SLOTS];
    size_t n_in_flight;
};

static enum bn_result check_item(struct bn_engine *engine, const struct bn_step_item *item, struct bn_error *err)
{
    const struct bn_session *session = item->session;
    uint32_t n_vocab = engine->model->info.n_vocab;
    if (!item->tokens || item->n_tokens == 0 || item->n_logits > item->n_tokens)
        return bn_fail(err, BN_ERR_ARGUMENT, "%zu tokens and %zu rows of logits asked for", item->n_tokens,
                       item->n_logits);
    for (size_t i = 0; i < item->n_tokens; i++)
        if (item->tokens[i] < 0 || (uint32_t)item->tokens[i] >= n_vocab)
            return bn_fail(err, BN_ERR_ARGUMENT, "token %" PRId32 " is outside the vocabulary of %" PRIu32,
                           item->tokens[i], n_vocab);
    if (item->n_tokens > engine->config.n_ctx - session->length)
        return bn_fail(err, BN_ERR_CONTEXT_FULL, "%zu positions and %zu new tokens exceed the context of %" PRIu32,
                       session->length, item->n_tokens, engine->config.n_ctx);
    if (bn_session_is_cancelled(session))
        return bn_fail(err, BN_ERR_CANCELLED, "the session was cancelled");
    return BN_OK;
}

// What is wrong with the call as a whole.
static enum bn_result check_call(struct bn_engine *engine, const struct bn_step_item *items, size_t n_items,
                                 struct bn_error *err)
{
    if (!engine || (!items && n_items) || n_items > engine->config.n_sessions)
        return bn_fail(err, BN_ERR_ARGUMENT, "engine or items is NULL, or more items than sessions");
    enum bn_result result = BN_OK;
    size_t outputs = 0, seen = 0;
    for (; seen < n_items && result == BN_OK; seen++) {
        struct bn_session *session = items[seen].session;
        if (!session || session->engine != engine) {
            result = bn_fail(err, BN_ERR_ARGUMENT, "item %zu: no session of this engine", seen);
            break;
        }
        if (session->in_step) {
            result = bn_fail(err, BN_ERR_ARGUMENT, "item %zu: the session appears twice", seen);
            break;
        }
        session->in_step = true;
        outputs += items[seen].n_logits;
    }
    for (size_t i = 0; i < seen; i++)
        items[i].session->in_step = false;
    if (result == BN_OK && outputs > engine->config.n_outputs)
        return bn_fail(err, BN_ERR_ARGUMENT, "%zu rows of logits asked for, n_outputs is %" PRIu32, outputs,
                       engine->config.n_outputs);
    return result;
}

// Positions that this step computes again for the session, before its new tokens: its pages lost them with a device.
static size_t again(const struct bn_session *session)
{
    return session->length - session->from;
}

static size_t rows_of(const struct bn_step_item *item)
{
    return again(item->session) + item->n_tokens;
}

// Puts rows of one item into the slot.
static void fill_item(struct step *step, struct bn_slot *slot, const struct bn_slot_copy *copies, uint32_t room,
                      uint32_t *n_pages)
{
    struct bn_step_item *item = &step->items[step->item];
    struct bn_session *session = item->session;
    uint8_t *base = (uint8_t *)slot;
    struct bn_slot_row *rows = (void *)(base + slot->row_at);
    struct bn_slot_seq *seqs = (void *)(base + slot->seq_at);
    uint32_t *pages = (void *)(base + slot->page_at), *outputs = (void *)(base + slot->output_at);

    if (step->row == 0 && copies[step->item].from != copies[step->item].to)
        ((struct bn_slot_copy *)(void *)(base + slot->copy_at))[slot->n_copies++] = copies[step->item];
    memcpy(pages + *n_pages, session->pages, session->n_pages * sizeof(*pages));
    seqs[slot->n_seqs] = (struct bn_slot_seq){*n_pages, session->n_pages};
    *n_pages += session->n_pages;

    size_t n_again = again(session), n_rows = rows_of(item);
    for (uint32_t n = 0; n < room && step->row < n_rows; n++, step->row++) {
        size_t position = session->from + step->row;
        if (n_rows - step->row <= item->n_logits)
            outputs[slot->n_outputs++] = slot->n_rows;
        rows[slot->n_rows++] = (struct bn_slot_row){
            .token = (uint32_t)(step->row < n_again ? session->tokens[position] : item->tokens[step->row - n_again]),
            .position = (uint32_t)position,
            .seq = slot->n_seqs,
        };
    }
    slot->n_seqs++;
}

static enum bn_result submit_chunk(struct step *step, const struct bn_slot_copy *copies)
{
    struct bn_engine *engine = step->engine;
    struct bn_slot *slot;
    uint64_t start = bn_trace_start(engine->trace);
    enum bn_result result = bn_sched_begin(&engine->sched, &slot, step->err);
    if (result != BN_OK)
        return result;
    uint32_t n_pages = 0;
    slot->first_output = (uint32_t)step->n_outputs;
    slot->top = (uint32_t)step->top;
    while (step->item < step->n_items && slot->n_rows < engine->chunk_rows) {
        if (step->items[step->item].result == BN_OK)
            fill_item(step, slot, copies, engine->chunk_rows - slot->n_rows, &n_pages);
        if (step->items[step->item].result != BN_OK || step->row == rows_of(&step->items[step->item])) {
            step->item++;
            step->row = 0;
        }
    }
    size_t rows = slot->n_rows, outputs = slot->n_outputs;
    uint64_t value = engine->sched.submitted + 1;
    bn_trace_phase(engine->trace, BN_PHASE_BATCH, start, rows, outputs, value);
    uint64_t since = bn_clock_ns();
    result = bn_sched_submit(&engine->sched, &engine->stop, engine->step, &value, step->err);
    if (result != BN_OK)
        return result;
    step->filled += rows;
    step->n_outputs += outputs;
    step->in_flight[step->n_in_flight].value = value;
    step->in_flight[step->n_in_flight].since = since;
    step->in_flight[step->n_in_flight++].rows = rows;
    bn_trace_phase(engine->trace, BN_PHASE_SUBMIT, since, rows, outputs, value);
    atomic_fetch_add_explicit(&engine->rows, rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&engine->outputs, outputs, memory_order_relaxed);
    return BN_OK;
}

// A device with a watchdog takes a submission that lasts seconds for one that hangs. Chunks that took longer than LONG_NS are
// followed by smaller ones, full ones that took less than SHORT_NS by larger ones.
enum { LONG_NS = 100000000, SHORT_NS = 40000000 };

static void adapt_chunk(struct bn_engine *engine, size_t rows, uint64_t since)
{
    uint64_t now = bn_clock_ns(), took = now - (since > engine->idle_since ? since : engine->idle_since);
    engine->idle_since = now;
    if (engine->device->driver->drive) // works on our own thread, where no watchdog looks
        return;
    if (took > LONG_NS && rows > 1)
        engine->chunk_rows = (uint32_t)rows / 2;
    else if (took < SHORT_NS && rows >= engine->chunk_rows && engine->chunk_rows < engine->config.n_batch)
        engine->chunk_rows =
            engine->chunk_rows * 2 < engine->config.n_batch ? engine->chunk_rows * 2 : engine->config.n_batch;
}

// Waits for the oldest chunk in flight and looks at how it went.
static enum bn_result finish_oldest(struct step *step)
{
    struct bn_engine *engine = step->engine;
    uint64_t value = step->in_flight[0].value;
    size_t rows = step->in_flight[0].rows;
    uint64_t since = step->in_flight[0].since;
    step->in_flight[0] = step->in_flight[1];
    step->n_in_flight--;
    uint64_t start = bn_clock_ns();
    enum bn_result result = bn_sched_wait(&engine->sched, value, step->err);
    atomic_fetch_add_explicit(&engine->wait_ns, bn_clock_ns() - start, memory_order_relaxed);
    if (result != BN_OK)
        return result;
    if (engine->trace) {
        bn_trace_phase(engine->trace, BN_PHASE_WAIT, start, rows, 0, value);
        bn_trace_submission(engine, value, since > engine->idle_since ? since : engine->idle_since);
    }
    adapt_chunk(engine, rows, since);
    const struct bn_slot *slot = bn_sched_slot_of(&engine->sched, value);
    if (slot->status == BN_SLOT_STOPPED)
        return bn_fail(step->err, BN_ERR_CANCELLED, "the session was cancelled");
    if (slot->status == BN_SLOT_NOT_FINITE)
        return bn_fail_at(step->err, BN_ERR_NUMERIC, engine->device->info.id, NULL, UINT64_MAX,
                          "NaN or infinity in the activations at op %" PRIu32 " of the plan", slot->status_op);
    step->committed += rows;
    return BN_OK;
}

static enum bn_result run_chunks(struct step *step, const struct bn_slot_copy *copies)
{
    enum bn_result result = BN_OK;
    if (step->n_rows > 0 && !step->engine->device)
        return bn_fail(step->err, BN_ERR_DEVICE_LOST, "the engine is on no device; bn_engine_attach takes it to one");
    while (result == BN_OK && step->filled < step->n_rows) {
        if (step->n_in_flight == BN_SLOTS)
            result = finish_oldest(step);
        if (result == BN_OK)
            result = submit_chunk(step, copies);
    }
    while (step->n_in_flight > 0) {
        if (result == BN_OK) {
            result = finish_oldest(step);
        } else { // what follows a failed chunk is worthless, but its slot must come back
            struct bn_error ignored;
            (void)!bn_sched_wait(&step->engine->sched, step->in_flight[0].value, &ignored);
            step->in_flight[0] = step->in_flight[1];
            step->n_in_flight--;
        }
    }
    return result;
}

// How many candidates the device is asked for, if every item that wants logits is content with candidates.
static size_t choose_top(const struct bn_engine *engine, const struct bn_step_item *items, size_t n_items)
{
    size_t top = 0, outputs = 0;
    for (size_t i = 0; i < n_items; i++) {
        if (items[i].result != BN_OK || items[i].n_logits == 0)
            continue;
        if (items[i].n_logits > 1 || items[i].n_top == 0 || items[i].n_top > BN_TOP_MOST / 4)
            return 0;
        top = items[i].n_top > top ? items[i].n_top : top;
        outputs++;
    }
    return engine->scan.rows.buffer && outputs <= BN_TOP_OUTPUTS ? top : 0;
}

// What an item with logits gets: candidates if there are any.
static void give_output(struct step *step, struct bn_step_item *item, size_t output)
{
    struct bn_engine *engine = step->engine;
    const uint8_t *results = engine->results->host;
    const struct bn_top *top = (const void *)(results + engine->activations.tops.offset);
    if (step->top) {
        atomic_fetch_add_explicit(&engine->scanned, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&engine->rescored, top[output].rescored, memory_order_relaxed);
    }
    if (step->top && top[output].n)
        item->top = &top[output];
    else
        item->logits = (const float *)(const void *)(results + engine->activations.logits.offset) +
                       output * engine->model->info.n_vocab;
}

// Positions in pages that two sessions share.
static size_t shared_positions(const struct bn_session *a, const struct bn_session *b)
{
    uint32_t n = 0, most = a->n_pages < b->n_pages ? a->n_pages : b->n_pages;
    while (n < most && a->pages[n] == b->pages[n])
        n++;
    return (size_t)n * BN_PAGE_POSITIONS;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// What was computed again for one session is there for those that share its pages.
static void tell_sharers(const struct bn_session *session)
{
    for (struct bn_session *other = session->engine->sessions; other; other = other->next) {
        if (other == session || other->computed == other->length)
            continue;
        size_t there = least(least(shared_positions(session, other), session->computed), other->length);
        other->computed = there > other->computed ? there : other->computed;
    }
}

// Where the rows of an item begin: behind what its pages hold, or will hold when the items before it are done.
static void choose_from(const struct bn_step_item *items, size_t i)
{
    struct bn_session *session = items[i].session;
    session->from = session->computed;
    for (size_t j = 0; j < i && session->from < session->length; j++) {
        if (items[j].result != BN_OK)
            continue;
        size_t there = least(shared_positions(session, items[j].session), items[j].session->length);
        there = least(there, session->length);
        session->from = there > session->from ? there : session->from;
    }
}

// Takes pages for the items that take part, and counts their rows. `fresh`: the step begins here, and it is to be found out
// which they are. Returns the failure of the first item that does not.
static enum bn_result take_pages(struct step *step, struct bn_slot_copy *copies, bool fresh, struct bn_error *err)
{
    enum bn_result first = BN_OK;
    for (size_t i = 0; i < step->n_items; i++) {
        struct bn_step_item *item = &step->items[i];
        if (fresh) {
            item->logits = NULL;
            item->top = NULL;
            item->result = check_item(step->engine, item, first == BN_OK ? err : NULL);
        }
        if (item->result == BN_OK && !bn_session_reserve(item->session, item->n_tokens, &copies[i]))
            item->result = bn_fail(first == BN_OK ? err : NULL, BN_ERR_CONTEXT_FULL,
                                   "no free pages for %zu more positions; the KV pool has %" PRIu32 " pages of %d",
                                   item->n_tokens, step->engine->pages.n, BN_PAGE_POSITIONS);
        if (item->result != BN_OK) {
            first = first == BN_OK ? item->result : first;
            continue;
        }
        choose_from(step->items, i);
        step->n_rows += rows_of(item);
    }
    return first;
}

// Gives the pages back: nothing of the step has come to be.
static void give_back(struct step *step, struct bn_slot_copy *copies)
{
    for (size_t i = 0; i < step->n_items; i++) {
        struct bn_session *session = step->items[i].session;
        if (step->items[i].result != BN_OK)
            continue;
        bn_session_settle_copy(session, &copies[i], false);
        bn_session_release(session, session->length);
        copies[i] = (struct bn_slot_copy){0, 0};
    }
    step->committed = 0;
}

// The caller's way out of a lost device. BN_OK: the engine is on one that works.
static enum bn_result recover(struct step *step, struct bn_slot_copy *copies)
{
    struct bn_engine *engine = step->engine;
    struct bn_error lost = *step->err;
    uint64_t start = bn_trace_start(engine->trace);
    give_back(step, copies);
    enum bn_result result = engine->recover(engine->recover_user, engine, &lost, step->err);
    if (result == BN_OK && !engine->device)
        return bn_fail(step->err, BN_ERR_DEVICE_LOST, "the engine was not taken to another device");
    bn_trace_phase(engine->trace, BN_PHASE_RECOVER, start, 0, 0, 0);
    if (result == BN_OK)
        atomic_fetch_add_explicit(&engine->recoveries, 1, memory_order_relaxed);
    return result;
}

// What each item got: all rows, some, or none.
static void settle(struct step *step, const struct bn_slot_copy *copies, enum bn_result result)
{
    size_t committed = step->committed, output = 0;
    for (size_t i = 0; i < step->n_items; i++) {
        struct bn_step_item *item = &step->items[i];
        if (item->result != BN_OK)
            continue;
        struct bn_session *session = item->session;
        size_t rows = least(committed, rows_of(item)), n_again = again(session);
        size_t done = rows < n_again ? 0 : rows - n_again;
        committed -= rows;
        bn_session_settle_copy(session, &copies[i], rows > 0);
        if (done < item->n_tokens)
            item->result = result;
        // The device stops only for a step whose sessions were all cancelled; one may be resumed already.
        if (result == BN_ERR_CANCELLED || bn_session_is_cancelled(session)) {
            item->result = BN_ERR_CANCELLED;
            done = 0;
        }
        memcpy(session->tokens + session->length, item->tokens, done * sizeof(*item->tokens));
        session->length += done;
        bn_session_release(session, session->length);
        if (rows)
            session->computed = least(session->from + rows, session->length);
        if (rows && n_again) {
            atomic_fetch_add_explicit(&step->engine->restored, least(rows, n_again), memory_order_relaxed);
            tell_sharers(session);
        }
        if (item->result == BN_OK && item->n_logits)
            give_output(step, item, output);
        output += item->n_logits;
    }
}

static enum bn_result run_step(struct bn_engine *engine, struct bn_step_item *items, size_t n_items,
                               struct bn_error *err)
{
    enum bn_result result = check_call(engine, items, n_items, err);
    if (result != BN_OK)
        return result;
    struct bn_slot_copy *copies = engine->copies;
    struct bn_error failure;
    enum bn_result first = BN_OK;
    memset(&failure, 0, sizeof(failure));
    struct step step;
    uint64_t start = bn_trace_start(engine->trace);
    bool fresh = true;
    do {
        step = (struct step){.engine = engine, .items = items, .n_items = n_items, .err = &failure};
        enum bn_result refused = take_pages(&step, copies, fresh, first == BN_OK ? err : NULL);
        first = first == BN_OK ? refused : first;
        if (fresh)
            bn_cancel_begin(engine, items, n_items);
        fresh = false;
        step.top = choose_top(engine, items, n_items);
        result = run_chunks(&step, copies);
    } while (result == BN_ERR_DEVICE_LOST && engine->recover && (result = recover(&step, copies)) == BN_OK);
    settle(&step, copies, result);
    bn_cancel_end(engine, items, n_items);
    bn_trace_phase(engine->trace, BN_PHASE_STEP, start, n_items, step.n_rows, 0);
    for (size_t i = 0; i < n_items && first == BN_OK; i++) {
        first = items[i].result;
        if (first == BN_ERR_CANCELLED && result != BN_ERR_CANCELLED)
            bn_fail(&failure, first, "the session was cancelled");
        if (first != BN_OK && err)
            *err = failure;
    }
    return first;
}

enum bn_result bn_engine_step(struct bn_engine *engine, struct bn_step_item *items, size_t n_items,
                              struct bn_error *err)
{
    for (size_t i = 0; engine && items && i < n_items; i++)
        if (engine->model->pools_last && items[i].n_logits)
            return bn_fail(err, BN_ERR_UNSUPPORTED, "the model makes embeddings (bn_embed), no logits");
    return run_step(engine, items, n_items, err);
}

static enum bn_result unreachable(struct bn_error *err)
{
    return bn_fail(err, BN_ERR_UNSUPPORTED, "the host does not reach the hidden states on this device");
}

enum bn_result bn_embed(struct bn_session *session, const int32_t *tokens, size_t n_tokens, float *out,
                        struct bn_error *err)
{
    if (!session || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "session or out is NULL");
    struct bn_engine *engine = session->engine;
    if (engine->device && !engine->activations.final.buffer->host)
        return unreachable(err);
    struct bn_step_item item = {.session = session, .tokens = tokens, .n_tokens = n_tokens, .n_logits = 1, .n_top = 1};
    enum bn_result result = run_step(engine, &item, 1, err);
    if (result != BN_OK)
        return result;
    if (!engine->activations.final.buffer->host) // the device is another one now
        return unreachable(err);
    // The only output of the step is the first of its last chunk.
    const struct bn_span *final = &engine->activations.final;
    const float *state = (const float *)(const void *)((const uint8_t *) final->buffer->host + final->offset);
    double squares = 0;
    for (uint32_t i = 0; i < engine->model->info.n_embd; i++)
        squares += (double)state[i] * (double)state[i];
    if (!(squares > 0))
        return bn_fail(err, BN_ERR_NUMERIC, "the hidden state is all zeros and has no direction");
    double length = sqrt(squares);
    for (uint32_t i = 0; i < engine->model->info.n_embd; i++)
        out[i] = (float)((double)state[i] / length);
    return BN_OK;
}
