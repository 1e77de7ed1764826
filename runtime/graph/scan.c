#include "runtime/graph/scan.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/layout/layout.h"

enum { BLOCK = 32, PARALLEL_FROM = 1 << 22 };

bool bn_scan_quantise(const float *w, size_t n, int8_t *q, struct bn_scan_row *info)
{
    float most = 0;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(w[i]);
        finite = finite && magnitude <= 3.4e38f;
        most = magnitude > most ? magnitude : most;
    }
    info->scale = most > 0 ? most / 127.0f : 1.0f;
    float inverse = 1.0f / info->scale;
    if (!finite || inverse > 1e30f)
        return false;
    // Sums of blocks in float, blocks in double: 32 steps of 2^-24 each leave the sums' error below 2^-18 of them, and a
    // norm's below 2^-19.
    double missed = 0, kept = 0;
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t end = n - from < BLOCK ? n : from + BLOCK;
        float block_missed = 0, block_kept = 0;
        for (size_t i = from; i < end; i++) {
            float steps = rintf(w[i] * inverse);
            steps = steps > 127 ? 127 : steps < -127 ? -127 : steps;
            q[i] = (int8_t)steps;
            float value = steps * info->scale, rest = w[i] - value;
            block_kept += value * value;
            block_missed += rest * rest;
        }
        kept += block_kept;
        missed += block_missed;
    }
    info->error = (float)(sqrt(missed) * (1 + 0x1p-12)) + info->scale * 0x1p-12f * sqrtf((float)n);
    info->norm = (float)(sqrt(kept) * (1 + 0x1p-12));
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
    if (!bn_device_supports(device, BN_OP_TOP, layout))
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
