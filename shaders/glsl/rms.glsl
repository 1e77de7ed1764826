// RMSNorm of a row by a workgroup. Partial sums are kept per invocation in four lanes, so a sum of n has at most
// n / (4 THREADS) + 2 + log2(THREADS) roundings per element.

// 1 / sqrt(mean square + eps); infinite or NaN if the row's sum of squares is.
float inverse_rms(Vectors x, uint first, uint cols, float eps)
{
    vec4 sums = vec4(0);
    for (uint i = thread(); i < cols / 4; i += THREADS) {
        vec4 v = x.v[first + i];
        sums = fma(v, v, sums);
    }
    float squares = reduce_add((sums.x + sums.y) + (sums.z + sums.w));
    if (not_finite(squares))
        return squares;
    float mean = squares > 1e-20 ? divide(squares, float(cols)) : squares / float(cols);
    return divide(1.0, sqrt(mean + eps));
}

vec4 normed(vec4 x, vec4 weight, float inverse)
{
    precise vec4 y = (x * inverse) * weight;
    return y;
}
