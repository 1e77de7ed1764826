#include "run/run.h"

#include "common/fail.h"
#include "common/model_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static enum bn_log_level log_level(const struct settings *settings)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (settings->log >= 0)
        return (enum bn_log_level)settings->log;
    if (settings->verbose)
        return BN_LOG_INFO;
    if (settings->quiet)
        return BN_LOG_ERROR;
    const char *wanted = getenv("BITNET_LOG");
    for (int i = 0; wanted && i < 4; i++) {
        if (strcmp(wanted, names[i]) == 0)
            return (enum bn_log_level)i;
    }
    return BN_LOG_WARNING;
}

static void print_message(void *user, enum bn_log_level level, const char *message)
{
    const struct run *run = user;
    if (level <= log_level(&run->settings))
        tool_say(PROGRAM, "%s%s", level == BN_LOG_WARNING ? "warning: " : "", message);
}

static int open_runtime(struct run *run)
{
    struct bn_runtime_config config;
    struct bn_error err = {0};
    BN_INIT(config);
    config.log = print_message;
    config.log_user = run;
    if (bn_runtime_create(&config, &run->runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    if (run->settings.trace && bn_trace_create(run->runtime, run->settings.trace, 0, &run->trace, &err))
        return tool_fail(PROGRAM, &err, NULL);
    return 0;
}

int run_write_trace(struct run *run)
{
    struct bn_error err = {0};
    return run->trace && bn_trace_write(run->trace, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
}

static int open_model(struct run *run)
{
    const struct settings *settings = &run->settings;
    struct bn_model_options options;
    struct bn_error err = {0};
    const char *name = settings->model ? settings->model : TOOL_DEFAULT_MODEL;
    int exit_code = tool_find_model(PROGRAM, name, settings->models, &run->model_path);
    if (exit_code)
        return exit_code;
    BN_INIT(options);
    int order = settings->i2s_layout; // each order has two names
    options.i2s_order = (enum bn_i2s_order)(order > BN_I2S_C ? order - BN_I2S_C : order);
    options.activation = (enum bn_activation)settings->activation;
    options.activation_planes = settings->activation_planes;
    if (bn_model_open(run->runtime, run->model_path, &options, &run->model, &err))
        return tool_fail(PROGRAM, &err, NULL);
    run->tokenizer = bn_model_get_tokenizer(run->model);
    return 0;
}

static int open_device(struct run *run)
{
    const struct settings *settings = &run->settings;
    struct bn_error err = {0};
    if (run_open_device(run, settings->device, &err))
        return tool_fail_device(PROGRAM, &err, NULL);
    const char *named = getenv("BITNET_DEVICE");
    if (settings->verbose && !settings->device && !(named && *named))
        tool_say(PROGRAM, "device %s: the first of --list-devices that is ready", bn_device_get_info(run->device)->id);
    return 0;
}

static bool choose_float(float given, float *value)
{
    *value = given < 0 ? *value : given;
    return given < 0;
}

static bool choose_u32(uint32_t given, uint32_t *value)
{
    *value = given == UINT32_MAX ? *value : given;
    return given == UINT32_MAX;
}

// The command line decides, then the model's file, then the library.
static void choose_sampling(struct run *run)
{
    const struct settings *settings = &run->settings;
    struct bn_sampling *sampling = &run->sampling;
    bool left = false;
    bool any = bn_sampling_of_model(run->model, sampling);
    sampling->greedy = settings->greedy;
    left |= choose_float(settings->temperature, &sampling->temperature);
    left |= choose_u32(settings->top_k, &sampling->top_k);
    left |= choose_float(settings->top_p, &sampling->top_p);
    left |= choose_float(settings->min_p, &sampling->min_p);
    left |= choose_float(settings->repeat_penalty, &sampling->repeat_penalty);
    left |= choose_u32(settings->repeat_last_n, &sampling->repeat_last_n);
    sampling->seed = run->seed;
    run->model_samples = any && left && !sampling->greedy && sampling->temperature > 0;
}

static int open_session(struct run *run)
{
    const struct settings *settings = &run->settings;
    struct bn_error err = {0};
    if (settings->seed >= 0) {
        run->seed = (uint64_t)settings->seed;
    } else {
        uint32_t seed;
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
            tool_say(PROGRAM, "random seed: %s", strerror(errno));
            return TOOL_EXIT_INTERNAL;
        }
        run->seed = seed;
    }
    choose_sampling(run);
    return bn_session_create(run->engine, &run->sampling, &run->session, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
}

int run_open(struct run *run, uint32_t n_ctx, uint32_t n_outputs)
{
    struct bn_engine_config config;
    struct bn_error err = {0};
    uint64_t start = figures_now();
    int exit_code = open_runtime(run);
    if (!exit_code)
        exit_code = open_model(run);
    if (!exit_code)
        exit_code = open_device(run);
    if (exit_code)
        return exit_code;
    const struct bn_model_info *model = bn_model_get_info(run->model);
    if (n_ctx > model->n_ctx_train && !run->settings.quiet)
        tool_say(PROGRAM, "warning: the model was trained for %u positions, not for %u", model->n_ctx_train, n_ctx);
    BN_INIT(config);
    config.n_ctx = n_ctx;
    config.n_batch = run->settings.n_ubatch;
    config.n_outputs = n_outputs;
    config.head = (enum bn_head)run->settings.head;
    config.kv_type = (enum bn_kv_type)run->settings.cache_type;
    config.load = run->settings.mmap < 0 ? BN_LOAD_AUTO : run->settings.mmap ? BN_LOAD_MAP : BN_LOAD_COPY;
    enum bn_result result;
    do
        result = bn_engine_create(run->runtime, run->model, run->device, &config, &run->engine, &err);
    while (result == BN_ERR_DEVICE_LOST && run_replace_device(run, &err));
    if (result)
        return tool_fail_device(PROGRAM, &err, config.kv_type ? "--cache-type f16 works on every device" : NULL);
    run->figures.ready_ns = figures_now() - start;
    run_watch_device(run);
    bn_engine_set_trace(run->engine, run->trace);
    figures_note_memory(&run->figures);
    return open_session(run);
}

void run_close(struct run *run)
{
    bn_session_destroy(run->session);
    bn_engine_destroy(run->engine);
    bn_trace_destroy(run->trace);
    bn_device_close(run->device);
    bn_model_destroy(run->model);
    bn_runtime_destroy(run->runtime);
    free(run->model_path);
}

int run_tokenize(struct run *run, const char *text, size_t bytes, unsigned flags, int32_t **ids, size_t *n)
{
    struct bn_error err = {0};
    size_t capacity = 0;
    *ids = NULL;
    for (;;) {
        if (bn_tokenize(run->tokenizer, text, bytes, flags, *ids, capacity, n, &err)) {
            free(*ids);
            *ids = NULL;
            return tool_fail(PROGRAM, &err, NULL);
        }
        if (*n <= capacity && *ids)
            return 0;
        free(*ids);
        capacity = *n ? *n : 1;
        *ids = calloc(capacity, sizeof **ids);
        if (!*ids) {
            tool_say(PROGRAM, "out of memory");
            return TOOL_EXIT_RESOURCE;
        }
    }
}

static void print_devices(struct run *run, const struct bn_device_info *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char line[640];
        char threads[32] = "";
        if (list[i].threads)
            snprintf(threads, sizeof threads, ", %u threads", list[i].threads);
        snprintf(line, sizeof line, "%-8s %-8s %-18s %s%s%s%s%s%s%s%s\n", list[i].id, list[i].driver,
                 bn_device_state_name(list[i].state), list[i].name, list[i].isa[0] ? ", " : "", list[i].isa, threads,
                 list[i].reason[0] ? ": " : "", list[i].reason, list[i].mend[0] ? "; " : "", list[i].mend);
        tool_out_text(&run->out, line);
    }
}

int run_list_devices(struct run *run)
{
    struct bn_error err = {0};
    size_t n = 0;
    int exit_code = open_runtime(run);
    if (exit_code)
        return exit_code;
    if (bn_device_list(run->runtime, NULL, 0, &n, &err))
        return tool_fail_device(PROGRAM, &err, NULL);
    struct bn_device_info *list = calloc(n ? n : 1, sizeof *list);
    if (!list) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    for (size_t i = 0; i < n; i++)
        list[i].size = sizeof *list;
    size_t capacity = n;
    if (bn_device_list(run->runtime, list, capacity, &n, &err))
        exit_code = tool_fail_device(PROGRAM, &err, NULL);
    else if (run->settings.json)
        exit_code = run_print_devices_json(run, list, n < capacity ? n : capacity);
    else
        print_devices(run, list, n < capacity ? n : capacity);
    free(list);
    return exit_code;
}
