// Running the tests: what is timed, and what each of them streams and multiplies.
#include "bench/rig.h"

#include "common/device.h"
#include "common/fail.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_SHARE = 8 }; // a model is large from this part of --mem on

// A test under way.
struct run {
    struct rig *rig;
    const struct test *test;
    struct bn_step_item *items; // one per session
    int32_t *tokens;            // random
    uint32_t n_top;             // candidates asked for; 0: all logits
    double *gaps;               // seconds of each step of the generation; all repetitions
    size_t n_gaps;
    size_t n_fallbacks;  // outputs that a scan left too many candidates of
    struct probe *probe; // reads between the repetitions; NULL: none
};

// Random tokens, the same in every run.
static void fill_tokens(int32_t *tokens, size_t n, uint32_t n_vocab)
{
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        tokens[i] = (int32_t)((state >> 33) % n_vocab);
    }
}

// One step of all sessions, each with n_tokens of the random tokens.
static int step(struct run *run, const int32_t *tokens, size_t n_tokens, bool logits)
{
    struct bn_error err = {0};
    size_t n = run->rig->n_sessions;
    for (size_t i = 0; i < n; i++)
        run->items[i] = (struct bn_step_item){.session = run->rig->sessions[i],
                                              .tokens = tokens + i * n_tokens,
                                              .n_tokens = n_tokens,
                                              .n_logits = logits,
                                              .n_top = logits ? run->n_top : 0};
    if (bn_engine_step(run->rig->engine, run->items, n, &err))
        return tool_fail_device(PROGRAM, &err, NULL);
    for (size_t i = 0; i < n; i++)
        run->n_fallbacks += run->items[i].logits != NULL;
    return 0;
}

// n tokens for each of the sessions, in steps of at most `most`.
static int fill_context(struct run *run, uint32_t n, uint32_t most, bool logits)
{
    int exit_code = 0;
    for (uint32_t done = 0; done < n && !exit_code;) {
        uint32_t now = n - done < most ? n - done : most;
        done += now;
        exit_code = step(run, run->tokens, now, logits && done == n);
    }
    return exit_code;
}

static int generate(struct run *run)
{
    int exit_code = 0;
    for (uint32_t i = 0; i < run->test->n_gen && !exit_code; i++) {
        double start = bench_seconds();
        exit_code = step(run, run->tokens + i, 1, true);
        run->gaps[run->n_gaps++] = bench_seconds() - start;
    }
    return exit_code;
}

static int rewind_sessions(struct run *run)
{
    struct bn_error err = {0};
    for (size_t i = 0; i < run->rig->n_sessions; i++) {
        if (bn_session_truncate(run->rig->sessions[i], run->test->depth, &err))
            return tool_fail_device(PROGRAM, &err, NULL);
    }
    return 0;
}

// One repetition; *seconds of it.
static int repeat(struct run *run, double *seconds)
{
    int exit_code = rewind_sessions(run);
    double start = bench_seconds();
    if (!exit_code)
        exit_code = fill_context(run, run->test->n_prompt, run->test->n_batch, true);
    if (!exit_code)
        exit_code = generate(run);
    *seconds = bench_seconds() - start;
    return exit_code;
}

// Bytes of the head that one repetition streams: all of it for each chunk of rows with outputs, or all of the scan copy
// and those rows that were rescored.
static double head_bytes(const struct run *run, const struct result *result, double chunks)
{
    const struct bn_engine_stats *stats = &run->rig->stats;
    double outputs = (run->test->n_prompt > 0) + (double)run->test->n_gen * run->test->sessions;
    double full = (double)stats->head_bytes, row = full / bn_model_get_info(run->rig->model)->n_vocab;
    if (!result->scanned)
        return chunks * full;
    return chunks * (double)stats->scan_bytes + outputs * result->rescored * row +
           (double)run->n_fallbacks / (double)result->n_samples * full;
}

// Bytes and multiply-accumulates of one repetition, by the rules of docs/performance.md: each chunk of rows that the
// device computes at once streams the layers once, the head once if it has outputs, and the KV of its sessions once.
static void count_work(const struct run *run, const struct result *result, double *bytes, double *macs)
{
    const struct bn_model_info *info = bn_model_get_info(run->rig->model);
    const struct test *test = run->test;
    double embd = info->n_embd, attended = (double)info->n_head * info->head_dim;
    double matrices = embd * attended * 2 + 2 * embd * info->n_head_kv * info->head_dim + 3 * embd * info->n_ff;
    double head = embd * info->n_vocab, row = matrices * info->n_layer;
    double layers = (double)run->rig->stats.layer_bytes, position = (double)run->rig->stats.kv_position_bytes;
    *bytes = *macs = 0;
    for (uint32_t done = 0; done < test->n_prompt;) {
        uint32_t room = test->n_batch - done % test->n_batch, now = test->n_prompt - done;
        now = now < room ? now : room;
        now = now < result->n_ubatch ? now : result->n_ubatch;
        done += now;
        *bytes += layers + (double)(test->depth + done) * position;
        *macs += now * row;
    }
    uint32_t chunks = (test->sessions + result->n_ubatch - 1) / result->n_ubatch;
    double steps = test->n_gen, length = test->depth + test->n_prompt + (steps + 1) / 2; // on average
    *bytes += steps * (chunks * layers + test->sessions * length * position);
    *bytes += head_bytes(run, result, steps * chunks + (test->n_prompt > 0));
    *macs += steps * test->sessions * (row + head) + (test->n_prompt ? head : 0);
}

static int take_profile(const struct rig *rig, struct bn_op_profile *list, size_t *n)
{
    struct bn_error err = {0};
    if (bn_device_get_profile(rig->device, list, MAX_PROFILE, n, &err))
        return tool_fail_device(PROGRAM, &err, "without --breakdown the test works");
    *n = *n < MAX_PROFILE ? *n : MAX_PROFILE;
    return 0;
}

static int add_breakdown(struct result *result, const struct rig *rig, const struct bn_op_profile *before)
{
    result->profile = calloc(MAX_PROFILE, sizeof *result->profile);
    if (!result->profile) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    int exit_code = take_profile(rig, result->profile, &result->n_profile);
    for (size_t i = 0; i < result->n_profile; i++) {
        struct bn_op_profile *now = &result->profile[i];
        now->runs -= before[i].runs;
        now->barriers -= before[i].barriers;
        now->ns -= before[i].ns;
        now->alone_ns -= before[i].alone_ns;
        now->work_ns -= before[i].work_ns;
    }
    return exit_code;
}

static void add_figures(struct result *result, struct run *run, double seconds, double joules)
{
    const struct test *test = run->test;
    double tokens = ((double)test->n_prompt + test->n_gen) * test->sessions, bytes, macs;
    double sorted[1000];
    size_t n = result->n_samples;
    count_work(run, result, &bytes, &macs);
    memcpy(sorted, result->samples, n * sizeof *sorted);
    result->mean = stats_mean(sorted, n);
    result->stdev = stats_stdev(sorted, n);
    result->median = stats_median(sorted, n);
    result->p50_ms = stats_quantile(run->gaps, run->n_gaps, 0.5) * 1e3;
    result->p99_ms = stats_quantile(run->gaps, run->n_gaps, 0.99) * 1e3;
    result->bytes_per_token = bytes / tokens;
    result->macs_per_token = macs / tokens;
    result->n_tokens = (uint64_t)(tokens * (double)n);
    result->seconds = seconds;
    result->joules_per_token = joules / (double)result->n_tokens;
    result->head = run->rig->stats.head;
}

// All repetitions of a prepared test.
static int measure(struct bench *bench, struct run *run, struct result *result)
{
    struct bn_op_profile before[MAX_PROFILE] = {{0}};
    const struct test *test = run->test;
    double seconds, total = 0;
    size_t n = 0;
    int exit_code = 0;
    if (bench->settings.warmup)
        exit_code = repeat(run, &seconds);
    run->n_gaps = run->n_fallbacks = 0;
    struct bn_engine_stats first, last;
    struct bn_device_status device_first, device_last;
    BN_INIT(first);
    BN_INIT(last);
    bn_engine_get_stats(run->rig->engine, &first);
    bn_device_get_status(run->rig->device, &device_first);
    if (!exit_code && bench->settings.breakdown)
        exit_code = take_profile(run->rig, before, &n);
    double joules = 0;
    for (uint32_t i = 0; i < bench->settings.repetitions && !exit_code; i++) {
        exit_code = run->probe ? probe_read(run->probe) : 0;
        double before_joules = machine_joules(run->rig->device);
        if (!exit_code)
            exit_code = repeat(run, &seconds);
        joules += machine_joules_between(before_joules, machine_joules(run->rig->device));
        result->samples[result->n_samples++] =
            ((double)test->n_prompt + test->n_gen) * test->sessions / fmax(seconds, 1e-9);
        total += seconds;
    }
    if (run->probe) {
        probe_gb(run->probe, &result->read_gb, &result->read_best_gb);
        result->handoff_ns = probe_handoff(run->probe);
    }
    result->has_sensors = bn_device_get_sensors(run->rig->device, &result->sensors);
    bn_engine_get_stats(run->rig->engine, &last);
    bn_device_get_status(run->rig->device, &device_last);
    double tokens = ((double)test->n_prompt + test->n_gen) * test->sessions * (double)result->n_samples;
    result->submissions = (double)(device_last.submissions - device_first.submissions) / tokens;
    result->dispatches =
        device_last.dispatches ? (double)(device_last.dispatches - device_first.dispatches) / tokens : NAN;
    result->host_us = (total * 1e6 - (double)(last.wait_ns - first.wait_ns) * 1e-3) / tokens;
    result->scanned = last.scanned > first.scanned;
    result->rescored =
        result->scanned ? (double)(last.rescored - first.rescored) / (double)(last.scanned - first.scanned) : NAN;
    if (!exit_code && bench->settings.breakdown)
        exit_code = add_breakdown(result, run->rig, before);
    if (!exit_code)
        add_figures(result, run, total, joules);
    return exit_code;
}

// One test, its result added to those of the bench.
static int run_test(struct bench *bench, struct rig *rig, const struct test *test, enum pages pages,
                    struct probe *probe)
{
    const struct bn_device_info *device = bn_device_get_info(rig->device);
    const struct bn_engine_config *config = bn_engine_get_config(rig->engine);
    uint32_t repetitions = bench->settings.repetitions;
    void *grown = bench_grow(bench->results, bench->n_results, sizeof *bench->results);
    if (!grown)
        return TOOL_EXIT_RESOURCE;
    bench->results = grown;
    struct result *result = &bench->results[bench->n_results++];
    *result = (struct result){.threads = device->threads,
                              .pages = pages,
                              .packing = bench->settings.packing,
                              .mmap = bench->settings.mmap,
                              .huge_share = rig->huge_share,
                              .n_prompt = test->n_prompt,
                              .n_gen = test->n_gen,
                              .depth = test->depth,
                              .sessions = test->sessions,
                              .n_batch = test->n_batch,
                              .n_ubatch = config->n_batch,
                              .kv_type = config->kv_type,
                              .achieved_gb = NAN,
                              .read_gb = NAN,
                              .read_best_gb = NAN,
                              .handoff_ns = NAN,
                              .copy_gb = NAN,
                              .bandwidth_share = NAN,
                              .int8_share = NAN};
    snprintf(result->test, sizeof result->test, "%s", test->name);
    snprintf(result->device, sizeof result->device, "%s", device->id);
    snprintf(result->driver, sizeof result->driver, "%s", device->driver);
    snprintf(result->isa, sizeof result->isa, "%s", device->isa);
    snprintf(result->machine, sizeof result->machine, "%s", device->name);
    uint32_t rows = test->n_prompt < test->n_batch ? test->n_prompt : test->n_batch;
    rows = rows > test->sessions ? rows : test->sessions;
    result->batch = rows < config->n_batch ? rows : config->n_batch;

    // The longest step, and a start further on for each token that is made.
    size_t room = (size_t)test->n_gen + test->n_batch + (size_t)config->n_batch * test->sessions;
    struct run run = {.rig = rig, .test = test, .n_top = bench->settings.top_k, .probe = probe};
    if (probe)
        probe_restart(probe);
    run.items = calloc(test->sessions, sizeof *run.items);
    run.tokens = calloc(room, sizeof *run.tokens);
    run.gaps = calloc((size_t)test->n_gen * (repetitions + 1) + 1, sizeof *run.gaps);
    result->samples = calloc(repetitions, sizeof *result->samples);
    int exit_code = 0;
    if (!run.items || !run.tokens || !run.gaps || !result->samples) {
        tool_say(PROGRAM, "out of memory");
        exit_code = TOOL_EXIT_RESOURCE;
    } else {
        fill_tokens(run.tokens, room, bn_model_get_info(rig->model)->n_vocab);
        exit_code = rig_open_sessions(rig, test->sessions);
    }
    if (!exit_code)
        exit_code = fill_context(&run, test->depth, config->n_batch, false);
    if (!exit_code)
        exit_code = measure(bench, &run, result);
    rig_close_sessions(rig);
    free(run.items);
    free(run.tokens);
    free(run.gaps);
    return exit_code;
}

static struct test *add_test(struct test **tests, size_t *n, uint32_t prompt, uint32_t gen, uint32_t depth,
                             uint32_t sessions, uint32_t n_batch, enum bn_kv_type kv_type)
{
    struct test *grown = bench_grow(*tests, *n, sizeof **tests);
    if (!grown)
        return NULL;
    *tests = grown;
    struct test *test = &grown[(*n)++];
    char parts[4][16] = {"", "", "", ""};
    const char *type = kv_type == BN_KV_INT8 ? " int8" : "";
    if (prompt)
        snprintf(parts[0], sizeof parts[0], "pp%u", prompt);
    if (gen)
        snprintf(parts[1], sizeof parts[1], "%stg%u", prompt ? "+" : "", gen);
    if (depth)
        snprintf(parts[2], sizeof parts[2], " @ d%u", depth);
    if (sessions > 1)
        snprintf(parts[3], sizeof parts[3], " x%u", sessions);
    *test = (struct test){
        .n_prompt = prompt, .n_gen = gen, .depth = depth, .sessions = sessions, .n_batch = n_batch, .kv_type = kv_type};
    snprintf(test->name, sizeof test->name, "%s%s%s%s%s", parts[0], parts[1], parts[2], parts[3], type);
    return test;
}

// All tests that one engine runs. Ownership: the caller frees *tests.
static int list_tests(const struct plan *plan, enum bn_kv_type type, struct test **tests, size_t *n)
{
    bool good = true;
    for (size_t d = 0; d < plan->depths.n; d++) {
        uint32_t depth = plan->depths.value[d];
        for (size_t b = 0; b < plan->batches.n; b++) {
            uint32_t batch = plan->batches.value[b];
            for (size_t i = 0; i < plan->prompts.n && good; i++)
                good = !plan->prompts.value[i] || add_test(tests, n, plan->prompts.value[i], 0, depth, 1, batch, type);
            for (size_t i = 0; i < plan->pair_prompts.n && good; i++)
                good = add_test(tests, n, plan->pair_prompts.value[i], plan->pair_gens.value[i], depth, 1, batch, type);
        }
        for (size_t i = 0; i < plan->gens.n; i++) {
            for (size_t s = 0; s < plan->sessions.n && good; s++)
                good = !plan->gens.value[i] || add_test(tests, n, 0, plan->gens.value[i], depth,
                                                        plan->sessions.value[s], plan->batches.value[0], type);
        }
    }
    return good ? 0 : TOOL_EXIT_RESOURCE;
}

// An engine that is large enough for all tests.
static int configure(const struct bench *bench, const struct test *tests, size_t n, uint32_t n_ubatch,
                     struct bn_engine_config *config)
{
    uint64_t positions = 0;
    BN_INIT(*config);
    config->kv_type = tests->kv_type;
    config->n_batch = n_ubatch;
    config->head = (enum bn_head)bench->settings.head;
    config->load = bench->settings.mmap < 0 ? BN_LOAD_AUTO : bench->settings.mmap ? BN_LOAD_MAP : BN_LOAD_COPY;
    for (size_t i = 0; i < n; i++) {
        uint64_t length = (uint64_t)tests[i].depth + tests[i].n_prompt + tests[i].n_gen;
        uint64_t pages = (length + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS * tests[i].sessions;
        config->n_ctx = length > config->n_ctx ? (uint32_t)length : config->n_ctx;
        config->n_sessions = tests[i].sessions > config->n_sessions ? tests[i].sessions : config->n_sessions;
        positions = pages * BN_PAGE_POSITIONS > positions ? pages * BN_PAGE_POSITIONS : positions;
    }
    if (positions > UINT32_MAX) {
        tool_say(PROGRAM, "%llu positions are too many: fewer --sessions or a smaller --depth",
                 (unsigned long long)positions);
        return TOOL_EXIT_USAGE;
    }
    config->n_positions = (uint32_t)positions;
    return 0;
}

static void tell(const struct bench *bench, const struct result *result)
{
    bench_progress(bench, "%s, %u thread%s: %.2f tokens/s", result->test, result->threads,
                   result->threads == 1 ? "" : "s", result->median);
}

// The pages in which what a test streams lies; those of a file are small.
static enum pages pages_of(double huge_share)
{
    return huge_share > 0.5 ? PAGES_HUGE : PAGES_SMALL;
}

// Whether memory is read between the repetitions. Not with a model that caches may hold, which they would lose, nor
// beside threads that spin.
static bool wants_probe(const struct bench *bench, const struct rig *rig)
{
    bool large = rig->stats.layer_bytes > bench->plan.mem / LARGE_SHARE;
    return bench->settings.limits && !bench->settings.wait && large && bn_device_get_info(rig->device)->threads;
}

static int run_engine(struct bench *bench, struct rig *rig, uint32_t n_ubatch, enum bn_kv_type type, enum pages pages)
{
    struct test *tests = NULL;
    struct probe *probe = NULL;
    struct bn_engine_config config;
    size_t n = 0;
    int exit_code = list_tests(&bench->plan, type, &tests, &n);
    if (!exit_code)
        exit_code = configure(bench, tests, n, n_ubatch, &config);
    if (!exit_code)
        exit_code = rig_open_engine(rig, &config);
    if (!exit_code && wants_probe(bench, rig)) {
        probe = calloc(1, sizeof *probe);
        exit_code = probe ? probe_open(probe, bn_device_get_info(rig->device)->threads, bench->plan.mem,
                                       pages_of(rig->huge_share))
                          : TOOL_EXIT_RESOURCE;
    }
    for (size_t i = 0; i < n && !exit_code; i++) {
        exit_code = run_test(bench, rig, &tests[i], pages, probe);
        if (!exit_code)
            tell(bench, &bench->results[bench->n_results - 1]);
    }
    if (probe)
        probe_close(probe);
    free(probe);
    rig_close_engine(rig);
    free(tests);
    return exit_code;
}

// Opens the model once before anything is measured: a wrong file is told at once.
static int note_model(struct bench *bench)
{
    struct rig rig;
    bench->device = bench->plan.devices[0];
    int exit_code = rig_open_device(&rig, bench, 1, PAGES_HUGE);
    if (!exit_code)
        exit_code = rig_open_model(&rig, bench);
    if (!exit_code) {
        const struct bn_model_info *info = bn_model_get_info(rig.model);
        snprintf(bench->model.name, sizeof bench->model.name, "%s", info->name);
        snprintf(bench->model.architecture, sizeof bench->model.architecture, "%s", info->architecture);
        bench->model.n_params = info->n_params;
        bench->model.bytes = info->bytes;
    }
    rig_close(&rig);
    return exit_code;
}

static int run_pages(struct bench *bench, uint32_t threads, enum pages pages)
{
    struct rig rig;
    int exit_code = rig_open_device(&rig, bench, threads, pages);
    if (!exit_code)
        exit_code = rig_open_model(&rig, bench);
    const struct numbers *ubatches = &bench->plan.ubatches, *types = &bench->plan.cache_types;
    for (size_t i = 0; i < ubatches->n; i++)
        for (size_t t = 0; t < types->n && !exit_code; t++)
            exit_code = run_engine(bench, &rig, ubatches->value[i], (enum bn_kv_type)types->value[t], pages);
    rig_close(&rig);
    return exit_code;
}

// What the tests of this thread count came to, against what the machine can do.
static void compare_with_limits(struct bench *bench, size_t first, const struct limits *limits, double copy_gb)
{
    for (size_t i = first; i < bench->n_results; i++) {
        struct result *result = &bench->results[i];
        enum pages pages = pages_of(result->huge_share);
        result->achieved_gb = result->median * result->bytes_per_token * 1e-9;
        result->copy_gb = copy_gb;
        if (limits && !isfinite(result->read_gb)) { // not read between the repetitions
            result->read_gb = limits->read_gb[pages];
            result->read_best_gb = limits->best_gb[pages];
            result->handoff_ns = limits->handoff_ns;
        }
        result->bandwidth_share = result->achieved_gb / (limits ? result->read_gb : copy_gb);
        if (limits) {
            result->int8_share = result->median * result->macs_per_token / limits->macs;
        }
    }
}

static int measure_limits(struct bench *bench, struct limits *limits, uint32_t threads, const char *when)
{
    bench_progress(bench, "reading memory, %u thread%s, %s", threads, threads == 1 ? "" : "s", when);
    return limits_measure(limits, threads, bench->plan.mem);
}

// What the device calls itself, after the others.
static void note_machine(struct bench *bench, const char *name)
{
    size_t length = strlen(bench->machine);
    if (!strstr(bench->machine, name))
        snprintf(bench->machine + length, sizeof bench->machine - length, "%s%s", length ? ", " : "", name);
}

// Those of another device with as many threads, or new ones. NULL: out of memory, which has been told.
static struct limits *limits_of(struct bench *bench, uint32_t threads, const char *machine)
{
    for (size_t i = 0; i < bench->n_limits; i++)
        if (bench->limits[i].threads == threads)
            return &bench->limits[i];
    struct limits *grown = bench_grow(bench->limits, bench->n_limits, sizeof *bench->limits);
    if (!grown)
        return NULL;
    bench->limits = grown;
    struct limits *limits = &grown[bench->n_limits++];
    memset(limits, 0, sizeof *limits);
    limits->threads = threads;
    limits->handoff_ns = NAN;
    snprintf(limits->machine, sizeof limits->machine, "%s", machine);
    return limits;
}

// *threaded: whether the number of threads makes a difference to the device.
static int run_threads(struct bench *bench, uint32_t threads, bool *threaded)
{
    struct rig rig;
    char machine[96] = "";
    size_t first = bench->n_results;
    double copy_gb = NAN;
    int exit_code = rig_open_device(&rig, bench, threads, PAGES_HUGE);
    if (!exit_code) {
        const struct bn_device_info *info = bn_device_get_info(rig.device);
        bool asked = bench->settings.threads.n > 0; // else it is a number of ours
        const struct bn_device_options given = {.isa = bench->settings.isa,
                                                .packing = (enum bn_packing)bench->settings.packing,
                                                .threads = asked ? threads : 0};
        tool_note_unused(PROGRAM, rig.device, &given);
        threads = info->threads;
        *threaded = threads > 0;
        snprintf(machine, sizeof machine, "%s", info->name);
        note_machine(bench, info->name);
        if (bench->settings.limits && !threads && bn_device_supports(rig.device, BN_OP_COPY, BN_LAYOUT_COUNT)) {
            bench_progress(bench, "copying in the memory of %s", info->name);
            exit_code = copy_measure(&rig, bench->plan.mem, &copy_gb);
            snprintf(bench->copies[bench->n_copies].device, sizeof bench->copies->device, "%s/%s", info->id,
                     info->driver);
            bench->copies[bench->n_copies++].gb = copy_gb;
        }
    }
    rig_close(&rig);
    if (exit_code)
        return exit_code;
    struct limits *limits = NULL;
    if (bench->settings.limits && threads) {
        limits = limits_of(bench, threads, machine);
        exit_code = limits ? measure_limits(bench, limits, threads, "before the tests") : TOOL_EXIT_RESOURCE;
    }
    for (size_t i = 0; i < bench->plan.pages.n && bench->has_tests && !exit_code; i++)
        exit_code = run_pages(bench, threads, (enum pages)bench->plan.pages.value[i]);
    if (limits && !exit_code && bench->n_results > first)
        exit_code = measure_limits(bench, limits, threads, "after the tests");
    if (!exit_code)
        compare_with_limits(bench, first, limits, copy_gb);
    return exit_code;
}

static bool any(const struct numbers *list)
{
    bool found = false;
    for (size_t i = 0; i < list->n; i++)
        found = found || list->value[i];
    return found;
}

int tests_run(struct bench *bench)
{
    int exit_code = 0;
    bench->has_tests = any(&bench->plan.prompts) || any(&bench->plan.gens) || bench->plan.pair_prompts.n;
    if (bench->has_tests && !bench->model_path)
        exit_code = bench_find_model(bench);
    if (bench->has_tests && !exit_code)
        exit_code = note_model(bench);
    for (size_t d = 0; d < bench->plan.n_devices && !exit_code; d++) {
        bool threaded = true;
        bench->device = bench->plan.devices[d];
        for (size_t i = 0; i < bench->plan.threads.n && threaded && !exit_code; i++)
            exit_code = run_threads(bench, bench->plan.threads.value[i], &threaded);
    }
    return exit_code;
}
