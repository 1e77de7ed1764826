// Perplexity in windows, the plain way: one token at a time, softmax written out. Prints value, error, windows.
// usage: perplexity_check MODEL TEXT WINDOW
#include "harness.h"

#include <math.h>

static double surprise(const float *logits, size_t n, int32_t token)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)logits[token]);
    return log(sum);
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    static int32_t ids[1 << 18];
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_device *device;
    struct bn_engine *engine;
    struct bn_session *session;
    double sum = 0, squares = 0;
    size_t n_ids, n = 0;
    FILE *file = argc == 4 ? fopen(argv[2], "rb") : NULL;
    if (!file)
        return 2;
    size_t bytes = fread(text, 1, sizeof text, file);
    fclose(file);
    size_t window = strtoul(argv[3], NULL, 10);
    MUST(bn_runtime_create(NULL, &runtime, &error));
    MUST(bn_model_open(runtime, argv[1], NULL, &model, &error));
    MUST(bn_device_open(runtime, "cpu", NULL, &device, &error));
    MUST(bn_engine_create(runtime, model, device, NULL, &engine, &error));
    MUST(bn_session_create(engine, NULL, &session, &error));
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(model);
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(tokenizer);
    MUST(bn_tokenize(tokenizer, text, bytes, BN_TOKENIZE_BOS, ids, 1 << 18, &n_ids, &error));
    for (size_t start = 0; start + window <= n_ids; start += window) {
        ids[start] = info->bos;
        MUST(bn_session_truncate(session, 0, &error));
        for (size_t i = 0; i + 1 < window; i++) {
            struct bn_step_item item = {.session = session, .tokens = ids + start + i, .n_tokens = 1, .n_logits = 1};
            MUST(bn_engine_step(engine, &item, 1, &error));
            if (i < window / 2)
                continue;
            double loss = surprise(item.logits, info->n_vocab, ids[start + i + 1]);
            sum += loss;
            squares += loss * loss;
            n++;
        }
    }
    double mean = sum / (double)n, value = exp(mean);
    double deviation = sqrt((squares / (double)n - mean * mean) / (double)(n - 1));
    printf("%.6f %.6f %zu\n", value, deviation * value, n_ids / window);
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    bn_device_close(device);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    return 0;
}
