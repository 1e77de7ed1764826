// Command lines: of bitnet-run, and of a program with options of every type. Whatever they say, they are taken or
// refused with a message, and what is taken lies in the ranges of the table. The rest of the input goes through the
// escapes of the tools, there and back.
#include "tools/common/escape.h"
#include "tools/common/fail.h"
#include "tools/common/help.h"
#include "tools/common/options.h"
#include "tools/run/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "input.h"

enum { MAX_ARGS = 64 };

struct every {
    bool flag, on;
    int change, word;
    const char *text, *maybe;
    struct tool_list list;
    uint32_t u32, few;
    uint64_t u64;
    int64_t i64, most;
    float number, share;
};

#define S struct every
static const struct every defaults = {.on = true, .change = -1, .few = 3, .share = 0.5f};
static const struct tool_option options[] = {
    {.group = "All", .names = "-f --flag", TOOL_FLAG(S, flag), .help = "a"},
    {.names = "-o --on", TOOL_FLAG(S, on), .help = "b"},
    {.names = "-x -xyz --change", TOOL_SWITCH(S, change), .help = "c"},
    {.names = "-w --word", TOOL_WORD(S, word, "one two three"), .arg = "W", .help = "d"},
    {.names = "-t --text", TOOL_STRING(S, text), .arg = "T", .help = "e"},
    {.names = "-m --maybe", TOOL_STRING(S, maybe), .arg = "T", .optional = "yes", .help = "f"},
    {.names = "-l --list", TOOL_LIST(S, list), .arg = "T", .help = "g"},
    {.names = "--u32", TOOL_U32(S, u32), .arg = "N", .help = "h"},
    {.names = "-n --few", TOOL_U32(S, few), .arg = "N", .min = 1, .max = 9, .help = "i"},
    {.names = "--u64", TOOL_U64(S, u64), .arg = "N", .help = "j"},
    {.names = "--i64", TOOL_I64(S, i64), .arg = "N", .help = "k"},
    {.names = "--most", TOOL_I64(S, most), .arg = "N", .min = -5, .max = 1e9, .help = "l"},
    {.names = "--number", TOOL_FLOAT(S, number), .arg = "X", .help = "m"},
    {.names = "-s --share", TOOL_FLOAT(S, share), .arg = "X", .min = 0, .max = 1, .help = "n"},
};
static const struct tool_foreign foreign[] = {{"-fx --foreign", "not here"}};
static const struct tool_program every_program = {
    .name = "every",
    .usage = "x\ny",
    .about = "about",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .foreign = foreign,
    .n_foreign = 1,
    .defaults = &defaults,
    .size = sizeof defaults,
    .max_operands = 2,
};

static unsigned said;

// In the place of the tools' own, which prints.
void tool_say(const char *program, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    require(vsnprintf(line, sizeof line, format, args) > 0);
    va_end(args);
    tool_make_printable(line);
    said++;
}

// `unset`: the value is the program's default, which may lie outside of what the option takes.
static void check_value(const struct tool_option *row, const void *at, bool unset)
{
    bool limited = row->min != 0 || row->max != 0;
    double number = row->min;
    const char *words = row->words, *word;
    int n = 0;
    switch (row->type) {
    case TOOL_TYPE_FLAG:
        require(*(const unsigned char *)at <= 1);
        break;
    case TOOL_TYPE_SWITCH:
        require(*(const int *)at >= -1 && *(const int *)at <= 1);
        break;
    case TOOL_TYPE_STRING:
        require(!*(const char *const *)at || strlen(*(const char *const *)at) < SIZE_MAX);
        break;
    case TOOL_TYPE_LIST:
        for (size_t i = 0; i < ((const struct tool_list *)at)->n; i++)
            require(strlen(((const struct tool_list *)at)->items[i]) < SIZE_MAX);
        break;
    case TOOL_TYPE_U32:
        number = *(const uint32_t *)at;
        break;
    case TOOL_TYPE_U64:
        number = (double)*(const uint64_t *)at;
        break;
    case TOOL_TYPE_I64:
        number = (double)*(const int64_t *)at;
        break;
    case TOOL_TYPE_FLOAT:
        number = (double)*(const float *)at;
        break;
    case TOOL_TYPE_WORD:
        while (tool_word(&words, &word) > 0)
            n++;
        require(*(const int *)at >= -1 && *(const int *)at < n); // -1: a default that no word gives
        break;
    }
    require(isfinite(number));
    require(!limited || unset || row->type == TOOL_TYPE_WORD ||
            (number >= (double)(float)row->min && number <= (double)(float)row->max));
}

static void parse(const struct tool_program *program, void *target, int argc, char **argv)
{
    struct tool_list operands = {0};
    int exit_code = -1;
    said = 0;
    if (tool_parse(program, target, argc, argv, &operands, &exit_code)) {
        require(said == 0 && operands.n <= program->max_operands);
        for (size_t i = 0; i < program->n_options; i++) {
            const struct tool_option *row = &program->options[i];
            const char *at = (const char *)target + row->offset, *unset = (const char *)program->defaults + row->offset;
            bool is_number = row->type == TOOL_TYPE_U32 || row->type == TOOL_TYPE_FLOAT;
            check_value(row, at, is_number && memcmp(at, unset, sizeof(uint32_t)) == 0);
        }
    } else {
        require((exit_code == 0 && said == 0) || (exit_code == 2 && said > 0));
    }
    tool_list_finish(&operands);
    for (size_t i = 0; i < program->n_options; i++) {
        if (program->options[i].type == TOOL_TYPE_LIST)
            tool_list_finish((struct tool_list *)(void *)((char *)target + program->options[i].offset));
    }
}

// One argument: bytes up to a zero. The first may stand for a name of the program's table.
static char *next_argument(struct input *input, const struct tool_program *program)
{
    char name[64] = "";
    if (input->left > 2 && (unsigned char)input->at[0] >= 0x80) {
        const char *names = program->options[next_byte(input) % program->n_options].names, *word = "";
        size_t n = 0;
        for (unsigned i = next_byte(input) % 3 + 1; i > 0; i--) {
            size_t next = tool_word(&names, &word);
            n = next ? next : n;
            word = next ? word : names - n;
        }
        snprintf(name, sizeof name, "%.*s", (int)n, word);
    }
    size_t bytes = strnlen(input->at, input->left);
    struct bn_str rest = next_bytes(input, bytes);
    next_byte(input);
    size_t n = strlen(name);
    char *argument = malloc(n + rest.bytes + 1);
    require(argument != NULL);
    memcpy(argument, name, n);
    if (rest.bytes)
        memcpy(argument + n, rest.data, rest.bytes);
    argument[n + rest.bytes] = '\0';
    return argument;
}

static void check_escapes(const char *data, size_t bytes)
{
    char *shown = malloc(4 * bytes + 1);
    require(shown != NULL);
    size_t n = tool_escape(data, bytes, shown);
    require(n <= 4 * bytes && shown[n] == '\0');
    for (size_t i = 0; i < n; i++)
        require((unsigned char)shown[i] >= ' ' && shown[i] != 127);
    require(tool_unescape(shown, n) == bytes && memcmp(shown, data, bytes) == 0);
    free(shown);
    shown = copy_text((struct bn_str){data, bytes});
    size_t before = strlen(shown);
    tool_make_printable(shown);
    require(strlen(shown) == before);
    require(tool_unescape(shown, before) <= before);
    free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool started;
    if (!started)
        require(freopen("/dev/null", "w", stdout) != NULL); // --help
    started = true;
    struct input input = {(const char *)data, bytes};
    unsigned shape = next_byte(&input);
    const struct tool_program *program = shape & 1 ? &run_program : &every_program;
    char *argv[MAX_ARGS + 1] = {copy_text((struct bn_str){"tool", 4})};
    int argc = 1;
    for (unsigned n = shape >> 1 & 15; argc < MAX_ARGS && n > 0 && input.left > 0; n--)
        argv[argc++] = next_argument(&input, program);
    union {
        struct settings run;
        struct every every;
    } target;
    parse(program, &target, argc, argv);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    if (input.left)
        check_escapes(input.at, input.left);
    return 0;
}
