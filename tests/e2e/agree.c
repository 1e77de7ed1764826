// agree DEVICE: another device against the CPU driver, with the same tokens forced on both. docs/numerics.md states the bound:
// logits differ by less than BOUND, so the likeliest token is the same wherever the CPU's lead is larger than twice that.
#include <math.h>

#include "tests/e2e/harness.h"

enum { TOKENS = 88, CHUNK = 40 };
enum { PER_LAYER = 6, AROUND = 10 }; // most dispatches of a token: of a layer, and of embedding, norm, head, copies
static uint64_t dispatches;          // of the last step
static const float BOUND = 0.3f;

static const char story[] =
    "Once upon a time, there was a little girl named Lily. She loved to play with her toys. One day, she went to the "
    "park "
    "with her mom. Lily was very happy and wanted to play with her toys. She saw a big dog and a small cat. The dog "
    "was sad "
    "and wanted to play too. Lily said, \"You can play with my ball.\" The dog ran and ran until the sun went down.";

static struct rig open_rig(const char *device)
{
    struct rig_options options = {.device = device, .engine = {.n_batch = CHUNK, .n_outputs = CHUNK, .n_ctx = 1024}};
    options.engine.head = BN_HEAD_FULL;
    return rig_open(&options);
}

// Logits of all positions: the first CHUNK tokens at once, the others one by one. float [TOKENS][n_vocab].
static float *run(struct rig *rig, const int32_t *tokens)
{
    float *logits = malloc(sizeof(float) * TOKENS * rig->n_vocab);
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    for (size_t at = 0; at < TOKENS;) {
        size_t n = at == 0 ? CHUNK : 1;
        struct bn_step_item item = {.session = session, .tokens = tokens + at, .n_tokens = n, .n_logits = n};
        struct bn_device_status before, after;
        bn_device_get_status(rig->device, &before);
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        bn_device_get_status(rig->device, &after);
        dispatches = after.dispatches - before.dispatches;
        memcpy(logits + at * rig->n_vocab, item.logits, sizeof(float) * n * rig->n_vocab);
        at += n;
    }
    bn_session_destroy(session);
    return logits;
}

static uint32_t best(const float *logits, uint32_t n, float *lead)
{
    uint32_t first = 0;
    float second = -INFINITY;
    for (uint32_t i = 1; i < n; i++) {
        if (logits[i] > logits[first]) {
            second = logits[first];
            first = i;
        } else if (logits[i] > second) {
            second = logits[i];
        }
    }
    *lead = logits[first] - second;
    return first;
}

int main(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "vulkan";
    struct rig cpu = open_rig("cpu");
    struct bn_device *probe;
    enum bn_result there = bn_device_open(cpu.runtime, device, NULL, &probe, &error);
    if (there == BN_ERR_UNAVAILABLE || there == BN_ERR_NOT_FOUND) {
        printf("%s: %s\n", device, error.message);
        return 77;
    }
    MUST(there);
    bn_device_close(probe);
    struct rig other = open_rig(device);
    int32_t tokens[4 * TOKENS];
    size_t n;
    MUST(bn_tokenize(bn_model_get_tokenizer(cpu.model), story, strlen(story), BN_TOKENIZE_BOS, tokens, 4 * TOKENS, &n,
                     &error));
    CHECK(n >= TOKENS, "the story has %zu tokens", n);
    float *expected = run(&cpu, tokens), *got = run(&other, tokens), largest = 0;
    uint32_t layers = bn_model_get_info(cpu.model)->n_layer;
    if (argc <= 2) // "agree DEVICE unfused" is for devices without fused ops
        CHECK(dispatches <= PER_LAYER * layers + AROUND, "%" PRIu64 " dispatches for %u layers", dispatches, layers);
    uint32_t vocabulary = cpu.n_vocab, differ = 0, close = 0;
    for (size_t t = 0; t < TOKENS; t++) {
        const float *a = expected + t * vocabulary, *b = got + t * vocabulary;
        float lead, ignored;
        uint32_t ours = best(a, vocabulary, &lead), theirs = best(b, vocabulary, &ignored);
        for (uint32_t i = 0; i < vocabulary; i++)
            largest = fabsf(a[i] - b[i]) > largest ? fabsf(a[i] - b[i]) : largest;
        CHECK(ours == theirs || lead <= 2 * BOUND, "position %zu: %u instead of %u, which leads by %g", t, theirs, ours,
              (double)lead);
        differ += ours != theirs;
        close += lead <= 2 * BOUND;
    }
    CHECK(largest < BOUND, "logits differ by %g", (double)largest);
    printf("%s: %" PRIu64 " dispatches per token of %u layers\n", device, dispatches, layers);
    printf("%s: %d positions, %u with a lead within the bound, %u with another likeliest token; logits differ by %g at "
           "most\n",
           device, TOKENS, close, differ, (double)largest);
    free(expected);
    free(got);
    rig_close(&cpu);
    rig_close(&other);
    return finish();
}
