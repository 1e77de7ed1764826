// int8 of a row of floats, as the family was trained: docs/numerics.md, "Activations".
#include "rms.h"

DEFINE_REDUCE(reduce_max_uint, uint, most, (uint), (uint))
DEFINE_REDUCE(reduce_add_int, int, ADD, (uint), (int))

struct row_input {
    GLOBAL const float4 *x;
    GLOBAL const float4 *norm;
    bool has_norm;
    float inverse;
};

static float4 input_quad(const struct row_input *in, uint i)
{
    return in->has_norm ? normed(in->x[i], in->norm[i], in->inverse) : in->x[i];
}

static uint largest_bits(float4 v)
{
    uint4 bits = as_uint4(v) & 0x7fffffffu;
    return most(most(bits.x, bits.y), most(bits.z, bits.w));
}

static int4 quantised(float4 v, float scale)
{
    v *= scale;
    v = (float4)(clamp_float(v.x, -128.0f, 127.0f), clamp_float(v.y, -128.0f, 127.0f),
                 clamp_float(v.z, -128.0f, 127.0f), clamp_float(v.w, -128.0f, 127.0f));
    return convert(round_even4(v), int4);
}

static uint pack_int8(int4 q)
{
    uint4 b = as_uint4(q) & 0xffu;
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

// Writes the int8 of `features` columns to `out`, zeros up to `cols`, and gives the row's scale and sum. False: not finite.
#define DEFINE_QUANTISE(name, SPACE)                                                                                   \
    static bool name(LOCAL uint *s, struct row_input *in, uint features, uint cols, float eps, SPACE uint *out,        \
                     float *scale, int *sum)                                                                           \
    {                                                                                                                  \
        in->inverse = in->has_norm ? inverse_rms(s, in->x, features, eps) : 0.0f;                                      \
        uint largest = 0;                                                                                              \
        for (uint i = thread(); i < features / 4; i += THREADS)                                                        \
            largest = most(largest, largest_bits(input_quad(in, i)));                                                  \
        largest = reduce_max_uint(s, largest);                                                                         \
        if (largest >= 0x7f800000u || not_finite(in->inverse))                                                         \
            return false;                                                                                              \
        *scale = divide(127.0f, most_float(as_float(largest), 1e-5f));                                                 \
        int mine = 0;                                                                                                  \
        for (uint i = thread(); i < features / 4; i += THREADS) {                                                      \
            int4 q = quantised(input_quad(in, i), *scale);                                                             \
            mine += (q.x + q.y) + (q.z + q.w);                                                                         \
            out[i] = pack_int8(q);                                                                                     \
        }                                                                                                              \
        for (uint i = features / 4 + thread(); i < cols / 4; i += THREADS)                                             \
            out[i] = 0;                                                                                                \
        *sum = reduce_add_int(s, mine);                                                                                \
        return true;                                                                                                   \
    }
