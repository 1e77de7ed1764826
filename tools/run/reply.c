#include "run/run.h"

#include "common/escape.h"
#include "common/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Makes room for `more` items; false if there is no memory.
static bool grow(void **items, size_t *capacity, size_t used, size_t more, size_t item)
{
    if (used + more <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 256;
    if (wanted < used + more)
        wanted = used + more;
    void *grown = wanted <= SIZE_MAX / item ? realloc(*items, wanted * item) : NULL;
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

static bool note_token(struct reply *reply, const struct bn_generated *made)
{
    void *tokens = reply->tokens;
    void *top = reply->top;
    bool room = grow(&tokens, &reply->token_capacity, reply->n_tokens, 1, sizeof *reply->tokens) &&
                grow(&top, &reply->top_capacity, reply->n_top, made->n_top + 1, sizeof *reply->top);
    reply->tokens = tokens;
    reply->top = top;
    if (!room)
        return false;
    reply->tokens[reply->n_tokens++] =
        (struct token_note){made->token, made->log_probability, reply->n_top, made->n_top};
    for (size_t i = 0; i < made->n_top; i++)
        reply->top[reply->n_top++] = (struct top_note){made->top[i], made->top_log_probability[i]};
    return true;
}

static bool on_token(void *user, const struct bn_generated *made)
{
    struct reply *reply = user;
    void *text = reply->text;
    bool room = grow(&text, &reply->text_capacity, reply->bytes, made->bytes + 1, 1);
    reply->text = text;
    if (!room || (made->token >= 0 && !note_token(reply, made))) {
        reply->no_memory = true;
        return false;
    }
    if (made->bytes)
        memcpy(reply->text + reply->bytes, made->text, made->bytes);
    reply->bytes += made->bytes;
    if (reply->show)
        tool_out_untrusted(&reply->run->out, made->text, made->bytes);
    return !reply->run->out.failed;
}

// -n 0: the prompt alone, in chunks of -b.
static enum bn_result process_prompt(struct run *run, const int32_t *prompt, size_t n_prompt,
                                     struct bn_generate_result *result, struct bn_error *err)
{
    uint64_t start = figures_now();
    enum bn_result code = BN_OK;
    result->stop = BN_STOP_LENGTH;
    while (result->n_prompt < n_prompt && code == BN_OK) {
        size_t n = n_prompt - result->n_prompt;
        if (n > run->settings.n_batch)
            n = run->settings.n_batch;
        struct bn_step_item item = {.session = run->session, .tokens = prompt + result->n_prompt, .n_tokens = n};
        item.n_logits = result->n_prompt + n == n_prompt;
        code = bn_engine_step(run->engine, &item, 1, err);
        if (code == BN_OK)
            result->n_prompt += n;
    }
    result->prompt_ns = figures_now() - start;
    if (code == BN_ERR_CANCELLED) {
        result->stop = BN_STOP_INTERRUPTED;
        code = BN_OK;
    }
    return code;
}

static void add_figures(struct figures *figures, const struct bn_generate_result *result)
{
    figures->n_prompt += result->n_prompt;
    figures->prompt_ns += result->prompt_ns;
    figures->n_tokens += result->n_tokens;
    figures->n_decoded += result->n_tokens ? result->n_tokens - 1 : 0;
    figures->decode_ns += result->decode_ns;
    if (!figures->first_token_ns)
        figures->first_token_ns = result->first_token_ns;
}

int reply_check_room(struct run *run, size_t n_prompt)
{
    uint32_t n_ctx = bn_engine_get_config(run->engine)->n_ctx;
    size_t past = bn_session_length(run->session);
    if (n_prompt <= n_ctx - past)
        return 0;
    size_t make = run->settings.n_predict > 0 ? (size_t)run->settings.n_predict : 0;
    tool_say(PROGRAM, "the prompt has %zu tokens, the context has room for %zu: use -c %zu", n_prompt, n_ctx - past,
             past + n_prompt + make);
    return TOOL_EXIT_USAGE;
}

int reply_generate(struct run *run, const int32_t *prompt, size_t n_prompt, struct reply *reply)
{
    const struct settings *settings = &run->settings;
    struct bn_generate_options options;
    struct bn_error err = {0};
    enum bn_result code;
    int exit_code = reply_check_room(run, n_prompt);
    if (exit_code)
        return exit_code;
    reply->run = run;
    BN_INIT(reply->result);
    if (settings->n_predict == 0) {
        code = process_prompt(run, prompt, n_prompt, &reply->result, &err);
    } else {
        BN_INIT(options);
        options.prompt = prompt;
        options.n_prompt = n_prompt;
        options.n_predict = settings->n_predict > 0 ? (size_t)settings->n_predict : 0;
        options.ignore_eos = settings->ignore_eos;
        options.stops = settings->stops.items;
        options.n_stops = settings->stops.n;
        options.log_probabilities = settings->log_probs >= 0;
        options.n_top = settings->log_probs > 0 ? (size_t)settings->log_probs : 0;
        options.n_chunk = settings->n_batch;
        options.on_token = on_token;
        options.user = reply;
        code = bn_generate(run->session, &options, &reply->result, &err);
    }
    add_figures(&run->figures, &reply->result);
    if (reply->no_memory) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    return code ? tool_fail_device(PROGRAM, &err, NULL) : 0;
}

void reply_finish(struct reply *reply)
{
    free(reply->text);
    free(reply->tokens);
    free(reply->top);
    memset(reply, 0, sizeof *reply);
}

static void print_token(const struct bn_tokenizer *tokenizer, int32_t id, double log_probability)
{
    size_t bytes;
    const char *text = bn_token_bytes(tokenizer, id, &bytes);
    char shown[4 * 64 + 1];
    size_t n = tool_escape(text ? text : "", bytes < 64 ? bytes : 64, shown);
    // Columns count characters, not bytes.
    int width = 0;
    for (size_t i = 0; i < n; i++)
        width += (shown[i] & 0xc0) != 0x80;
    fprintf(stderr, " \"%s\"%*s %8.4f", shown, width < 10 ? 10 - width : 0, "", log_probability);
}

void reply_print_log_probs(const struct reply *reply)
{
    for (size_t i = 0; i < reply->n_tokens; i++) {
        const struct token_note *token = &reply->tokens[i];
        fprintf(stderr, "%6d", token->id);
        print_token(reply->run->tokenizer, token->id, token->log_probability);
        for (size_t j = 0; j < token->n_top; j++) {
            fputs(j ? "  " : "  | ", stderr);
            print_token(reply->run->tokenizer, reply->top[token->first_top + j].id,
                        reply->top[token->first_top + j].log_probability);
        }
        fputc('\n', stderr);
    }
}
