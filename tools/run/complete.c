#include "run/run.h"

#include "common/fail.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The prompt as the user gave it, but valid UTF-8.
static int show_prompt(struct run *run, const char *prompt, size_t bytes)
{
    struct bn_utf8_stream stream = {{0}, 0};
    bool color = tool_use_color((enum tool_color)run->settings.color, STDOUT_FILENO);
    char *shown = bytes <= SIZE_MAX / 3 - 32 ? malloc(3 * bytes + 32) : NULL;
    if (!shown) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    size_t n = bytes ? bn_utf8_push(&stream, prompt, bytes, shown) : 0;
    n += bn_utf8_push(&stream, NULL, 0, shown + n);
    if (color)
        tool_out_text(&run->out, "\033[33m");
    tool_out_write(&run->out, shown, n);
    if (color)
        tool_out_text(&run->out, "\033[0m");
    free(shown);
    return 0;
}

int run_complete(struct run *run, const char *prompt, size_t bytes)
{
    const struct settings *settings = &run->settings;
    struct reply reply = {.show = !settings->json};
    int32_t *ids;
    size_t n;
    int exit_code = run_tokenize(run, prompt, bytes, BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL, &ids, &n);
    if (exit_code)
        return exit_code;
    if (n == 0) {
        tool_say(PROGRAM, "there is no prompt, and the model has no token to start with: use -p");
        free(ids);
        return TOOL_EXIT_USAGE;
    }
    exit_code = reply_check_room(run, n);
    interrupts_watch(run->session);
    if (!exit_code && settings->display_prompt && reply.show)
        exit_code = show_prompt(run, prompt, bytes);
    if (!exit_code)
        exit_code = reply_generate(run, ids, n, &reply);
    interrupts_watch(NULL);
    if (reply.show && run->out.at_middle)
        tool_out_text(&run->out, "\n");
    if (!exit_code && settings->json)
        exit_code = reply_print_json(run, &reply);
    else if (!exit_code && settings->log_probs >= 0)
        reply_print_log_probs(&reply);
    if (!exit_code && reply.result.stop == BN_STOP_CONTEXT && !settings->quiet)
        tool_say(PROGRAM, "the context of %u tokens is full: -c takes more", bn_engine_get_config(run->engine)->n_ctx);
    reply_finish(&reply);
    free(ids);
    return exit_code;
}
