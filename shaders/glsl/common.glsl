// What every shader shares: memory by device address, the state slot, exact arithmetic.
//
// All memory is read and written as 32-bit words through device addresses, so no descriptor, no 8- or 16-bit storage and no
// limit on the range of a buffer is involved. Indexes are in words and stay below 2^31.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : enable

layout(constant_id = 0) const uint THREADS = 64; // invocations of a workgroup, a power of two
layout(local_size_x_id = 0) in;

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words
{
    uint w[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats
{
    float f[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Quads
{
    uvec4 q[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Vectors
{
    vec4 v[];
};

// struct bn_slot in words; SKIP and PROGRESS are the driver's.
const uint N_ROWS = 0, N_OUTPUTS = 2, N_COPIES = 3, ROW_AT = 4, SEQ_AT = 5, PAGE_AT = 6, OUTPUT_AT = 7, COPY_AT = 8;
const uint FIRST_OUTPUT = 9, STATUS = 10, STATUS_OP = 11, TOP = 12, SKIP = 13, PROGRESS = 14;
const uint NOT_FINITE = 2;

uint thread()
{
    return gl_LocalInvocationID.x;
}

// Notes that the op runs. True if it shall not: the submission was stopped.
bool skips(Words slot, uint op)
{
    if (gl_GlobalInvocationID == uvec3(0))
        slot.w[PROGRESS] = op;
    return slot.w[SKIP] != 0;
}

// A NaN or infinity was met; the first op wins.
void report_not_finite(Words slot, uint op)
{
    if (atomicCompSwap(slot.w[STATUS], 0, NOT_FINITE) == 0)
        slot.w[STATUS_OP] = op;
}

bool not_finite(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) == 0x7f800000u;
}

uint row_token(Words slot, uint row)
{
    return slot.w[slot.w[ROW_AT] / 4 + row * 4];
}

uint row_position(Words slot, uint row)
{
    return slot.w[slot.w[ROW_AT] / 4 + row * 4 + 1];
}

// Number of the KV page that holds 64 positions of the row's sequence, from 64 `block` on.
uint row_page(Words slot, uint row, uint block)
{
    uint seq = slot.w[slot.w[ROW_AT] / 4 + row * 4 + 2];
    uint first = slot.w[slot.w[SEQ_AT] / 4 + seq * 2];
    return slot.w[slot.w[PAGE_AT] / 4 + first + block];
}

// a * b as the rounded product and what it misses, exactly (Veltkamp, Dekker), for magnitudes below 2^100.
void exact_product(float a, float b, out float product, out float missed)
{
    precise float p = a * b;
    precise float a_big = 4097.0 * a, b_big = 4097.0 * b;
    precise float a_high = a_big - (a_big - a), b_high = b_big - (b_big - b);
    precise float a_low = a - a_high, b_low = b - b_high;
    precise float m = ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low;
    product = p;
    missed = m;
}

// a / b, rounded correctly whatever the device's own division does; b is positive, all are normal or 0.
float divide(float a, float b)
{
    float undo = a < 0.0 ? -1.0 : 1.0;
    a = abs(a);
    if (b > 1e25) {
        b *= 5.421010862427522e-20;
        undo *= 5.421010862427522e-20;
    }
    float q = a / b;
    float product, missed;
    exact_product(q, b, product, missed);
    precise float rest = (a - product) - missed;
    float ulp = uintBitsToFloat(floatBitsToUint(q) & 0x7f800000u) * 1.1920928955078125e-7;
    if (2.0 * rest > ulp * b)
        q = uintBitsToFloat(floatBitsToUint(q) + 1);
    else if (2.0 * rest < -ulp * b)
        q = uintBitsToFloat(floatBitsToUint(q) - 1);
    return q * undo;
}

// exp of docs/numerics.md.
float exp_own(float x)
{
    if (x < -87.0)
        return 0.0;
    x = min(x, 88.0);
    precise float n = roundEven(x * 1.44269504);
    precise float r = fma(n, 2.1219444170128554e-4, fma(n, -0.693359375, x));
    precise float p = 1.0 / 5040.0;
    p = fma(p, r, 1.0 / 720.0);
    p = fma(p, r, 1.0 / 120.0);
    p = fma(p, r, 1.0 / 24.0);
    p = fma(p, r, 1.0 / 6.0);
    p = fma(p, r, 0.5);
    p = fma(p, r, 1.0);
    p = fma(p, r, 1.0);
    return p * uintBitsToFloat(uint(int(n) + 127) << 23);
}

// f32 to the bits of f16, to nearest even, whatever mode the device converts in.
uint half_bits(float x)
{
    uint bits = floatBitsToUint(x), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits >= 0x47800000u) // 65536 and more, NaN
        return sign | (bits > 0x7f800000u ? 0x7e00u : 0x7c00u);
    if (bits < 0x38800000u) { // a subnormal half: multiples of 2^-24
        if (bits < 0x33000000u)
            return sign;
        uint shift = 126u - (bits >> 23), mantissa = bits & 0x7fffffu | 0x800000u;
        uint kept = mantissa >> shift, rest = mantissa & (1u << shift) - 1u, tie = 1u << shift - 1u;
        return sign | kept + uint(rest > tie || (rest == tie && (kept & 1u) == 1u));
    }
    uint rounded = bits + 0xfffu + (bits >> 13 & 1u); // may carry into the exponent, up to infinity
    return sign | (rounded - 0x38000000u) >> 13;
}

float bf16_low(uint word)
{
    return uintBitsToFloat(word << 16);
}

float bf16_high(uint word)
{
    return uintBitsToFloat(word & 0xffff0000u);
}
