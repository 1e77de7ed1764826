// Helper processes: started without fork in our code, watched through a pidfd, never through SIGCHLD.
#ifndef BN_BASE_CHILD_H
#define BN_BASE_CHILD_H

#include <sys/types.h>

#include <bitnet/error.h>

// How a helper ended.
enum bn_child_end {
    BN_CHILD_EXITED, // code: its exit status; -1 if somebody else has collected it
    BN_CHILD_RUNNING,
    BN_CHILD_KILLED,    // code: the signal
    BN_CHILD_TIMED_OUT, // and was killed for it
    BN_CHILD_FLOODED,   // wrote more than the memory given, and was killed for it
};

struct bn_child {
    char *output; // memory of the caller for what it writes to its standard output; terminated
    size_t capacity;
    size_t n_output;
    enum bn_child_end end;
    int code;
    uint64_t ns; // from its start to its end
    // Private.
    uint64_t started;
    pid_t pid;
    int pidfd, fd;
};

// Starts a program with an environment like ours, `more` (of "NAME=value", NULL at the end) put in front. Standard input
// and standard error are /dev/null. Set `output` and `capacity` before.
// Errors: BN_ERR_IO.
enum bn_result bn_child_start(struct bn_child *child, const char *const *argv, const char *const *more,
                              struct bn_error *err);

// Returns when all those that are BN_CHILD_RUNNING have ended. Kills those that run after `timeout_ns`.
void bn_children_wait(struct bn_child *children, size_t n, uint64_t timeout_ns);

#endif
