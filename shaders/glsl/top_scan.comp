#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_TOP, second: the product of every row of the scan copy with both planes.
#include "common.glsl"
#include "dot.glsl"
#include "reduce.glsl"
#include "top.glsl"

layout(constant_id = 1) const uint LANES = 8;
const uint GROUPS = THREADS / LANES;

#ifdef SUBGROUP
ivec2 sum_lanes(ivec2 v)
{
    for (uint n = LANES / 2; n > 0; n /= 2)
        v += subgroupShuffleXor(v, n);
    return v;
}
#else
shared ivec2 s_lanes[THREADS];
ivec2 sum_lanes(ivec2 v)
{
    barrier();
    s_lanes[thread()] = v;
    barrier();
    if (thread() % LANES == 0)
        for (uint i = 1; i < LANES; i++)
            v += s_lanes[thread() + i];
    return v;
}
#endif

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint lane = thread() % LANES, quads = p.cols / 16;
    for (uint o = 0; o < n_outputs(); o++) {
        float unit = temporary_float(output_at(o) + UNIT);
        for (uint tile = gl_WorkGroupID.x; tile * GROUPS < p.rows; tile += gl_NumWorkGroups.x) {
            uint row = tile * GROUPS + thread() / LANES, at = min(row, p.rows - 1) * quads;
            ivec2 sums = ivec2(0);
            for (uint i = lane; i < quads; i += LANES) {
                uvec4 w = p.copy.q[at + i];
                [[unroll]] for (uint c = 0; c < 4; c++)
                {
                    uint plane = planes_at(o) + i * 4 + c;
                    sums.x += DOT8(p.temporary.w[plane], w[c]);
                    sums.y += DOT8(p.temporary.w[plane + p.cols / 4], w[c]);
                }
            }
            sums = sum_lanes(sums);
            if (lane == 0 && row < p.rows)
                p.temporary.w[products_at(o) + row] =
                    floatBitsToUint((float(sums.x) + float(sums.y) * (1.0 / 254.0)) *
                                    (uintBitsToFloat(p.info.w[row * 3]) * unit));
        }
    }
}
