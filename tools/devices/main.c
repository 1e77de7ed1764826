// bitnet-devices: every device of the machine that could run a model, once, and what is missing.
#include "common/fail.h"
#include "common/helper.h"
#include "common/json.h"
#include "common/model_path.h"
#include "common/options.h"

#include "devices/devices.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define S struct settings

// Words of --bench.
enum { BENCH_NO, BENCH_CACHED, BENCH_AGAIN };

struct settings {
    const char *api, *model, *models;
    uint32_t timeout_ms, count;
    float watch;
    bool json;
    int bench, color;
};

static const struct settings defaults = {.timeout_ms = 5000};

static const struct tool_option options[] = {
    {.group = "What to ask",
     .names = "--api",
     TOOL_STRING(S, api),
     .arg = "LIST",
     .shown = "all",
     .help = "the APIs to ask, separated by commas: bitnet, drm, hwloc, vulkan, opencl, cuda, nvml, hip, hsa, "
             "level-zero; none "
             "leaves what the kernel says"},
    TOOL_ROW_TIMEOUT(S),
    {.group = "What to measure",
     .names = "--bench",
     TOOL_WORD(S, bench, "no cached again"),
     .arg = "WHEN",
     .optional = "cached",
     .help =
         "read bandwidth and int8 rate of each way that this build can use; cached takes the figures of an earlier run "
         "on this host with the same driver, again does not"},
    {.names = "-m --model",
     TOOL_STRING(S, model),
     .arg = "NAME",
     .shown = "",
     .help =
         "how fast this model could be on each, whether it fits, and which device would be chosen; includes --bench"},
    TOOL_ROW_MODELS(S),
    {.group = "Output",
     .names = "--watch",
     TOOL_FLOAT(S, watch),
     .arg = "SECONDS",
     .min = 0.1,
     .max = 3600,
     .optional = "2",
     .shown = "",
     .help = "show memory and load again and again, until interrupted; asks only nvml, or the APIs of --api"},
    {.names = "--count", TOOL_U32(S, count), .arg = "N", .shown = "", .help = "with --watch: end after so many"},
    {.names = "--json", TOOL_FLAG(S, json), .help = "one JSON object, bitnet-devices/1"},
    {.names = "--color",
     TOOL_WORD(S, color, TOOL_COLOR_WORDS),
     .arg = "WHEN",
     .optional = "always",
     .help = "colour: auto, always, never"},
};

static const struct tool_foreign foreign[] = {
    {"-l --list --list-devices -L", "not needed: listing is what this program does"},
    {"--summary", "not needed"},
};

static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "[options]",
    .about =
        "Shows every device that could run a model, once, with each way in: whether it works, and if not, why not and "
        "what to do about it. A star marks what this build can run models through.",
    .notes = "Exit: 0 done, 2 usage, 3 model refused, 4 device, 5 memory or disk. bitnet-devices(1) has more.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .foreign = foreign,
    .n_foreign = sizeof foreign / sizeof *foreign,
    .defaults = &defaults,
    .size = sizeof defaults,
};

static int survey(const struct settings *settings, struct report *report, struct bn_survey **out)
{
    struct bn_error err = {0};
    struct bn_survey_options asked;
    char helper[PATH_MAX];
    BN_INIT(asked);
    asked.helper = tool_find_probe(helper, sizeof helper);
    asked.apis = settings->api ? settings->api : settings->watch > 0 ? "nvml" : NULL;
    asked.timeout_ms = settings->timeout_ms;
    if (bn_survey_create(report->runtime, &asked, out, &err))
        return tool_fail_device(PROGRAM, &err, NULL);
    report->survey = *out;
    return 0;
}

// One survey, measured and printed.
static int show(const struct settings *settings, struct report *report, struct tool_out *out)
{
    struct bn_survey *found = NULL;
    int exit_code = survey(settings, report, &found);
    report->n_figures = 0;
    if (!exit_code && settings->bench != BENCH_NO)
        devices_measure(report, settings->bench == BENCH_AGAIN);
    if (!exit_code && settings->json)
        exit_code = devices_print_json(out, report);
    else if (!exit_code)
        devices_print(out, report, tool_use_color((enum tool_color)settings->color, STDOUT_FILENO));
    bn_survey_destroy(found);
    return exit_code ? exit_code : tool_out_finish(out, PROGRAM);
}

static void wait_for(float seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - (float)(time_t)seconds) * 1e9f)};
    nanosleep(&left, NULL);
}

static int watch(const struct settings *settings, struct report *report)
{
    bool clear = !settings->json && isatty(STDOUT_FILENO);
    for (uint32_t i = 0; !settings->count || i < settings->count; i++) {
        struct tool_out out = {.gather = true};
        if (i)
            wait_for(settings->watch);
        tool_out_text(&out, clear ? "\033[H\033[J" : i && !settings->json ? "\n" : "");
        int exit_code = show(settings, report, &out);
        if (exit_code || out.failed)
            return exit_code;
    }
    return 0;
}

static int work(struct settings *settings)
{
    struct tool_out out = {.gather = true};
    struct report report = {.n_figures = 0};
    struct bn_error err = {0};
    char *path = NULL;
    int exit_code = settings->model ? tool_find_model(PROGRAM, settings->model, settings->models, &path) : 0;
    if (!exit_code && bn_runtime_create(NULL, &report.runtime, &err))
        exit_code = tool_fail_device(PROGRAM, &err, NULL);
    if (!exit_code && path) {
        report.model_path = path;
        exit_code = devices_choose(&report);
        settings->bench = settings->bench == BENCH_NO ? BENCH_CACHED : settings->bench;
    }
    if (!exit_code)
        exit_code = settings->watch > 0 ? watch(settings, &report) : show(settings, &report, &out);
    bn_model_destroy(report.model);
    bn_runtime_destroy(report.runtime);
    free(path);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct settings settings;
    int exit_code;
    tool_start();
    if (!tool_parse(&program, &settings, argc, argv, NULL, &exit_code))
        return exit_code;
    if (settings.json && (exit_code = tool_json_missing(PROGRAM)) != 0)
        return exit_code;
    if (settings.watch > 0 && (settings.bench != BENCH_NO || settings.model)) {
        tool_say(PROGRAM, "--watch shows memory and load: leave out --bench and --model");
        return TOOL_EXIT_USAGE;
    }
    return work(&settings);
}
