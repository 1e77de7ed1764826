// The published microsoft/bitnet-b1.58-2B-4T, if the environment variable BITNET_TEST_2B4T names its ggml-model-i2_s.gguf,
// against logits that the official engine printed (tests/data/2b4t/README.md). It quantises as the model was trained
// but orders its float sums differently, so logits agree within a bound only, and tokens except at near ties.
#include <jansson.h>
#include <math.h>

#include "tests/e2e/harness.h"

static const double bound = 0.2;

static json_t *load(const char *name)
{
    char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/2b4t/%s", data ? data : "tests/data", name);
    json_t *json = json_load_file(path, 0, NULL);
    if (!json) {
        printf("%s cannot be read\n", path);
        exit(1);
    }
    return json;
}

static int32_t argmax(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

// Entries of {id, logit}, the highest first.
static double compare(const json_t *entries, const char *id_key, const float *logits, size_t n_vocab, const char *what)
{
    double first = 0, second = 0, worst = 0;
    int32_t best = -1;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        int32_t id = (int32_t)json_integer_value(json_object_get(entry, id_key));
        double golden = json_number_value(json_object_get(entry, "logit"));
        double difference = fabs((double)logits[id] - golden);
        worst = difference > worst ? difference : worst;
        best = i == 0 ? id : best;
        first = i == 0 ? golden : first;
        second = i == 1 ? golden : second;
    }
    CHECK(worst <= bound, "%s: logits differ by %g", what, worst);
    if (first - second > 2 * bound)
        CHECK(argmax(logits, n_vocab) == best, "%s: the highest is %d, not %d", what, argmax(logits, n_vocab), best);
    return worst;
}

static void check_ids(const struct rig *rig, const char *text, const int32_t *golden, size_t n_golden)
{
    int32_t ids[64];
    size_t n;
    MUST(bn_tokenize(bn_model_get_tokenizer(rig->model), text, strlen(text), BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL, ids,
                     64, &n, &error));
    CHECK(n == n_golden && memcmp(ids, golden, n * sizeof(*ids)) == 0, "token ids of \"%s\" differ", text);
}

static void compare_greedy(const struct rig *rig)
{
    static const int32_t prompt[] = {128000, 9906, 6631, 7099};
    check_ids(rig, "Hello BitNet", prompt, 4);
    json_t *tokens = load("greedy_tokens.json"), *steps = load("greedy_top5_logits.json");
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = prompt, .n_tokens = 4, .n_logits = 1};
    double worst = 0;
    int32_t forced;
    for (size_t i = 0; i < json_array_size(steps); i++) {
        char what[32];
        snprintf(what, sizeof(what), "step %zu", i);
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        double difference =
            compare(json_object_get(json_array_get(steps, i), "entries"), "token_id", item.logits, rig->n_vocab, what);
        worst = difference > worst ? difference : worst;
        forced = (int32_t)json_integer_value(json_array_get(tokens, i));
        item = (struct bn_step_item){.session = session, .tokens = &forced, .n_tokens = 1, .n_logits = 1};
    }
    printf("32 greedy steps: five logits each differ by at most %.3g\n", worst);
    bn_session_destroy(session);
    json_decref(tokens);
    json_decref(steps);
}

static void compare_reply(const struct rig *rig)
{
    static const int32_t prompt[] = {128000, 1502, 25, 15960, 128009, 72803, 25, 220};
    check_ids(rig, "User: hi<|eot_id|>Assistant: ", prompt, 8);
    json_t *dump = load("hi_top_candidates_dump.json");
    const json_t *entries = json_object_get(json_object_get(dump, "first_step"), "raw_top_candidates");
    CHECK(json_array_size(entries) == 20, "%zu candidates", json_array_size(entries));
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = prompt, .n_tokens = 8, .n_logits = 1};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    printf("a reply's start: 20 logits differ by at most %.3g\n",
           compare(entries, "id", item.logits, rig->n_vocab, "reply"));
    bn_session_destroy(session);
    json_decref(dump);
}

int main(void)
{
    const char *path = getenv("BITNET_TEST_2B4T");
    if (!path || !*path) {
        printf("BITNET_TEST_2B4T does not name the published model's file\n");
        return 77;
    }
    struct rig rig = rig_open(&(struct rig_options){.model = path, .engine = {.n_ctx = 256, .n_sessions = 2}});
    CHECK(rig.n_vocab == 128256, "%u tokens", rig.n_vocab);
    compare_greedy(&rig);
    compare_reply(&rig);
    rig_close(&rig);
    return finish();
}
