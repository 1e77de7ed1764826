// Products of rows of float weights with f32 activations. LANES invocations share ROWS rows and split their columns;
// each has four partial sums per row, so a sum of n has at most n / (4 LANES) + 2 + log2(LANES) roundings per element.
// The order is the same wherever this is used, and with it the bits.
layout(constant_id = 1) const uint LANES = 8; // a power of two, at most THREADS
layout(constant_id = 2) const uint LAYOUT = 1; // 0 f32, 1 f16, 2 bf16
const uint GROUPS = THREADS / LANES;

vec4 widen(uvec2 words)
{
    return LAYOUT == 1 ? vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y))
                       : vec4(bf16_low(words.x), bf16_high(words.x), bf16_low(words.y), bf16_high(words.y));
}

#ifndef SUBGROUP
shared float s_lanes[THREADS];
#endif

// w row `r` times x row `x_at` (in quads of four floats); all invocations of a workgroup must call. The result is the
// first lane's.
float dot_row(Quads w, uint r, Vectors x, uint x_at, uint cols, uint lane)
{
    vec4 sums = vec4(0);
    if (LAYOUT == 0)
        for (uint i = lane; i < cols / 4; i += LANES)
            sums = fma(uintBitsToFloat(w.q[r * (cols / 4) + i]), x.v[x_at + i], sums);
    else
        for (uint i = lane; i < cols / 8; i += LANES) {
            uvec4 q = w.q[r * (cols / 8) + i];
            sums = fma(widen(q.xy), x.v[x_at + 2 * i], sums);
            sums = fma(widen(q.zw), x.v[x_at + 2 * i + 1], sums);
        }
    precise float sum = (sums.x + sums.z) + (sums.y + sums.w);
#ifdef SUBGROUP
    for (uint n = LANES / 2; n > 0; n /= 2)
        sum += subgroupShuffleXor(sum, n);
#else
    barrier();
    s_lanes[thread()] = sum;
    for (uint n = LANES / 2; n > 0; n /= 2) {
        barrier();
        if (lane < n)
            s_lanes[thread()] += s_lanes[thread() + n];
    }
    barrier();
    sum = s_lanes[thread() - lane];
#endif
    return sum;
}
