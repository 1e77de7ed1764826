// BN_OP_QUANTISE, BN_OP_QUANTISE16: a group per row.
#include "common.h"
#include "reduce.h"
#include "quantise.h"

#define PLANES ((uint)C1)
#define RANGE (PLANES == 2 ? 32639.0f : 127.0f)

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
    uint stride = (cols + 127) / 128 * 32;
    for (uint row = group_x(); row < slot[SLOT_N_ROWS]; row += groups_x()) {
        struct row_input in = {x + row * (cols / 4), norm, has_norm != 0, 0.0f, 0.0f};
        bool finite = scale_row(s, &in, cols, eps, RANGE);
        GLOBAL uint *out = q + row * PLANES * stride;
        int sum = 0, low_sum = 0;
        for (uint i = thread(); i < stride; i += THREADS) {
            int4 v = finite && i < cols / 4 ? quantised(&in, i, RANGE) : (int4)(0);
            if (PLANES == 2) {
                int4 high = (v + 128) >> 8, low = v - high * 256;
                out[stride + i] = pack_int8(low);
                low_sum += sum_of(low);
                v = high;
            }
            out[i] = pack_int8(v);
            sum += sum_of(v);
        }
        sum = reduce_add_int(s, sum);
        if (PLANES == 2)
            low_sum = reduce_add_int(s, low_sum);
        if (thread() != 0)
            continue;
        if (!finite)
            report_not_finite(slot, op);
        for (uint plane = 0; plane < PLANES; plane++) {
            scales[(row * PLANES + plane) * 2] = as_uint(in.scale);
            scales[(row * PLANES + plane) * 2 + 1] = (uint)(plane == 0 ? sum : low_sum);
        }
    }
}
