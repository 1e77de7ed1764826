// The results as a picture: the roofline, and the rate over threads, depth and sessions where there are several.
#include "bench/bench.h"

#include "common/fail.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PANEL_WIDTH = 560,
    PANEL_HEIGHT = 380,
    LEFT = 70, // margins of a panel
    RIGHT = 150,
    TOP = 40,
    BOTTOM = 56,
    HEAD = 48, // of the picture
    MAX_SERIES = 8,
    MAX_POINTS = 256,
};

static const char *const colours[MAX_SERIES] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#56b4e9", "#e69f00", "#000000", "#7f7f7f"};

struct point {
    double x, y, limit; // limit: what y could be if memory were the only limit; NaN: unknown
};

struct series {
    char name[128];
    struct point points[MAX_POINTS];
    size_t n;
};

struct axis {
    double min, max;
    bool log;
};

struct panel {
    FILE *file;
    double left, top; // of the panel in the picture
    struct axis x, y;
};

// --- Axes ---

static double place(const struct axis *axis, double value)
{
    if (axis->log)
        return (log10(value) - log10(axis->min)) / (log10(axis->max) - log10(axis->min));
    return (value - axis->min) / (axis->max - axis->min);
}

static double x_of(const struct panel *panel, double x)
{
    return panel->left + LEFT + place(&panel->x, x) * (PANEL_WIDTH - LEFT - RIGHT);
}

static double y_of(const struct panel *panel, double y)
{
    return panel->top + PANEL_HEIGHT - BOTTOM - place(&panel->y, y) * (PANEL_HEIGHT - TOP - BOTTOM);
}

// 1, 2 or 5 times a power of ten, at least value.
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    for (int i = 0; i < 3; i++) {
        static const double steps[] = {1, 2, 5};
        if (value <= steps[i] * power * 1.000001)
            return steps[i] * power;
    }
    return 10 * power;
}

// --- Drawing ---

// Text with the characters that XML keeps for itself replaced.
static void put_text(const struct panel *panel, double x, double y, const char *style, const char *format, ...)
    BN_PRINTF(5, 6);

static void put_text(const struct panel *panel, double x, double y, const char *style, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(panel->file, "<text x='%.1f' y='%.1f' %s>", x, y, style);
    for (const char *p = text; *p; p++) {
        if (*p == '<' || *p == '>' || *p == '&')
            fprintf(panel->file, "&#%d;", *p);
        else
            fputc((unsigned char)*p < ' ' ? ' ' : *p, panel->file);
    }
    fputs("</text>\n", panel->file);
}

static void put_line(const struct panel *panel, double x1, double y1, double x2, double y2, const char *style)
{
    fprintf(panel->file, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' %s/>\n", x1, y1, x2, y2, style);
}

static const char *const grid = "stroke='#e0e0e0'";
static const char *const in_middle = "text-anchor='middle'", *const at_end = "text-anchor='end'", *const plain = "";

static void put_y_tick(const struct panel *panel, double value)
{
    double left = panel->left + LEFT, y = y_of(panel, value);
    put_line(panel, left, y, panel->left + PANEL_WIDTH - RIGHT, y, grid);
    put_text(panel, left - 6, y + 4, at_end, "%g", value);
}

static void put_x_tick(const struct panel *panel, double value)
{
    double bottom = panel->top + PANEL_HEIGHT - BOTTOM, x = x_of(panel, value);
    put_line(panel, x, panel->top + TOP, x, bottom, grid);
    put_text(panel, x, bottom + 16, in_middle, "%g", value);
}

static void put_frame(const struct panel *panel, const char *title, const char *x_name, const char *y_name)
{
    double left = panel->left + LEFT, top = panel->top + TOP, bottom = panel->top + PANEL_HEIGHT - BOTTOM;
    double right = panel->left + PANEL_WIDTH - RIGHT;
    put_line(panel, left, top, left, bottom, "stroke='black'");
    put_line(panel, left, bottom, right, bottom, "stroke='black'");
    put_text(panel, left, panel->top + TOP - 16, "font-weight='bold'", "%s", title);
    put_text(panel, (left + right) / 2, bottom + 38, in_middle, "%s", x_name);
    fprintf(panel->file, "<g transform='rotate(-90 %.1f %.1f)'>", panel->left + 18, (top + bottom) / 2);
    put_text(panel, panel->left + 18, (top + bottom) / 2, in_middle, "%s", y_name);
    fputs("</g>\n", panel->file);
}

static void put_point(const struct panel *panel, double x, double y, const char *colour)
{
    fprintf(panel->file, "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'/>\n", x_of(panel, x), y_of(panel, y), colour);
}

struct label {
    double y; // where its line ends
    const char *colour;
    char text[128];
};

// Labels in the right margin, from top to bottom, at a distance from each other and inside the panel.
static void put_labels(const struct panel *panel, struct label *labels, size_t n)
{
    const double distance = 15;
    double bottom = panel->top + PANEL_HEIGHT - BOTTOM;
    for (size_t i = 0; i < n; i++)
        labels[i].y = fmax(labels[i].y, i ? labels[i - 1].y + distance : panel->top + TOP);
    for (size_t i = n; i-- > 0;)
        labels[i].y = fmin(labels[i].y, i + 1 < n ? labels[i + 1].y - distance : bottom);
    for (size_t i = 0; i < n; i++) {
        char style[64];
        snprintf(style, sizeof style, "fill='%s'", labels[i].colour);
        put_text(panel, panel->left + PANEL_WIDTH - RIGHT + 8, labels[i].y + 4, style, "%s", labels[i].text);
    }
}

static uint32_t most_threads(const struct bench *bench)
{
    uint32_t most = 0;
    for (size_t i = 0; i < bench->n_results; i++)
        most = bench->results[i].threads > most ? bench->results[i].threads : most;
    return most;
}

// --- Panels over one of threads, depth, sessions ---

enum key { KEY_THREADS, KEY_DEPTH, KEY_SESSIONS };

static uint32_t key_of(const struct result *result, enum key key)
{
    return key == KEY_THREADS ? result->threads : key == KEY_DEPTH ? result->depth : result->sessions;
}

// What tells the lines of a panel apart: everything but the key.
static void name_series(const struct result *result, enum key key, char *name, size_t bytes)
{
    char parts[3][24] = {"", "", ""};
    if (key != KEY_DEPTH && result->depth)
        snprintf(parts[0], sizeof parts[0], " @ d%u", result->depth);
    if (key != KEY_SESSIONS && result->sessions > 1)
        snprintf(parts[1], sizeof parts[1], " x%u", result->sessions);
    if (!isnan(result->huge_share) && result->pages == PAGES_SMALL)
        snprintf(parts[2], sizeof parts[2], ", 4k");
    char test[32] = "", gen[16] = "";
    if (result->n_prompt)
        snprintf(test, sizeof test, "pp%u", result->n_prompt);
    if (result->n_gen)
        snprintf(gen, sizeof gen, "%stg%u", result->n_prompt ? "+" : "", result->n_gen);
    snprintf(name, bytes, "%s%s%s%s%s", test, gen, parts[0], parts[1], parts[2]);
}

static int compare_points(const void *a, const void *b)
{
    double x = ((const struct point *)a)->x, y = ((const struct point *)b)->x;
    return (x > y) - (x < y);
}

// Whether a panel shows the result. Over threads: at the smallest depth; over depth and sessions: with the most threads.
static bool belongs(const struct bench *bench, const struct result *result, enum key key, bool prompts)
{
    bool shown = (result->n_prompt > 0) == prompts && isfinite(result->median);
    if (key != KEY_THREADS)
        return shown && result->threads == most_threads(bench);
    for (size_t i = 0; i < bench->n_results && shown; i++)
        shown = result->depth <= bench->results[i].depth;
    return shown;
}

// The lines of a panel that have at least two points; returns their number. `list` holds MAX_SERIES.
static size_t gather(const struct bench *bench, enum key key, bool prompts, struct series *list)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < bench->n_results; i++) {
        const struct result *r = &bench->results[i];
        struct series *series = NULL;
        char name[128];
        if (!belongs(bench, r, key, prompts))
            continue;
        name_series(r, key, name, sizeof name);
        for (size_t s = 0; s < n && !series; s++)
            series = strcmp(list[s].name, name) == 0 ? &list[s] : NULL;
        if (!series && n < MAX_SERIES) {
            series = &list[n++];
            memcpy(series->name, name, sizeof name);
            series->n = 0;
        }
        if (series && series->n < MAX_POINTS)
            series->points[series->n++] =
                (struct point){key_of(r, key), r->median, r->read_gb * 1e9 / r->bytes_per_token};
    }
    for (size_t s = 0; s < n; s++) {
        qsort(list[s].points, list[s].n, sizeof *list[s].points, compare_points);
        if (list[s].n > 1 && list[s].points[0].x < list[s].points[list[s].n - 1].x)
            list[kept++] = list[s];
    }
    return kept;
}

static int compare_ends(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    double end_x = x->points[x->n - 1].y, end_y = y->points[y->n - 1].y;
    return (end_x < end_y) - (end_x > end_y);
}

static void put_series(const struct panel *panel, const struct series *series, const char *colour, bool limits)
{
    for (size_t i = 1; i < series->n; i++) {
        const struct point *a = &series->points[i - 1], *b = &series->points[i];
        char style[96];
        snprintf(style, sizeof style, "stroke='%s' stroke-width='2'", colour);
        put_line(panel, x_of(panel, a->x), y_of(panel, a->y), x_of(panel, b->x), y_of(panel, b->y), style);
        snprintf(style, sizeof style, "stroke='%s' stroke-dasharray='3 4'", colour);
        if (limits && a->limit <= panel->y.max && b->limit <= panel->y.max)
            put_line(panel, x_of(panel, a->x), y_of(panel, a->limit), x_of(panel, b->x), y_of(panel, b->limit), style);
    }
    for (size_t i = 0; i < series->n; i++)
        put_point(panel, series->points[i].x, series->points[i].y, colour);
}

static void put_scaling(struct panel *panel, struct series *list, size_t n, enum key key, bool prompts,
                        uint32_t threads)
{
    static const char *const names[] = {"threads", "positions in the context", "sessions in one batch"};
    char title[112];
    double most = 0, limit = 0; // limit: the largest that leaves the rest readable
    panel->x = (struct axis){INFINITY, 0, false};
    for (size_t s = 0; s < n; s++) {
        panel->x.min = fmin(panel->x.min, list[s].points[0].x);
        panel->x.max = fmax(panel->x.max, list[s].points[list[s].n - 1].x);
        for (size_t i = 0; i < list[s].n; i++)
            most = fmax(most, list[s].points[i].y);
    }
    for (size_t s = 0; s < n && !prompts; s++) {
        for (size_t i = 0; i < list[s].n; i++)
            limit = list[s].points[i].limit < 3 * most ? fmax(limit, list[s].points[i].limit) : limit;
    }
    double step = round_up(fmax(most, limit) / 6);
    panel->y = (struct axis){0, step * ceil(fmax(most, limit) / step), false};
    for (double tick = 0; tick <= panel->y.max * 1.001; tick += step)
        put_y_tick(panel, tick);
    double last = -INFINITY;
    for (size_t i = 0; i < list[0].n; i++) { // where they would overlap, some are left out
        double x = x_of(panel, list[0].points[i].x);
        if (x - last > 26)
            put_x_tick(panel, list[0].points[i].x);
        last = x - last > 26 ? x : last;
    }
    char fixed[32] = "";
    if (key != KEY_THREADS)
        snprintf(fixed, sizeof fixed, ", %u thread%s", threads, threads == 1 ? "" : "s");
    snprintf(title, sizeof title, "%s%s%s", prompts ? "Prompt" : "Decode", fixed,
             limit > 0 ? " (dashed: what reading memory alone would allow)" : "");
    put_frame(panel, title, names[key], "tokens/s, median");
    qsort(list, n, sizeof *list, compare_ends);
    struct label labels[MAX_SERIES];
    for (size_t s = 0; s < n; s++) {
        put_series(panel, &list[s], colours[s], !prompts);
        labels[s].y = y_of(panel, list[s].points[list[s].n - 1].y);
        labels[s].colour = colours[s];
        memcpy(labels[s].text, list[s].name, sizeof labels[s].text);
    }
    put_labels(panel, labels, n);
}

// --- The roofline ---

struct dot {
    double x, y; // multiply-accumulates per byte, 10^9 of them per second
    const struct result *result;
};

static int compare_dots(const void *a, const void *b)
{
    const struct dot *x = a, *y = b;
    return (x->y < y->y) - (x->y > y->y);
}

// The largest number of threads is shown: the limits are those of one number only.
static size_t gather_dots(const struct bench *bench, uint32_t threads, struct dot *dots)
{
    size_t n = 0;
    for (size_t i = 0; i < bench->n_results && n < MAX_SERIES; i++) {
        const struct result *r = &bench->results[i];
        if (r->threads == threads && r->median > 0)
            dots[n++] = (struct dot){r->macs_per_token / r->bytes_per_token, r->median * r->macs_per_token * 1e-9, r};
    }
    qsort(dots, n, sizeof *dots, compare_dots);
    return n;
}

static const struct limits *widest_limits(const struct bench *bench)
{
    const struct limits *widest = NULL;
    for (size_t i = 0; i < bench->n_limits; i++) {
        if (!widest || bench->limits[i].threads > widest->threads)
            widest = &bench->limits[i];
    }
    return widest;
}

static void put_roof(const struct panel *panel, const struct limits *limits, enum pages pages, double peak)
{
    const char *style =
        pages == PAGES_HUGE ? "stroke='#444444' stroke-width='2'" : "stroke='#444444' stroke-dasharray='6 4'";
    double gb = limits->read_gb[pages], ridge = fmin(peak / gb, panel->x.max);
    double first = fmax(panel->x.min, panel->y.min / gb);
    put_line(panel, x_of(panel, first), y_of(panel, first * gb), x_of(panel, ridge), y_of(panel, ridge * gb), style);
    if (ridge < panel->x.max)
        put_line(panel, x_of(panel, ridge), y_of(panel, peak), x_of(panel, panel->x.max), y_of(panel, peak), style);
}

static void put_roofline(struct panel *panel, const struct bench *bench, const struct limits *limits)
{
    struct dot dots[MAX_SERIES];
    char title[96], text[160];
    size_t n = gather_dots(bench, limits->threads, dots);
    double peak = isfinite(limits->macs) ? limits->macs * 1e-9 : INFINITY, best = limits->read_gb[PAGES_HUGE];
    panel->x = (struct axis){0.1, 1000, true};
    panel->y = (struct axis){INFINITY, isfinite(peak) ? peak : 1, true};
    for (size_t i = 0; i < n; i++) {
        panel->x.min = fmin(panel->x.min, dots[i].x);
        panel->x.max = fmax(panel->x.max, dots[i].x);
        panel->y.min = fmin(panel->y.min, dots[i].y);
        panel->y.max = fmax(panel->y.max, dots[i].y);
    }
    panel->y.min = fmin(panel->y.min, panel->x.min * best);
    panel->x.min = pow(10, floor(log10(panel->x.min)));
    panel->x.max = pow(10, ceil(log10(panel->x.max)));
    panel->y.min = pow(10, floor(log10(panel->y.min)));
    panel->y.max = pow(10, ceil(log10(panel->y.max * 1.2)));
    for (double tick = panel->x.min; tick <= panel->x.max * 1.001; tick *= 10)
        put_x_tick(panel, tick);
    for (double tick = panel->y.min; tick <= panel->y.max * 1.001; tick *= 10)
        put_y_tick(panel, tick);
    put_roof(panel, limits, PAGES_SMALL, peak);
    put_roof(panel, limits, PAGES_HUGE, peak);
    snprintf(title, sizeof title, "Roofline, %u thread%s", limits->threads, limits->threads == 1 ? "" : "s");
    put_frame(panel, title, "multiply-accumulates per byte read", "GMAC/s");
    snprintf(text, sizeof text, "read %.1f GB/s huge, %.1f 4k (dashed); int8 %.0f GMAC/s", best,
             limits->read_gb[PAGES_SMALL], limits->macs * 1e-9);
    put_text(panel, panel->left + LEFT + 150, panel->top + TOP - 16, plain, "%s", text);
    struct label labels[MAX_SERIES];
    for (size_t i = 0; i < n; i++) {
        put_point(panel, dots[i].x, dots[i].y, colours[i]);
        labels[i].y = y_of(panel, dots[i].y);
        labels[i].colour = colours[i];
        snprintf(labels[i].text, sizeof labels[i].text, "%s%s", dots[i].result->test,
                 dots[i].result->pages == PAGES_SMALL ? ", 4k" : "");
    }
    put_labels(panel, labels, n);
}

// --- The picture ---

// One panel after the other, two in a row.
static void next_panel(struct panel *panel, size_t *count)
{
    panel->left = (double)(*count % 2) * PANEL_WIDTH;
    panel->top = HEAD + (double)(*count / 2) * PANEL_HEIGHT;
    ++*count;
}

static bool put_panels(const struct bench *bench, struct panel *panel, size_t *count)
{
    struct series *list = calloc(MAX_SERIES, sizeof *list);
    const struct limits *limits = widest_limits(bench);
    if (!list)
        return false;
    if (limits) {
        next_panel(panel, count);
        put_roofline(panel, bench, limits);
    }
    for (int key = KEY_THREADS; key <= KEY_SESSIONS; key++) {
        for (int prompts = 0; prompts < 2; prompts++) {
            size_t n = gather(bench, (enum key)key, prompts, list);
            if (!n)
                continue;
            next_panel(panel, count);
            put_scaling(panel, list, n, (enum key)key, prompts, most_threads(bench));
        }
    }
    free(list);
    return true;
}

// Writes the picture; *error: errno of what failed.
static bool write_picture(const struct bench *bench, FILE *file, int *error)
{
    char *body = NULL;
    size_t bytes = 0, count = 0;
    struct panel panel = {.file = open_memstream(&body, &bytes)};
    bool good = panel.file && put_panels(bench, &panel, &count);
    *error = ENOMEM;
    if (panel.file && fclose(panel.file) != 0)
        good = false;
    if (good) {
        size_t width = (count > 1 ? 2 : 1) * (size_t)PANEL_WIDTH, height = HEAD + (count + 1) / 2 * PANEL_HEIGHT;
        struct panel head = {.file = file};
        fprintf(file,
                "<svg xmlns='http://www.w3.org/2000/svg' width='%zu' height='%zu' viewBox='0 0 %zu %zu' "
                "font-family='sans-serif' font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n",
                width, height, width, height);
        put_text(&head, LEFT, 26, "font-size='16'", "%s%s%s, %s %s", bench->n_results ? report_model(bench) : "",
                 bench->n_results ? " on " : "", bench->machine, PROGRAM, bn_version());
        fwrite(body, 1, bytes, file);
        fputs("</svg>\n", file);
        errno = 0;
        good = fflush(file) == 0 && !ferror(file);
        *error = errno ? errno : EIO;
    }
    free(body);
    return good;
}

int plot_check(const char *path)
{
    char *folder = strdup(path);
    struct stat status;
    int error = ENOMEM;
    if (folder) {
        char *slash = strrchr(folder, '/');
        if (slash)
            slash[1] = '\0';
        error = !*path ? ENOENT : access(slash ? folder : ".", W_OK | X_OK) != 0 ? errno : 0;
        if (!error && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            error = EISDIR;
    }
    free(folder);
    if (error)
        tool_say(PROGRAM, "%s: %s", path, strerror(error));
    return !error ? 0 : error == ENOMEM ? TOOL_EXIT_RESOURCE : TOOL_EXIT_USAGE;
}

int plot_write(struct bench *bench)
{
    const char *path = bench->settings.plot;
    char *temporary = NULL;
    int error = ENOMEM;
    bool good = asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) > 0;
    FILE *file = good ? fopen(temporary, "wxe") : NULL;
    if (good && !file)
        error = errno;
    bool usage = good && !file;
    good = file && write_picture(bench, file, &error);
    if (file && fclose(file) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = false;
        usage = true;
        error = errno;
    }
    if (!good) {
        if (file)
            unlink(temporary);
        tool_say(PROGRAM, "%s: %s", path, strerror(error));
    }
    free(temporary);
    return good ? 0 : usage ? TOOL_EXIT_USAGE : TOOL_EXIT_RESOURCE;
}
