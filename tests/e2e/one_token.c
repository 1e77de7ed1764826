// One token of the default model, sampled and computed on one thread with AVX2: what instructions.py counts. valgrind looks for
// the function by its name.
#include "tests/e2e/harness.h"

enum { BEFORE = 64 };

int32_t one_token(const struct rig *rig, struct bn_session *session, const float **logits);

__attribute__((noinline)) int32_t one_token(const struct rig *rig, struct bn_session *session, const float **logits)
{
    int32_t token;
    MUST(bn_session_sample(session, *logits, &token, &error));
    struct bn_step_item item = {.session = session, .tokens = &token, .n_tokens = 1, .n_logits = 1};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    *logits = item.logits;
    return token;
}

int main(void)
{
    struct rig rig = rig_open(&(struct rig_options){.isa = "avx2", .threads = 1, .engine = {.n_ctx = 256}});
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    int32_t ids[BEFORE];
    for (int32_t i = 0; i < BEFORE; i++)
        ids[i] = 3 + 29 * i;
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = BEFORE, .n_logits = 1};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    printf("token %d\n", one_token(&rig, session, &item.logits));
    bn_session_destroy(session);
    rig_close(&rig);
    return 0;
}
