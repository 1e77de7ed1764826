// Every machine computes the same bytes: logits_hash EXPECTED
// Prints a hash of all logits of a fixed text, and what the default model writes after it, with and without chance; compares
// with the file. To be run on a machine that none of us has: BITNET_TEST_MODELS names the folder of stories.gguf.
#include "tests/e2e/harness.h"

static const char text[] =
    "Once upon a time there was a small boat that lived on a big blue lake. It was not fast, and it was not new, but "
    "it "
    "loved the wind. Every morning the wind came down from the hills and said, \"Where shall we go today?\" The boat "
    "thought and thought. \"Let us find the island with the red trees,\" it said. So they went, past the old mill and "
    "the sleeping ducks, until the water was deep and dark.";

enum { MOST = 256, POSITIONS = 64 }; // the text is longer than a page of the KV pool

// FNV-1a, 64 bits, over the bytes of the floats from the lowest up.
static uint64_t hash_floats(uint64_t hash, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof(bits));
        for (int shift = 0; shift < 32; shift += 8)
            hash = (hash ^ (bits >> shift & 0xff)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

struct page {
    char text[4096];
    size_t bytes;
};

static void put(struct page *page, const char *data, size_t bytes)
{
    if (bytes < sizeof(page->text) - page->bytes) {
        memcpy(page->text + page->bytes, data, bytes);
        page->bytes += bytes;
    }
}

static bool on_token(void *user, const struct bn_generated *made)
{
    put(user, made->text, made->bytes);
    return true;
}

// Goes on from the session's past; the last token is given again.
static void go_on(struct bn_session *session, const int32_t *ids, size_t n, bool greedy, struct page *page)
{
    struct bn_sampling sampling;
    bn_sampling_defaults(&sampling);
    sampling.greedy = greedy;
    sampling.seed = 7;
    MUST(bn_session_set_sampling(session, &sampling, &error));
    MUST(bn_session_truncate(session, n - 1, &error));
    struct bn_generate_options options;
    BN_INIT(options);
    options.prompt = ids + n - 1;
    options.n_prompt = 1;
    options.n_predict = POSITIONS;
    options.on_token = on_token;
    options.user = page;
    put(page, greedy ? "greedy:" : "seed 7:", 7);
    MUST(bn_generate(session, &options, NULL, &error));
    put(page, "\n", 1);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    struct rig rig = rig_open(&(struct rig_options){.engine = {.n_outputs = MOST}});
    const struct bn_device_info *info = bn_device_get_info(rig.device);
    int32_t ids[MOST];
    size_t n = 0;
    MUST(bn_tokenize(bn_model_get_tokenizer(rig.model), text, strlen(text), BN_TOKENIZE_BOS, ids, MOST, &n, &error));
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = ids, .n_tokens = n, .n_logits = n};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    struct page page = {.bytes = 0};
    uint64_t hash = hash_floats(UINT64_C(0xcbf29ce484222325), item.logits, n * rig.n_vocab);
    page.bytes = (size_t)snprintf(page.text, sizeof(page.text), "%zu positions, logits %016" PRIx64 "\n", n, hash);
    go_on(session, ids, n, true, &page);
    go_on(session, ids, n, false, &page);
    bn_session_destroy(session);
    printf("%s %s, %u threads\n%s", info->id, info->isa, info->threads, page.text);
    rig_close(&rig);

    char expected[sizeof(page.text)];
    FILE *file = fopen(argv[1], "rb");
    size_t bytes = file ? fread(expected, 1, sizeof(expected), file) : 0;
    if (file)
        fclose(file);
    CHECK(n > POSITIONS, "the text has %zu tokens only", n);
    CHECK(bytes == page.bytes && memcmp(expected, page.text, bytes) == 0, "%s says otherwise", argv[1]);
    return finish();
}
