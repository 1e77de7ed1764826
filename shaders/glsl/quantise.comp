#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_QUANTISE: a workgroup per row.
#include "common.glsl"
#include "reduce.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors x, norm;
    Words q, scales;
    uint op, cols, has_norm;
    float eps;
} p;

uint row;
#include "quantise.glsl"
// Rows of int8 are whole blocks of 128; what is behind the columns is 0.
uint stride()
{
    return (p.cols + 127) / 128 * 32;
}

#define STORE(i, word) p.q.w[row * stride() + i] = word
DEFINE_QUANTISE(quantise_row, STORE)

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (row = gl_WorkGroupID.x; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.x) {
        float scale;
        int sum;
        bool finite =
            quantise_row(p.x, p.norm, p.has_norm != 0, row * (p.cols / 4), p.cols, p.eps, scale, sum);
        for (uint i = p.cols / 4 + thread(); i < stride(); i += THREADS)
            STORE(i, 0);
        if (thread() == 0 && finite) {
            p.scales.w[row * 2] = floatBitsToUint(scale);
            p.scales.w[row * 2 + 1] = uint(sum);
        } else if (thread() == 0) {
            report_not_finite(p.slot, p.op);
        }
    }
}
