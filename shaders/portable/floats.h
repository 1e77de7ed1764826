// Products of rows of float weights with f32 activations. `lanes` work-items share a row and split its columns;
// each has four partial sums, so a sum of n has at most n / (4 lanes) + 2 + log2(lanes) roundings per element.
// The order is the same wherever this is used, and with it the bits.
DEFINE_SUM_LANES(sum_floats, float)

// w row `r` times x from quad `x_at` on; all work-items of a group must call. The result is the first lane's.
INLINE float dot_row(LOCAL uint *s, GLOBAL const uint4 *w, uint r, GLOBAL const float4 *x, uint x_at, uint cols,
                     uint lanes, uint layout)
{
    uint lane = thread() % lanes;
    float4 sums = (float4)(0.0f);
    if (layout == LAYOUT_F32) {
        for (uint i = lane; i < cols / 4; i += lanes)
            sums = fma4(as_float4(w[r * (cols / 4) + i]), x[x_at + i], sums);
    } else {
        for (uint i = lane; i < cols / 8; i += lanes) {
            uint4 q = w[r * (cols / 8) + i];
            sums = fma4(widen(q.xy, layout), x[x_at + 2 * i], sums);
            sums = fma4(widen(q.zw, layout), x[x_at + 2 * i + 1], sums);
        }
    }
    return sum_floats(s, (sums.x + sums.z) + (sums.y + sums.w), lanes);
}
