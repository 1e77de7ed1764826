// bitnet-doctor: whether this machine is fit to run a model; what a service runs before it starts.
#include "common/fail.h"
#include "common/helper.h"
#include "common/json.h"
#include "common/model_path.h"
#include "common/options.h"
#include "common/term.h"

#include <bitnet/bitnet.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "bitnet-doctor"
#define S struct settings

enum { EXIT_DEGRADED = 10, EXIT_CRITICAL = 11 };

struct settings {
    const char *model, *models, *device;
    uint32_t n_ctx, timeout_ms;
    bool json, quiet;
    int color;
};

static const struct settings defaults = {.timeout_ms = 5000};

static const struct tool_option options[] = {
    {.group = "What to examine",
     .names = "-m --model",
     TOOL_STRING(S, model),
     .arg = "NAME",
     .shown = "",
     .help = "a model file, or a name to look for, that is to be run; without it the machine alone is looked at"},
    TOOL_ROW_MODELS(S),
    {.names = "-d --device",
     TOOL_STRING(S, device),
     .arg = "DEVICE",
     .shown = "$BITNET_DEVICE, else automatic",
     .help = "the device to run it on"},
    {.names = "-c --ctx-size",
     TOOL_U32(S, n_ctx),
     .arg = "N",
     .shown = "the model's, at most 32768",
     .help = "positions that will be asked for"},
    TOOL_ROW_TIMEOUT(S),
    {.group = "Output", .names = "--json", TOOL_FLAG(S, json), .help = "one JSON object, bitnet-doctor/1"},
    {.names = "-q --quiet", TOOL_FLAG(S, quiet), .help = "only what is not ok"},
    {.names = "--color",
     TOOL_WORD(S, color, TOOL_COLOR_WORDS),
     .arg = "WHEN",
     .optional = "always",
     .help = "colour: auto, always, never"},
};

static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "[-m MODEL] [options]",
    .about = "Looks at memory, disk, huge pages, clock and quota of the CPU, the device and its drivers, and at a "
             "model against "
             "them. Each finding is ok, degraded (works, but worse than it could) or critical (will not work).",
    .notes =
        "Exit: 0 all is ok, 10 degraded, 11 critical; 2 usage, 5 memory or disk. bitnet-doctor(1) has the thresholds.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .defaults = &defaults,
    .size = sizeof defaults,
};

static void print_text(struct tool_out *out, const struct bn_doctor *doctor, bool quiet, bool colour)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    const struct bn_check *check;
    char line[768];
    for (size_t i = 0; (check = bn_doctor_get_check(doctor, i)) != NULL; i++) {
        if (quiet && check->health == BN_HEALTH_OK)
            continue;
        snprintf(line, sizeof line, "%s%-9s%s %-15s %s%s%s\n", colour ? colours[check->health] : "",
                 bn_health_name(check->health), colour ? "\033[0m" : "", check->name, check->value,
                 *check->reason ? ": " : "", check->reason);
        tool_out_text(out, line);
        if (*check->mend) {
            snprintf(line, sizeof line, "%26s%s\n", "", check->mend);
            tool_out_text(out, line);
        }
    }
}

static int print_json(struct tool_out *out, const struct bn_doctor *doctor)
{
#if BN_HAVE_JANSSON
    const struct bn_check *check;
    json_t *object = json_object(), *checks = json_array();
    for (size_t i = 0; (check = bn_doctor_get_check(doctor, i)) != NULL; i++) {
        json_t *item = json_object();
        json_object_set_new(item, "name", tool_json_text(check->name, strlen(check->name)));
        json_object_set_new(item, "health", json_string(bn_health_name(check->health)));
        json_object_set_new(item, "value", tool_json_text(check->value, strlen(check->value)));
        json_object_set_new(item, "reason", tool_json_text(check->reason, strlen(check->reason)));
        json_object_set_new(item, "mend", tool_json_text(check->mend, strlen(check->mend)));
        json_array_append_new(checks, item);
    }
    json_object_set_new(object, "schema", json_string("bitnet-doctor/1"));
    json_object_set_new(object, "version", json_string(bn_version()));
    json_object_set_new(object, "health", json_string(bn_health_name(bn_doctor_get_health(doctor))));
    json_object_set_new(object, "checks", checks);
    return tool_json_print(out, PROGRAM, object);
#else
    (void)out, (void)doctor;
    return tool_json_missing(PROGRAM);
#endif
}

static int examine(const struct settings *settings, const char *model, struct tool_out *out)
{
    struct bn_error err = {0};
    struct bn_runtime *runtime = NULL;
    struct bn_doctor *doctor = NULL;
    struct bn_survey_options survey;
    struct bn_doctor_options asked;
    char helper[PATH_MAX];
    int exit_code = 0;
    BN_INIT(survey);
    survey.helper = tool_find_probe(helper, sizeof helper);
    survey.timeout_ms = settings->timeout_ms;
    BN_INIT(asked);
    asked.model = model;
    asked.device = settings->device;
    asked.n_ctx = settings->n_ctx;
    asked.survey = &survey;
    if (bn_runtime_create(NULL, &runtime, &err) || bn_doctor_create(runtime, &asked, &doctor, &err))
        exit_code = tool_fail(PROGRAM, &err, NULL);
    else if (settings->json)
        exit_code = print_json(out, doctor);
    else
        print_text(out, doctor, settings->quiet, tool_use_color((enum tool_color)settings->color, STDOUT_FILENO));
    if (!exit_code)
        exit_code = tool_out_finish(out, PROGRAM);
    if (!exit_code)
        exit_code = (const int[]){TOOL_EXIT_OK, EXIT_DEGRADED, EXIT_CRITICAL}[bn_doctor_get_health(doctor)];
    bn_doctor_destroy(doctor);
    bn_runtime_destroy(runtime);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct tool_out out = {.gather = true};
    struct settings settings;
    char *model = NULL;
    int exit_code;
    tool_start();
    if (!tool_parse(&program, &settings, argc, argv, NULL, &exit_code))
        return exit_code;
    if (settings.json && (exit_code = tool_json_missing(PROGRAM)) != 0)
        return exit_code;
    if (settings.model && (exit_code = tool_find_model(PROGRAM, settings.model, settings.models, &model)) != 0)
        return exit_code;
    exit_code = examine(&settings, model, &out);
    free(model);
    return exit_code;
}
