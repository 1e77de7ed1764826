// Threads against each other; run it under TSan (./dev tsan). Every test has a deadline: a hang is a failure.
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/harness.h"

enum { DEADLINE_S = 240, N_TOKENS = 24 };

static void nap(long ns)
{
    struct timespec time = {0, ns};
    nanosleep(&time, NULL);
}

struct job {
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_device *device;
    int32_t tokens[N_TOKENS];
    enum bn_result result;
};

// An engine of its own, on a device that others use too: made, driven and destroyed while they run.
static void *generate(void *argument)
{
    struct job *job = argument;
    struct bn_error err;
    struct bn_engine *engine = NULL;
    struct bn_session *session = NULL;
    struct bn_engine_config config;
    BN_INIT(config);
    config.n_ctx = 64;
    config.n_batch = 4;
    job->result = bn_engine_create(job->runtime, job->model, job->device, &config, &engine, &err);
    if (job->result == BN_OK)
        job->result = bn_session_create(engine, NULL, &session, &err);
    int32_t prompt[6] = {2032, 428, 1000, 5, 6, 7};
    struct bn_step_item item = {.session = session, .tokens = prompt, .n_tokens = 6, .n_logits = 1};
    for (int i = 0; i < N_TOKENS && job->result == BN_OK; i++) {
        job->result = bn_engine_step(engine, &item, 1, &err);
        if (job->result == BN_OK)
            job->result = bn_session_sample(session, item.logits, &job->tokens[i], &err);
        item = (struct bn_step_item){.session = session, .tokens = &job->tokens[i], .n_tokens = 1, .n_logits = 1};
    }
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    return NULL;
}

static struct bn_device *open_device(struct bn_runtime *runtime, const char *name, uint32_t threads)
{
    struct bn_device_options options;
    struct bn_device *device;
    BN_INIT(options);
    options.threads = threads;
    MUST(bn_device_open(runtime, name, &options, &device, &error));
    return device;
}

// Several engines at once, two on one device and one on another, all with the same model: each as if alone.
static void engines(const char *name)
{
    struct rig rig = rig_open(&(struct rig_options){.device = name, .threads = 2, .engine = {.n_ctx = 64}});
    struct bn_device *other = open_device(rig.runtime, name, 1);
    struct job alone = {rig.runtime, rig.model, rig.device, {0}, BN_OK};
    generate(&alone);
    CHECK(alone.result == BN_OK, "alone: %s", bn_result_name(alone.result));
    for (int round = 0; round < 4; round++) {
        struct job jobs[3] = {{rig.runtime, rig.model, rig.device, {0}, BN_OK},
                              {rig.runtime, rig.model, rig.device, {0}, BN_OK},
                              {rig.runtime, rig.model, other, {0}, BN_OK}};
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, generate, &jobs[i]);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            CHECK(jobs[i].result == BN_OK, "%s engine %d: %s", name, i, bn_result_name(jobs[i].result));
            CHECK(memcmp(jobs[i].tokens, alone.tokens, sizeof(alone.tokens)) == 0, "%s engine %d: other tokens", name,
                  i);
        }
    }
    bn_device_close(other);
    rig_close(&rig);
}

struct canceller {
    struct bn_session *session;
    struct bn_engine *engine;
    _Atomic bool stop;
};

// Cancels, resumes and reads statistics without pause.
static void *cancel_and_look(void *argument)
{
    struct canceller *canceller = argument;
    struct bn_engine_stats stats;
    while (!canceller->stop) {
        bn_session_cancel(canceller->session);
        nap(20000);
        bn_session_resume(canceller->session);
        bn_engine_get_stats(canceller->engine, &stats);
        nap(50000);
    }
    bn_session_resume(canceller->session);
    return NULL;
}

// Whatever a cancel hits, the session's past stays whole: when all is over, its logits are those of an undisturbed one.
static void cancelling(const char *name)
{
    struct rig rig = rig_open(
        &(struct rig_options){.device = name, .threads = 2, .engine = {.n_ctx = 512, .n_batch = 8, .n_sessions = 3}});
    struct bn_session *victim, *witness, *fresh;
    MUST(bn_session_create(rig.engine, NULL, &victim, &error));
    MUST(bn_session_create(rig.engine, NULL, &witness, &error));
    struct canceller canceller = {.session = victim, .engine = rig.engine};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_and_look, &canceller);
    int32_t ids[300];
    for (int i = 0; i < 300; i++)
        ids[i] = i * 7 % 2000;
    size_t cancelled = 0, rounds = 0;
    for (; bn_session_length(victim) < 280 && rounds < 20000; rounds++) {
        size_t at = bn_session_length(victim), seen = bn_session_length(witness);
        struct bn_step_item items[2] = {
            {.session = victim, .tokens = ids + at, .n_tokens = 1 + rounds % 20, .n_logits = 1},
            {.session = witness, .tokens = ids + seen, .n_tokens = 1, .n_logits = 1},
        };
        size_t n = rounds % 3 == 0 || seen == 290 ? 1 : 2;
        enum bn_result result = bn_engine_step(rig.engine, items, n, &error);
        CHECK(result == BN_OK || result == BN_ERR_CANCELLED, "%s", bn_result_name(result));
        CHECK(n == 1 || items[1].result == BN_OK, "the witness was hit: %s", bn_result_name(items[1].result));
        CHECK(bn_session_length(victim) == (items[0].result == BN_OK ? at + items[0].n_tokens : at), "length");
        cancelled += items[0].result == BN_ERR_CANCELLED;
        if (items[0].result == BN_ERR_CANCELLED)
            nap(30000);
    }
    canceller.stop = true;
    pthread_join(thread, NULL);
    size_t length = bn_session_length(victim);
    CHECK(length >= 280, "only %zu positions in %zu rounds", length, rounds);
    MUST(bn_session_create(rig.engine, NULL, &fresh, &error));
    struct bn_step_item item = {.session = fresh, .tokens = ids, .n_tokens = length};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    item = (struct bn_step_item){.session = fresh, .tokens = ids, .n_tokens = 1, .n_logits = 1};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    float *expected = malloc(rig.n_vocab * sizeof(float));
    memcpy(expected, item.logits, rig.n_vocab * sizeof(float));
    item.session = victim;
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    CHECK(memcmp(expected, item.logits, rig.n_vocab * sizeof(float)) == 0, "a cancel damaged the session's past");
    printf("%s: %zu of %zu steps cancelled\n", name, cancelled, rounds);
    free(expected);
    bn_session_destroy(fresh);
    bn_session_destroy(victim);
    bn_session_destroy(witness);
    rig_close(&rig);
}

struct waiter {
    struct bn_queue *queue;
    enum bn_result result;
};

static void *wait_for_two(void *argument)
{
    struct waiter *waiter = argument;
    struct bn_error err;
    waiter->result = bn_queue_wait(waiter->queue, 2, UINT64_C(60000000000), &err);
    return NULL;
}

// A thread waits for a value that another has not submitted yet.
static void wait_before_signal(const char *name)
{
    struct bn_runtime *runtime;
    struct bn_queue *queue;
    struct bn_command *command;
    MUST(bn_runtime_create(NULL, &runtime, &error));
    struct bn_device *device = open_device(runtime, name, 2);
    struct bn_slot_limits limits = {1, 1, 1, 1, 1};
    struct bn_span slot = {NULL, 0, bn_slot_bytes(&limits)}, a = {NULL, 0, 64}, b = {NULL, 0, 64};
    MUST(bn_buffer_create(device, slot.size, &slot.buffer, &error));
    MUST(bn_buffer_create(device, a.size, &a.buffer, &error));
    MUST(bn_buffer_create(device, b.size, &b.buffer, &error));
    bn_slot_init(slot.buffer->host, &limits);
    struct bn_op op = {.kind = BN_OP_COPY, .rows = 1, .in = a, .out = b};
    MUST(bn_command_record(device, &op, 1, &slot, &command, &error));
    for (int round = 0; round < 20; round++) {
        MUST(bn_queue_open(device, &queue, &error));
        struct waiter waiter = {queue, BN_ERR_INTERNAL};
        pthread_t thread;
        pthread_create(&thread, NULL, wait_for_two, &waiter);
        nap(round * 50000);
        for (uint64_t signal = 1; signal <= 2; signal++) {
            struct bn_submission submission = {.command = command, .signal = signal};
            MUST(bn_queue_submit(queue, &submission, &error));
            nap(10000);
        }
        pthread_join(thread, NULL);
        CHECK(waiter.result == BN_OK, "%s", bn_result_name(waiter.result));
        bn_queue_close(queue);
    }
    CHECK(bn_queue_open(device, &queue, &error) == BN_OK, "queue");
    CHECK(bn_queue_wait(queue, 1, 3000000, &error) == BN_ERR_TIMEOUT, "a wait for nothing has a deadline");
    bn_queue_close(queue);
    bn_command_destroy(command);
    bn_buffer_destroy(slot.buffer);
    bn_buffer_destroy(a.buffer);
    bn_buffer_destroy(b.buffer);
    bn_device_close(device);
    bn_runtime_destroy(runtime);
}

int main(void)
{
    alarm(DEADLINE_S);
    static const char *const devices[] = {"cpu", "null"};
    for (int i = 0; i < 2; i++) {
        wait_before_signal(devices[i]);
        engines(devices[i]);
        cancelling(devices[i]);
    }
    return finish();
}
