// Prompt in, text out: the loop around steps and sampling, with characters made whole and stop strings cut off.
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/engine/engine_impl.h"

enum { MAX_TOP = 64, MAX_STOPS = 64, MAX_STOP_BYTES = 1024 };

struct generation {
    struct bn_session *session;
    const struct bn_generate_options *options;
    struct bn_utf8_stream utf8;
    char *text; // whole characters not given out yet: what may be the beginning of a stop string
    size_t n_text, capacity;
    size_t ready; // of n_text, what may be given out
    bool found_stop;
    int32_t top[MAX_TOP];
    double top_log_probability[MAX_TOP];
};

const char *bn_stop_name(enum bn_stop stop)
{
    static const char *const names[] = {"eos", "length", "stop", "context", "interrupted"};
    return (size_t)stop < sizeof(names) / sizeof(names[0]) ? names[stop] : "?";
}

static enum bn_result grow(struct generation *g, size_t bytes, struct bn_error *err)
{
    if (bytes <= g->capacity)
        return BN_OK;
    const struct bn_host *host = g->session->engine->host;
    size_t capacity = bytes * 2 + 1024;
    char *text = bn_alloc(host, capacity);
    if (!text)
        return bn_fail_memory(err, capacity, "generated text");
    if (g->n_text)
        memcpy(text, g->text, g->n_text);
    bn_free(host, g->text);
    g->text = text;
    g->capacity = capacity;
    return BN_OK;
}

// How much of the text's end could be the beginning of this stop string.
static size_t overlap(const char *text, size_t n, const char *stop, size_t bytes)
{
    for (size_t k = bytes - 1 < n ? bytes - 1 : n; k > 0; k--)
        if (memcmp(text + n - k, stop, k) == 0)
            return k;
    return 0;
}

// Looks for stop strings in the text held, and sets `ready`.
static void find_stops(struct generation *g, bool last)
{
    size_t cut = g->n_text, held = 0;
    for (size_t s = 0; s < g->options->n_stops; s++) {
        const char *stop = g->options->stops[s];
        size_t bytes = strlen(stop);
        const char *at = bytes && g->n_text ? memmem(g->text, g->n_text, stop, bytes) : NULL;
        if (at && (size_t)(at - g->text) < cut) {
            cut = (size_t)(at - g->text);
            g->found_stop = true;
        }
        size_t k = bytes ? overlap(g->text, g->n_text, stop, bytes) : 0;
        held = k > held ? k : held;
    }
    g->ready = g->found_stop ? cut : last ? g->n_text : g->n_text - held;
}

// Adds a token's bytes; end of text with bytes == 0.
static enum bn_result add_text(struct generation *g, const char *data, size_t bytes, struct bn_error *err)
{
    enum bn_result result = grow(g, g->n_text + 3 * bytes + 12, err);
    if (result != BN_OK)
        return result;
    g->n_text += bn_utf8_push(&g->utf8, data, bytes, g->text + g->n_text);
    find_stops(g, bytes == 0);
    return BN_OK;
}

static void fill_in_top(struct generation *g, const float *logits, size_t n_vocab, struct bn_generated *out)
{
    size_t want = g->options->n_top < n_vocab ? g->options->n_top : n_vocab, n = 0;
    for (size_t id = 0; id < n_vocab && want > 0; id++) {
        if (n == want && logits[id] <= logits[g->top[n - 1]])
            continue;
        size_t at = n < want ? n++ : n - 1;
        for (; at > 0 && logits[id] > logits[g->top[at - 1]]; at--)
            g->top[at] = g->top[at - 1];
        g->top[at] = (int32_t)id;
    }
    double base = bn_log_probability(logits, n_vocab, out->token) - (double)logits[out->token];
    out->log_probability = base + (double)logits[out->token];
    for (size_t i = 0; i < n; i++)
        g->top_log_probability[i] = base + (double)logits[g->top[i]];
    out->top = g->top;
    out->top_log_probability = g->top_log_probability;
    out->n_top = n;
}

// Gives out a token with the text that is ready; false: the caller wants to stop.
static bool give_out(struct generation *g, struct bn_generated *generated)
{
    generated->text = g->ready ? g->text : "";
    generated->bytes = g->ready;
    bool go_on = !g->options->on_token || g->options->on_token(g->options->user, generated);
    if (g->ready)
        memmove(g->text, g->text + g->ready, g->n_text - g->ready);
    g->n_text -= g->ready;
    g->ready = 0;
    return go_on;
}

// Candidates asked of a step: log-probabilities need all logits.
static size_t top_of(const struct generation *g)
{
    return g->options->log_probabilities ? 0 : bn_sample_needs(g->session, g->options->ignore_eos);
}

// Processes the prompt; on success *last has the logits or candidates after its last token.
static enum bn_result run_prompt(struct generation *g, struct bn_step_item *last, struct bn_error *err)
{
    const struct bn_generate_options *options = g->options;
    size_t chunk = options->n_chunk ? options->n_chunk : options->n_prompt;
    if (options->n_prompt > g->session->engine->config.n_ctx - g->session->length)
        return bn_fail(err, BN_ERR_CONTEXT_FULL, "a prompt of %zu tokens does not fit: the context has %zu of %u left",
                       options->n_prompt, g->session->engine->config.n_ctx - g->session->length,
                       g->session->engine->config.n_ctx);
    for (size_t done = 0; done < options->n_prompt;) {
        size_t n = options->n_prompt - done < chunk ? options->n_prompt - done : chunk;
        *last = (struct bn_step_item){.session = g->session,
                                      .tokens = options->prompt + done,
                                      .n_tokens = n,
                                      .n_logits = done + n == options->n_prompt,
                                      .n_top = top_of(g)};
        enum bn_result result = bn_engine_step(g->session->engine, last, 1, err);
        if (result != BN_OK)
            return result;
        done += n;
    }
    return BN_OK;
}

// Chooses, reports and judges one token. *stop is set when the text ends with it.
static enum bn_result make_token(struct generation *g, const struct bn_step_item *last, int32_t *token, bool *ends,
                                 enum bn_stop *stop, struct bn_error *err)
{
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(g->session->engine->model);
    size_t n_vocab = g->session->engine->model->info.n_vocab;
    enum bn_result result = bn_sample(g->session, last, g->options->ignore_eos, token, err);
    if (result != BN_OK)
        return result;
    struct bn_generated generated = {.token = *token};
    if (g->options->log_probabilities)
        fill_in_top(g, last->logits, n_vocab, &generated);
    *ends = bn_token_is_end(tokenizer, *token);
    *stop = BN_STOP_EOS;
    if (!*ends && bn_token_get_kind(tokenizer, *token) != BN_TOKEN_SPECIAL) {
        size_t bytes;
        const char *data = bn_token_bytes(tokenizer, *token, &bytes);
        if (bytes)
            result = add_text(g, data, bytes, err);
        if (result != BN_OK)
            return result;
    }
    if (g->found_stop) {
        *ends = true;
        *stop = BN_STOP_STRING;
    }
    if (!give_out(g, &generated)) {
        *ends = true;
        *stop = BN_STOP_INTERRUPTED;
    }
    return BN_OK;
}

// The loop after the prompt. Sets everything in *r but what the prompt set.
static enum bn_result decode(struct generation *g, struct bn_step_item *last, uint64_t start,
                             struct bn_generate_result *r, struct bn_error *err)
{
    struct bn_engine *engine = g->session->engine;
    size_t most = g->options->n_predict ? g->options->n_predict : SIZE_MAX;
    uint64_t first = 0, now = 0;
    for (;;) {
        int32_t token;
        bool ends;
        enum bn_result result = make_token(g, last, &token, &ends, &r->stop, err);
        if (result != BN_OK)
            return result;
        now = bn_clock_ns();
        first = r->n_tokens++ == 0 ? now : first;
        r->first_token_ns = first - start;
        r->decode_ns = now - first;
        if (ends)
            return BN_OK;
        r->stop = r->n_tokens == most ? BN_STOP_LENGTH : BN_STOP_CONTEXT;
        if (r->n_tokens == most || g->session->length == engine->config.n_ctx)
            return BN_OK;
        *last = (struct bn_step_item){
            .session = g->session, .tokens = &token, .n_tokens = 1, .n_logits = 1, .n_top = top_of(g)};
        result = bn_engine_step(engine, last, 1, err);
        if (result == BN_ERR_CONTEXT_FULL) // other sessions hold the pool's pages
            return BN_OK;
        if (result != BN_OK)
            return result;
    }
}

static enum bn_result check_options(const struct bn_session *session, const struct bn_generate_options *options,
                                    struct bn_error *err)
{
    if (!session || !options || options->size != sizeof(*options))
        return bn_fail(err, BN_ERR_ARGUMENT, "session or options is NULL, or their size is not set; use BN_INIT");
    if (!options->prompt || options->n_prompt == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "a prompt of no tokens");
    if (options->n_top > MAX_TOP || options->n_stops > MAX_STOPS)
        return bn_fail(err, BN_ERR_ARGUMENT, "at most %d alternatives and %d stop strings", MAX_TOP, MAX_STOPS);
    for (size_t i = 0; i < options->n_stops; i++)
        if (!options->stops[i] || strlen(options->stops[i]) > MAX_STOP_BYTES)
            return bn_fail(err, BN_ERR_ARGUMENT, "a stop string of more than %d bytes", MAX_STOP_BYTES);
    return BN_OK;
}

enum bn_result bn_generate(struct bn_session *session, const struct bn_generate_options *options,
                           struct bn_generate_result *result, struct bn_error *err)
{
    enum bn_result code = check_options(session, options, err);
    if (code != BN_OK)
        return code;
    struct generation g = {.session = session, .options = options};
    struct bn_generate_result r = {.size = sizeof(r), .n_prompt = options->n_prompt};
    uint64_t start = bn_clock_ns();
    struct bn_step_item last;
    code = grow(&g, 1024, err);
    if (code == BN_OK)
        code = run_prompt(&g, &last, err);
    r.prompt_ns = bn_clock_ns() - start;
    if (code == BN_OK)
        code = decode(&g, &last, start, &r, err);
    if (code == BN_ERR_CANCELLED) {
        r.stop = BN_STOP_INTERRUPTED;
        code = BN_OK;
    }
    if (code == BN_OK && !g.found_stop && (g.n_text || g.utf8.n_held)) {
        struct bn_generated rest = {.token = -1};
        code = add_text(&g, NULL, 0, err);
        if (code == BN_OK && g.ready)
            give_out(&g, &rest);
    }
    bn_free(session->engine->host, g.text);
    if (result && code == BN_OK)
        *result = r;
    return code;
}
