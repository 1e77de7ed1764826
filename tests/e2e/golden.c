// The default model against an independent float64 implementation (tests/data/stories/README.md).
//
// Logits at every position: within 1e-4 where a float32 run of that implementation agrees with the float64 one to 1e-3;
// elsewhere an int8 value of one of the two fell to the other side, and then it differs by at most 0.15 and by 0.018 on
// average, and so may we: the bound is twice that, since our flips may be others.
// Greedy tokens: equal wherever the margin is 0.1 or more, with the golden tokens forced; and running free, equal up to the
// first step whose margin is below that.
//
// golden [MODEL GOLDEN]: another model, and the name of its golden file in the same folder; then without the perplexity.
#include <jansson.h>
#include <math.h>

#include "tests/e2e/harness.h"

static const double no_flip_bound = 1e-4, flip_max = 0.30, flip_mean = 0.036, near_tie = 0.1;

static const char *data_file(const char *name)
{
    static char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/stories/%s", data ? data : "tests/data", name);
    return path;
}

static size_t read_ids(const json_t *list, int32_t *ids, size_t capacity)
{
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < capacity; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static float *read_floats(const char *name, size_t n)
{
    float *values = malloc(n * sizeof(*values));
    FILE *file = fopen(data_file(name), "rb");
    if (!file || fread(values, sizeof(*values), n, file) != n) {
        printf("%s cannot be read\n", data_file(name));
        exit(1);
    }
    fclose(file);
    return values;
}

static int32_t argmax(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static void compare_logits(const struct rig *rig, const json_t *text, const int32_t *ids, size_t n)
{
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n, .n_logits = n};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    float *golden = read_floats(json_string_value(json_object_get(text, "logits")), n * rig->n_vocab);
    double worst = 0, sum = 0;
    for (size_t i = 0; i < n * rig->n_vocab; i++) {
        double difference = fabs((double)item.logits[i] - (double)golden[i]);
        worst = difference > worst ? difference : worst;
        sum += difference;
    }
    double mean = sum / (double)(n * rig->n_vocab);
    double f32 = json_real_value(json_object_get(text, "err_f32_max"));
    printf("  logits: largest difference %.3g, mean %.3g (a float32 run of the reference: %.3g)\n", worst, mean, f32);
    CHECK(worst <= (f32 < 1e-3 ? no_flip_bound : flip_max), "logits differ by %g", worst);
    CHECK(mean <= flip_mean, "logits differ by %g on average", mean);
    free(golden);
    bn_session_destroy(session);
}

static void compare_greedy(const struct rig *rig, const json_t *text, const int32_t *ids, size_t n)
{
    int32_t golden[256];
    const json_t *gaps = json_object_get(text, "gaps");
    size_t steps = read_ids(json_object_get(text, "greedy"), golden, 256), compared = 0, free_run = 0;
    bool running_free = true;
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n, .n_logits = 1};
    for (size_t i = 0; i < steps; i++) {
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        int32_t ours = argmax(item.logits, rig->n_vocab);
        bool clear = json_real_value(json_array_get(gaps, i)) >= near_tie;
        if (clear) {
            CHECK(ours == golden[i], "greedy token %zu is %d, not %d", i, ours, golden[i]);
            compared++;
        }
        running_free = running_free && clear;
        free_run += running_free;
        item = (struct bn_step_item){.session = session, .tokens = &golden[i], .n_tokens = 1, .n_logits = 1};
    }
    printf("  greedy: %zu of %zu tokens compared (the others are near ties), the first %zu of them running free\n",
           compared, steps, free_run);
    bn_session_destroy(session);
}

// The text is tokenised as the reference did, and the ids are ours to feed.
static void compare_text(const struct rig *rig, const json_t *text)
{
    const char *words = json_string_value(json_object_get(text, "text"));
    int32_t golden[512], ids[512];
    size_t n_golden = read_ids(json_object_get(text, "ids"), golden, 512), n;
    printf("%.60s...\n", words);
    MUST(bn_tokenize(bn_model_get_tokenizer(rig->model), words, strlen(words), BN_TOKENIZE_BOS, ids, 512, &n, &error));
    CHECK(n == n_golden && memcmp(ids, golden, n * sizeof(*ids)) == 0, "token ids differ");
    compare_logits(rig, text, golden, n_golden);
    compare_greedy(rig, text, golden, n_golden);
}

// Perplexity over stories the model was never trained on, each alone: BOS, tokens, EOS.
static void compare_perplexity(const struct rig *rig)
{
    json_t *facts = json_load_file(data_file("heldout.json"), 0, NULL);
    static char all[1 << 16];
    FILE *file = fopen(data_file("heldout.txt"), "rb");
    size_t bytes = file ? fread(all, 1, sizeof(all) - 1, file) : 0, scored = 0;
    if (!facts || bytes == 0)
        die(__FILE__, __LINE__, &error);
    fclose(file);
    while (bytes && all[bytes - 1] == '\n')
        all[--bytes] = '\0';
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(rig->model);
    double sum = 0;
    for (char *story = all, *next; story; story = next) {
        next = strstr(story, "\n\n");
        size_t length = next ? (size_t)(next - story) : strlen(story), n;
        next = next ? next + 2 : NULL;
        int32_t ids[1024];
        MUST(bn_tokenize(tokenizer, story, length, BN_TOKENIZE_BOS, ids, 1023, &n, &error));
        ids[n++] = bn_tokenizer_get_info(tokenizer)->eos;
        struct bn_session *session;
        MUST(bn_session_create(rig->engine, NULL, &session, &error));
        struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n - 1, .n_logits = n - 1};
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        for (size_t i = 1; i < n; i++)
            sum -= bn_log_probability(item.logits + (i - 1) * rig->n_vocab, rig->n_vocab, ids[i]);
        scored += n - 1;
        bn_session_destroy(session);
    }
    double golden = json_real_value(json_object_get(facts, "perplexity"));
    double ours = exp(sum / (double)scored);
    printf("held-out stories: perplexity %.4f over %zu tokens, the reference has %.4f\n", ours, scored, golden);
    CHECK(scored == (size_t)json_integer_value(json_object_get(facts, "tokens")), "%zu tokens", scored);
    CHECK(fabs(ours / golden - 1) < 2e-3, "perplexity %g", ours); // flips cancel out over 3,000 tokens
    json_decref(facts);
}

int main(int argc, char **argv)
{
    const char *model = argc > 2 ? argv[1] : NULL, *name = argc > 2 ? argv[2] : "golden.json";
    struct rig rig = rig_open(&(struct rig_options){.model = model, .engine = {.n_outputs = 1024}});
    json_t *golden = json_load_file(data_file(name), 0, NULL), *text;
    size_t i;
    if (!golden) {
        printf("%s cannot be read\n", data_file(name));
        return 1;
    }
    json_array_foreach(json_object_get(golden, "texts"), i, text) compare_text(&rig, text);
    if (!model)
        compare_perplexity(&rig);
    json_decref(golden);
    rig_close(&rig);
    return finish();
}
