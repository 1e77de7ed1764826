#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_NORM_ROWS: a workgroup per row, whose elements each invocation reads before it writes them.
#include "common.glsl"
#include "reduce.glsl"
#include "rms.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors x, norm, add, y;
    uint op, cols, has_add;
    float eps;
} p;

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint row = gl_WorkGroupID.x; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.x) {
        uint first = row * (p.cols / 4);
        float inverse = inverse_rms(p.x, first, p.cols, p.eps);
        bool bad = not_finite(inverse);
        for (uint i = thread(); i < p.cols / 4; i += THREADS) {
            precise vec4 y = normed(p.x.v[first + i], p.norm.v[i], inverse);
            bad = bad || not_finite(y.x) || not_finite(y.y) || not_finite(y.z) || not_finite(y.w);
            if (p.has_add != 0)
                y += p.add.v[first + i];
            p.y.v[first + i] = y;
        }
        if (bad)
            report_not_finite(p.slot, p.op);
    }
}
