// same_logits MODEL MODEL...: do all of them give the same logits, bit for bit, for ids that depend on the vocabulary only?
#include "tests/e2e/harness.h"

enum { POSITIONS = 48 };

static float *logits_of(const char *model, size_t *n)
{
    struct rig rig = rig_open(&(struct rig_options){.model = model, .engine = {.n_outputs = POSITIONS, .n_ctx = 64}});
    struct bn_session *session;
    int32_t ids[POSITIONS];
    for (uint32_t i = 0; i < POSITIONS; i++)
        ids[i] = (int32_t)((i * 7919u + 11) % rig.n_vocab);
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = POSITIONS, .n_logits = POSITIONS};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    *n = (size_t)POSITIONS * rig.n_vocab;
    float *copy = malloc(*n * sizeof(*copy));
    if (!copy)
        exit(1);
    memcpy(copy, item.logits, *n * sizeof(*copy));
    bn_session_destroy(session);
    rig_close(&rig);
    return copy;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    float *first = argc > 1 ? logits_of(argv[1], &n) : NULL;
    for (int i = 2; i < argc; i++) {
        size_t m;
        float *other = logits_of(argv[i], &m);
        bool same = m == n && memcmp(first, other, n * sizeof(*first)) == 0;
        CHECK(same, "%s and %s give other logits", argv[1], argv[i]);
        free(other);
    }
    free(first);
    return finish();
}
