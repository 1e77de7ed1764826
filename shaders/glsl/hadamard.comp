#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_ROTATE: a workgroup per row and block, level by level in the order of docs/numerics.md, so with the CPU's bits.
#include "common.glsl"

layout(constant_id = 1) const uint BLOCK = 128;

layout(push_constant, std430) uniform Push
{
    Words slot;
    Floats x, before, after, y;
    uint op, cols, flags;
    float factor; // 1 / sqrt(BLOCK)
} p;

const uint HAS_BEFORE = 1, HAS_AFTER = 2, OF_OUTPUTS = 4; // flags

shared float s_x[BLOCK];

void rotate(uint row, uint first)
{
    uint at = row * p.cols + first;
    barrier();
    for (uint i = thread(); i < BLOCK; i += THREADS) {
        precise float t = p.x.f[at + i];
        if ((p.flags & HAS_BEFORE) != 0)
            t = t * p.before.f[first + i];
        s_x[i] = t;
    }
    for (uint n = 1; n < BLOCK; n *= 2) {
        barrier();
        for (uint j = thread(); j < BLOCK / 2; j += THREADS) {
            uint i = j / n * 2 * n + j % n;
            precise float low = s_x[i], high = s_x[i + n], sum = low + high, difference = low - high;
            s_x[i] = sum;
            s_x[i + n] = difference;
        }
    }
    barrier();
    for (uint i = thread(); i < BLOCK; i += THREADS) {
        precise float t = s_x[i] * p.factor;
        if ((p.flags & HAS_AFTER) != 0)
            t = t * p.after.f[first + i];
        p.y.f[at + i] = t;
    }
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint rows = (p.flags & OF_OUTPUTS) != 0 ? p.slot.w[N_OUTPUTS] : p.slot.w[N_ROWS];
    for (uint row = gl_WorkGroupID.y; row < rows; row += gl_NumWorkGroups.y)
        for (uint block = gl_WorkGroupID.x; block < p.cols / BLOCK; block += gl_NumWorkGroups.x)
            rotate(row, block * BLOCK);
}
