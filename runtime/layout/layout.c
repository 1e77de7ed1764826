#include "runtime/layout/layout.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/layout/formats.h"

#define BN_LAYOUT_ROW(id, label, class, scale_reach, group_, home_, cols_, rows_, bytes_, ...)                         \
    [BN_LAYOUT_##id] = {                                                                                               \
        .layout = BN_LAYOUT_##id,                                                                                      \
        .name = label,                                                                                                 \
        .kind = BN_LAYOUT_##class,                                                                                     \
        .reach = BN_SCALE_##scale_reach,                                                                               \
        .group = group_,                                                                                               \
        .home = BN_HOME_##home_,                                                                                       \
        .block_cols = cols_,                                                                                           \
        .block_rows = rows_,                                                                                           \
        .block_bytes = bytes_,                                                                                         \
        __VA_ARGS__,                                                                                                   \
    },
static const struct bn_layout_info layouts[] = {
#include "runtime/layout/layouts.inl"
};
#undef BN_LAYOUT_ROW

// The table and the public enumeration have the same rows in the same order.
#define BN_LAYOUT_ROW(id, ...) ROW_##id,
enum {
#include "runtime/layout/layouts.inl"
    ROW_COUNT
};
#undef BN_LAYOUT_ROW
#define BN_LAYOUT_ROW(id, ...) static_assert((int)ROW_##id == (int)BN_LAYOUT_##id, "order of layouts.inl: " #id);
#include "runtime/layout/layouts.inl"
#undef BN_LAYOUT_ROW
static_assert((int)ROW_COUNT == (int)BN_LAYOUT_COUNT, "layouts.inl lacks a row of enum bn_layout");

const struct bn_layout_info *bn_layout_get(enum bn_layout layout)
{
    return (unsigned)layout < BN_LAYOUT_COUNT ? &layouts[layout] : NULL;
}

uint64_t bn_layout_bytes(enum bn_layout layout, uint64_t rows, uint64_t cols)
{
    const struct bn_layout_info *info = bn_layout_get(layout);
    if (!info || rows % info->block_rows || (cols % info->block_cols && !info->padded))
        return 0;
    if (info->bytes)
        return info->bytes(rows, cols);
    uint64_t blocks, bytes;
    if (__builtin_mul_overflow(rows / info->block_rows, cols / info->block_cols + (cols % info->block_cols != 0),
                               &blocks) ||
        __builtin_mul_overflow(blocks, info->block_bytes, &bytes))
        return 0;
    return bytes;
}

uint64_t bn_layout_groups(const struct bn_layout_info *info, uint64_t cols)
{
    return info->reach == BN_SCALE_GROUP ? cols / info->group + (cols % info->group != 0) : 1;
}

uint64_t bn_layout_scales(enum bn_layout layout, uint64_t cols)
{
    const struct bn_layout_info *info = bn_layout_get(layout);
    return info && info->home == BN_HOME_APART ? bn_layout_groups(info, cols) : 0;
}

const char *bn_layout_name(enum bn_layout layout)
{
    const struct bn_layout_info *info = bn_layout_get(layout);
    return info ? info->name : NULL;
}

bool bn_layout_keeps(enum bn_layout from, enum bn_layout to)
{
    const struct bn_layout_info *in = bn_layout_get(from), *out = bn_layout_get(to);
    if (from == to)
        return true;
    if (to == BN_LAYOUT_F32) // holds the values of all others exactly
        return true;
    if (in->kind != BN_LAYOUT_TERNARY || out->kind != BN_LAYOUT_TERNARY || out->home == BN_HOME_F16)
        return false;
    // The reaches go from wide to narrow, and a narrower scale can stand for a wider one.
    return out->reach > in->reach || (out->reach == in->reach && (in->group == 0 || in->group % out->group == 0));
}

enum bn_result bn_layout_pack(enum bn_layout layout, const int8_t *trits, uint64_t rows, uint64_t cols, void *data,
                              struct bn_error *err)
{
    const struct bn_layout_info *info = bn_layout_get(layout);
    if (!trits || !data || !info || info->kind != BN_LAYOUT_TERNARY)
        return bn_fail(err, BN_ERR_ARGUMENT, "trits or data is NULL, or the layout is not ternary");
    if (bn_layout_bytes(layout, rows, cols) == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "layout %s cannot hold %" PRIu64 " x %" PRIu64, info->name, rows, cols);
    for (uint64_t i = 0; i < rows * cols; i++)
        if (trits[i] < -1 || trits[i] > 1)
            return bn_fail(err, BN_ERR_ARGUMENT, "%d at element %" PRIu64 " is not -1, 0 or +1", trits[i], i);
    info->pack(trits, rows, cols, 0, rows, data);
    for (uint64_t r = 0; info->set_scale && r < rows; r++)
        for (uint64_t g = 0; g < bn_layout_groups(info, cols); g++)
            info->set_scale(data, rows, cols, r, g, 1);
    return BN_OK;
}

float bn_matrix_scale(const struct bn_matrix *matrix, uint64_t r, uint64_t g)
{
    const struct bn_layout_info *info = bn_layout_get(matrix->layout);
    if (info->home == BN_HOME_APART)
        return matrix->scales[r * bn_layout_groups(info, matrix->cols) + g];
    return info->scale_at ? info->scale_at(matrix->data, matrix->rows, matrix->cols, r, g) : 1;
}

void bn_matrix_widen(const struct bn_matrix *matrix, uint64_t r, float *out)
{
    const struct bn_layout_info *info = bn_layout_get(matrix->layout);
    uint64_t cols = matrix->cols, reach = info->reach == BN_SCALE_GROUP ? info->group : cols;
    if (info->widen) {
        info->widen(matrix->data, cols, r, out);
        return;
    }
    // The trits lie in the last quarter of the floats, which overtake them at the end only.
    int8_t *trits = (int8_t *)out + 3 * cols;
    info->unpack(matrix->data, matrix->rows, cols, r, r + 1, trits);
    for (uint64_t g = 0, c = 0; c < cols; g++) {
        float scale = bn_matrix_scale(matrix, r, g) * matrix->scale;
        for (uint64_t end = cols - c < reach ? cols : c + reach; c < end; c++) {
            float weight = (float)trits[c] * scale;
            memcpy(&out[c], &weight, sizeof(weight));
        }
    }
}

struct bn_scales bn_matrix_scales(const struct bn_matrix *matrix)
{
    const struct bn_layout_info *info = bn_layout_get(matrix->layout);
    struct bn_scales scales = {.finite = isfinite(matrix->scale), .one = true, .scale = 1};
    if (info->home == BN_HOME_NONE)
        return scales;
    scales.scale = 0;
    uint64_t groups = bn_layout_groups(info, matrix->cols);
    for (uint64_t r = 0; r < matrix->rows; r++) {
        for (uint64_t g = 0; g < groups; g++) {
            float scale = bn_matrix_scale(matrix, r, g);
            scales.finite = scales.finite && isfinite(scale);
            scales.one = scales.one && (scale == 0 || scales.scale == 0 || scale == scales.scale);
            if (scale != 0)
                scales.scale = scale;
        }
    }
    return scales;
}
