// The promise of docs/numerics.md: the same logits, bit for bit, for every ISA, thread count, chunk size and batch.
#include "tests/e2e/harness.h"

#include <math.h>

enum { N = 150, N_BATCH = 8 };

static enum bn_kv_type kv_type; // of all engines to come

// A text of N tokens that visits the whole vocabulary; `variant` makes another one.
static void make_tokens(int32_t *ids, uint32_t n_vocab, uint32_t variant)
{
    for (uint32_t i = 0; i < N; i++)
        ids[i] = (int32_t)((i * 2654435761u + variant * 40503u + 17) >> 5) % (int32_t)n_vocab;
    for (uint32_t i = 0; i < N; i++)
        ids[i] = ids[i] < 0 ? -ids[i] : ids[i];
}

// Logits of all N positions, fed `chunk` tokens at a time.
static float *run_alone(const struct rig *rig, uint32_t variant, size_t chunk)
{
    int32_t ids[N];
    make_tokens(ids, rig->n_vocab, variant);
    float *logits = malloc(sizeof(*logits) * N * rig->n_vocab);
    struct bn_session *session;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    for (size_t done = 0; done < N;) {
        size_t n = N - done < chunk ? N - done : chunk;
        struct bn_step_item item = {.session = session, .tokens = ids + done, .n_tokens = n, .n_logits = n};
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        memcpy(logits + done * rig->n_vocab, item.logits, sizeof(*logits) * n * rig->n_vocab);
        done += n;
    }
    bn_session_destroy(session);
    return logits;
}

static void compare(const char *what, const float *a, const float *b, size_t n)
{
    size_t i = 0;
    while (i < n && memcmp(&a[i], &b[i], sizeof(*a)) == 0)
        i++;
    CHECK(i == n, "%s: logit %zu of %zu is %.9g, not %.9g", what, i, n, (double)a[i < n ? i : 0],
          (double)b[i < n ? i : 0]);
}

static void vary(const float *reference, const char *isa, uint32_t threads, uint32_t n_batch, size_t chunk)
{
    struct rig rig = rig_open(
        &(struct rig_options){.isa = isa,
                              .threads = threads,
                              .engine = {.n_ctx = 256, .n_batch = n_batch, .n_outputs = N, .kv_type = kv_type}});
    char what[96];
    snprintf(what, sizeof(what), "isa %s, %u threads, chunks of %u rows, steps of %zu tokens%s",
             bn_device_get_info(rig.device)->isa, threads, n_batch, chunk, kv_type == BN_KV_INT8 ? ", int8 KV" : "");
    float *logits = run_alone(&rig, 0, chunk);
    compare(what, logits, reference, (size_t)N * rig.n_vocab);
    printf("%s\n", what);
    free(logits);
    rig_close(&rig);
}

// Eight sessions in one batch, of different lengths and at different places, against each alone.
static void batch(const struct rig *rig)
{
    float *alone[N_BATCH];
    int32_t ids[N_BATCH][N];
    struct bn_session *sessions[N_BATCH];
    struct bn_step_item items[N_BATCH];
    for (uint32_t s = 0; s < N_BATCH; s++) {
        make_tokens(ids[s], rig->n_vocab, s);
        alone[s] = run_alone(rig, s, N);
    }
    for (uint32_t s = 0; s < N_BATCH; s++)
        MUST(bn_session_create(rig->engine, NULL, &sessions[s], &error));
    size_t done[N_BATCH] = {0};
    for (int round = 0; round < 6; round++) {
        size_t n_items = 0;
        for (uint32_t s = 0; s < N_BATCH; s++) {
            size_t n = round < 2 ? 1 + (s * 5 + (size_t)round * 11) % 23 : 1 + (s % 3) * (round == 4);
            items[n_items++] = (struct bn_step_item){
                .session = sessions[s], .tokens = ids[s] + done[s], .n_tokens = n, .n_logits = n > 2 ? 2 : n};
        }
        MUST(bn_engine_step(rig->engine, items, n_items, &error));
        for (uint32_t s = 0; s < N_BATCH; s++) {
            done[s] += items[s].n_tokens;
            compare("batch of 8", items[s].logits, alone[s] + (done[s] - items[s].n_logits) * rig->n_vocab,
                    items[s].n_logits * rig->n_vocab);
        }
    }
    for (uint32_t s = 0; s < N_BATCH; s++) {
        bn_session_destroy(sessions[s]);
        free(alone[s]);
    }
    printf("batch of %d sessions\n", N_BATCH);
}

// Fork in the middle of a page, both go on differently; truncate and go on: as if fed alone.
static void fork_and_truncate(const struct rig *rig)
{
    int32_t a[N], b[N];
    make_tokens(a, rig->n_vocab, 0);
    memcpy(b, a, sizeof(b));
    for (size_t i = 100; i < N; i++)
        b[i] = (a[i] + 1000) % (int32_t)rig->n_vocab;
    struct bn_session *first, *second, *fresh;
    MUST(bn_session_create(rig->engine, NULL, &first, &error));
    struct bn_step_item item = {.session = first, .tokens = a, .n_tokens = 100, .n_logits = 1};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    MUST(bn_session_fork(first, &second, &error));
    struct bn_step_item both[2] = {{.session = first, .tokens = a + 100, .n_tokens = 50, .n_logits = 50},
                                   {.session = second, .tokens = b + 100, .n_tokens = 50, .n_logits = 50}};
    MUST(bn_engine_step(rig->engine, both, 2, &error));
    float *forked = malloc(sizeof(float) * 100 * rig->n_vocab);
    memcpy(forked, both[0].logits, sizeof(float) * 50 * rig->n_vocab);
    memcpy(forked + 50 * rig->n_vocab, both[1].logits, sizeof(float) * 50 * rig->n_vocab);
    MUST(bn_session_truncate(first, 70, &error));
    item = (struct bn_step_item){.session = first, .tokens = b + 70, .n_tokens = 80, .n_logits = 50};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    compare("truncated", item.logits, forked + 50 * rig->n_vocab, 50 * rig->n_vocab);
    for (int which = 0; which < 2; which++) {
        MUST(bn_session_create(rig->engine, NULL, &fresh, &error));
        item = (struct bn_step_item){.session = fresh, .tokens = which ? b : a, .n_tokens = N, .n_logits = 50};
        MUST(bn_engine_step(rig->engine, &item, 1, &error));
        compare(which ? "fork" : "origin", forked + (size_t)which * 50 * rig->n_vocab, item.logits, 50 * rig->n_vocab);
        bn_session_destroy(fresh);
    }
    bn_session_destroy(first);
    bn_session_destroy(second);
    free(forked);
    struct bn_engine_stats stats;
    bn_engine_get_stats(rig->engine, &stats);
    CHECK(stats.pages_used == 0, "%u pages are still held", stats.pages_used);
    printf("fork and truncate\n");
}

// What int8 KV does to the logits; the bounds are twice what was measured (docs/numerics.md).
static void compare_types(const float *f16, const float *int8, uint32_t n_vocab)
{
    double most = 0, divergence = 0;
    size_t agree = 0;
    for (size_t row = 0; row < N; row++, f16 += n_vocab, int8 += n_vocab) {
        double sums[2] = {0}, mean = 0;
        uint32_t best[2] = {0};
        for (uint32_t i = 0; i < n_vocab; i++) {
            sums[0] += exp((double)f16[i]);
            sums[1] += exp((double)int8[i]);
            best[0] = f16[i] > f16[best[0]] ? i : best[0];
            best[1] = int8[i] > int8[best[1]] ? i : best[1];
            most = fmax(most, fabs((double)f16[i] - (double)int8[i]));
        }
        for (uint32_t i = 0; i < n_vocab; i++)
            mean += exp((double)f16[i]) / sums[0] * ((double)f16[i] - (double)int8[i]);
        divergence += (mean + log(sums[1] / sums[0])) / N;
        agree += best[0] == best[1];
    }
    printf("int8 KV: logits differ by %.3f at most, divergence %.2g nats, %zu of %d likeliest tokens the same\n", most,
           divergence, agree, N);
    CHECK(most > 0 && most < 0.41 && divergence > 0 && divergence < 0.0006 && agree >= N - 4, "int8 KV is off");
}

static void all_ways(const float *reference)
{
    static const struct {
        uint32_t threads, n_batch;
        size_t chunk;
    } ways[] = {{1, 128, N}, {1, 128, 1}, {1, 1, N}, {2, 128, 128}, {3, 7, 64}, {5, 64, N}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (kv_type == BN_KV_F16 || i < 2)
            vary(reference, "scalar", ways[i].threads, ways[i].n_batch, ways[i].chunk);
        vary(reference, NULL, ways[i].threads, ways[i].n_batch, ways[i].chunk); // the best this machine has
    }
}

int main(void)
{
    struct rig_options options = {
        .isa = "scalar", .threads = 1, .engine = {.n_ctx = 256, .n_batch = 128, .n_sessions = N_BATCH, .n_outputs = N}};
    float *reference[2];
    uint32_t n_vocab = 0;
    for (kv_type = BN_KV_F16; kv_type <= BN_KV_INT8; kv_type++) {
        options.engine.kv_type = kv_type;
        options.isa = "scalar";
        options.threads = 1;
        struct rig rig = rig_open(&options);
        reference[kv_type] = run_alone(&rig, 0, N);
        n_vocab = rig.n_vocab;
        rig_close(&rig);
        all_ways(reference[kv_type]);
        options.isa = NULL;
        options.threads = 2;
        rig = rig_open(&options);
        batch(&rig);
        fork_and_truncate(&rig);
        rig_close(&rig);
    }
    compare_types(reference[BN_KV_F16], reference[BN_KV_INT8], n_vocab);
    free(reference[0]);
    free(reference[1]);
    return finish();
}
