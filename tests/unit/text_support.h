// A small byte-level vocabulary for tests: 256 byte tokens, then what the test adds.
#ifndef TESTS_TEXT_SUPPORT_H
#define TESTS_TEXT_SUPPORT_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "runtime/text/tokenizer.h"
#include "tests/without.h"

#define MAX_TOKENS 4096

struct small_vocab {
    struct bn_vocab vocab;
    struct bn_str tokens[MAX_TOKENS], merges[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    char alphabet[256][4];
};

static inline struct bn_str str(const char *text)
{
    return (struct bn_str){text, strlen(text)};
}

// GPT-2's byte_encoder, as its authors wrote it down: bytes that print stand for themselves, the others for the
// characters from U+0100 on.
static inline void small_alphabet(char alphabet[256][4])
{
    unsigned other = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        unsigned code = prints ? byte : other++;
        if (code < 0x80) {
            alphabet[byte][0] = (char)code;
        } else {
            alphabet[byte][0] = (char)(0xc0 | code >> 6);
            alphabet[byte][1] = (char)(0x80 | (code & 0x3f));
        }
    }
}

static inline int32_t small_add(struct small_vocab *small, const char *text, int32_t type)
{
    size_t n = small->vocab.n_tokens++;
    ck_assert_uint_lt(n, MAX_TOKENS);
    small->tokens[n] = str(text);
    small->types[n] = type;
    return (int32_t)n;
}

static inline void small_merge(struct small_vocab *small, const char *text)
{
    ck_assert_uint_lt(small->vocab.n_merges, MAX_TOKENS);
    small->merges[small->vocab.n_merges++] = str(text);
}

static inline void small_init(struct small_vocab *small)
{
    memset(small, 0, sizeof(*small));
    struct bn_vocab *vocab = &small->vocab;
    *vocab = (struct bn_vocab){.file = "small", .model = str("gpt2"), .pre = str("gpt-2"), .architecture = str("gpt2")};
    vocab->tokens = small->tokens;
    vocab->types = small->types;
    vocab->merges = small->merges;
    vocab->bos = vocab->eos = vocab->eot = vocab->pad = -1;
    vocab->add_bos = vocab->ignore_merges = vocab->nfc = -1;
    small_alphabet(small->alphabet);
    for (int byte = 0; byte < 256; byte++)
        small_add(small, small->alphabet[byte], 1);
}

// Keeps the host that tokenizers point to.
static inline struct bn_tokenizer *small_create(const struct small_vocab *small)
{
    static struct bn_host host;
    bn_host_init(&host, NULL);
    struct bn_tokenizer *tokenizer;
    struct bn_error err = {0};
    enum bn_result result = bn_tokenizer_create(&host, &small->vocab, &tokenizer, &err);
    ck_assert_msg(result == BN_OK, "%s: %s", err.subject, err.message);
    return tokenizer;
}

// The ids of `text`; returns their number.
static inline size_t ids_of(const struct bn_tokenizer *tokenizer, const char *text, unsigned flags, int32_t *ids,
                            size_t capacity)
{
    size_t count;
    struct bn_error err = {0};
    ck_assert_msg(bn_tokenize(tokenizer, text, strlen(text), flags, ids, capacity, &count, &err) == BN_OK, "%s",
                  err.message);
    ck_assert_uint_le(count, capacity);
    return count;
}

static inline void check_ids(const struct bn_tokenizer *tokenizer, const char *text, unsigned flags,
                             const int32_t *wanted, size_t n_wanted)
{
    int32_t ids[256];
    size_t n = ids_of(tokenizer, text, flags, ids, 256);
    for (size_t i = 0; i < n && i < n_wanted; i++)
        ck_assert_msg(ids[i] == wanted[i], "\"%s\": id %zu is %d, not %d", text, i, ids[i], wanted[i]);
    ck_assert_msg(n == n_wanted, "\"%s\": %zu ids, not %zu", text, n, n_wanted);
}

#define CHECK_IDS(tokenizer, text, flags, ...)                                                                         \
    check_ids(tokenizer, text, flags, (const int32_t[]){__VA_ARGS__},                                                  \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

// For main of tests that make tokenizers.
static inline int run_tests(const char *name, const TTest *const *tests, size_t n_tests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    for (size_t i = 0; i < n_tests; i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 0);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner), ran = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && ran == (int)n_tests ? 0 : 1;
}

#endif
