// BN_OP_ACTIVATE: element by element.
#include "common.h"
#include "activate.h"

#define FLAGS ((uint)C1)

KERNEL activate(SPAN(uint, slot), SPAN(float4, gate), SPAN(float4, up), SPAN(float4, y), uint op, uint cols)
{
    OPEN(uint, slot);
    OPEN(float4, gate);
    OPEN(float4, up);
    OPEN(float4, y);
    if (skips(slot, op))
        return;
    uint n = slot[SLOT_N_ROWS] * (cols / 4);
    for (uint i = group_x() * THREADS + thread(); i < n; i += groups_x() * THREADS) {
        float4 g = gate[i];
        y[i] = (float4)(activated(FLAGS, g.x), activated(FLAGS, g.y), activated(FLAGS, g.z), activated(FLAGS, g.w)) *
               up[i];
    }
}
