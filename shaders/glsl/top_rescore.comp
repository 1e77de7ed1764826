#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_TOP, fourth: the candidates' logits, by the head's own function.
#include "common.glsl"
#include "reduce.glsl"
#include "floats.glsl"
#include "top.glsl"

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint lane = thread() % LANES;
    bool bad = false;
    for (uint o = gl_WorkGroupID.y; o < n_outputs(); o += gl_NumWorkGroups.y) {
        uint at = (p.slot.w[FIRST_OUTPUT] + o) * p.top_words, n = p.tops.w[at];
        for (uint tile = gl_WorkGroupID.x; tile * GROUPS < n; tile += gl_NumWorkGroups.x) {
            uint i = tile * GROUPS + thread() / LANES;
            uint row = p.tops.w[at + 3 + 2 * min(i, n - 1)];
            float sum = dot_row(p.w, row, Vectors(p.in_), o * (p.cols / 4), p.cols, lane);
            if (lane == 0 && i < n)
                p.tops.w[at + 2 + 2 * i] = floatBitsToUint(sum);
            bad = bad || not_finite(sum);
        }
    }
    if (bad)
        report_not_finite(p.slot, p.op);
}
