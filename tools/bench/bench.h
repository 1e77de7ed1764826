// bitnet-bench: what its parts share.
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include "common/options.h"
#include "common/term.h"

#include <bitnet/bitnet.h>

#define PROGRAM "bitnet-bench"

enum { MAX_NUMBERS = 64, MAX_LOOPS = 12, MAX_PASSES = 64, MAX_PROFILE = 64, MAX_DEVICES = 16 };

enum output { OUTPUT_MD, OUTPUT_CSV, OUTPUT_JSON };

// Memory pages. HUGE: asked for with madvise; what was got is in the results.
enum pages { PAGES_HUGE, PAGES_SMALL, N_PAGES };

// What the command line says; options.c has the table and fills in the second half.
struct settings {
    const char *model, *models, *synthetic;
    int i2s_layout, activation;
    struct tool_list prompts, gens, pairs, depths, batches, ubatches, sessions, threads, pages, cache_types;
    uint32_t repetitions;
    bool warmup;
    const char *device, *isa;
    int wait, packing, mmap;
    bool limits;
    const char *mem;
    int head;
    uint32_t top_k;
    const char *plot, *trace, *compare, *results;
    float noise; // percent
    bool fail_if_worse;
    bool kernels, breakdown, tune;
    int output;
    bool json, csv, quiet;
};

// A list of an option: "1,2,4", "1-4", "128-512+128" or "1-8*2".
struct numbers {
    uint32_t value[MAX_NUMBERS];
    size_t n;
};

// The lists, with defaults filled in.
struct plan {
    struct numbers prompts, gens, pair_prompts, pair_gens, depths, batches, ubatches, sessions, threads;
    struct numbers pages, cache_types; // enum pages, enum bn_kv_type
    size_t mem;                        // bytes read to measure the bandwidth
    char *device_list;                 // that of the options, cut into pieces
    const char *devices[MAX_DEVICES];  // NULL: the best
    size_t n_devices;                  // at least 1
};

extern const struct tool_program bench_program;

// Returns an exit code; what is not 0 has been told.
int options_plan(struct settings *settings, struct plan *plan);

// Median, mean and the like. Samples are sorted by all but stats_mean and stats_stdev.
double stats_mean(const double *samples, size_t n);
double stats_stdev(const double *samples, size_t n);        // of a sample, n - 1; 0 for one
double stats_quantile(double *samples, size_t n, double q); // nearest rank; NaN for none
double bench_seconds(void);                                 // CLOCK_MONOTONIC
static inline double stats_median(double *samples, size_t n)
{
    return stats_quantile(samples, n, 0.5);
}

// One way to read memory.
struct read_loop {
    const char *name;
    bool interleaved; // threads take turns with blocks; otherwise each has a share in one piece
    uint64_t (*read)(const void *data, size_t bytes);
};

// Writes the loops that this machine can run, at most MAX_LOOPS; returns the number.
size_t loops_list(struct read_loop *list);

// Runs multiply-accumulates of int8 in registers: about `rounds` times a million. Returns the number made.
struct peak_loop {
    const char *name;
    double (*run)(uint64_t rounds);
};

// The widest that this machine can run; NULL if there is none.
const struct peak_loop *peak_find(void);

// What the machine can do with so many threads, measured. NaN: not measured.
struct limits {
    char machine[96];
    uint32_t threads;
    size_t mem;
    size_t n_loops;
    struct {
        const char *name;
        double seconds[N_PAGES][MAX_PASSES]; // of each pass, fastest first
        size_t n_passes[N_PAGES];
        double gb[N_PAGES]; // per second, median pass
    } loops[MAX_LOOPS];
    double read_gb[N_PAGES]; // median pass of the best loop, GB/s
    double best_gb[N_PAGES]; // best pass of all loops
    const char *read_loop[N_PAGES];
    double huge_share[N_PAGES]; // of the memory read that lay in huge pages
    double handoff_ns;          // the larger one of before and after the tests
    double macs;                // int8 multiply-accumulates per second, best pass
    const char *mac_loop;
};

// Measures, or measures again and adds to what `limits` holds from before. Zero it to start, but for handoff_ns: NaN.
int limits_measure(struct limits *limits, uint32_t threads, size_t mem);

// Nanoseconds in which a word goes from one core to another one and back, of those furthest apart. NaN: one thread, or the
// cores are busy with other things.
double handoff_ns(uint32_t threads);

// Reads between the repetitions of a test, so that both see the same machine: memory changes its speed within seconds
// where others share it. Ownership: probe_open's memory lives until probe_close, which is harmless on a zeroed probe.
struct probe {
    uint32_t threads;
    size_t mem, bytes, n_loops;
    void *mapping;
    uint8_t *data;
    double seconds[MAX_LOOPS][MAX_PASSES], handoff_ns[MAX_PASSES];
    size_t n;
};
int probe_open(struct probe *probe, uint32_t threads, size_t mem, enum pages pages);
void probe_restart(struct probe *probe);
int probe_read(struct probe *probe); // one pass of each loop; the first MAX_PASSES count
// Of the reads since the start: the median pass of the best loop, and the best pass. NaN: there were none.
void probe_gb(struct probe *probe, double *median, double *best);
double probe_handoff(struct probe *probe); // median
void probe_close(struct probe *probe);

// Bytes of anonymous memory in huge pages: of the mapping at `address`, or of the whole process for NULL.
uint64_t machine_huge_bytes(const void *address);

// Energy since some moment, joules: of a card's own counter, else of all packages (RAPL); NaN if not readable.
double machine_joules(const struct bn_device *device);
double machine_joules_between(double before, double after); // over the counters' wrap
const char *machine_joules_note(void);                      // why there is none; NULL if there is one

// "gcc 12.2.0", and the commit it was built from.
const char *machine_compiler(void);
const char *machine_commit(void);
void machine_system(char *text, size_t bytes); // "Linux 6.1.0 x86_64"
double machine_mhz(void);                      // of the fastest CPU now; NaN if not readable

// One test: what to run.
struct test {
    char name[64];
    uint32_t n_prompt, n_gen;
    uint32_t depth;
    uint32_t sessions;
    uint32_t n_batch;
    enum bn_kv_type kv_type;
};

// What came of it. NaN: unknown.
struct result {
    char test[64];
    char device[16], driver[16], isa[16], machine[96];
    uint32_t threads;
    enum pages pages;  // asked for
    int packing, mmap; // as the settings had them
    double huge_share; // of the weights in huge pages; NaN if they are read from the file
    uint32_t n_prompt, n_gen, depth, sessions, n_batch, n_ubatch;
    uint32_t batch; // rows computed at once
    enum bn_kv_type kv_type;
    double *samples; // tokens per second of each repetition
    size_t n_samples;
    double mean, stdev, median; // of samples
    double p50_ms, p99_ms;      // from one token of a session to the next
    double bytes_per_token;
    double macs_per_token;
    double achieved_gb;           // per second, at the median
    double read_gb, read_best_gb; // of the pages that the weights lie in; between the repetitions, if it was read there
    double handoff_ns;
    double copy_gb;         // per second, read and written, of the device's copy op; where the host's reads say nothing
    double bandwidth_share; // achieved, of what was read or copied
    double submissions, dispatches, host_us; // per token; host_us: a step's time but for what it waits
    double int8_share;                       // of the peak, at the median
    double joules_per_token;
    struct bn_device_sensors sensors; // of the card, right after the last repetition
    bool has_sensors;
    const char *head;              // its layout
    bool scanned;                  // through the scan copy
    double rescored;               // rows of the head whose exact logit was computed, per output
    struct bn_op_profile *profile; // --breakdown: of the repetitions only
    size_t n_profile;
    double seconds;    // of all repetitions
    uint64_t n_tokens; // likewise
};

struct kernel_result {
    char name[64];
    const char *isa;
    double seconds;
    double gb;   // per second, weights or cache read; NaN
    double gmac; // per second; NaN
};

// The model, after it is closed.
struct model_note {
    char name[128], architecture[64];
    uint64_t n_params, bytes;
};

struct bench {
    struct settings settings;
    struct plan plan;
    struct tool_out out;
    bool has_tests;   // else only the machine is measured
    char *model_path; // NULL without tests
    struct model_note model;
    const char *device; // the one that is opened; NULL: the best
    char machine[256];  // what the devices call themselves
    struct {
        char device[40]; // "gpu0/vulkan"
        double gb;       // per second, read and written, of its copy op
    } copies[MAX_DEVICES];
    size_t n_copies;
    struct limits *limits; // one per thread count
    size_t n_limits;
    struct result *results;
    size_t n_results;
    struct kernel_result *kernels;
    size_t n_kernels;
    struct bn_runtime *runtime; // of the trace, which outlives those of the tests
    struct bn_trace *trace;     // NULL: none
    struct json_t *before;      // --compare: what the file holds
};

// All functions below return an exit code; what is not 0 has been told.

// The default model, that of -m, or that of --synthetic in the cache folder.
int bench_find_model(struct bench *bench);

// With every device, thread count and page policy: measures the machine, opens the model, runs all tests.
int tests_run(struct bench *bench);
int kernels_run(struct bench *bench);
int tune_run(struct bench *bench); // --tune: finds what is fastest, and writes it down

int report_print(struct bench *bench);
void report_notes(const struct bench *bench);                                    // on stderr
void report_head(const struct result *result, char *text, size_t bytes);         // "f16", "int8 scan, f16"
const char *report_model(const struct bench *bench);                             // the name of the file
const char *report_pages(const struct result *result);                           // "huge", "4k", "file"
const struct limits *report_limits(const struct bench *bench, uint32_t threads); // NULL: not measured
int report_print_json(struct bench *bench);
struct json_t *report_objects(const struct bench *bench); // what --json prints; a new reference

// compare.c. Reads the file of --compare.
int compare_open(struct bench *bench);
void compare_close(struct bench *bench);
// Puts the results of now (a reference that is taken) beside it, and prints them as JSON, or what has changed as a table.
int compare_print(struct bench *bench, struct json_t *now);
// The same with the results of --results, and nothing measured.
int compare_files(struct bench *bench);

int plot_check(const char *path); // whether a file of this name can be written
int plot_write(struct bench *bench);

// What the report says of the breakdown of one result.
struct breakdown_row {
    char op[32];
    double calls, us, share, wait_share, barriers; // per token; shares of the token's time
};

// Fills at most `capacity` rows; returns the number. *rest_us: outside of ops, per token.
size_t breakdown_rows(const struct result *result, struct breakdown_row *rows, size_t capacity, double *rest_us);

// Adds one element to an array; NULL: out of memory, which has been told.
void *bench_grow(void *array, size_t n, size_t bytes);

// Says what is going on, unless --quiet.
void bench_progress(const struct bench *bench, const char *format, ...) BN_PRINTF(2, 3);

#endif
