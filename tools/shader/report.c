// What list, check and bench say: lines as they come, or one JSON array at the end.
#include "common/json.h"

#include "shader/shader.h"

#include "common/fail.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if BN_HAVE_JANSSON
static json_t *add_object(const struct report *report, const char *kind)
{
    json_t *object = json_object();
    json_object_set_new(object, "schema", json_string("bitnet-shader/1"));
    json_object_set_new(object, "kind", json_string(kind));
    json_array_append_new(report->list, object);
    return object; // of the list
}

static void add_problem(json_t *object, const struct report *report, const struct problem *problem)
{
    json_object_set_new(object, "shader", json_string(problem->shader));
    json_object_set_new(object, "op", json_string(bn_op_name(problem->kind)));
    json_object_set_new(object, "rows", json_integer(problem->rows));
    json_object_set_new(object, "n", json_integer(problem->n));
    json_object_set_new(object, "cols", json_integer(problem->cols));
    json_object_set_new(object, "device", tool_json_text(report->device, strlen(report->device)));
}
#endif

int report_begin(struct report *report, bool json)
{
    *report = (struct report){.json = json};
    int exit_code = json ? tool_json_missing(PROGRAM) : 0;
#if BN_HAVE_JANSSON
    report->list = json ? json_array() : NULL;
#endif
    return exit_code;
}

int report_end(struct report *report, bool print)
{
#if BN_HAVE_JANSSON
    struct tool_out out = {0};
    if (!print) {
        json_decref(report->list);
    } else if (report->list) {
        int exit_code = tool_json_print(&out, PROGRAM, report->list);
        return exit_code ? exit_code : tool_out_finish(&out, PROGRAM);
    }
#endif
    return 0;
}

#if BN_HAVE_JANSSON
static json_t *values_of(const struct shader_constant *constant)
{
    json_t *list = json_array();
    for (const char *at = constant->values; *at >= '0' && *at <= '9'; at += *at == '|') {
        char *end;
        json_array_append_new(list, json_integer((json_int_t)strtoul(at, &end, 10)));
        at = end;
    }
    return list;
}
#endif

void report_variant(struct report *report, const char *driver, const struct shader_variant *variant)
{
#if BN_HAVE_JANSSON
    if (report->json) {
        json_t *object = add_object(report, "variant"), *list = json_array();
        json_object_set_new(object, "name", json_string(variant->name));
        json_object_set_new(object, "driver", json_string(driver));
        json_object_set_new(object, "bytes", json_integer((json_int_t)variant->bytes));
        for (size_t i = 0; i < variant->n_constants; i++) {
            const struct shader_constant *constant = &variant->constants[i];
            json_t *values = values_of(constant), *first = json_array_get(values, 0);
            json_array_append_new(list,
                                  json_pack("{s:i, s:s, s:O, s:o}", "id", (int)constant->id, "name", constant->name,
                                            "default", first ? first : json_null(), "values", values));
        }
        json_object_set_new(object, "constants", list);
        return;
    }
#endif
    (void)driver;
    if (!report->n++)
        printf("%-28s %8s  constants\n", "variant", "bytes");
    printf("%-28s %8zu ", variant->name, variant->bytes);
    for (size_t i = 0; i < variant->n_constants; i++) {
        const struct shader_constant *constant = &variant->constants[i];
        printf(" %u:%s%s%s", constant->id, constant->name, *constant->values ? "=" : "", constant->values);
    }
    printf("\n");
}

static void describe(const struct problem *problem, char *text, size_t size)
{
    snprintf(text, size, "%s %ux%u x%u", bn_op_name(problem->kind), problem->n, problem->cols, problem->rows);
}

void report_check(struct report *report, const struct problem *problem, bool good, const char *text)
{
    char name[64];
    describe(problem, name, sizeof name);
#if BN_HAVE_JANSSON
    if (report->json) {
        json_t *object = add_object(report, "check");
        add_problem(object, report, problem);
        json_object_set_new(object, "ok", json_boolean(good));
        json_object_set_new(object, "detail", json_string(text));
        return;
    }
#endif
    printf("%-21s %-28s %s: %s\n", problem->shader, name, good ? "ok" : "WRONG", text);
}

void report_copy(struct report *report, double gb, bool changes)
{
    report->copy_gb = gb;
    if (report->json)
        return;
    printf("copy bandwidth of %s: %.2f GB/s, read and written\n", report->device, gb);
    printf("%-21s %-28s %10s %10s %8s %8s%s\n", "shader", "op", "ms", "median", "GB/s", "of copy",
           changes ? "   change" : "");
}

void report_bench(struct report *report, const struct problem *problem, const struct timing *timing, double before)
{
    char name[64];
    double gb = (double)timing->bytes / timing->best * 1e-9;
    describe(problem, name, sizeof name);
#if BN_HAVE_JANSSON
    if (report->json) {
        json_t *object = add_object(report, "bench");
        add_problem(object, report, problem);
        json_object_set_new(object, "seconds", tool_json_number(timing->best));
        json_object_set_new(object, "median_seconds", tool_json_number(timing->median));
        json_object_set_new(object, "gb_per_second", tool_json_number(gb));
        json_object_set_new(object, "copy_gb_per_second", tool_json_number(report->copy_gb));
        json_object_set_new(object, "copy_share", tool_json_number(gb / report->copy_gb));
        return;
    }
#endif
    printf("%-21s %-28s %10.3f %10.3f %8.2f %7.0f%%", problem->shader, name, timing->best * 1e3, timing->median * 1e3,
           gb, 100 * gb / report->copy_gb);
    if (before > 0)
        printf(" %+7.1f%%", 100 * (timing->best / before - 1));
    printf("\n");
    fflush(stdout);
}
