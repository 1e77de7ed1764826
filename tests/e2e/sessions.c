// Engines and sessions through the public API: limits, cancelling, stop strings, sampling, faults of the device.
#include <pthread.h>
#include <unistd.h>

#include "tests/e2e/harness.h"

struct text {
    char data[8192];
    size_t bytes;
    size_t calls;
    size_t stop_after; // calls; 0: never
    struct bn_session *cancel_at_call_3;
    bool ignore_eos;
};

static bool collect(void *user, const struct bn_generated *generated)
{
    struct text *text = user;
    if (text->bytes + generated->bytes < sizeof(text->data)) {
        memcpy(text->data + text->bytes, generated->text, generated->bytes);
        text->bytes += generated->bytes;
    }
    text->calls++;
    if (text->cancel_at_call_3 && text->calls == 3)
        bn_session_cancel(text->cancel_at_call_3);
    return text->calls != text->stop_after;
}

static size_t tokenize(const struct rig *rig, const char *text, int32_t *ids, size_t capacity)
{
    size_t n;
    MUST(bn_tokenize(bn_model_get_tokenizer(rig->model), text, strlen(text), BN_TOKENIZE_BOS, ids, capacity, &n,
                     &error));
    return n;
}

static struct bn_generate_result generate(struct bn_session *session, const int32_t *ids, size_t n, size_t most,
                                          struct text *text, const char *stop)
{
    struct bn_generate_options options;
    BN_INIT(options);
    options.prompt = ids;
    options.n_prompt = n;
    options.n_predict = most;
    options.on_token = collect;
    options.user = text;
    options.stops = &stop;
    options.n_stops = stop != NULL;
    options.ignore_eos = text->ignore_eos;
    struct bn_generate_result result;
    memset(text->data, 0, sizeof(text->data));
    text->bytes = text->calls = 0;
    MUST(bn_generate(session, &options, &result, &error));
    return result;
}

static struct bn_session *new_session(const struct rig *rig, bool greedy, uint64_t seed)
{
    struct bn_sampling sampling;
    struct bn_session *session;
    bn_sampling_defaults(&sampling);
    sampling.greedy = greedy;
    sampling.seed = seed;
    MUST(bn_session_create(rig->engine, &sampling, &session, &error));
    return session;
}

static void stops(const struct rig *rig)
{
    int32_t ids[64];
    struct text text = {.bytes = 0};
    size_t n = tokenize(rig, "Once upon a time, there was a little girl named Lily.", ids, 64);

    struct bn_session *session = new_session(rig, true, 0);
    struct bn_generate_result r = generate(session, ids, n, 0, &text, NULL);
    CHECK(r.stop == BN_STOP_EOS, "stopped by %s", bn_stop_name(r.stop));
    CHECK(bn_session_length(session) == n + r.n_tokens - 1, "the end token was stepped");
    bn_session_destroy(session);

    session = new_session(rig, true, 0);
    r = generate(session, ids, n, 12, &text, NULL);
    CHECK(r.stop == BN_STOP_LENGTH && r.n_tokens == 12, "%s after %zu", bn_stop_name(r.stop), r.n_tokens);
    bn_session_destroy(session);

    // The stop string straddles tokens and is held back until it is certain.
    session = new_session(rig, true, 0);
    r = generate(session, ids, n, 0, &text, "park with");
    CHECK(r.stop == BN_STOP_STRING, "stopped by %s", bn_stop_name(r.stop));
    CHECK(strcmp(text.data, " She loved to play with her toys. One day, she went to the ") == 0, "text is \"%s\"",
          text.data);
    bn_session_destroy(session);

    // A stop string that begins but does not come: nothing of the text is lost.
    session = new_session(rig, true, 0);
    r = generate(session, ids, n, 9, &text, "toys, never");
    CHECK(strcmp(text.data, " She loved to play with her toys. One") == 0, "text is \"%s\"", text.data);
    bn_session_destroy(session);

    session = new_session(rig, true, 0);
    text.stop_after = 5;
    r = generate(session, ids, n, 0, &text, NULL);
    text.stop_after = 0;
    CHECK(r.stop == BN_STOP_INTERRUPTED && r.n_tokens == 5, "%s after %zu", bn_stop_name(r.stop), r.n_tokens);
    bn_session_destroy(session);
}

static void limits(const struct rig *rig)
{
    uint32_t n_ctx = bn_engine_get_config(rig->engine)->n_ctx;
    int32_t *ids = calloc(n_ctx + 1, sizeof(*ids));
    struct text text = {.bytes = 0};
    struct bn_session *session = new_session(rig, false, 1);
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n_ctx + 1};
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_CONTEXT_FULL, "a prompt longer than the context");
    CHECK(item.result == BN_ERR_CONTEXT_FULL && bn_session_length(session) == 0, "nothing was taken");

    struct bn_generate_result r = generate(session, ids, n_ctx - 3, 0, &text, NULL);
    CHECK(r.stop == BN_STOP_CONTEXT || r.stop == BN_STOP_EOS, "stopped by %s", bn_stop_name(r.stop));
    CHECK(r.stop != BN_STOP_CONTEXT || bn_session_length(session) == n_ctx, "%zu positions",
          bn_session_length(session));

    ids[0] = (int32_t)rig->n_vocab;
    item = (struct bn_step_item){.session = session, .tokens = ids, .n_tokens = 1};
    MUST(bn_session_truncate(session, 0, &error));
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_ARGUMENT, "a token outside the vocabulary");
    ids[0] = -1;
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_ARGUMENT, "a negative token");
    ids[0] = 0;
    struct bn_step_item twice[2] = {item, item};
    CHECK(bn_engine_step(rig->engine, twice, 2, &error) == BN_ERR_ARGUMENT, "the same session twice");
    item.n_logits = 2;
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_ARGUMENT, "more logits than tokens");
    CHECK(bn_session_truncate(session, 1, &error) == BN_ERR_ARGUMENT, "truncate beyond the end");

    struct bn_session *more[64];
    uint32_t n = 0;
    while (n < 64 && bn_session_create(rig->engine, NULL, &more[n], &error) == BN_OK)
        n++;
    CHECK(n + 1 == bn_engine_get_config(rig->engine)->n_sessions, "%u sessions", n + 1);
    CHECK(error.code == BN_ERR_CONTEXT_FULL, "too many sessions: %s", bn_result_name(error.code));
    while (n > 0)
        bn_session_destroy(more[--n]);
    bn_session_destroy(session);
    free(ids);
}

// The pool is smaller than what the sessions may use: one fails, the other goes on.
static void pool(void)
{
    struct rig rig = rig_open(
        &(struct rig_options){.device = "null", .engine = {.n_ctx = 256, .n_sessions = 2, .n_positions = 256}});
    int32_t ids[256] = {0};
    struct bn_session *a = new_session(&rig, true, 0), *b = new_session(&rig, true, 0);
    struct bn_step_item items[2] = {{.session = a, .tokens = ids, .n_tokens = 130},
                                    {.session = b, .tokens = ids, .n_tokens = 130}};
    CHECK(bn_engine_step(rig.engine, items, 2, &error) == BN_ERR_CONTEXT_FULL, "the pool holds both");
    CHECK(items[0].result == BN_OK && items[1].result == BN_ERR_CONTEXT_FULL, "the wrong one failed");
    CHECK(bn_session_length(a) == 130 && bn_session_length(b) == 0, "%zu, %zu", bn_session_length(a),
          bn_session_length(b));
    bn_session_destroy(a);
    MUST(bn_engine_step(rig.engine, &items[1], 1, &error));
    bn_session_destroy(b);
    struct bn_engine_stats stats;
    bn_engine_get_stats(rig.engine, &stats);
    CHECK(stats.pages_used == 0, "%u pages are still held", stats.pages_used);
    rig_close(&rig);
}

// Sampling depends on seed and position only: not on what else is in the batch, not on the step's cut.
static void sampling(const struct rig *rig)
{
    int32_t ids[64];
    struct text one = {.bytes = 0}, two = {.bytes = 0};
    size_t n = tokenize(rig, "One day", ids, 64);
    struct bn_session *session = new_session(rig, false, 42), *other = new_session(rig, false, 42);
    generate(session, ids, n, 40, &one, NULL);
    generate(other, ids, n, 40, &two, NULL);
    CHECK(one.bytes > 0 && strcmp(one.data, two.data) == 0, "equal seeds, different texts");
    bn_session_destroy(other);
    other = new_session(rig, false, 43);
    generate(other, ids, n, 40, &two, NULL);
    CHECK(strcmp(one.data, two.data) != 0, "different seeds, equal texts");
    bn_session_destroy(other);
    bn_session_destroy(session);

    // A large penalty keeps the last tokens from coming back.
    struct bn_sampling s;
    bn_sampling_defaults(&s);
    s.greedy = true;
    s.repeat_penalty = 1000;
    MUST(bn_session_create(rig->engine, &s, &session, &error));
    generate(session, ids, n, 30, &one, NULL);
    const int32_t *tokens = bn_session_tokens(session);
    size_t repeated = 0;
    for (size_t i = 0; i < bn_session_length(session); i++)
        for (size_t j = 0; j < i; j++)
            repeated += tokens[i] == tokens[j];
    CHECK(repeated == 0, "%zu repetitions", repeated);
    s.top_p = 2;
    CHECK(bn_session_set_sampling(session, &s, &error) == BN_ERR_ARGUMENT, "top_p of 2");
    CHECK(strcmp(error.subject, "top_p") == 0, "subject is \"%s\"", error.subject);
    bn_session_destroy(session);
}

static void *cancel_soon(void *session)
{
    usleep(3000);
    bn_session_cancel(session);
    return NULL;
}

static void cancel(const struct rig *rig)
{
    int32_t ids[64];
    struct text text = {.bytes = 0};
    size_t n = tokenize(rig, "One day", ids, 64);
    struct bn_session *session = new_session(rig, true, 0);
    text.cancel_at_call_3 = session;
    struct bn_generate_result r = generate(session, ids, n, 0, &text, NULL);
    CHECK(r.stop == BN_STOP_INTERRUPTED && r.n_tokens == 3, "%s after %zu", bn_stop_name(r.stop), r.n_tokens);
    size_t length = bn_session_length(session);
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = 1};
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_CANCELLED, "a cancelled session steps");
    CHECK(bn_session_length(session) == length, "a cancelled session grew");
    bn_session_resume(session);
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    bn_session_destroy(session);

    // From another thread, while a long prompt runs, with a second session in the same step that must not suffer.
    enum { LONG = 700 };
    static int32_t prompt[LONG];
    for (int round = 0; round < 3; round++) {
        session = new_session(rig, true, 0);
        struct bn_session *other = new_session(rig, true, 0);
        struct bn_step_item items[2] = {{.session = session, .tokens = prompt, .n_tokens = LONG},
                                        {.session = other, .tokens = ids, .n_tokens = n, .n_logits = 1}};
        pthread_t thread;
        pthread_create(&thread, NULL, cancel_soon, session);
        size_t n_items = round == 0 ? 1 : 2;
        enum bn_result result = bn_engine_step(rig->engine, items, n_items, &error);
        pthread_join(thread, NULL);
        CHECK(result == BN_OK || result == BN_ERR_CANCELLED, "%s", bn_result_name(result));
        CHECK(bn_session_length(session) == (items[0].result == BN_OK ? LONG : 0), "%zu positions",
              bn_session_length(session));
        if (n_items == 2)
            CHECK(items[1].result == BN_OK && items[1].logits, "the other session: %s",
                  bn_result_name(items[1].result));
        bn_session_destroy(session);
        bn_session_destroy(other);
    }
}

// The same text from a scanned head as from all logits, whatever the sampling.
static void scanned_head(void)
{
    struct rig full = rig_open(&(struct rig_options){.engine = {.n_ctx = 256, .head = BN_HEAD_FULL}});
    struct rig scan = rig_open(&(struct rig_options){.engine = {.n_ctx = 256, .head = BN_HEAD_SCAN}});
    static const struct bn_sampling ways[] = {
        {.greedy = true, .repeat_penalty = 1},
        {.greedy = true, .repeat_penalty = 1.3f, .repeat_last_n = 64},
        {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .seed = 3},
        {.temperature = 2, .top_k = 200, .top_p = 1, .repeat_penalty = 1.5f, .repeat_last_n = 32, .seed = 4},
        {.temperature = 1, .top_k = 0, .top_p = 0.9f, .repeat_penalty = 1, .seed = 5},
    };
    int32_t ids[64];
    size_t n = tokenize(&full, "Once upon a time", ids, 64);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        for (int ignore_eos = 0; ignore_eos < 2; ignore_eos++) {
            struct bn_sampling sampling = ways[i];
            sampling.size = sizeof(sampling);
            struct text a = {.ignore_eos = ignore_eos}, b = a;
            struct bn_session *one, *two;
            MUST(bn_session_create(full.engine, &sampling, &one, &error));
            MUST(bn_session_create(scan.engine, &sampling, &two, &error));
            generate(one, ids, n, 150, &a, NULL);
            generate(two, ids, n, 150, &b, NULL);
            CHECK(a.bytes > 0 && strcmp(a.data, b.data) == 0, "way %zu: \"%s\" and \"%s\"", i, a.data, b.data);
            bn_session_destroy(one);
            bn_session_destroy(two);
        }
    struct bn_engine_stats stats;
    bn_engine_get_stats(scan.engine, &stats);
    CHECK(stats.scanned > 1000 && stats.rescored < stats.scanned * full.n_vocab, "nothing was scanned");
    printf("scanned head: %.1f of %u rows rescored per token\n", (double)stats.rescored / (double)stats.scanned,
           full.n_vocab);
    bn_engine_get_stats(full.engine, &stats);
    CHECK(stats.scanned == 0, "a full head was scanned");
    rig_close(&full);
    rig_close(&scan);
}

// A fork whose first step fails keeps its past: the page it shares was not lost.
static void fork_then_cancel(const struct rig *rig)
{
    int32_t ids[64];
    size_t n = tokenize(rig, "Once upon a time, there was a little girl named Lily.", ids, 64);
    struct bn_session *origin = new_session(rig, true, 0), *fork;
    struct bn_step_item item = {.session = origin, .tokens = ids, .n_tokens = n - 1};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    fork = origin;
    CHECK(bn_session_fork(NULL, &fork, NULL) == BN_ERR_ARGUMENT && !fork, "a fork of no session leaves none");
    MUST(bn_session_fork(origin, &fork, &error));
    bn_session_cancel(fork);
    item = (struct bn_step_item){.session = fork, .tokens = ids + n - 1, .n_tokens = 1, .n_logits = 1};
    CHECK(bn_engine_step(rig->engine, &item, 1, &error) == BN_ERR_CANCELLED, "a cancelled fork steps");
    bn_session_resume(fork);
    struct text a = {.bytes = 0}, b = {.bytes = 0};
    generate(fork, ids + n - 1, 1, 20, &a, NULL);
    generate(origin, ids + n - 1, 1, 20, &b, NULL);
    CHECK(a.bytes > 0 && strcmp(a.data, b.data) == 0, "\"%s\" and \"%s\"", a.data, b.data);
    bn_session_destroy(origin);
    bn_session_destroy(fork);
}

// Faults of the device come back as typed errors, at creation and in steps, and leave nothing behind.
static void faults(void)
{
    static const struct {
        const char *plan;
        enum bn_result expected;
    } cases[] = {
        {"null:submit@2=lost", BN_ERR_DEVICE_LOST},
        {"null:submit@1=busy", BN_ERR_BUSY},
        {"null:poll@3=lost", BN_ERR_DEVICE_LOST},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rig rig = rig_open(&(struct rig_options){.device = "null", .fault = cases[i].plan});
        struct bn_session *session = new_session(&rig, true, 0);
        int32_t ids[4] = {1, 2, 3, 4};
        enum bn_result result = BN_OK;
        for (int step = 0; step < 4 && result == BN_OK; step++) {
            struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = 4, .n_logits = 1};
            result = bn_engine_step(rig.engine, &item, 1, &error);
            CHECK(item.result == result, "item says %s", bn_result_name(item.result));
        }
        CHECK(result == cases[i].expected && error.code == result, "%s gives %s", cases[i].plan,
              bn_result_name(result));
        bn_session_destroy(session);
        rig_close(&rig);
    }
    struct bn_runtime *runtime;
    MUST(bn_runtime_create(NULL, &runtime, &error));
    struct bn_device_options options;
    BN_INIT(options);
    struct bn_device *device;
    options.fault = "null:open@1=unavailable";
    CHECK(bn_device_open(runtime, "null", &options, &device, &error) == BN_ERR_UNAVAILABLE && !device, "open");
    options.fault = "null:nonsense";
    CHECK(bn_device_open(runtime, "null", &options, &device, &error) == BN_ERR_ARGUMENT, "a plan that is none");
    options.fault = NULL;
    options.isa = "avx9000";
    CHECK(bn_device_open(runtime, "cpu", &options, &device, &error) == BN_ERR_ARGUMENT, "an ISA that is none");
    options.isa = NULL;
    CHECK(bn_device_open(runtime, "gpu7", &options, &device, &error) == BN_ERR_NOT_FOUND, "a device that is none");
    CHECK(strstr(error.message, "cpu") != NULL, "the message is \"%s\"", error.message);
    bn_runtime_destroy(runtime);
}

int main(void)
{
    faults();
    pool();
    scanned_head();
    struct rig rig = rig_open(&(struct rig_options){.threads = 2, .engine = {.n_sessions = 2, .n_outputs = 4}});
    stops(&rig);
    limits(&rig);
    sampling(&rig);
    cancel(&rig);
    fork_then_cancel(&rig);
    struct bn_engine_stats stats;
    bn_engine_get_stats(rig.engine, &stats);
    const struct bn_model_info *info = bn_model_get_info(rig.model);
    CHECK(stats.head_bytes == 2ull * info->n_vocab * info->n_embd && strcmp(stats.head, "f16") == 0, "head");
    CHECK(stats.kv_position_bytes == 4ull * info->n_layer * info->n_head_kv * info->head_dim, "KV of a position");
    CHECK(stats.layer_bytes + stats.head_bytes < info->token_bytes &&
              stats.layer_bytes + stats.head_bytes > info->token_bytes / 100 * 95,
          "%llu bytes per token", (unsigned long long)stats.layer_bytes);
    CHECK(stats.pages_used == 0, "%u pages are still held", stats.pages_used);
    rig_close(&rig);
    return finish();
}
