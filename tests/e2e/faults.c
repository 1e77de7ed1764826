// Every call of every slot of a driver fails once, in every way: the run gives the same tokens or a typed error, holds
// nothing afterwards, and never hangs. The decorator does the failing, so it works for any driver. Below the Vulkan driver a library
// between it and the loader fails (tests/fake/between): then the driver's own answers to results of Vulkan are what is tested.
#include <bitnet/driver.h>
#include <dlfcn.h>
#include <unistd.h>

#include "runtime/device/fault.h"
#include "tests/e2e/counting.h"

enum { N_TOKENS = 8, MOST_CALLS = 24, DEADLINE_S = 240 };
static uint32_t n_batch = 4;

static enum bn_result generate(struct bn_device *device, int32_t *tokens)
{
    struct bn_engine *engine = NULL;
    struct bn_session *session = NULL;
    struct bn_engine_config config;
    BN_INIT(config);
    config.n_ctx = 64;
    config.n_batch = n_batch;
    enum bn_result result = bn_engine_create(runtime, model, device, &config, &engine, &error);
    if (result == BN_OK)
        result = bn_session_create(engine, NULL, &session, &error);
    int32_t ids[9] = {2032, 428, 1000, 5, 6, 7, 8, 9, 10}; // three chunks
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = 9, .n_logits = 1};
    for (int i = 0; i < N_TOKENS && result == BN_OK; i++) {
        result = bn_engine_step(engine, &item, 1, &error);
        if (result == BN_OK)
            result = bn_session_sample(session, item.logits, &tokens[i], &error);
        item = (struct bn_step_item){.session = session, .tokens = &tokens[i], .n_tokens = 1, .n_logits = 1};
    }
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    return result;
}

// Opens, generates, closes under a plan. counts may be NULL.
static enum bn_result run(const char *driver, const char *plan, int32_t *tokens, uint64_t *counts)
{
    struct bn_device *device;
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = 2;
    options.fault = plan;
    enum bn_result result = bn_device_open(runtime, driver, &options, &device, &error);
    if (result == BN_OK) {
        result = generate(device, tokens);
        if (counts)
            bn_fault_counts(device, counts);
        bn_device_close(device);
    }
    return result;
}

// `named`: what fails, if it is not the plan.
static enum bn_result inject_named(const char *driver, const char *plan, const char *named, bool must_work,
                                   const int32_t *expected, unsigned *failed)
{
    int32_t tokens[N_TOKENS] = {0};
    long before = allocated;
    memset(&error, 0, sizeof(error));
    enum bn_result result = run(driver, plan, tokens, NULL);
    plan = named ? named : plan;
    *failed += result != BN_OK;
    CHECK(!must_work || result == BN_OK, "%s: %s", plan, bn_result_name(result));
    CHECK(result != BN_OK || memcmp(tokens, expected, sizeof(tokens)) == 0, "%s: other tokens", plan);
    CHECK(result == BN_OK || (error.code == result && error.message[0]), "%s: %s without a message", plan,
          bn_result_name(result));
    CHECK(allocated == before, "%s: %ld allocations were lost", plan, allocated - before);
    return result;
}

static void inject(const char *driver, const char *plan, bool must_work, const int32_t *expected, unsigned *failed)
{
    inject_named(driver, plan, NULL, must_work, expected, failed);
}

static void visit(const char *driver)
{
    static const char *const once[] = {"lost", "oom", "delay"};
    static const char *const other[] = {"host-oom", "busy", "timeout", "unavailable", "unsupported", "numeric"};
    char plan[96];
    int32_t expected[N_TOKENS];
    uint64_t counts[BN_FAULT_SLOTS] = {0};
    unsigned runs = 0, failed = 0;
    snprintf(plan, sizeof(plan), "%s:submit@1000000=lost", driver);
    MUST(run(driver, plan, expected, counts));
    for (int slot = 0; slot < BN_FAULT_SLOTS; slot++) {
        const char *name = bn_fault_slot_name(slot);
        for (uint64_t call = 1; call <= counts[slot] && call <= MOST_CALLS; call++)
            for (size_t f = 0; f < sizeof(once) / sizeof(once[0]); f++, runs++) {
                snprintf(plan, sizeof(plan), "%s:%s@%" PRIu64 "=%s", driver, name, call, once[f]);
                inject(driver, plan, strcmp(once[f], "delay") == 0, expected, &failed);
            }
        for (size_t f = 0; f < sizeof(other) / sizeof(other[0]) && counts[slot]; f++, runs += 2) {
            snprintf(plan, sizeof(plan), "%s:%s@%" PRIu64 "=%s", driver, name, counts[slot], other[f]);
            inject(driver, plan, false, expected, &failed);
            snprintf(plan, sizeof(plan), "%s:%s@*=%s", driver, name, other[f]);
            inject(driver, plan, false, expected, &failed);
        }
        printf("%s %-8s %" PRIu64 " calls\n", driver, name, counts[slot]);
    }
    CHECK(failed > 0, "no fault had an effect");
    printf("%s: %u runs, %u ended with a typed error\n", driver, runs, failed);
}

// The same of a device whose opening takes long: the first and the last call of each slot are lost, or out of memory.
static void visit_briefly(const char *driver)
{
    static const char *const faults[] = {"lost", "oom"};
    char plan[96];
    int32_t expected[N_TOKENS], again[N_TOKENS];
    uint64_t counts[BN_FAULT_SLOTS] = {0};
    unsigned runs = 0, failed = 0;
    snprintf(plan, sizeof(plan), "%s:submit@1000000=lost", driver);
    MUST(run(driver, plan, expected, counts));
    for (int slot = 0; slot < BN_FAULT_SLOTS; slot++)
        for (int i = 0; i < 4 && counts[slot] > 0; i++, runs++) {
            snprintf(plan, sizeof(plan), "%s:%s@%" PRIu64 "=%s", driver, bn_fault_slot_name(slot),
                     i < 2 ? 1 : counts[slot], faults[i % 2]);
            inject(driver, plan, false, expected, &failed);
        }
    MUST(run(driver, NULL, again, NULL));
    CHECK(memcmp(again, expected, sizeof(again)) == 0, "the device, opened again, gives other tokens");
    CHECK(failed > 0, "no fault had an effect");
    printf("%s: %u runs, %u ended with a typed error\n", driver, runs, failed);
}

// Results of Vulkan, what they are to us, and up to which call they are tried, ever farther apart; BN_OK: the driver does without.
static const struct {
    const char *function;
    int native;
    enum bn_result result;
    unsigned most;
} natives[] = {
    {"QueueSubmit", -4, BN_ERR_DEVICE_LOST, 64},
    {"QueueSubmit", -2, BN_ERR_DEVICE_MEMORY, 1},
    {"GetSemaphoreCounterValue", -4, BN_ERR_DEVICE_LOST, 8},
    {"GetSemaphoreCounterValue", -1, BN_ERR_NO_MEMORY, 1},
    {"WaitForFences", -4, BN_ERR_DEVICE_LOST, 8},
    {"WaitSemaphores", -4, BN_OK, 1}, // a lost device says so when it is asked for the value
    {"ResetFences", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"AllocateMemory", -2, BN_ERR_DEVICE_MEMORY, 64},
    {"AllocateMemory", -1, BN_ERR_NO_MEMORY, 2},
    {"AllocateMemory", -10, BN_ERR_DEVICE_MEMORY, 2}, // too many objects
    {"CreateBuffer", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"BindBufferMemory", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"MapMemory", -5, BN_ERR_INTERNAL, 2},
    {"GetMemoryHostPointerPropertiesEXT", -1000072003, BN_OK, 2}, // weights are copied
    {"CreateDevice", -3, BN_ERR_UNAVAILABLE, 1},
    {"CreateDevice", -8, BN_ERR_UNAVAILABLE, 1},
    {"CreateCommandPool", -1, BN_ERR_NO_MEMORY, 2},
    {"CreatePipelineLayout", -1, BN_ERR_NO_MEMORY, 1},
    {"CreatePipelineCache", -1, BN_OK, 1},
    {"CreateShaderModule", -1, BN_ERR_NO_MEMORY, 2},
    {"CreateComputePipelines", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"AllocateCommandBuffers", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"BeginCommandBuffer", -1, BN_ERR_NO_MEMORY, 2},
    {"EndCommandBuffer", -2, BN_ERR_DEVICE_MEMORY, 2},
    {"CreateSemaphore", -1, BN_ERR_NO_MEMORY, 1},
    {"CreateFence", -1, BN_ERR_NO_MEMORY, 2},
};

// Sets the pointer to a function of the library.
static bool find(void *library, const char *name, void *pointer)
{
    void *address = library ? dlsym(library, name) : NULL;
    memcpy(pointer, &address, sizeof(address));
    return address != NULL;
}

static void visit_natives(void *between)
{
    void (*fail)(const char *, unsigned, int);
    unsigned (*calls)(void);
    void (*two_families)(int);
    if (!find(between, "between_fail", &fail) || !find(between, "between_calls", &calls) ||
        !find(between, "between_families", &two_families)) {
        CHECK(false, "libvulkan.so.1 is not that of tests/fake/between");
        return;
    }
    int32_t expected[N_TOKENS], again[N_TOKENS];
    unsigned runs = 0, failed = 0;
    n_batch = 1; // the fewer commands, the less lavapipe has to compile
    MUST(run("vulkan", NULL, expected, NULL));
    for (size_t i = 0; i < sizeof(natives) / sizeof(natives[0]); i++) {
        bool met = true;
        for (unsigned at = 1; met && at <= natives[i].most; at += 1 + at / 4, runs++) {
            char what[96];
            snprintf(what, sizeof(what), "call %u of %s gives %d", at, natives[i].function, natives[i].native);
            fail(natives[i].function, at, natives[i].native);
            enum bn_result want = natives[i].result;
            enum bn_result result = inject_named("vulkan", NULL, what, want == BN_OK, expected, &failed);
            met = calls() >= at;
            CHECK(result == want || result == BN_OK, "%s: %s: %s", what, bn_result_name(result), error.message);
            CHECK(met || at > 1, "%s is not called", natives[i].function);
            CHECK(result != BN_ERR_DEVICE_LOST || strcmp(natives[i].function, "GetSemaphoreCounterValue") != 0 ||
                      strstr(error.message, "was the last to end"),
                  "%s: %s", what, error.message);
            CHECK(result != BN_ERR_DEVICE_LOST || error.native == natives[i].native, "%s: native %d", what,
                  (int)error.native);
        }
    }
    fail(NULL, 0, 0);
    two_families(1); // uploads on a queue of their own
    MUST(run("vulkan", NULL, again, NULL));
    CHECK(memcmp(again, expected, sizeof(again)) == 0, "two families give other tokens");
    two_families(0);
    MUST(run("vulkan", NULL, again, NULL));
    CHECK(memcmp(again, expected, sizeof(again)) == 0, "the device, opened again, gives other tokens");
    printf("vulkan: %u runs, %u ended with a typed error\n", runs, failed);
}

// Whether the driver is in this build and has a device here.
static bool is_here(const char *driver)
{
    struct bn_device *device;
    enum bn_result result = bn_device_open(runtime, driver, NULL, &device, &error);
    if (result == BN_OK)
        bn_device_close(device);
    return result == BN_OK;
}

static void plans(void)
{
    static const char *const bad[] = {"null:submit",         "null:submit@0=lost",   "null:fly@1=lost",
                                      "null:submit@1=tired", "null:submit@1=lost;x", "null:submit@1=lost extra"};
    int32_t tokens[N_TOKENS], expected[N_TOKENS];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(run("null", bad[i], tokens, NULL) == BN_ERR_ARGUMENT, "%s is taken for a plan", bad[i]);
        CHECK(error.subject[0], "%s: no subject", bad[i]);
    }
    MUST(run("null", NULL, expected, NULL));
    MUST(run("null", "vulkan:submit@1=lost", tokens, NULL)); // somebody else's
    CHECK(memcmp(tokens, expected, sizeof(tokens)) == 0, "another driver's plan has an effect");
}

// faults [DRIVER [native]]
int main(int argc, char **argv)
{
    alarm(DEADLINE_S);
    open_counted();
    // Before the driver opens the loader, and for good: after that the name means the real one.
    void *between = argc > 2 ? dlopen("libvulkan.so.1", RTLD_NOW) : NULL;
    if (argc > 1 && !is_here(argv[1])) {
        printf("%s: %s\n", argv[1], error.message);
        return 77;
    }
    if (argc > 2) {
        visit_natives(between);
    } else if (argc > 1) {
        visit_briefly(argv[1]);
    } else {
        plans();
        visit("null");
        visit("cpu");
    }
    return close_counted();
}
