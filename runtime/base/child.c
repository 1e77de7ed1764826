#include "runtime/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"

enum { MAX_ENVIRONMENT = 4096, MAX_CHILDREN = 32, SHORT_NAP_MS = 2 };

extern char **environ;

static enum bn_result failed(struct bn_error *err, int error, const char *path)
{
    return bn_fail_errno(err, error, path, "the helper cannot be started");
}

// Signals as after login, whatever the calling thread blocks.
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return error;
}

static int spawn(pid_t *pid, int output, const char *const *argv, char *const *environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = set_signals(&attributes);
    if (!error) // first: `output` may be 0 or 2 where the application has closed these
        error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
#endif
#endif
    if (!error)
        error = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

enum bn_result bn_child_start(struct bn_child *child, const char *const *argv, const char *const *more,
                              struct bn_error *err)
{
    char *environment[MAX_ENVIRONMENT + 1];
    size_t n = 0;
    for (; more && more[n]; n++)
        environment[n] = (char *)(uintptr_t)more[n];
    for (char **word = environ; word && *word && n < MAX_ENVIRONMENT; word++)
        environment[n++] = *word;
    environment[n] = NULL;
    int ends[2];
    child->end = BN_CHILD_EXITED;
    child->code = -1;
    child->n_output = 0;
    child->output[0] = '\0';
    child->started = bn_clock_ns();
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return failed(err, errno, argv[0]);
    fcntl(ends[1], F_SETFL, 0); // the helper's end blocks
    int error = spawn(&child->pid, ends[1], argv, environment);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return failed(err, error, argv[0]);
    }
    child->fd = ends[0];
    // The child is not collected before bn_children_wait, so its number is still its own. Without pidfds (before Linux 5.3)
    // the end of its output tells.
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    child->end = BN_CHILD_RUNNING;
    return BN_OK;
}

// Takes what there is. False once there is nothing more to come, or too much came.
static bool drain(struct bn_child *child)
{
    for (;;) {
        size_t room = child->capacity - 1 - child->n_output;
        char more;
        ssize_t n = read(child->fd, room ? child->output + child->n_output : &more, room ? room : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        if (!room) {
            child->end = BN_CHILD_FLOODED;
            return false;
        }
        child->n_output += (size_t)n;
        child->output[child->n_output] = '\0';
    }
}

static void stop_reading(struct bn_child *child)
{
    if (child->fd >= 0)
        close(child->fd);
    child->fd = -1;
}

// Notes how it ended. False if it still runs.
static bool collect(struct bn_child *child, bool wait)
{
    siginfo_t info;
    info.si_pid = 0;
    int got;
    do
        got = waitid(P_PID, (id_t)child->pid, &info, WEXITED | (wait ? 0 : WNOHANG));
    while (got != 0 && errno == EINTR);
    if (got == 0 && info.si_pid == 0)
        return false;
    if (child->fd >= 0 && child->end == BN_CHILD_RUNNING)
        drain(child);
    if (child->end == BN_CHILD_RUNNING) {
        // ECHILD: the application ignores SIGCHLD or waits for any child; what was written has to do.
        child->end = got == 0 && info.si_code != CLD_EXITED ? BN_CHILD_KILLED : BN_CHILD_EXITED;
        child->code = got == 0 ? info.si_status : -1;
    }
    child->ns = bn_clock_ns() - child->started;
    stop_reading(child);
    if (child->pidfd >= 0)
        close(child->pidfd);
    child->pidfd = -1;
    return true;
}

static void kill_now(struct bn_child *child, enum bn_child_end why)
{
    child->end = why;
    if (child->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
    else
        kill(child->pid, SIGKILL);
    collect(child, true);
}

static void attend(struct bn_child *child, short output, short ended)
{
    if (output && child->fd >= 0 && !drain(child)) {
        if (child->end == BN_CHILD_FLOODED) {
            kill_now(child, BN_CHILD_FLOODED);
            return;
        }
        stop_reading(child);
    }
    if (ended || (child->pidfd < 0 && child->fd < 0))
        collect(child, false);
}

void bn_children_wait(struct bn_child *children, size_t n, uint64_t timeout_ns)
{
    uint64_t start = bn_clock_ns();
    n = n < MAX_CHILDREN ? n : MAX_CHILDREN;
    for (;;) {
        struct pollfd polls[2 * MAX_CHILDREN];
        size_t running = 0;
        bool nap = false;
        for (size_t i = 0; i < n; i++) {
            bool runs = children[i].end == BN_CHILD_RUNNING;
            polls[2 * i] = (struct pollfd){.fd = runs ? children[i].fd : -1, .events = POLLIN};
            polls[2 * i + 1] = (struct pollfd){.fd = runs ? children[i].pidfd : -1, .events = POLLIN};
            nap |= runs && children[i].pidfd < 0 && children[i].fd < 0;
            running += runs;
        }
        if (!running)
            return;
        uint64_t passed = bn_clock_ns() - start;
        if (passed >= timeout_ns)
            break;
        uint64_t ms = (timeout_ns - passed) / 1000000 + 1;
        poll(polls, 2 * n, nap ? SHORT_NAP_MS : ms < 60000 ? (int)ms : 60000);
        for (size_t i = 0; i < n; i++) {
            if (children[i].end == BN_CHILD_RUNNING)
                attend(&children[i], polls[2 * i].revents, polls[2 * i + 1].revents);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (children[i].end == BN_CHILD_RUNNING && !collect(&children[i], false))
            kill_now(&children[i], BN_CHILD_TIMED_OUT);
    }
}
