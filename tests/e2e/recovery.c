// A device that is lost at any submission, wait or allocation of a run with several sessions: on the same device opened again,
// or on the CPU, the run goes on to the same tokens and the same pages, and nothing is lost but time.
#include <bitnet/driver.h>
#include <unistd.h>

#include "runtime/device/fault.h"
#include "tests/e2e/counting.h"

enum { PROMPT = 70, TURNS = 6, TOKENS = 5 * TURNS, MOST_CALLS = 40, DEADLINE_S = 240 };

// What a run comes to.
struct outcome {
    int32_t tokens[TOKENS];
    size_t n_tokens;
    uint32_t pages[4]; // in use: after the fork, after the first turns, after the cut, at the end
    float logits[64];  // the first of the last turn
    struct bn_engine_stats stats;
};

// A run under way, and what its caller does about a lost device.
struct run {
    const char *driver, *again; // `again`: the fault plan of the second device; the third has none
    const char *refuge;         // driver of the devices after the first
    struct bn_device *device;
    unsigned opened;
    bool refuses;
    bool named; // the error had an op
};

static enum bn_result open_next(struct run *run, const char *plan)
{
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = 2;
    options.fault = plan ? plan : "";
    return bn_device_open(runtime, run->opened++ ? run->refuge : run->driver, &options, &run->device, &error);
}

static enum bn_result recover(void *user, struct bn_engine *engine, const struct bn_error *lost, struct bn_error *err)
{
    struct run *run = user;
    CHECK(lost->code == BN_ERR_DEVICE_LOST && lost->message[0], "recovery from %s", bn_result_name(lost->code));
    for (int kind = 0; kind < BN_OP_COUNT; kind++)
        run->named = run->named || strcmp(lost->subject, bn_op_name((enum bn_op_kind)kind)) == 0;
    if (run->refuses) {
        *err = *lost;
        return BN_ERR_DEVICE_LOST;
    }
    enum bn_result result = BN_ERR_DEVICE_LOST;
    while (result == BN_ERR_DEVICE_LOST && run->opened < 4) {
        bn_engine_detach(engine);
        CHECK(!bn_engine_get_device(engine), "the engine is still on its device");
        bn_device_close(run->device);
        run->device = NULL;
        result = open_next(run, run->opened == 1 ? run->again : NULL);
        if (result == BN_OK)
            result = bn_engine_attach(engine, run->device, err);
    }
    return result;
}

static uint32_t pages_used(const struct bn_engine *engine)
{
    struct bn_engine_stats stats;
    BN_INIT(stats);
    bn_engine_get_stats(engine, &stats);
    return stats.pages_used;
}

// One token for each of two sessions, in one batch.
static enum bn_result turn(struct bn_engine *engine, struct bn_session **sessions, int32_t *last, struct outcome *out)
{
    struct bn_step_item items[2];
    for (int i = 0; i < 2; i++)
        items[i] =
            (struct bn_step_item){.session = sessions[i], .tokens = &last[i], .n_tokens = 1, .n_logits = 1, .n_top = 0};
    enum bn_result result = bn_engine_step(engine, items, 2, &error);
    for (int i = 0; i < 2 && result == BN_OK; i++) {
        result = bn_session_sample(sessions[i], items[i].logits, &last[i], &error);
        out->tokens[out->n_tokens++] = last[i];
    }
    if (result == BN_OK)
        memcpy(out->logits, items[0].logits, sizeof(out->logits));
    return result;
}

// A prompt, a fork at an odd position, turns of both; then a third session, cut back, that goes on beside the first. All share
// pages. The middle one is left alone at the end, so it may stay without contents.
static enum bn_result converse(struct bn_engine *engine, struct outcome *out)
{
    struct bn_session *sessions[3] = {NULL};
    struct bn_sampling greedy, random;
    int32_t prompt[PROMPT], last[3];
    bn_sampling_defaults(&greedy);
    bn_sampling_defaults(&random);
    greedy.greedy = true;
    greedy.repeat_penalty = 1.3f;
    random.seed = 7;
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (i * 37 + 5) % 2000;
    enum bn_result result = bn_session_create(engine, &greedy, &sessions[0], &error);
    struct bn_step_item item = {.session = sessions[0], .tokens = prompt, .n_tokens = PROMPT, .n_logits = 1};
    if (result == BN_OK)
        result = bn_engine_step(engine, &item, 1, &error);
    if (result == BN_OK)
        result = bn_session_sample(sessions[0], item.logits, &last[0], &error);
    if (result == BN_OK)
        result = bn_session_fork(sessions[0], &sessions[1], &error);
    if (result == BN_OK)
        result = bn_session_set_sampling(sessions[1], &random, &error);
    last[1] = last[0];
    out->pages[0] = pages_used(engine);
    for (int i = 0; i < TURNS && result == BN_OK; i++)
        result = turn(engine, sessions, last, out);
    out->pages[1] = pages_used(engine);
    if (result == BN_OK)
        result = bn_session_fork(sessions[1], &sessions[2], &error);
    if (result == BN_OK)
        result = bn_session_truncate(sessions[2], PROMPT - 4, &error);
    out->pages[2] = pages_used(engine);
    struct bn_session *pair[2] = {sessions[2], sessions[0]};
    int32_t ends[2] = {9, last[0]};
    for (int i = 0; i < TURNS && result == BN_OK; i++)
        result = turn(engine, pair, ends, out);
    struct bn_session *others[2] = {sessions[1], sessions[2]};
    ends[1] = ends[0];
    ends[0] = last[1];
    for (int i = 0; i < TURNS / 2 && result == BN_OK; i++)
        result = turn(engine, others, ends, out);
    out->pages[3] = pages_used(engine);
    for (int i = 0; i < 3 && result == BN_OK; i++)
        CHECK(bn_session_tokens(sessions[i])[PROMPT / 2] == prompt[PROMPT / 2], "session %d has other tokens", i);
    for (int i = 3; i-- > 0;)
        bn_session_destroy(sessions[i]);
    CHECK(pages_used(engine) == 0, "%u pages are still taken", pages_used(engine));
    return result;
}

static enum bn_result go(struct run *run, const char *plan, struct outcome *out, uint64_t *counts)
{
    struct bn_engine *engine = NULL;
    struct bn_engine_config config;
    BN_INIT(config);
    config.n_ctx = 128;
    config.n_batch = 16;
    config.n_sessions = 3;
    config.n_outputs = 2;
    memset(out, 0, sizeof(*out));
    memset(&error, 0, sizeof(error));
    enum bn_result result = open_next(run, plan);
    if (result == BN_OK)
        result = bn_engine_create(runtime, model, run->device, &config, &engine, &error);
    if (result == BN_OK) {
        if (run->refuge)
            bn_engine_set_recovery(engine, recover, run);
        result = converse(engine, out);
        BN_INIT(out->stats);
        bn_engine_get_stats(engine, &out->stats);
        if (counts)
            bn_fault_counts(run->device, counts);
    }
    bn_engine_destroy(engine);
    bn_device_close(run->device);
    return result;
}

// Lost at one call: the run comes to what it would have come to.
static void lose(const char *driver, const char *refuge, const char *plan, const char *again,
                 const struct outcome *expected, unsigned *recovered)
{
    struct outcome out;
    struct run run = {.driver = driver, .refuge = refuge, .again = again};
    long before = allocated;
    bool chunks_vary = strcmp(driver, "cpu") != 0 && strcmp(driver, "null") != 0; // with the time that they take
    bool same_device = strcmp(driver, refuge) == 0, same_numbers = same_device || strcmp(driver, "null") != 0;
    enum bn_result result = go(&run, plan, &out, NULL);
    CHECK(result == BN_OK || (!out.stats.size && result == BN_ERR_DEVICE_LOST), "%s, then %s: %s: %s", plan, refuge,
          bn_result_name(result), error.message);
    if (result == BN_OK) { // else it was lost before there was an engine
        CHECK(!same_numbers || memcmp(out.tokens, expected->tokens, sizeof(out.tokens)) == 0, "%s: other tokens", plan);
        CHECK(out.n_tokens == TOKENS, "%s: %zu tokens", plan, out.n_tokens);
        CHECK(!same_device || chunks_vary || memcmp(out.logits, expected->logits, sizeof(out.logits)) == 0,
              "%s: other logits", plan);
        CHECK(memcmp(out.pages, expected->pages, sizeof(out.pages)) == 0, "%s: other pages in use", plan);
        CHECK(out.stats.recoveries == (run.opened > 1), "%s: %" PRIu64 " recoveries, %u devices", plan,
              out.stats.recoveries, run.opened);
        CHECK(chunks_vary || out.stats.steps >= expected->stats.steps, "%s: steps of the first device are not counted",
              plan);
        *recovered += run.opened > 1;
    }
    CHECK(allocated == before, "%s, then %s: %ld allocations were lost", plan, refuge, allocated - before);
}

// `few`, of a device whose opening takes long: the first, a middle and the last call of three slots, by turns with the same
// device and the CPU.
static void visit(const char *driver, bool few)
{
    static const char *const slots[] = {"submit", "alloc", "poll", "drive", "write", "record"};
    struct run run = {.driver = driver};
    struct outcome expected;
    char plan[96], again[96];
    uint64_t counts[BN_FAULT_SLOTS] = {0};
    unsigned recovered = 0, runs = 0;
    snprintf(plan, sizeof(plan), "%s:submit@1000000=lost", driver);
    MUST(go(&run, plan, &expected, counts));
    CHECK(expected.pages[0] > 0 && expected.pages[1] > expected.pages[0], "the sessions do not share pages");
    for (int slot = 0; slot < BN_FAULT_SLOTS; slot++)
        for (size_t s = 0; s < sizeof(slots) / sizeof(slots[0]); s++) {
            uint64_t n = counts[slot], most = few ? 3 : MOST_CALLS;
            if (strcmp(bn_fault_slot_name(slot), slots[s]) != 0 || n == 0 || (few && s >= 3))
                continue;
            for (uint64_t i = 0; i < n && i < most; i++) {
                uint64_t call = n <= most ? i + 1 : 1 + i * (n - 1) / (most - 1);
                snprintf(plan, sizeof(plan), "%s:%s@%" PRIu64 "=lost", driver, slots[s], call);
                if (!few || (i + s) % 2 == 0)
                    lose(driver, driver, plan, NULL, &expected, &recovered);
                if (!few || (i + s) % 2 == 1)
                    lose(driver, "cpu", plan, NULL, &expected, &recovered);
                runs += few ? 1 : 2;
            }
        }
    // Lost again while it is placed, and while positions are computed again.
    for (size_t s = 0; s < 3; s++)
        for (int call = 1; call <= (few ? 1 : 2); call++, runs++) {
            snprintf(plan, sizeof(plan), "%s:submit@%" PRIu64 "=lost", driver, counts[BN_FAULT_SLOTS - 3] / 2);
            snprintf(again, sizeof(again), "%s:%s@%d=lost", driver, slots[s], call);
            struct run twice = {.driver = driver, .refuge = driver, .again = again};
            struct outcome out;
            MUST(go(&twice, plan, &out, NULL));
            CHECK(twice.opened == 3 && twice.named, "%s, then %s: %u devices", plan, again, twice.opened);
            CHECK(memcmp(out.tokens, expected.tokens, sizeof(out.tokens)) == 0, "%s, then %s: other tokens", plan,
                  again);
            // Where chunks vary with time, the loss may come before anything was computed.
            CHECK(few || out.stats.restored_rows >= PROMPT, "%s: %" PRIu64 " rows computed again", plan,
                  out.stats.restored_rows);
        }
    CHECK(recovered > 3, "only %u runs were recovered", recovered);
    printf("%s: %u runs, %u recovered\n", driver, runs, recovered);
}

// A caller that gives up; an engine that was moved between steps, without any loss; one on no device.
static void others(void)
{
    struct run run = {.driver = "cpu", .refuge = "cpu", .refuses = true};
    struct outcome out;
    CHECK(go(&run, "cpu:submit@7=lost", &out, NULL) == BN_ERR_DEVICE_LOST && run.opened == 1, "the refusal is lost");
    CHECK(out.stats.recoveries == 0 && error.subject[0] && error.message[0], "the error says nothing");

    struct rig rig = rig_open(&(struct rig_options){.threads = 1, .engine = {.n_ctx = 64}});
    struct bn_device *other;
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = 2;
    options.isa = "scalar";
    MUST(bn_device_open(rig.runtime, "cpu", &options, &other, &error));
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    const int32_t ids[] = {2032, 428, 1000, 5};
    float *expected = malloc(rig.n_vocab * sizeof(float));
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = 4, .n_logits = 1};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    memcpy(expected, item.logits, rig.n_vocab * sizeof(float));
    MUST(bn_session_truncate(session, 3, &error));
    bn_engine_detach(rig.engine);
    bn_engine_detach(rig.engine); // nothing more to do
    item = (struct bn_step_item){.session = session, .tokens = ids + 3, .n_tokens = 1, .n_logits = 1};
    CHECK(bn_engine_step(rig.engine, &item, 1, &error) == BN_ERR_DEVICE_LOST && bn_session_length(session) == 3,
          "a step on no device");
    CHECK(bn_engine_attach(rig.engine, NULL, &error) == BN_ERR_ARGUMENT, "no device to attach to");
    struct bn_engine_stats stats;
    BN_INIT(stats);
    bn_engine_get_stats(rig.engine, &stats);
    CHECK(stats.steps == 1 && stats.pages_used == 1 && stats.kv_bytes == 0, "the statistics of no device");
    MUST(bn_engine_attach(rig.engine, other, &error));
    CHECK(bn_engine_get_device(rig.engine) == other, "on another device");
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    CHECK(memcmp(expected, item.logits, rig.n_vocab * sizeof(float)) == 0, "the moved engine has other logits");
    bn_engine_get_stats(rig.engine, &stats);
    CHECK(stats.restored_rows == 3 && stats.recoveries == 0 && stats.steps == 2, "rows computed again");
    free(expected);
    bn_session_destroy(session);
    bn_engine_destroy(rig.engine);
    rig.engine = NULL;
    bn_device_close(other);
    rig_close(&rig);
}

// recovery [DRIVER [all]]: with `all` as many calls as on the CPU, which takes minutes
int main(int argc, char **argv)
{
    alarm(argc > 2 ? 0 : DEADLINE_S);
    open_counted();
    if (argc > 1) {
        struct bn_device *device;
        if (bn_device_open(runtime, argv[1], NULL, &device, &error) != BN_OK) {
            printf("%s: %s\n", argv[1], error.message);
            return 77;
        }
        bn_device_close(device);
        visit(argv[1], argc == 2);
    } else {
        visit("cpu", false);
        visit("null", false);
        others();
    }
    return close_counted();
}
