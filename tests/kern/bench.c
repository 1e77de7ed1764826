// kern --bench: time of each kernel at each level, at the sizes of the published 2B model. Figures, not tests.
#include "kern.h"

#include <time.h>

enum { COLS = 2560, FFN = 6912, ROWS = 6912, HEAD_ROWS = 4096, POSITIONS = 1024, DIM = 128, GROUP = 4, PREFILL = 512 };

// What is read from memory: a slice at a time, all of them beyond any cache.
#define SLICE ((size_t)64 * 32 * COLS / 4)
#define MEMORY (128 * SLICE)

struct work {
    struct kern random;
    struct area w, q, x, out, pool;
    size_t slice;
    struct bn_row_scale scales[PREFILL];
    uint32_t pages[16];
};

struct item {
    const char *name, *kernel, *unit;
    double amount; // of units in one call
    void (*call)(const struct bn_kernels *k, struct work *s);
};

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

// As a prompt is read: tiles of rows with all activations.
static void prefill(const struct bn_kernels *k, struct work *s, size_t cols, size_t n)
{
    for (size_t r = 0; r < 128; r += 32)
        k->ternary(s->w.data + r * cols / 4, 32, cols, (int8_t *)s->q.data, cols, s->scales, n, ints(s->out), 32);
}

static void prefill32(const struct bn_kernels *k, struct work *s)
{
    prefill(k, s, COLS, 32);
}

static void prefill128(const struct bn_kernels *k, struct work *s)
{
    prefill(k, s, COLS, 128);
}

static void prefill512(const struct bn_kernels *k, struct work *s)
{
    prefill(k, s, COLS, PREFILL);
}

static void prefill512_ffn(const struct bn_kernels *k, struct work *s)
{
    prefill(k, s, FFN, PREFILL);
}

static void ternary_small(const struct bn_kernels *k, struct work *s)
{
    k->ternary(s->w.data, 256, 256, (int8_t *)s->q.data, 256, s->scales, 1, ints(s->out), 256);
}

// One tile of rows, again and again from the cache.
static void ternary_cached(const struct bn_kernels *k, struct work *s)
{
    k->ternary(s->w.data, 64, COLS, (int8_t *)s->q.data, COLS, s->scales, 1, ints(s->out), 64);
}

static uint8_t *next_slice(struct work *s)
{
    s->slice = s->slice + SLICE < MEMORY ? s->slice + SLICE : 0;
    return s->pool.data + s->slice;
}

// Weights from memory, a tile of rows after the other.
static void from_memory(const struct bn_kernels *k, struct work *s, size_t n)
{
    const uint8_t *w = next_slice(s);
    for (size_t at = 0; at < SLICE; at += 32 * COLS / 4)
        k->ternary(w + at, 32, COLS, (int8_t *)s->q.data, COLS, s->scales, n, ints(s->out), 32);
}

static void ternary_memory(const struct bn_kernels *k, struct work *s)
{
    from_memory(k, s, 1);
}

static void ternary_memory2(const struct bn_kernels *k, struct work *s)
{
    from_memory(k, s, 2);
}

static void ternary_memory4(const struct bn_kernels *k, struct work *s)
{
    from_memory(k, s, 4);
}

static void ternary_memory8(const struct bn_kernels *k, struct work *s)
{
    from_memory(k, s, 8);
}

// Scales of groups of 128 columns; where they are does not matter.
static void groups_memory(const struct bn_kernels *k, struct work *s)
{
    struct bn_groups args = {.w = next_slice(s),
                             .rows = 32,
                             .cols = COLS,
                             .group = 128,
                             .groups = COLS / 128,
                             .scales = floats(s->x),
                             .q = (int8_t *)s->q.data,
                             .q_stride = COLS,
                             .n_rows = 1,
                             .out = floats(s->out),
                             .out_stride = 32};
    for (size_t at = 0; at < SLICE; at += 32 * COLS / 4, args.w += 32 * COLS / 4)
        bn_kernels_groups(k)(&args);
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
    const uint8_t *w = next_slice(s);
    for (size_t at = 0; at < SLICE; at += 64 * COLS * 2)
        k->dot(BN_LAYOUT_F16, w + at, 64, COLS, floats(s->x), floats(s->out));
}

// The head's scan: int8 rows from memory.
static void scan_memory(const struct bn_kernels *k, struct work *s)
{
    const int8_t *w = (const int8_t *)next_slice(s);
    for (size_t at = 0; at < SLICE; at += 64 * COLS)
        k->scan(w + at, 64, COLS, (int8_t *)s->q.data, 2, ints(s->out), 64);
}

static void scan_cached(const struct bn_kernels *k, struct work *s)
{
    k->scan((int8_t *)s->w.data, 64, COLS, (int8_t *)s->q.data, 2, ints(s->out), 64);
}

static void dot_bf16(const struct bn_kernels *k, struct work *s)
{
    k->dot(BN_LAYOUT_BF16, s->pool.data, HEAD_ROWS, COLS, floats(s->x), floats(s->out));
}

static void dot_f32(const struct bn_kernels *k, struct work *s)
{
    k->dot(BN_LAYOUT_F32, s->pool.data, HEAD_ROWS / 2, COLS, floats(s->x), floats(s->out));
}

static void attend_type(const struct bn_kernels *k, struct work *s, enum bn_kv_type type)
{
    k->attend(&(struct bn_attend){
        .q = floats(s->x),
        .out = floats(s->out),
        .scores = floats(s->out) + GROUP * DIM,
        .pool = s->pool.data,
        .pages = s->pages,
        .page_bytes = bn_kv_page_bytes(1, 1, DIM, type),
        .k_offset = 0,
        .v_offset = bn_kv_head_bytes(DIM, type),
        .kv_type = type,
        .n_positions = POSITIONS,
        .group = GROUP,
        .head_dim = DIM,
        .scale = 0.088f,
    });
}

static void attend(const struct bn_kernels *k, struct work *s)
{
    attend_type(k, s, BN_KV_F16);
}

static void attend8(const struct bn_kernels *k, struct work *s)
{
    attend_type(k, s, BN_KV_INT8);
}

// Memory as it comes: a sum of its words, for comparison.
static void read_memory(const struct bn_kernels *k, struct work *s)
{
    uint64_t sums[16] = {0};
    const uint64_t *words = (const uint64_t *)(const void *)next_slice(s);
    for (size_t i = 0; i < SLICE / 8; i += 16)
        for (size_t j = 0; j < 16; j++)
            sums[j] += words[i + j];
    memcpy(s->out.data, sums, sizeof sums);
}

#define MACS(rows, cols, n) ((double)(rows) * (cols) * (n))
static const struct item items[] = {
    {"ternary 6912x2560 x1", "ternary", "MAC", MACS(ROWS, COLS, 1), ternary1},
    {"ternary 6912x2560 x4", "ternary", "MAC", MACS(ROWS, COLS, 4), ternary4},
    {"ternary 6912x2560 x8", "ternary", "MAC", MACS(ROWS, COLS, 8), ternary8},
    {"ternary 64x2560 x1", "ternary", "MAC", MACS(64, COLS, 1), ternary_cached},
    {"ternary 256x256 x1", "ternary", "MAC", MACS(256, 256, 1), ternary_small},
    {"ternary 128x2560 x32", "ternary", "MAC", MACS(128, COLS, 32), prefill32},
    {"ternary 128x2560 x128", "ternary", "MAC", MACS(128, COLS, 128), prefill128},
    {"ternary 128x2560 x512", "ternary", "MAC", MACS(128, COLS, PREFILL), prefill512},
    {"ternary 128x6912 x512", "ternary", "MAC", MACS(128, FFN, PREFILL), prefill512_ffn},
    {"ternary memory", "ternary", "B", (double)SLICE, ternary_memory},
    {"groups of 128 memory", "groups", "B", (double)SLICE, groups_memory},
    {"ternary memory x2", "ternary", "MAC", 4.0 * 2 * SLICE, ternary_memory2},
    {"ternary memory x4", "ternary", "MAC", 4.0 * 4 * SLICE, ternary_memory4},
    {"ternary memory x8", "ternary", "MAC", 4.0 * 8 * SLICE, ternary_memory8},
    {"read memory", "ternary", "B", (double)SLICE, read_memory},
    {"dot f16 memory", "dot", "B", (double)SLICE, dot_memory},
    {"scan memory", "scan", "B", (double)SLICE, scan_memory},
    {"scan 64x2560", "scan", "B", 64.0 * COLS, scan_cached},
    {"dot f16 4096x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_f16},
    {"dot bf16 4096x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_bf16},
    {"dot f32 2048x2560", "dot", "B", 2.0 * HEAD_ROWS *COLS, dot_f32},
    {"attend 1024 x4 x128", "attend", "MAC", 2.0 * GROUP *POSITIONS *DIM, attend},
    {"attend8 1024 x4 x128", "attend", "MAC", 2.0 * GROUP *POSITIONS *DIM, attend8},
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

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { ROUNDS = 5, MOST_CALLS = 4000, MOST_LEVELS = 16 };

// Seconds of a call: the median of what fits a twentieth of a second.
static double time_of(const struct item *item, const struct bn_kernels *k, struct work *s)
{
    static double times[MOST_CALLS];
    size_t calls = 1, n = 0;
    for (double start = seconds(); n < MOST_CALLS && seconds() - start < 0.05;) {
        double a = seconds();
        for (size_t i = 0; i < calls; i++)
            item->call(k, s);
        times[n] = (seconds() - a) / (double)calls;
        calls = times[n] > 1e-5 ? 1 : (size_t)(1e-5 / times[n]) + 1;
        n++;
    }
    qsort(times, n, sizeof times[0], by_size);
    return times[n / 2];
}

// Rounds over all levels, so that what else runs on the machine meets all of them alike: the best and the median.
static void bench_item(const struct item *item, const struct bn_isa *levels, size_t n, struct work *s)
{
    double times[MOST_LEVELS][ROUNDS];
    n = n < MOST_LEVELS ? n : MOST_LEVELS;
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t l = 0; l < n; l++)
            times[l][round] = levels[l].usable ? time_of(item, levels[l].kernels, s) : 0;
    for (size_t l = 0; l < n; l++) {
        if (!levels[l].usable)
            continue;
        qsort(times[l], ROUNDS, sizeof times[l][0], by_size);
        printf("%-22s %-12s %10.2f us %8.2f G%s/s   median %8.2f\n", item->name, levels[l].name, times[l][0] * 1e6,
               item->amount / times[l][0] * 1e-9, item->unit, item->amount / times[l][ROUNDS / 2] * 1e-9);
        fflush(stdout);
    }
}

int bench(const struct bn_isa *levels, size_t n, const char *only)
{
    struct work s = {.w = area_new((size_t)ROWS * COLS / 4),
                     .q = area_new((size_t)PREFILL * FFN),
                     .x = area_new((size_t)4 * 2 * FFN),
                     .out = area_new((size_t)4 * 8 * ROWS),
                     .pool = area_new(MEMORY)};
    fill_codes(&s.random, s.w.data, s.w.size, 0);
    fill_q8(&s.random, (int8_t *)s.q.data, s.q.size, 0);
    fill_floats(&s.random, floats(s.x), s.x.size / 4, FILL_UNIT);
    fill_halves(&s.random, (uint16_t *)(void *)s.pool.data, SLICE / 2, FILL_UNIT);
    for (size_t at = SLICE; at < MEMORY; at += SLICE)
        memcpy(s.pool.data + at, s.pool.data, SLICE);
    for (uint32_t i = 0; i < 16; i++)
        s.pages[i] = (i * 7 + 3) % 16;
    size_t shown = 0;
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        if (only && strcmp(only, items[i].kernel) != 0)
            continue;
        bench_item(&items[i], levels, n, &s);
        shown++;
    }
    area_free(s.w);
    area_free(s.q);
    area_free(s.x);
    area_free(s.out);
    area_free(s.pool);
    return shown ? 0 : 2;
}
