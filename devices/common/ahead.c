#include "devices/common/ahead.h"

#include <stdio.h>
#include <string.h>

#include "ahead_table.inl"
#include "runtime/base/fail.h"
#include "shaders/constants.h"

// Constants as bits: those whose values are part of the name, and those that are parameters.
static const struct row {
    const char *name;
    uint8_t named, passed;
} table[] = {BN_AHEAD_TABLE};

uint32_t bn_ahead_variant(const struct bn_dispatch *dispatch, char *name, uint32_t *shape)
{
    const char *kernel = bn_kernel_infos[dispatch->kernel].name;
    uint32_t n_shape = 0;
    int n = snprintf(name, BN_AHEAD_NAME, "%s", kernel);
    const struct row *row = table, *end = table + sizeof(table) / sizeof(table[0]);
    while (row < end && strcmp(row->name, kernel) != 0)
        row++;
    for (int i = 1; i < BN_MAX_CONSTANTS && row < end; i++) {
        if (row->named >> i & 1)
            n += snprintf(name + n, BN_AHEAD_NAME - (size_t)n, "_%u", dispatch->constants[i]);
        if (row->passed >> i & 1)
            shape[n_shape++] = dispatch->constants[i];
    }
    return n_shape;
}

enum bn_result bn_ahead_check(const struct bn_lower_target *target, const struct bn_op *op, struct bn_error *err)
{
    bool fits = (op->kind != BN_OP_ATTENTION || op->head_dim <= MOST_HEAD_DIM) &&
                (op->kind != BN_OP_ROTATE || op->block <= MOST_SHARED_BLOCK);
    return fits ? BN_OK
                : bn_fail_at(err, BN_ERR_UNSUPPORTED, target->id, bn_op_name(op->kind), UINT64_MAX,
                             "this driver has kernels for heads of %u features and blocks of %u at most", MOST_HEAD_DIM,
                             MOST_SHARED_BLOCK);
}

uint32_t bn_ahead_shared_bytes(void)
{
    return MOST_SHARED_COLS + 2048;
}
