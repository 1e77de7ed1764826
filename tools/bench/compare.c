// --compare: results beside former ones, test by test. What counts as a difference is in docs/baselines/README.md.
#include "common/json.h"

#include "bench/bench.h"

#include "common/escape.h"
#include "common/fail.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if BN_HAVE_JANSSON

// What came of all tests.
struct verdicts {
    unsigned matched, worse, elsewhere;
};

enum { FEWEST = 3 };                     // repetitions that tell how they scatter
static const double unknown_noise = 0.2; // of results with fewer
static const double sigmas = 3;

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

// A test with a rate; other objects measure the machine, or are no results.
static double median_of(const json_t *object)
{
    const json_t *value = json_object_get(object, "tokens_per_second_median");
    double median = json_is_number(value) ? json_number_value(value) : 0;
    return isfinite(median) && median > 0 && text_of(object, "test")[0] ? median : 0;
}

static int load(const char *path, json_t **list)
{
    char *text;
    size_t bytes;
    json_error_t error;
    int exit_code = tool_read_file(PROGRAM, path, &text, &bytes);
    if (exit_code)
        return exit_code;
    *list = json_loadb(text, bytes, 0, &error);
    free(text);
    bool good = json_is_array(*list);
    for (size_t i = 0; good && i < json_array_size(*list); i++)
        good = json_is_object(json_array_get(*list, i)) &&
               strcmp(text_of(json_array_get(*list, i), "schema"), "bitnet-bench/1") == 0;
    if (good)
        return 0;
    if (*list)
        tool_say(PROGRAM, "%s: not what bitnet-bench --json writes", path);
    else
        tool_say(PROGRAM, "%s:%d: %s", path, error.line, error.text);
    json_decref(*list);
    *list = NULL;
    return TOOL_EXIT_USAGE;
}

// The same test of the same model on the same way into a device. Where one of the two does not say, it is the same.
static bool same_test(const json_t *a, const json_t *b, bool pages)
{
    static const char *const keys[] = {"test",     "device",         "driver",     "isa",      "threads",
                                       "sessions", "depth",          "n_batch",    "n_ubatch", "cache_type",
                                       "head",     "model_n_params", "model_name", "pages"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys - !pages; i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if (x && y && !json_equal(x, y))
            return false;
    }
    return true;
}

// The median of the distances to the median, as a part of it, times what makes it a standard deviation of normal samples;
// NaN for too few.
static double spread(const json_t *object)
{
    const json_t *samples = json_object_get(object, "tokens_per_second_samples");
    size_t n = json_array_size(samples);
    double *distances = n >= FEWEST ? calloc(n, sizeof *distances) : NULL, median = median_of(object);
    if (!distances)
        return NAN;
    for (size_t i = 0; i < n; i++)
        distances[i] = fabs(json_number_value(json_array_get(samples, i)) - median);
    double deviation = 1.4826 * stats_median(distances, n) / median;
    free(distances);
    return deviation / sqrt((double)n) * 1.2533; // of a median: sqrt(pi / 2) times that of a mean
}

// How much of a change is none.
static double noise_of(const json_t *before, const json_t *now, double least)
{
    double a = spread(before), b = spread(now);
    double noise = isfinite(a) && isfinite(b) ? sigmas * sqrt(a * a + b * b) : unknown_noise;
    return fmax(noise, least);
}

static const json_t *find(const json_t *list, const json_t *object)
{
    for (int pages = 1; pages >= 0; pages--)
        for (size_t i = 0; i < json_array_size(list); i++)
            if (median_of(json_array_get(list, i)) > 0 && same_test(json_array_get(list, i), object, pages))
                return json_array_get(list, i);
    return NULL;
}

// Adds to each test of `now` what has become of it.
static void judge(json_t *now, const json_t *list, double least, struct verdicts *verdicts)
{
    for (size_t i = 0; i < json_array_size(now); i++) {
        json_t *object = json_array_get(now, i), *said = json_object();
        const json_t *before = median_of(object) > 0 ? find(list, object) : NULL;
        if (median_of(object) <= 0) {
            json_decref(said);
            continue;
        }
        const char *verdict = "new";
        if (before) {
            double change = median_of(object) / median_of(before) - 1, noise = noise_of(before, object, least);
            // A factor: half the rate is as far as twice the rate.
            bool apart = fabs(log1p(change)) > log1p(noise);
            verdict = !apart ? "same" : change > 0 ? "better" : "worse";
            json_object_set_new(said, "tokens_per_second_median", tool_json_number(median_of(before)));
            json_object_set_new(said, "change", tool_json_number(change));
            json_object_set_new(said, "noise", tool_json_number(noise));
            verdicts->matched++;
            verdicts->worse += apart && change < 0;
            verdicts->elsewhere += strcmp(text_of(before, "device_name"), text_of(object, "device_name")) != 0;
        }
        json_object_set_new(said, "verdict", json_string(verdict));
        json_object_set_new(object, "compare", said);
    }
}

static void print(struct bench *bench, const char *format, ...) BN_PRINTF(2, 3);

static void print(struct bench *bench, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    tool_out_text(&bench->out, line);
}

static void print_table(struct bench *bench, const json_t *now)
{
    print(bench,
          "\n| test | device | threads | before | now | change | noise | |\n|---|---|--:|--:|--:|--:|--:|---|\n");
    for (size_t i = 0; i < json_array_size(now); i++) {
        const json_t *object = json_array_get(now, i), *said = json_object_get(object, "compare");
        char test[96], device[48];
        if (!said)
            continue;
        snprintf(test, sizeof test, "%s", text_of(object, "test"));
        snprintf(device, sizeof device, "%s %s", text_of(object, "device"), text_of(object, "isa"));
        tool_make_printable(test);
        tool_make_printable(device);
        print(bench, "| %s | %s | %lld | ", test, device,
              (long long)json_integer_value(json_object_get(object, "threads")));
        if (json_object_get(said, "change"))
            print(bench, "%.2f | %.2f | %+.1f %% | %.1f %% | %s |\n",
                  json_number_value(json_object_get(said, "tokens_per_second_median")), median_of(object),
                  json_number_value(json_object_get(said, "change")) * 100,
                  json_number_value(json_object_get(said, "noise")) * 100, text_of(said, "verdict"));
        else
            print(bench, "- | %.2f | - | - | %s |\n", median_of(object), text_of(said, "verdict"));
    }
}

int compare_print(struct bench *bench, json_t *now)
{
    const struct settings *settings = &bench->settings;
    struct verdicts verdicts = {0};
    judge(now, bench->before, (double)settings->noise / 100, &verdicts);
    if (verdicts.matched == 0) {
        tool_say(PROGRAM, "%s: none of its tests was run now, with the same model and device", settings->compare);
        json_decref(now);
        return TOOL_EXIT_USAGE;
    }
    if (verdicts.elsewhere)
        bench_progress(bench, "note: %s is of another machine", settings->compare);
    int exit_code = 0;
    if (settings->output == OUTPUT_JSON) {
        exit_code = tool_json_print(&bench->out, PROGRAM, now);
    } else {
        print_table(bench, now);
        json_decref(now);
    }
    return exit_code ? exit_code : verdicts.worse && settings->fail_if_worse ? TOOL_EXIT_CHECK : 0;
}

int compare_open(struct bench *bench)
{
    return load(bench->settings.compare, &bench->before);
}

int compare_files(struct bench *bench)
{
    json_t *now;
    int exit_code = load(bench->settings.results, &now);
    return exit_code ? exit_code : compare_print(bench, now);
}

void compare_close(struct bench *bench)
{
    json_decref(bench->before);
}

#else

int compare_open(struct bench *bench)
{
    (void)bench;
    return tool_json_missing(PROGRAM);
}

int compare_print(struct bench *bench, struct json_t *now)
{
    (void)bench;
    (void)now;
    return tool_json_missing(PROGRAM);
}

int compare_files(struct bench *bench)
{
    (void)bench;
    return tool_json_missing(PROGRAM);
}

void compare_close(struct bench *bench)
{
    (void)bench;
}

#endif
