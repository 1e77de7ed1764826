// RoPE and attention over pages.
#include "kern.h"

#define U 0x1p-24 // unit roundoff of float

void test_rope(struct kern *t)
{
    static const size_t dims[] = {16, 32, 48, 64, 80, 96, 128, 256, 512};
    for (uint32_t c = 0; c < 360; c++) {
        size_t dim = dims[c % 9], heads = 1 + c % 7, n = heads * dim;
        enum bn_rope_order order = c % 2 ? BN_ROPE_PAIRS : BN_ROPE_HALVES;
        struct area in = area_new(4 * (n + dim)), want = area_new(4 * n), got = area_new(4 * n);
        float *x = (float *)(void *)in.data, *table = x + n;
        fill_floats(t, x, n, (enum fill)(c % FILL_COUNT == FILL_FINITE ? FILL_WIDE : c % FILL_COUNT));
        fill_floats(t, table, dim, FILL_UNIT);
        memcpy(want.data, x, 4 * n);
        memcpy(got.data, x, 4 * n);
        t->oracle->rope((float *)(void *)want.data, heads, dim, table, order);
        t->k->rope((float *)(void *)got.data, heads, dim, table, order);
        const float *out = (float *)(void *)want.data;
        for (size_t h = 0; t->reference && h < heads; h++)
            for (size_t i = 0; i < dim / 2; i++) {
                size_t a = h * dim + (c % 2 ? 2 * i : i), b = a + (c % 2 ? 1 : dim / 2);
                double cs = table[2 * i], sn = table[2 * i + 1];
                // Each product rounded to float, then each sum.
                float first = (float)((double)(float)(x[a] * cs) - (float)(x[b] * sn));
                float second = (float)((double)(float)(x[a] * sn) + (float)(x[b] * cs));
                CHECK(t, out[a] == first && out[b] == second, "head %zu pair %zu: %a %a", h, i, out[a], out[b]);
            }
        area_free(in);
        compare(t, want, got, c % 2 ? "pairs" : "halves");
    }
}

struct attention {
    struct bn_attend args;
    struct area pool, q, out, scores;
    uint32_t pages[8];
    uint32_t layers, kv_heads, layer, head;
};

// The row of a position, and the step behind int8 rows.
static uint8_t *kv_row(const struct attention *a, enum bn_kv_type type, uint32_t which, uint32_t i, uint32_t dim)
{
    return a->pool.data + a->pages[i / 64] * bn_kv_page_bytes(a->layers, a->kv_heads, dim, type) +
           bn_kv_row_offset(a->layer, which, a->head, i, a->kv_heads, dim, type);
}

static uint8_t *kv_step(const struct attention *a, enum bn_kv_type type, uint32_t which, uint32_t i, uint32_t dim)
{
    return kv_row(a, type, which, i / 64 * 64, dim) + (size_t)64 * dim + i % 64 * sizeof(float);
}

// A pool of more pages than needed, in random order; what is not attended is NaN.
static void attention_init(struct kern *t, struct attention *a, enum bn_kv_type type, uint32_t n, uint32_t dim,
                           uint32_t group, enum fill fill)
{
    enum { PAGES = 8 };
    a->layers = 1 + random_below(t, 3), a->kv_heads = 1 + random_below(t, 3);
    a->layer = random_below(t, a->layers), a->head = random_below(t, a->kv_heads);
    uint64_t bytes = bn_kv_page_bytes(a->layers, a->kv_heads, dim, type);
    a->pool = area_new(PAGES * bytes);
    a->q = area_new(4 * (size_t)group * dim);
    a->out = area_new(4 * (size_t)group * dim);
    a->scores = area_new(4 * (size_t)group * ((n + 63) / 64 * 64));
    memset(a->pool.data, type == BN_KV_F16 ? 0x7e : 0xff, a->pool.size); // NaN as f16, and as f32
    for (uint32_t i = 0; i < PAGES; i++)
        a->pages[i] = i;
    for (uint32_t i = PAGES - 1; i > 0; i--) {
        uint32_t j = random_below(t, i + 1), other = a->pages[i];
        a->pages[i] = a->pages[j];
        a->pages[j] = other;
    }
    for (uint32_t which = 0; which < 2; which++)
        for (uint32_t i = 0; i < n; i++) {
            enum fill row_fill = fill == FILL_HUGE && which == 0 ? FILL_UNIT : fill;
            uint8_t *row = kv_row(a, type, which, i, dim);
            if (type == BN_KV_F16) {
                fill_halves(t, (uint16_t *)(void *)row, dim, row_fill);
                continue;
            }
            fill_q8(t, (int8_t *)row, dim, random_below(t, 16) ? 0 : 1 + random_below(t, 3));
            float step;
            fill_floats(t, &step, 1, row_fill == FILL_TIES ? FILL_EQUAL : row_fill);
            step = fabsf(row_fill == FILL_UNIT ? step / 64 : step);
            memcpy(kv_step(a, type, which, i, dim), &step, sizeof step);
        }
    fill_floats(t, (float *)(void *)a->q.data, (size_t)group * dim, fill == FILL_TIES ? FILL_EQUAL : FILL_UNIT);
    float sharp = (float)(1 << random_below(t, 6)) / 4; // from nearly even weights to one that takes all
    for (size_t i = 0; i < (size_t)group * dim; i++)
        ((float *)(void *)a->q.data)[i] *= sharp;
    a->args = (struct bn_attend){
        .q = (float *)(void *)a->q.data,
        .out = (float *)(void *)a->out.data,
        .scores = (float *)(void *)a->scores.data,
        .pool = a->pool.data,
        .pages = a->pages,
        .page_bytes = bytes,
        .k_offset = bn_kv_row_offset(a->layer, 0, a->head, 0, a->kv_heads, dim, type),
        .v_offset = bn_kv_row_offset(a->layer, 1, a->head, 0, a->kv_heads, dim, type),
        .kv_type = type,
        .n_positions = n,
        .group = group,
        .head_dim = dim,
        .scale = 1 / sqrtf((float)dim),
    };
}

static void attention_finish(struct attention *a)
{
    area_free(a->pool);
    area_free(a->q);
    area_free(a->out);
    area_free(a->scores);
}

static double kv_at(const struct attention *a, uint32_t which, uint32_t position, uint32_t d)
{
    const uint8_t *row = kv_row(a, a->args.kv_type, which, position, a->args.head_dim);
    uint16_t h;
    float step;
    if (a->args.kv_type == BN_KV_F16) {
        memcpy(&h, row + (size_t)2 * d, sizeof h);
        return half_value(h);
    }
    memcpy(&step, kv_step(a, BN_KV_INT8, which, position, a->args.head_dim), sizeof step);
    return (double)(int8_t)row[d] * step;
}

// Softmax in double. A score is off by at most ds: dim / 16 + 4 roundings of terms that sum to `magnitude`, the scale, the
// step's product with it, and the subtraction of the maximum; with int8 rows by half a step of the query as well. So a weight is off, relative, by ds for itself and ds for the
// maximum and by 2 U for exp and one for the step; the denominator by the same and n / 16 + 4 roundings; a value by 64 within
// and n / 64 between blocks.
static void check_attention(struct kern *t, const struct attention *a, const float *out)
{
    const struct bn_attend *g = &a->args;
    uint32_t n = g->n_positions, dim = g->head_dim;
    double *s = malloc(n * sizeof *s);
    if (!s)
        abort();
    for (uint32_t h = 0; h < g->group; h++) {
        double max = -INFINITY, ds = 0, den = 0, half_step = 0;
        for (uint32_t d = 0; d < dim; d++)
            half_step = fmax(half_step, fabs(g->q[h * dim + d]) / 65534 * (1 + 4 * U));
        half_step = fmax(half_step, 1e-5 / 65534);
        for (uint32_t i = g->skip; i < n; i++) {
            double magnitude = 0, missed = 0; // by a query of 16 bits
            s[i] = 0;
            for (uint32_t d = 0; d < dim; d++) {
                double p = g->q[h * dim + d] * kv_at(a, 0, i, d) * g->scale;
                s[i] += p;
                magnitude += fabs(p);
                missed += g->kv_type == BN_KV_INT8 ? fabs(kv_at(a, 0, i, d)) * half_step * g->scale : 0;
            }
            max = fmax(max, s[i]);
            ds = fmax(ds, ((double)dim / 16 + 7) * U * magnitude + missed);
        }
        for (uint32_t i = g->skip; i < n; i++)
            den += s[i] = exp(s[i] - max);
        for (uint32_t d = 0; d < dim; d++) {
            double exact = 0, magnitude = 0;
            for (uint32_t i = g->skip; i < n; i++) {
                exact += s[i] * kv_at(a, 1, i, d);
                magnitude += s[i] * fabs(kv_at(a, 1, i, d));
            }
            double roundings = 64 + (double)n / 64 + (double)n / 16 + 11;
            double bound = magnitude / den * (4 * ds + roundings * U) + 1e-30;
            CHECK(t, fabs(out[h * dim + d] - exact / den) <= bound, "n %u dim %u: %a, exactly %a", n, dim,
                  out[h * dim + d], exact / den);
        }
    }
    free(s);
}

static void attend_case(struct kern *t, enum bn_kv_type type, uint32_t n, uint32_t dim, uint32_t group, uint32_t skip,
                        enum fill fill)
{
    struct attention a;
    attention_init(t, &a, type, n, dim, group, fill);
    a.args.skip = skip;
    struct area want = area_new(a.out.size);
    a.args.out = (float *)(void *)want.data;
    t->oracle->attend(&a.args);
    a.args.out = (float *)(void *)a.out.data;
    memset(a.scores.data, 0xff, a.scores.size); // NaN
    t->k->attend(&a.args);
    CHECK(t, area_intact(a.scores), "wrote past the scores");
    if (t->reference)
        check_attention(t, &a, (const float *)(void *)want.data);
    struct area got = a.out;
    a.out = area_new(1);
    compare(t, want, got, fill_names[fill]);
    attention_finish(&a);
}

// What is not finite must reach the output, where the next norm finds it.
static void attend_not_finite(struct kern *t, uint32_t which, uint16_t bad)
{
    struct attention a;
    attention_init(t, &a, BN_KV_F16, 100, 64, 5, FILL_UNIT);
    uint32_t position = random_below(t, 100), d = random_below(t, 64);
    memcpy(kv_row(&a, BN_KV_F16, which, position, 64) + (size_t)2 * d, &bad, 2);
    t->k->attend(&a.args);
    t->cases++;
    for (uint32_t h = 0; h < 5; h++)
        for (uint32_t i = 0; i < 64; i++) {
            float y = a.args.out[64 * h + i];
            bool hidden = which == 0 ? !isnan(y) : i == d && isfinite(y); // a weight of NaN reaches every dimension
            CHECK(t, !hidden, "head %u hides %04x in %s: %a", h, bad, which ? "V" : "K", y);
        }
    attention_finish(&a);
}

static void attend_cases(struct kern *t, enum bn_kv_type type)
{
    static const uint32_t dims[] = {16, 64, 80, 128, 32, 96, 256};
    static const enum fill fills[] = {FILL_UNIT, FILL_TINY, FILL_TIES, FILL_HUGE, FILL_UNIT};
    for (uint32_t n = 1; n <= 70; n++)
        attend_case(t, type, n, dims[n % 3], 1 + n % 5, 0, fills[n % 5]);
    for (uint32_t c = 0; c < 60; c++) {
        uint32_t n = 1 + random_below(t, 300), group = 1 + random_below(t, 8);
        attend_case(t, type, n, dims[c % 7], group, 0, fills[c % 5]);
    }
    attend_case(t, type, 129, 512, 3, 0, FILL_UNIT);
    attend_case(t, type, 512, 128, 4, 0, FILL_UNIT);
}

void test_attend(struct kern *t)
{
    attend_cases(t, BN_KV_F16);
    for (uint32_t c = 0; c < 20; c++) {
        attend_not_finite(t, 0, 0x7e00); // NaN
        attend_not_finite(t, 1, 0x7e00);
        attend_not_finite(t, 1, 0xfc00); // -infinity
    }
}

// A sliding window: the first positions of the first page are not attended.
static void window_cases(struct kern *t, enum bn_kv_type type)
{
    static const uint32_t dims[] = {16, 64, 256};
    for (uint32_t c = 0; c < 60; c++) {
        uint32_t n = 2 + random_below(t, c < 30 ? 63 : 200), most = n - 1 < 63 ? n - 1 : 63;
        attend_case(t, type, n, dims[c % 3], 1 + c % 5, 1 + random_below(t, most), c % 2 ? FILL_UNIT : FILL_TINY);
    }
}

void test_window(struct kern *t)
{
    window_cases(t, BN_KV_F16);
}

// A query or a step that is not finite, likewise.
static void attend8_not_finite(struct kern *t, uint32_t where, float bad)
{
    struct attention a;
    attention_init(t, &a, BN_KV_INT8, 100, 64, 5, FILL_UNIT);
    uint32_t position = random_below(t, 100), head = random_below(t, 5);
    if (where < 2)
        memcpy(kv_step(&a, BN_KV_INT8, where, position, 64), &bad, sizeof bad);
    else
        memcpy(a.q.data + 4 * (size_t)(64 * head + random_below(t, 64)), &bad, sizeof bad);
    t->k->attend(&a.args);
    t->cases++;
    for (uint32_t h = 0; h < 5; h++) {
        bool finite = true;
        for (uint32_t i = 0; i < 64; i++)
            finite = finite && isfinite(a.args.out[64 * h + i]);
        CHECK(t, finite == (where == 2 && h != head), "head %u with %f in %s", h, bad,
              where == 0   ? "a step of K"
              : where == 1 ? "a step of V"
                           : "the query");
    }
    attention_finish(&a);
}

void test_attend8(struct kern *t)
{
    for (uint32_t c = 0; c < 20; c++) {
        attend8_not_finite(t, 0, NAN);
        attend8_not_finite(t, 1, c % 2 ? INFINITY : NAN);
        attend8_not_finite(t, 2, c % 2 ? INFINITY : NAN);
    }
    attend_cases(t, BN_KV_INT8);
    window_cases(t, BN_KV_INT8);
}
