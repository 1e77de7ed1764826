// bitnet-convert: makes model files.
#include "common/fail.h"
#include "common/options.h"
#include "common/term.h"
#include "convert/synthetic.h"

#include <bitnet/bitnet.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "bitnet-convert"
#define S struct settings

struct settings {
    const char *synthetic, *architecture;
    int order;
    uint64_t seed;
    bool force, quiet;
};

static const struct settings defaults = {.architecture = "bitnet-b1.58"};

static const struct tool_option options[] = {
    {.group = "What to make",
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
    {.names = "--i2s-layout",
     TOOL_WORD(S, order, "auto 128/32 64/16 1x4 A B C"),
     .arg = "ORDER",
     .help = "byte order of the I2_S weights; auto is 128/32. The weights themselves are the same in each"},
    {.group = "Output", .names = "-f --force", TOOL_FLAG(S, force), .help = "replace the output file if it exists"},
    {.names = "-q --quiet", TOOL_FLAG(S, quiet), .help = "no progress and no figures on stderr"},
};

#define BN_SIZE(name, about, ...) "  " name ": " about "\n"
static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "--synthetic SIZE [options] OUTPUT",
    .about = "Makes model files. OUTPUT appears under its name only when it is complete.",
    .notes = "Sizes:\n"
#include "convert/sizes.inl"
             "\nExit: 0 done, 2 usage or unwritable path, 5 memory or disk, 130 interrupted.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .defaults = &defaults,
    .size = sizeof defaults,
    .max_operands = 1,
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

struct progress {
    bool shown; // stderr is a terminal
    unsigned percent;
};

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *progress = user;
    unsigned percent = total ? (unsigned)(100 * (double)done / (double)total) : 0;
    if (progress->shown && percent != progress->percent)
        fprintf(stderr, "\r%u%% of %.1f MB", percent, (double)total / 1e6);
    progress->percent = percent;
    return caught == 0;
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
    struct progress progress = {.shown = !settings->quiet && isatty(STDERR_FILENO)};
    struct bn_error err = {0};
    struct bn_synthetic config = {
        .size = settings->synthetic,
        .architecture = settings->architecture,
        .order = (enum bn_i2s_order)(settings->order > BN_I2S_C ? settings->order - BN_I2S_C : settings->order),
        .seed = settings->seed,
        .progress = on_progress,
        .user = &progress,
    };
    enum bn_result result = bn_synthetic_write(runtime, output, &config, &err);
    if (progress.shown)
        fputs("\r\033[K", stderr);
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

static int make(const struct settings *settings, const char *output)
{
    struct bn_error err = {0};
    struct bn_runtime *runtime;
    if (bn_runtime_create(NULL, &runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    watch_signals();
    int exit_code = write_model(settings, runtime, output);
    bn_runtime_destroy(runtime);
    return exit_code;
}

static int work(const struct settings *settings, const char *output)
{
    struct stat st;
    bool exists = output && lstat(output, &st) == 0;
    if (!settings->synthetic)
        tool_say(PROGRAM, "nothing to make: --synthetic=SIZE, see --help");
    else if (!known_size(settings->synthetic))
        tool_say(PROGRAM, "--synthetic: no size is called '%s', see --help", settings->synthetic);
    else if (!output)
        tool_say(PROGRAM, "the name of the output file is missing");
    else if (exists && !settings->force)
        tool_say(PROGRAM, "%s: exists; --force replaces it", output);
    else if (exists && !S_ISREG(st.st_mode))
        tool_say(PROGRAM, "%s: exists and is not a regular file", output);
    else
        return make(settings, output);
    return TOOL_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct tool_list operands = {0};
    int exit_code;
    tool_start();
    if (tool_parse(&program, &settings, argc, argv, &operands, &exit_code))
        exit_code = work(&settings, operands.n ? operands.items[0] : NULL);
    tool_list_finish(&operands);
    return exit_code;
}
