// Sampling: penalty, top-k, top-p over the survivors, min-p, temperature, then the highest logit / temperature + Gumbel
// noise, which is a draw from the softmax. The noise is a hash of (seed, position, id).
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/base/dmath.h"
#include "runtime/base/fail.h"
#include "runtime/engine/engine_impl.h"

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// -log(-log(u)) of a uniform u in (0, 1).
static double gumbel(uint64_t seed, uint64_t position, int32_t id)
{
    uint64_t x = mix(seed + 0x9e3779b97f4a7c15u);
    x = mix(x ^ (position + 1) * 0x9e3779b97f4a7c15u);
    x = mix(x ^ ((uint64_t)(uint32_t)id + 1) * 0xd1342543de82ef95u);
    double u = ((double)(x >> 11) + 0.5) * 0x1p-53;
    return -bn_dlog(-bn_dlog(u));
}

// Higher logit first, ties to the lower id.
static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

// Heap whose root is the worst candidate.
static void sift_down(struct candidate *heap, size_t n, size_t at)
{
    struct candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&heap[child], &heap[child + 1]))
            child++;
        if (!before(&moved, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

// The k best candidates of the logits, best first. Returns how many there are.
static size_t best(const struct bn_engine *engine, const float *logits, bool no_end, size_t k)
{
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(engine->model);
    struct candidate *heap = engine->candidates;
    size_t n = 0;
    for (uint32_t id = 0; id < engine->model->info.n_vocab; id++) {
        struct candidate candidate = {logits[id], (int32_t)id};
        if (n == k && !before(&candidate, &heap[0]))
            continue;
        if (no_end && bn_token_is_end(tokenizer, (int32_t)id))
            continue;
        if (n < k) {
            heap[n++] = candidate;
            if (n == k)
                for (size_t i = n / 2; i-- > 0;)
                    sift_down(heap, n, i);
        } else {
            heap[0] = candidate;
            sift_down(heap, n, 0);
        }
    }
    if (n < k)
        for (size_t i = n / 2; i-- > 0;)
            sift_down(heap, n, i);
    for (size_t i = n; i-- > 1;) { // the worst goes last
        struct candidate worst = heap[0];
        heap[0] = heap[i];
        heap[i] = worst;
        sift_down(heap, i, 0);
    }
    return n;
}

// How many of the n best make up a share p of the softmax over them; at least 1.
static size_t keep_top_p(const struct candidate *c, size_t n, double p)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        total += bn_dexp((double)c[i].logit - c[0].logit);
    for (size_t i = 0; i < n; i++) {
        sum += bn_dexp((double)c[i].logit - c[0].logit);
        if (sum >= p * total)
            return i + 1;
    }
    return n;
}

static size_t keep_min_p(const struct candidate *c, size_t n, double p)
{
    double least = c[0].logit + bn_dlog(p);
    size_t keep = 1;
    while (keep < n && c[keep].logit >= least)
        keep++;
    return keep;
}

static const float *penalise(const struct bn_session *session, const float *logits)
{
    const struct bn_sampling *s = &session->sampling;
    struct bn_engine *engine = session->engine;
    size_t n = session->length < s->repeat_last_n ? session->length : s->repeat_last_n;
    if (s->repeat_penalty == 1.0f || n == 0)
        return logits;
    memcpy(engine->adjusted, logits, engine->model->info.n_vocab * sizeof(*logits));
    for (size_t i = session->length - n; i < session->length; i++) {
        int32_t id = session->tokens[i]; // from the untouched logits, so that a repeated token is penalised once
        engine->adjusted[id] = logits[id] > 0 ? logits[id] / s->repeat_penalty : logits[id] * s->repeat_penalty;
    }
    return engine->adjusted;
}

static int32_t draw(const struct bn_session *session, const struct candidate *c, size_t n)
{
    const struct bn_sampling *s = &session->sampling;
    double highest = -INFINITY;
    int32_t chosen = c[0].id;
    for (size_t i = 0; i < n; i++) {
        double value = (double)c[i].logit / s->temperature + gumbel(s->seed, session->length, c[i].id);
        if (value > highest || (value == highest && c[i].id < chosen)) {
            highest = value;
            chosen = c[i].id;
        }
    }
    return chosen;
}

enum bn_result bn_sample(struct bn_session *session, const float *logits, bool no_end, int32_t *token,
                         struct bn_error *err)
{
    const struct bn_sampling *s = &session->sampling;
    struct bn_engine *engine = session->engine;
    uint32_t n_vocab = engine->model->info.n_vocab;
    for (uint32_t id = 0; id < n_vocab; id++)
        if (isnan(logits[id]))
            return bn_fail(err, BN_ERR_NUMERIC, "the logit of token %" PRIu32 " is NaN", id);
    logits = penalise(session, logits);
    bool greedy = s->greedy || s->temperature <= 0;
    size_t k = greedy ? 1 : s->top_k && s->top_k < n_vocab ? s->top_k : n_vocab;
    size_t n = best(engine, logits, no_end, k);
    const struct candidate *c = engine->candidates;
    if (n == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "no token is left to choose from");
    if (!greedy && s->top_p < 1)
        n = keep_top_p(c, n, s->top_p);
    if (!greedy && s->min_p > 0)
        n = keep_min_p(c, n, s->min_p);
    *token = n == 1 ? c[0].id : draw(session, c, n);
    return BN_OK;
}

enum bn_result bn_session_sample(struct bn_session *session, const float *logits, int32_t *token, struct bn_error *err)
{
    if (!session || !logits || !token)
        return bn_fail(err, BN_ERR_ARGUMENT, "session, logits or token is NULL");
    return bn_sample(session, logits, false, token, err);
}

double bn_log_probability(const float *logits, size_t n_vocab, int32_t token)
{
    float highest = logits[0];
    for (size_t i = 1; i < n_vocab; i++)
        highest = logits[i] > highest ? logits[i] : highest;
    double sum = 0;
    for (size_t i = 0; i < n_vocab; i++)
        sum += bn_dexp((double)logits[i] - highest);
    return (double)logits[token] - highest - bn_dlog(sum);
}
