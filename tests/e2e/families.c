// Every family against Hugging Face transformers: tiny random models and their logits, made by tests/gen/families_golden.py.
//
// The bound of a difference is relative to the largest logit. Int8: the models were chosen so that no value lies near the middle
// between two, so only the order of sums is left. Two planes: their rounding adds 2^-16 of a row's largest value per matrix, and
// with it values of K and V fall to the other side in f16; the reference's own float32 and float64 runs differ by 1e-4.
// The bits, besides, are the same at every instruction set level, batch and number of threads.
//
// families [DEVICE]: on another device, whose sums are in another order, the bounds are wider, and the likeliest token is the
// reference's wherever it leads by more than twice the bound.
#include <jansson.h>
#include <math.h>

#include "tests/e2e/harness.h"

static const double bounds[] = {[1] = 1e-5, [2] = 3e-4}, device_bounds[] = {[1] = 2e-2, [2] = 6e-4}; // by planes
static const char *device;                                                                           // NULL: the CPU

enum { MOST_TOKENS = 64 };

struct golden {
    const char *name;
    int32_t ids[MOST_TOKENS];
    size_t n;
    bool embedding;
    uint32_t planes;
    float *values;
    size_t n_values;
};

static const char *data_file(const char *name, const char *ending)
{
    static char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/families/%s%s", data ? data : "tests/data", name, ending);
    return path;
}

static void read_values(struct golden *golden)
{
    golden->values = malloc(golden->n_values * sizeof(float));
    FILE *file = fopen(data_file(golden->name, ".f32"), "rb");
    if (!file || fread(golden->values, sizeof(float), golden->n_values, file) != golden->n_values) {
        printf("%s cannot be read\n", data_file(golden->name, ".f32"));
        exit(1);
    }
    fclose(file);
}

// What the model gives for the tokens, `chunk` of them at a time.
static float *compute(const struct rig *rig, const struct golden *golden, size_t chunk)
{
    float *out = malloc(golden->n_values * sizeof(*out));
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    if (golden->embedding)
        MUST(bn_embed(session, golden->ids, golden->n, out, &error));
    for (size_t at = 0, n; at < golden->n && !golden->embedding; at += n) {
        n = golden->n - at < chunk ? golden->n - at : chunk;
        struct bn_step_item item = {.session = session, .tokens = golden->ids + at, .n_tokens = n, .n_logits = n};
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        memcpy(out + at * rig->n_vocab, item.logits, n * rig->n_vocab * sizeof(*out));
    }
    bn_session_destroy(session);
    return out;
}

static void compare(const struct golden *golden, const float *ours)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < golden->n_values; i++) {
        double wanted = (double)golden->values[i];
        largest = fmax(largest, fabs(wanted));
        worst = fmax(worst, fabs((double)ours[i] - wanted));
    }
    printf("%-18s largest difference %.2g of %.3g: %.2g\n", golden->name, worst, largest, worst / largest);
    double bound = (device ? device_bounds : bounds)[golden->planes] * largest;
    CHECK(worst <= bound, "%s differs by %g of %g", golden->name, worst, largest);
    for (size_t t = 0; t < golden->n && !golden->embedding; t++) {
        size_t n = golden->n_values / golden->n, best = 0, ours_best = 0;
        const float *row = golden->values + t * n, *our_row = ours + t * n;
        float second = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            best = row[i] > row[best] ? i : best;
            ours_best = our_row[i] > our_row[ours_best] ? i : ours_best;
        }
        for (size_t i = 0; i < n; i++)
            second = i != best && row[i] > second ? row[i] : second;
        CHECK(best == ours_best || (double)(row[best] - second) <= 2 * bound, "%s: another token at %zu", golden->name,
              t);
    }
}

// The same bytes in other ways of computing them.
static void same_bits(const char *path, const struct golden *golden, const float *ours)
{
    static const struct {
        const char *isa;
        uint32_t threads, batch;
        size_t chunk;
    } ways[] = {{"scalar", 1, 64, 64}, {NULL, 2, 7, 64}, {NULL, 1, 64, 1}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct rig rig = rig_open(&(struct rig_options){.model = path,
                                                        .isa = ways[i].isa,
                                                        .threads = ways[i].threads,
                                                        .engine = {.n_outputs = 64, .n_batch = ways[i].batch}});
        float *again = compute(&rig, golden, ways[i].chunk);
        CHECK(memcmp(again, ours, golden->n_values * sizeof(*ours)) == 0, "%s: other bits in way %zu", golden->name, i);
        free(again);
        rig_close(&rig);
    }
}

static void check_family(const char *name, const json_t *facts)
{
    struct golden golden = {.name = name, .n = json_array_size(json_object_get(facts, "ids"))};
    if (golden.n == 0 || golden.n > MOST_TOKENS)
        exit(1);
    for (size_t i = 0; i < golden.n; i++)
        golden.ids[i] = (int32_t)json_integer_value(json_array_get(json_object_get(facts, "ids"), i));
    golden.planes = json_integer_value(json_object_get(facts, "planes")) == 2 ? 2 : 1;
    golden.embedding = json_is_true(json_object_get(facts, "embedding"));
    char path[4096];
    snprintf(path, sizeof(path), "%s", data_file(name, ".gguf"));
    struct rig rig = rig_open(&(struct rig_options){.model = path, .device = device, .engine = {.n_outputs = 64}});
    const struct bn_model_info *info = bn_model_get_info(rig.model);
    golden.n_values = golden.embedding ? info->n_embd : golden.n * info->n_vocab;
    read_values(&golden);
    CHECK(strcmp(info->architecture, json_string_value(json_object_get(facts, "architecture"))) == 0, "%s", name);
    CHECK(info->embeds == golden.embedding, "%s", name);
    CHECK(info->activation_planes == golden.planes, "%s has %u planes", name, info->activation_planes);
    float *ours = compute(&rig, &golden, MOST_TOKENS);
    compare(&golden, ours);
    if (golden.embedding) { // it has no head
        struct bn_session *session;
        MUST(bn_session_create(rig.engine, NULL, &session, &error));
        struct bn_step_item item = {.session = session, .tokens = golden.ids, .n_tokens = 1, .n_logits = 1};
        CHECK(bn_engine_step(rig.engine, &item, 1, &error) == BN_ERR_UNSUPPORTED, "%s gives logits", name);
        bn_session_destroy(session);
    }
    rig_close(&rig);
    if (!device)
        same_bits(path, &golden, ours);
    free(ours);
    free(golden.values);
}

static bool is_there(void)
{
    struct bn_runtime *runtime;
    struct bn_device *opened = NULL;
    MUST(bn_runtime_create(NULL, &runtime, &error));
    enum bn_result result = bn_device_open(runtime, device, NULL, &opened, &error);
    bn_device_close(opened);
    bn_runtime_destroy(runtime);
    if (result != BN_ERR_UNAVAILABLE && result != BN_ERR_NOT_FOUND)
        return true;
    printf("%s: %s\n", device, error.message);
    return false;
}

int main(int argc, char **argv)
{
    device = argc > 1 ? argv[1] : NULL;
    if (device && !is_there())
        return 77;
    json_t *index = json_load_file(data_file("families", ".json"), 0, NULL), *facts;
    const char *name;
    if (!index) {
        printf("%s cannot be read\n", data_file("families", ".json"));
        return 1;
    }
    json_object_foreach(index, name, facts) check_family(name, facts);
    json_decref(index);
    return finish();
}
