#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_ATTENTION, second, where the context was split: the parts of a row and head, each with a maximum of its own.
#include "common.glsl"

layout(constant_id = 1) const uint HEAD_DIM = 16;
layout(constant_id = 2) const uint SPLITS = 2;
const uint PART = HEAD_DIM + 4; // floats: maximum, denominator, two unused, totals

layout(push_constant, std430) uniform Push
{
    Words slot;
    Floats parts, out_;
    uint op, heads;
} p;

void join(uint at)
{
    uint first = at * SPLITS * PART;
    float most = p.parts.f[first], denominator = 0.0;
    for (uint s = 1; s < SPLITS; s++)
        most = max(most, p.parts.f[first + s * PART]);
    // Parts beyond the row's context have the maximum of nothing, and a denominator of 0.
    float weights[SPLITS];
    for (uint s = 0; s < SPLITS; s++) {
        float part_most = p.parts.f[first + s * PART];
        weights[s] = part_most == most ? 1.0 : exp_own(part_most - most);
        denominator = fma(weights[s], p.parts.f[first + s * PART + 1], denominator);
    }
    for (uint i = thread(); i < HEAD_DIM; i += THREADS) {
        float total = 0.0;
        for (uint s = 0; s < SPLITS; s++)
            total = fma(weights[s], p.parts.f[first + s * PART + 4 + i], total);
        p.out_.f[at * HEAD_DIM + i] = total / denominator;
    }
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint row = gl_WorkGroupID.y; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.y)
        for (uint head = gl_WorkGroupID.x; head < p.heads; head += gl_NumWorkGroups.x)
            join(row * p.heads + head);
}
