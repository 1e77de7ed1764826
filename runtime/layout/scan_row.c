// Rows of the scan copy of a head (docs/numerics.md, "The head").
#include <math.h>
#include <string.h>

#include "runtime/layout/layout.h"

enum { LANES = BN_SCAN_BLOCK };

// The squares of one element in sixteen: n / 16 steps of 2^-24 each, and those of the sums' own end.
struct squares {
    float missed[LANES], kept[LANES];
};

// Sixteen elements, without branches, so that compilers use vectors. `to_nearest` leaves an integer, rounded to nearest even,
// in the low bits of a sum.
static void quantise_lanes(const float *restrict w, float scale, float inverse, int8_t *restrict q,
                           struct squares *restrict squares)
{
    const float to_nearest = 0x1.8p23f;
    int32_t bits[LANES];
    for (int i = 0; i < LANES; i++) {
        float shifted = w[i] * inverse + to_nearest, value = (shifted - to_nearest) * scale, rest = w[i] - value;
        squares->kept[i] += value * value;
        squares->missed[i] += rest * rest;
        memcpy(&bits[i], &shifted, sizeof(bits[i]));
    }
    for (int i = 0; i < LANES; i++)
        q[i] = (int8_t)bits[i];
}

// The largest magnitude; more than any float if one is not finite.
static double largest(const float *w, size_t n)
{
    uint32_t most[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (int j = 0; j < LANES; j++) {
            uint32_t bits;
            memcpy(&bits, &w[i + j], sizeof(bits));
            bits &= 0x7fffffff;
            most[j] = bits > most[j] ? bits : most[j];
        }
    for (int j = 1; j < LANES; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    float value;
    memcpy(&value, &most[0], sizeof(value));
    return most[0] < 0x7f800000 ? (double)value : 1e40;
}

bool bn_scan_quantise(const float *w, size_t n, int8_t *q, struct bn_scan_row *info)
{
    double most = largest(w, n);
    info->scale = most > 0 ? (float)most / 127.0f : 1.0f;
    float inverse = 1.0f / info->scale;
    if (most > 3.4e38 || inverse > 1e30f)
        return false;
    struct squares squares = {0};
    for (size_t i = 0; i < n; i += LANES)
        quantise_lanes(w + i, info->scale, inverse, q + i, &squares);
    double missed = 0, kept = 0;
    for (int i = 0; i < LANES; i++) {
        kept += squares.kept[i];
        missed += squares.missed[i];
    }
    double up = 1 + 0x1p-12 + (double)n * 0x1p-28;
    float lost = 0x1p-74f * sqrtf((float)n); // squares below the least float
    info->error = (float)(sqrt(missed) * up) + info->scale * 0x1p-12f * sqrtf((float)n) + lost;
    info->norm = (float)(sqrt(kept) * up) + lost;
    return info->norm <= 1e30f && info->error <= 1e30f;
}

bool bn_scan_fits(const float *w, const int8_t *q, float scale)
{
    struct squares ignored = {0};
    int8_t own[LANES];
    quantise_lanes(w, scale, 1.0f / scale, own, &ignored);
    return memcmp(own, q, sizeof(own)) == 0;
}
