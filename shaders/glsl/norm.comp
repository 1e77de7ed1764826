#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_NORM: a workgroup per output.
#include "common.glsl"
#include "reduce.glsl"
#include "rms.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors x, norm, y;
    uint op, cols;
    float eps;
} p;

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint o = gl_WorkGroupID.x; o < p.slot.w[N_OUTPUTS]; o += gl_NumWorkGroups.x) {
        uint row = p.slot.w[p.slot.w[OUTPUT_AT] / 4 + o];
        float inverse = inverse_rms(p.x, row * (p.cols / 4), p.cols, p.eps);
        bool bad = not_finite(inverse);
        for (uint i = thread(); i < p.cols / 4; i += THREADS) {
            vec4 y = normed(p.x.v[row * (p.cols / 4) + i], p.norm.v[i], inverse);
            bad = bad || not_finite(y.x) || not_finite(y.y) || not_finite(y.z) || not_finite(y.w);
            p.y.v[o * (p.cols / 4) + i] = y;
        }
        if (bad)
            report_not_finite(p.slot, p.op);
    }
}
