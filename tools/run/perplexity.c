// Perplexity as llama-perplexity counts it: the text is cut into windows of -c tokens (512), the first token of each
// becomes BOS if the model wants one, and every token of the second half is scored given those before it.
#include "run/run.h"

#include "common/fail.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_WINDOW = 512, OUTPUTS = 64 };

struct score {
    double sum, squares; // of the negative log-likelihoods
    size_t n;
};

static enum bn_result step(struct run *run, const int32_t *tokens, size_t n, size_t n_logits, const float **logits,
                           struct bn_error *err)
{
    struct timespec before, after;
    struct bn_step_item item = {.session = run->session, .tokens = tokens, .n_tokens = n, .n_logits = n_logits};
    clock_gettime(CLOCK_MONOTONIC, &before);
    enum bn_result code = bn_engine_step(run->engine, &item, 1, err);
    clock_gettime(CLOCK_MONOTONIC, &after);
    run->figures.n_prompt += n;
    run->figures.prompt_ns +=
        (uint64_t)(after.tv_sec - before.tv_sec) * 1000000000u + (uint64_t)after.tv_nsec - (uint64_t)before.tv_nsec;
    *logits = item.logits;
    return code;
}

// The last token of the window is predicted, but predicts nothing.
static enum bn_result score_window(struct run *run, const int32_t *tokens, uint32_t window, struct score *score,
                                   struct bn_error *err)
{
    size_t n_vocab = bn_tokenizer_get_info(run->tokenizer)->n_vocab;
    const float *logits;
    enum bn_result code = bn_session_truncate(run->session, 0, err);
    if (code == BN_OK)
        code = step(run, tokens, window / 2, 0, &logits, err);
    for (size_t at = window / 2; at + 1 < window && code == BN_OK;) {
        size_t n = window - 1 - at < OUTPUTS ? window - 1 - at : OUTPUTS;
        code = step(run, tokens + at, n, n, &logits, err);
        for (size_t i = 0; i < n && code == BN_OK; i++) {
            double loss = -bn_log_probability(logits + i * n_vocab, n_vocab, tokens[at + i + 1]);
            score->sum += loss;
            score->squares += loss * loss;
            score->n++;
        }
        at += n;
    }
    return code;
}

static void estimate(const struct score *score, struct perplexity *result)
{
    double mean = score->sum / (double)score->n;
    double variance = score->squares / (double)score->n - mean * mean;
    result->value = exp(mean);
    result->n_scored = score->n;
    result->error = score->n > 1 && variance > 0 ? sqrt(variance / (double)(score->n - 1)) * result->value : NAN;
}

static int score_text(struct run *run, int32_t *ids, struct perplexity *result)
{
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(run->tokenizer);
    struct score score = {0};
    struct bn_error err = {0};
    char line[96];
    size_t n_windows = result->n_tokens / result->window;
    enum bn_result code = BN_OK;
    interrupts_watch(run->session);
    for (size_t i = 0; i < n_windows && code == BN_OK && !run->out.failed; i++) {
        int32_t *tokens = ids + i * result->window;
        if (info->add_bos && info->bos >= 0)
            tokens[0] = info->bos;
        code = score_window(run, tokens, result->window, &score, &err);
        if (code)
            break;
        result->n_windows = i + 1;
        estimate(&score, result);
        snprintf(line, sizeof line, "[%zu]%.4f,", i + 1, result->value);
        if (!run->settings.json)
            tool_out_text(&run->out, line);
    }
    interrupts_watch(NULL);
    if (!run->settings.json && run->out.at_middle)
        tool_out_text(&run->out, "\n");
    if (code == BN_ERR_CANCELLED || run->out.failed)
        return 0;
    if (code)
        return tool_fail_device(PROGRAM, &err, NULL);
    if (run->settings.json)
        return run_print_perplexity_json(run, result);
    snprintf(line, sizeof line, "Final estimate: PPL = %.4f +/- %.5f\n", result->value, result->error);
    tool_out_text(&run->out, line);
    return 0;
}

int run_perplexity(struct run *run)
{
    struct perplexity result = {.window = run->settings.n_ctx ? run->settings.n_ctx : DEFAULT_WINDOW};
    char *text;
    size_t bytes;
    int32_t *ids = NULL;
    if (result.window < 4) {
        tool_say(PROGRAM, "-c: a window needs at least 4 tokens");
        return TOOL_EXIT_USAGE;
    }
    int exit_code = tool_read_file(PROGRAM, run->settings.perplexity, &text, &bytes);
    if (!exit_code)
        exit_code = run_open(run, result.window, OUTPUTS);
    if (!exit_code)
        exit_code = run_tokenize(run, text, bytes, BN_TOKENIZE_BOS, &ids, &result.n_tokens);
    if (!exit_code && result.n_tokens < result.window) {
        tool_say(PROGRAM, "%s: the text has %zu tokens, less than one window of %u: use a longer text, or a smaller -c",
                 run->settings.perplexity, result.n_tokens, result.window);
        exit_code = TOOL_EXIT_USAGE;
    }
    if (!exit_code)
        exit_code = score_text(run, ids, &result);
    free(ids);
    free(text);
    return exit_code;
}
