// Sums over the LANES invocations of a group; the first of them gets it. All invocations of a workgroup must call.
#ifdef SUBGROUP
ivec4 sum_lanes(ivec4 v)
{
    for (uint n = LANES / 2; n > 0; n /= 2)
        v += subgroupShuffleXor(v, n);
    return v;
}

vec4 sum_lanes(vec4 v)
{
    for (uint n = LANES / 2; n > 0; n /= 2)
        v += subgroupShuffleXor(v, n);
    return v;
}
#else
shared ivec4 s_lanes[THREADS];
#define SUM_LANES(to_bits, from_bits)                                                                                  \
    barrier();                                                                                                         \
    s_lanes[thread()] = to_bits(v);                                                                                    \
    barrier();                                                                                                         \
    if (thread() % LANES == 0)                                                                                         \
        for (uint i = 1; i < LANES; i++)                                                                               \
            v += from_bits(s_lanes[thread() + i]);                                                                     \
    return v;

ivec4 sum_lanes(ivec4 v)
{
    SUM_LANES(, )
}

vec4 sum_lanes(vec4 v)
{
    SUM_LANES(floatBitsToInt, intBitsToFloat)
}
#endif
