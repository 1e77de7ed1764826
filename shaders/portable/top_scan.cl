// BN_OP_TOP, second: the product of every row of the scan copy with both planes.
#include "common.h"
#include "reduce.h"
#include "top.h"

#define LANES ((uint)C1)
#define GROUPS (THREADS / LANES)

DEFINE_SUM_LANES(sum_lanes, int)

FUNCTION int dot16(GLOBAL const uint *x, uint4 w, int sum)
{
    sum = dot8(x[0], w.x, sum);
    sum = dot8(x[1], w.y, sum);
    sum = dot8(x[2], w.z, sum);
    return dot8(x[3], w.w, sum);
}

KERNEL top_scan(TOP_PARAMETERS)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(uint, temporary);
    OPEN(uint4, copy);
    OPEN(float, info);
    if (skips(slot, op))
        return;
    uint lane = thread() % LANES, quads = cols / 16;
    for (uint o = 0; o < n_outputs(slot); o++) {
        GLOBAL const uint *planes = temporary + planes_at(o, rows, cols);
        float unit = as_float(temporary[output_at(o, rows, cols) + TOP_UNIT]);
        for (uint tile = group_x(); tile * GROUPS < rows; tile += groups_x()) {
            uint row = tile * GROUPS + thread() / LANES;
            GLOBAL const uint4 *w = copy + least(row, rows - 1) * quads;
            int high = 0, low = 0;
            for (uint i = lane; i < quads; i += LANES) {
                uint4 q = w[i];
                high = dot16(planes + i * 4, q, high);
                low = dot16(planes + cols / 4 + i * 4, q, low);
            }
            high = sum_lanes(s, high, LANES);
            low = sum_lanes(s, low, LANES);
            if (lane == 0 && row < rows)
                temporary[products_at(o, rows, cols) + row] =
                    as_uint(((float)high + (float)low * (1.0f / 254.0f)) * (info[row * 3] * unit));
        }
    }
}
