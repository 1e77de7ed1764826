#include "bench/peak.h"

#include <immintrin.h>

double peak_dpbusd_512(uint64_t rounds)
{
    enum { CHAINS = 16 };
    __m512i sums[CHAINS], codes = _mm512_set1_epi8(1), values = _mm512_set1_epi8(-1);
    for (int i = 0; i < CHAINS; i++)
        sums[i] = _mm512_setzero_si512();
    for (uint64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            sums[i] = _mm512_dpbusd_epi32(sums[i], codes, values);
        __asm__ volatile("" : "+v"(values));
    }
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" ::"v"(sums[i]));
    return (double)rounds * CHAINS * 64;
}
