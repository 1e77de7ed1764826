#include <inttypes.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

// Rows unpacked at a time: a multiple of every layout's block_rows, few enough to stay in the cache.
#define STRIPE 16

enum bn_result bn_repack(const struct bn_host *host, enum bn_layout from, const uint8_t *source, enum bn_layout to,
                         uint8_t *target, uint64_t rows, uint64_t cols, struct bn_error *err)
{
    const struct bn_layout_info *in = bn_layout_get(from), *out = bn_layout_get(to);
    if (!in || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "unknown layout");
    if (in->kind != BN_LAYOUT_TERNARY || out->kind != BN_LAYOUT_TERNARY)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "%s cannot be repacked as %s: both must be ternary", in->name,
                       out->name);
    if (!bn_layout_bytes(from, rows, cols) || !bn_layout_bytes(to, rows, cols))
        return bn_fail(err, BN_ERR_UNSUPPORTED,
                       "a matrix of %" PRIu64 " rows and %" PRIu64 " columns cannot be repacked from %s to %s", rows,
                       cols, in->name, out->name);
    int8_t *trits = bn_alloc_array(host, STRIPE, cols);
    if (!trits)
        return bn_fail_memory(err, STRIPE * cols, "repacking weights");
    enum bn_result result = BN_OK;
    for (uint64_t r0 = 0; r0 < rows && result == BN_OK; r0 += STRIPE) {
        uint64_t n = rows - r0 < STRIPE ? rows - r0 : STRIPE;
        if (!in->unpack(source, rows, cols, r0, r0 + n, trits))
            result = bn_fail(err, BN_ERR_MODEL, "a weight in rows %" PRIu64 " to %" PRIu64 " has the unused code 3", r0,
                             r0 + n - 1);
        else
            out->pack(trits, n, cols, target + r0 / out->block_rows * (cols / out->block_cols) * out->block_bytes);
    }
    bn_free(host, trits);
    return result;
}
