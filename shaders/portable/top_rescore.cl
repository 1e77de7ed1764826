// BN_OP_TOP, fourth: the candidates' logits, by the head's own function.
#include "common.h"
#include "reduce.h"
#include "floats.h"
#include "top.h"

#define LANES ((uint)C1)
#define LAYOUT ((uint)C2)
#define GROUPS (THREADS / LANES)

KERNEL top_rescore(TOP_PARAMETERS)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(float, in);
    OPEN(uint, tops);
    OPEN(uint4, w);
    if (skips(slot, op))
        return;
    uint lane = thread() % LANES;
    bool bad = false;
    for (uint o = group_y(); o < n_outputs(slot); o += groups_y()) {
        GLOBAL uint *candidates = tops + (slot[SLOT_FIRST_OUTPUT] + o) * top_words + 2;
        uint n = candidates[-2];
        for (uint tile = group_x(); tile * GROUPS < n; tile += groups_x()) {
            uint i = tile * GROUPS + thread() / LANES;
            uint row = candidates[1 + 2 * least(i, n - 1)];
            float sum = dot_row(s, w, row, (GLOBAL const float4 *)in, o * (cols / 4), cols, LANES, LAYOUT);
            if (lane == 0 && i < n)
                candidates[2 * i] = as_uint(sum);
            bad = bad || (lane == 0 && not_finite(sum));
        }
    }
    if (bad)
        report_not_finite(slot, op);
}
