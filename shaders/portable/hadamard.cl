// BN_OP_ROTATE: a group per row and block, level by level in the order of docs/numerics.md, so with the CPU's bits.
#include "common.h"

#ifdef C1 // the size of a block is known
#define SHAPE
#define BLOCK ((uint)C1)
#define SHARED_FLOATS C1
#else
#define SHAPE , uint block
#define BLOCK block
#define SHARED_FLOATS MOST_SHARED_BLOCK
#endif

KERNEL hadamard(SPAN(uint, slot), SPAN(float, x), SPAN(float, before), SPAN(float, after), SPAN(float, y), uint op,
              uint cols, uint flags, float factor SHAPE)
{
    LOCAL float s_x[SHARED_FLOATS];
    OPEN(uint, slot);
    OPEN(float, x);
    OPEN(float, before);
    OPEN(float, after);
    OPEN(float, y);
    if (skips(slot, op))
        return;
    uint rows = (flags & ROTATE_OUTPUTS) != 0 ? slot[SLOT_N_OUTPUTS] : slot[SLOT_N_ROWS];
    for (uint row = group_y(); row < rows; row += groups_y())
        for (uint first = group_x() * BLOCK; first < cols; first += groups_x() * BLOCK) {
            uint at = row * cols + first;
            meet();
            for (uint i = thread(); i < BLOCK; i += THREADS)
                s_x[i] = (flags & ROTATE_BEFORE) != 0 ? x[at + i] * before[first + i] : x[at + i];
            for (uint n = 1; n < BLOCK; n *= 2) {
                meet();
                for (uint j = thread(); j < BLOCK / 2; j += THREADS) {
                    uint i = j / n * 2 * n + j % n;
                    float low = s_x[i], high = s_x[i + n];
                    s_x[i] = low + high;
                    s_x[i + n] = low - high;
                }
            }
            meet();
            for (uint i = thread(); i < BLOCK; i += THREADS) {
                float v = s_x[i] * factor;
                y[at + i] = (flags & ROTATE_AFTER) != 0 ? v * after[first + i] : v;
            }
        }
}
