#include "bench/peak.h"

#include <immintrin.h>

// Ten chains hide the latency of the three instructions.
double peak_maddubs_256(uint64_t rounds)
{
    enum { CHAINS = 10 };
    __m256i sums[CHAINS], codes = _mm256_set1_epi8(1), values = _mm256_set1_epi8(-1), ones = _mm256_set1_epi16(1);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm256_setzero_si256();
    for (uint64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 10
        for (int i = 0; i < CHAINS; i++) {
            __asm__ volatile("" : "+x"(values)); // else the product is made once
            __m256i pairs = _mm256_maddubs_epi16(codes, values);
            sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, ones));
        }
    }
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" ::"x"(sums[i]));
    return (double)rounds * CHAINS * 32;
}
