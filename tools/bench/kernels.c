// Single kernels at the shapes of 2B-4T, one thread, weights from memory: for every instruction set level.
#include "bench/bench.h"

#include "common/fail.h"
#include "cpu/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    EMBD = 2560,
    FF = 6912,
    DIM = 128,
    GROUP = 4,
    TILE = 32, // weight rows of one call, as the CPU driver makes them
    HEAD_TILE = 64,
    MAX_ROWS = 128,
    POSITIONS = 4096,
    MAX_ISAS = 16,
};

// Memory that all cases share. `pool` is larger than the caches: calls walk through it from start to end.
struct work {
    uint8_t *pool;
    size_t pool_bytes, at;
    int8_t *q;
    struct bn_row_scale scales[MAX_ROWS];
    float *x, *out, *scores;
    int32_t *acc;
    uint32_t pages[POSITIONS / BN_PAGE_POSITIONS];
};

struct item {
    const char *name;
    uint32_t rows, cols, n_rows; // of the whole op
    uint32_t tile;               // rows of one call; 0: one call is the whole op
    double bytes;                // read from memory by the whole op
    double macs;
    void (*call)(const struct bn_kernels *kernels, struct work *work, const struct item *item);
};

// The next `bytes` bytes of the pool.
static uint8_t *take(struct work *work, size_t bytes)
{
    if (work->pool_bytes - work->at < bytes)
        work->at = 0;
    uint8_t *data = work->pool + work->at;
    work->at += bytes;
    return data;
}

static void ternary(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    kernels->ternary(take(work, (size_t)TILE * item->cols / 4), TILE, item->cols, work->q, item->cols, work->scales,
                     item->n_rows, work->acc, TILE);
}

static void head(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    const uint8_t *w = take(work, (size_t)HEAD_TILE * item->cols * 2);
    for (uint32_t i = 0; i < item->n_rows; i++)
        kernels->dot(BN_LAYOUT_F16, w, HEAD_TILE, item->cols, work->x, work->out);
}

static void scan(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    kernels->scan((const int8_t *)take(work, (size_t)HEAD_TILE * item->cols), HEAD_TILE, item->cols, work->q,
                  2 * item->n_rows, work->acc, HEAD_TILE);
}

static void attend_type(const struct bn_kernels *kernels, struct work *work, const struct item *item,
                        enum bn_kv_type type)
{
    uint64_t page = bn_kv_page_bytes(1, 1, DIM, type);
    kernels->attend(&(struct bn_attend){
        .q = work->x,
        .out = work->out,
        .scores = work->scores,
        .pool = take(work, (size_t)item->rows / BN_PAGE_POSITIONS * page),
        .pages = work->pages,
        .page_bytes = page,
        .v_offset = page / 2,
        .kv_type = type,
        .n_positions = item->rows,
        .group = GROUP,
        .head_dim = DIM,
        .scale = 0.088f,
    });
}

static void attend(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    attend_type(kernels, work, item, BN_KV_F16);
}

static void attend_int8(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    attend_type(kernels, work, item, BN_KV_INT8);
}

static void quantise(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    struct bn_row_scale scale;
    (void)!kernels->quantise(work->x, work->x, item->cols, 1e-5f, (int8_t *)work->out, &scale);
}

static void gate(const struct bn_kernels *kernels, struct work *work, const struct item *item)
{
    kernels->gate(work->acc, work->acc, item->cols, 1e-3f, 1e-3f, BN_OP_RELU2, work->out);
}

#define TERNARY(rows, cols, n)                                                                                         \
    {                                                                                                                  \
        "ternary " #rows "x" #cols " x" #n, rows, cols, n, TILE, 0.25 * (rows) * (cols), 1.0 * (rows) * (cols) * (n),  \
            ternary                                                                                                    \
    }
static const struct item items[] = {
    TERNARY(13824, 2560, 1),
    TERNARY(13824, 2560, 4),
    TERNARY(13824, 2560, 8),
    TERNARY(13824, 2560, 128),
    TERNARY(2560, 6912, 1),
    TERNARY(2560, 6912, 4),
    TERNARY(2560, 6912, 8),
    TERNARY(2560, 6912, 128),
    TERNARY(3840, 2560, 1),
    TERNARY(3840, 2560, 4),
    TERNARY(3840, 2560, 8),
    TERNARY(3840, 2560, 128),
    {"head f16 128256x2560 x1", 128256, EMBD, 1, HEAD_TILE, 2.0 * 128256 * EMBD, 1.0 * 128256 * EMBD, head},
    {"head f16 128256x2560 x8", 128256, EMBD, 8, HEAD_TILE, 2.0 * 128256 * EMBD, 8.0 * 128256 * EMBD, head},
    {"scan int8 128256x2560 x1", 128256, EMBD, 1, HEAD_TILE, 1.0 * 128256 * EMBD, 2.0 * 128256 * EMBD, scan},
    {"scan int8 128256x2560 x8", 128256, EMBD, 8, HEAD_TILE, 1.0 * 128256 * EMBD, 16.0 * 128256 * EMBD, scan},
    {"attend 64 x4", 64, DIM, GROUP, 0, 4.0 * 64 * DIM, 2.0 * 64 * DIM *GROUP, attend},
    {"attend 4096 x4", 4096, DIM, GROUP, 0, 4.0 * 4096 * DIM, 2.0 * 4096 * DIM *GROUP, attend},
    {"attend int8 4096 x4", 4096, DIM, GROUP, 0, 2.0 * 4096 * (DIM + 4), 2.0 * 4096 * DIM *GROUP, attend_int8},
    {"quantise 2560", 1, EMBD, 1, 0, NAN, NAN, quantise},
    {"quantise 6912", 1, FF, 1, 0, NAN, NAN, quantise},
    {"gate 6912", 1, FF, 1, 0, NAN, NAN, gate},
};

// Seconds of the whole op: the best of some stretches of time.
static double best_seconds(const struct item *item, const struct bn_kernels *kernels, struct work *work,
                           uint32_t repetitions)
{
    const double stretch = 0.02;
    double best = INFINITY, part = item->tile ? (double)item->tile / item->rows : 1;
    item->call(kernels, work, item); // once to warm up
    for (uint32_t i = 0; i < repetitions; i++) {
        double start = bench_seconds(), now;
        uint64_t calls = 0;
        do {
            for (int batch = 0; batch < 4; batch++)
                item->call(kernels, work, item);
            calls += 4;
            now = bench_seconds();
        } while (now - start < stretch);
        double seconds = (now - start) / (double)calls / part;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static int add_result(struct bench *bench, const struct item *item, const char *isa, double seconds)
{
    struct kernel_result *grown = bench_grow(bench->kernels, bench->n_kernels, sizeof *grown);
    if (!grown)
        return TOOL_EXIT_RESOURCE;
    bench->kernels = grown;
    struct kernel_result *result = &grown[bench->n_kernels++];
    *result = (struct kernel_result){
        .isa = isa, .seconds = seconds, .gb = item->bytes / seconds * 1e-9, .gmac = item->macs / seconds * 1e-9};
    snprintf(result->name, sizeof result->name, "%s", item->name);
    return 0;
}

// Values that kernels meet in a real model: codes 0 to 2, f16 numbers of moderate size. The bytes do for both.
static void fill_pool(uint8_t *pool, size_t bytes)
{
    static const uint8_t low[] = {0x00, 0x01, 0x02, 0x10, 0x11, 0x12, 0x20, 0x21,
                                  0x22, 0x04, 0x05, 0x06, 0x14, 0x15, 0x16, 0x24};
    uint64_t state = 1;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        pool[i] = low[state >> 60];
    }
}

static int open_work(struct work *work, size_t mem)
{
    static const size_t least = (size_t)8 << 20;
    memset(work, 0, sizeof *work);
    work->pool_bytes = mem < least ? least : mem;
    void *pool =
        mmap(NULL, work->pool_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    work->pool = pool == MAP_FAILED ? NULL : pool;
    work->q = aligned_alloc(64, (size_t)MAX_ROWS * FF);
    work->x = aligned_alloc(64, FF * sizeof(float));
    work->out = aligned_alloc(64, FF * sizeof(float));
    work->scores = aligned_alloc(64, (size_t)GROUP * POSITIONS * sizeof(float));
    work->acc = aligned_alloc(64, FF * sizeof(int32_t));
    if (!work->pool || !work->q || !work->x || !work->out || !work->scores || !work->acc) {
        tool_say(PROGRAM, "out of memory; --mem takes less");
        return TOOL_EXIT_RESOURCE;
    }
    madvise(work->pool, work->pool_bytes, MADV_HUGEPAGE);
    fill_pool(work->pool, work->pool_bytes);
    for (size_t i = 0; i < (size_t)MAX_ROWS * FF; i++)
        work->q[i] = (int8_t)(i * 37 % 255 - 127);
    for (size_t i = 0; i < FF; i++) {
        work->x[i] = (float)((int)(i * 29 % 201) - 100) * 0.01f;
        work->acc[i] = (int32_t)(i * 31 % 2001) - 1000;
    }
    for (uint32_t i = 0; i < POSITIONS / BN_PAGE_POSITIONS; i++)
        work->pages[i] = i;
    return 0;
}

static void close_work(struct work *work)
{
    if (work->pool)
        munmap(work->pool, work->pool_bytes);
    free(work->q);
    free(work->x);
    free(work->out);
    free(work->scores);
    free(work->acc);
}

int kernels_run(struct bench *bench)
{
    struct bn_isa isas[MAX_ISAS];
    struct work work;
    size_t n_isas = bn_isa_list(isas, MAX_ISAS), found = 0;
    const char *wanted = bench->settings.isa;
    for (size_t i = 0; i < n_isas; i++)
        isas[i].usable = bn_isa_permit(&isas[i]);
    for (size_t i = 0; i < n_isas; i++)
        found += !wanted || (strcmp(isas[i].name, wanted) == 0 && isas[i].usable);
    if (!found) {
        tool_say(PROGRAM, "--isa: this machine has no level '%s'", wanted);
        return TOOL_EXIT_USAGE;
    }
    bn_cpu_name(bench->machine);
    int exit_code = open_work(&work, bench->plan.mem);
    for (size_t i = 0; i < sizeof items / sizeof *items && !exit_code; i++) {
        bench_progress(bench, "%s", items[i].name);
        for (size_t level = 0; level < n_isas && !exit_code; level++) {
            if (!isas[level].usable || (wanted && strcmp(wanted, isas[level].name) != 0))
                continue;
            double seconds = best_seconds(&items[i], isas[level].kernels, &work, bench->settings.repetitions);
            exit_code = add_result(bench, &items[i], isas[level].name, seconds);
        }
    }
    close_work(&work);
    return exit_code;
}
