// Threads, and words that threads wait on: spin first, then sleep in the kernel.
#ifndef BN_BASE_THREAD_H
#define BN_BASE_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/base/host.h"

#if defined(__x86_64__) || defined(__i386__)
#define bn_cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define bn_cpu_relax() __asm__ volatile("yield")
#else
#define bn_cpu_relax() atomic_signal_fence(memory_order_seq_cst)
#endif

// Starts a thread that blocks all signals. `name` has at most 15 characters.
enum bn_result bn_thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument,
                               struct bn_error *err);

// Calls run(context, begin, end) for parts of 0 .. n - 1, none of them twice, on as many threads as there are CPUs, the
// caller included; returns when all are done. A thread that cannot be had is no failure: the others do its part.
void bn_parallel(uint64_t n, void (*run)(void *context, uint64_t begin, uint64_t end), void *context);

// How long to spin on a word before sleeping. Adaptive: a sleep that spinning could have avoided lengthens the next
// spin, a long sleep shortens it.
struct bn_spin {
    uint32_t limit_ns; // now
    uint32_t least_ns, most_ns;
    _Atomic uint64_t sleeps; // times the waiter slept; counted for the statistics
};

void bn_spin_init(struct bn_spin *spin, uint32_t least_ns, uint32_t most_ns);

// A word that one or several threads wait on. The waker changes `value`, then calls bn_word_wake, which makes a system
// call only if somebody sleeps.
struct bn_word {
    _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
    _Atomic uint64_t wakes; // times a system call was needed
};

// Returns the word's value once it differs from `old`, with acquire order.
uint32_t bn_word_wait(struct bn_word *word, uint32_t old, struct bn_spin *spin);

// Wakes all waiters; call after the value was changed with sequentially consistent order.
void bn_word_wake(struct bn_word *word);

#endif
