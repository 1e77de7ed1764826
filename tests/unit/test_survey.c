// The survey and the doctor through the C API: arguments, memory that runs out, callers with open files and blocked signals.
#include <bitnet/bitnet.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/survey/survey_impl.h"

static int allocations_left, live;

static void *limited_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    if (allocations_left-- <= 0 || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    live++;
    return memory;
}

static void limited_free(void *user, void *memory)
{
    live--;
    free(memory);
}

static struct bn_runtime *open_runtime(void)
{
    static const struct bn_allocator allocator = {limited_alloc, limited_free, NULL};
    struct bn_runtime_config config;
    struct bn_runtime *runtime;
    BN_INIT(config);
    config.allocator = &allocator;
    allocations_left = 1000000;
    ck_assert_int_eq(bn_runtime_create(&config, &runtime, NULL), BN_OK);
    return runtime;
}

static enum bn_result survey(struct bn_runtime *runtime, const char *apis, struct bn_survey **out, struct bn_error *err)
{
    struct bn_survey_options options;
    BN_INIT(options);
    options.apis = apis;
    return bn_survey_create(runtime, &options, out, err);
}

START_TEST(memory)
{
    struct bn_runtime *runtime = open_runtime();
    static const char *const lists[] = {"none", "bitnet,hwloc"};
    int before = live;
    for (size_t l = 0; l < 2; l++) {
        enum bn_result result = BN_ERR_NO_MEMORY;
        for (int n = 0; result != BN_OK; n++) {
            struct bn_survey *found = NULL;
            struct bn_error err = {0};
            ck_assert_int_lt(n, 200);
            allocations_left = n;
            result = survey(runtime, lists[l], &found, &err);
            ck_assert(result == BN_OK || (result == BN_ERR_NO_MEMORY && !found && *err.message));
            bn_survey_destroy(found);
            ck_assert_int_eq(live, before);
        }
    }
    allocations_left = 1000000;
    bn_runtime_destroy(runtime);
    ck_assert_int_eq(live, 0);
}
END_TEST

START_TEST(arguments)
{
    struct bn_runtime *runtime = open_runtime();
    struct bn_survey_options options = {.size = 1};
    struct bn_doctor_options questions = {.size = 1};
    struct bn_survey *found = NULL;
    struct bn_doctor *doctor = NULL;
    struct bn_error err = {0};
    ck_assert_int_eq(bn_survey_create(NULL, NULL, &found, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_survey_create(runtime, NULL, NULL, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_survey_create(runtime, &options, &found, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(survey(runtime, "vulkan,,metal", &found, &err), BN_ERR_ARGUMENT);
    ck_assert_str_eq(err.subject, "");
    ck_assert_int_eq(survey(runtime, "vulkan,metal", &found, &err), BN_ERR_ARGUMENT);
    ck_assert_str_eq(err.subject, "metal");
    ck_assert_int_eq(bn_doctor_create(NULL, NULL, &doctor, NULL), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_doctor_create(runtime, &questions, &doctor, NULL), BN_ERR_ARGUMENT);
    bn_survey_destroy(NULL);
    bn_doctor_destroy(NULL);
    bn_runtime_destroy(runtime);
}
END_TEST

static bool bitnet_answers(struct bn_runtime *runtime)
{
    struct bn_survey *found;
    struct bn_error err = {0};
    ck_assert_msg(survey(runtime, "bitnet", &found, &err) == BN_OK, "%s", err.message);
    const struct bn_survey_api *api = bn_survey_get_api(found, 0);
    ck_assert_str_eq(api->name, "bitnet");
    ck_assert_msg(api->state == BN_STATE_READY, "%s", api->reason);
    const struct bn_survey_device *cpu = bn_survey_get_device(found, 0);
    bool usable = cpu->n_apis && cpu->apis[0].usable;
    ck_assert_ptr_null(bn_survey_get_api(found, 1000));
    ck_assert_ptr_null(bn_survey_get_device(found, 1000));
    bn_survey_destroy(found);
    return usable;
}

START_TEST(callers)
{
    struct bn_runtime *runtime = open_runtime();
    sigset_t all;
    ck_assert(bitnet_answers(runtime));
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    ck_assert(bitnet_answers(runtime));
    signal(SIGCHLD, SIG_IGN); // the kernel collects the children
    ck_assert(bitnet_answers(runtime));
    close(0); // so that pipes get low numbers
    close(1);
    close(2);
    bool answers = bitnet_answers(runtime);
    bn_runtime_destroy(runtime);
    ck_assert(answers);
}
END_TEST

START_TEST(doctor)
{
    struct bn_runtime *runtime = open_runtime();
    struct bn_survey_options asked;
    struct bn_doctor_options options;
    struct bn_doctor *found;
    struct bn_error err = {0};
    BN_INIT(asked);
    asked.apis = "none";
    BN_INIT(options);
    options.survey = &asked;
    options.model = "/gone.gguf";
    ck_assert_int_eq(bn_doctor_create(runtime, &options, &found, &err), BN_OK);
    ck_assert_int_eq(bn_doctor_get_health(found), BN_HEALTH_CRITICAL);
    ck_assert_str_eq(bn_doctor_get_check(found, 0)->name, "model");
    ck_assert_int_eq(bn_doctor_get_check(found, 0)->health, BN_HEALTH_CRITICAL);
    ck_assert_str_ne(bn_doctor_get_check(found, 0)->mend, "");
    ck_assert_ptr_null(bn_doctor_get_check(found, 1000));
    bn_doctor_destroy(found);
    ck_assert_str_eq(bn_health_name(BN_HEALTH_DEGRADED), "degraded");
    ck_assert_str_eq(bn_health_name((enum bn_health)7), "?");
    bn_runtime_destroy(runtime);
}
END_TEST

START_TEST(addresses)
{
    static const char *const cases[][2] = {
        {"0000:03:00.0", "pci:0000:03:00.0"},
        {"00000000:03:00.0", "pci:0000:03:00.0"},
        {"03:00.1", "pci:0000:03:00.1"},
        {"0000:C1:00", "pci:0000:c1:00.0"},
        {"10000:01:00.0", "pci:10000:01:00.0"},
        {"", ""},
        {"x", ""},
        {"0000:03:20.0", ""},
        {"0000:03:00.0x", ""},
        {"0000:03:00.8", ""},
        {"0000:03:", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[64];
        ck_assert_int_eq(bn_survey_pci(text, sizeof(text), cases[i][0]), *cases[i][1] != '\0');
        ck_assert_str_eq(text, cases[i][1]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("survey");
    TCase *tests = tcase_create("survey");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, arguments);
    tcase_add_test(tests, callers);
    tcase_add_test(tests, doctor);
    tcase_add_test(tests, addresses);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
