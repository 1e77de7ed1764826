// Sums and maxima over a workgroup; all invocations must call, all get the result.
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require
shared uint s_reduce[THREADS / 4]; // one place for each subgroup: none has fewer than 4 invocations
#define REDUCE(type, combine, subgroup, to_bits, from_bits)                                                            \
    type value = subgroup(x);                                                                                          \
    if (gl_NumSubgroups == 1)                                                                                          \
        return value;                                                                                                  \
    if (gl_SubgroupInvocationID == 0)                                                                                  \
        s_reduce[gl_SubgroupID] = to_bits(value);                                                                      \
    barrier();                                                                                                         \
    value = from_bits(s_reduce[0]);                                                                                    \
    for (uint i = 1; i < gl_NumSubgroups; i++)                                                                         \
        value = combine(value, from_bits(s_reduce[i]));                                                                \
    barrier();                                                                                                         \
    return value;
#else
shared uint s_reduce[THREADS];
#define REDUCE(type, combine, subgroup, to_bits, from_bits)                                                            \
    s_reduce[thread()] = to_bits(x);                                                                                   \
    barrier();                                                                                                         \
    for (uint n = THREADS / 2; n > 0; n /= 2) {                                                                        \
        if (thread() < n)                                                                                              \
            s_reduce[thread()] =                                                                                       \
                to_bits(combine(from_bits(s_reduce[thread()]), from_bits(s_reduce[thread() + n])));                    \
        barrier();                                                                                                     \
    }                                                                                                                  \
    type value = from_bits(s_reduce[0]);                                                                               \
    barrier();                                                                                                         \
    return value;
#endif
#define ADD(a, b) ((a) + (b))

float reduce_add(float x)
{
    REDUCE(float, ADD, subgroupAdd, floatBitsToUint, uintBitsToFloat)
}

int reduce_add(int x)
{
    REDUCE(int, ADD, subgroupAdd, uint, int)
}

uint reduce_max(uint x)
{
    REDUCE(uint, max, subgroupMax, uint, uint)
}

float reduce_max(float x)
{
    REDUCE(float, max, subgroupMax, floatBitsToUint, uintBitsToFloat)
}
