// The worker team of a CPU device: the caller as worker 0 and n - 1 threads. It runs one phase at a time, cut into
// chunks that workers take as they come free; between phases it meets at a barrier.
#ifndef BN_DEVICES_CPU_TEAM_H
#define BN_DEVICES_CPU_TEAM_H

#include <bitnet/driver.h>

#include "runtime/base/thread.h"

struct phase;

struct worker {
    struct team *team;
    uint32_t index;
    pthread_t thread;
    struct bn_spin spin;
    uint8_t *scratch; // team->scratch_bytes of its own
    uint64_t work_ns; // if team->timed: spent working on phases; worker 0 may read it between phases
};

struct team {
    const struct bn_host *host;
    uint32_t n;
    struct worker *workers;
    size_t scratch_bytes;
    uint8_t *scratch;
    bool timed; // set before the first phase

    // Written by worker 0 before `go` changes.
    const struct phase *phase; // NULL: leave
    uint32_t items, chunk;
    _Alignas(64) struct bn_word go;
    _Alignas(64) struct bn_word arrived; // workers that finished the phase
    _Alignas(64) _Atomic uint32_t next;  // first item not taken yet
};

enum bn_result bn_team_create(const struct bn_host *host, uint32_t n, enum bn_wait_mode wait, struct team **out,
                              struct bn_error *err);
void bn_team_destroy(struct team *team);

// Makes sure that every worker has this much scratch memory. Not while a phase runs.
enum bn_result bn_team_reserve_scratch(struct team *team, size_t bytes, struct bn_error *err);

// Runs one phase to its end; the caller is worker 0. Returns whether the others took part.
bool bn_team_run(struct team *team, const struct phase *phase, uint32_t items, uint32_t chunk);

#endif
