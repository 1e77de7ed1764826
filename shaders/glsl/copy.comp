#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_COPY: bytes. Spans begin at multiples of 4; the last word keeps what lies behind the span.
#include "common.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot, from, to;
    uint op, bytes;
} p;

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint i = gl_GlobalInvocationID.x; i < p.bytes / 4; i += gl_NumWorkGroups.x * THREADS)
        p.to.w[i] = p.from.w[i];
    uint rest = p.bytes % 4, last = p.bytes / 4;
    if (rest != 0 && gl_GlobalInvocationID.x == 0)
        p.to.w[last] = bitfieldInsert(p.to.w[last], p.from.w[last], 0, int(rest) * 8);
}
