// The options of bitnet-bench, with the names and defaults of llama-bench.
#include "bench/bench.h"

#include "common/fail.h"
#include "common/model_path.h"

#include <string.h>

#define S struct settings

static const struct settings defaults = {
    .repetitions = 5,
    .warmup = true,
    .limits = true,
    .mmap = -1,
    .mem = "1G",
    .noise = 5,
    .top_k = 40,
};

static const struct tool_option options[] = {
    {.group = "Model",
     .names = "-m --model",
     TOOL_STRING(S, model),
     .arg = "NAME",
     .shown = TOOL_DEFAULT_MODEL,
     .help = "model file, or a name to look for in the folders of models"},
    TOOL_ROW_MODELS(S),
    {.names = "--synthetic",
     TOOL_STRING(S, synthetic),
     .arg = "SIZE",
     .shown = "",
     .help = "the model of random weights of this size that lies in the cache folder; bitnet-convert makes it"},
    {.names = "--i2s-layout",
     TOOL_WORD(S, i2s_layout, "auto 128/32 64/16 1x4 A B C"),
     .arg = "ORDER",
     .help = "byte order of I2_S weights, which files do not tell"},
    {.names = "--activation",
     TOOL_WORD(S, activation, "auto relu2 silu"),
     .arg = "NAME",
     .help = "feed-forward activation, if the file's architecture is wrong about it"},

    {.group = "Tests",
     .names = "-p --n-prompt",
     TOOL_LIST(S, prompts),
     .arg = "LIST",
     .shown = "512",
     .help = "prompts of so many tokens: tests pp512 ...; 0: none"},
    {.names = "-n --n-gen",
     TOOL_LIST(S, gens),
     .arg = "LIST",
     .shown = "128",
     .help = "so many tokens one after the other: tests tg128 ...; 0: none"},
    {.names = "-pg",
     TOOL_LIST(S, pairs),
     .arg = "PP,TG",
     .shown = "",
     .help = "a prompt and then tokens, timed as one: test pp512+tg128; may be given several times"},
    {.names = "--depth",
     TOOL_LIST(S, depths),
     .arg = "LIST",
     .shown = "0",
     .help = "positions in the context before each test"},
    {.names = "--sessions",
     TOOL_LIST(S, sessions),
     .arg = "LIST",
     .shown = "1",
     .help = "sessions whose tokens are made in one batch: tests tg128 x8"},
    {.names = "--cache-type",
     TOOL_LIST(S, cache_types),
     .arg = "LIST",
     .shown = "f16",
     .help = "types of K and V in the cache: f16, int8; tests of the latter are called tg128 int8"},
    {.names = "-b --batch-size",
     TOOL_LIST(S, batches),
     .arg = "LIST",
     .shown = "2048",
     .help = "most prompt tokens of one step"},
    {.names = "-ub --ubatch-size",
     TOOL_LIST(S, ubatches),
     .arg = "LIST",
     .shown = "512",
     .help = "most tokens that the device computes at once"},
    {.names = "--head",
     TOOL_WORD(S, head, "auto full scan"),
     .arg = "HOW",
     .help = "compute all logits, or scan an int8 copy of the head for the likeliest tokens; auto: scan large heads"},
    {.names = "--top-k",
     TOOL_U32(S, top_k),
     .arg = "N",
     .min = 0,
     .max = 1024,
     .help = "ask for the N likeliest tokens, as sampling with --top-k does; 0: all logits"},
    {.names = "-r --repetitions",
     TOOL_U32(S, repetitions),
     .arg = "N",
     .min = 1,
     .max = 1000,
     .help = "times that each test is run"},
    {.names = "--warmup", TOOL_FLAG(S, warmup), .help = "run each test once before it is measured"},

    {.group = "Device",
     .names = "-d -dev --device",
     TOOL_STRING(S, device),
     .arg = "LIST",
     .shown = "$BITNET_DEVICE, else the best",
     .help = "devices or drivers, separated by commas, whose tests stand in one table; bitnet-run --list-devices "
             "shows them"},
    {.names = "-t --threads",
     TOOL_LIST(S, threads),
     .arg = "LIST",
     .shown = "what affinity and the control group allow",
     .help = "threads"},
    {.names = "--isa",
     TOOL_STRING(S, isa),
     .arg = "LEVEL",
     .shown = "$BITNET_CPU_ISA, else the best",
     .help = "instruction set level of the CPU: scalar, avx2, avx512vnni, neon ..."},
    {.names = "--mmap",
     TOOL_SWITCH(S, mmap),
     .help = "read weights from the mapped file where their form allows it, or copy them into memory first"},
    {.names = "--packing",
     TOOL_WORD(S, packing, "auto 2bit base3"),
     .arg = "FORM",
     .help = "form of ternary weights; base3: a fifth less to read, more to compute, the same numbers"},
    {.names = "--wait",
     TOOL_WORD(S, wait, "sleep spin"),
     .arg = "HOW",
     .help = "how threads wait for work; spin: no system call, at the cost of busy cores"},
    {.names = "--pages",
     TOOL_LIST(S, pages),
     .arg = "LIST",
     .shown = "huge",
     .help = "pages that memory is asked for: huge, 4k; weights read in place lie in those of the file"},

    {.group = "The machine",
     .names = "--limits",
     TOOL_FLAG(S, limits),
     .help = "measure read bandwidth and int8 peak too, before and after the tests"},
    {.names = "--mem",
     TOOL_STRING(S, mem),
     .arg = "BYTES",
     .help = "memory read for the bandwidth; K, M and G mean powers of 1024"},

    {.group = "Other measures",
     .names = "--breakdown",
     TOOL_FLAG(S, breakdown),
     .help = "where a token's time goes, op by op, and what waiting costs; looking at the clock takes a little of it"},
    {.names = "--trace",
     TOOL_STRING(S, trace),
     .arg = "FILE",
     .help = "write what host and device did when, for ui.perfetto.dev; this takes a little of the speed"},
    {.names = "--tune",
     TOOL_FLAG(S, tune),
     .help = "find the threads, and the form and place of weights, with which this model decodes fastest; what was "
             "found goes to "
             "the cache folder, and later runs of all programs take it where their options say nothing else"},
    {.names = "--kernels",
     TOOL_FLAG(S, kernels),
     .help = "time single kernels of every instruction set level at the shapes of 2B-4T, instead of a model"},

    {.group = "Comparing",
     .names = "--compare",
     TOOL_STRING(S, compare),
     .arg = "FILE",
     .help = "put the results beside those of a former --json (- for stdin): better, same or worse beyond the noise"},
    {.names = "--results",
     TOOL_STRING(S, results),
     .arg = "FILE",
     .help = "with --compare: measure nothing, the results of now are those of this --json"},
    {.names = "--noise",
     TOOL_FLOAT(S, noise),
     .arg = "PERCENT",
     .min = 0,
     .max = 1000,
     .help = "changes up to this are none, however little the repetitions scatter"},
    {.names = "--fail-if-worse", TOOL_FLAG(S, fail_if_worse), .help = "exit 1 if a test is worse"},

    {.group = "Output",
     .names = "-o --output",
     TOOL_WORD(S, output, "md csv json"),
     .arg = "FORM",
     .help = "form of what goes to stdout"},
    {.names = "--json", TOOL_FLAG(S, json), .help = "the same as -o json: an array of objects"},
    {.names = "--csv", TOOL_FLAG(S, csv), .help = "the same as -o csv"},
    {.names = "--plot",
     TOOL_STRING(S, plot),
     .arg = "FILE",
     .help = "draw the roofline, and the rate over threads, depth and sessions where there are several, as SVG"},
    {.names = "-q --quiet", TOOL_FLAG(S, quiet), .help = "errors only on stderr: no progress, no notes"},
};

// Options of llama-bench that are not here.
static const struct tool_foreign foreign[] = {
    {"--n-depth", "it is --depth; -d names the device"},
    {"-ngl --n-gpu-layers -sm --split-mode -ts --tensor-split -mg --main-gpu -ot --override-tensor -ncmoe --n-cpu-moe "
     "-nkvo --no-kv-offload -rpc --rpc -nopo --no-op-offload",
     "a model runs on one device as a whole; choose it with -d"},
    {"-C --cpu-mask --cpu-strict --numa", "threads stay within the affinity they are started with: use taskset"},
    {"--prio", "use nice"},
    {"--poll", "use --wait spin or --wait sleep"},
    {"--delay", "run the tests one by one, with sleep between them"},
    {"-fa --flash-attn", "not needed: there is one attention"},
    {"-ctk --cache-type-k -ctv --cache-type-v", "K and V have one type: use --cache-type f16 or --cache-type int8"},
    {"-mmp -dio --direct-io", "models are always mapped"},
    {"-embd --embeddings", "not offered"},
    {"-hf -hfr --hf-repo -hff --hf-file -hft --hf-token -mu --model-url",
     "nothing is downloaded: fetch the file and name it with -m"},
    {"-oe --output-err", "redirect stderr"},
    {"-v --verbose --progress", "progress goes to stderr unless -q is given"},
};

const struct tool_program bench_program = {
    .name = PROGRAM,
    .usage = "[-m MODEL] [options]\n"
             "--kernels [options]",
    .about = "Measures how fast a model runs, beside what the machine can do: the bandwidth of its memory and its int8 "
             "multiply-accumulates, in the same run. A LIST is 1,2,4 or 1-4, 128-512+128, 1-8*2; every combination is "
             "run.",
    .notes = "Exit: 0 done, 1 --fail-if-worse and a test is, 2 usage or unreadable path, 3 model refused, 4 device, 5 "
             "memory or disk.\n"
             "Environment: BITNET_MODELS BITNET_DEVICE BITNET_CPU_ISA BITNET_CACHE_DIR; see bitnet-bench(1).",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .foreign = foreign,
    .n_foreign = sizeof foreign / sizeof *foreign,
    .defaults = &defaults,
    .size = sizeof defaults,
};

// A number at the start of text, at most max; moves *text behind it.
static bool take_number(const char **text, uint64_t max, uint32_t *value)
{
    char digits[16];
    size_t n = strspn(*text, "0123456789");
    uint64_t wide;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, *text, n);
    digits[n] = '\0';
    *text += n;
    if (!tool_parse_u64(digits, &wide) || wide > max)
        return false;
    *value = (uint32_t)wide;
    return true;
}

static bool add_number(struct numbers *list, uint64_t value)
{
    if (list->n == MAX_NUMBERS)
        return false;
    list->value[list->n++] = (uint32_t)value;
    return true;
}

// "3", "1-4", "1-9+2", "1-8*2".
static bool take_range(const char **text, uint64_t min, uint64_t max, struct numbers *list)
{
    uint32_t first, last, step = 1;
    char operation = '+';
    if (!take_number(text, max, &first) || first < min)
        return false;
    if (**text != '-')
        return add_number(list, first);
    ++*text;
    if (!take_number(text, max, &last) || last < first)
        return false;
    if (**text == '+' || **text == '*') {
        operation = *(*text)++;
        if (!take_number(text, max, &step))
            return false;
    }
    if (step < (operation == '*' ? 2u : 1u) || (operation == '*' && first == 0))
        return false;
    for (uint64_t value = first; value <= last; value = operation == '*' ? value * step : value + step) {
        if (!add_number(list, value))
            return false;
    }
    return true;
}

static int parse_numbers(const char *name, const struct tool_list *texts, const char *standard, uint64_t min,
                         uint64_t max, struct numbers *list)
{
    list->n = 0;
    for (size_t i = 0; i < (texts->n ? texts->n : 1); i++) {
        const char *whole = texts->n ? texts->items[i] : standard, *text = whole;
        bool good = take_range(&text, min, max, list);
        while (good && *text == ',') {
            text++;
            good = take_range(&text, min, max, list);
        }
        if (!good || *text) {
            tool_say(PROGRAM, "%s: '%s' is not a list of at most %d whole numbers from %llu to %llu", name, whole,
                     MAX_NUMBERS, (unsigned long long)min, (unsigned long long)max);
            return TOOL_EXIT_USAGE;
        }
    }
    return 0;
}

static int parse_pairs(const struct tool_list *texts, struct plan *plan)
{
    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->items[i];
        uint32_t prompt, gen;
        bool good = take_number(&text, 1 << 20, &prompt) && *text == ',' && prompt;
        text += good;
        if (!good || !take_number(&text, 1 << 20, &gen) || *text || !gen || !add_number(&plan->pair_prompts, prompt) ||
            !add_number(&plan->pair_gens, gen)) {
            tool_say(PROGRAM, "-pg: '%s' is not two numbers, as 512,128 is", texts->items[i]);
            return TOOL_EXIT_USAGE;
        }
    }
    return 0;
}

// Lists of two words; the first one is 0, and what stands for an empty list.
static int parse_words(const char *name, const struct tool_list *texts, const char *const words[2],
                       struct numbers *list)
{
    for (size_t i = 0; i < texts->n; i++) {
        for (const char *text = texts->items[i]; text;) {
            size_t n = strcspn(text, ",");
            bool first = n == strlen(words[0]) && memcmp(text, words[0], n) == 0;
            bool second = n == strlen(words[1]) && memcmp(text, words[1], n) == 0;
            if ((!first && !second) || !add_number(list, second)) {
                tool_say(PROGRAM, "%s: '%s' is not a list of: %s %s", name, texts->items[i], words[0], words[1]);
                return TOOL_EXIT_USAGE;
            }
            text = text[n] ? text + n + 1 : NULL;
        }
    }
    if (!list->n)
        add_number(list, 0);
    return 0;
}

// "1G", "8M", "65536".
static int parse_mem(const char *whole, size_t *bytes)
{
    static const char units[] = "KMG";
    const uint64_t least = 1 << 20, most = (uint64_t)1 << 40;
    char digits[24];
    size_t n = strspn(whole, "0123456789");
    uint64_t value = 0;
    const char *unit = whole[n] ? strchr(units, whole[n]) : NULL;
    bool good = n > 0 && n < sizeof digits && (!whole[n] || (unit && !whole[n + 1]));
    if (good) {
        memcpy(digits, whole, n);
        digits[n] = '\0';
        good = tool_parse_u64(digits, &value) && value <= most;
        for (int i = 0; good && unit && i <= unit - units; i++)
            value *= 1024;
    }
    if (!good || value < least || value > most) {
        tool_say(PROGRAM, "--mem: '%s' is not a number of bytes from 1M to 1024G", whole);
        return TOOL_EXIT_USAGE;
    }
    *bytes = value / least * least;
    return 0;
}

static bool is_cpu(const char *device)
{
    return !device || strcmp(device, "cpu") == 0 || strcmp(device, "cpu/cpu") == 0;
}

static int check(struct settings *settings)
{
    const char *wrong = NULL;
    if (settings->json + settings->csv + (settings->output != OUTPUT_MD) > 1)
        wrong = "-o, --json and --csv: give one";
    else if (settings->model && settings->synthetic)
        wrong = "-m and --synthetic: give one";
    else if (settings->kernels &&
             (settings->model || settings->synthetic || settings->breakdown || settings->plot || settings->trace))
        wrong = "--kernels needs no model: leave out -m, --synthetic, --breakdown, --plot and --trace";
    else if ((settings->kernels || settings->tune) && !is_cpu(settings->device))
        wrong = "--kernels and --tune are for the driver cpu: leave out --device; bitnet-shader bench times kernels of "
                "others";
    else if (settings->results && !settings->compare)
        wrong = "--results needs --compare";
    else if (settings->fail_if_worse && !settings->compare)
        wrong = "--fail-if-worse needs --compare";
    else if (settings->compare &&
             (settings->kernels || settings->tune || settings->csv || settings->output == OUTPUT_CSV))
        wrong = "--compare is for tests of a model, as a table or JSON: leave out --kernels, --tune and --csv";
    else if (settings->device && settings->device[strspn(settings->device, "0123456789,")] == '\0')
        wrong = "-d names the device; positions before the test are --depth";
    if (settings->json)
        settings->output = OUTPUT_JSON;
    if (settings->csv)
        settings->output = OUTPUT_CSV;
    if (wrong)
        tool_say(PROGRAM, "%s", wrong);
    return wrong ? TOOL_EXIT_USAGE : 0;
}

static int parse_devices(const char *list, struct plan *plan)
{
    plan->n_devices = 1;
    if (!list)
        return 0;
    plan->device_list = strdup(list);
    if (!plan->device_list) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    plan->n_devices = 0;
    for (char *rest = plan->device_list, *name; (name = strsep(&rest, ",")) != NULL;) {
        if (!*name || plan->n_devices == MAX_DEVICES) {
            tool_say(PROGRAM, "-d %s: from 1 to %d names, separated by commas", list, MAX_DEVICES);
            return TOOL_EXIT_USAGE;
        }
        plan->devices[plan->n_devices++] = name;
    }
    return 0;
}

int options_plan(struct settings *settings, struct plan *plan)
{
    const struct {
        const char *name;
        const struct tool_list *texts;
        const char *standard;
        uint64_t min, max;
        struct numbers *list;
    } lists[] = {
        {"-p", &settings->prompts, "512", 0, 1 << 20, &plan->prompts},
        {"-n", &settings->gens, "128", 0, 1 << 20, &plan->gens},
        {"--depth", &settings->depths, "0", 0, 1 << 20, &plan->depths},
        {"-b", &settings->batches, "2048", 1, 1 << 20, &plan->batches},
        {"-ub", &settings->ubatches, "512", 1, 1 << 16, &plan->ubatches},
        {"--sessions", &settings->sessions, "1", 1, 1024, &plan->sessions},
        {"-t", &settings->threads, "0", 0, 1024, &plan->threads},
    };
    int exit_code = check(settings);
    for (size_t i = 0; i < sizeof lists / sizeof *lists && !exit_code; i++)
        exit_code =
            parse_numbers(lists[i].name, lists[i].texts, lists[i].standard, lists[i].min, lists[i].max, lists[i].list);
    if (!exit_code)
        exit_code = parse_pairs(&settings->pairs, plan);
    if (!exit_code)
        exit_code = parse_devices(settings->device, plan);
    if (!exit_code)
        exit_code = parse_words("--pages", &settings->pages, (const char *const[]){"huge", "4k"}, &plan->pages);
    if (!exit_code)
        exit_code = parse_words("--cache-type", &settings->cache_types, (const char *const[]){"f16", "int8"},
                                &plan->cache_types);
    if (!exit_code)
        exit_code = parse_mem(settings->mem, &plan->mem);
    return exit_code;
}
