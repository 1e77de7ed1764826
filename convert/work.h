// Pieces of a file, made on several threads, put in order, written.
#ifndef BN_CONVERT_WORK_H
#define BN_CONVERT_WORK_H

#include "runtime/base/host.h"

// More do not write faster than the disk or the page cache takes it, and each has memory of its own.
#define BN_WORK_MOST_THREADS 8u

struct bn_work {
    uint64_t n_pieces;
    uint32_t threads; // 1 .. BN_WORK_MOST_THREADS, of which the caller is one
    void *user;
    // Each is called once for each piece, with the number of the thread; the three calls for a piece come from the same thread, one
    // after the other. An error ends the work: the first one is returned, and pieces that were begun get no further call.
    // At the same time as others, in any order.
    enum bn_result (*make)(void *user, uint32_t thread, uint64_t piece, struct bn_error *err);
    // One piece after the other, in order.
    enum bn_result (*order)(void *user, uint32_t thread, uint64_t piece, struct bn_error *err);
    // At the same time as others, in any order.
    enum bn_result (*write)(void *user, uint32_t thread, uint64_t piece, struct bn_error *err);
    // One at a time, in any order.
    enum bn_result (*done)(void *user, uint32_t thread, uint64_t piece, struct bn_error *err);
};

// As many threads as asked for, 0: as many as there are CPUs; within the limits.
uint32_t bn_work_threads(uint32_t wish);

// Errors: those of the calls. A thread that cannot be had is no failure.
enum bn_result bn_work_run(const struct bn_work *work, struct bn_error *err);

#endif
