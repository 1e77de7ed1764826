// How far apart the cores are: the time in which a word goes from one to another and back. Cores that share a cache need some
// 50 ns (Zen 4), others six times that; the latter may read more memory together, as each has its own way to it.
#include "bench/bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { ROUNDS = 2000, TRIES = 3, MOST_CORES = 16, PATIENCE_MS = 50, CHECK_TIME = 65536 };

struct pair {
    int cpu[2];
    double ns; // out
    _Alignas(128) _Atomic uint32_t word;
    _Alignas(128) _Atomic bool given_up; // somebody else has the core
};

static bool await(struct pair *pair, uint32_t value)
{
    double end = bench_seconds() + PATIENCE_MS * 1e-3;
    for (uint32_t spins = 1; atomic_load_explicit(&pair->word, memory_order_acquire) != value; spins++) {
        if (spins % CHECK_TIME == 0 && bench_seconds() > end)
            atomic_store(&pair->given_up, true);
        if (atomic_load_explicit(&pair->given_up, memory_order_relaxed))
            return false;
    }
    return true;
}

static void stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set,
                      &set); // if it cannot, the pair gives up or measures something else: a figure, no more
}

static void *ask(void *argument)
{
    struct pair *pair = argument;
    stay_on(pair->cpu[0]);
    uint32_t value = 0;
    for (int try = 0; try < TRIES; try++) {
        double start = bench_seconds();
        for (int i = 0; i < ROUNDS; i++, value += 2) {
            atomic_store_explicit(&pair->word, value + 1, memory_order_release);
            if (!await(pair, value + 2))
                return NULL;
        }
        pair->ns = fmin(pair->ns, (bench_seconds() - start) / ROUNDS * 1e9);
    }
    return NULL;
}

static void *answer(void *argument)
{
    struct pair *pair = argument;
    stay_on(pair->cpu[1]);
    for (uint32_t value = 0; value < 2 * ROUNDS * TRIES && await(pair, value + 1); value += 2)
        atomic_store_explicit(&pair->word, value + 2, memory_order_release);
    return NULL;
}

static double try_pair(int first, int second)
{
    static void *(*const mains[2])(void *) = {ask, answer};
    struct pair pair = {.cpu = {first, second}, .ns = NAN};
    pthread_t threads[2];
    int started = 0;
    while (started < 2 && pthread_create(&threads[started], NULL, mains[started], &pair) == 0)
        started++;
    if (started < 2)
        atomic_store(&pair.given_up, true);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return pair.ns;
}

double handoff_ns(uint32_t threads)
{
    cpu_set_t set;
    double most = NAN;
    if (threads < 2 || sched_getaffinity(0, sizeof set, &set) != 0)
        return NAN;
    int cpus[CPU_SETSIZE], n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[n++] = cpu;
    for (int i = 1; i<n; i += n> MOST_CORES ? n / MOST_CORES : 1)
        most = fmax(most, try_pair(cpus[0], cpus[i]));
    return most;
}
