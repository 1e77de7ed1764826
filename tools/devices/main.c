// bitnet-devices: every device of the machine that could run a model, once, and what is missing.
#include "common/fail.h"
#include "common/helper.h"
#include "common/json.h"
#include "common/options.h"

#include "devices/devices.h"

#include <limits.h>
#include <unistd.h>

#define S struct settings

struct settings {
    const char *api;
    uint32_t timeout_ms;
    bool json;
    int color;
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
    {.names = "--timeout",
     TOOL_U32(S, timeout_ms),
     .arg = "MS",
     .min = 10,
     .max = 60000,
     .help = "milliseconds after which an API that does not answer is given up"},
    {.group = "Output", .names = "--json", TOOL_FLAG(S, json), .help = "one JSON object, bitnet-devices/1"},
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
    .notes = "Exit: 0 done, 2 usage, 4 device, 5 memory or disk. Environment: BITNET_PROBE BITNET_SYSROOT NO_COLOR.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .foreign = foreign,
    .n_foreign = sizeof foreign / sizeof *foreign,
    .defaults = &defaults,
    .size = sizeof defaults,
};

static int work(const struct settings *settings)
{
    struct tool_out out = {.gather = true};
    struct bn_error err = {0};
    struct bn_runtime *runtime = NULL;
    struct bn_survey *survey = NULL;
    struct bn_survey_options asked;
    char helper[PATH_MAX];
    BN_INIT(asked);
    asked.helper = tool_find_probe(helper, sizeof helper);
    asked.apis = settings->api;
    asked.timeout_ms = settings->timeout_ms;
    int exit_code = 0;
    if (bn_runtime_create(NULL, &runtime, &err) || bn_survey_create(runtime, &asked, &survey, &err))
        exit_code = tool_fail_device(PROGRAM, &err, NULL);
    else if (settings->json)
        exit_code = devices_print_json(&out, survey);
    else
        devices_print(&out, survey, tool_use_color((enum tool_color)settings->color, STDOUT_FILENO));
    if (!exit_code)
        exit_code = tool_out_finish(&out, PROGRAM);
    bn_survey_destroy(survey);
    bn_runtime_destroy(runtime);
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
    return work(&settings);
}
