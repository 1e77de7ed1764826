// bitnet-shader: the workshop of the shaders and kernels of the drivers of GPUs.
#include "shader/shader.h"

#include "common/fail.h"
#include "common/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S struct settings

static const struct settings defaults = {
    .source = "shaders", .out = "build/shaders-own", .isa = "gfx1100", .repetitions = 5};

static const struct tool_option options[] = {
    {.group = "Where",
     .names = "-d -dev --device",
     TOOL_STRING(S, device),
     .arg = "NAME",
     .shown = "vulkan",
     .help = "device to check and time on; its driver says which kernels are meant: vulkan, opencl, cuda, hip"},
    {.names = "-s --source",
     TOOL_STRING(S, source),
     .arg = "FOLDER",
     .shown = "shaders",
     .help = "folder with manifest.txt, glsl/ and portable/"},
    {.names = "-o --out",
     TOOL_STRING(S, out),
     .arg = "FOLDER",
     .shown = "build/shaders-own",
     .help = "where build and watch put what they compile; BITNET_SHADER_DIR=FOLDER makes any program use it"},
    {.names = "--isa",
     TOOL_STRING(S, isa),
     .arg = "NAME",
     .shown = "gfx1100",
     .help = "hip: AMD's processor that build and disasm compile for"},
    {.group = "What",
     .names = "--shape",
     TOOL_STRING(S, shape),
     .arg = "NxCOLS[xROWS]",
     .shown = "those of the published 2B model",
     .help = "bench: time the products at this shape: N rows of weights, COLS columns, ROWS of activations (1)"},
    {.group = "How often",
     .names = "-r --repetitions",
     TOOL_U32(S, repetitions),
     .arg = "N",
     .min = 1,
     .max = 1000,
     .help = "timed runs of each op, of which the best and the median are shown"},
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
    .usage = "[-d DEVICE] list [NAME]\n[-d DEVICE] [-o FOLDER] build [NAME]\n[-d DEVICE] check [NAME]\n[-d DEVICE] "
             "bench [NAME]\n"
             "[-d DEVICE] disasm VARIANT\n[-d DEVICE] [-s FOLDER] [-o FOLDER] watch [NAME]",
    .about =
        "Lists, compiles, checks, times and shows the shaders of the Vulkan driver, and the portable kernels of "
        "OpenCL, CUDA\n"
        "and HIP. NAME is a shader or the beginning of its variants' names; without one all are meant. watch compiles\n"
        "whenever a source file is saved, checks, and shows how the time changed.",
    .notes = "Environment: BITNET_SHADER_DIR for check and bench; see bitnet-shader(1).\n"
             "Exit: 0 done, 1 a check failed or a shader does not compile, 2 usage, 4 device, 5 memory or disk.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .defaults = &defaults,
    .size = sizeof defaults,
    .max_operands = 2,
};

// A round of watch: what compiles is checked, what is right is timed.
static int round_of_watch(const struct settings *settings, const struct shader_kind *kind, struct bn_runtime *runtime,
                          const char *name, double *before)
{
    int exit_code = shader_build(settings, kind, name);
    if (exit_code == 0)
        exit_code = shader_check(settings, runtime, name, settings->out);
    if (exit_code == 0)
        exit_code = shader_bench(settings, runtime, name, settings->out, before);
    fflush(stdout);
    return exit_code;
}

static int watch(const struct settings *settings, const struct shader_kind *kind, struct bn_runtime *runtime,
                 const char *name)
{
    double *before = calloc(n_problems, sizeof *before);
    uint64_t seen = 0;
    int exit_code = before ? 0 : TOOL_EXIT_RESOURCE;
    for (uint32_t rounds = 0; before && (settings->count == 0 || rounds < settings->count);) {
        uint64_t time = shader_source_time(settings, kind);
        if (time == 0) {
            tool_say(PROGRAM, "%s/%s: no such folder; --source names the folder of the shaders", settings->source,
                     kind->folder);
            exit_code = TOOL_EXIT_USAGE;
            break;
        }
        if (time != seen) {
            exit_code = round_of_watch(settings, kind, runtime, name, before);
            rounds++;
            seen = time;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        }
    }
    free(before);
    return exit_code;
}

// "4096x14336x1"; the last number may be left out.
static bool read_shape(struct settings *settings)
{
    enum { MOST = 1 << 20, MOST_ROWS = 512 };
    int used = 0;
    settings->rows = 1;
    return sscanf(settings->shape, "%7ux%7u%nx%4u%n", &settings->n, &settings->cols, &used, &settings->rows, &used) >=
               2 &&
           settings->shape[used] == '\0' && settings->n > 0 && settings->n <= MOST && settings->cols > 0 &&
           settings->cols <= MOST && settings->rows > 0 && settings->rows <= MOST_ROWS;
}

static const struct action {
    const char *name;
    bool json, device, kind; // prints JSON; uses a device; must know what the kernels are written in
} actions[] = {
    {"list", true, false, true},  {"build", false, false, true},  {"check", true, true, false},
    {"bench", true, true, false}, {"disasm", false, false, true}, {"watch", false, true, true},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

// What is wrong with the call, said. `kind` is NULL if the device does not tell.
static bool refused(const struct settings *settings, const struct action *action, const struct shader_kind *kind,
                    const char *name)
{
    bool disasm = strcmp(action->name, "disasm") == 0;
    if (settings->json && !action->json)
        tool_say(PROGRAM, "--json is for list, check and bench");
    else if (settings->shape && strcmp(action->name, "bench") != 0)
        tool_say(PROGRAM, "--shape is for bench");
    else if (!kind && action->kind)
        tool_say(PROGRAM, "--device %s: %s needs a driver's name: %s", settings->device, action->name, shader_kinds());
    else if (disasm && !name)
        tool_say(PROGRAM, "disasm: which variant?");
    else if (!disasm && name && kind && !shader_exists(kind, name))
        tool_say(PROGRAM, "%s: no such shader; bitnet-shader -d %s list shows them", name, kind->driver);
    else if (strcmp(action->name, "watch") == 0 && !kind->overrides)
        tool_say(PROGRAM,
                 "--device %s: the driver %s takes no kernels from a folder; watch -d opencl has the same source",
                 settings->device, kind->driver);
    else
        return false;
    return true;
}

static int act(const struct settings *settings, const char *word, const char *name)
{
    const struct action *action = find_action(word);
    const struct shader_kind *kind = shader_kind_of(settings->device);
    struct bn_runtime *runtime;
    struct bn_error err = {0};
    if (!action)
        tool_say(PROGRAM, "%s: no such action; --help shows them", word);
    if (!action || refused(settings, action, kind, name))
        return TOOL_EXIT_USAGE;
    if (!action->device)
        return strcmp(word, "list") == 0    ? shader_list(settings, kind, name)
               : strcmp(word, "build") == 0 ? shader_build(settings, kind, name)
                                            : shader_disasm(settings, kind, name);
    if (bn_runtime_create(NULL, &runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    int exit_code = strcmp(word, "check") == 0   ? shader_check(settings, runtime, name, NULL)
                    : strcmp(word, "bench") == 0 ? shader_bench(settings, runtime, name, NULL, NULL)
                                                 : watch(settings, kind, runtime, name);
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
    if (exit_code == 0 && settings.shape && !read_shape(&settings)) {
        tool_say(PROGRAM, "--shape %s: give NxCOLS or NxCOLSxROWS, such as 4096x14336x8; at most 512 rows",
                 settings.shape);
        exit_code = TOOL_EXIT_USAGE;
    } else if (exit_code == 0 && operands.n == 0) {
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
