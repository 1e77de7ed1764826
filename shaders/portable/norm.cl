// BN_OP_NORM: a group per output.
#include "common.h"
#include "reduce.h"
#include "rms.h"

KERNEL norm(SPAN(uint, slot), SPAN(float4, x), SPAN(float4, weight), SPAN(float4, y), uint op, uint cols, float eps)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(float4, x);
    OPEN(float4, weight);
    OPEN(float4, y);
    if (skips(slot, op))
        return;
    for (uint o = group_x(); o < slot[SLOT_N_OUTPUTS]; o += groups_x()) {
        GLOBAL const float4 *row = x + slot[slot[SLOT_OUTPUT_AT] / 4 + o] * (cols / 4);
        float inverse = inverse_rms(s, row, cols, eps);
        bool bad = not_finite(inverse);
        for (uint i = thread(); i < cols / 4; i += THREADS) {
            float4 v = normed(row[i], weight[i], inverse);
            bad = bad || not_finite(v.x) || not_finite(v.y) || not_finite(v.z) || not_finite(v.w);
            y[o * (cols / 4) + i] = v;
        }
        if (bad)
            report_not_finite(slot, op);
    }
}
