#include "runtime/layout/layout.h"

#include <assert.h>
#include <inttypes.h>

#include "runtime/base/fail.h"
#include "runtime/layout/formats.h"

#define BN_LAYOUT_ROW(id, label, class, scale_reach, cols_, rows_, bytes_, unpack_, pack_, widen_)                     \
    [BN_LAYOUT_##id] = {                                                                                               \
        .layout = BN_LAYOUT_##id,                                                                                      \
        .name = label,                                                                                                 \
        .kind = BN_LAYOUT_##class,                                                                                     \
        .reach = BN_SCALE_##scale_reach,                                                                               \
        .block_cols = cols_,                                                                                           \
        .block_rows = rows_,                                                                                           \
        .block_bytes = bytes_,                                                                                         \
        .unpack = unpack_,                                                                                             \
        .pack = pack_,                                                                                                 \
        .widen = widen_,                                                                                               \
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
    if (!info || rows % info->block_rows || cols % info->block_cols)
        return 0;
    uint64_t blocks, bytes;
    if (__builtin_mul_overflow(rows / info->block_rows, cols / info->block_cols, &blocks) ||
        __builtin_mul_overflow(blocks, info->block_bytes, &bytes))
        return 0;
    return bytes;
}

const char *bn_layout_name(enum bn_layout layout)
{
    const struct bn_layout_info *info = bn_layout_get(layout);
    return info ? info->name : NULL;
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
    info->pack(trits, rows, cols, data);
    return BN_OK;
}
