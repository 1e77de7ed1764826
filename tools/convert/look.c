// --inspect and --diff.
#include "common/fail.h"
#include "common/json.h"
#include "convert/inspect.h"
#include "convert/tool.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_BYTES 160 // of a value that is printed for people

static void print_key(struct tool_out *out, const struct bn_shown_key *key)
{
    char line[512], text[TEXT_BYTES];
    int n =
        snprintf(line, sizeof line, "%.*s = ", (int)(key->name.bytes < 200 ? key->name.bytes : 200), key->name.data);
    size_t left = sizeof line - (size_t)n;
    switch (key->kind) {
    case BN_SHOWN_INTEGER:
        snprintf(line + n, left, "%" PRId64 " (%s)\n", key->integer, key->type);
        break;
    case BN_SHOWN_REAL:
        snprintf(line + n, left, "%.9g (%s)\n", key->real, key->type);
        break;
    case BN_SHOWN_BOOL:
        snprintf(line + n, left, "%s\n", key->integer ? "true" : "false");
        break;
    case BN_SHOWN_LIST:
        snprintf(line + n, left, "%" PRIu64 " of %s\n", key->count, key->type);
        break;
    case BN_SHOWN_TEXT:
        bn_str_text(key->text, text, sizeof text);
        for (char *c = text; *c; c++)
            *c = *c == '\n' || *c == '\t' ? ' ' : *c;
        snprintf(line + n, left, "\"%s\"%s\n", text, key->text.bytes >= sizeof text ? " ..." : "");
        break;
    }
    tool_out_untrusted(out, line, strlen(line));
}

static void print_tensor(struct tool_out *out, const struct bn_shown_tensor *t)
{
    char line[512];
    int n = snprintf(line, sizeof line, "%-28s %6" PRIu64 " x %-6" PRIu64 " %-5s %-12s %10" PRIu64 " at %-10" PRIu64,
                     t->name, t->rows, t->cols, t->type, t->layout ? t->layout : "", t->bytes, t->offset);
    if (!t->layout) {
        snprintf(line + n, sizeof line - (size_t)n, "\n");
    } else if (t->ternary) {
        double all = (double)t->rows * (double)t->cols;
        snprintf(line + n, sizeof line - (size_t)n, "  -1 %.4f  0 %.4f  +1 %.4f  scale%s %.9g to %.9g\n",
                 (double)t->codes[0] / all, (double)t->codes[1] / all, (double)t->codes[2] / all,
                 t->n_scales > 1 ? "s" : "", t->least_scale, t->greatest_scale);
    } else {
        snprintf(line + n, sizeof line - (size_t)n, "  %.6g to %.6g, mean magnitude %.6g\n", t->least, t->greatest,
                 t->mean_magnitude);
    }
    tool_out_untrusted(out, line, strlen(line));
}

#if BN_HAVE_JANSSON
static json_t *key_json(const struct bn_shown_key *key)
{
    switch (key->kind) {
    case BN_SHOWN_INTEGER:
        return json_integer(key->integer);
    case BN_SHOWN_REAL:
        return tool_json_number(key->real);
    case BN_SHOWN_BOOL:
        return json_boolean(key->integer != 0);
    case BN_SHOWN_TEXT:
        return tool_json_text(key->text.data, key->text.bytes);
    case BN_SHOWN_LIST:
        return json_pack("{s:s, s:I}", "type", key->type, "count", (json_int_t)key->count);
    }
    return NULL;
}

static json_t *tensor_json(const struct bn_shown_tensor *t)
{
    json_t *object = json_pack("{s:s, s:s, s:s?, s:[I,I], s:I, s:I}", "name", t->name, "type", t->type, "layout",
                               t->layout, "shape", (json_int_t)t->rows, (json_int_t)t->cols, "bytes",
                               (json_int_t)t->bytes, "offset", (json_int_t)t->offset);
    if (!object || !t->layout)
        return object;
    if (t->ternary) {
        json_object_set_new(object, "codes",
                            json_pack("{s:I, s:I, s:I}", "-1", (json_int_t)t->codes[0], "0", (json_int_t)t->codes[1],
                                      "1", (json_int_t)t->codes[2]));
        json_object_set_new(object, "scales",
                            json_pack("{s:I, s:o, s:o}", "count", (json_int_t)t->n_scales, "min",
                                      tool_json_number(t->least_scale), "max", tool_json_number(t->greatest_scale)));
    } else {
        json_object_set_new(object, "values",
                            json_pack("{s:o, s:o, s:o}", "min", tool_json_number(t->least), "max",
                                      tool_json_number(t->greatest), "mean_magnitude",
                                      tool_json_number(t->mean_magnitude)));
    }
    return object;
}
#endif

// Everything goes through here; `json` is the object that is filled in, or NULL.
static int show(const struct bn_source *source, struct tool_out *out, void *json)
{
    struct bn_shown_key key;
    struct bn_shown_tensor tensor;
    struct bn_error err = {0};
#if BN_HAVE_JANSSON
    json_t *keys = json ? json_object() : NULL, *tensors = json ? json_array() : NULL;
    if (json) {
        json_object_set_new(json, "keys", keys);
        json_object_set_new(json, "tensors", tensors);
    }
#endif
    for (uint32_t i = 0; bn_inspect_key(source, i, &key); i++) {
#if BN_HAVE_JANSSON
        if (json) {
            char name[256];
            json_object_set_new(keys, bn_str_text(key.name, name, sizeof name), key_json(&key));
            continue;
        }
#endif
        print_key(out, &key);
    }
    for (size_t i = 0; i < bn_inspect_count(source); i++) {
        if (bn_inspect_tensor(source, i, &tensor, &err))
            return tool_fail(PROGRAM, &err, NULL);
#if BN_HAVE_JANSSON
        if (json) {
            json_array_append_new(tensors, tensor_json(&tensor));
            continue;
        }
#endif
        print_tensor(out, &tensor);
    }
    return 0;
}

int run_inspect(const struct settings *settings, struct bn_runtime *runtime, const char *path)
{
    struct bn_source source;
    struct bn_error err = {0};
    struct tool_out out = {.gather = true};
    const struct bn_model_options options = reading(settings);
    int exit_code = 0, refused = 0;
    if (bn_source_open(&source, runtime, path, &options, &err)) {
        refused = tool_fail(PROGRAM, &err, NULL);
        if (refused != TOOL_EXIT_MODEL || bn_source_open_raw(&source, runtime, path, &err))
            return refused;
    }
#if BN_HAVE_JANSSON
    if (settings->json) {
        json_t *json = json_pack("{s:s, s:s}", "schema", "bitnet-inspect/1", "file", path);
        exit_code = show(&source, &out, json);
        if (exit_code)
            json_decref(json);
        else
            exit_code = tool_json_print(&out, PROGRAM, json);
    } else
#endif
        exit_code = show(&source, &out, NULL);
    bn_source_close(&source);
    int failed = tool_out_finish(&out, PROGRAM);
    return exit_code ? exit_code : failed ? failed : refused;
}

static int print_differences(const struct bn_source *a, const struct bn_source *b, struct tool_out *out)
{
    struct bn_difference difference;
    struct bn_error err = {0};
    enum bn_result result;
    size_t at = 0, n = 0;
    while (bn_compare(a, b, &at, &difference, &result, &err)) {
        char line[320];
        snprintf(line, sizeof line, "%s: %s\n", difference.what, difference.text);
        tool_out_untrusted(out, line, strlen(line));
        n++;
    }
    if (result != BN_OK)
        return tool_fail(PROGRAM, &err, NULL);
    if (n == 0)
        tool_out_text(out, "the same\n");
    return n ? TOOL_EXIT_CHECK : 0;
}

int run_diff(const struct settings *settings, struct bn_runtime *runtime, const char *a, const char *b)
{
    struct bn_source first = {0}, second = {0};
    struct bn_error err = {0};
    struct tool_out out = {.gather = true};
    const struct bn_model_options options = reading(settings);
    int exit_code = 0;
    if (bn_source_open(&first, runtime, a, &options, &err) || bn_source_open(&second, runtime, b, &options, &err))
        exit_code = tool_fail(PROGRAM, &err, NULL);
    else
        exit_code = print_differences(&first, &second, &out);
    bn_source_close(&first);
    bn_source_close(&second);
    int failed = tool_out_finish(&out, PROGRAM);
    return exit_code ? exit_code : failed;
}
