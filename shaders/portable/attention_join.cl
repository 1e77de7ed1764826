// BN_OP_ATTENTION, second, where the context was split: the parts of a row and head, each with a maximum of its own.
#include "common.h"

#ifdef C1 // as in attention.cl
#define SHAPE
#define HEAD_DIM ((uint)C1)
#define SPLITS ((uint)C2)
#else
#define SHAPE , uint head_dim, uint splits
#define HEAD_DIM head_dim
#define SPLITS splits
#endif
#define PART (HEAD_DIM + 4) // floats: maximum, denominator, two unused, totals

// What a part counts for. One beyond the row's context has the maximum of nothing, and a denominator of 0.
FUNCTION float weight(GLOBAL const float *part, float highest)
{
    return part[0] == highest ? 1.0f : exp_own(part[0] - highest);
}

KERNEL attention_join(SPAN(uint, slot), SPAN(float, parts), SPAN(float, out), uint op, uint heads SHAPE)
{
    OPEN(uint, slot);
    OPEN(float, parts);
    OPEN(float, out);
    if (skips(slot, op))
        return;
    for (uint row = group_y(); row < slot[SLOT_N_ROWS]; row += groups_y())
        for (uint head = group_x(); head < heads; head += groups_x()) {
            uint at = row * heads + head;
            GLOBAL const float *first = parts + at * SPLITS * PART;
            float highest = first[0], denominator = 0.0f;
            for (uint s = 1; s < SPLITS; s++)
                highest = most_float(highest, first[s * PART]);
            for (uint s = 0; s < SPLITS; s++)
                denominator = fma1(weight(first + s * PART, highest), first[s * PART + 1], denominator);
            for (uint i = thread(); i < HEAD_DIM; i += THREADS) {
                float total = 0.0f;
                for (uint s = 0; s < SPLITS; s++)
                    total = fma1(weight(first + s * PART, highest), first[s * PART + 4 + i], total);
                out[at * HEAD_DIM + i] = total / denominator;
            }
        }
}
