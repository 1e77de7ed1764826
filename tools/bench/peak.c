#include "bench/peak.h"
#include "bench/bench.h"

const struct peak_loop *peak_find(void)
{
#if defined(__x86_64__)
    static const struct peak_loop vnni = {"VPDPBUSD zmm", peak_dpbusd_512};
    static const struct peak_loop avx2 = {"VPMADDUBSW + VPMADDWD ymm", peak_maddubs_256};
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f"))
        return &vnni;
    if (__builtin_cpu_supports("avx2"))
        return &avx2;
#endif
    return NULL;
}
