// Integers of a row of floats, as the family was trained: docs/numerics.md, "Activations".
#include "rms.h"

DEFINE_REDUCE(reduce_max_uint, uint, most, (uint), (uint))
DEFINE_REDUCE(reduce_add_int, int, ADD, (uint), (int))

// A row of floats, with its norm.
struct row_input {
    GLOBAL const float4 *x;
    GLOBAL const float4 *norm;
    bool has_norm;
    float inverse; // of the root of the mean square
    float scale;   // what it is multiplied by
};

FUNCTION float4 input_quad(const struct row_input *in, uint i)
{
    return in->has_norm ? normed(in->x[i], in->norm[i], in->inverse) : in->x[i];
}

FUNCTION uint largest_bits(float4 v)
{
    uint4 bits = as_uint4(v) & 0x7fffffffu;
    return most(most(bits.x, bits.y), most(bits.z, bits.w));
}

// Finds `inverse` and `scale`, so that `range` is the largest integer. False: not finite.
INLINE bool scale_row(LOCAL uint *s, struct row_input *in, uint cols, float eps, float range)
{
    in->inverse = in->has_norm ? inverse_rms(s, in->x, cols, eps) : 0.0f;
    in->scale = 0.0f;
    uint largest = 0;
    for (uint i = thread(); i < cols / 4; i += THREADS)
        largest = most(largest, largest_bits(input_quad(in, i)));
    largest = reduce_max_uint(s, largest);
    if (largest >= 0x7f800000u || not_finite(in->inverse))
        return false;
    in->scale = divide(range, most_float(as_float(largest), 1e-5f));
    return true;
}

// Four elements; rounding never leaves the range by more than half.
FUNCTION int4 quantised(const struct row_input *in, uint i, float range)
{
    float4 v = input_quad(in, i) * in->scale;
    v = (float4)(clamp_float(v.x, -range, range), clamp_float(v.y, -range, range), clamp_float(v.z, -range, range),
                 clamp_float(v.w, -range, range));
    return convert(round_even4(v), int4);
}

FUNCTION uint pack_int8(int4 q)
{
    uint4 b = as_uint4(q) & 0xffu;
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

FUNCTION int sum_of(int4 q)
{
    return (q.x + q.y) + (q.z + q.w);
}
