// The help text of an option table, and what it shares with the parser.
#ifndef TOOLS_COMMON_HELP_H
#define TOOLS_COMMON_HELP_H

#include "common/options.h"

// Prints the whole help to stdout.
void tool_print_help(const struct tool_program *program);

// Writes what a row's value must be, with its range: "whole number from 0 to 64".
void tool_range(const struct tool_option *row, char *text, size_t bytes);

// Splits a list of words at spaces: moves *words on, sets *word, returns its length, 0 at the end.
size_t tool_word(const char **words, const char **word);

// Whether the row takes no value.
bool tool_is_flag(const struct tool_option *row);

#endif
