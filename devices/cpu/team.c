#include "devices/cpu/team.h"

#include <stdio.h>

#include "devices/cpu/command.h"
#include "runtime/base/clock.h"
#include "runtime/base/fail.h"

enum {
    LEAST_SPIN_NS = 2000,
    MOST_SPIN_NS = 100000,
    CROWDED_SPIN_NS = 1000,
    SPIN_MODE_NS = 1000000000,
    STACK_BYTES = 65536
};

static void take_chunks(struct team *team, struct worker *worker)
{
    const struct phase *phase = team->phase;
    uint32_t items = team->items, chunk = team->chunk;
    uint64_t start = team->timed ? bn_clock_ns() : 0;
    for (;;) {
        uint32_t begin = atomic_fetch_add_explicit(&team->next, chunk, memory_order_relaxed);
        if (begin >= items)
            break;
        phase->run(phase, worker, begin, items - begin < chunk ? items : begin + chunk);
    }
    if (team->timed)
        worker->work_ns += bn_clock_ns() - start;
}

// Which worker first runs a kernel is a matter of timing; its stack's pages are there before the first step all the same.
static void touch_stack(void)
{
    volatile uint8_t pages[STACK_BYTES];
    for (size_t i = 0; i < sizeof(pages); i += 1024)
        pages[i] = 0;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    touch_stack();
    struct team *team = worker->team;
    uint32_t seen = 0;
    for (;;) {
        seen = bn_word_wait(&team->go, seen, &worker->spin);
        if (!team->phase)
            return NULL;
        take_chunks(team, worker);
        atomic_fetch_add(&team->arrived.value, 1);
        bn_word_wake(&team->arrived);
    }
}

static void go(struct team *team)
{
    atomic_fetch_add(&team->go.value, 1);
    bn_word_wake(&team->go);
}

bool bn_team_run(struct team *team, const struct phase *phase, uint32_t items, uint32_t chunk)
{
    if (items == 0)
        return false;
    struct worker *self = &team->workers[0];
    if (team->n == 1 || items <= chunk) {
        phase->run(phase, self, 0, items);
        return false;
    }
    team->phase = phase;
    team->items = items;
    team->chunk = chunk;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_store_explicit(&team->arrived.value, 0, memory_order_relaxed);
    go(team);
    take_chunks(team, self);
    for (uint32_t arrived = 0; arrived != team->n - 1;)
        arrived = bn_word_wait(&team->arrived, arrived, &self->spin);
    return true;
}

enum bn_result bn_team_reserve_scratch(struct team *team, size_t bytes, struct bn_error *err)
{
    bytes = (bytes + 127) / 128 * 128 + 128; // workers do not share cache lines
    if (bytes <= team->scratch_bytes)
        return BN_OK;
    uint8_t *scratch = bn_alloc_array(team->host, team->n, bytes);
    if (!scratch)
        return bn_fail_memory(err, (uint64_t)bytes * team->n, "scratch memory of the CPU's workers");
    bn_free(team->host, team->scratch);
    team->scratch = scratch;
    team->scratch_bytes = bytes;
    for (uint32_t i = 0; i < team->n; i++)
        team->workers[i].scratch = scratch + i * bytes;
    return BN_OK;
}

static void stop_workers(struct team *team, uint32_t started)
{
    team->phase = NULL;
    go(team);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(team->workers[i].thread, NULL);
}

void bn_team_destroy(struct team *team)
{
    if (!team)
        return;
    stop_workers(team, team->n);
    bn_free(team->host, team->scratch);
    bn_free(team->host, team->workers);
    bn_free(team->host, team);
}

enum bn_result bn_team_create(const struct bn_host *host, uint32_t n, enum bn_wait_mode wait, struct team **out,
                              struct bn_error *err)
{
    struct team *team = bn_alloc(host, sizeof(*team));
    struct worker *workers = bn_alloc_array(host, n, sizeof(*workers));
    if (!team || !workers) {
        bn_free(host, team);
        bn_free(host, workers);
        return bn_fail_memory(err, n * sizeof(*workers), "the CPU's workers");
    }
    team->host = host;
    team->n = n;
    team->workers = workers;
    // With more workers than CPUs a spinning worker keeps another from working.
    uint32_t most = n > bn_cpu_count() ? CROWDED_SPIN_NS : MOST_SPIN_NS;
    uint32_t least = n > bn_cpu_count() ? CROWDED_SPIN_NS : LEAST_SPIN_NS;
    if (wait == BN_WAIT_SPIN)
        least = most = SPIN_MODE_NS;
    for (uint32_t i = 0; i < n; i++) {
        workers[i].team = team;
        workers[i].index = i;
        bn_spin_init(&workers[i].spin, least, most);
    }
    for (uint32_t i = 1; i < n; i++) {
        char name[16];
        snprintf(name, sizeof(name), "bitnet-cpu-%u", i % 1000);
        enum bn_result result = bn_thread_start(&workers[i].thread, name, worker_main, &workers[i], err);
        if (result != BN_OK) {
            stop_workers(team, i);
            bn_free(host, workers);
            bn_free(host, team);
            return result;
        }
    }
    *out = team;
    return BN_OK;
}
