// kern [--levels] [--bench [KERNEL]]: tests every kernel of every usable level; exit 1 if a check fails or none ran.
#include "kern.h"

#define GUARD 64
#define PATTERN 0xa5

// The hashes are of the scalar level's results over all cases. They are the same on every machine, compiler and
// operating system; a change here is a change of the numbers (docs/numerics.md).
static const struct {
    const char *name;
    void (*run)(struct kern *t);
    uint64_t hash;
    bool once; // not a kernel of its own
} families[] = {
    {"widen", test_widen, 0xbeae413868342980},
    {"narrow_f16", test_narrow, 0xf5a391e89709e38f},
    {"exp", test_exp, 0xc9edca46f01651fa, .once = true},
    {"quantise", test_quantise, 0xe5bf19b187f4ee51},
    {"norm", test_norm, 0xd5755c45729ae166},
    {"dot", test_dot, 0xe7f47b51ca158fc9},
    {"ternary", test_ternary, 0x3f5fcc772efc34f6},
    {"base3", test_base3, 0x54b692eca0a671f8},
    {"groups", test_groups, 0x0ddfbc3576ca146c},
    {"values", test_values, 0x549c1968b86547f5, .once = true},
    {"scan", test_scan, 0xa1f10d28e3f30bcd},
    {"dequantise", test_dequantise, 0xc17828f187dfeccf},
    {"gate", test_gate, 0x4463a506b7294099},
    {"rope", test_rope, 0xe2c7a5bf921987c6},
    {"attend", test_attend, 0xad17b391e122f228},
    {"window", test_window, 0xe76f18ad10caad43},
    {"attend8", test_attend8, 0xfef75d07387a238b},
    {"quantise16", test_quantise16, 0xefd6626e4877a4aa},
    {"activate", test_activate, 0x95857f9dc6f35edd},
    {"gelu", test_gelu, 0x2279c1874d24c212},
};

const char *const fill_names[FILL_COUNT] = {"unit", "wide", "finite", "tiny", "ties", "huge", "equal"};

struct area area_new(size_t size)
{
    size_t padded = (size + GUARD - 1) / GUARD * GUARD;
    uint8_t *base = aligned_alloc(GUARD, padded + 2 * GUARD);
    if (!base)
        abort();
    memset(base, PATTERN, padded + 2 * GUARD);
    return (struct area){base + GUARD, size};
}

bool area_intact(struct area a)
{
    for (size_t i = 0; i < GUARD; i++)
        if (*(a.data - GUARD + i) != PATTERN || a.data[a.size + i] != PATTERN)
            return false;
    return true;
}

void area_free(struct area a)
{
    free(a.data - GUARD);
}

uint64_t random_next(struct kern *t)
{
    uint64_t z = t->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t random_below(struct kern *t, uint32_t n)
{
    return (uint32_t)((random_next(t) >> 32) * n >> 32);
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float random_float(struct kern *t, enum fill fill)
{
    uint32_t r = (uint32_t)random_next(t), sign = r & 0x80000000u, mantissa = r & 0x7fffff;
    switch (fill) {
    case FILL_WIDE: // 2^-20 .. 2^20
        return from_bits(sign | (107 + random_below(t, 40)) << 23 | mantissa);
    case FILL_FINITE:
        return from_bits(sign | random_below(t, 255) << 23 | mantissa);
    case FILL_TINY: // zeros of both signs and denormals
        return from_bits(sign | (r & 0x700000 ? mantissa >> random_below(t, 23) : 0));
    case FILL_TIES: // halves, whose largest is 127
        return (float)((int32_t)random_below(t, 509) - 254) / 2;
    case FILL_HUGE: // squares of 10^4 of them still fit
        return from_bits(sign | (170 + random_below(t, 12)) << 23 | mantissa);
    default:
        return (float)((int32_t)(r >> 8) - (1 << 23)) / (1 << 23);
    }
}

void fill_floats(struct kern *t, float *x, size_t n, enum fill fill)
{
    float first = random_float(t, FILL_UNIT);
    for (size_t i = 0; i < n; i++)
        x[i] = fill == FILL_EQUAL ? first : random_float(t, fill);
    if (fill == FILL_TIES && n)
        x[random_below(t, (uint32_t)n)] = 127;
}

void fill_halves(struct kern *t, uint16_t *h, size_t n, enum fill fill)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t r = (uint32_t)random_next(t), sign = r >> 16 & 0x8000, mantissa = r & 0x3ff;
        uint32_t exponent = fill == FILL_FINITE ? random_below(t, 31) : fill == FILL_TINY ? 0 : 8 + random_below(t, 9);
        h[i] = (uint16_t)(fill == FILL_HUGE ? sign | 0x7bff : sign | exponent << 10 | mantissa);
    }
}

void fill_q8(struct kern *t, int8_t *q, size_t n, uint32_t kind)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t r = random_below(t, 256);
        q[i] = (int8_t)(kind == 0 ? (int)r - 128 : kind == 1 ? 127 : kind == 2 ? -128 : r & 1 ? 127 : -128);
    }
}

void fill_codes(struct kern *t, uint8_t *w, size_t n, uint32_t kind)
{
    for (size_t i = 0; i < n; i++)
        for (int shift = w[i] = 0; shift < 8; shift += 2)
            w[i] |= (uint8_t)((kind == 0 ? random_below(t, 3) : kind == 1 ? 2 : kind == 2 ? 0 : 1) << shift);
}

void compare(struct kern *t, struct area want, struct area got, const char *what)
{
    t->cases++;
    CHECK(t, area_intact(want), "%s: the oracle wrote out of bounds", what);
    CHECK(t, area_intact(got), "%s: wrote out of bounds", what);
    size_t at = 0;
    while (at < want.size && want.data[at] == got.data[at])
        at++;
    CHECK(t, at == want.size, "%s: byte %zu of %zu differs", what, at, want.size);
    for (size_t i = 0; i < want.size; i++)
        t->hash = (t->hash ^ want.data[i]) * 0x100000001b3u;
    area_free(want);
    area_free(got);
}

float canonical_dot(const float *a, const float *b, size_t n)
{
    float s[16];
    for (size_t j = 0; j < 16; j++) {
        s[j] = 0;
        for (size_t i = j; i < n; i += 16)
            s[j] = fmaf(a[i], b[i], s[j]);
    }
    float u[8], v[4];
    for (size_t j = 0; j < 8; j++)
        u[j] = s[j] + s[j + 8];
    for (size_t j = 0; j < 4; j++)
        v[j] = u[j] + u[j + 4];
    return (v[0] + v[2]) + (v[1] + v[3]);
}

double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    double v = exponent == 31  ? (mantissa ? NAN : INFINITY)
               : exponent == 0 ? ldexp(mantissa, -24)
                               : ldexp(mantissa + 1024, exponent - 25);
    return h & 0x8000 ? -v : v;
}

static int run_all(const struct bn_isa *levels, size_t n)
{
    int failed = 0;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (size_t l = 0; l < n; l++) {
            if (!levels[l].usable || (families[f].once && l > 0))
                continue;
            struct kern t = {.oracle = levels[0].kernels,
                             .k = levels[l].kernels,
                             .reference = l == 0,
                             .family = families[f].name,
                             .hash = 0xcbf29ce484222325u};
            families[f].run(&t);
            CHECK(&t, t.hash == families[f].hash, "hash of the oracle's results is 0x%016llx",
                  (unsigned long long)t.hash);
            bool ok = t.cases && !t.failures;
            printf("%-10s %-10s %6zu cases %s\n", t.family, levels[l].name, t.cases, ok ? "ok" : "FAILED");
            failed += !ok;
        }
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct bn_isa levels[16];
    size_t n = bn_isa_list(levels, 16);
#ifdef KERN_LEVEL // other kernels, where a machine has the level KERN_NEEDS
    extern const struct bn_kernels KERN_LEVEL;
    const struct bn_isa *needed = bn_isa_find(levels, n, KERN_NEEDS);
    if (!needed || !needed->usable) {
        printf("skipped: this processor has no %s\n", KERN_NEEDS);
        return 77;
    }
    levels[1] = (struct bn_isa){.name = KERN_LEVEL.name, .kernels = &KERN_LEVEL, .usable = true};
    n = 2;
#else
    for (size_t i = 0; i < n; i++)
        levels[i].usable = bn_isa_permit(&levels[i]);
#endif
    if (n == 0 || !levels[0].usable || strcmp(levels[0].name, "scalar") != 0 || bn_isa_find(levels, n, "none"))
        return 1;
    if (argc == 2 && strcmp(argv[1], "--levels") == 0) {
        for (size_t i = 0; i < n; i++)
            if (levels[i].usable)
                printf("%s\n", levels[i].name);
        return 0;
    }
    char name[64];
    bn_cpu_name(name);
    printf("%s; newest level: %s\n", name, bn_isa_find(levels, n, NULL)->name);
    if (argc >= 2 && strcmp(argv[1], "--bench") == 0)
        return bench(levels, n, argc > 2 ? argv[2] : NULL);
    return run_all(levels, n);
}
