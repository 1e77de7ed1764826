// BN_OP_EMBED: rows of float weights, widened exactly.
#include "common.h"

#define LAYOUT ((uint)C1)

KERNEL embed(SPAN(uint, slot), SPAN(uint, table), SPAN(float, x), uint op, uint cols)
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
                x[row * cols + i] = as_float(word);
                continue;
            }
            float2 pair = widen_pair(word, LAYOUT);
            x[row * cols + 2 * i] = pair.x;
            x[row * cols + 2 * i + 1] = pair.y;
        }
    }
}
