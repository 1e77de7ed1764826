#include "run/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bn_session *_Atomic watched;
static volatile sig_atomic_t count, terminated;

static void on_signal(int number)
{
    if (number == SIGTERM)
        terminated = 1;
    count++;
    if (count >= 2)
        signal(number, SIG_DFL);
    struct bn_session *session = atomic_load(&watched);
    if (session)
        bn_session_cancel(session);
}

void interrupts_watch(struct bn_session *session)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    atomic_store(&watched, session);
    if (session) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
}

unsigned interrupts_count(void)
{
    return (unsigned)count;
}

bool interrupts_terminated(void)
{
    return terminated;
}

int interrupts_exit_code(void)
{
    return count == 0 ? 0 : 128 + (terminated ? SIGTERM : SIGINT);
}

void interrupts_forgive(void)
{
    if (count == 1 && !terminated)
        count = 0;
}

static char *buffer;
static size_t held, start, capacity;

// A signal that arrives between the look at `count` and the wait must end the wait: ppoll unblocks it atomically.
static int wait_for_input(void)
{
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &both, &before);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = count ? -1 : ppoll(&input, 1, NULL, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count ? -1 : ready;
}

int read_line(char **line, size_t *bytes)
{
    if (start < held)
        memmove(buffer, buffer + start, held - start);
    held -= start;
    start = 0;
    for (size_t looked = 0;;) {
        char *newline = held > looked ? memchr(buffer + looked, '\n', held - looked) : NULL;
        if (newline) {
            *newline = '\0';
            *line = buffer;
            *bytes = (size_t)(newline - buffer);
            start = *bytes + 1;
            return 1;
        }
        looked = held;
        if (capacity - held < 2) {
            size_t larger = capacity ? capacity * 2 : 4096;
            char *grown = realloc(buffer, larger);
            if (!grown)
                return -1;
            buffer = grown;
            capacity = larger;
        }
        if (wait_for_input() < 0 && (count || errno != EINTR))
            return -1;
        ssize_t n = read(STDIN_FILENO, buffer + held, capacity - held - 1);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        if (n > 0)
            held += (size_t)n;
        if (n == 0 && held == 0)
            return 0;
        if (n == 0) { // the last line has no newline
            buffer[held] = '\0';
            *line = buffer;
            *bytes = held;
            start = held;
            return 1;
        }
    }
}
