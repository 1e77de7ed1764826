#include "runtime/graph/scan.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"

enum { PARALLEL_FROM = 1 << 22, WHOLE_EVERY = 64, ALIGNMENT = 16, STRIPE = 1 << 20 };

// Work on all rows of the head.
struct rows {
    const struct bn_host *host;
    const struct bn_model *model;
    int8_t *q; // where the copy is made; NULL: the one in the file is compared
    struct bn_scan_row *info;
    _Atomic bool no_memory, bad;
};

static void for_all_rows(struct rows *rows, void (*run)(void *context, uint64_t begin, uint64_t end))
{
    const struct bn_tensor *head = rows->model->output;
    if ((uint64_t)head->rows * head->cols < PARALLEL_FROM)
        run(rows, 0, head->rows);
    else
        bn_parallel(head->rows, run, rows);
}

static bool is_bad(const struct rows *rows)
{
    return atomic_load_explicit(&rows->bad, memory_order_relaxed);
}

static void make_rows(void *context, uint64_t begin, uint64_t end)
{
    struct rows *rows = context;
    const struct bn_tensor *head = rows->model->output;
    const struct bn_matrix matrix = bn_tensor_matrix(head);
    float *row = bn_alloc_array(rows->host, head->cols, sizeof(*row));
    if (!row)
        atomic_store(&rows->no_memory, true);
    for (uint64_t r = begin; row && r < end && !is_bad(rows); r++) {
        bn_matrix_widen(&matrix, r, row);
        if (!bn_scan_quantise(row, head->cols, rows->q + r * head->cols, &rows->info[r]))
            atomic_store(&rows->bad, true);
    }
    bn_free(rows->host, row);
}

// Row r of the file's copy, as a whole: what would be made of the head.
static bool same_row(const struct bn_model *model, uint64_t r, float *row, int8_t *q)
{
    const struct bn_tensor *head = model->output;
    const struct bn_matrix matrix = bn_tensor_matrix(head);
    struct bn_scan_row info;
    bn_matrix_widen(&matrix, r, row);
    return bn_scan_quantise(row, head->cols, q, &info) &&
           memcmp(q, model->scan_rows + r * head->cols, head->cols) == 0 &&
           memcmp(&info, model->scan_info + r * sizeof(info), sizeof(info)) == 0;
}

// One block of row r, another one in each row, of a head whose rows are read at any place.
static bool same_block(const struct bn_model *model, uint64_t r)
{
    const struct bn_tensor *head = model->output;
    uint64_t row_bytes = head->bytes / head->rows, block = r % (head->cols / BN_SCAN_BLOCK);
    const struct bn_matrix row = {
        head->layout, head->cols / BN_SCAN_BLOCK, BN_SCAN_BLOCK, head->data + r * row_bytes, NULL, 1};
    struct bn_scan_row info;
    float w[BN_SCAN_BLOCK];
    memcpy(&info, model->scan_info + r * sizeof(info), sizeof(info));
    if (!(info.scale > 0 && info.scale <= 1e30f && info.error >= 0 && info.error <= 1e30f && info.norm >= 0 &&
          info.norm <= 1e30f))
        return false;
    bn_matrix_widen(&row, block, w);
    return bn_scan_fits(w, (const int8_t *)model->scan_rows + r * head->cols + block * BN_SCAN_BLOCK, info.scale);
}

static void compare_rows(void *context, uint64_t begin, uint64_t end)
{
    struct rows *rows = context;
    const struct bn_tensor *head = rows->model->output;
    bool plain = head->layout <= BN_LAYOUT_BF16;
    float *row = bn_alloc_array(rows->host, head->cols, sizeof(*row));
    int8_t *q = bn_alloc(rows->host, head->cols);
    if (!row || !q)
        atomic_store(&rows->no_memory, true);
    for (uint64_t r = begin; row && q && r < end && !is_bad(rows); r++)
        if (plain && r % WHOLE_EVERY ? !same_block(rows->model, r) : !same_row(rows->model, r, row, q))
            atomic_store(&rows->bad, true);
    bn_free(rows->host, row);
    bn_free(rows->host, q);
}

static void copy_stripes(void *context, uint64_t begin, uint64_t end)
{
    struct rows *rows = context;
    uint64_t bytes = (uint64_t)rows->model->output->rows * rows->model->output->cols;
    uint64_t from = begin * STRIPE, to = end * STRIPE < bytes ? end * STRIPE : bytes;
    memcpy(rows->q + from, rows->model->scan_rows + from, to - from);
    bn_file_map_release(&rows->model->map, (uint64_t)(rows->model->scan_rows - rows->model->map.data) + from,
                        to - from);
}

// Fills host memory with the file's copy, or with one that is made.
static enum bn_result fill(struct rows *rows, bool stored, bool *usable, struct bn_error *err)
{
    const struct bn_tensor *head = rows->model->output;
    if (stored) {
        bn_parallel(((uint64_t)head->rows * head->cols + STRIPE - 1) / STRIPE, copy_stripes, rows);
        memcpy(rows->info, rows->model->scan_info, head->rows * sizeof(*rows->info));
    } else {
        for_all_rows(rows, make_rows);
    }
    *usable = !rows->bad;
    return rows->no_memory ? bn_fail_memory(err, head->cols * sizeof(float), "a row of the head") : BN_OK;
}

// Fills the buffer where it lies, or, if the host does not reach it, by way of host memory.
static enum bn_result fill_buffer(const struct bn_scan *scan, const struct bn_model *model, struct bn_device *device,
                                  bool stored, bool *usable, struct bn_error *err)
{
    uint64_t bytes = scan->buffer->size;
    uint8_t *own = scan->buffer->host ? NULL : bn_alloc(device->host, bytes);
    uint8_t *base = own ? own : scan->buffer->host;
    if (!base)
        return bn_fail_memory(err, bytes, "the scan copy of the head");
    struct rows rows = {.host = device->host, .model = model};
    rows.q = (int8_t *)(base + scan->rows.offset);
    rows.info = (void *)(base + scan->info.offset);
    enum bn_result result = fill(&rows, stored, usable, err);
    if (result == BN_OK && *usable && own)
        result = bn_buffer_write(device, scan->buffer, 0, own, bytes, err);
    bn_free(device->host, own);
    return result;
}

// Whether the file has a copy, and it is that of the head.
static enum bn_result look_at_stored(const struct bn_model *model, const struct bn_host *host, bool *stored,
                                     struct bn_error *err)
{
    struct rows rows = {.host = host, .model = model};
    *stored = false;
    if (!model->scan_rows)
        return BN_OK;
    for_all_rows(&rows, compare_rows);
    if (rows.no_memory)
        return bn_fail_memory(err, model->output->cols * sizeof(float), "a row of the head");
    *stored = !rows.bad;
    if (rows.bad)
        bn_log(
            host, BN_LOG_WARNING,
            "%s: the scan copy of the head is not that of this head, and another one is made; convert the model again",
            model->map.name);
    return BN_OK;
}

enum bn_result bn_scan_init(struct bn_scan *scan, const struct bn_model *model, struct bn_device *device,
                            const struct bn_placement *placement, bool copy, struct bn_error *err)
{
    const struct bn_tensor *head = model->output;
    const uint8_t *file = model->map.data;
    memset(scan, 0, sizeof(*scan));
    if (!bn_device_supports(device, BN_OP_TOP, placement->head.layout) || head->cols % BN_SCAN_BLOCK)
        return BN_OK;
    bool stored, usable = false;
    enum bn_result result = look_at_stored(model, device->host, &stored, err);
    if (result != BN_OK)
        return result;
    uint64_t bytes = (uint64_t)head->rows * head->cols, info_bytes = head->rows * sizeof(struct bn_scan_row);
    if (stored && !copy && placement->imported && (uint64_t)(model->scan_rows - file) % ALIGNMENT == 0 &&
        (uint64_t)(model->scan_info - file) % ALIGNMENT == 0) {
        scan->rows = (struct bn_span){placement->imported, (uint64_t)(model->scan_rows - file), bytes};
        scan->info = (struct bn_span){placement->imported, (uint64_t)(model->scan_info - file), info_bytes};
        return BN_OK;
    }
    uint64_t info_at = (bytes + 255) / 256 * 256;
    result = bn_buffer_create_local(device, info_at + info_bytes, &scan->buffer, err);
    scan->rows = (struct bn_span){scan->buffer, 0, bytes};
    scan->info = (struct bn_span){scan->buffer, info_at, info_bytes};
    if (result == BN_OK)
        result = fill_buffer(scan, model, device, stored, &usable, err);
    if (result != BN_OK || !usable)
        bn_scan_finish(scan);
    return result;
}

void bn_scan_finish(struct bn_scan *scan)
{
    bn_buffer_destroy(scan->buffer);
    memset(scan, 0, sizeof(*scan));
}
