#include "devices/common/ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahead_table.inl"
#include "runtime/base/fail.h"
#include "shaders/constants.h"

// Constants as bits: those whose values are part of the name, and those that are parameters. Processors that it is for, "": all.
static const struct row {
    const char *name;
    uint8_t named, passed;
    const char *processors;
} table[] = {BN_AHEAD_TABLE};

// How well a kernel for these processors is for this one: 0 not at all. Code for one of NVIDIA's runs on later ones.
static unsigned long fit(const char *processors, const char *isa)
{
    static const char nvidia[] = "sm_";
    size_t n = strlen(isa), prefix = sizeof(nvidia) - 1;
    for (const char *at = processors; *at; at += strcspn(at, " "), at += *at == ' ') {
        if (strncmp(at, nvidia, prefix) != 0 || strncmp(isa, nvidia, prefix) != 0) {
            if (strcspn(at, " ") == n && memcmp(at, isa, n) == 0)
                return 1;
            continue;
        }
        unsigned long from = strtoul(at + prefix, NULL, 10);
        if (from <= strtoul(isa + prefix, NULL, 10))
            return from;
    }
    return 0;
}

const char *bn_ahead_matrices(const char *isa)
{
    const char *best = NULL;
    unsigned long best_fit = 0;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (fit(table[i].processors, isa) > best_fit) {
            best_fit = fit(table[i].processors, isa);
            best = table[i].name;
        }
    return best;
}

uint32_t bn_ahead_variant(const struct bn_dispatch *dispatch, const char *matrices, char *name, uint32_t *shape)
{
    bool replaced = matrices && dispatch->kernel == BN_KERNEL_TERNARY_TILED;
    const char *kernel = replaced ? matrices : bn_kernel_infos[dispatch->kernel].name;
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
