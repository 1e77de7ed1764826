#include "common/help.h"

#include <stdio.h>
#include <string.h>

enum { NAME_COLUMN = 2, TEXT_COLUMN = 30, WIDTH = 100 };

void tool_range(const struct tool_option *row, char *text, size_t bytes)
{
    bool whole = row->type != TOOL_TYPE_FLOAT;
    bool limited = row->min != 0 || row->max != 0;
    if (limited)
        snprintf(text, bytes, whole ? "whole number from %.0f to %.0f" : "number from %g to %g", row->min, row->max);
    else if (row->type == TOOL_TYPE_U32)
        snprintf(text, bytes, "whole number from 0 to %u", UINT32_MAX);
    else if (row->type == TOOL_TYPE_U64)
        snprintf(text, bytes, "whole number from 0 to %llu", (unsigned long long)UINT64_MAX);
    else
        snprintf(text, bytes, whole ? "whole number" : "number");
}

// The row's value in `defaults`, as text; empty if there is nothing to say.
static void default_text(const struct tool_program *program, const struct tool_option *row, char *text, size_t bytes)
{
    const void *at = (const char *)program->defaults + row->offset;
    text[0] = '\0';
    switch (row->type) {
    case TOOL_TYPE_FLAG:
        snprintf(text, bytes, "%s", *(const bool *)at ? "on" : "");
        break;
    case TOOL_TYPE_STRING:
        snprintf(text, bytes, "%s", *(const char *const *)at ? *(const char *const *)at : "");
        break;
    case TOOL_TYPE_U32:
        snprintf(text, bytes, "%u", *(const uint32_t *)at);
        break;
    case TOOL_TYPE_U64:
        snprintf(text, bytes, "%llu", (unsigned long long)*(const uint64_t *)at);
        break;
    case TOOL_TYPE_I64:
        snprintf(text, bytes, "%lld", (long long)*(const int64_t *)at);
        break;
    case TOOL_TYPE_FLOAT:
        snprintf(text, bytes, "%g", (double)*(const float *)at);
        break;
    case TOOL_TYPE_WORD: {
        const char *words = row->words;
        const char *word;
        size_t n = 0;
        for (int i = 0; i <= *(const int *)at; i++)
            n = tool_word(&words, &word);
        snprintf(text, bytes, "%.*s", (int)n, word);
        break;
    }
    case TOOL_TYPE_SWITCH:
    case TOOL_TYPE_LIST:
        break;
    }
}

// "-e, --[no-]escape TEXT"
static size_t print_names(const struct tool_program *program, const struct tool_option *row)
{
    size_t column = NAME_COLUMN;
    const char *names = row->names;
    const char *word;
    bool first = true;
    bool negatable = row->type == TOOL_TYPE_SWITCH ||
                     (row->type == TOOL_TYPE_FLAG && *(const bool *)((const char *)program->defaults + row->offset));
    fputs("  ", stdout);
    for (size_t n; (n = tool_word(&names, &word)) > 0; first = false) {
        size_t dashes = strncmp(word, "--", 2) == 0 ? 2 : 1;
        const char *no = negatable && n > 2 ? "[no-]" : "";
        column +=
            (size_t)printf("%s%.*s%s%.*s", first ? "" : ", ", (int)dashes, word, no, (int)(n - dashes), word + dashes);
    }
    if (row->arg && row->optional)
        column += (size_t)printf("[=%s]", row->arg);
    else if (row->arg)
        column += (size_t)printf(" %s", row->arg);
    return column;
}

// Prints words from `column` on, wrapped and indented; returns the column reached.
static size_t print_wrapped(const char *text, size_t column, size_t indent)
{
    const char *word;
    for (size_t n; (n = tool_word(&text, &word)) > 0;) {
        if (column > indent && column + 1 + n > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)n, word);
        column += n;
    }
    return column;
}

static void print_row(const struct tool_program *program, const struct tool_option *row, bool defaults)
{
    size_t column = print_names(program, row);
    if (column + 2 > TEXT_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", (int)(TEXT_COLUMN - column), "");
    column = print_wrapped(row->help, TEXT_COLUMN, TEXT_COLUMN);
    char text[192];
    char value[160];
    if (row->type == TOOL_TYPE_WORD && defaults) {
        snprintf(text, sizeof text, "(%s)", row->words);
        column = print_wrapped(text, column, TEXT_COLUMN);
    }
    if (row->shown)
        snprintf(value, sizeof value, "%s", row->shown);
    else if (defaults)
        default_text(program, row, value, sizeof value);
    else
        value[0] = '\0';
    if (value[0]) {
        snprintf(text, sizeof text, "[default: %s]", value);
        print_wrapped(text, column, TEXT_COLUMN);
    }
    putchar('\n');
}

void tool_print_help(const struct tool_program *program)
{
    const char *line = program->usage;
    for (bool first = true; *line; first = false) {
        size_t n = strcspn(line, "\n");
        printf("%s %s %.*s\n", first ? "Usage:" : "      ", program->name, (int)n, line);
        line += n + (line[n] == '\n');
    }
    putchar('\n');
    print_wrapped(program->about, 0, 0);
    putchar('\n');
    for (size_t i = 0; i < program->n_options; i++) {
        if (program->options[i].group)
            printf("\n%s:\n", program->options[i].group);
        print_row(program, &program->options[i], true);
    }
    static const struct tool_option help = {.names = "-h --help", .help = "print this help and exit"};
    static const struct tool_option version = {.names = "--version", .help = "print the version and exit"};
    puts("\nHelp:");
    print_row(program, &help, false);
    print_row(program, &version, false);
    if (program->notes)
        printf("\n%s\n", program->notes);
}
