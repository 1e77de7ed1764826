// Files that are being written: checksums, a full disk, two writers, going on.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/part_file.h"
#include "convert/work.h"
#include "convert/xxh64.h"
#include "runtime/base/runtime.h"

enum { HEAD = 64, SUMS_AT = 32, TENSORS = 2, TENSOR = 96 };

static struct bn_runtime *runtime;
static char folder[] = "/tmp/bitnet-test-XXXXXX";
static char path[64];
static const uint64_t offsets[TENSORS] = {HEAD, HEAD + TENSOR}, bytes[TENSORS] = {TENSOR, TENSOR};
static uint8_t head[HEAD] = "GGUF", data[TENSORS][TENSOR];

static struct bn_part_config config_of(bool resume)
{
    return (struct bn_part_config){
        .path = path,
        .head = head,
        .head_bytes = HEAD,
        .sums_at = SUMS_AT,
        .n_tensors = TENSORS,
        .offsets = offsets,
        .bytes = bytes,
        .total = HEAD + TENSORS * TENSOR,
        .fingerprint = 7,
        .resume = resume,
    };
}

static void write_tensor(struct bn_part *part, int i)
{
    ck_assert_int_eq(bn_part_write(part, (uint64_t)i, 0, data[i], TENSOR, NULL), BN_OK);
    ck_assert_int_eq(bn_part_sum(part, (uint64_t)i, bn_tensor_sum(data[i], TENSOR), NULL), BN_OK);
}

// Of the reference implementation.
START_TEST(test_xxh64)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {
        {"", 0xef46db3751d8e999},
        {"a", 0xd24ec4f1a98c6e5b},
        {"abc", 0x44bc2cf5ad770999},
        {"Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) { // in two pieces
            struct bn_xxh64 state;
            bn_xxh64_begin(&state);
            bn_xxh64_add(&state, cases[i].text, cut);
            bn_xxh64_add(&state, cases[i].text + cut, strlen(cases[i].text) - cut);
            ck_assert_uint_eq(bn_xxh64_end(&state), cases[i].hash);
        }
    }
}
END_TEST

START_TEST(test_goes_on)
{
    struct bn_part part;
    struct bn_part_config config = config_of(false);
    ck_assert_int_eq(bn_part_begin(&part, &runtime->host, &config, NULL), BN_OK);
    write_tensor(&part, 0);
    bn_part_close(&part, true);
    config = config_of(true);
    ck_assert_int_eq(bn_part_begin(&part, &runtime->host, &config, NULL), BN_OK);
    ck_assert_uint_eq(part.n_done, 1);
    write_tensor(&part, 1);
    ck_assert_int_eq(bn_part_end(&part, NULL), BN_OK);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, HEAD + TENSORS * TENSOR);
    // Of another source, or without being asked to: from the start.
    ck_assert_int_eq(bn_part_begin(&part, &runtime->host, &config, NULL), BN_OK);
    write_tensor(&part, 0);
    bn_part_close(&part, true);
    config.fingerprint++;
    ck_assert_int_eq(bn_part_begin(&part, &runtime->host, &config, NULL), BN_OK);
    ck_assert_uint_eq(part.n_done, 0);
    bn_part_close(&part, false);
}
END_TEST

START_TEST(test_full_disk)
{
    struct bn_part part;
    struct bn_error err = {0};
    struct bn_part_config config = config_of(false);
    config.total = UINT64_C(1) << 60;
    ck_assert_int_eq(bn_part_begin(&part, &runtime->host, &config, &err), BN_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "are needed"));
    char name[80];
    snprintf(name, sizeof(name), "%s.part", path);
    ck_assert_int_ne(access(name, F_OK), 0); // nothing is left
}
END_TEST

START_TEST(test_two_writers)
{
    struct bn_part first, second;
    struct bn_error err = {0};
    const struct bn_part_config config = config_of(false);
    ck_assert_int_eq(bn_part_begin(&first, &runtime->host, &config, NULL), BN_OK);
    ck_assert_int_eq(bn_part_begin(&second, &runtime->host, &config, &err), BN_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "another process"));
    write_tensor(&first, 0);
    write_tensor(&first, 1);
    ck_assert_int_eq(bn_part_end(&first, NULL), BN_OK);
}
END_TEST

// What the calls of a piece may rely on.
enum { PIECES = 500 };
struct seen {
    _Atomic int made, written;
    int ordered, ended;
    int fails; // piece whose `order` fails; -1: none
    bool right;
};

static enum bn_result make(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    ((struct seen *)user)->made++;
    return BN_OK;
}

static enum bn_result order(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct seen *seen = user;
    seen->right = seen->right && piece == (uint64_t)seen->ordered && thread < 3;
    seen->ordered++;
    return (int)piece == seen->fails ? BN_ERR_MODEL : BN_OK;
}

static enum bn_result put(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    ((struct seen *)user)->written++;
    return BN_OK;
}

static enum bn_result end(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    ((struct seen *)user)->ended++;
    return BN_OK;
}

START_TEST(test_work)
{
    for (int fails = -1; fails < PIECES; fails += 100) {
        struct seen seen = {.fails = fails, .right = true};
        const struct bn_work work = {PIECES, 3, &seen, make, order, put, end};
        ck_assert_int_eq(bn_work_run(&work, NULL), fails < 0 ? BN_OK : BN_ERR_MODEL);
        ck_assert(seen.right);
        ck_assert_int_eq(seen.ordered, fails < 0 ? PIECES : fails + 1);
        ck_assert_int_ge(seen.made, seen.ordered);
        ck_assert_int_le(seen.ended, seen.ordered - (fails >= 0));
        ck_assert(fails >= 0 || (seen.written == PIECES && seen.ended == PIECES));
    }
}
END_TEST

int main(void)
{
    if (!mkdtemp(folder) || bn_runtime_create(NULL, &runtime, NULL) != BN_OK)
        return 1;
    snprintf(path, sizeof(path), "%s/x.gguf", folder);
    for (int i = 0; i < TENSORS * TENSOR; i++)
        data[i / TENSOR][i % TENSOR] = (uint8_t)(i * 37 + 1);
    Suite *suite = suite_create("part_file");
    TCase *tests = tcase_create("part_file");
    tcase_add_test(tests, test_xxh64);
    tcase_add_test(tests, test_goes_on);
    tcase_add_test(tests, test_full_disk);
    tcase_add_test(tests, test_two_writers);
    tcase_add_test(tests, test_work);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    bn_runtime_destroy(runtime);
    unlink(path);
    rmdir(folder);
    return failed != 0;
}
