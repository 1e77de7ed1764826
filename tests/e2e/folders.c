// Tiny random folders of Hugging Face against transformers (tests/gen/hf_golden.py). Logits within 2e-3: the golden values come
// from float64 runs that a float32 run, and runs with embeddings a little off, agree with to 1e-3, and ours are f32 too. Models
// that were trained with ternary weights only have no int8 activations there, and two planes of them here, 16 bits: within 1e-2,
// of logits up to 65. Vectors, which have the length 1: within 1e-5.
#include <jansson.h>
#include <math.h>

#include "tests/e2e/harness.h"

static const double bounds[] = {[1] = 2e-3, [2] = 1e-2}; // by planes

static const char *data_file(const char *name, const char *end)
{
    static char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/hf/%s%s", data ? data : "tests/data", name, end);
    return path;
}

static void compare(const char *name, const json_t *facts)
{
    enum { MOST = 64 };
    int32_t ids[MOST];
    const json_t *list = json_object_get(facts, "ids");
    size_t n = json_array_size(list);
    CHECK(n > 0 && n <= MOST, "%s: %zu ids", name, n);
    for (size_t i = 0; i < n && i < MOST; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    struct rig rig = rig_open(&(struct rig_options){.model = data_file(name, ""), .engine = {.n_outputs = MOST}});
    CHECK(rig.n_vocab == json_integer_value(json_object_get(facts, "n_vocab")), "%s: the vocabulary", name);
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    const struct bn_model_info *info = bn_model_get_info(rig.model);
    size_t n_values = info->embeds ? info->n_embd : n * rig.n_vocab;
    float *golden = malloc(n_values * sizeof(*golden)), *vector = malloc(info->n_embd * sizeof(*vector));
    const float *ours = vector;
    CHECK(info->embeds == json_is_true(json_object_get(facts, "embedding")), "%s", name);
    if (info->embeds) {
        MUST(bn_embed(session, ids, n, vector, &error));
    } else {
        struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n, .n_logits = n};
        MUST(bn_engine_step(rig.engine, &item, 1, &error));
        ours = item.logits;
    }
    FILE *file = fopen(data_file(name, ".f32"), "rb");
    if (!file || !golden || fread(golden, sizeof(*golden), n_values, file) != n_values) {
        printf("%s cannot be read\n", data_file(name, ".f32"));
        exit(1);
    }
    fclose(file);
    double worst = 0, bound = bounds[json_integer_value(json_object_get(facts, "planes")) == 2 ? 2 : 1];
    for (size_t i = 0; i < n_values; i++)
        worst = fmax(worst, fabs((double)ours[i] - (double)golden[i]));
    printf("%s: largest difference %.3g, a float32 run of transformers: %.3g\n", name, worst,
           json_real_value(json_object_get(facts, "f32_error")));
    CHECK(worst <= (info->embeds ? 1e-5 : bound), "%s: logits differ by %g", name, worst);
    free(golden);
    free(vector);
    bn_session_destroy(session);
    rig_close(&rig);
}

int main(void)
{
    json_t *all = json_load_file(data_file("folders", ".json"), 0, NULL), *facts;
    const char *name;
    if (!all) {
        printf("%s cannot be read\n", data_file("folders", ".json"));
        return 1;
    }
    json_object_foreach(all, name, facts) compare(name, facts);
    json_decref(all);
    return finish();
}
