// Ids against llama.cpp's and Hugging Face's, on the vocabularies of Llama 3, GPT-2 and the default model.
#include "text_support.h"

#include <bitnet/bitnet.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_IDS 65536

enum { LLAMA, GPT2, STORIES, BITNET_2B4T, LLAMA3_CHAT, SPM, QWEN2, N_VOCABULARIES };

static struct bn_runtime *runtime;
static struct bn_model *models[N_VOCABULARIES];
static const struct bn_tokenizer *tokenizers[N_VOCABULARIES];

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        printf("%s is not set; run this through meson test\n", name);
        exit(1);
    }
    return value;
}

static bool open_all(void)
{
    static const struct {
        const char *folder, *file;
    } files[N_VOCABULARIES] = {
        [LLAMA] = {"BITNET_TEST_VOCAB", "llama-bpe"},    [GPT2] = {"BITNET_TEST_VOCAB", "gpt-2"},
        [STORIES] = {"BITNET_TEST_MODELS", "stories"},   [BITNET_2B4T] = {"BITNET_TEST_VOCAB", "2b4t"},
        [LLAMA3_CHAT] = {"BITNET_TEST_VOCAB", "llama3"}, [SPM] = {"BITNET_TEST_VOCAB", "llama-spm"},
        [QWEN2] = {"BITNET_TEST_VOCAB", "qwen2"},
    };
    struct bn_model_options options;
    BN_INIT(options);
    options.vocab_only = true;
    struct bn_error err = {0};
    if (bn_runtime_create(NULL, &runtime, &err) != BN_OK)
        return false;
    for (int i = 0; i < N_VOCABULARIES; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s.gguf", environment(files[i].folder), files[i].file);
        if (bn_model_open(runtime, path, &options, &models[i], &err) != BN_OK) {
            printf("%s: %s: %s\n", path, err.subject, err.message);
            return false;
        }
        tokenizers[i] = bn_model_get_tokenizer(models[i]);
    }
    return true;
}

static char *read_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tokenizer/%s", environment("BITNET_TEST_DATA"), name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    char *text = calloc(1, 1 << 20);
    ck_assert_uint_lt(fread(text, 1, 1 << 20, file), 1 << 20);
    fclose(file);
    return text;
}

static size_t parse_ids(const char *text, int32_t *ids)
{
    size_t n = 0;
    char *end;
    for (;; text = end) {
        long id = strtol(text, &end, 10);
        if (end == text)
            return n;
        ids[n++] = (int32_t)id;
    }
}

static size_t parse_hex(const char *text, char *bytes)
{
    size_t n = 0;
    for (; text[0] && text[1]; text += 2) {
        char digits[3] = {text[0], text[1], 0};
        bytes[n++] = (char)strtol(digits, NULL, 16);
    }
    bytes[n] = 0;
    return n;
}

static void check_golden(int which, const char *text, size_t bytes, unsigned flags, const char *wanted, int line)
{
    static int32_t ids[MAX_IDS], golden[MAX_IDS];
    struct bn_error err = {0};
    size_t count, n = parse_ids(wanted, golden);
    enum bn_result result = bn_tokenize(tokenizers[which], text, bytes, flags, ids, MAX_IDS, &count, &err);
    ck_assert_msg(result == BN_OK, "vocabulary %d, line %d: %s", which, line, err.message);
    for (size_t i = 0; i < n && i < count; i++) {
        if (ids[i] != golden[i])
            ck_abort_msg("vocabulary %d, line %d: id %zu is %d, not %d", which, line, i, ids[i], golden[i]);
    }
    ck_assert_msg(count == n, "vocabulary %d, line %d: %zu ids, not %zu", which, line, count, n);
}

static int check_llama_cpp(int which, const char *name)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char *texts = read_file("texts.inp"), *ids = read_file(name), *text = texts, *line = ids;
    int n = 0;
    for (char *end; (end = strstr(text, mark)); text = end + strlen(mark)) {
        char *newline = strchr(line, '\n');
        ck_assert_ptr_nonnull(newline);
        *newline = '\0';
        check_golden(which, text, (size_t)(end - text), 0, line, ++n);
        line = newline + 1;
    }
    ck_assert_str_eq(line, "");
    free(texts);
    free(ids);
    return n;
}

START_TEST(llama_cpp)
{
    ck_assert_int_eq(check_llama_cpp(LLAMA, "llama-bpe.out"), 46);
    ck_assert_int_eq(check_llama_cpp(GPT2, "gpt-2.out"), 46);
    ck_assert_int_eq(check_llama_cpp(SPM, "llama-spm.out"), 46);
}
END_TEST

static size_t split_tabs(char *line, char **fields, size_t capacity)
{
    size_t n = 0;
    for (char *at = line; at && n < capacity; n++) {
        fields[n] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    }
    return n;
}

START_TEST(hugging_face)
{
    char *file = read_file("texts.txt"), *rest, *text = malloc(1 << 16);
    int line = 0, special = 0;
    for (char *row = strtok_r(file, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char *fields[6];
        line++;
        ck_assert_uint_eq(split_tabs(row, fields, 6), 6);
        unsigned flags = strcmp(fields[0], "special") == 0 ? BN_TOKENIZE_SPECIAL : 0;
        special += flags != 0;
        size_t bytes = parse_hex(fields[1], text);
        for (int i = LLAMA; i <= STORIES; i++)
            check_golden(i, text, bytes, flags, fields[2 + i], line);
        check_golden(BITNET_2B4T, text, bytes, flags, fields[2 + LLAMA], line);
        check_golden(QWEN2, text, bytes, flags, fields[5], line);
    }
    ck_assert_int_gt(line, 300);
    ck_assert_int_gt(special, 30);
    free(text);
    free(file);
}
END_TEST

START_TEST(chat)
{
    char *file = read_file("chat.txt"), *rest;
    int line = 0;
    for (char *row = strtok_r(file, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char *fields[16];
        size_t n = split_tabs(row, fields, 16), n_messages = 0, count;
        struct bn_chat_message messages[8];
        int which = strcmp(fields[0], "llama3") == 0 ? LLAMA3_CHAT : BITNET_2B4T;
        line++;
        ck_assert_str_eq(bn_tokenizer_get_info(tokenizers[which])->chat_family, fields[0]);
        for (size_t i = 2; i + 1 < n; i += 2) {
            parse_hex(fields[i + 1], fields[i + 1]);
            messages[n_messages++] = (struct bn_chat_message){fields[i], fields[i + 1]};
        }
        int32_t ids[512], golden[512];
        size_t wanted = parse_ids(fields[1], golden);
        ck_assert_int_eq(bn_chat_tokenize(tokenizers[which], messages, n_messages, true, true, ids, 512, &count, NULL),
                         BN_OK);
        ck_assert_msg(count == wanted && memcmp(ids, golden, count * sizeof(*ids)) == 0, "line %d differs", line);
        // The same, one message at a time.
        size_t total = 0;
        for (size_t i = 0; i < n_messages; i++) {
            ck_assert_int_eq(bn_chat_tokenize(tokenizers[which], &messages[i], 1, i == 0, i + 1 == n_messages,
                                              ids + total, 512 - total, &count, NULL),
                             BN_OK);
            total += count;
        }
        ck_assert_msg(total == wanted && memcmp(ids, golden, total * sizeof(*ids)) == 0, "line %d differs", line);
    }
    ck_assert_int_eq(line, 10);
    free(file);
}
END_TEST

START_TEST(facts)
{
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(tokenizers[BITNET_2B4T]);
    ck_assert_uint_eq(info->n_vocab, 128256);
    ck_assert_str_eq(info->model, "gpt2");
    ck_assert_str_eq(info->pre, "llama-bpe");
    ck_assert(info->add_bos);
    ck_assert_int_eq(info->bos, 128000);
    ck_assert_int_eq(info->eos, 128001);
    ck_assert_int_eq(info->eot, 128009);
    for (int32_t id = -1; id <= 128256; id++) {
        bool end = id == 128001 || id == 128009;
        if (bn_token_is_end(tokenizers[BITNET_2B4T], id) != end)
            ck_abort_msg("end token %d", id);
    }
    info = bn_tokenizer_get_info(tokenizers[GPT2]);
    ck_assert_str_eq(info->pre, "gpt-2");
    ck_assert(!info->add_bos);
    ck_assert_int_eq(info->eot, -1);
    ck_assert_str_eq(info->chat_family, "");
    ck_assert(bn_token_is_end(tokenizers[GPT2], 50256));
    info = bn_tokenizer_get_info(tokenizers[STORIES]);
    ck_assert_str_eq(info->chat_family, ""); // it has the tokens, but no template
    ck_assert_int_eq(info->eot, 2036);
    CHECK_IDS(tokenizers[STORIES], "Once upon a time, there was a little girl named Lily.", BN_TOKENIZE_BOS, 2032, 428,
              441, 258, 402, 44, 403, 281, 258, 394, 462, 434, 416, 46);
    CHECK_IDS(tokenizers[BITNET_2B4T], "Hello BitNet", BN_TOKENIZE_BOS, 128000, 9906, 6631, 7099);
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Random bytes, ASCII, white space, characters, and pieces of them.
static size_t random_text(uint64_t *state, char *text, size_t longest)
{
    size_t n = 0, wanted = next_random(state) % longest;
    unsigned kind = (unsigned)(next_random(state) >> 20) % 4;
    while (n < wanted) {
        uint64_t r = next_random(state);
        unsigned code = (unsigned)(r >> 8) % (kind == 2 ? 0x3100 : 0x10ffff);
        switch (kind == 3 ? r >> 60 & 3 : kind) {
        case 0:
            text[n++] = (char)(r >> 32);
            break;
        case 1:
            text[n++] = "\t\n\r  aA'1<|>!\0\x80\xe2"[(r >> 32) % 17];
            break;
        default:
            if (code > 0xffff)
                text[n++] = (char)(0xf0 | code >> 18);
            if (code > 0x7ff)
                text[n++] = (char)((code > 0xffff ? 0x80 : 0xe0) | (code >> 12 & 0x3f));
            text[n++] = (char)(0xc0 | (code >> 6 & 0x1f));
            text[n++] = (char)(0x80 | (code & 0x3f));
        }
    }
    return n;
}

static size_t decode(const struct bn_tokenizer *tokenizer, const int32_t *ids, size_t n, char *text)
{
    size_t written = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *piece = bn_token_bytes(tokenizer, ids[i], &bytes);
        memcpy(text + written, piece, bytes);
        written += bytes;
    }
    return written;
}

START_TEST(any_bytes_come_back)
{
    uint64_t state = 1;
    for (int round = 0; round < 10000; round++) {
        char text[512], back[512];
        int32_t ids[512];
        size_t bytes = random_text(&state, text, 300), count;
        for (int i = LLAMA; i <= STORIES; i++) {
            unsigned flags = round & 1 ? BN_TOKENIZE_SPECIAL : 0;
            enum bn_result result = bn_tokenize(tokenizers[i], text, bytes, flags, ids, 512, &count, NULL);
            if (result != BN_OK || count > bytes || decode(tokenizers[i], ids, count, back) != bytes ||
                memcmp(text, back, bytes) != 0)
                ck_abort_msg("round %d, vocabulary %d", round, i);
        }
    }
}
END_TEST

// Bytes that are not UTF-8 are byte tokens, and the text before them is cut as if it ended there.
START_TEST(not_utf8)
{
    CHECK_IDS(tokenizers[LLAMA], "\xff", 0, 187);
    static const char text[] = "hello  \xe2\x82 world\xc0\xafx";
    int32_t ids[64], wanted[64];
    size_t n = ids_of(tokenizers[LLAMA], text, 0, ids, 64), at = 0;
    at += ids_of(tokenizers[LLAMA], "hello  ", 0, wanted, 64);
    at += ids_of(tokenizers[LLAMA], "\xe2", 0, wanted + at, 64 - at);
    at += ids_of(tokenizers[LLAMA], "\x82", 0, wanted + at, 64 - at);
    at += ids_of(tokenizers[LLAMA], " world", 0, wanted + at, 64 - at);
    at += ids_of(tokenizers[LLAMA], "\xc0", 0, wanted + at, 64 - at);
    at += ids_of(tokenizers[LLAMA], "\xaf", 0, wanted + at, 64 - at);
    at += ids_of(tokenizers[LLAMA], "x", 0, wanted + at, 64 - at);
    ck_assert_uint_eq(n, at);
    ck_assert_mem_eq(ids, wanted, n * sizeof(*ids));
}
END_TEST

// No length makes it slow or fails: pieces of a megabyte, and runs that a pattern must go through twice.
START_TEST(long_pieces)
{
    static const char *const parts[] = {"a", " ", "\n", " \t", "\xc3\xa9", "!", "<|", "\xff", "7", "'s", "  \n"};
    size_t bytes = 1 << 20;
    char *text = malloc(bytes), *back = malloc(bytes);
    int32_t *ids = malloc(bytes * sizeof(*ids));
    for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
        size_t n = strlen(parts[part]), count;
        for (size_t i = 0; i < bytes; i++)
            text[i] = parts[part][i % n];
        for (int i = LLAMA; i <= STORIES; i++) {
            ck_assert_int_eq(bn_tokenize(tokenizers[i], text, bytes, BN_TOKENIZE_SPECIAL, ids, bytes, &count, NULL),
                             BN_OK);
            ck_assert_uint_eq(decode(tokenizers[i], ids, count, back), bytes);
            ck_assert(memcmp(text, back, bytes) == 0);
        }
    }
    free(text);
    free(back);
    free(ids);
}
END_TEST

static void *tokenise_all(void *result)
{
    uint64_t state = 7, sum = 0;
    for (int round = 0; round < 500; round++) {
        char text[512];
        int32_t ids[512];
        size_t count, bytes = random_text(&state, text, 300);
        if (bn_tokenize(tokenizers[LLAMA], text, bytes, BN_TOKENIZE_SPECIAL, ids, 512, &count, NULL) != BN_OK)
            return NULL;
        for (size_t i = 0; i < count; i++)
            sum = sum * 31 + (uint64_t)ids[i];
    }
    *(uint64_t *)result = sum;
    return NULL;
}

START_TEST(threads_share_a_tokenizer)
{
    pthread_t threads[4];
    uint64_t sums[4] = {0}, alone = 0;
    tokenise_all(&alone);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, tokenise_all, &sums[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_ne(alone, 0);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(sums[i], alone);
}
END_TEST

int main(void)
{
    if (without_pcre2())
        return 77;
    const TTest *const tests[] = {llama_cpp, hugging_face,        chat,        facts,
                                  not_utf8,  any_bytes_come_back, long_pieces, threads_share_a_tokenizer};
    int failed = !open_all() || run_tests("text_golden", tests, sizeof(tests) / sizeof(tests[0]));
    for (int i = 0; i < N_VOCABULARIES; i++)
        bn_model_destroy(models[i]);
    bn_runtime_destroy(runtime);
    return failed;
}
