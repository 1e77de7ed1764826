#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_HEAD: logits of all rows; and for BN_OP_TOP, those of the outputs that had too many candidates.
#include "common.glsl"
#include "reduce.glsl"
#include "floats.glsl"

layout(constant_id = 3) const uint OF_TOP = 0;

layout(push_constant, std430) uniform Push
{
    Words slot;
    Quads w;
    Vectors x;
    Floats logits;
    Words tops;
    uint op, rows, cols, top_words;
} p;

void main()
{
    if (skips(p.slot, p.op) || (p.slot.w[TOP] != 0) != (OF_TOP != 0))
        return;
    uint lane = thread() % LANES, first = p.slot.w[FIRST_OUTPUT];
    bool bad = false;
    for (uint o = gl_WorkGroupID.y; o < p.slot.w[N_OUTPUTS]; o += gl_NumWorkGroups.y) {
        if (OF_TOP != 0 && p.tops.w[(first + o) * p.top_words] != 0)
            continue;
        for (uint tile = gl_WorkGroupID.x; tile * GROUPS < p.rows; tile += gl_NumWorkGroups.x) {
            uint r = tile * GROUPS + thread() / LANES;
            float sum = dot_row(p.w, min(r, p.rows - 1), p.x, o * (p.cols / 4), p.cols, lane);
            if (lane == 0 && r < p.rows)
                p.logits.f[(first + o) * p.rows + r] = sum;
            bad = bad || not_finite(sum);
        }
    }
    if (bad)
        report_not_finite(p.slot, p.op);
}
