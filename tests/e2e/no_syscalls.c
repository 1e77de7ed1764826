// Kernel bypass, in words that can be tested: with wait=spin, steps after the first make no system call, no allocation and no
// page fault inside the library. A seccomp filter on every thread of the process kills it at the first system call.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/harness.h"

enum { N_TOKENS = 200, SKIP = 77 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif
#else
static const bool sanitized = false;
#endif

static _Atomic long allocations;

static void *counting_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    allocations++;
    return posix_memalign(&memory, align, bytes) == 0 ? memory : NULL;
}

static void counting_free(void *user, void *memory)
{
    allocations++;
    free(memory);
}

// What the child reports; it can make no system call to say so.
struct report {
    int tokens;
    long allocations;
    bool done;
};

// Every system call but exit_group ends the process with SIGSYS, in every thread.
static bool forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

struct rig_state {
    struct bn_runtime *runtime;
    struct bn_engine *engine;
    struct bn_session *session;
    const float *logits;
};

static struct rig_state set_up(enum bn_wait_mode wait)
{
    struct rig_state rig;
    const struct bn_allocator allocator = {counting_alloc, counting_free, NULL};
    struct bn_runtime_config config;
    struct bn_device_options options;
    struct bn_model *model;
    struct bn_device *device;
    BN_INIT(config);
    BN_INIT(options);
    config.allocator = &allocator;
    options.threads = 2;
    options.wait = wait;
    char path[4096];
    snprintf(path, sizeof(path), "%s/stories.gguf", getenv("BITNET_TEST_MODELS"));
    MUST(bn_runtime_create(&config, &rig.runtime, &error));
    MUST(bn_model_open(rig.runtime, path, NULL, &model, &error));
    MUST(bn_device_open(rig.runtime, "cpu", &options, &device, &error));
    MUST(bn_engine_create(rig.runtime, model, device, NULL, &rig.engine, &error));
    MUST(bn_session_create(rig.engine, NULL, &rig.session, &error));
    return rig;
}

static void step(struct rig_state *rig, const int32_t *tokens, size_t n)
{
    struct bn_step_item item = {.session = rig->session, .tokens = tokens, .n_tokens = n, .n_logits = 1};
    if (bn_engine_step(rig->engine, &item, 1, &error) != BN_OK)
        _exit(1);
    rig->logits = item.logits;
}

static void child(struct report *report)
{
    struct rig_state rig = set_up(BN_WAIT_SPIN);
    int32_t token, prompt[4] = {2032, 428, 1000, 5};
    step(&rig, prompt, 4);
    long before = allocations;
    if (!forbid_system_calls())
        _exit(SKIP);
    for (; report->tokens < N_TOKENS; report->tokens++) {
        if (bn_session_sample(rig.session, rig.logits, &token, &error) != BN_OK)
            _exit(1);
        step(&rig, &token, 1);
    }
    report->allocations = allocations - before;
    report->done = true;
    _exit(0);
}

// Page faults and sleeps need system calls to be counted, so they are counted in a run of their own.
static void count(enum bn_wait_mode wait)
{
    struct rig_state rig = set_up(wait);
    int32_t token, prompt[4] = {2032, 428, 1000, 5};
    step(&rig, prompt, 4);
    for (int i = 0; i < 2; i++) { // the first steps map the code and touch the stacks
        if (bn_session_sample(rig.session, rig.logits, &token, &error) != BN_OK)
            exit(1);
        step(&rig, &token, 1);
    }
    struct rusage before, after;
    struct bn_engine_stats first, last;
    bn_engine_get_stats(rig.engine, &first);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < N_TOKENS; i++) {
        if (bn_session_sample(rig.session, rig.logits, &token, &error) != BN_OK)
            exit(1);
        step(&rig, &token, 1);
    }
    getrusage(RUSAGE_SELF, &after);
    bn_engine_get_stats(rig.engine, &last);
    long faults = after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt;
    printf("wait=%s: %d tokens, %ld page faults, slept %" PRIu64 " times, woken %" PRIu64 " times\n",
           wait == BN_WAIT_SPIN ? "spin" : "sleep", N_TOKENS, faults, last.sleeps - first.sleeps,
           last.wakes - first.wakes);
    if (wait == BN_WAIT_SPIN) {
        CHECK(faults == 0, "%ld page faults", faults);
        CHECK(last.sleeps == first.sleeps && last.wakes == first.wakes, "a thread slept");
    }
    CHECK(last.records == first.records, "commands were recorded again");

    // An idle engine uses no CPU: after a step its threads go to sleep.
    struct timespec pause = {wait == BN_WAIT_SPIN ? 1 : 0, 300000000}, rest = {0, 300000000}, start, end;
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    nanosleep(&rest, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double used = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    printf("  idle for 300 ms: %.3f ms of CPU time\n", used * 1e3);
    CHECK(used < 0.003, "an idle engine used %.3f ms of CPU time", used * 1e3);
}

int main(void)
{
    if (sanitized) {
        printf("skipped: sanitizers make system calls of their own\n");
        return SKIP;
    }
    struct report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        child(report);
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP) {
        printf("skipped: this kernel or container offers no seccomp filters\n");
        return SKIP;
    }
    CHECK(!WIFSIGNALED(status), "killed by signal %d (%s) after %d tokens", WTERMSIG(status),
          strsignal(WTERMSIG(status)), report->tokens);
    CHECK(report->done && report->tokens == N_TOKENS, "%d of %d tokens", report->tokens, N_TOKENS);
    CHECK(report->allocations == 0, "%ld allocations", report->allocations);
    printf("%d tokens under a filter that forbids every system call\n", report->tokens);
    count(BN_WAIT_SPIN);
    count(BN_WAIT_SLEEP);
    return finish();
}
