#include "run/run.h"

#include "common/escape.h"
#include "common/fail.h"
#include "common/json.h"
#include "common/model_path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char story_opening[] = "Once upon a time";

// Text of the command line with its escapes replaced. Ownership: the caller frees it.
static char *unescaped(const struct settings *settings, const char *text, size_t *bytes)
{
    char *copy = strdup(text);
    if (copy)
        *bytes = settings->escape ? tool_unescape(copy, strlen(copy)) : strlen(copy);
    return copy;
}

static int check_settings(const struct settings *settings)
{
    const char *wrong = NULL;
    bool chat_only = settings->system || settings->single_turn;
    if (settings->prompt && settings->file)
        wrong = "-p and -f: give one prompt";
    else if (chat_only && settings->conversation == 0)
        wrong = settings->system ? "-sys needs a conversation (-cnv)" : "-st needs a conversation (-cnv)";
    else if (settings->perplexity && (settings->prompt || settings->file || settings->conversation > 0 || chat_only ||
                                      settings->n_predict >= 0))
        wrong = "--perplexity reads a text and makes none: leave out -p, -f, -n and -cnv";
    else if (settings->embed && (settings->perplexity || settings->conversation > 0 || chat_only))
        wrong = "--embed takes one text, from -p or -f: leave out --perplexity and -cnv";
    else if (settings->verbose && settings->quiet)
        wrong = "-v and -q exclude each other";
    if (wrong)
        tool_say(PROGRAM, "%s", wrong);
    return wrong ? TOOL_EXIT_USAGE : 0;
}

// The prompt, if there is one: *prompt stays NULL if not. Ownership: the caller frees it.
static int get_prompt(const struct settings *settings, bool chat, char **prompt, size_t *bytes)
{
    const char *path = settings->file;
    *prompt = NULL;
    *bytes = 0;
    if (settings->prompt && strcmp(settings->prompt, "-") != 0) {
        *prompt = unescaped(settings, settings->prompt, bytes);
        if (!*prompt)
            tool_say(PROGRAM, "out of memory");
        return *prompt ? 0 : TOOL_EXIT_RESOURCE;
    }
    if (settings->prompt || (!path && !chat && !isatty(STDIN_FILENO)))
        path = "-";
    if (!path)
        return 0;
    int exit_code = tool_read_file(PROGRAM, path, prompt, bytes);
    // As llama-cli: the newline that ends the last line is not part of the prompt.
    if (*bytes && (*prompt)[*bytes - 1] == '\n')
        (*prompt)[--*bytes] = '\0';
    if (!exit_code && !*bytes && !settings->prompt && !settings->file) {
        free(*prompt);
        *prompt = NULL;
    }
    return exit_code;
}

static bool is_default_model(const struct settings *settings)
{
    return !settings->model || strcmp(settings->model, TOOL_DEFAULT_MODEL) == 0;
}

// Chooses between a conversation and a text, and starts it.
static int start(struct run *run)
{
    const struct settings *settings = &run->settings;
    bool wanted = settings->conversation > 0 || settings->system || settings->single_turn;
    char *prompt;
    size_t bytes;
    int exit_code = get_prompt(settings, wanted, &prompt, &bytes);
    if (!exit_code)
        exit_code = run_open(run, settings->n_ctx, 1);
    if (!exit_code && !settings->embed && bn_model_get_info(run->model)->embeds) {
        tool_say(PROGRAM, "the model makes embeddings, no text: use --embed");
        exit_code = TOOL_EXIT_MODEL;
    }
    if (!exit_code && settings->embed)
        exit_code = run_embed(run, prompt ? prompt : "", bytes);
    if (exit_code || settings->embed) {
        free(prompt);
        return exit_code;
    }
    bool offered = settings->conversation < 0 && !prompt && isatty(STDIN_FILENO) && !is_default_model(settings) &&
                   bn_tokenizer_get_info(run->tokenizer)->chat_family[0];
    if (wanted || offered)
        exit_code = run_chat(run, prompt);
    else if (prompt)
        exit_code = run_complete(run, prompt, bytes);
    else if (is_default_model(settings))
        exit_code = run_complete(run, story_opening, strlen(story_opening));
    else
        exit_code = run_complete(run, "", 0);
    free(prompt);
    return exit_code;
}

// Replaces the escapes of options that are used as they are. Ownership: `texts` holds what is to be freed.
static int unescape_settings(struct settings *settings, struct tool_list *texts)
{
    size_t bytes;
    texts->items = calloc(settings->stops.n + 1, sizeof *texts->items);
    for (size_t i = 0; texts->items && i < settings->stops.n + 1; i++) {
        const char **text = i < settings->stops.n ? &settings->stops.items[i] : &settings->system;
        char *copy = *text ? unescaped(settings, *text, &bytes) : NULL;
        if (*text && !copy)
            return TOOL_EXIT_RESOURCE;
        *text = copy;
        texts->items[texts->n++] = copy;
    }
    return texts->items ? 0 : TOOL_EXIT_RESOURCE;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    struct tool_list texts = {0};
    int exit_code;
    tool_start();
    bool go = tool_parse(&run_program, &run.settings, argc, argv, NULL, &exit_code);
    if (go)
        exit_code = check_settings(&run.settings);
    if (go && !exit_code && run.settings.json)
        exit_code = tool_json_missing(PROGRAM);
    if (go && !exit_code && (exit_code = unescape_settings(&run.settings, &texts)) != 0)
        tool_say(PROGRAM, "out of memory");
    if (go && !exit_code) {
        if (run.settings.list_devices)
            exit_code = run_list_devices(&run);
        else if (run.settings.perplexity)
            exit_code = run_perplexity(&run);
        else
            exit_code = start(&run);
        int trace_exit = run_write_trace(&run);
        exit_code = exit_code ? exit_code : trace_exit;
        if (!exit_code)
            exit_code = tool_out_finish(&run.out, PROGRAM);
        if (!exit_code && !run.settings.list_devices) {
            figures_note_memory(&run.figures);
            figures_print(&run);
        }
        if (!exit_code)
            exit_code = interrupts_exit_code();
    }
    run_close(&run);
    for (size_t i = 0; i < texts.n; i++)
        free((void *)(uintptr_t)texts.items[i]);
    tool_list_finish(&texts);
    tool_list_finish(&run.settings.stops);
    return exit_code;
}
