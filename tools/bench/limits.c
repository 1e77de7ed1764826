// What the machine can do: reading memory and multiplying int8, with the threads of the tests.
#include "bench/bench.h"

#include "common/fail.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HUGE_PAGE = 2 << 20,
    BLOCK = 64 << 10, // that interleaved threads take turns with
    SHARE = 16 << 10, // granularity of shares in one piece
    LEAST_PASSES = 5,
    PEAK_PASSES = MAX_PASSES / 2,
    PEAK_ROUNDS = 100000, // of a loop of some 16 instructions: a millisecond
};

struct job {
    const struct read_loop *read; // NULL: run `peak`
    const struct peak_loop *peak;
    uint8_t *data; // NULL with `read`: nothing
    size_t bytes;
    uint32_t threads;
    int passes;
    pthread_barrier_t barrier;
};

struct worker {
    struct job *job;
    uint32_t index;
    pthread_t thread;
    bool started;
    double start[MAX_PASSES / 2], end[MAX_PASSES / 2]; // seconds
    double work;                                       // of one pass: bytes or multiply-accumulates
    volatile uint64_t sum;
};

static void read_share(struct worker *worker)
{
    const struct job *job = worker->job;
    uint64_t sum = 0;
    if (job->read->interleaved) {
        for (size_t at = (size_t)worker->index * BLOCK; at < job->bytes; at += (size_t)job->threads * BLOCK)
            sum += job->read->read(job->data + at, BLOCK);
    } else {
        size_t units = job->bytes / SHARE;
        size_t first = units * worker->index / job->threads, last = units * (worker->index + 1) / job->threads;
        sum = job->read->read(job->data + first * SHARE, (last - first) * SHARE);
    }
    worker->sum += sum;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct job *job = worker->job;
    for (int pass = 0; pass < job->passes; pass++) {
        pthread_barrier_wait(&job->barrier);
        worker->start[pass] = bench_seconds();
        if (job->read)
            read_share(worker);
        else
            worker->work = job->peak->run(PEAK_ROUNDS);
        worker->end[pass] = bench_seconds();
    }
    return NULL;
}

// Runs the job's passes with all its threads, the caller being the first, and writes the seconds of each pass, from the
// first start to the last end. *work: of a pass, summed over the threads.
static int run_job(struct job *job, double *seconds, double *work)
{
    struct worker *workers = calloc(job->threads, sizeof *workers);
    uint32_t started = 0;
    if (!workers || pthread_barrier_init(&job->barrier, NULL, job->threads) != 0) {
        free(workers);
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    for (uint32_t i = 0; i < job->threads; i++) {
        workers[i].job = job;
        workers[i].index = i;
    }
    int error = 0;
    while (started + 1 < job->threads && !error) {
        error = pthread_create(&workers[started + 1].thread, NULL, worker_main, &workers[started + 1]);
        started += !error;
    }
    if (error) { // those that wait at the barrier will not come back
        tool_say(PROGRAM, "thread %u of %u could not be started: %s", started + 2, job->threads, strerror(error));
        return TOOL_EXIT_RESOURCE;
    }
    worker_main(&workers[0]);
    for (uint32_t i = 1; i < job->threads; i++)
        pthread_join(workers[i].thread, NULL);
    *work = 0;
    for (int pass = 0; pass < job->passes; pass++) {
        double start = INFINITY, end = 0;
        for (uint32_t i = 0; i < job->threads; i++) {
            start = fmin(start, workers[i].start[pass]);
            end = fmax(end, workers[i].end[pass]);
        }
        seconds[pass] = end - start;
    }
    for (uint32_t i = 0; i < job->threads; i++)
        *work += workers[i].work;
    pthread_barrier_destroy(&job->barrier);
    free(workers);
    return 0;
}

// Adds the passes of one loop to those from before.
static void add_passes(struct limits *limits, size_t loop, enum pages pages, const double *seconds, size_t passes)
{
    double *all = limits->loops[loop].seconds[pages];
    size_t held = limits->loops[loop].n_passes[pages];
    for (size_t i = 0; i < passes && held < MAX_PASSES; i++)
        all[held++] = seconds[i];
    limits->loops[loop].n_passes[pages] = held;
    limits->loops[loop].gb[pages] = (double)limits->mem / stats_median(all, held) * 1e-9;
    limits->best_gb[pages] = fmax(limits->best_gb[pages], (double)limits->mem / all[0] * 1e-9); // it is sorted now
}

static int measure_reads(struct limits *limits, enum pages pages, uint8_t *data)
{
    struct read_loop loops[MAX_LOOPS];
    double seconds[MAX_PASSES / 2], work;
    limits->n_loops = loops_list(loops);
    // Small amounts are read more often, else a disturbance would hit all passes.
    size_t passes = ((size_t)4 << 30) / limits->mem;
    passes = passes < LEAST_PASSES ? LEAST_PASSES : passes > MAX_PASSES / 2 ? MAX_PASSES / 2 : passes;
    limits->read_gb[pages] = 0;
    for (size_t i = 0; i < limits->n_loops; i++) {
        struct job job = {
            .read = &loops[i], .data = data, .bytes = limits->mem, .threads = limits->threads, .passes = (int)passes};
        int exit_code = run_job(&job, seconds, &work);
        if (exit_code)
            return exit_code;
        limits->loops[i].name = loops[i].name;
        add_passes(limits, i, pages, seconds, passes);
        if (limits->loops[i].gb[pages] > limits->read_gb[pages]) {
            limits->read_gb[pages] = limits->loops[i].gb[pages];
            limits->read_loop[pages] = loops[i].name;
        }
    }
    return 0;
}

// Memory to read, all of it written. NULL: there is none, which has been told. Ownership: munmap(*mapping, *bytes).
static uint8_t *map_pages(size_t mem, enum pages pages, void **mapping, size_t *bytes)
{
    *bytes = mem + HUGE_PAGE;
    *mapping = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*mapping == MAP_FAILED) {
        tool_say(PROGRAM, "%zu bytes of memory to read: %s; --mem takes less", mem, strerror(errno));
        return NULL;
    }
    uint8_t *data = (uint8_t *)*mapping + (HUGE_PAGE - (uintptr_t)*mapping % HUGE_PAGE) % HUGE_PAGE;
    madvise(*mapping, *bytes, pages == PAGES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(data, 1, mem);
    return data;
}

static int measure_pages(struct limits *limits, enum pages pages)
{
    size_t bytes;
    void *mapping;
    uint8_t *data = map_pages(limits->mem, pages, &mapping, &bytes);
    if (!data)
        return TOOL_EXIT_RESOURCE;
    uint64_t huge = machine_huge_bytes(data);
    limits->huge_share[pages] = huge >= limits->mem ? 1 : (double)huge / (double)limits->mem;
    int exit_code = measure_reads(limits, pages, data);
    munmap(mapping, bytes);
    return exit_code;
}

int probe_open(struct probe *probe, uint32_t threads, size_t mem, enum pages pages)
{
    *probe = (struct probe){.threads = threads, .mem = mem};
    probe->data = map_pages(mem, pages, &probe->mapping, &probe->bytes);
    return probe->data ? 0 : TOOL_EXIT_RESOURCE;
}

void probe_restart(struct probe *probe)
{
    probe->n = 0;
}

int probe_read(struct probe *probe)
{
    struct read_loop loops[MAX_LOOPS];
    double work;
    probe->n_loops = loops_list(loops);
    for (size_t i = 0; i < probe->n_loops && probe->n < MAX_PASSES; i++) {
        struct job job = {
            .read = &loops[i], .data = probe->data, .bytes = probe->mem, .threads = probe->threads, .passes = 1};
        int exit_code = run_job(&job, &probe->seconds[i][probe->n], &work);
        if (exit_code)
            return exit_code;
    }
    if (probe->n < MAX_PASSES)
        probe->handoff_ns[probe->n++] = handoff_ns(probe->threads);
    return 0;
}

void probe_gb(struct probe *probe, double *median, double *best)
{
    *median = *best = NAN;
    for (size_t i = 0; i < probe->n_loops && probe->n > 0; i++) {
        double *seconds = probe->seconds[i]; // sorted by the first call
        *median = fmax(*median, (double)probe->mem / stats_median(seconds, probe->n) * 1e-9);
        *best = fmax(*best, (double)probe->mem / seconds[0] * 1e-9);
    }
}

double probe_handoff(struct probe *probe)
{
    return stats_median(probe->handoff_ns, probe->n);
}

void probe_close(struct probe *probe)
{
    if (probe->data)
        munmap(probe->mapping, probe->bytes);
    *probe = (struct probe){0};
}

static int measure_peak(struct limits *limits)
{
    struct job job = {.peak = peak_find(), .threads = limits->threads, .passes = PEAK_PASSES};
    double seconds[MAX_PASSES / 2], work;
    if (!job.peak) {
        limits->macs = NAN;
        return 0;
    }
    int exit_code = run_job(&job, seconds, &work);
    if (exit_code)
        return exit_code;
    (void)stats_median(seconds, PEAK_PASSES); // sorts
    limits->macs = fmax(limits->macs, work / seconds[0]);
    limits->mac_loop = job.peak->name;
    return 0;
}

int limits_measure(struct limits *limits, uint32_t threads, size_t mem)
{
    limits->threads = threads;
    limits->mem = mem;
    limits->handoff_ns = fmax(limits->handoff_ns, handoff_ns(threads));
    int exit_code = measure_peak(limits);
    for (int pages = 0; pages < N_PAGES && !exit_code; pages++)
        exit_code = measure_pages(limits, (enum pages)pages);
    return exit_code;
}
