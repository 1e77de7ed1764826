#include "convert/rows.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

static enum bn_result fail(const struct bn_rows *rows, enum bn_result code, const char *message, struct bn_error *err)
{
    struct bn_str name = {rows->from->name, strlen(rows->from->name)};
    return bn_gguf_fail(&rows->source->checkpoint.gguf, code, &name, rows->from->offset, err, "%s", message);
}

// Floats become trits in the layout that holds them, by the scale of a master or by their own; from there they go on.
static bool needs_trits(const struct bn_rows *rows)
{
    const struct bn_layout_info *info = bn_layout_get(rows->layout);
    bool direct = rows->from->as == BN_LAYOUT_I2S_A && info->reach == BN_SCALE_TENSOR;
    return rows->from->rule != 0 && info->kind == BN_LAYOUT_TERNARY && !direct;
}

static bool whole_floats(const struct bn_layout_info *info)
{
    return info->kind == BN_LAYOUT_FLOAT && info->block_cols == 1;
}

static uint64_t scales_at(const struct bn_rows *rows, uint32_t n)
{
    return (bn_layout_bytes(rows->from->as, n, rows->from->cols) + 63) / 64 * 64;
}

static void enlarge(size_t *bytes, uint64_t needed)
{
    *bytes = needed > *bytes ? (size_t)needed : *bytes;
}

bool bn_rows_add_memory(const struct bn_rows *rows, uint32_t n, struct bn_rows_memory *memory)
{
    const struct bn_layout_info *info = bn_layout_get(rows->from->layout);
    uint32_t cols = rows->from->cols;
    n = n < rows->from->rows ? n : rows->from->rows;
    if (cols > SIZE_MAX / 64 / (n + BN_REPACK_ROWS))
        return false;
    enlarge(&memory->made, bn_layout_bytes(rows->layout, n, cols));
    enlarge(&memory->repack, bn_repack_memory(cols));
    if (rows->turned)
        enlarge(&memory->gathered, whole_floats(info) ? (uint64_t)n * cols * info->block_bytes
                                                      : bn_layout_bytes(BN_LAYOUT_I2S_A, n, cols));
    if (needs_trits(rows))
        enlarge(&memory->trits, scales_at(rows, n) + n * bn_layout_scales(rows->from->as, cols) * sizeof(float));
    return true;
}

enum bn_result bn_rows_reserve(const struct bn_host *host, const struct bn_rows_memory *memory,
                               struct bn_rows_room *room, struct bn_error *err)
{
    *room = (struct bn_rows_room){
        .made = bn_alloc(host, memory->made),
        .gathered = bn_alloc(host, memory->gathered),
        .trits = bn_alloc(host, memory->trits),
        .repack = bn_alloc(host, memory->repack),
    };
    return room->made && room->gathered && room->trits && room->repack
               ? BN_OK
               : bn_fail_memory(err, memory->made + memory->gathered + memory->trits + memory->repack, "a few rows");
}

void bn_rows_free(const struct bn_host *host, struct bn_rows_room *room)
{
    bn_free(host, room->made);
    bn_free(host, room->gathered);
    bn_free(host, room->trits);
    bn_free(host, room->repack);
    memset(room, 0, sizeof(*room));
}

// Rows in the order of the result: *to has the layout of the source, or order A for packed trits.
static enum bn_result gather(const struct bn_rows *rows, uint32_t r0, uint32_t r1, const struct bn_rows_room *room,
                             struct bn_matrix *to, struct bn_error *err)
{
    const struct bn_tensor *from = rows->from;
    const struct bn_layout_info *info = bn_layout_get(from->layout), *order_a = bn_layout_get(BN_LAYOUT_I2S_A);
    to->data = room->gathered;
    to->rows = r1 - r0;
    if (from->rows % rows->source->model->info.head_dim)
        return fail(rows, BN_ERR_MODEL, "its rows are not whole heads", err);
    bool floats = whole_floats(info);
    if (!floats && (info->kind != BN_LAYOUT_TERNARY || info->reach != BN_SCALE_TENSOR))
        return fail(rows, BN_ERR_UNSUPPORTED, "the rows of this layout cannot be put into another order", err);
    to->layout = floats ? from->layout : BN_LAYOUT_I2S_A;
    size_t bytes = (size_t)from->cols * info->block_bytes;
    int8_t *trits = room->repack;
    for (uint32_t r = r0; r < r1; r++) {
        uint32_t source = rows->row(rows->source, r);
        if (floats)
            memcpy(room->gathered + (r - r0) * bytes, from->data + source * bytes, bytes);
        else if (!info->unpack(from->data, from->rows, from->cols, source, source + 1, trits))
            return fail(rows, BN_ERR_MODEL, "a weight has an unused code", err);
        else
            order_a->pack(trits, r1 - r0, from->cols, r - r0, r - r0 + 1, room->gathered);
    }
    return BN_OK;
}

// Floats to trits with their scales: *matrix, `*r0` .. `*r1` of which become the result.
static enum bn_result to_trits(const struct bn_rows *rows, uint32_t *r0, uint32_t *r1, const struct bn_rows_room *room,
                               struct bn_matrix *matrix, struct bn_error *err)
{
    enum bn_layout as = rows->from->as;
    uint32_t n = *r1 - *r0;
    float *scales = (float *)(void *)(room->trits + scales_at(rows, n));
    scales = bn_layout_scales(as, matrix->cols) ? scales : NULL;
    struct bn_repacked trits = {.layout = as, .data = room->trits, .scales = scales};
    enum bn_result result = bn_repack_rows(matrix, *r0, *r1, &trits, BN_REPACK_EXACT, room->repack, err);
    *matrix = (struct bn_matrix){as, n, matrix->cols, room->trits, scales, rows->from->scale};
    *r0 = 0;
    *r1 = n;
    return result;
}

enum bn_result bn_rows_make(const struct bn_rows *rows, uint32_t r0, uint32_t r1, const struct bn_rows_room *room,
                            struct bn_repacked *made, struct bn_error *err)
{
    struct bn_error inner = {0};
    struct bn_matrix from = bn_tensor_matrix(rows->from);
    *made = (struct bn_repacked){.layout = rows->layout, .data = room->made, .scale = from.scale};
    enum bn_result result = BN_OK;
    if (rows->turned) {
        result = gather(rows, r0, r1, room, &from, err);
        r1 -= r0;
        r0 = 0;
    }
    if (result != BN_OK)
        return result;
    if (rows->turned && from.layout == rows->layout) {
        memcpy(room->made, room->gathered, bn_layout_bytes(from.layout, r1, from.cols));
        made->sum.common = 1;
        return BN_OK;
    }
    if (needs_trits(rows))
        result = to_trits(rows, &r0, &r1, room, &from, &inner);
    if (result == BN_OK)
        result = bn_repack_rows(&from, r0, r1, made, rows->loss, room->repack, &inner);
    return result == BN_OK ? BN_OK : fail(rows, result, inner.message, err);
}

float bn_rows_scale(const struct bn_rows *rows, const struct bn_repacked *whole)
{
    // A master's was chosen when it was read.
    return rows->from->rule != 0 && !needs_trits(rows) ? rows->from->scale : whole->scale;
}

enum bn_result bn_rows_join(const struct bn_rows *rows, struct bn_repacked *whole, const struct bn_repacked *next,
                            struct bn_error *err)
{
    struct bn_error inner = {0};
    struct bn_matrix from = bn_tensor_matrix(rows->from);
    if (needs_trits(rows))
        from = (struct bn_matrix){rows->from->as, from.rows, from.cols, NULL, NULL, rows->from->scale};
    enum bn_result result = bn_repack_join(&from, whole, next, rows->loss, &inner);
    return result == BN_OK ? BN_OK : fail(rows, result, inner.message, err);
}
