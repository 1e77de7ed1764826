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
static bool before(const struct bn_candidate *a, const struct bn_candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

// Heap whose root is the worst candidate.
static void sift_down(struct bn_candidate *heap, size_t n, size_t at)
{
    struct bn_candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&heap[child], &heap[child + 1]))
            child++;
        if (!before(&moved, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

// Where logits come from: all of them, or a list.
struct source {
    const float *logits;
    const struct bn_candidate *list;
    size_t n;
};

static struct bn_candidate at(const struct source *source, size_t i)
{
    return source->list ? source->list[i] : (struct bn_candidate){source->logits[i], (int32_t)i};
}

// The k best candidates, best first, in engine->candidates. Returns how many there are.
static size_t best(const struct bn_engine *engine, const struct source *source, bool no_end, size_t k)
{
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(engine->model);
    struct bn_candidate *heap = engine->candidates;
    size_t n = 0;
    for (size_t i = 0; i < source->n; i++) {
        struct bn_candidate candidate = at(source, i);
        if (n == k && !before(&candidate, &heap[0]))
            continue;
        if (no_end && bn_token_is_end(tokenizer, candidate.id))
            continue;
        if (n < k) {
            heap[n++] = candidate;
            if (n == k)
                for (size_t j = n / 2; j-- > 0;)
                    sift_down(heap, n, j);
        } else {
            heap[0] = candidate;
            sift_down(heap, n, 0);
        }
    }
    if (n < k)
        for (size_t j = n / 2; j-- > 0;)
            sift_down(heap, n, j);
    for (size_t j = n; j-- > 1;) { // the worst goes last
        struct bn_candidate worst = heap[0];
        heap[0] = heap[j];
        heap[j] = worst;
        sift_down(heap, j, 0);
    }
    return n;
}

// How many of the n best make up a share p of the softmax over them; at least 1.
static size_t keep_top_p(const struct bn_candidate *c, size_t n, double p)
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

static size_t keep_min_p(const struct bn_candidate *c, size_t n, double p)
{
    double least = c[0].logit + bn_dlog(p);
    size_t keep = 1;
    while (keep < n && c[keep].logit >= least)
        keep++;
    return keep;
}

static size_t penalised(const struct bn_session *session)
{
    const struct bn_sampling *s = &session->sampling;
    return s->repeat_penalty == 1.0f ? 0 : session->length < s->repeat_last_n ? session->length : s->repeat_last_n;
}

static float penalise(float logit, float penalty)
{
    return logit > 0 ? logit / penalty : logit * penalty;
}

// Lowers the logits of the session's last tokens, each once however often it occurs.
static void apply_penalty(const struct bn_session *session, struct source *source)
{
    struct bn_engine *engine = session->engine;
    float penalty = session->sampling.repeat_penalty;
    size_t n = penalised(session), from = session->length - n;
    if (n == 0)
        return;
    if (!source->list) {
        memcpy(engine->adjusted, source->logits, source->n * sizeof(*source->logits));
        for (size_t i = from; i < session->length; i++) {
            int32_t id = session->tokens[i];
            engine->adjusted[id] = penalise(source->logits[id], penalty);
        }
        source->logits = engine->adjusted;
        return;
    }
    struct bn_candidate *list = engine->adjusted_list;
    for (size_t c = 0; c < source->n; c++) {
        list[c] = source->list[c];
        for (size_t i = from; i < session->length; i++)
            if (session->tokens[i] == list[c].id) {
                list[c].logit = penalise(list[c].logit, penalty);
                break;
            }
    }
    source->list = list;
}

static int32_t draw(const struct bn_session *session, const struct bn_candidate *c, size_t n)
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

static enum bn_result sample(struct bn_session *session, struct source source, bool no_end, int32_t *token,
                             struct bn_error *err)
{
    const struct bn_sampling *s = &session->sampling;
    struct bn_engine *engine = session->engine;
    for (size_t i = 0; i < source.n; i++)
        if (isnan(at(&source, i).logit))
            return bn_fail(err, BN_ERR_NUMERIC, "the logit of token %" PRId32 " is NaN", at(&source, i).id);
    apply_penalty(session, &source);
    bool greedy = s->greedy || s->temperature <= 0;
    size_t k = greedy ? 1 : s->top_k && s->top_k < source.n ? s->top_k : source.n;
    size_t n = best(engine, &source, no_end, k);
    const struct bn_candidate *c = engine->candidates;
    if (n == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "no token is left to choose from");
    if (!greedy && s->top_p < 1)
        n = keep_top_p(c, n, s->top_p);
    if (!greedy && s->min_p > 0)
        n = keep_min_p(c, n, s->min_p);
    *token = n == 1 ? c[0].id : draw(session, c, n);
    return BN_OK;
}

enum bn_result bn_sample(struct bn_session *session, const struct bn_step_item *item, bool no_end, int32_t *token,
                         struct bn_error *err)
{
    struct source source = {item->logits, NULL, session->engine->model->info.n_vocab};
    uint64_t start = bn_trace_start(session->engine->trace);
    if (item->top)
        source = (struct source){NULL, item->top->candidates, item->top->n};
    enum bn_result result = sample(session, source, no_end, token, err);
    bn_trace_phase(session->engine->trace, BN_PHASE_SAMPLE, start, 0, 0, 0);
    return result;
}

enum bn_result bn_session_sample(struct bn_session *session, const float *logits, int32_t *token, struct bn_error *err)
{
    if (!session || !logits || !token)
        return bn_fail(err, BN_ERR_ARGUMENT, "session, logits or token is NULL");
    struct bn_step_item item = {.logits = logits};
    return bn_sample(session, &item, false, token, err);
}

enum bn_result bn_session_sample_top(struct bn_session *session, const struct bn_top *top, int32_t *token,
                                     struct bn_error *err)
{
    if (!session || !top || !token || top->n == 0 || top->n > BN_TOP_MOST)
        return bn_fail(err, BN_ERR_ARGUMENT, "session, top or token is NULL, or top has no candidates");
    struct bn_step_item item = {.top = top};
    return bn_sample(session, &item, false, token, err);
}

// A penalty lowers at most `penalised` tokens, and banned end tokens fall out: so many more may come up from below.
size_t bn_sample_needs(const struct bn_session *session, bool no_end)
{
    const struct bn_sampling *s = &session->sampling;
    bool greedy = s->greedy || s->temperature <= 0;
    if ((!greedy && s->top_k == 0) || s->repeat_penalty < 1.0f)
        return 0;
    return (greedy ? 1 : s->top_k) + penalised(session) + (no_end ? session->engine->n_ends : 0);
}

size_t bn_session_top_needed(const struct bn_session *session)
{
    return bn_sample_needs(session, false);
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
