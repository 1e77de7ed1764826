#include "runtime/base/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"

enum bn_result bn_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument,
                               struct bn_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, main, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        char text[96];
        return bn_fail(err, BN_ERR_NO_MEMORY, "thread %s could not be started: %s", name,
                       bn_errno_text(error, text, sizeof(text)));
    }
    pthread_setname_np(*thread, name);
    return BN_OK;
}

enum { MOST_HELPERS = 63, PARTS_PER_THREAD = 8 };

struct parallel {
    uint64_t n, part;
    _Atomic uint64_t next;
    void (*run)(void *context, uint64_t begin, uint64_t end);
    void *context;
};

static void *take_parts(void *argument)
{
    struct parallel *p = argument;
    for (;;) {
        uint64_t begin = atomic_fetch_add_explicit(&p->next, p->part, memory_order_relaxed);
        if (begin >= p->n)
            return NULL;
        p->run(p->context, begin, p->n - begin < p->part ? p->n : begin + p->part);
    }
}

void bn_parallel(uint64_t n, void (*run)(void *context, uint64_t begin, uint64_t end), void *context)
{
    pthread_t threads[MOST_HELPERS];
    uint32_t cpus = bn_cpu_count(), helpers = cpus - 1 < MOST_HELPERS ? cpus - 1 : MOST_HELPERS, started = 0;
    struct parallel p = {.n = n, .part = n / ((uint64_t)cpus * PARTS_PER_THREAD), .run = run, .context = context};
    p.part += p.part == 0;
    helpers = n - 1 < helpers ? (uint32_t)(n - 1) : helpers;
    while (n > 0 && started < helpers &&
           bn_thread_start(&threads[started], "bitnet-load", take_parts, &p, NULL) == BN_OK)
        started++;
    take_parts(&p);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

enum { PAUSES_PER_LOOK = 32 };

void bn_spin_init(struct bn_spin *spin, uint32_t least_ns, uint32_t most_ns)
{
    spin->least_ns = least_ns;
    spin->most_ns = most_ns;
    spin->limit_ns = most_ns;
    atomic_store_explicit(&spin->sleeps, 0, memory_order_relaxed);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

// The word changed `waited` ns after the spin began: was it worth spinning?
static void adapt(struct bn_spin *spin, uint64_t waited)
{
    if (waited <= spin->most_ns) {
        uint64_t next = (uint64_t)spin->limit_ns * 2;
        spin->limit_ns = next < spin->most_ns ? (uint32_t)next : spin->most_ns;
    } else {
        spin->limit_ns = spin->limit_ns / 2 > spin->least_ns ? spin->limit_ns / 2 : spin->least_ns;
    }
}

uint32_t bn_word_wait(struct bn_word *word, uint32_t old, struct bn_spin *spin)
{
    uint32_t value = atomic_load_explicit(&word->value, memory_order_acquire);
    if (value != old)
        return value;
    for (int i = 0; i < PAUSES_PER_LOOK; i++) {
        bn_cpu_relax();
        value = atomic_load_explicit(&word->value, memory_order_acquire);
        if (value != old)
            return value;
    }
    uint64_t start = bn_clock_ns();
    while (bn_clock_ns() - start < spin->limit_ns) {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            bn_cpu_relax();
            value = atomic_load_explicit(&word->value, memory_order_acquire);
            if (value != old)
                return value;
        }
    }
    atomic_fetch_add(&word->sleepers, 1);
    bool slept = false;
    while ((value = atomic_load(&word->value)) == old) {
        futex_wait(&word->value, old);
        slept = true;
    }
    atomic_fetch_sub(&word->sleepers, 1);
    if (slept) {
        atomic_fetch_add_explicit(&spin->sleeps, 1, memory_order_relaxed);
        adapt(spin, bn_clock_ns() - start);
    }
    return value;
}

void bn_word_wake(struct bn_word *word)
{
    if (atomic_load(&word->sleepers) == 0)
        return;
    atomic_fetch_add_explicit(&word->wakes, 1, memory_order_relaxed);
    syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
