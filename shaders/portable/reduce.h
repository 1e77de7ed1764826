// Sums and maxima over a group; all work-items must call, all get the result. `s` is memory of the group: SHARED_WORDS words.
#define SHARED_WORDS C0

#ifdef SUBGROUP
#define DEFINE_REDUCE(name, type, combine, to_bits, from_bits)                                                         \
    INLINE type name(LOCAL uint *s, type x)                                                                            \
    {                                                                                                                  \
        uint size = subgroup_size(), n_subgroups = THREADS / size;                                                     \
        for (uint n = size / 2; n > 0; n /= 2)                                                                         \
            x = combine(x, from_bits(shuffle(to_bits(x), n)));                                                         \
        if (n_subgroups <= 1)                                                                                          \
            return x;                                                                                                  \
        if (thread() % size == 0)                                                                                      \
            s[thread() / size] = to_bits(x);                                                                           \
        meet();                                                                                                        \
        x = from_bits(s[0]);                                                                                           \
        for (uint i = 1; i < n_subgroups; i++)                                                                         \
            x = combine(x, from_bits(s[i]));                                                                           \
        meet();                                                                                                        \
        return x;                                                                                                      \
    }
#else
#define DEFINE_REDUCE(name, type, combine, to_bits, from_bits)                                                         \
    INLINE type name(LOCAL uint *s, type x)                                                                            \
    {                                                                                                                  \
        s[thread()] = to_bits(x);                                                                                      \
        meet();                                                                                                        \
        for (uint n = THREADS / 2; n > 0; n /= 2) {                                                                    \
            if (thread() < n)                                                                                          \
                s[thread()] = to_bits(combine(from_bits(s[thread()]), from_bits(s[thread() + n])));                    \
            meet();                                                                                                    \
        }                                                                                                              \
        x = from_bits(s[0]);                                                                                           \
        meet();                                                                                                        \
        return x;                                                                                                      \
    }
#endif
#define ADD(a, b) ((a) + (b))

// Sum over the `lanes` work-items of a part of the group, whose first gets it. For lanes beyond 1 all must call.
#ifdef SUBGROUP
#define DEFINE_SUM_LANES(name, type)                                                                                   \
    INLINE type name(LOCAL uint *s, type x, uint lanes)                                                                \
    {                                                                                                                  \
        for (uint n = lanes / 2; n > 0; n /= 2)                                                                        \
            x += as_##type(shuffle(as_uint(x), n));                                                                    \
        return x;                                                                                                      \
    }
#else
#define DEFINE_SUM_LANES(name, type)                                                                                   \
    INLINE type name(LOCAL uint *s, type x, uint lanes)                                                                \
    {                                                                                                                  \
        LOCAL uint *mine = s + thread();                                                                               \
        if (lanes == 1)                                                                                                \
            return x;                                                                                                  \
        meet();                                                                                                        \
        *mine = as_uint(x);                                                                                            \
        meet();                                                                                                        \
        if (thread() % lanes == 0) {                                                                                   \
            for (uint n = lanes / 2; n > 0; n /= 2)                                                                    \
                for (uint i = 0; i < n; i++)                                                                           \
                    mine[i] = as_uint(as_##type(mine[i]) + as_##type(mine[i + n]));                                    \
            x = as_##type(*mine);                                                                                      \
        }                                                                                                              \
        return x;                                                                                                      \
    }
#endif
