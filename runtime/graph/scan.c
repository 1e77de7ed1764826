#include "runtime/graph/scan.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/layout/layout.h"

enum { LANES = 16, PARALLEL_FROM = 1 << 22 };

// The squares of one element in sixteen: n / 16 steps of 2^-24 each, and those of the sums' own end.
struct squares {
    float missed[LANES], kept[LANES];
};

// Sixteen elements, without branches, so that compilers use vectors. `to_nearest` leaves an integer, rounded to nearest even,
// in the low bits of a sum.
static void quantise_lanes(const float *restrict w, float scale, float inverse, int8_t *restrict q,
                           struct squares *restrict squares)
{
    const float to_nearest = 0x1.8p23f;
    int32_t bits[LANES];
    for (int i = 0; i < LANES; i++) {
        float shifted = w[i] * inverse + to_nearest, value = (shifted - to_nearest) * scale, rest = w[i] - value;
        squares->kept[i] += value * value;
        squares->missed[i] += rest * rest;
        memcpy(&bits[i], &shifted, sizeof(bits[i]));
    }
    for (int i = 0; i < LANES; i++)
        q[i] = (int8_t)bits[i];
}

// The largest magnitude; more than any float if one is not finite.
static double largest(const float *w, size_t n)
{
    uint32_t most[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            uint32_t bits;
            memcpy(&bits, &w[i + j], sizeof(bits));
            bits &= 0x7fffffff;
            most[j] = bits > most[j] ? bits : most[j];
        }
    for (int j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    float value;
    memcpy(&value, &most[0], sizeof(value));
    return most[0] < 0x7f800000 ? (double)value : 1e40;
}

bool bn_scan_quantise(const float *w, size_t n, int8_t *q, struct bn_scan_row *info)
{
    double most = largest(w, n);
    info->scale = most > 0 ? (float)most / 127.0f : 1.0f;
    float inverse = 1.0f / info->scale;
    if (most > 3.4e38 || inverse > 1e18f) // the squares of what a smaller step misses would be lost
        return false;
    struct squares squares = {0};
    for (size_t i = 0; i < n; i += LANES)
        quantise_lanes(w + i, info->scale, inverse, q + i, &squares);
    double missed = 0, kept = 0;
    for (int i = 0; i < LANES; i++) {
        kept += squares.kept[i];
        missed += squares.missed[i];
    }
    double up = 1 + 0x1p-12 + (double)n * 0x1p-28;
    info->error = (float)(sqrt(missed) * up) + info->scale * 0x1p-12f * sqrtf((float)n);
    info->norm = (float)(sqrt(kept) * up);
    return info->norm <= 1e30f && info->error <= 1e30f;
}

struct filler {
    const struct bn_scan *scan;
    uint8_t *base; // of the copy, or of what is uploaded to it
    const struct bn_host *host;
    const struct bn_tensor *head;
    _Atomic bool no_memory, unusable;
};

static void fill_rows(void *context, uint64_t begin, uint64_t end)
{
    struct filler *filler = context;
    const struct bn_tensor *head = filler->head;
    const struct bn_matrix matrix = bn_tensor_matrix(head);
    uint8_t *base = filler->base;
    int8_t *q = (int8_t *)(base + filler->scan->rows.offset);
    struct bn_scan_row *info = (void *)(base + filler->scan->info.offset);
    float *row = bn_alloc_array(filler->host, head->cols, sizeof(*row));
    if (!row)
        atomic_store(&filler->no_memory, true);
    for (uint64_t r = begin; row && r < end && !atomic_load_explicit(&filler->unusable, memory_order_relaxed); r++) {
        bn_matrix_widen(&matrix, r, row);
        if (!bn_scan_quantise(row, head->cols, q + r * head->cols, &info[r]))
            atomic_store(&filler->unusable, true);
    }
    bn_free(filler->host, row);
}

static enum bn_result fill(const struct bn_scan *scan, uint8_t *base, const struct bn_host *host,
                           const struct bn_tensor *head, bool *usable, struct bn_error *err)
{
    struct filler filler = {.scan = scan, .base = base, .host = host, .head = head};
    if ((uint64_t)head->rows * head->cols < PARALLEL_FROM)
        fill_rows(&filler, 0, head->rows);
    else
        bn_parallel(head->rows, fill_rows, &filler);
    *usable = !filler.unusable;
    return filler.no_memory ? bn_fail_memory(err, head->cols * sizeof(float), "a row of the head") : BN_OK;
}

// Fills the buffer where it lies, or, if the host does not reach it, by way of host memory.
static enum bn_result fill_buffer(const struct bn_scan *scan, struct bn_device *device, const struct bn_tensor *head,
                                  bool *usable, struct bn_error *err)
{
    if (scan->buffer->host)
        return fill(scan, scan->buffer->host, device->host, head, usable, err);
    uint64_t bytes = scan->buffer->size;
    uint8_t *base = bn_alloc(device->host, bytes);
    if (!base)
        return bn_fail_memory(err, bytes, "the scan copy of the head");
    enum bn_result result = fill(scan, base, device->host, head, usable, err);
    if (result == BN_OK && *usable)
        result = bn_buffer_write(device, scan->buffer, 0, base, bytes, err);
    bn_free(device->host, base);
    return result;
}

enum bn_result bn_scan_init(struct bn_scan *scan, struct bn_device *device, const struct bn_tensor *head,
                            enum bn_layout layout, struct bn_error *err)
{
    memset(scan, 0, sizeof(*scan));
    if (!bn_device_supports(device, BN_OP_TOP, layout) || head->cols % LANES)
        return BN_OK;
    uint64_t bytes = ((uint64_t)head->rows * head->cols + 255) / 256 * 256;
    scan->rows = (struct bn_span){NULL, 0, (uint64_t)head->rows * head->cols};
    scan->info = (struct bn_span){NULL, bytes, head->rows * sizeof(struct bn_scan_row)};
    enum bn_result result = bn_buffer_create_local(device, bytes + scan->info.size, &scan->buffer, err);
    bool usable = false;
    if (result == BN_OK)
        result = fill_buffer(scan, device, head, &usable, err);
    scan->rows.buffer = scan->info.buffer = scan->buffer;
    if (result != BN_OK || !usable)
        bn_scan_finish(scan);
    return result;
}

void bn_scan_finish(struct bn_scan *scan)
{
    bn_buffer_destroy(scan->buffer);
    memset(scan, 0, sizeof(*scan));
}
