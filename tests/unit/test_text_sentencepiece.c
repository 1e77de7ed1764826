// SentencePiece vocabularies against SentencePiece itself (tests/gen/sentencepiece_golden.py), and what makes one refused.
#include "text_support.h"

#include <bitnet/bitnet.h>

#include <math.h>
#include <stdlib.h>

static struct bn_runtime *runtime;

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set; run this through meson test", name);
    return value;
}

static struct bn_model *open_vocabulary(const char *name)
{
    struct bn_model_options options;
    struct bn_model *model;
    struct bn_error err = {0};
    char path[4096];
    BN_INIT(options);
    options.vocab_only = true;
    if (strncmp(name, "sp-", 3) == 0)
        snprintf(path, sizeof(path), "%s/tokenizer/%s.gguf", environment("BITNET_TEST_DATA"), name);
    else
        snprintf(path, sizeof(path), "%s/%s.gguf", environment("BITNET_TEST_VOCAB"), name);
    ck_assert_msg(bn_model_open(runtime, path, &options, &model, &err) == BN_OK, "%s: %s", err.subject, err.message);
    return model;
}

static size_t parse_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (char)byte;
    return n;
}

static void check_line(const struct bn_tokenizer *tokenizer, const char *hex, char *wanted, int line)
{
    char text[4096];
    int32_t ids[1024];
    size_t bytes = parse_hex(hex, text), count, n = 0;
    struct bn_error err = {0};
    ck_assert_msg(bn_tokenize(tokenizer, text, bytes, 0, ids, 1024, &count, &err) == BN_OK, "%d: %s", line,
                  err.message);
    for (char *at = wanted, *end;; at = end, n++) {
        long id = strtol(at, &end, 10);
        if (end == at)
            break;
        ck_assert_msg(n < count && ids[n] == id, "line %d: id %zu is %d, not %ld", line, n, n < count ? ids[n] : -1,
                      id);
    }
    ck_assert_msg(n == count, "line %d: %zu ids, not %zu", line, count, n);
}

START_TEST(golden)
{
    char path[4096], row[16384], name[64] = "";
    int line = 0, vocabularies = 0;
    struct bn_model *model = NULL;
    snprintf(path, sizeof(path), "%s/tokenizer/sentencepiece.txt", environment("BITNET_TEST_DATA"));
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(row, sizeof(row), file)) {
        char *hex = strchr(row, '\t'), *ids = hex ? strchr(hex + 1, '\t') : NULL;
        ck_assert_ptr_nonnull(ids);
        *hex++ = *ids++ = '\0';
        if (strcmp(row, name) != 0) {
            snprintf(name, sizeof(name), "%.60s", row);
            bn_model_destroy(model);
            model = open_vocabulary(name);
            vocabularies++;
        }
        check_line(bn_model_get_tokenizer(model), hex, ids, ++line);
    }
    bn_model_destroy(model);
    fclose(file);
    ck_assert_int_gt(line, 600);
    ck_assert_int_eq(vocabularies, 4);
}
END_TEST

// 256 byte tokens and a few pieces; the tests change it.
static void sp_init(struct small_vocab *small, float *scores, const char *kind)
{
    static char names[256][8];
    memset(small, 0, sizeof(*small));
    small->vocab = (struct bn_vocab){.file = "small",
                                     .model = str(kind),
                                     .tokens = small->tokens,
                                     .types = small->types,
                                     .scores = scores,
                                     .bos = -1,
                                     .eos = -1,
                                     .eot = -1,
                                     .pad = -1,
                                     .add_bos = -1,
                                     .add_space_prefix = 0,
                                     .remove_extra_whitespaces = -1};
    for (int byte = 0; byte < 256; byte++) {
        snprintf(names[byte], sizeof(names[byte]), "<0x%02X>", byte);
        scores[small_add(small, names[byte], 6)] = 0;
    }
    static const char *const pieces[] = {"a", "b", "\u2581", "ab", "aba", "ba", "\u2581a"};
    for (int i = 0; i < 7; i++)
        scores[small_add(small, pieces[i], 1)] = (float)-i;
}

START_TEST(order_of_merges)
{
    static struct small_vocab small;
    static float scores[MAX_TOKENS];
    sp_init(&small, scores, "llama");
    struct bn_tokenizer *tokenizer = small_create(&small);
    enum { A = 256, B, SPACE, AB, ABA, BA, SPACE_A };
    CHECK_IDS(tokenizer, "ab", 0, AB);
    CHECK_IDS(tokenizer, "aba", 0, ABA);
    CHECK_IDS(tokenizer, "baba", 0, B, ABA); // ab comes before ba
    CHECK_IDS(tokenizer, "aab", 0, A, AB);
    CHECK_IDS(tokenizer, " ab", 0, SPACE, AB); // ab before the space
    CHECK_IDS(tokenizer, "a\u2581a", 0, A, SPACE_A);
    CHECK_IDS(tokenizer, "\xff\x61\xc3", 0, 0xff, A, 0xc3);
    CHECK_IDS(tokenizer, "\u00e9", 0, 0xc3, 0xa9);
    bn_tokenizer_destroy(tokenizer);
    small.vocab.add_space_prefix = 1; // once, not behind bytes that are not UTF-8
    tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "b\xff\x61", 0, SPACE, B, 0xff, A);
    bn_tokenizer_destroy(tokenizer);
    size_t own = small_add(&small, "=", 4); // and again behind a token of the author's own, as llama.cpp does
    scores[own] = 0;
    tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "b=b", 0, SPACE, B, (int32_t)own, SPACE, B);
    bn_tokenizer_destroy(tokenizer);
    small.vocab.n_tokens--;
    small.vocab.add_space_prefix = 0;
    scores[BA] = scores[AB] = 1; // equal: the leftmost first
    tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "baba", 0, BA, BA);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(best_sum)
{
    static struct small_vocab small;
    static float scores[MAX_TOKENS];
    sp_init(&small, scores, "t5");
    enum { A = 256, B, SPACE, AB, ABA, BA, SPACE_A };
    scores[A] = scores[B] = -2;
    struct bn_tokenizer *tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "aba", 0, ABA); // -4 against -5 and -7
    CHECK_IDS(tokenizer, "abab", 0, AB, AB);
    CHECK_IDS(tokenizer, "z", 0, 'z');
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

static void fails(const struct small_vocab *small, enum bn_result wanted, const char *subject, const char *part)
{
    struct bn_host host;
    struct bn_tokenizer *tokenizer;
    struct bn_error err = {0};
    bn_host_init(&host, NULL);
    ck_assert_int_eq(bn_tokenizer_create(&host, &small->vocab, &tokenizer, &err), wanted);
    ck_assert_ptr_null(tokenizer);
    ck_assert_str_eq(err.subject, subject);
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
}

START_TEST(refused)
{
    static struct small_vocab small;
    static float scores[MAX_TOKENS];
    sp_init(&small, scores, "llama");
    scores[3] = NAN;
    fails(&small, BN_ERR_MODEL, "tokenizer.ggml.scores[3]", "not finite");
    sp_init(&small, scores, "llama");
    small.vocab.scores = NULL;
    fails(&small, BN_ERR_MODEL, "tokenizer.ggml.scores", "missing");
    sp_init(&small, scores, "t5");
    small.vocab.has_charsmap = true;
    fails(&small, BN_ERR_UNSUPPORTED, "tokenizer.ggml.precompiled_charsmap", "normaliser");
    sp_init(&small, scores, "llama");
    small.vocab.add_eos = 1;
    fails(&small, BN_ERR_MODEL, "tokenizer.ggml.add_eos_token", "names none");
    static char longest[400];
    memset(longest, 'a', sizeof(longest) - 1);
    sp_init(&small, scores, "t5");
    small_add(&small, longest, 1);
    fails(&small, BN_ERR_UNSUPPORTED, "tokenizer.ggml.tokens", "at most 256");
    // A file without byte tokens and without an unknown token cannot say everything.
    sp_init(&small, scores, "llama");
    for (int i = 0; i < 256; i++)
        small.types[i] = 5;
    struct bn_tokenizer *tokenizer = small_create(&small);
    size_t count;
    ck_assert_int_eq(bn_tokenize(tokenizer, "az", 2, 0, NULL, 0, &count, NULL), BN_ERR_UNSUPPORTED);
    bn_tokenizer_destroy(tokenizer);
    small.types[7] = 2; // with one, a run of such characters is one token
    tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "azzb", 0, 256, 7, 257);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(long_texts)
{
    struct bn_model *model = open_vocabulary("llama-spm");
    size_t bytes = 1 << 18, count;
    char *text = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        text[i] = " a\n"[i % 3];
    memset(text, ' ', bytes / 2);
    ck_assert_int_eq(bn_tokenize(bn_model_get_tokenizer(model), text, bytes, 0, NULL, 0, &count, NULL), BN_OK);
    ck_assert_uint_gt(count, bytes / 64);
    free(text);
    bn_model_destroy(model);
}
END_TEST

int main(void)
{
    struct bn_error err = {0};
    if (bn_runtime_create(NULL, &runtime, &err) != BN_OK)
        return 1;
    const TTest *const tests[] = {golden, order_of_merges, best_sum, refused, long_texts};
    int failed = run_tests("text_sentencepiece", tests, sizeof(tests) / sizeof(tests[0]));
    bn_runtime_destroy(runtime);
    return failed;
}
