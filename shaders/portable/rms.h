// RMSNorm of a row by a group. Partial sums are kept per work-item in four lanes, so a sum of n has at most
// n / (4 THREADS) + 2 + log2(THREADS) roundings per element.
DEFINE_REDUCE(reduce_add, float, ADD, as_uint, as_float)

// 1 / sqrt(mean square + eps); infinite or NaN if the row's sum of squares is.
INLINE float inverse_rms(LOCAL uint *s, GLOBAL const float4 *x, uint cols, float eps)
{
    float4 sums = (float4)(0.0f);
    for (uint i = thread(); i < cols / 4; i += THREADS)
        sums = fma4(x[i], x[i], sums);
    float squares = reduce_add(s, (sums.x + sums.y) + (sums.z + sums.w));
    if (not_finite(squares))
        return squares;
    float mean = squares > 1e-20f ? divide(squares, (float)cols) : squares / (float)cols;
    return divide(1.0f, sqrt1(mean + eps));
}

FUNCTION float4 normed(float4 x, float4 weight, float inverse)
{
    return (x * inverse) * weight;
}
