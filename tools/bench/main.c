#include "bench/bench.h"

#include "common/cache.h"
#include "common/fail.h"
#include "common/json.h"
#include "common/model_path.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *bench_grow(void *array, size_t n, size_t bytes)
{
    void *grown = realloc(array, (n + 1) * bytes);
    if (!grown)
        tool_say(PROGRAM, "out of memory");
    return grown;
}

void bench_progress(const struct bench *bench, const char *format, ...)
{
    char text[256];
    va_list args;
    if (bench->settings.quiet)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tool_say(PROGRAM, "%s", text);
}

static int find_synthetic(struct bench *bench, const char *size)
{
    char folder[PATH_MAX], path[PATH_MAX + 64];
    if (!*size || strspn(size, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(size)) {
        tool_say(PROGRAM, "--synthetic: '%s' is not the name of a size; bitnet-convert --help lists them", size);
        return TOOL_EXIT_USAGE;
    }
    if (!tool_cache_folder(folder, sizeof folder)) {
        tool_say(PROGRAM, "--synthetic: there is no cache folder: set BITNET_CACHE_DIR or HOME");
        return TOOL_EXIT_USAGE;
    }
    snprintf(path, sizeof path, "%s/synthetic-%s.gguf", folder, size);
    if (access(path, R_OK) != 0) {
        tool_say(PROGRAM, "%s: no such model; make it with:", path);
        tool_say(PROGRAM, "mkdir -p -m 700 '%s' && bitnet-convert --synthetic %s '%s'", folder, size, path);
        return TOOL_EXIT_USAGE;
    }
    bench->model_path = strdup(path);
    if (!bench->model_path)
        tool_say(PROGRAM, "out of memory");
    return bench->model_path ? 0 : TOOL_EXIT_RESOURCE;
}

int bench_find_model(struct bench *bench)
{
    const struct settings *settings = &bench->settings;
    if (settings->synthetic)
        return find_synthetic(bench, settings->synthetic);
    return tool_find_model(PROGRAM, settings->model ? settings->model : TOOL_DEFAULT_MODEL, settings->models,
                           &bench->model_path);
}

static void bench_finish(struct bench *bench)
{
    struct settings *settings = &bench->settings;
    struct tool_list *lists[] = {&settings->prompts, &settings->gens,       &settings->pairs,    &settings->depths,
                                 &settings->batches, &settings->ubatches,   &settings->sessions, &settings->threads,
                                 &settings->pages,   &settings->cache_types};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        tool_list_finish(lists[i]);
    for (size_t i = 0; i < bench->n_results; i++) {
        free(bench->results[i].samples);
        free(bench->results[i].profile);
    }
    free(bench->plan.device_list);
    free(bench->results);
    free(bench->limits);
    free(bench->kernels);
    free(bench->model_path);
    compare_close(bench);
    bn_trace_destroy(bench->trace);
    bn_runtime_destroy(bench->runtime);
}

static int open_trace(struct bench *bench)
{
    struct bn_error err = {0};
    if (bn_runtime_create(NULL, &bench->runtime, &err) ||
        bn_trace_create(bench->runtime, bench->settings.trace, 0, &bench->trace, &err))
        return tool_fail(PROGRAM, &err, NULL);
    return 0;
}

static int report(struct bench *bench)
{
    bool json = bench->settings.output == OUTPUT_JSON;
    int exit_code = 0;
    if (!json)
        exit_code = report_print(bench);
    else if (!bench->settings.compare)
        return report_print_json(bench);
    else
        report_notes(bench);
    return exit_code || !bench->settings.compare ? exit_code : compare_print(bench, report_objects(bench));
}

int main(int argc, char **argv)
{
    struct bench bench = {.out = {.gather = true}};
    int exit_code;
    tool_start();
    bool go = tool_parse(&bench_program, &bench.settings, argc, argv, NULL, &exit_code);
    if (go)
        exit_code = options_plan(&bench.settings, &bench.plan);
    if (go && !exit_code && bench.settings.output == OUTPUT_JSON)
        exit_code = tool_json_missing(PROGRAM);
    if (go && !exit_code && bench.settings.plot)
        exit_code = plot_check(bench.settings.plot);
    if (go && !exit_code && bench.settings.compare && (exit_code = tool_json_missing(PROGRAM)) == 0)
        exit_code = compare_open(&bench);
    if (go && !exit_code && bench.settings.results) {
        exit_code = compare_files(&bench);
        int out_exit = tool_out_finish(&bench.out, PROGRAM);
        bench_finish(&bench);
        return exit_code ? exit_code : out_exit;
    }
    if (go && !exit_code && bench.settings.trace)
        exit_code = open_trace(&bench);
    if (go && !exit_code)
        exit_code = bench.settings.kernels ? kernels_run(&bench)
                    : bench.settings.tune  ? tune_run(&bench)
                                           : tests_run(&bench);
    if (bench.trace) {
        struct bn_error err = {0};
        int trace_exit = bn_trace_write(bench.trace, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
        exit_code = exit_code ? exit_code : trace_exit;
    }
    if (go && !exit_code)
        exit_code = report(&bench);
    if (go && !exit_code && bench.settings.plot)
        exit_code = plot_write(&bench);
    int out_exit = tool_out_finish(&bench.out, PROGRAM);
    exit_code = exit_code ? exit_code : out_exit;
    bench_finish(&bench);
    return exit_code;
}
