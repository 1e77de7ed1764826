#include "convert/work.h"

#include <pthread.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/thread.h"

struct run {
    const struct bn_work *work;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    uint64_t next; // piece that nobody has yet
    uint64_t turn; // piece that is to be put in order
    enum bn_result result;
    struct bn_error *err;
};

struct worker {
    struct run *run;
    uint32_t number;
};

uint32_t bn_work_threads(uint32_t wish)
{
    uint32_t threads = wish ? wish : bn_cpu_count();
    return threads < BN_WORK_MOST_THREADS ? threads : BN_WORK_MOST_THREADS;
}

// With the lock. The first failure counts.
static void fail(struct run *run, enum bn_result result, const struct bn_error *err)
{
    if (run->result != BN_OK || result == BN_OK)
        return;
    run->result = result;
    if (run->err)
        *run->err = *err;
}

// Waits until all pieces before this one were put in order; false if the work has failed.
static bool wait_turn(struct run *run, uint64_t piece)
{
    while (run->turn != piece && run->result == BN_OK)
        pthread_cond_wait(&run->turned, &run->lock);
    return run->result == BN_OK;
}

// With the lock, which is let go of where others may work.
static void do_piece(struct run *run, uint32_t number, uint64_t piece)
{
    const struct bn_work *work = run->work;
    struct bn_error err = {0};
    pthread_mutex_unlock(&run->lock);
    enum bn_result result = work->make(work->user, number, piece, &err);
    pthread_mutex_lock(&run->lock);
    if (!wait_turn(run, piece))
        return;
    if (result == BN_OK) { // nobody else has this turn
        pthread_mutex_unlock(&run->lock);
        result = work->order(work->user, number, piece, &err);
        pthread_mutex_lock(&run->lock);
    }
    run->turn++;
    fail(run, result, &err);
    pthread_cond_broadcast(&run->turned);
    if (run->result != BN_OK)
        return;
    pthread_mutex_unlock(&run->lock);
    result = work->write(work->user, number, piece, &err);
    pthread_mutex_lock(&run->lock);
    if (result == BN_OK && run->result == BN_OK)
        result = work->done(work->user, number, piece, &err);
    fail(run, result, &err);
    if (result != BN_OK)
        pthread_cond_broadcast(&run->turned);
}

static void *work_on(void *argument)
{
    const struct worker *worker = argument;
    struct run *run = worker->run;
    pthread_mutex_lock(&run->lock);
    while (run->next < run->work->n_pieces && run->result == BN_OK)
        do_piece(run, worker->number, run->next++);
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

enum bn_result bn_work_run(const struct bn_work *work, struct bn_error *err)
{
    struct run run = {.work = work, .err = err};
    struct worker workers[BN_WORK_MOST_THREADS];
    pthread_t threads[BN_WORK_MOST_THREADS];
    uint32_t started = 1;
    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.turned, NULL);
    for (uint32_t i = 0; i < work->threads; i++)
        workers[i] = (struct worker){&run, i};
    while (started < work->threads && started < work->n_pieces &&
           bn_thread_start(&threads[started], "bitnet-convert", work_on, &workers[started], NULL) == BN_OK)
        started++;
    work_on(&workers[0]);
    while (started > 1)
        pthread_join(threads[--started], NULL);
    pthread_cond_destroy(&run.turned);
    pthread_mutex_destroy(&run.lock);
    return run.result;
}
