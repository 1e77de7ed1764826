#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_QUANTISE, BN_OP_QUANTISE16: a workgroup per row.
#include "common.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint PLANES = 1;

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors x, norm;
    Words q, scales;
    uint op, cols, has_norm;
    float eps;
} p;

#include "quantise.glsl"
#define RANGE (PLANES == 2 ? 32639.0 : 127.0)

// Rows of int8 are whole blocks of 128; what is behind the columns is 0.
uint stride()
{
    return (p.cols + 127) / 128 * 32;
}

void store(uint plane_row, uint i, ivec4 q)
{
    p.q.w[plane_row * stride() + i] = pack_int8(q);
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint row = gl_WorkGroupID.x; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.x) {
        Row r = Row(p.x, p.norm, p.has_norm != 0, row * (p.cols / 4), 0.0, 0.0);
        bool finite = scale_row(r, p.cols, p.eps, RANGE);
        int sum = 0, low_sum = 0;
        for (uint i = thread(); i < stride(); i += THREADS) {
            ivec4 q = finite && i < p.cols / 4 ? quantised(r, i, RANGE) : ivec4(0);
            ivec4 low = ivec4(0);
            if (PLANES == 2) {
                low = q - (q + 128 >> 8) * 256;
                q = q + 128 >> 8;
                store(row * 2 + 1, i, low);
            }
            store(row * PLANES, i, q);
            sum += sum_of(q);
            low_sum += sum_of(low);
        }
        sum = reduce_add(sum);
        if (PLANES == 2)
            low_sum = reduce_add(low_sum);
        if (thread() != 0)
            continue;
        if (!finite)
            report_not_finite(p.slot, p.op);
        for (uint plane = 0; plane < PLANES; plane++) {
            p.scales.w[(row * PLANES + plane) * 2] = floatBitsToUint(r.scale);
            p.scales.w[(row * PLANES + plane) * 2 + 1] = uint(plane == 0 ? sum : low_sum);
        }
    }
}
