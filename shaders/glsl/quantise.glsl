// int8 of a row of floats, as the family was trained: docs/numerics.md, "Activations".
#include "rms.glsl"

uvec4 abs_bits(vec4 v)
{
    return floatBitsToUint(v) & 0x7fffffffu;
}

vec4 quantised_input(Vectors x, Vectors norm, bool has_norm, uint first, uint i, float inverse)
{
    vec4 v = x.v[first + i];
    return has_norm ? normed(v, norm.v[i], inverse) : v;
}

uint pack_int8(ivec4 q)
{
    uvec4 b = uvec4(q) & 0xffu;
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

// Gives the row's scale and sum; STORE(i, word) takes four elements at a time. False: not finite.
#define DEFINE_QUANTISE(name, STORE)                                                                                   \
    bool name(Vectors x, Vectors norm, bool has_norm, uint first, uint cols, float eps, out float scale, out int sum)  \
    {                                                                                                                  \
        float inverse = has_norm ? inverse_rms(x, first, cols, eps) : 0.0;                                             \
        uvec4 most = uvec4(0);                                                                                         \
        for (uint i = thread(); i < cols / 4; i += THREADS)                                                            \
            most = max(most, abs_bits(quantised_input(x, norm, has_norm, first, i, inverse)));                         \
        uint largest = reduce_max(max(max(most.x, most.y), max(most.z, most.w)));                                      \
        scale = 0.0;                                                                                                   \
        sum = 0;                                                                                                       \
        if (largest >= 0x7f800000u || not_finite(inverse))                                                             \
            return false;                                                                                              \
        scale = divide(127.0, max(uintBitsToFloat(largest), 1e-5));                                                    \
        int mine = 0;                                                                                                  \
        for (uint i = thread(); i < cols / 4; i += THREADS) {                                                          \
            precise vec4 v = quantised_input(x, norm, has_norm, first, i, inverse) * scale;                            \
            ivec4 q = ivec4(roundEven(clamp(v, -128.0, 127.0)));                                                       \
            mine += (q.x + q.y) + (q.z + q.w);                                                                         \
            STORE(i, pack_int8(q));                                                                                    \
        }                                                                                                              \
        sum = reduce_add(mine);                                                                                        \
        return true;                                                                                                   \
    }
