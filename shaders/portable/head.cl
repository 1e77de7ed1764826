// BN_OP_HEAD: logits of all rows; and for BN_OP_TOP, those of the outputs that had too many candidates.
#include "common.h"
#include "reduce.h"
#include "floats.h"

#define LANES ((uint)C1)
#define LAYOUT ((uint)C2)
#define OF_TOP ((uint)C3)
#define GROUPS (THREADS / LANES)

KERNEL head(SPAN(uint, slot), SPAN(uint4, w), SPAN(float4, x), SPAN(float, logits), SPAN(uint, tops), uint op,
            uint rows, uint cols, uint top_words)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(uint4, w);
    OPEN(float4, x);
    OPEN(float, logits);
    OPEN(uint, tops);
    if (skips(slot, op) || (slot[SLOT_TOP] != 0) != (OF_TOP != 0))
        return;
    uint lane = thread() % LANES, first = slot[SLOT_FIRST_OUTPUT];
    bool bad = false;
    for (uint o = group_y(); o < slot[SLOT_N_OUTPUTS]; o += groups_y()) {
        if (OF_TOP != 0 && tops[(first + o) * top_words] != 0)
            continue;
        for (uint tile = group_x(); tile * GROUPS < rows; tile += groups_x()) {
            uint r = tile * GROUPS + thread() / LANES;
            float sum = dot_row(s, w, least(r, rows - 1), x, o * (cols / 4), cols, LANES, LAYOUT);
            if (lane == 0 && r < rows)
                logits[(first + o) * rows + r] = sum;
            bad = bad || (lane == 0 && not_finite(sum));
        }
    }
    if (bad)
        report_not_finite(slot, op);
}
