// BN_OP_EMBED: rows of float weights, widened exactly, then times a scale unless that is 0.
#include "common.h"

#define LAYOUT ((uint)C1)

FUNCTION float scaled(float x, float scale)
{
    return scale != 0.0f ? x * scale : x;
}

KERNEL embed(SPAN(uint, slot), SPAN(uint, table), SPAN(float, x), uint op, uint cols, float scale)
{
    OPEN(uint, slot);
    OPEN(uint, table);
    OPEN(float, x);
    if (skips(slot, op))
        return;
    uint words = LAYOUT == LAYOUT_F32 ? cols : cols / 2;
    for (uint row = group_x(); row < slot[SLOT_N_ROWS]; row += groups_x()) {
        uint from = row_token(slot, row) * words;
        for (uint i = thread(); i < words; i += THREADS) {
            uint word = table[from + i];
            if (LAYOUT == LAYOUT_F32) {
                x[row * cols + i] = scaled(as_float(word), scale);
                continue;
            }
            float2 pair = widen_pair(word, LAYOUT);
            x[row * cols + 2 * i] = scaled(pair.x, scale);
            x[row * cols + 2 * i + 1] = scaled(pair.y, scale);
        }
    }
}
