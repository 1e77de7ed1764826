// A counter generator: value i of stream s depends on (s, i) only (splitmix64).
#ifndef BN_CONVERT_RANDOM_H
#define BN_CONVERT_RANDOM_H

#include <stdint.h>

static inline uint64_t bn_random(uint64_t stream, uint64_t counter)
{
    uint64_t x = stream + (counter + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

// Uniform in [0, 1).
static inline float bn_random_unit(uint64_t stream, uint64_t counter)
{
    return (float)(bn_random(stream, counter) >> 40) * 0x1p-24f;
}

#endif
