// kern --bench: time of each kernel at each level, at the sizes of the published 2B model. Figures, not tests.
#include "kern.h"

#include <time.h>

struct work {
    struct kern random;
    struct area w, q, x, out, pool;
    struct bn_row_scale scales[8];
    uint32_t pages[16];
};

struct item {
    const char *name, *kernel, *unit;
    double amount; // of units in one call
    void (*call)(const struct bn_kernels *k, struct work *s);
};

// Beyond any cache.
#define MEMORY ((size_t)96 << 20)

enum { COLS = 2560, FFN = 6912, ROWS = 6912, HEAD_ROWS = 4096, POSITIONS = 1024, DIM = 128, GROUP = 4 };

static float *floats(struct area a)
{
    return (float *)(void *)a.data;
}

static int32_t *ints(struct area a)
{
    return (int32_t *)(void *)a.data;
}

static void ternary_n(const struct bn_kernels *k, struct work *s, size_t n)
{
    k->ternary(s->w.data, ROWS, COLS, (int8_t *)s->q.data, COLS, s->scales, n, ints(s->out), ROWS);
}

static void ternary1(const struct bn_kernels *k, struct work *s)
{
    ternary_n(k, s, 1);
}

static void ternary4(const struct bn_kernels *k, struct work *s)
{
    ternary_n(k, s, 4);
}

static void ternary8(const struct bn_kernels *k, struct work *s)
{
    ternary_n(k, s, 8);
}

// One tile of rows, again and again from the cache.
static void ternary_cached(const struct bn_kernels *k, struct work *s)
{
    k->ternary(s->w.data, 64, COLS, (int8_t *)s->q.data, COLS, s->scales, 1, ints(s->out), 64);
}

// Weights from memory, a tile of rows after the other.
static void ternary_memory(const struct bn_kernels *k, struct work *s)
{
    for (size_t at = 0; at + 32 * COLS / 4 <= MEMORY; at += 32 * COLS / 4)
        k->ternary(s->pool.data + at, 32, COLS, (int8_t *)s->q.data, COLS, s->scales, 1, ints(s->out), 32);
}

static void quantise(const struct bn_kernels *k, struct work *s)
{
    k->quantise(floats(s->x), floats(s->x) + FFN, FFN, 1e-5f, (int8_t *)s->q.data, s->scales);
}

static void norm(const struct bn_kernels *k, struct work *s)
{
    k->norm(floats(s->x), floats(s->x) + COLS, COLS, 1e-5f, floats(s->out));
}

static void dequantise(const struct bn_kernels *k, struct work *s)
{
    k->dequantise(ints(s->w), FFN, 1e-3f, floats(s->x), floats(s->out));
}

static void relu2(const struct bn_kernels *k, struct work *s)
{
    k->gate(ints(s->q), ints(s->q), FFN / 8, 1e-9f, 1e-3f, BN_OP_RELU2, floats(s->out));
}

static void silu(const struct bn_kernels *k, struct work *s)
{
    k->gate(ints(s->q), ints(s->q), FFN / 8, 1e-9f, 1e-3f, BN_OP_SILU, floats(s->out));
}

static void rope(const struct bn_kernels *k, struct work *s)
{
    static float x[20 * DIM]; // zeros: it is called many times in place
    k->rope(x, 20, DIM, floats(s->x), BN_ROPE_HALVES);
}

static void narrow(const struct bn_kernels *k, struct work *s)
{
    k->narrow_f16(floats(s->x), COLS, (uint16_t *)(void *)s->out.data);
}

static void widen(const struct bn_kernels *k, struct work *s)
{
    k->widen(BN_LAYOUT_F16, s->pool.data, COLS, floats(s->out));
}

static void dot_f16(const struct bn_kernels *k, struct work *s)
{
    k->dot(BN_LAYOUT_F16, s->pool.data, HEAD_ROWS, COLS, floats(s->x), floats(s->out));
}

static void dot_memory(const struct bn_kernels *k, struct work *s)
{
    for (size_t at = 0; at + 64 * COLS * 2 <= MEMORY; at += 64 * COLS * 2)
        k->dot(BN_LAYOUT_F16, s->pool.data + at, 64, COLS, floats(s->x), floats(s->out));
}

static void dot_bf16(const struct bn_kernels *k, struct work *s)
{
    k->dot(BN_LAYOUT_BF16, s->pool.data, HEAD_ROWS, COLS, floats(s->x), floats(s->out));
}

static void dot_f32(const struct bn_kernels *k, struct work *s)
{
    k->dot(BN_LAYOUT_F32, s->pool.data, HEAD_ROWS / 2, COLS, floats(s->x), floats(s->out));
}

static void attend(const struct bn_kernels *k, struct work *s)
{
    k->attend(&(struct bn_attend){
        .q = floats(s->x),
        .out = floats(s->out),
        .scores = floats(s->out) + GROUP * DIM,
        .pool = s->pool.data,
        .pages = s->pages,
        .page_bytes = bn_kv_page_bytes(1, 1, DIM),
        .k_offset = 0,
        .v_offset = BN_PAGE_POSITIONS * DIM * 2,
        .n_positions = POSITIONS,
        .group = GROUP,
        .head_dim = DIM,
        .scale = 0.088f,
    });
}

#define MACS(rows, cols, n) ((double)(rows) * (cols) * (n))
static const struct item items[] = {
    {"ternary 6912x2560 x1", "ternary", "MAC", MACS(ROWS, COLS, 1), ternary1},
    {"ternary 6912x2560 x4", "ternary", "MAC", MACS(ROWS, COLS, 4), ternary4},
    {"ternary 6912x2560 x8", "ternary", "MAC", MACS(ROWS, COLS, 8), ternary8},
    {"ternary 64x2560 x1", "ternary", "MAC", MACS(64, COLS, 1), ternary_cached},
    {"ternary memory", "ternary", "B", (double)MEMORY, ternary_memory},
    {"dot f16 memory", "dot", "B", (double)MEMORY, dot_memory},
    {"dot f16 4096x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_f16},
    {"dot bf16 4096x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_bf16},
    {"dot f32 2048x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_f32},
    {"attend 1024 x4 x128", "attend", "MAC", 2.0 * GROUP *POSITIONS *DIM, attend},
    {"quantise 6912", "quantise", "B", 4.0 * FFN, quantise},
    {"norm 2560", "norm", "B", 4.0 * COLS, norm},
    {"dequantise 6912", "dequantise", "B", 4.0 * FFN, dequantise},
    {"gate relu2 864", "gate", "B", 4.0 * FFN / 8, relu2},
    {"gate silu 864", "gate", "B", 4.0 * FFN / 8, silu},
    {"rope 20x128", "rope", "B", 4.0 * 20 * DIM, rope},
    {"narrow 2560", "narrow_f16", "B", 4.0 * COLS, narrow},
    {"widen f16 2560", "widen", "B", 2.0 * COLS, widen},
};

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

// The best of the runs that fit a fifth of a second.
static double best_time(const struct item *item, const struct bn_kernels *k, struct work *s)
{
    size_t calls = 1;
    double best = INFINITY, start = seconds();
    while (seconds() - start < 0.2) {
        double a = seconds();
        for (size_t i = 0; i < calls; i++)
            item->call(k, s);
        double each = (seconds() - a) / (double)calls;
        best = each < best ? each : best;
        calls = each > 1e-4 ? 1 : (size_t)(1e-4 / each) + 1;
    }
    return best;
}

int bench(const struct bn_isa *levels, size_t n, const char *only)
{
    struct work s = {.w = area_new((size_t)ROWS * COLS / 4),
                     .q = area_new((size_t)8 * COLS),
                     .x = area_new((size_t)4 * 2 * FFN),
                     .out = area_new((size_t)4 * 8 * ROWS),
                     .pool = area_new(MEMORY)};
    fill_codes(&s.random, s.w.data, s.w.size, 0);
    fill_q8(&s.random, (int8_t *)s.q.data, s.q.size, 0);
    fill_floats(&s.random, floats(s.x), s.x.size / 4, FILL_UNIT);
    fill_halves(&s.random, (uint16_t *)(void *)s.pool.data, s.pool.size / 2, FILL_UNIT);
    for (uint32_t i = 0; i < 16; i++)
        s.pages[i] = (i * 7 + 3) % 16;
    size_t shown = 0;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        if (only && strcmp(only, items[i].kernel) != 0)
            continue;
        for (size_t l = 0; l < n; l++) {
            if (!levels[l].usable)
                continue;
            double time = best_time(&items[i], levels[l].kernels, &s);
            printf("%-22s %-8s %10.2f us %8.2f G%s/s\n", items[i].name, levels[l].name, time * 1e6,
                   items[i].amount / time * 1e-9, items[i].unit);
            fflush(stdout);
            shown++;
        }
    }
    area_free(s.w);
    area_free(s.q);
    area_free(s.x);
    area_free(s.out);
    area_free(s.pool);
    return shown ? 0 : 2;
}
