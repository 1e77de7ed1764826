#include "common/options.h"
#include "common/fail.h"
#include "common/help.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/base.h>

#include "bn_config.h"

static const struct tool_option help_row = {.names = "-h --help"};
static const struct tool_option version_row = {.names = "--version"};

void tool_list_finish(struct tool_list *list)
{
    free(list->items);
    list->items = NULL;
    list->n = 0;
}

static bool list_add(struct tool_list *list, const char *item)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items)
        return false;
    items[list->n++] = item;
    list->items = items;
    return true;
}

bool tool_parse_u64(const char *text, uint64_t *value)
{
    if (!*text || text[strspn(text, "0123456789")])
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(text, NULL, 10);
    if (errno || parsed > UINT64_MAX)
        return false;
    *value = parsed;
    return true;
}

bool tool_parse_i64(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || digits[strspn(digits, "0123456789")])
        return false;
    errno = 0;
    long long parsed = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *value = parsed;
    return true;
}

// The tools never call setlocale, so strtod reads a point; the set of characters keeps its other forms out.
bool tool_parse_double(const char *text, double *value)
{
    if (!*text || text[strspn(text, "0123456789+-.eE")])
        return false;
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end || !isfinite(parsed))
        return false;
    *value = parsed;
    return true;
}

size_t tool_word(const char **words, const char **word)
{
    *words += strspn(*words, " ");
    *word = *words;
    size_t bytes = strcspn(*words, " ");
    *words += bytes;
    return bytes;
}

bool tool_is_flag(const struct tool_option *row)
{
    return row->type == TOOL_TYPE_FLAG || row->type == TOOL_TYPE_SWITCH;
}

static bool names_contain(const char *names, const char *name, size_t bytes)
{
    const char *word;
    for (size_t n; (n = tool_word(&names, &word)) > 0;) {
        if (n == bytes && memcmp(word, name, n) == 0)
            return true;
    }
    return false;
}

static const struct tool_option *find_row(const struct tool_program *program, const char *name, size_t bytes)
{
    for (size_t i = 0; i < program->n_options; i++) {
        if (names_contain(program->options[i].names, name, bytes))
            return &program->options[i];
    }
    if (names_contain(help_row.names, name, bytes))
        return &help_row;
    return names_contain(version_row.names, name, bytes) ? &version_row : NULL;
}

// Finds "--no-x" of a flag "--x", and "-no-xyz" of a flag "-xyz".
static const struct tool_option *find_negated(const struct tool_program *program, const char *name, size_t bytes)
{
    char positive[64];
    size_t dashes = strncmp(name, "--", 2) == 0 ? 2 : 1;
    if (bytes < dashes + 5 || bytes >= sizeof positive || strncmp(name + dashes, "no-", 3) != 0)
        return NULL;
    int n = snprintf(positive, sizeof positive, "%.*s%.*s", (int)dashes, name, (int)(bytes - dashes - 3),
                     name + dashes + 3);
    const struct tool_option *row = find_row(program, positive, (size_t)n);
    return row && row != &help_row && row != &version_row && tool_is_flag(row) ? row : NULL;
}

// Levenshtein distance; names are short, longer ones count as far away.
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t line[64];
    if (m >= sizeof line / sizeof *line)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        line[j] = j;
    for (size_t i = 0; i < n; i++) {
        size_t diagonal = line[0];
        line[0] = i + 1;
        for (size_t j = 0; j < m; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            if (line[j] + 1 < best)
                best = line[j] + 1;
            if (line[j + 1] + 1 < best)
                best = line[j + 1] + 1;
            diagonal = line[j + 1];
            line[j + 1] = best;
        }
    }
    return line[m];
}

static int refuse_unknown(const struct tool_program *program, const char *name, size_t bytes)
{
    for (size_t i = 0; i < program->n_foreign; i++) {
        if (names_contain(program->foreign[i].names, name, bytes)) {
            tool_say(program->name, "%.*s: %s", (int)bytes, name, program->foreign[i].advice);
            return TOOL_EXIT_USAGE;
        }
    }
    size_t dashes = strncmp(name, "--", 2) == 0 ? 2 : 1;
    const char *best = NULL;
    size_t best_bytes = 0;
    size_t least = bytes; // further away is no likeness
    for (size_t i = 0; i < program->n_options + 2; i++) {
        const struct tool_option *own = i == program->n_options ? &help_row : &version_row;
        const char *names = i < program->n_options ? program->options[i].names : own->names;
        const char *word;
        for (size_t n; (n = tool_word(&names, &word)) > 0;) {
            bool alike = n > 2 && (strncmp(word, "--", 2) == 0 ? 2u : 1u) == dashes;
            size_t d = alike ? distance(name, bytes, word, n) : SIZE_MAX;
            if (d < least) {
                least = d;
                best = word;
                best_bytes = n;
            }
        }
    }
    if (best)
        tool_say(program->name, "%.*s: unknown option; the nearest is %.*s", (int)bytes, name, (int)best_bytes, best);
    else
        tool_say(program->name, "%.*s: unknown option", (int)bytes, name);
    return TOOL_EXIT_USAGE;
}

static int refuse_value(const struct tool_program *program, const char *name, size_t bytes, const char *value,
                        const struct tool_option *row)
{
    char range[96] = "";
    tool_range(row, range, sizeof range);
    if (row->type == TOOL_TYPE_WORD)
        tool_say(program->name, "%.*s: '%s' is not one of: %s", (int)bytes, name, value, row->words);
    else
        tool_say(program->name, "%.*s: '%s' is not a %s", (int)bytes, name, value, range);
    return TOOL_EXIT_USAGE;
}

static bool in_range(const struct tool_option *row, double value)
{
    return (row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max);
}

// Stores `value`; false if it is not one of the row's values.
static bool store(const struct tool_option *row, void *target, const char *value)
{
    void *at = (char *)target + row->offset;
    uint64_t u64;
    int64_t i64;
    double number;
    switch (row->type) {
    case TOOL_TYPE_STRING:
        *(const char **)at = value;
        return true;
    case TOOL_TYPE_U32:
        if (!tool_parse_u64(value, &u64) || u64 > UINT32_MAX || !in_range(row, (double)u64))
            return false;
        *(uint32_t *)at = (uint32_t)u64;
        return true;
    case TOOL_TYPE_U64:
        if (!tool_parse_u64(value, &u64) || !in_range(row, (double)u64))
            return false;
        *(uint64_t *)at = u64;
        return true;
    case TOOL_TYPE_I64:
        if (!tool_parse_i64(value, &i64) || !in_range(row, (double)i64))
            return false;
        *(int64_t *)at = i64;
        return true;
    case TOOL_TYPE_FLOAT:
        if (!tool_parse_double(value, &number) || !in_range(row, number) || !isfinite((float)number))
            return false;
        *(float *)at = (float)number;
        return true;
    case TOOL_TYPE_WORD: {
        const char *words = row->words;
        const char *word;
        int index = 0;
        for (size_t n; (n = tool_word(&words, &word)) > 0; index++) {
            if (n == strlen(value) && memcmp(word, value, n) == 0) {
                *(int *)at = index;
                return true;
            }
        }
        return false;
    }
    default:
        return false;
    }
}

static void set_flag(const struct tool_option *row, void *target, bool on)
{
    void *at = (char *)target + row->offset;
    if (row->type == TOOL_TYPE_FLAG)
        *(bool *)at = on;
    else
        *(int *)at = on;
}

// What parsing has come to.
struct cursor {
    const struct tool_program *program;
    void *target;
    char **argv;
    int argc, at;
    int exit_code;
    bool done; // exit_code counts
};

static void finish(struct cursor *c, int exit_code)
{
    c->done = true;
    c->exit_code = exit_code;
}

static void apply_value(struct cursor *c, const struct tool_option *row, const char *name, size_t bytes,
                        const char *value)
{
    if (!value && row->optional)
        value = row->optional;
    if (!value && c->at < c->argc)
        value = c->argv[c->at++];
    if (!value) {
        tool_say(c->program->name, "%.*s: needs a value: %s", (int)bytes, name, row->arg);
        finish(c, TOOL_EXIT_USAGE);
    } else if (row->type == TOOL_TYPE_LIST) {
        if (!list_add((struct tool_list *)(void *)((char *)c->target + row->offset), value)) {
            tool_say(c->program->name, "out of memory");
            finish(c, TOOL_EXIT_RESOURCE);
        }
    } else if (!store(row, c->target, value)) {
        finish(c, refuse_value(c->program, name, bytes, value, row));
    }
}

// `value` is what follows a "=", or NULL.
static void apply(struct cursor *c, const struct tool_option *row, const char *name, size_t bytes, const char *value,
                  bool negated)
{
    bool takes_value = row != &help_row && row != &version_row && !tool_is_flag(row);
    if (value && !takes_value) {
        tool_say(c->program->name, "%.*s: takes no value", (int)bytes, name);
        finish(c, TOOL_EXIT_USAGE);
    } else if (row == &help_row) {
        tool_print_help(c->program);
        finish(c, TOOL_EXIT_OK);
    } else if (row == &version_row) {
        printf("%s %s (libbitnet %s)\n", c->program->name, BN_VERSION_STRING, bn_version());
        finish(c, TOOL_EXIT_OK);
    } else if (takes_value) {
        apply_value(c, row, name, bytes, value);
    } else {
        set_flag(row, c->target, !negated);
    }
}

// "-abc": letters of flags, the last of which may take the rest or the next argument as its value.
static void parse_letters(struct cursor *c, const char *arg)
{
    for (const char *p = arg + 1; *p && !c->done; p++) {
        char name[2] = {'-', *p};
        const struct tool_option *row = find_row(c->program, name, 2);
        if (!row) {
            finish(c, p == arg + 1 ? refuse_unknown(c->program, arg, strcspn(arg, "="))
                                   : refuse_unknown(c->program, name, 2));
        } else if (row != &help_row && row != &version_row && !tool_is_flag(row)) {
            apply(c, row, name, 2, p[1] ? p + 1 : NULL, false);
            return;
        } else {
            apply(c, row, name, 2, NULL, false);
        }
    }
}

static void parse_option(struct cursor *c, const char *arg)
{
    size_t bytes = strcspn(arg, "=");
    const char *value = arg[bytes] ? arg + bytes + 1 : NULL;
    const struct tool_option *row = find_row(c->program, arg, bytes);
    bool negated = false;
    if (!row && (row = find_negated(c->program, arg, bytes)) != NULL)
        negated = true;
    if (row)
        apply(c, row, arg, bytes, value, negated);
    else if (arg[1] == '-')
        finish(c, refuse_unknown(c->program, arg, bytes));
    else {
        // A foreign "-ngl" is not the letters n, g, l.
        for (size_t i = 0; i < c->program->n_foreign; i++) {
            if (names_contain(c->program->foreign[i].names, arg, bytes)) {
                finish(c, refuse_unknown(c->program, arg, bytes));
                return;
            }
        }
        parse_letters(c, arg);
    }
}

bool tool_parse(const struct tool_program *program, void *target, int argc, char **argv, struct tool_list *operands,
                int *exit_code)
{
    struct cursor c = {.program = program, .target = target, .argv = argv, .argc = argc, .at = 1};
    bool options = true;
    memcpy(target, program->defaults, program->size);
    while (c.at < argc && !c.done) {
        const char *arg = argv[c.at++];
        if (options && strcmp(arg, "--") == 0) {
            options = false;
        } else if (options && arg[0] == '-' && arg[1]) {
            parse_option(&c, arg);
        } else if (!operands || operands->n >= program->max_operands) {
            tool_say(program->name, "'%s': unexpected argument", arg);
            finish(&c, TOOL_EXIT_USAGE);
        } else if (!list_add(operands, arg)) {
            tool_say(program->name, "out of memory");
            finish(&c, TOOL_EXIT_RESOURCE);
        }
    }
    if (c.done && c.exit_code == TOOL_EXIT_USAGE)
        tool_say(program->name, "'%s --help' lists the options", program->name);
    *exit_code = c.exit_code;
    return !c.done;
}
