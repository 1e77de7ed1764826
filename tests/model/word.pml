/* The sleep and wake protocol of runtime/base/thread.c, for spin: bn_word_wait and bn_word_wake.
 *
 * A waker changes `value` (sequentially consistent), then makes the wake-up call only if `sleepers` is not 0. A waiter that
 * has stopped spinning raises `sleepers`, and calls futex_wait with the old value, which sleeps only if the word still has it.
 * Claim: nobody sleeps for ever although the value has changed. spin looks for invalid end states, so a lost wake-up is a
 * deadlock it finds. -DBROKEN leaves out the waiter's announcement's order and must be found faulty.
 */
#define WAITERS 2
#define CHANGES 2

byte value = 0;     /* grows with every change */
byte sleepers = 0;
byte asleep = 0;    /* bit per waiter: in the kernel's queue */

/* The kernel compares and goes to sleep under one lock. */
inline futex_wait(old) {
    atomic {
        if
        :: value == old -> asleep = asleep | (1 << _pid)
        :: else
        fi
    };
    (asleep & (1 << _pid)) == 0
}

inline futex_wake_all() {
    atomic { asleep = 0 }
}

active [WAITERS] proctype waiter() {
    byte seen = 0;
    do
    :: seen == CHANGES -> break
    :: seen != CHANGES && value != seen -> seen = value   /* while spinning */
    :: seen != CHANGES && value == seen ->               /* spun long enough */
#ifdef BROKEN
        if
        :: value == seen -> skip
        :: else -> goto changed
        fi;
        sleepers = sleepers + 1;
        atomic { asleep = asleep | (1 << _pid) };   /* sleeps without looking again */
        (asleep & (1 << _pid)) == 0;
#else
        atomic { sleepers = sleepers + 1 };
        do
        :: value == seen -> futex_wait(seen)
        :: value != seen -> break
        od;
#endif
        atomic { sleepers = sleepers - 1 };
#ifdef BROKEN
changed:
#endif
        seen = value
    od
}

active proctype waker() {
    byte i = 0;
    do
    :: i == CHANGES -> break
    :: else ->
        atomic { value = value + 1; i = i + 1 };
        if
        :: sleepers != 0 -> futex_wake_all()
        :: sleepers == 0
        fi
    od
}
