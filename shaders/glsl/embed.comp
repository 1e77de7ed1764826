#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_EMBED: rows of float weights, widened exactly, then times a scale unless that is 0. LAYOUT: 0 f32, 1 f16, 2 bf16.
#include "common.glsl"

layout(constant_id = 1) const uint LAYOUT = 0;

layout(push_constant, std430) uniform Push
{
    Words slot, table, x;
    uint op, cols;
    float scale;
} p;

void store(uint at, float x)
{
    precise float scaled = p.scale != 0.0 ? x * p.scale : x;
    p.x.w[at] = floatBitsToUint(scaled);
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint words = LAYOUT == 0 ? p.cols : p.cols / 2;
    for (uint row = gl_WorkGroupID.x; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.x) {
        uint from = row_token(p.slot, row) * words;
        for (uint i = thread(); i < words; i += THREADS) {
            uint word = p.table.w[from + i];
            if (LAYOUT == 0) {
                store(row * p.cols + i, uintBitsToFloat(word));
                continue;
            }
            vec2 pair = LAYOUT == 1 ? unpackHalf2x16(word) : vec2(bf16_low(word), bf16_high(word));
            store(row * p.cols + 2 * i, pair.x);
            store(row * p.cols + 2 * i + 1, pair.y);
        }
    }
}
