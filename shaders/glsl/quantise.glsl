// Integers of a row of floats, as the family was trained: docs/numerics.md, "Activations".
#include "rms.glsl"

uvec4 abs_bits(vec4 v)
{
    return floatBitsToUint(v) & 0x7fffffffu;
}

// A row from element 4 `first` on, with its norm.
struct Row {
    Vectors x, norm;
    bool has_norm;
    uint first;
    float inverse; // of the root of the mean square
    float scale;   // what it is multiplied by
};

vec4 row_input(Row r, uint i)
{
    vec4 v = r.x.v[r.first + i];
    return r.has_norm ? normed(v, r.norm.v[i], r.inverse) : v;
}

// Finds `inverse` and `scale`, so that `range` is the largest integer. False: not finite.
bool scale_row(inout Row r, uint cols, float eps, float range)
{
    r.inverse = r.has_norm ? inverse_rms(r.x, r.first, cols, eps) : 0.0;
    r.scale = 0.0;
    uvec4 most = uvec4(0);
    for (uint i = thread(); i < cols / 4; i += THREADS)
        most = max(most, abs_bits(row_input(r, i)));
    uint largest = reduce_max(max(max(most.x, most.y), max(most.z, most.w)));
    if (largest >= 0x7f800000u || not_finite(r.inverse))
        return false;
    r.scale = divide(range, max(uintBitsToFloat(largest), 1e-5));
    return true;
}

// Four elements; rounding never leaves the range by more than half.
ivec4 quantised(Row r, uint i, float range)
{
    precise vec4 v = row_input(r, i) * r.scale;
    return ivec4(roundEven(clamp(v, -range, range)));
}

uint pack_int8(ivec4 q)
{
    uvec4 b = uvec4(q) & 0xffu;
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

int sum_of(ivec4 q)
{
    return (q.x + q.y) + (q.z + q.w);
}
