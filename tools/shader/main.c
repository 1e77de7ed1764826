// bitnet-shader: the workshop of the Vulkan driver's shaders.
#include "shader/shader.h"

#include "common/fail.h"
#include "common/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S struct settings

static const struct settings defaults = {.source = "shaders", .out = "build/shaders-own", .repetitions = 5};

static const struct tool_option options[] = {
    {.group = "Where",
     .names = "-d -dev --device",
     TOOL_STRING(S, device),
     .arg = "NAME",
     .shown = "vulkan",
     .help = "device to check and time on; bitnet-run --list-devices shows them"},
    {.names = "-s --source",
     TOOL_STRING(S, source),
     .arg = "FOLDER",
     .shown = "shaders",
     .help = "folder with manifest.txt and glsl/"},
    {.names = "-o --out",
     TOOL_STRING(S, out),
     .arg = "FOLDER",
     .shown = "build/shaders-own",
     .help = "where build and watch put what they compile; BITNET_SHADER_DIR=FOLDER makes any program use it"},
    {.group = "How often",
     .names = "-r --repetitions",
     TOOL_U32(S, repetitions),
     .arg = "N",
     .min = 1,
     .max = 1000,
     .help = "timed runs of each op, of which the best counts"},
    {.names = "-c --count",
     TOOL_U32(S, count),
     .arg = "N",
     .shown = "0: until interrupted",
     .help = "watch: end after N rounds"},
    {.group = "Output",
     .names = "--json",
     TOOL_FLAG(S, json),
     .help = "one JSON array on stdout instead of lines: list, check and bench"},
};

static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "list [NAME]\n[-o FOLDER] build [NAME]\n[-d DEVICE] check [NAME]\n[-d DEVICE] bench [NAME]\n"
             "disasm VARIANT\n[-s FOLDER] [-o FOLDER] watch [NAME]",
    .about = "Lists, compiles, checks, times and shows the shaders of the Vulkan driver. NAME is a shader or the\n"
             "beginning of its variants' names; without one all are meant. watch compiles whenever a source file is\n"
             "saved, checks, and shows how the time changed.",
    .notes = "Environment: BITNET_SHADER_DIR for check and bench; see bitnet-shader(1).\n"
             "Exit: 0 done, 1 a check failed or a shader does not compile, 2 usage, 4 device, 5 memory or disk.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .defaults = &defaults,
    .size = sizeof defaults,
    .max_operands = 2,
};

// A round of watch: what compiles is checked, what is right is timed.
static int round_of_watch(const struct settings *settings, struct bn_runtime *runtime, const char *name, double *before)
{
    int exit_code = shader_build(settings, name);
    if (exit_code == 0)
        exit_code = shader_check(settings, runtime, name, settings->out);
    if (exit_code == 0)
        exit_code = shader_bench(settings, runtime, name, settings->out, before);
    fflush(stdout);
    return exit_code;
}

static int watch(const struct settings *settings, struct bn_runtime *runtime, const char *name)
{
    double *before = calloc(n_problems, sizeof *before);
    uint64_t seen = 0;
    int exit_code = before ? 0 : TOOL_EXIT_RESOURCE;
    for (uint32_t rounds = 0; before && (settings->count == 0 || rounds < settings->count);) {
        uint64_t time = shader_source_time(settings);
        if (time == 0) {
            tool_say(PROGRAM, "%s/glsl: no such folder; --source names the folder of the shaders", settings->source);
            exit_code = TOOL_EXIT_USAGE;
            break;
        }
        if (time != seen) {
            exit_code = round_of_watch(settings, runtime, name, before);
            rounds++;
            seen = time;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        }
    }
    free(before);
    return exit_code;
}

static int act(const struct settings *settings, const char *action, const char *name)
{
    struct bn_runtime *runtime;
    struct bn_error err = {0};
    bool writes = strcmp(action, "build") == 0 || strcmp(action, "disasm") == 0 || strcmp(action, "watch") == 0;
    if (settings->json && writes) {
        tool_say(PROGRAM, "--json is for list, check and bench");
        return TOOL_EXIT_USAGE;
    }
    if (name && strcmp(action, "disasm") != 0 && !shader_exists(name)) {
        tool_say(PROGRAM, "%s: no such shader; bitnet-shader list shows them", name);
        return TOOL_EXIT_USAGE;
    }
    if (strcmp(action, "list") == 0)
        return shader_list(settings, name);
    if (strcmp(action, "build") == 0)
        return shader_build(settings, name);
    if (strcmp(action, "disasm") == 0 && name)
        return shader_disasm(name);
    bool check = strcmp(action, "check") == 0, bench = strcmp(action, "bench") == 0;
    if (!check && !bench && strcmp(action, "watch") != 0) {
        tool_say(PROGRAM, "%s: %s", action,
                 strcmp(action, "disasm") == 0 ? "which variant?" : "no such action; --help shows them");
        return TOOL_EXIT_USAGE;
    }
    if (bn_runtime_create(NULL, &runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    int exit_code = check   ? shader_check(settings, runtime, name, NULL)
                    : bench ? shader_bench(settings, runtime, name, NULL, NULL)
                            : watch(settings, runtime, name);
    bn_runtime_destroy(runtime);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct tool_list operands = {0};
    int exit_code;
    if (!tool_parse(&program, &settings, argc, argv, &operands, &exit_code))
        return exit_code;
    if (!settings.device)
        settings.device = "vulkan";
    struct report report;
    settings.report = &report;
    exit_code = report_begin(&report, settings.json);
    if (exit_code == 0 && operands.n == 0) {
        tool_say(PROGRAM, "what to do? list, build, check, bench, disasm or watch; --help says more");
        exit_code = TOOL_EXIT_USAGE;
    } else if (exit_code == 0) {
        exit_code = act(&settings, operands.items[0], operands.n > 1 ? operands.items[1] : NULL);
    }
    int report_exit = report_end(&report, exit_code <= TOOL_EXIT_CHECK);
    exit_code = exit_code ? exit_code : report_exit;
    tool_list_finish(&operands);
    return exit_code;
}
