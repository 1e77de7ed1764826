// BN_OP_NORM_ROWS: a group per row, whose elements each work-item reads before it writes them.
#include "common.h"
#include "reduce.h"
#include "rms.h"

KERNEL row_norm(SPAN(uint, slot), SPAN(float4, x), SPAN(float4, weight), SPAN(float4, add), SPAN(float4, y), uint op,
                uint cols, uint has_add, float eps)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(float4, x);
    OPEN(float4, weight);
    OPEN(float4, add);
    OPEN(float4, y);
    if (skips(slot, op))
        return;
    for (uint row = group_x(); row < slot[SLOT_N_ROWS]; row += groups_x()) {
        uint first = row * (cols / 4);
        float inverse = inverse_rms(s, x + first, cols, eps);
        bool bad = not_finite(inverse);
        for (uint i = thread(); i < cols / 4; i += THREADS) {
            float4 v = normed(x[first + i], weight[i], inverse);
            bad = bad || not_finite(v.x) || not_finite(v.y) || not_finite(v.z) || not_finite(v.w);
            if (has_add != 0)
                v += add[first + i];
            y[first + i] = v;
        }
        if (bad)
            report_not_finite(slot, op);
    }
}
