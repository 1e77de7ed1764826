// tokenizer.json of every kind: ids by Hugging Face tokenizers (tests/gen/hf_tokenizers_golden.py). And form NFC, by Python.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/bitnet.h>

#include "runtime/base/host.h"
#include "runtime/text/nfc.h"
#include "tests/without.h"

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

static struct bn_model *open_folder(const char *name)
{
    char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/tokenizer/hf/%s", data ? data : "tests/data", name);
    struct bn_model_options options;
    struct bn_error err = {0};
    struct bn_model *model;
    BN_INIT(options);
    options.vocab_only = true;
    enum bn_result result = bn_model_open(runtime, path, &options, &model, &err);
    ck_assert_msg(result == BN_OK, "%s: %s: %s", name, err.subject, err.message);
    return model;
}

static void check_ids(const struct bn_model *model, const char *name, const char *hex, const char *wanted, int line)
{
    static char text[4096];
    int32_t ids[MOST_IDS];
    size_t n = 0, count, bytes = parse_hex(hex, text);
    struct bn_error err = {0};
    enum bn_result result =
        bn_tokenize(bn_model_get_tokenizer(model), text, bytes, BN_TOKENIZE_BOS | BN_TOKENIZE_EOS | BN_TOKENIZE_SPECIAL,
                    ids, MOST_IDS, &count, &err);
    ck_assert_msg(result == BN_OK, "%s, line %d: %s", name, line, err.message);
    for (char *end; *wanted && *wanted != '\n'; wanted = end + (*end == ' '), n++) {
        long id = strtol(wanted, &end, 10);
        if (n >= count || ids[n] != id)
            ck_abort_msg("%s, line %d, \"%.*s\": id %zu is %d, not %ld", name, line, (int)bytes, text, n,
                         n < count ? ids[n] : -1, id);
    }
    ck_assert_msg(n == count, "%s, line %d, \"%.*s\": %zu ids, not %zu", name, line, (int)bytes, text, count, n);
}

START_TEST(ids)
{
    char *file = read_file("hf/cases.txt"), *rest, name[64] = "";
    struct bn_model *model = NULL;
    int line = 0, kinds = 0;
    for (char *row = strtok_r(file, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        char *hex = strchr(row, '\t'), *wanted = strchr(hex + 1, '\t');
        *hex++ = *wanted++ = '\0';
        line++;
        if (strcmp(name, row) != 0) {
            snprintf(name, sizeof(name), "%s", row);
            bn_model_destroy(model);
            model = open_folder(name);
            kinds++;
        }
        check_ids(model, name, hex, wanted, line);
    }
    bn_model_destroy(model);
    ck_assert_int_eq(kinds, 11);
    free(file);
}
END_TEST

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
