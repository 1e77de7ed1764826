#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_ACTIVATE: element by element.
#include "common.glsl"
#include "activate.glsl"

layout(constant_id = 1) const uint FLAGS = 0;

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors gate, up, y;
    uint op, cols;
} p;

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint n = p.slot.w[N_ROWS] * (p.cols / 4);
    for (uint i = gl_GlobalInvocationID.x; i < n; i += gl_NumWorkGroups.x * THREADS) {
        vec4 g = p.gate.v[i];
        precise vec4 y = vec4(activated(FLAGS, g.x), activated(FLAGS, g.y), activated(FLAGS, g.z), activated(FLAGS, g.w)) *
                         p.up.v[i];
        p.y.v[i] = y;
    }
}
