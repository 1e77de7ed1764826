// bitnet-convert: makes model files out of others, and looks into them.
#include "common/fail.h"
#include "common/json.h"
#include "convert/synthetic.h"
#include "convert/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define S struct settings

static const struct settings defaults = {.architecture = "bitnet-b1.58"};

static const struct tool_option options[] = {
    {.group = "What to do with INPUT, a GGUF file or a folder of Hugging Face",
     .names = "--inspect",
     TOOL_FLAG(S, inspect),
     .help = "print its keys and tensors, with how often each code occurs and what the scales are"},
    {.names = "--diff", TOOL_FLAG(S, diff), .help = "say whether two of them hold the same numbers"},
    {.names = "--verify",
     TOOL_FLAG(S, verify),
     .help = "compare a file with the checksums that it has from bitnet-convert; with OUTPUT, after writing it"},
    {.names = "--json", TOOL_FLAG(S, json), .help = "what --inspect prints, as JSON"},
    {.group = "What OUTPUT, a GGUF file or with --folder a folder of Hugging Face, becomes",
     .names = "--folder",
     TOOL_WORD(S, folder, "no packed inverse floats"),
     .arg = "FORM",
     .help =
         "a folder: uint8 with a scale that multiplies (packed) or divides (inverse), or ternary floats, bf16 where it "
         "is exact; the types of weights, and --pack, do not go with it"},
    {.names = "--shard-size",
     TOOL_U64(S, shard_megabytes),
     .arg = "MB",
     .shown = "one file",
     .help = "with --folder: start another file of weights before one has more megabytes than that"},
    {.names = "-t --type",
     TOOL_STRING(S, matrices),
     .arg = "TYPE",
     .shown = "as they are, or i2_s",
     .help = "of the ternary matrices; the types are listed below"},
    {.names = "--embedding-type",
     TOOL_STRING(S, embeddings),
     .arg = "TYPE",
     .shown = "as they are",
     .help = "of the embedding and the head"},
    {.names = "--pack",
     TOOL_FLAG(S, pack),
     .help = "what the CPU reads in place: i2_s in the order 128/32, and the int8 copy of a large head; nothing is "
             "made anew "
             "when it is opened"},
    {.names = "--lossy",
     TOOL_FLAG(S, lossy),
     .help = "allow what changes numbers: floats that are rounded, several scales that become their mean"},
    {.names = "--i2s-layout",
     TOOL_WORD(S, order, "auto 128/32 64/16 1x4 A B C"),
     .arg = "ORDER",
     .help =
         "byte order of the I2_S weights that are written; auto is 128/32, or that of INPUT. The weights themselves "
         "are the same in each"},
    {.names = "--activation",
     TOOL_WORD(S, activation, "auto relu2 silu"),
     .arg = "NAME",
     .help = "of INPUT, if it does not say"},
    {.group = "What to make without an INPUT",
     .names = "--synthetic",
     TOOL_STRING(S, synthetic),
     .arg = "SIZE",
     .shown = "",
     .help = "a model of random weights of this size; the sizes are listed below"},
    {.names = "--arch",
     TOOL_STRING(S, architecture),
     .arg = "NAME",
     .help = "its architecture: bitnet-b1.58, bitnet-25 (relu2, a head of its own) or bitnet (SiLU)"},
    {.names = "--seed", TOOL_U64(S, seed), .arg = "N", .help = "of the random weights"},
    {.group = "Output", .names = "-f --force", TOOL_FLAG(S, force), .help = "replace the output file if it exists"},
    {.names = "--resume",
     TOOL_FLAG(S, resume),
     .help = "go on with OUTPUT.part, which an attempt that was stopped has left"},
    {.names = "--threads",
     TOOL_U32(S, threads),
     .arg = "N",
     .max = 8,
     .shown = "one for each CPU, 8 at most",
     .help = "threads that convert"},
    {.names = "-q --quiet", TOOL_FLAG(S, quiet), .help = "no progress and no figures on stderr"},
};

#define BN_SIZE(name, about, ...) "  " name ": " about "\n"
static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "[options] INPUT OUTPUT\n--synthetic SIZE [options] OUTPUT\n--inspect [--json] INPUT\n--diff INPUT INPUT\n"
             "--verify FILE",
    .about = "Makes model files out of others. OUTPUT appears under its name only when it is complete.",
    .notes = "Types: i2_s tq1_0 tq2_0 q2_0 pq2_0 ptq1_0 iq1_bn iq2_bn iq2_bn_r4; of the embedding and the head also "
             "f32 f16 bf16 q8_0 "
             "q5_0 q4_0\n\nSizes:\n"
#include "convert/sizes.inl"
             "\nExit: 0 done, 1 they differ or a checksum is wrong, 2 usage or unreadable path, 3 model refused, 5 "
             "memory or "
             "disk, 130 interrupted.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .defaults = &defaults,
    .size = sizeof defaults,
    .max_operands = 2,
};
#undef BN_SIZE

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int caught_signal(void)
{
    return caught;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void progress_start(struct progress *progress, const struct settings *settings)
{
    *progress = (struct progress){.shown = !settings->quiet && isatty(STDERR_FILENO), .started = now()};
    progress->first = UINT64_MAX;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(now() - progress->started) / 1e9;
}

bool progress_report(void *user, uint64_t done, uint64_t total)
{
    struct progress *progress = user;
    if (progress->first == UINT64_MAX)
        progress->first = done;
    uint64_t time = now();
    if (!progress->shown || (time - progress->said < 100000000 && done < total))
        return caught == 0;
    progress->said = time;
    double part = total ? (double)done / (double)total : 1, seconds = progress_seconds(progress);
    double rate = seconds > 0 ? (double)(done - progress->first) / seconds : 0;
    char bar[31];
    for (int i = 0; i < 30; i++)
        bar[i] = i < (int)(30 * part) ? '#' : '.';
    bar[30] = '\0';
    fprintf(stderr, "\r[%s] %3.0f%% of %.1f MB", bar, 100 * part, (double)total / 1e6);
    if (rate > 0)
        fprintf(stderr, ", %.0f MB/s, %.0f s left", rate / 1e6, (double)(total - done) / rate);
    fputs("\033[K", stderr);
    return caught == 0;
}

void progress_end(const struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
}

static bool known_size(const char *name)
{
    size_t n;
    const struct bn_size *sizes = bn_sizes(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(sizes[i].name, name) == 0)
            return true;
    }
    return false;
}

static int write_model(const struct settings *settings, struct bn_runtime *runtime, const char *output)
{
    struct progress progress;
    struct bn_error err = {0};
    progress_start(&progress, settings);
    struct bn_synthetic config = {
        .size = settings->synthetic,
        .architecture = settings->architecture,
        .order = (enum bn_i2s_order)(settings->order > BN_I2S_C ? settings->order - BN_I2S_C : settings->order),
        .seed = settings->seed,
        .progress = progress_report,
        .user = &progress,
    };
    enum bn_result result = bn_synthetic_write(runtime, output, &config, &err);
    progress_end(&progress);
    if (result == BN_ERR_CANCELLED) {
        tool_say(PROGRAM, "interrupted, %s was not written", output);
        return TOOL_EXIT_SIGNAL + caught;
    }
    if (result != BN_OK)
        return tool_fail(PROGRAM, &err, NULL);
    struct stat st;
    if (!settings->quiet && stat(output, &st) == 0)
        tool_say(PROGRAM, "%s: %s %s, %.1f MB, seed %" PRIu64, output, settings->architecture, settings->synthetic,
                 (double)st.st_size / 1e6, settings->seed);
    return 0;
}

static int act(const struct settings *settings, struct bn_runtime *runtime, const struct tool_list *operands)
{
    const char *const *items = operands->items;
    if (settings->synthetic)
        return write_model(settings, runtime, items[0]);
    if (settings->inspect)
        return run_inspect(settings, runtime, items[0]);
    if (settings->diff)
        return run_diff(settings, runtime, items[0], items[1]);
    if (settings->verify && operands->n == 1)
        return run_verify(settings, runtime, items[0]);
    int exit_code = run_conversion(settings, runtime, items[0], items[1]);
    return exit_code == 0 && settings->verify ? run_verify(settings, runtime, items[1]) : exit_code;
}

static void print_message(void *user, enum bn_log_level level, const char *message)
{
    const struct settings *settings = user;
    if (level <= (settings->quiet ? BN_LOG_ERROR : BN_LOG_WARNING))
        tool_say(PROGRAM, "%s%s", level == BN_LOG_WARNING ? "warning: " : "", message);
}

static int start(const struct settings *settings, const struct tool_list *operands)
{
    struct bn_error err = {0};
    struct bn_runtime *runtime;
    struct bn_runtime_config config;
    union {
        const struct settings *in;
        void *out;
    } user = {settings};
    BN_INIT(config);
    config.log = print_message;
    config.log_user = user.out;
    if (bn_runtime_create(&config, &runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    watch_signals();
    int exit_code = act(settings, runtime, operands);
    bn_runtime_destroy(runtime);
    return exit_code;
}

// The file that is written, NULL if none is.
static const char *output_of(const struct settings *settings, const struct tool_list *operands)
{
    if (settings->inspect || settings->diff || operands->n == 0)
        return NULL;
    return settings->synthetic ? operands->items[0] : operands->n > 1 ? operands->items[1] : NULL;
}

static int work(const struct settings *settings, const struct tool_list *operands)
{
    struct stat st;
    const char *output = output_of(settings, operands);
    bool exists = output && lstat(output, &st) == 0;
    bool one = settings->synthetic || settings->inspect || (settings->verify && operands->n == 1);
    int modes = (settings->synthetic != NULL) + settings->inspect + settings->diff;
    if (modes > 1 || (modes && settings->verify))
        tool_say(PROGRAM, "--synthetic, --inspect, --diff and --verify exclude each other");
    else if (modes == 0 && operands->n == 0)
        tool_say(PROGRAM, "nothing to make: INPUT OUTPUT, or --synthetic=SIZE, see --help");
    else if (settings->synthetic && !known_size(settings->synthetic))
        tool_say(PROGRAM, "--synthetic: no size is called '%s', see --help", settings->synthetic);
    else if (settings->synthetic && !output)
        tool_say(PROGRAM, "the name of the output file is missing");
    else if (one && operands->n > 1)
        tool_say(PROGRAM, "one argument too many: '%s'", operands->items[1]);
    else if (operands->n < (one ? 1 : 2))
        tool_say(PROGRAM, "the name of %s is missing",
                 settings->diff ? "the second input"
                 : one          ? "the input"
                                : "the output file");
    else if (settings->json && !settings->inspect)
        tool_say(PROGRAM, "--json goes with --inspect");
    else if (settings->json && tool_json_missing(PROGRAM))
        return TOOL_EXIT_USAGE;
    else if (settings->folder &&
             (modes || settings->matrices || settings->embeddings || settings->pack || settings->order))
        tool_say(PROGRAM, "--folder does not go with types of weights, nor with what makes no folder");
    else if (settings->shard_megabytes && !settings->folder)
        tool_say(PROGRAM, "--shard-size goes with --folder");
    else if (settings->shard_megabytes > UINT64_MAX / 1000000)
        tool_say(PROGRAM, "--shard-size: %" PRIu64 " is too large", settings->shard_megabytes);
    else if (settings->folder && exists)
        tool_say(PROGRAM, "%s: exists, and a folder is not replaced", output);
    else if (exists && !settings->force)
        tool_say(PROGRAM, "%s: exists; --force replaces it", output);
    else if (exists && !S_ISREG(st.st_mode))
        tool_say(PROGRAM, "%s: exists and is not a regular file", output);
    else
        return start(settings, operands);
    return TOOL_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct tool_list operands = {0};
    int exit_code;
    tool_start();
    if (tool_parse(&program, &settings, argc, argv, &operands, &exit_code))
        exit_code = work(&settings, &operands);
    tool_list_finish(&operands);
    return exit_code;
}
