// Cancelling without locks, so that a signal handler may do it.
//
// session.state: bit 0 cancelled, bit 1 in a step, bit 2 taken off, the step's number from bit 32 up. Whoever cancels a
// session that is in a step takes it off engine.live, once per step however often it is resumed and cancelled again; the one
// who takes the last session off stops the device by writing the step's number to engine.stop. The number in live keeps a
// cancel that comes late from touching the next step.
#include "runtime/engine/engine_impl.h"

#define CANCELLED UINT64_C(1)
#define RUNNING UINT64_C(2)
#define TAKEN_OFF UINT64_C(4)

static void take_off(struct bn_engine *engine, uint32_t step)
{
    uint64_t live = atomic_load(&engine->live);
    do {
        if ((uint32_t)(live >> 32) != step || (uint32_t)live == 0)
            return;
    } while (!atomic_compare_exchange_weak(&engine->live, &live, live - 1));
    if ((uint32_t)live == 1)
        __atomic_store_n(&engine->stop, step, __ATOMIC_RELAXED);
}

void bn_session_cancel(struct bn_session *session)
{
    uint64_t before = atomic_fetch_or(&session->state, CANCELLED | TAKEN_OFF);
    if ((before & RUNNING) && !(before & TAKEN_OFF))
        take_off(session->engine, (uint32_t)(before >> 32));
}

void bn_session_resume(struct bn_session *session)
{
    atomic_fetch_and(&session->state, ~CANCELLED);
}

bool bn_session_is_cancelled(const struct bn_session *session)
{
    return atomic_load(&session->state) & CANCELLED;
}

void bn_cancel_begin(struct bn_engine *engine, struct bn_step_item *items, size_t n_items)
{
    uint32_t step = ++engine->step == 0 ? ++engine->step : engine->step;
    uint32_t n = 0;
    for (size_t i = 0; i < n_items; i++)
        n += items[i].result == BN_OK;
    atomic_store(&engine->live, (uint64_t)step << 32 | n);
    for (size_t i = 0; i < n_items; i++) {
        if (items[i].result != BN_OK)
            continue;
        uint64_t state = atomic_load(&items[i].session->state), next;
        do
            next = (uint64_t)step << 32 | RUNNING | (state & CANCELLED ? CANCELLED | TAKEN_OFF : 0);
        while (!atomic_compare_exchange_weak(&items[i].session->state, &state, next));
        if (state & CANCELLED)
            take_off(engine, step);
    }
}

void bn_cancel_end(struct bn_engine *engine, struct bn_step_item *items, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++)
        atomic_fetch_and(&items[i].session->state, ~RUNNING);
}
