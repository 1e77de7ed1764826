// Read bandwidth and int8 rate of a way into a device: a ternary matrix times one row, and times many, through the low level
// of the API, so that every driver is measured by the same work.
#include "common/cache.h"
#include "common/fail.h"

#include "devices/devices.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COLS = 4096, MANY = 64, MIB = 1 << 20, LINE = 1024 };
static const uint64_t most_bytes = 1024 * (uint64_t)MIB, least_bytes = 128 * (uint64_t)MIB;
static const double enough_seconds = 0.4;

// A matrix on a device, with what a matmul of it needs.
struct rig {
    struct bn_device *device;
    struct bn_queue *queue;
    struct bn_op op;
    struct bn_span slot;
    struct bn_command *command;
    uint64_t signal;
    struct bn_error err;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool make(struct rig *rig, uint64_t bytes, struct bn_span *span)
{
    *span = (struct bn_span){NULL, 0, bytes};
    return bn_buffer_create(rig->device, bytes, &span->buffer, &rig->err) == BN_OK;
}

// Zeroed buffers are a matrix as good as any: codes and activations of 0, in every layout.
static bool prepare(struct rig *rig, uint32_t rows, uint32_t n_rows)
{
    const struct bn_slot_limits limits = {.rows = n_rows, .seqs = 1, .pages = 1, .outputs = 1, .copies = 1};
    struct bn_op *op = &rig->op;
    *op = (struct bn_op){.kind = BN_OP_MATMUL, .rows = n_rows, .cols = COLS};
    op->w[0] = (struct bn_weight){.rows = rows, .cols = COLS, .scale = 1.0f};
    if (bn_device_preferred_layout(rig->device, op->kind, BN_LAYOUT_I2S_A, &op->w[0].layout, &rig->err) != BN_OK)
        return false;
    uint64_t bytes = bn_layout_bytes(op->w[0].layout, rows, COLS);
    op->w[0].data.size = bytes;
    if (bn_buffer_create_local(rig->device, bytes, &op->w[0].data.buffer, &rig->err) != BN_OK ||
        !make(rig, (uint64_t)n_rows * COLS, &op->in) || !make(rig, n_rows * sizeof(struct bn_row_scale), &op->in2) ||
        !make(rig, (uint64_t)n_rows * rows * sizeof(float), &op->out) || !make(rig, bn_slot_bytes(&limits), &rig->slot))
        return false;
    struct bn_row_scale *scales = op->in2.buffer->host;
    for (uint32_t i = 0; i < n_rows; i++)
        scales[i].scale = 1.0f;
    struct bn_slot *slot = rig->slot.buffer->host;
    bn_slot_init(slot, &limits);
    slot->n_rows = n_rows;
    return bn_command_record(rig->device, op, 1, &rig->slot, &rig->command, &rig->err) == BN_OK;
}

static void clear(struct rig *rig)
{
    bn_command_destroy(rig->command);
    bn_buffer_destroy(rig->op.w[0].data.buffer);
    bn_buffer_destroy(rig->op.in.buffer);
    bn_buffer_destroy(rig->op.in2.buffer);
    bn_buffer_destroy(rig->op.out.buffer);
    bn_buffer_destroy(rig->slot.buffer);
    rig->command = NULL;
    rig->op = (struct bn_op){.kind = BN_OP_MATMUL};
    rig->slot = (struct bn_span){NULL, 0, 0};
}

// Seconds of the fastest of several runs, after one that warms up; 0 if it fails.
static double fastest(struct rig *rig)
{
    double best = 0, start = now();
    for (int i = 0; i < 100 && (i < 2 || now() - start < enough_seconds); i++) {
        struct bn_submission submission = {.command = rig->command, .signal = ++rig->signal};
        double before = now();
        if (bn_queue_submit(rig->queue, &submission, &rig->err) != BN_OK ||
            bn_queue_wait(rig->queue, rig->signal, UINT64_MAX, &rig->err) != BN_OK)
            return 0;
        double seconds = now() - before;
        if (i > 0 && seconds > 0 && (best == 0 || seconds < best))
            best = seconds;
    }
    return best;
}

// Larger than the caches, small enough for the memory.
static uint64_t matrix_bytes(const struct bn_survey_device *device)
{
    uint64_t bytes = least_bytes;
    for (int i = 0; i < 4; i++)
        if (device->caches[i].bytes * device->caches[i].count * 4 > bytes)
            bytes = device->caches[i].bytes * device->caches[i].count * 4;
    bytes = bytes < most_bytes ? bytes : most_bytes;
    if (device->memory_free != UINT64_MAX && device->memory_free && bytes > device->memory_free / 4)
        bytes = device->memory_free / 4;
    return bytes;
}

static bool measure(struct rig *rig, const struct bn_survey_device *device, struct figures *figures)
{
    uint32_t rows = (uint32_t)(matrix_bytes(device) * 4 / COLS) & ~1023u; // two bits a weight, or nearly
    double seconds = prepare(rig, rows, 1) ? fastest(rig) : 0;
    if (seconds > 0)
        figures->bytes_per_second = (double)rig->op.w[0].data.size / seconds;
    clear(rig);
    if (seconds <= 0)
        return false;
    rows = COLS;
    seconds = prepare(rig, rows, MANY) ? fastest(rig) : 0;
    if (seconds > 0)
        figures->ops_per_second = 2.0 * rows * COLS * MANY / seconds;
    clear(rig);
    return seconds > 0;
}

// Opens what the survey found; by address first, since each driver counts for itself.
static bool open_way(struct report *report, const struct bn_survey_device *device, const char *api, struct rig *rig)
{
    const char *const names[] = {strncmp(device->address, "pci:", 4) == 0 ? device->address : device->id, device->id};
    for (int i = 0; i < 2; i++) {
        char selector[96];
        snprintf(selector, sizeof selector, "%s/%s", names[i], api);
        if (bn_device_open(report->runtime, selector, NULL, &rig->device, &rig->err) == BN_OK)
            return true;
    }
    return false;
}

static bool measure_way(struct report *report, const struct bn_survey_device *device, const char *api,
                        struct figures *figures)
{
    struct rig rig = {.op = {.kind = BN_OP_MATMUL}};
    bool ok = open_way(report, device, api, &rig);
    if (ok && (ok = bn_queue_open(rig.device, &rig.queue, &rig.err) == BN_OK)) {
        ok = measure(&rig, device, figures);
        bn_queue_close(rig.queue);
    }
    if (!ok)
        tool_say(PROGRAM, "%s/%s cannot be measured: %s", device->id, api, rig.err.message);
    bn_device_close(rig.device);
    return ok;
}

// What a figure depends on; without tabs, as text of a survey is.
static void key_of(const struct bn_survey_device *device, const struct bn_survey_api *api, char *key, size_t size)
{
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    snprintf(key, size, "%s|%s|%s|%s|%s|%s|%s|%s|%u", host, device->address, device->name, api->name, api->version,
             api->driver, device->driver_version, bn_version(), device->threads);
}

static bool cache_file(char *path, size_t size)
{
    char folder[PATH_MAX];
    if (!tool_cache_folder(folder, sizeof folder) || !tool_make_cache_folder(folder))
        return false;
    int n = snprintf(path, size, "%s/devices-1.tsv", folder);
    return n > 0 && (size_t)n < size;
}

// The line of a key: "key <tab> bytes per second <tab> ops per second".
static bool parse(const char *line, const char *key, struct figures *figures)
{
    size_t n = strlen(key);
    return strncmp(line, key, n) == 0 && line[n] == '\t' &&
           sscanf(line + n, "%lf %lf", &figures->bytes_per_second, &figures->ops_per_second) == 2 &&
           figures->bytes_per_second > 0 && figures->ops_per_second > 0;
}

static bool remembered(const char *key, struct figures *figures)
{
    char path[PATH_MAX + 32], line[LINE];
    FILE *file = cache_file(path, sizeof path) ? fopen(path, "re") : NULL;
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = parse(line, key, figures);
    if (file)
        fclose(file);
    return found;
}

// Writes the file anew, with this line in place of the old one.
static void remember(const char *key, const struct figures *figures)
{
    char path[PATH_MAX + 32], fresh[PATH_MAX + 64], line[LINE];
    struct figures old;
    if (!cache_file(path, sizeof path)) {
        tool_say(PROGRAM, "note: the figures cannot be kept: no cache folder that can be written");
        return;
    }
    snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid());
    FILE *out = fopen(fresh, "wxe"), *in = fopen(path, "re");
    while (out && in && fgets(line, sizeof line, in))
        if (strchr(line, '\n') && !parse(line, key, &old))
            fputs(line, out);
    if (in)
        fclose(in);
    bool ok = out != NULL;
    if (out) {
        ok = fprintf(out, "%s\t%.9g\t%.9g\n", key, figures->bytes_per_second, figures->ops_per_second) > 0;
        ok &= fclose(out) == 0;
        ok = ok && rename(fresh, path) == 0;
    }
    if (!ok) {
        tool_say(PROGRAM, "note: the figures cannot be kept: %s: %s", path, strerror(errno));
        unlink(fresh);
    }
}

void devices_measure(struct report *report, bool again)
{
    const struct bn_survey_device *device;
    for (size_t d = 0; (device = bn_survey_get_device(report->survey, d)) != NULL; d++) {
        for (size_t a = 0; a < device->n_apis && report->n_figures < MAX_FIGURES; a++) {
            struct figures figures = {.device = d, .api = a};
            char key[LINE - 64];
            if (!device->apis[a].usable)
                continue;
            key_of(device, &device->apis[a], key, sizeof key);
            figures.cached = !again && remembered(key, &figures);
            if (!figures.cached && !measure_way(report, device, device->apis[a].name, &figures))
                continue;
            if (!figures.cached)
                remember(key, &figures);
            report->figures[report->n_figures++] = figures;
        }
    }
}

const struct figures *devices_figures(const struct report *report, size_t device, size_t api)
{
    for (size_t i = 0; i < report->n_figures; i++)
        if (report->figures[i].device == device && report->figures[i].api == api)
            return &report->figures[i];
    return NULL;
}

double devices_ceiling(const struct report *report, const struct figures *figures)
{
    uint64_t bytes = bn_model_get_info(report->model)->token_bytes;
    return bytes ? figures->bytes_per_second / (double)bytes : 0;
}

bool devices_fits(const struct report *report, const struct bn_survey_device *device)
{
    uint64_t bytes = bn_model_get_info(report->model)->bytes, room = device->memory_total;
    const struct bn_survey_device *host = bn_survey_get_device(report->survey, 0);
    if (device->shares_memory && host && host->memory_total > room)
        room = host->memory_total;
    return !room || bytes <= room;
}

int devices_choose(struct report *report)
{
    struct bn_error err = {0};
    struct bn_device *device;
    if (bn_model_open(report->runtime, report->model_path, NULL, &report->model, &err) != BN_OK)
        return tool_fail(PROGRAM, &err, NULL);
    if (bn_device_open(report->runtime, NULL, NULL, &device, &err) != BN_OK) {
        snprintf(report->why, sizeof report->why, "%.120s", err.message);
        return 0;
    }
    const struct bn_device_info *info = bn_device_get_info(device);
    const char *named = getenv("BITNET_DEVICE");
    snprintf(report->chosen, sizeof report->chosen, "%s/%s", info->id, info->driver);
    if (named && *named && strcmp(named, "auto") != 0)
        snprintf(report->why, sizeof report->why, "BITNET_DEVICE names it");
    else
        snprintf(report->why, sizeof report->why,
                 "the first in the order of drivers that is ready; -d chooses another");
    bn_device_close(device);
    return 0;
}
