#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/engine/engine_impl.h"

enum { MAX_REPEAT = 4096 };

bool bn_sampling_of_model(const struct bn_model *model, struct bn_sampling *sampling)
{
    const struct bn_model_sampling *from = &model->sampling;
    bn_sampling_defaults(sampling);
    if (from->given & BN_SAMPLING_TEMPERATURE)
        sampling->temperature = from->temperature;
    if (from->given & BN_SAMPLING_TOP_K)
        sampling->top_k = from->top_k;
    if (from->given & BN_SAMPLING_TOP_P)
        sampling->top_p = from->top_p;
    if (from->given & BN_SAMPLING_MIN_P)
        sampling->min_p = from->min_p;
    if (from->given & BN_SAMPLING_REPEAT_PENALTY)
        sampling->repeat_penalty = from->repeat_penalty;
    if (from->given & BN_SAMPLING_REPEAT_LAST_N)
        sampling->repeat_last_n = from->repeat_last_n;
    return from->given != 0;
}

void bn_sampling_defaults(struct bn_sampling *sampling)
{
    *sampling = (struct bn_sampling){
        .size = sizeof(*sampling),
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
    };
}

static enum bn_result check_sampling(const struct bn_sampling *s, struct bn_error *err)
{
    if (s->size != sizeof(*s))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the sampling is not set; use bn_sampling_defaults");
    if (!(s->temperature >= 0 && s->temperature <= 1000))
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "temperature", UINT64_MAX, "must be between 0 and 1000");
    if (!(s->top_p >= 0 && s->top_p <= 1))
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "top_p", UINT64_MAX, "must be between 0 and 1");
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "min_p", UINT64_MAX, "must be between 0 and 1");
    if (!(s->repeat_penalty > 0 && s->repeat_penalty <= 1000))
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "repeat_penalty", UINT64_MAX, "must be above 0, at most 1000");
    if (s->repeat_last_n > MAX_REPEAT)
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "repeat_last_n", UINT64_MAX, "must be at most %d", MAX_REPEAT);
    return BN_OK;
}

enum bn_result bn_session_set_sampling(struct bn_session *session, const struct bn_sampling *sampling,
                                       struct bn_error *err)
{
    if (!session || !sampling)
        return bn_fail(err, BN_ERR_ARGUMENT, "session or sampling is NULL");
    enum bn_result result = check_sampling(sampling, err);
    if (result == BN_OK)
        session->sampling = *sampling;
    return result;
}

enum bn_result bn_session_create(struct bn_engine *engine, const struct bn_sampling *sampling, struct bn_session **out,
                                 struct bn_error *err)
{
    if (!engine || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "engine or out is NULL");
    *out = NULL;
    struct bn_sampling defaults;
    bn_sampling_defaults(&defaults);
    if (!sampling)
        sampling = &defaults;
    enum bn_result result = check_sampling(sampling, err);
    if (result != BN_OK)
        return result;
    if (engine->n_sessions == engine->config.n_sessions)
        return bn_fail(err, BN_ERR_CONTEXT_FULL, "the engine was made for %u sessions; raise n_sessions",
                       engine->config.n_sessions);
    struct bn_session *session = bn_alloc(engine->host, sizeof(*session));
    int32_t *tokens = bn_alloc_array(engine->host, engine->config.n_ctx, sizeof(*tokens));
    uint32_t *pages = bn_alloc_array(engine->host, engine->pages_per_session, sizeof(*pages));
    if (!session || !tokens || !pages) {
        bn_free(engine->host, session);
        bn_free(engine->host, tokens);
        bn_free(engine->host, pages);
        return bn_fail_memory(err, sizeof(*session) + engine->config.n_ctx * sizeof(*tokens), "a session");
    }
    session->engine = engine;
    session->sampling = *sampling;
    session->tokens = tokens;
    session->pages = pages;
    session->link = &engine->sessions;
    session->next = engine->sessions;
    if (session->next)
        session->next->link = &session->next;
    engine->sessions = session;
    engine->n_sessions++;
    *out = session;
    return BN_OK;
}

void bn_session_destroy(struct bn_session *session)
{
    if (!session)
        return;
    struct bn_engine *engine = session->engine;
    bn_session_release(session, 0);
    *session->link = session->next;
    if (session->next)
        session->next->link = session->link;
    engine->n_sessions--;
    bn_free(engine->host, session->tokens);
    bn_free(engine->host, session->pages);
    bn_free(engine->host, session);
}

enum bn_result bn_session_fork(struct bn_session *session, struct bn_session **out, struct bn_error *err)
{
    if (!session || !out) {
        if (out)
            *out = NULL;
        return bn_fail(err, BN_ERR_ARGUMENT, "session or out is NULL");
    }
    enum bn_result result = bn_session_create(session->engine, &session->sampling, out, err);
    if (result != BN_OK)
        return result;
    struct bn_session *fork = *out;
    memcpy(fork->tokens, session->tokens, session->length * sizeof(*session->tokens));
    memcpy(fork->pages, session->pages, session->n_pages * sizeof(*session->pages));
    fork->length = session->length;
    fork->computed = session->computed;
    fork->n_pages = session->n_pages;
    for (uint32_t i = 0; i < fork->n_pages; i++)
        session->engine->pages.references[fork->pages[i]]++;
    return BN_OK;
}

enum bn_result bn_session_truncate(struct bn_session *session, size_t length, struct bn_error *err)
{
    if (!session)
        return bn_fail(err, BN_ERR_ARGUMENT, "session is NULL");
    if (length > session->length)
        return bn_fail(err, BN_ERR_ARGUMENT, "cannot truncate to %zu, the session has %zu positions", length,
                       session->length);
    session->length = length;
    session->computed = session->computed < length ? session->computed : length;
    bn_session_release(session, length);
    return BN_OK;
}

size_t bn_session_length(const struct bn_session *session)
{
    return session->length;
}

const int32_t *bn_session_tokens(const struct bn_session *session)
{
    return session->tokens;
}

struct bn_engine *bn_session_get_engine(const struct bn_session *session)
{
    return session->engine;
}
