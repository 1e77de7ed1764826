// Vocabularies that no file should have, special tokens, and what merging means, on small vocabularies made here.
#include "text_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/text/tokenizer_impl.h"

static struct small_vocab small;

static void fails(enum bn_result wanted, const char *subject, const char *message)
{
    struct bn_host host;
    struct bn_error err = {0};
    struct bn_tokenizer *tokenizer = (struct bn_tokenizer *)&host;
    bn_host_init(&host, NULL);
    enum bn_result result = bn_tokenizer_create(&host, &small.vocab, &tokenizer, &err);
    ck_assert_msg(result == wanted, "%s instead of %s", bn_result_name(result), bn_result_name(wanted));
    ck_assert_ptr_null(tokenizer);
    ck_assert_str_eq(err.file, "small");
    ck_assert_str_eq(err.subject, subject);
    ck_assert_msg(strstr(err.message, message) != NULL, "%s", err.message);
}

START_TEST(refused)
{
    small_init(&small);
    small.vocab.model = str("bert");
    fails(BN_ERR_UNSUPPORTED, "tokenizer.ggml.model", "\"bert\"");
    small_init(&small);
    small.vocab.model = (struct bn_str){NULL, 0};
    fails(BN_ERR_UNSUPPORTED, "tokenizer.ggml.model", "\"\"");
    small_init(&small);
    small.vocab.pre = str("tekken");
    fails(BN_ERR_UNSUPPORTED, "tokenizer.ggml.pre", "\"tekken\"");
    small_init(&small);
    small.vocab.n_tokens = 0;
    fails(BN_ERR_MODEL, "tokenizer.ggml.tokens", "0 tokens");
    small_init(&small);
    small.vocab.bos = 256;
    fails(BN_ERR_MODEL, "tokenizer.ggml.bos_token_id", "256");
    small_init(&small);
    small.vocab.eos = -2;
    fails(BN_ERR_MODEL, "tokenizer.ggml.eos_token_id", "-2");
    small_init(&small);
    small.vocab.eot = INT64_MAX;
    fails(BN_ERR_MODEL, "tokenizer.ggml.eot_token_id", "outside");
    small_init(&small);
    small.vocab.pad = 1 << 20;
    fails(BN_ERR_MODEL, "tokenizer.ggml.padding_token_id", "outside");
    small_init(&small);
    small.vocab.add_bos = 1;
    fails(BN_ERR_MODEL, "tokenizer.ggml.add_bos_token", "names none");
}
END_TEST

START_TEST(refused_tokens)
{
    static const char *const bad_utf8[] = {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"};
    for (size_t i = 0; i < 4; i++) {
        for (int32_t type = 1; type <= 6; type++) {
            small_init(&small);
            small_add(&small, bad_utf8[i], type);
            fails(BN_ERR_MODEL, "tokenizer.ggml.tokens[256]", "not UTF-8");
        }
    }
    small_init(&small);
    small_add(&small, "\u0120the", 1);
    small_add(&small, "\u0120the", 1);
    fails(BN_ERR_MODEL, "tokenizer.ggml.tokens[257]", "the same token as 256");
    small_init(&small);
    small_add(&small, "<x>", 3);
    small_add(&small, "<y>", 3);
    small_add(&small, "<x>", 4);
    fails(BN_ERR_MODEL, "tokenizer.ggml.tokens[258]", "the same token as 256");
    static const char *const bad_bytes[] = {"<0x4>", "<0xG1>", "0x41", "<0x41]", "<0x041>", "a"};
    for (size_t i = 0; i < 6; i++) {
        small_init(&small);
        small_add(&small, bad_bytes[i], 6);
        fails(BN_ERR_MODEL, "tokenizer.ggml.tokens[256]", "byte token");
    }
    static char longest[4097 + 1];
    for (int32_t type = 1; type <= 4; type += 2) {
        memset(longest, 'x', 4097);
        small_init(&small);
        small_add(&small, longest, type);
        fails(BN_ERR_UNSUPPORTED, "tokenizer.ggml.tokens[256]", "4097 bytes");
        longest[4096] = '\0';
        small_init(&small);
        small_add(&small, longest, type);
        bn_tokenizer_destroy(small_create(&small));
    }
}
END_TEST

START_TEST(refused_merges)
{
    static const char *const bad[] = {"",    " ",    "ab",   "a ",       " b",       "a  b",   "a b c",
                                      "a c", "ab b", "x ab", "a \u2603", "\u00a0 b", "a \xff", "a b\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        small_init(&small);
        small_add(&small, "ab", 1);
        small_merge(&small, "a b");
        small_merge(&small, bad[i]);
        fails(BN_ERR_MODEL, "tokenizer.ggml.merges[1]", "");
    }
    // Text never becomes a control token, so a merge cannot make one.
    small_init(&small);
    small_add(&small, "ab", 3);
    small_merge(&small, "a b");
    fails(BN_ERR_MODEL, "tokenizer.ggml.merges[0]", "normal token");
}
END_TEST

// The hash of bpe.c, so that pairs can be found that collide. If that changes, so must this.
static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t x = (uint64_t)left << 32 | right;
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    return (uint32_t)x ^ (uint32_t)(x >> 32);
}

// Without a limit, a table filled like this makes loading quadratic.
START_TEST(made_to_collide)
{
    static char texts[2048][16], pairs[2048][16];
    small_init(&small);
    size_t n = 0;
    for (uint32_t left = 0; left < 256; left++) {
        for (uint32_t right = 0; right < 256 && n < 1500; right++) {
            if (hash_pair(left, right) % 4096 >= 80)
                continue;
            snprintf(texts[n], sizeof(texts[n]), "%s%s", small.alphabet[left], small.alphabet[right]);
            snprintf(pairs[n], sizeof(pairs[n]), "%s %s", small.alphabet[left], small.alphabet[right]);
            small_add(&small, texts[n], 1);
            small_merge(&small, pairs[n]);
            n++;
        }
    }
    ck_assert_uint_gt(n, 1024);
    small.vocab.n_merges = 1000;
    bn_tokenizer_destroy(small_create(&small));
    small.vocab.n_merges = n;
    while (small.vocab.n_merges <= 1024)
        small_merge(&small, pairs[0]);
    struct bn_host host;
    struct bn_tokenizer *tokenizer;
    struct bn_error err = {0};
    bn_host_init(&host, NULL);
    ck_assert_int_eq(bn_tokenizer_create(&host, &small.vocab, &tokenizer, &err), BN_ERR_MODEL);
    ck_assert_msg(strstr(err.message, "collide") != NULL, "%s", err.message);
}
END_TEST

START_TEST(tolerated)
{
    small_init(&small);
    int32_t empty = small_add(&small, "", 1), odd = small_add(&small, "a b\u2603", 1);
    int32_t zero = small_add(&small, "x1", 0), huge = small_add(&small, "x2", 1 << 30),
            unused = small_add(&small, "x3", 5);
    int32_t ab = small_add(&small, "ab", 1);
    small_merge(&small, "a b");
    small_merge(&small, "a b");
    struct bn_tokenizer *tokenizer = small_create(&small);
    size_t bytes;
    ck_assert_int_eq(bn_token_get_kind(tokenizer, empty), BN_TOKEN_UNUSED);
    ck_assert_ptr_nonnull(bn_token_bytes(tokenizer, empty, &bytes));
    ck_assert_uint_eq(bytes, 0);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, odd), BN_TOKEN_NORMAL);
    ck_assert_mem_eq(bn_token_bytes(tokenizer, odd, &bytes), "a b\u2603", 6);
    ck_assert_uint_eq(bytes, 6);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, zero), BN_TOKEN_UNUSED);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, huge), BN_TOKEN_UNUSED);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, unused), BN_TOKEN_UNUSED);
    CHECK_IDS(tokenizer, "abx3", BN_TOKENIZE_SPECIAL, ab, 'x', '3');
    ck_assert_ptr_null(bn_token_bytes(tokenizer, -1, &bytes));
    ck_assert_uint_eq(bytes, 0);
    ck_assert_ptr_null(bn_token_bytes(tokenizer, (int32_t)small.vocab.n_tokens, &bytes));
    ck_assert_int_eq(bn_token_get_kind(tokenizer, -1), BN_TOKEN_UNUSED);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, INT32_MAX), BN_TOKEN_UNUSED);
    ck_assert(!bn_token_is_end(tokenizer, -1) && !bn_token_is_end(tokenizer, INT32_MAX));
    bn_tokenizer_destroy(tokenizer);
    bn_tokenizer_destroy(NULL);
}
END_TEST

START_TEST(every_byte)
{
    small_init(&small);
    struct bn_tokenizer *tokenizer = small_create(&small);
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        int32_t id;
        size_t count;
        ck_assert_int_eq(bn_tokenize(tokenizer, &c, 1, 0, &id, 1, &count, NULL), BN_OK);
        ck_assert_uint_eq(count, 1);
        ck_assert_int_eq(id, byte);
        ck_assert_mem_eq(bn_token_bytes(tokenizer, id, &count), &c, 1);
    }
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

// The lowest rank first, then the leftmost; a whole piece only for the pre-tokenisers that say so.
static void check_merging(const char *pre, bool whole)
{
    small_init(&small);
    small.vocab.pre = str(pre);
    int32_t bc = small_add(&small, "bc", 1), ab = small_add(&small, "ab", 1), abc = small_add(&small, "abc", 1);
    int32_t aa = small_add(&small, "aa", 1), aaaa = small_add(&small, "aaaa", 1), xyz = small_add(&small, "xyz", 1);
    small_merge(&small, "b c");
    small_merge(&small, "a b");
    small_merge(&small, "ab c");
    small_merge(&small, "a a");
    small_merge(&small, "aa aa");
    struct bn_tokenizer *tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "aab", 0, 'a', ab);
    CHECK_IDS(tokenizer, "abcd", 0, 'a', bc, 'd');
    CHECK_IDS(tokenizer, "aaa", 0, aa, 'a');
    CHECK_IDS(tokenizer, "aaaaa", 0, aaaa, 'a');
    CHECK_IDS(tokenizer, "aaaaaaa", 0, aaaa, aa, 'a');
    CHECK_IDS(tokenizer, "a a", 0, 'a', ' ', 'a');
    CHECK_IDS(tokenizer, "wxyz", 0, 'w', 'x', 'y', 'z');
    if (whole) {
        CHECK_IDS(tokenizer, "abc", 0, abc);
        CHECK_IDS(tokenizer, "xyz", 0, xyz);
    } else {
        CHECK_IDS(tokenizer, "abc", 0, 'a', bc);
        CHECK_IDS(tokenizer, "xyz", 0, 'x', 'y', 'z');
    }
    bn_tokenizer_destroy(tokenizer);
}

START_TEST(special_tokens)
{
    small_init(&small);
    int32_t a = small_add(&small, "<a", 3), ab = small_add(&small, "<ab>", 3), user = small_add(&small, "<u>", 4);
    int32_t spaces = small_add(&small, "  ", 4), unknown = small_add(&small, "<unk>", 2),
            users = small_add(&small, "<u><u>", 4);
    small.vocab.bos = a;
    small.vocab.add_bos = 1;
    struct bn_tokenizer *tokenizer = small_create(&small);
    const unsigned all = BN_TOKENIZE_SPECIAL;
    CHECK_IDS(tokenizer, "<ab><a<", all, ab, a, '<');
    CHECK_IDS(tokenizer, "<ab><a<", 0, '<', 'a', 'b', '>', '<', 'a', '<');
    CHECK_IDS(tokenizer, "<abx", all, a, 'b', 'x');
    CHECK_IDS(tokenizer, "<u>x<u", 0, user, 'x', '<', 'u');
    CHECK_IDS(tokenizer, "<u><u><u>", 0, users, user);
    CHECK_IDS(tokenizer, "x   y", 0, 'x', spaces, ' ', 'y');
    CHECK_IDS(tokenizer, "<unk>", all, unknown);
    CHECK_IDS(tokenizer, "<unk>", 0, '<', 'u', 'n', 'k', '>');
    CHECK_IDS(tokenizer, "<ab>", BN_TOKENIZE_BOS, a, '<', 'a', 'b', '>');
    CHECK_IDS(tokenizer, "<ab>", BN_TOKENIZE_BOS | all, a, ab);
    CHECK_IDS(tokenizer, "", BN_TOKENIZE_BOS, a);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, a), BN_TOKEN_SPECIAL);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, unknown), BN_TOKEN_SPECIAL);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, user), BN_TOKEN_NORMAL);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(who_ends_and_who_begins)
{
    small_init(&small);
    int32_t begin = small_add(&small, "<s>", 3), end = small_add(&small, "</s>", 3),
            im = small_add(&small, "<|im_end|>", 3);
    int32_t text = small_add(&small, "<|endoftext|>", 1), eot = small_add(&small, "<|eot_id|>", 3);
    struct bn_tokenizer *tokenizer = small_create(&small);
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(tokenizer);
    ck_assert_int_eq(info->eos, -1);
    ck_assert_int_eq(info->eot, eot);
    ck_assert(bn_token_is_end(tokenizer, eot) && bn_token_is_end(tokenizer, im) && bn_token_is_end(tokenizer, end));
    ck_assert(!bn_token_is_end(tokenizer, text) && !bn_token_is_end(tokenizer, begin) &&
              !bn_token_is_end(tokenizer, 'a'));
    ck_assert(!info->add_bos);
    bn_tokenizer_destroy(tokenizer);
    // What the file names counts first, whatever its type.
    small.vocab.eos = 'z';
    small.vocab.eot = im;
    small.vocab.bos = begin;
    small.vocab.pad = 0;
    small.vocab.pre = str("llama3");
    tokenizer = small_create(&small);
    info = bn_tokenizer_get_info(tokenizer);
    ck_assert_int_eq(info->eot, im);
    ck_assert_int_eq(info->pad, 0);
    ck_assert(bn_token_is_end(tokenizer, 'z') && !bn_token_is_end(tokenizer, 0));
    ck_assert_str_eq(info->pre, "llama-bpe");
    ck_assert(info->add_bos); // Llama 3's default
    bn_tokenizer_destroy(tokenizer);
    small.vocab.add_bos = 0;
    tokenizer = small_create(&small);
    ck_assert(!bn_tokenizer_get_info(tokenizer)->add_bos);
    bn_tokenizer_destroy(tokenizer);
    // Without types everything is normal but what the file names.
    small.vocab.types = NULL;
    tokenizer = small_create(&small);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, begin), BN_TOKEN_SPECIAL);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, im), BN_TOKEN_SPECIAL);
    ck_assert_int_eq(bn_token_get_kind(tokenizer, eot), BN_TOKEN_NORMAL);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

static int n_warnings;

static void count_warning(void *user, enum bn_log_level level, const char *message)
{
    n_warnings += level == BN_LOG_WARNING && strstr(message, "tokenizer.ggml.pre");
}

START_TEST(without_a_pre_tokeniser)
{
    static const struct {
        const char *architecture, *pre, *wanted;
        int warnings;
    } rows[] = {
        {"bitnet-b1.58", "", "llama-bpe", 0},
        {"bitnet-25", "", "llama-bpe", 0},
        {"bitnet", "", "llama-bpe", 0},
        {"llama", "", "gpt-2", 1},
        {"", "", "gpt-2", 1},
        {"gpt2", "default", "gpt-2", 1},
        {"gpt2", "gpt-2", "gpt-2", 0},
        {"bitnet-b1.58", "gpt-2", "gpt-2", 0},
        {"llama", "llama-v3", "llama-bpe", 0},
        {"bitnet-b1.58", "default", "llama-bpe", 0},
    };
    struct bn_runtime_config config = {.size = sizeof(config), .log = count_warning};
    struct bn_host host;
    bn_host_init(&host, &config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bn_tokenizer *tokenizer;
        small_init(&small);
        small.vocab.architecture = str(rows[i].architecture);
        small.vocab.pre = str(rows[i].pre);
        n_warnings = 0;
        ck_assert_int_eq(bn_tokenizer_create(&host, &small.vocab, &tokenizer, NULL), BN_OK);
        ck_assert_str_eq(bn_tokenizer_get_info(tokenizer)->pre, rows[i].wanted);
        ck_assert_int_eq(n_warnings, rows[i].warnings);
        bn_tokenizer_destroy(tokenizer);
    }
}
END_TEST

// A vocabulary need not have every byte; byte tokens fill gaps.
START_TEST(missing_bytes)
{
    small_init(&small);
    small.tokens['q'] = str("\u0120\u0120");
    struct bn_tokenizer *tokenizer = small_create(&small);
    struct bn_error err = {0};
    size_t count = 9;
    ck_assert_int_eq(bn_tokenize(tokenizer, "aqa", 3, 0, NULL, 0, &count, &err), BN_ERR_UNSUPPORTED);
    ck_assert_uint_eq(count, 0);
    ck_assert_msg(strstr(err.message, "0x71") != NULL, "%s", err.message);
    bn_tokenizer_destroy(tokenizer);
    int32_t q = small_add(&small, "<0x71>", 6);
    tokenizer = small_create(&small);
    CHECK_IDS(tokenizer, "aqa", 0, 'a', q, 'a');
    ck_assert_int_eq(bn_token_get_kind(tokenizer, q), BN_TOKEN_BYTE);
    ck_assert_mem_eq(bn_token_bytes(tokenizer, q, &count), "q", 1);
    bn_tokenizer_destroy(tokenizer);
    small_init(&small);
    small.tokens[0x80] = str("\u0120\u0120");
    tokenizer = small_create(&small);
    ck_assert_int_eq(bn_tokenize(tokenizer, "\x80", 1, 0, NULL, 0, &count, &err), BN_ERR_UNSUPPORTED);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(arguments)
{
    small_init(&small);
    struct bn_tokenizer *tokenizer = small_create(&small);
    int32_t ids[4] = {-7, -7, -7, -7};
    size_t count = 9;
    ck_assert_int_eq(bn_tokenize(NULL, "a", 1, 0, ids, 4, &count, NULL), BN_ERR_ARGUMENT);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(bn_tokenize(tokenizer, NULL, 1, 0, ids, 4, &count, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_tokenize(tokenizer, "a", 1, 0, NULL, 4, &count, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_tokenize(tokenizer, "a", 1, 0, ids, 4, NULL, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_tokenize(tokenizer, "a", 1, 8, ids, 4, &count, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_tokenize(tokenizer, "a", (size_t)INT32_MAX + 1, 0, ids, 4, &count, NULL), BN_ERR_UNSUPPORTED);
    ck_assert_int_eq(bn_tokenize(tokenizer, NULL, 0, 0, NULL, 0, &count, NULL), BN_OK);
    ck_assert_uint_eq(count, 0);
    // No more ids than there is room for, and always their full number.
    ck_assert_int_eq(bn_tokenize(tokenizer, "abcde", 5, 0, ids, 3, &count, NULL), BN_OK);
    ck_assert_uint_eq(count, 5);
    ck_assert_int_eq(ids[0], 'a');
    ck_assert_int_eq(ids[2], 'c');
    ck_assert_int_eq(ids[3], -7);
    // The text need not be terminated, and what follows it does not matter.
    ck_assert_int_eq(bn_tokenize(tokenizer, "abcde", 2, 0, ids, 4, &count, NULL), BN_OK);
    ck_assert_uint_eq(count, 2);
    bn_tokenizer_destroy(tokenizer);
}
END_TEST

static long n_alive, n_left;

static void *counting_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    if (n_left-- <= 0 || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    n_alive++;
    return memory;
}

static void counting_free(void *user, void *memory)
{
    n_alive--;
    free(memory);
}

// Every allocation fails once; each time that is reported, and nothing is left behind.
START_TEST(failing_allocations)
{
    struct bn_allocator allocator = {counting_alloc, counting_free, NULL};
    struct bn_runtime_config config = {.size = sizeof(config), .allocator = &allocator};
    struct bn_host host;
    bn_host_init(&host, &config);
    small_init(&small);
    small_add(&small, "<|start_header_id|>", 3);
    small_add(&small, "<|end_header_id|>", 3);
    small_add(&small, "<|eot_id|>", 3);
    small_add(&small, "ab", 1);
    small_merge(&small, "a b");
    small.vocab.chat_template = str("<|start_header_id|><|end_header_id|><|eot_id|>");
    char text[600];
    memset(text, 'a', sizeof(text));
    struct bn_chat_message message = {"user", "Hello"};
    bool done = false;
    long n = 0;
    for (; !done; n++) {
        struct bn_tokenizer *tokenizer;
        struct bn_error err = {0};
        size_t count;
        ck_assert_int_eq(n_alive, 0);
        n_left = n;
        enum bn_result result = bn_tokenizer_create(&host, &small.vocab, &tokenizer, &err);
        if (result == BN_OK)
            result = bn_tokenize(tokenizer, text, sizeof(text), 0, NULL, 0, &count, &err);
        if (result == BN_OK)
            result = bn_chat_tokenize(tokenizer, &message, 1, true, true, NULL, 0, &count, &err);
        done = n_left >= 0;
        ck_assert_int_eq(result, done ? BN_OK : BN_ERR_NO_MEMORY);
        ck_assert(done || strstr(err.message, "no memory") != NULL);
        bn_tokenizer_destroy(tokenizer);
    }
    ck_assert_int_eq(n_alive, 0);
    ck_assert_int_gt(n, 20);
}
END_TEST

START_TEST(merging)
{
    check_merging("gpt-2", false);
    check_merging("llama-bpe", true);
}
END_TEST

// What such a build can test.
START_TEST(refused_without_pcre2)
{
    small_init(&small);
    fails(BN_ERR_UNSUPPORTED, "tokenizer.ggml.pre", "no PCRE2");
}
END_TEST

int main(void)
{
    const TTest *const other[] = {refused_without_pcre2};
    if (without_pcre2())
        return run_tests("text_vocab", other, 1) ? 1 : 77;
    const TTest *const tests[] = {refused,
                                  refused_tokens,
                                  refused_merges,
                                  made_to_collide,
                                  tolerated,
                                  every_byte,
                                  merging,
                                  special_tokens,
                                  arguments,
                                  who_ends_and_who_begins,
                                  missing_bytes,
                                  without_a_pre_tokeniser,
                                  failing_allocations};
    return run_tests("text_vocab", tests, sizeof(tests) / sizeof(tests[0]));
}
