// BN_OP_QUANTISE: a group per row.
#include "common.h"
#include "reduce.h"
#include "quantise.h"

DEFINE_QUANTISE(quantise_row, GLOBAL)

KERNEL quantise(SPAN(uint, slot), SPAN(float4, x), SPAN(float4, norm), SPAN(uint, q), SPAN(uint, scales), uint op,
                uint cols, uint has_norm, float eps)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(float4, x);
    OPEN(float4, norm);
    OPEN(uint, q);
    OPEN(uint, scales);
    if (skips(slot, op))
        return;
    // Rows of int8 are whole blocks of 128; what is behind the columns is 0.
    uint padded = (cols + 127) / 128 * 128;
    for (uint row = group_x(); row < slot[SLOT_N_ROWS]; row += groups_x()) {
        struct row_input in = {x + row * (cols / 4), norm, has_norm != 0, 0.0f};
        float scale = 0.0f;
        int sum = 0;
        bool finite = quantise_row(s, &in, cols, padded, eps, q + row * (padded / 4), &scale, &sum);
        if (thread() == 0 && finite) {
            scales[row * 2] = as_uint(scale);
            scales[row * 2 + 1] = (uint)sum;
        } else if (thread() == 0) {
            report_not_finite(slot, op);
        }
    }
}
