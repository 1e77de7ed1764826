#include "runtime/graph/scan.h"

#include <math.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/layout/layout.h"

enum { BLOCK = 32, MOST_THREADS = 16, PARALLEL_FROM = 1 << 22 };

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

// Rows first .. end - 1, by one thread.
struct share {
    struct bn_scan *scan;
    const struct bn_host *host;
    const struct bn_tensor *head;
    uint64_t first, end;
    pthread_t thread;
    bool started, usable;
    enum bn_result result;
};

static void *fill_share(void *argument)
{
    struct share *share = argument;
    const struct bn_tensor *head = share->head;
    const struct bn_layout_info *layout = bn_layout_get(head->layout);
    uint8_t *base = share->scan->buffer->host;
    int8_t *q = (int8_t *)(base + share->scan->rows.offset);
    struct bn_scan_row *info = (void *)(base + share->scan->info.offset);
    float *row = bn_alloc_array(share->host, head->cols, sizeof(*row));
    share->result = row ? BN_OK : BN_ERR_NO_MEMORY;
    share->usable = true;
    for (uint64_t r = share->first; row && r < share->end && share->usable; r++) {
        layout->widen(head->data, head->cols, r, row);
        share->usable = bn_scan_quantise(row, head->cols, q + r * head->cols, &info[r]);
    }
    bn_free(share->host, row);
    return NULL;
}

static enum bn_result fill(struct bn_scan *scan, const struct bn_host *host, const struct bn_tensor *head, bool *usable,
                           struct bn_error *err)
{
    struct share shares[MOST_THREADS];
    uint32_t n = bn_cpu_count() < MOST_THREADS ? bn_cpu_count() : MOST_THREADS;
    n = (uint64_t)head->rows * head->cols < PARALLEL_FROM ? 1 : n;
    for (uint32_t i = 0; i < n; i++) {
        shares[i] = (struct share){.scan = scan,
                                   .host = host,
                                   .head = head,
                                   .first = head->rows * (uint64_t)i / n,
                                   .end = head->rows * (i + 1ull) / n};
        // A thread that cannot be had is no failure: its rows are done here.
        shares[i].started =
            i > 0 && bn_thread_start(&shares[i].thread, "bitnet-scan", fill_share, &shares[i], NULL) == BN_OK;
    }
    bool ok = true;
    *usable = true;
    for (uint32_t i = 0; i < n; i++) {
        if (shares[i].started)
            pthread_join(shares[i].thread, NULL);
        else
            fill_share(&shares[i]);
        *usable = *usable && shares[i].usable;
        ok = ok && shares[i].result == BN_OK;
    }
    return ok ? BN_OK : bn_fail_memory(err, head->cols * sizeof(float), "a row of the head");
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
    enum bn_result result = bn_buffer_create(device, bytes + scan->info.size, &scan->buffer, err);
    bool usable = false;
    if (result == BN_OK && scan->buffer->host)
        result = fill(scan, device->host, head, &usable, err);
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
