#include "run/run.h"

#include "common/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What the next turn has to put before its own tokens: the reply's last token is not in the session yet, and a reply
// that was cut short still has to end.
struct turn_end {
    int32_t ids[2];
    size_t n;
};

struct chat {
    struct run *run;
    struct turn_end before;
    bool begun; // the session holds a message
    bool terminal;
    bool color;
};

static int32_t end_of_turn(const struct run *run)
{
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(run->tokenizer);
    return info->eot >= 0 ? info->eot : info->eos;
}

// Ids of a user message with all that stands before it. Ownership: the caller frees *ids.
static int render(struct chat *chat, const char *message, int32_t **ids, size_t *n)
{
    struct run *run = chat->run;
    struct bn_chat_message messages[2] = {{"system", run->settings.system}, {"user", message}};
    size_t skip = run->settings.system && !chat->begun ? 0 : 1;
    struct bn_error err = {0};
    size_t capacity = 0;
    *ids = NULL;
    for (;;) {
        int32_t *room = *ids ? *ids + chat->before.n : NULL;
        if (bn_chat_tokenize(run->tokenizer, messages + skip, 2 - skip, !chat->begun, true, room, capacity, n, &err)) {
            free(*ids);
            *ids = NULL;
            return tool_fail(PROGRAM, &err, NULL);
        }
        if (room && *n <= capacity)
            break;
        free(*ids);
        capacity = *n ? *n : 1;
        *ids = calloc(capacity + chat->before.n, sizeof **ids);
        if (!*ids) {
            tool_say(PROGRAM, "out of memory");
            return TOOL_EXIT_RESOURCE;
        }
    }
    memcpy(*ids, chat->before.ids, chat->before.n * sizeof **ids);
    *n += chat->before.n;
    return 0;
}

// Brings the session to where the next turn can start.
static int settle(struct chat *chat, const struct reply *reply, size_t before, size_t n_prompt)
{
    struct run *run = chat->run;
    struct bn_error err = {0};
    bn_session_resume(run->session);
    size_t after = bn_session_length(run->session);
    if (reply->n_tokens == 0 && run->settings.n_predict != 0) {
        // Interrupted within the message: it has not been said.
        return bn_session_truncate(run->session, before, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
    }
    size_t stepped = after - before - n_prompt;
    chat->begun = true;
    chat->before.n = 0;
    if (reply->result.stop != BN_STOP_EOS && stepped < reply->n_tokens)
        chat->before.ids[chat->before.n++] = reply->tokens[stepped].id;
    if (end_of_turn(run) >= 0)
        chat->before.ids[chat->before.n++] = end_of_turn(run);
    return 0;
}

static void say_full(const struct run *run)
{
    if (!run->settings.quiet)
        tool_say(PROGRAM, "the context of %u tokens is full: /clear starts anew, and a larger one is -c",
                 bn_engine_get_config(run->engine)->n_ctx);
}

static int take_turn(struct chat *chat, const char *message)
{
    struct run *run = chat->run;
    const struct settings *settings = &run->settings;
    struct reply reply = {.show = !settings->json};
    int32_t *ids;
    size_t n;
    int exit_code = render(chat, message, &ids, &n);
    if (exit_code)
        return exit_code;
    size_t before = bn_session_length(run->session);
    if (chat->begun && n > bn_engine_get_config(run->engine)->n_ctx - before) {
        say_full(run);
        free(ids);
        return 0;
    }
    exit_code = reply_generate(run, ids, n, &reply);
    free(ids);
    if (reply.show && run->out.at_middle)
        tool_out_text(&run->out, "\n");
    if (!exit_code && settings->json)
        exit_code = reply_print_json(run, &reply);
    else if (!exit_code && settings->log_probs >= 0)
        reply_print_log_probs(&reply);
    if (!exit_code)
        exit_code = settle(chat, &reply, before, n);
    if (!exit_code && reply.result.stop == BN_STOP_CONTEXT)
        say_full(run);
    if (!exit_code && reply.result.stop == BN_STOP_INTERRUPTED)
        interrupts_forgive();
    reply_finish(&reply);
    return exit_code;
}

static int clear(struct chat *chat)
{
    struct bn_error err = {0};
    chat->begun = false;
    chat->before.n = 0;
    return bn_session_truncate(chat->run->session, 0, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
}

// Reads a message: lines that end with a backslash go on. Returns as read_line does; the caller frees *message.
static int read_message(const struct chat *chat, char **message)
{
    size_t used = 0;
    *message = NULL;
    for (;;) {
        char *line;
        size_t bytes;
        if (chat->terminal)
            fputs(chat->color ? "\033[32m> " : "> ", stderr);
        int got = read_line(&line, &bytes);
        if (chat->terminal && chat->color)
            fputs("\033[0m", stderr);
        if (got <= 0 && !*message)
            return got;
        if (got < 0) {
            free(*message);
            return got;
        }
        if (got == 0)
            return 1;
        bool more = bytes && line[bytes - 1] == '\\';
        char *grown = realloc(*message, used + bytes + 2);
        if (!grown) {
            free(*message);
            tool_say(PROGRAM, "out of memory");
            return -1;
        }
        memcpy(grown + used, line, bytes);
        used += bytes;
        if (more)
            grown[used - 1] = '\n';
        grown[used] = '\0';
        *message = grown;
        if (!more)
            return 1;
    }
}

static int converse(struct chat *chat)
{
    struct run *run = chat->run;
    for (;;) {
        char *message;
        int exit_code = 0;
        int got = read_message(chat, &message);
        if (got <= 0) {
            if (chat->terminal)
                fputc('\n', stderr);
            return got == 0 || interrupts_count() ? 0 : TOOL_EXIT_USAGE;
        }
        if (strcmp(message, "/exit") == 0) {
            free(message);
            return 0;
        }
        if (strcmp(message, "/clear") == 0)
            exit_code = clear(chat);
        else if (message[strspn(message, " \t\n")])
            exit_code = take_turn(chat, message);
        free(message);
        if (exit_code || run->out.failed || interrupts_count())
            return exit_code;
    }
}

int run_chat(struct run *run, const char *first_message)
{
    struct chat chat = {.run = run, .terminal = isatty(STDIN_FILENO)};
    chat.color = chat.terminal && tool_use_color((enum tool_color)run->settings.color, STDERR_FILENO);
    int exit_code = 0;
    if (!bn_tokenizer_get_info(run->tokenizer)->chat_family[0]) {
        tool_say(PROGRAM, "%s has no chat template that we know; without -cnv it continues a text", run->model_path);
        return TOOL_EXIT_USAGE;
    }
    if (chat.terminal && !run->settings.quiet && !run->settings.single_turn)
        tool_say(PROGRAM, "Ctrl-C ends a reply, Ctrl-D or /exit the conversation; /clear starts it anew");
    interrupts_watch(run->session);
    if (first_message)
        exit_code = take_turn(&chat, first_message);
    if (!exit_code && !run->out.failed && !interrupts_count() && !(first_message && run->settings.single_turn))
        exit_code = converse(&chat);
    interrupts_watch(NULL);
    return exit_code;
}
