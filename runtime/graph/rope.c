#include "runtime/graph/rope.h"

#include <math.h>

#include "runtime/base/dmath.h"

static const double pi = 3.14159265358979323846;

// The pair that turns `turns` times within the original context, as a real number.
static double pair_of(const struct bn_rope *rope, uint32_t dim, double turns)
{
    return dim * bn_dlog(rope->n_ctx_original / (turns * 2 * pi)) / (2 * bn_dlog((double)rope->theta));
}

// YaRN (arXiv 2309.00071): how much of pair i's frequency is kept as it is; the rest is divided by the factor.
static double yarn_kept(const struct bn_rope *rope, uint32_t dim, uint32_t i)
{
    double low = floor(pair_of(rope, dim, (double)rope->beta_fast));
    double high = ceil(pair_of(rope, dim, (double)rope->beta_slow));
    low = low < 0 ? 0 : low;
    high = high > dim - 1 ? dim - 1 : high;
    double ramp = (i - low) / (high > low ? high - low : 0.001);
    return 1 - (ramp < 0 ? 0 : ramp > 1 ? 1 : ramp);
}

static double frequency_of(const struct bn_rope *rope, uint32_t dim, uint32_t i)
{
    double frequency = bn_dpow((double)rope->theta, -2.0 * i / dim);
    if (rope->frequencies)
        frequency /= (double)((const float *)(const void *)rope->frequencies->data)[i];
    if (rope->scaling == BN_ROPE_LINEAR)
        return frequency / (double)rope->factor;
    if (rope->scaling == BN_ROPE_UNSCALED)
        return frequency;
    double kept = yarn_kept(rope, dim, i);
    return frequency / (double)rope->factor * (1 - kept) + frequency * kept;
}

void bn_rope_fill(const struct bn_rope *rope, uint32_t dim, uint32_t positions, float *table)
{
    uint32_t half = dim / 2;
    double attention = (double)rope->attention_factor;
    if (rope->scaling == BN_ROPE_YARN)
        attention *= 1 + 0.1 * bn_dlog((double)rope->factor);
    for (uint32_t i = 0; i < half; i++) {
        double frequency = frequency_of(rope, dim, i);
        for (uint32_t p = 0; p < positions; p++) {
            double sine, cosine;
            bn_dsincos(p * frequency, &sine, &cosine);
            table[((size_t)p * half + i) * 2] = (float)(cosine * attention);
            table[((size_t)p * half + i) * 2 + 1] = (float)(sine * attention);
        }
    }
}
