// --tune: decodes with every number of threads that may be best, in each form and place of weights, and writes down what was
// fastest.
#include "bench/bench.h"

#include "common/fail.h"

#include <string.h>

enum { TOKENS = 32, ROUNDS = 2 };

// Of the same speed as the fastest, as far as a noisy machine can tell: the plainest of them is taken.
static const double SAME = 0.97;

static const struct choice {
    int packing, mmap;
    const char *text;
} choices[] = {
    // the plainest first
    {BN_PACKING_2BIT, true, "2 bits, read from the file"},
    {BN_PACKING_2BIT, false, "2 bits, copied"},
    {BN_PACKING_BASE3, false, "base 3"},
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

// 1, 2, 4 ... and all but one, and all.
static void list_threads(struct numbers *list, uint32_t most)
{
    list->n = 0;
    for (uint32_t n = 1; n + 1 < most && list->n < MAX_NUMBERS - 2; n *= 2)
        list->value[list->n++] = n;
    if (most > 1)
        list->value[list->n++] = most - 1;
    list->value[list->n++] = most;
    for (size_t i = 1; i < list->n; i++) // 1 and "all but one" may be the same
        if (list->value[i] == list->value[i - 1])
            memmove(&list->value[i], &list->value[i + 1], (--list->n - i) * sizeof *list->value);
}

// What affinity and the control group allow.
static int count_threads(uint32_t *most)
{
    struct bn_runtime *runtime = NULL;
    struct bn_device_info list[64];
    struct bn_error err = {0};
    size_t n = 0;
    enum bn_result result = bn_runtime_create(NULL, &runtime, &err);
    if (result == BN_OK)
        result = bn_device_list(runtime, list, 64, &n, &err);
    bn_runtime_destroy(runtime);
    *most = 1;
    for (size_t i = 0; result == BN_OK && i < n && i < 64; i++)
        if (strcmp(list[i].driver, "cpu") == 0)
            *most = list[i].threads;
    return result == BN_OK ? 0 : tool_fail(PROGRAM, &err, NULL);
}

static int measure_all(struct bench *bench)
{
    int exit_code = 0;
    for (int round = 0; round < ROUNDS && !exit_code; round++)
        for (size_t i = 0; i < N_CHOICES && !exit_code; i++) {
            bench->settings.packing = choices[i].packing;
            bench->settings.mmap = choices[i].mmap;
            bench_progress(bench, "%s:", choices[i].text);
            exit_code = tests_run(bench);
        }
    return exit_code;
}

// The better of the rounds: what the machine can do, rather than what else it did.
static double rate_of(const struct bench *bench, const struct choice *choice, uint32_t threads)
{
    double best = 0;
    for (size_t i = 0; i < bench->n_results; i++) {
        const struct result *r = &bench->results[i];
        if (r->threads == threads && r->packing == choice->packing && r->mmap == choice->mmap && r->median > best)
            best = r->median;
    }
    return best;
}

static int keep(const struct bench *bench, const struct choice *choice, uint32_t threads, double rate)
{
    struct bn_runtime *runtime = NULL;
    struct bn_error err = {0};
    struct bn_tuning tuning;
    BN_INIT(tuning);
    tuning.threads = threads;
    tuning.packing = (enum bn_packing)choice->packing;
    tuning.load = choice->mmap ? BN_LOAD_MAP : BN_LOAD_COPY;
    enum bn_result result = bn_runtime_create(NULL, &runtime, &err);
    if (result == BN_OK)
        result = bn_tuning_write(runtime, &tuning, &err);
    bn_runtime_destroy(runtime);
    if (result != BN_OK)
        return tool_fail(PROGRAM, &err, NULL);
    if (!bench->settings.quiet)
        tool_say(PROGRAM, "fastest: %u thread%s, weights in %s: %.2f tokens/s; written down for later runs", threads,
                 threads == 1 ? "" : "s", choice->text, rate);
    return 0;
}

int tune_run(struct bench *bench)
{
    struct plan *plan = &bench->plan;
    uint32_t most;
    int exit_code = count_threads(&most);
    if (exit_code)
        return exit_code;
    plan->prompts.n = plan->pair_prompts.n = plan->pair_gens.n = 0;
    plan->gens = (struct numbers){{TOKENS}, 1};
    plan->depths = (struct numbers){{0}, 1};
    plan->sessions = (struct numbers){{1}, 1};
    list_threads(&plan->threads, most);
    bench->settings.limits = false;
    exit_code = measure_all(bench);
    if (exit_code)
        return exit_code;
    double fastest = 0, rate;
    for (size_t i = 0; i < N_CHOICES; i++)
        for (size_t t = 0; t < plan->threads.n; t++) {
            rate = rate_of(bench, &choices[i], plan->threads.value[t]);
            fastest = rate > fastest ? rate : fastest;
        }
    for (size_t i = 0; i < N_CHOICES; i++)
        for (size_t t = 0; t < plan->threads.n; t++) {
            rate = rate_of(bench, &choices[i], plan->threads.value[t]);
            if (rate >= SAME * fastest)
                return keep(bench, &choices[i], plan->threads.value[t], rate);
        }
    return 0;
}
