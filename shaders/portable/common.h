// What every kernel shares: the state slot, exact arithmetic. Indexes are in words, or quads of words, and stay below 2^31.
#include "prelude.h"

// Where the host looks for progress and status: the slot, or if this is a copy of it in the device's memory (struct bn_slot, report),
// what the copy names.
FUNCTION GLOBAL uint *report_of(GLOBAL uint *slot)
{
#ifdef COMPILED_AHEAD
    if (slot[SLOT_REPORT] != 0)
        return *(GLOBAL uint *GLOBAL *)(slot + slot[SLOT_REPORT]);
#endif
    return slot;
}

// Notes that the op runs. True if it shall not: the submission was stopped.
FUNCTION bool skips(GLOBAL uint *slot, uint op)
{
    if (thread() == 0 && group_x() == 0 && group_y() == 0)
        report_of(slot)[SLOT_PROGRESS] = op;
    return ((volatile GLOBAL uint *)slot)[SLOT_SKIP] != 0;
}

// A NaN or infinity was met; the first op wins.
FUNCTION void report_not_finite(GLOBAL uint *slot, uint op)
{
    GLOBAL uint *report = report_of(slot);
    if (compare_and_swap((volatile GLOBAL uint *)report + SLOT_STATUS, 0u, STATUS_NOT_FINITE) == 0)
        report[SLOT_STATUS_OP] = op;
}

FUNCTION bool not_finite(float x)
{
    return (as_uint(x) & 0x7f800000u) == 0x7f800000u;
}

FUNCTION uint row_token(GLOBAL const uint *slot, uint row)
{
    return slot[slot[SLOT_ROW_AT] / 4 + row * 4];
}

FUNCTION uint row_position(GLOBAL const uint *slot, uint row)
{
    return slot[slot[SLOT_ROW_AT] / 4 + row * 4 + 1];
}

// Number of the KV page that holds 64 positions of the row's sequence, from 64 `block` on.
FUNCTION uint row_page(GLOBAL const uint *slot, uint row, uint block)
{
    uint seq = slot[slot[SLOT_ROW_AT] / 4 + row * 4 + 2];
    uint first = slot[slot[SLOT_SEQ_AT] / 4 + seq * 2];
    return slot[slot[SLOT_PAGE_AT] / 4 + first + block];
}

// What a * b, rounded to `product`, misses (Veltkamp, Dekker), for magnitudes below 2^100.
FUNCTION float missed_by(float a, float b, float product)
{
    float a_big = 4097.0f * a, b_big = 4097.0f * b;
    float a_high = a_big - (a_big - a), b_high = b_big - (b_big - b);
    float a_low = a - a_high, b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
}

// a / b, rounded correctly whatever the device's own division does; b is positive, all are normal or 0.
FUNCTION float divide(float a, float b)
{
    float undo = a < 0.0f ? -1.0f : 1.0f;
    a = magnitude(a);
    if (b > 1e25f) {
        b *= 5.421010862427522e-20f;
        undo *= 5.421010862427522e-20f;
    }
    float q = a / b, product = q * b;
    float rest = (a - product) - missed_by(q, b, product);
    float ulp = as_float(as_uint(q) & 0x7f800000u) * 1.1920928955078125e-7f;
    if (2.0f * rest > ulp * b)
        q = as_float(as_uint(q) + 1);
    else if (2.0f * rest < -ulp * b)
        q = as_float(as_uint(q) - 1);
    return q * undo;
}

// exp of docs/numerics.md.
FUNCTION float exp_own(float x)
{
    if (x < -87.0f)
        return 0.0f;
    x = x > 88.0f ? 88.0f : x;
    float n = round_even(x * 1.44269504f);
    float r = fma1(n, 2.1219444170128554e-4f, fma1(n, -0.693359375f, x));
    float p = 1.0f / 5040.0f;
    p = fma1(p, r, 1.0f / 720.0f);
    p = fma1(p, r, 1.0f / 120.0f);
    p = fma1(p, r, 1.0f / 24.0f);
    p = fma1(p, r, 1.0f / 6.0f);
    p = fma1(p, r, 0.5f);
    p = fma1(p, r, 1.0f);
    p = fma1(p, r, 1.0f);
    return p * as_float((uint)((int)n + 127) << 23);
}

// f32 to the bits of f16, to nearest even, whatever mode the device converts in.
FUNCTION uint half_bits(float x)
{
    uint bits = as_uint(x), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u) // 65536 and more, NaN
        return sign | (bits > 0x7f800000u ? 0x7e00u : 0x7c00u);
    if (bits < 0x38800000u) { // a subnormal half: multiples of 2^-24
        if (bits < 0x33000000u)
            return sign;
        uint shift = 126u - (bits >> 23), mantissa = (bits & 0x7fffffu) | 0x800000u;
        uint kept = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
        return sign | (kept + (rest > tie || (rest == tie && (kept & 1u) == 1u) ? 1u : 0u));
    }
    uint rounded = bits + 0xfffu + (bits >> 13 & 1u); // may carry into the exponent, up to infinity
    return sign | (rounded - 0x38000000u) >> 13;
}

FUNCTION float bf16_low(uint word)
{
    return as_float(word << 16);
}

FUNCTION float bf16_high(uint word)
{
    return as_float(word & 0xffff0000u);
}

FUNCTION float2 widen_pair(uint word, uint layout)
{
    return layout == LAYOUT_F16 ? halves(word) : (float2)(bf16_low(word), bf16_high(word));
}

FUNCTION float4 widen(uint2 words, uint layout)
{
    return (float4)(widen_pair(words.x, layout), widen_pair(words.y, layout));
}
