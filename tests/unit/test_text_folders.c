// tokenizer.json of every kind: ids by Hugging Face tokenizers (tests/gen/hf_tokenizers_golden.py). And form NFC, by Python.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/bitnet.h>

#include "runtime/base/host.h"
#include "runtime/text/nfc.h"
#include "tests/without.h"
#if BN_HAVE_JANSSON
#include "runtime/model/hf_impl.h"
#endif

enum { MOST_IDS = 1024 };

static struct bn_runtime *runtime;

static char *read_file(const char *name)
{
    char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/tokenizer/%s", data ? data : "tests/data", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    char *text = calloc(1, 1 << 20);
    ck_assert_uint_lt(fread(text, 1, 1 << 20, file), 1 << 20);
    fclose(file);
    return text;
}

static size_t parse_hex(const char *text, char *bytes)
{
    size_t n = 0;
    for (; text[0] && text[1]; text += 2) {
        char digits[3] = {text[0], text[1], 0};
        bytes[n++] = (char)strtol(digits, NULL, 16);
    }
    return n;
}

static struct bn_model *open_folder(const char *kind, const char *name)
{
    char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/tokenizer/%s/%s", data ? data : "tests/data", kind, name);
    struct bn_model_options options;
    struct bn_error err = {0};
    struct bn_model *model;
    BN_INIT(options);
    options.vocab_only = true;
    enum bn_result result = bn_model_open(runtime, path, &options, &model, &err);
    ck_assert_msg(result == BN_OK, "%s: %s: %s", name, err.subject, err.message);
    return model;
}

static void check_ids(const struct bn_model *model, const char *name, const char *hex, const char *wanted, int line,
                      uint32_t flags)
{
    static char text[4096];
    int32_t ids[MOST_IDS];
    size_t n = 0, count, bytes = parse_hex(hex, text);
    struct bn_error err = {0};
    enum bn_result result = bn_tokenize(bn_model_get_tokenizer(model), text, bytes, flags, ids, MOST_IDS, &count, &err);
    ck_assert_msg(result == BN_OK, "%s, line %d: %s", name, line, err.message);
    for (char *end; *wanted && *wanted != '\n'; wanted = end + (*end == ' '), n++) {
        long id = strtol(wanted, &end, 10);
        if (n >= count || ids[n] != id)
            ck_abort_msg("%s, line %d, \"%.*s\": id %zu is %d, not %ld", name, line, (int)bytes, text, n,
                         n < count ? ids[n] : -1, id);
    }
    ck_assert_msg(n == count, "%s, line %d, \"%.*s\": %zu ids, not %zu", name, line, (int)bytes, text, count, n);
}

// Rows of "NAME\tHEX\tIDS" in a file, those of names that begin so: each name is a folder of `kind`, opened once and shown to
// `look`. Returns how many there were.
static int check_rows(const char *cases, const char *prefix, const char *kind, uint32_t flags,
                      void (*look)(const struct bn_model *model))
{
    char *file = read_file(cases), *rest, name[64] = "";
    struct bn_model *model = NULL;
    int line = 0, folders = 0;
    for (char *row = strtok_r(file, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char *hex = strchr(row, '\t'), *wanted = strchr(hex + 1, '\t');
        *hex++ = *wanted++ = '\0';
        line++;
        if (strncmp(row, prefix, strlen(prefix)) != 0)
            continue;
        if (strcmp(name, row) != 0) {
            snprintf(name, sizeof(name), "%s", row);
            bn_model_destroy(model);
            model = open_folder(kind, name);
            folders++;
            if (look)
                look(model);
        }
        check_ids(model, name, hex, wanted, line, flags);
    }
    bn_model_destroy(model);
    free(file);
    return folders;
}

START_TEST(ids)
{
    uint32_t flags = BN_TOKENIZE_BOS | BN_TOKENIZE_EOS | BN_TOKENIZE_SPECIAL;
    ck_assert_int_eq(check_rows("hf/cases.txt", "", "hf", flags, NULL), 11);
}
END_TEST

// What is added: BOS in front, and tokens behind the pieces.
static void check_added(const struct bn_model *model)
{
    int32_t found[8];
    size_t count;
    uint32_t flags = BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL;
    ck_assert_int_eq(bn_tokenize(bn_model_get_tokenizer(model), "<pad>", 5, flags, found, 8, &count, NULL), BN_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(found[0], 1);
    ck_assert_int_eq(found[1], (int32_t)bn_model_get_info(model)->n_vocab - 2);
}

// tokenizer.model, against SentencePiece itself (tests/gen/sentencepiece_golden.py).
START_TEST(pieces)
{
    ck_assert_int_eq(check_rows("sentencepiece.txt", "sp-", "sp", 0, check_added), 3);
}
END_TEST

#if BN_HAVE_JANSSON
static size_t put_field(char *to, unsigned number, const char *bytes, size_t n)
{
    to[0] = (char)(number << 3 | 2);
    to[1] = (char)n;
    memcpy(to + 2, bytes, n);
    return n + 2;
}

static enum bn_result read_message(const char *message, size_t bytes, struct bn_error *err)
{
    struct bn_host host;
    struct bn_key_blob blob;
    const struct bn_hf_config config = {.n_vocab = 4, .bos = -1, .eos = -1, .eot = -1, .pad = -1};
    const struct bn_json none = {.file = "none"};
    bn_host_init(&host, NULL);
    bn_key_blob_begin(&blob, &host);
    enum bn_result result = bn_hf_read_sentencepiece(&config, &host, "tokenizer.model", (struct bn_str){message, bytes},
                                                     &none, &none, (struct bn_str){0}, &blob, err);
    bn_key_blob_finish(&blob);
    return result;
}

// Messages that say what is not built, or nothing sound; all are refused by what is wrong.
START_TEST(pieces_refused)
{
    static const char piece[] = "\x0a\x01"
                                "a\x15\0\0\x80\xbf",
                      bpe[] = "\x18\x02\xc8\x01\0", plain[] = "\x18\0\x20\0";
    static const struct {
        const char *trainer, *normaliser, *piece, *said;
        size_t n[3];
    } cases[] = {
        {bpe, plain, piece, NULL, {5, 4, sizeof(piece) - 1}},
        {"\x18\x03", plain, piece, "only unigram and BPE", {2, 4, sizeof(piece) - 1}},
        {"\x18\x02\xc0\x01\x01", plain, piece, "true is not supported", {5, 4, sizeof(piece) - 1}}, // of the suffix
        {bpe, "\x12\x01x\x20\0", piece, "map of characters", {5, 5, sizeof(piece) - 1}},
        {bpe, "\x28\0\x20\0", piece, "false is not supported", {5, 4, sizeof(piece) - 1}},
        {bpe, "", piece, "with BPE", {5, 0, sizeof(piece) - 1}}, // collapsing is what an empty one means
        {bpe,
         plain,
         "\x0a\x05"
         "a",
         "damaged",
         {5, 4, 3}},
        {bpe,
         plain,
         "\x0a\x01"
         "a\x18\x09",
         "unknown type",
         {5, 4, 5}},
        {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", plain, piece, "damaged", {11, 4, sizeof(piece) - 1}},
        {"\x1b\x1c", plain, piece, "damaged", {2, 4, sizeof(piece) - 1}}, // a group
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char message[128];
        struct bn_error err = {0};
        size_t n = put_field(message, 1, cases[i].piece, cases[i].n[2]);
        n += put_field(message + n, 2, cases[i].trainer, cases[i].n[0]);
        n += put_field(message + n, 3, cases[i].normaliser, cases[i].n[1]);
        enum bn_result result = read_message(message, n, &err);
        ck_assert_msg((result == BN_OK) == !cases[i].said, "%zu: %s", i, err.message);
        ck_assert_msg(!cases[i].said || strstr(err.message, cases[i].said), "%zu: %s", i, err.message);
        if (cases[i].said)
            continue;
        // Every beginning is damaged or says too little, but for the piece alone: a vocabulary of Unigram.
        for (size_t cut = 0; cut < n; cut++)
            ck_assert_int_eq(read_message(message, cut, &err) == BN_OK, cut == cases[i].n[2] + 2);
        memset(message + n, 0, sizeof(message) - n);
        for (int more = 0; more < 5; more++)
            n += put_field(message + n, 1, piece, sizeof(piece) - 1);
        ck_assert_int_eq(read_message(message, n, &err), BN_ERR_MODEL);
        ck_assert_ptr_nonnull(strstr(err.message, "vocab_size"));
    }
}
END_TEST
#endif

START_TEST(nfc)
{
    static char text[4096], wanted[4096];
    char *file = read_file("nfc.txt"), *rest;
    struct bn_host host;
    bn_host_init(&host, NULL);
    int line = 0, changed = 0;
    for (char *row = strtok_r(file, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char *tab = strchr(row, '\t'), *out;
        *tab = '\0';
        size_t bytes = parse_hex(row, text), n_wanted = parse_hex(tab + 1, wanted), n;
        line++;
        ck_assert_int_eq(bn_nfc(&host, text, bytes, &out, &n, NULL), BN_OK);
        ck_assert_msg(n == n_wanted && memcmp(out ? out : text, wanted, n) == 0, "line %d differs", line);
        ck_assert_msg((out == NULL) == (n == bytes && memcmp(text, wanted, n) == 0), "line %d", line);
        changed += out != NULL;
        bn_free(&host, out);
    }
    ck_assert_int_gt(changed, 100);
    free(file);
}
END_TEST

int main(void)
{
    if (without_pcre2() || without_folders())
        return 77;
    if (bn_runtime_create(NULL, &runtime, NULL) != BN_OK)
        return 99;
    TCase *tcase = tcase_create("folders");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, ids);
    tcase_add_test(tcase, pieces);
#if BN_HAVE_JANSSON
    tcase_add_test(tcase, pieces_refused);
#endif
    tcase_add_test(tcase, nfc);
    Suite *suite = suite_create("text folders");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    bn_runtime_destroy(runtime);
    return failed == 0 ? 0 : 1;
}
