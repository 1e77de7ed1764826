// Checking and timing shaders on a device.
#include "shader/shader.h"

#include "common/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COPIES = 8, MANY_ROWS = 8, COPY_ROWS = 4096, COPY_COLS = 2048, MOST_REPETITIONS = 1000 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// Letters of the problem's shader if a variant may have this name, else 0.
static size_t matching(const struct problem *problem, const char *variant)
{
    size_t n = strlen(problem->shader);
    return strncmp(variant, problem->shader, n) == 0 && (variant[n] == '\0' || variant[n] == '_') ? n : 0;
}

// "ternary" has the problems of "ternary_dot", but "ternary_tiled" has some of its own.
static bool wanted(const struct problem *problem, const char *shader)
{
    size_t longest = 1;
    for (size_t i = 0; shader && i < n_problems; i++)
        longest = matching(&problems[i], shader) > longest ? matching(&problems[i], shader) : longest;
    return !shader || matching(problem, shader) == longest;
}

static enum bn_result open_device(const struct settings *settings, struct bn_runtime *runtime, const char *folder,
                                  struct bn_device **out, struct bn_error *err)
{
    struct bn_device_options options;
    BN_INIT(options);
    options.shaders = folder;
    return bn_device_open(runtime, settings->device, &options, out, err);
}

// A device's compiler that refuses a kernel is a finding about the kernel, not about the device.
static int failed(const struct bn_error *err)
{
    bool kernel = err->code == BN_ERR_UNSUPPORTED && err->native != 0;
    int exit_code = tool_fail_device(PROGRAM, err, kernel ? "mend the kernel, or unset BITNET_SHADER_DIR" : NULL);
    return kernel ? TOOL_EXIT_CHECK : exit_code;
}

static enum bn_result open_oracle(struct bn_runtime *runtime, struct bn_device **out, struct bn_error *err)
{
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = 1;
    options.isa = "scalar";
    return bn_device_open(runtime, "cpu", &options, out, err);
}

static enum bn_result check_one(struct bn_device *device, struct bn_device *oracle, const struct problem *problem,
                                struct report *report, bool *good, struct bn_error *err)
{
    struct rig got = {0}, want = {0};
    enum bn_result result = rig_init(&got, device, problem, 1, err);
    if (result == BN_OK)
        result = rig_init(&want, oracle, problem, 1, err);
    if (result == BN_OK)
        result = rig_run(&got, err);
    if (result == BN_OK)
        result = rig_run(&want, err);
    if (result == BN_OK) {
        char text[128];
        *good = rig_compare(&got, &want, text, sizeof text);
        report_check(report, problem, *good, text);
    }
    rig_finish(&got);
    rig_finish(&want);
    return result;
}

int shader_check(const struct settings *settings, struct bn_runtime *runtime, const char *shader, const char *folder)
{
    struct bn_error err = {0};
    struct bn_device *device = NULL, *oracle = NULL;
    enum bn_result result = open_device(settings, runtime, folder, &device, &err);
    if (result == BN_OK)
        result = open_oracle(runtime, &oracle, &err);
    unsigned run = 0, wrong = 0;
    settings->report->device = result == BN_OK ? bn_device_get_info(device)->name : NULL;
    for (size_t i = 0; i < n_problems && result == BN_OK; i++) {
        bool good = false;
        if (problems[i].bench || !wanted(&problems[i], shader))
            continue;
        result = check_one(device, oracle, &problems[i], settings->report, &good, &err);
        run++;
        wrong += !good;
    }
    int exit_code = result == BN_OK ? 0 : failed(&err);
    bn_device_close(device);
    bn_device_close(oracle);
    if (exit_code == 0 && run == 0) {
        tool_say(PROGRAM, "%s has no check of its own; tests/cts --device=%s checks all ops", shader, settings->device);
        return TOOL_EXIT_USAGE;
    }
    return exit_code ? exit_code : wrong ? TOOL_EXIT_CHECK : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Times some runs of a command that repeats the op, if it is a short one.
static enum bn_result time_one(struct bn_device *device, const struct problem *problem, uint32_t repetitions,
                               struct timing *out, struct bn_error *err)
{
    double took[MOST_REPETITIONS];
    struct rig rig = {0};
    uint32_t copies = problem->rows > MANY_ROWS ? 1 : COPIES;
    enum bn_result result = rig_init(&rig, device, problem, copies, err);
    if (result == BN_OK)
        result = rig_run(&rig, err); // what the first run compiles does not count
    for (uint32_t i = 0; i < repetitions && result == BN_OK; i++) {
        double start = seconds();
        result = rig_run(&rig, err);
        took[i] = (seconds() - start) / copies;
    }
    if (result == BN_OK) {
        qsort(took, repetitions, sizeof *took, by_value);
        *out = (struct timing){took[0], (took[(repetitions - 1) / 2] + took[repetitions / 2]) / 2, rig.bytes};
    }
    rig_finish(&rig);
    return result;
}

// Whether the problem is timed, and as what: at the shape that was asked for, each product once.
static bool timed(const struct settings *settings, size_t i, const char *shader, struct problem *out)
{
    *out = problems[i];
    if (!problems[i].bench || !wanted(&problems[i], shader))
        return false;
    if (!settings->shape)
        return true;
    for (size_t k = 0; k < i; k++)
        if (problems[k].bench && problems[k].kind == problems[i].kind &&
            strcmp(problems[k].shader, problems[i].shader) == 0)
            return false;
    out->n = settings->n;
    out->cols = settings->cols;
    out->rows = settings->rows;
    return strncmp(problems[i].shader, "ternary", 7) == 0 || problems[i].kind == BN_OP_HEAD;
}

int shader_bench(const struct settings *settings, struct bn_runtime *runtime, const char *shader, const char *folder,
                 double *before)
{
    static const struct problem copy = {"copy", BN_OP_COPY, 1, COPY_ROWS, COPY_COLS, true};
    struct bn_error err = {0};
    struct bn_device *device = NULL;
    struct timing timing;
    enum bn_result result = open_device(settings, runtime, folder, &device, &err);
    if (result == BN_OK)
        result = time_one(device, &copy, settings->repetitions, &timing, &err);
    if (result == BN_OK) {
        settings->report->device = bn_device_get_info(device)->name;
        report_copy(settings->report, (double)timing.bytes / timing.best * 1e-9, before != NULL);
    }
    for (size_t i = 0; i < n_problems && result == BN_OK; i++) {
        struct problem problem;
        if (!timed(settings, i, shader, &problem))
            continue;
        result = time_one(device, &problem, settings->repetitions, &timing, &err);
        if (result != BN_OK)
            break;
        report_bench(settings->report, &problem, &timing, before ? before[i] : 0);
        if (before)
            before[i] = timing.best;
    }
    int exit_code = result == BN_OK ? 0 : failed(&err);
    bn_device_close(device);
    return exit_code;
}
