// The tuning of the machine: what is written is read, fills in what options leave open, and is ignored where it does not fit.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bitnet/bitnet.h>

#include "runtime/device/tuning.h"

static struct bn_runtime *runtime;
static char folder[] = "/tmp/bitnet-test-XXXXXX", path[64];
static unsigned warnings;

static void count_warnings(void *user, enum bn_log_level level, const char *message)
{
    warnings += level == BN_LOG_WARNING;
}

static void write_tuning(uint32_t threads, enum bn_packing packing, enum bn_load_mode load)
{
    struct bn_error err = {0};
    struct bn_tuning tuning;
    BN_INIT(tuning);
    tuning.threads = threads;
    tuning.packing = packing;
    tuning.load = load;
    ck_assert_msg(bn_tuning_write(runtime, &tuning, &err) == BN_OK, "%s: %s", err.file, err.message);
}

static enum bn_result read_tuning(struct bn_tuning *tuning)
{
    BN_INIT(*tuning);
    return bn_tuning_read(runtime, tuning, NULL);
}

static uint32_t threads_of(uint32_t asked, const char *isa)
{
    struct bn_error err = {0};
    struct bn_device *device = NULL;
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = asked;
    options.isa = isa;
    ck_assert_msg(bn_device_open(runtime, "cpu", &options, &device, &err) == BN_OK, "%s", err.message);
    uint32_t threads = bn_device_get_info(device)->threads;
    bn_device_close(device);
    return threads;
}

START_TEST(none)
{
    struct bn_tuning tuning;
    ck_assert_int_eq(read_tuning(&tuning), BN_ERR_NOT_FOUND);
    ck_assert_uint_eq(tuning.threads, 0);
}
END_TEST

START_TEST(written_and_read)
{
    struct bn_tuning tuning;
    write_tuning(7, BN_PACKING_BASE3, BN_LOAD_MAP);
    ck_assert_int_eq(read_tuning(&tuning), BN_OK);
    ck_assert_uint_eq(tuning.threads, 7);
    ck_assert_int_eq(tuning.packing, BN_PACKING_BASE3);
    ck_assert_int_eq(tuning.load, BN_LOAD_MAP);
    write_tuning(0, BN_PACKING_AUTO, BN_LOAD_COPY);
    ck_assert_int_eq(read_tuning(&tuning), BN_OK);
    ck_assert_int_eq(tuning.load, BN_LOAD_COPY);
    tuning.threads = 5000;
    ck_assert_int_eq(bn_tuning_write(runtime, &tuning, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(options_come_first)
{
    write_tuning(3, BN_PACKING_AUTO, BN_LOAD_AUTO);
    ck_assert_uint_eq(threads_of(0, NULL), 3);
    ck_assert_uint_eq(threads_of(2, NULL), 2);
    uint32_t untuned = threads_of(0, "scalar"); // a level that was named is not the one that was tuned
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(untuned, threads_of(0, "scalar"));
    ck_assert_uint_eq(untuned, threads_of(0, NULL));
}
END_TEST

static const char *const damaged[] = {
    "",
    "bitnet-tune/2\n",
    "bitnet-tune/1\nmachine Another, avx9, 3 CPUs\nthreads 1\n",
    "bitnet-tune/1\n%s\nthreads many\n",
    "bitnet-tune/1\n%s\nthreads 99999\n",
    "bitnet-tune/1\n%s\npacking 3bit\n",
    "bitnet-tune/1\n%s\nload\n",
    "bitnet-tune/1\n%s\nunknown 1\n",
};

START_TEST(what_does_not_fit_is_ignored)
{
    struct bn_tuning tuning;
    char machine[256] = "", first[64];
    write_tuning(3, BN_PACKING_BASE3, BN_LOAD_COPY);
    FILE *file = fopen(path, "r");
    ck_assert(file && fgets(first, sizeof(first), file) && fgets(machine, sizeof(machine), file));
    fclose(file);
    machine[strcspn(machine, "\n")] = '\0';
    file = fopen(path, "w");
    ck_assert(file);
    const char *text = damaged[_i], *place = strstr(text, "%s");
    fprintf(file, "%.*s%s%s", place ? (int)(place - text) : (int)strlen(text), text, place ? machine : "",
            place ? place + 2 : "");
    fclose(file);
    ck_assert_int_eq(read_tuning(&tuning), BN_ERR_MODEL);
    ck_assert_uint_eq(tuning.threads, 0);
    ck_assert_int_eq(tuning.packing, BN_PACKING_AUTO);
    warnings = 0;
    ck_assert_uint_ge(threads_of(0, NULL), 1);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int main(void)
{
    struct bn_runtime_config config;
    BN_INIT(config);
    config.log = count_warnings;
    if (!mkdtemp(folder) || setenv("BITNET_CACHE_DIR", folder, 1) != 0 || unsetenv("BITNET_CPU_ISA") != 0 ||
        bn_runtime_create(&config, &runtime, NULL) != BN_OK)
        return 99;
    snprintf(path, sizeof(path), "%s/%s", folder, BN_TUNING_FILE);
    TCase *tcase = tcase_create("tuning");
    tcase_add_test(tcase, none);
    tcase_add_test(tcase, written_and_read);
    tcase_add_test(tcase, options_come_first);
    tcase_add_loop_test(tcase, what_does_not_fit_is_ignored, 0, sizeof(damaged) / sizeof(damaged[0]));
    Suite *suite = suite_create("tuning");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    bn_runtime_destroy(runtime);
    rmdir(folder);
    return failed == 0 ? 0 : 1;
}
