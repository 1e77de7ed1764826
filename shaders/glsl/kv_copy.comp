#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_KV_COPY: whole pages of the KV pool.
#include "common.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot;
    Quads kv;
    uint op, page_quads;
} p;

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint c = 0; c < p.slot.w[N_COPIES]; c++) {
        uint at = p.slot.w[COPY_AT] / 4 + c * 2;
        uint from = p.slot.w[at] * p.page_quads, to = p.slot.w[at + 1] * p.page_quads;
        for (uint i = gl_GlobalInvocationID.x; i < p.page_quads; i += gl_NumWorkGroups.x * THREADS)
            p.kv.q[to + i] = p.kv.q[from + i];
    }
}
