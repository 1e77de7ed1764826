// The drivers of NPUs on kernel files made here. The test stands between them and the kernel: it answers their ioctls.
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bitnet/driver.h>

extern const struct bn_driver bn_driver_ivpu, bn_driver_amdxdna;
int __wrap_ioctl(int fd, unsigned long request, ...);

static int interruptions, failure; // before the answer; instead of it
static char root[] = "/tmp/bitnet-npu-XXXXXX";

// The numbers are those of the kernel's headers, written out, so that a wrong struct shows.
enum { IVPU_GET_PARAM = (int)0xc0106440, AMDXDNA_GET_INFO = (int)0xc0106447 };

static int answer_ivpu(uint32_t *words)
{
    static const struct {
        uint32_t param, index;
        uint64_t value;
    } answers[] = {{0, 0, 0x643e}, {4, 0, 64}, {8, 4, 3u << 16 | 24}};
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        if (words[0] == answers[i].param && words[1] == answers[i].index) {
            memcpy(words + 2, &answers[i].value, 8);
            return 0;
        }
    }
    errno = EINVAL;
    return -1;
}

static int answer_amdxdna(uint32_t *words)
{
    uint64_t address;
    memcpy(&address, words + 2, 8);
    uint32_t *out = (uint32_t *)(uintptr_t)address;
    if (words[0] == 1 && words[1] == 64) { // 8 columns of 6 rows, AIE 2.1, 4 rows of cores
        out[1] = 6u << 16 | 8;
        out[2] = 2;
        out[3] = 1;
        out[4] = 4;
        return 0;
    }
    if (words[0] == 8 && words[1] == 16) {
        memcpy(out, (uint32_t[]){1, 5, 2, 380}, 16);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    uint32_t *words = va_arg(args, uint32_t *);
    va_end(args);
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    if (failure) {
        errno = failure;
        return -1;
    }
    if ((int)request == IVPU_GET_PARAM)
        return answer_ivpu(words);
    if ((int)request == AMDXDNA_GET_INFO)
        return answer_amdxdna(words);
    errno = ENOTTY;
    return -1;
}

static const char *at(const char *path)
{
    static char text[256];
    snprintf(text, sizeof(text), "%s/%s", root, path);
    return text;
}

static void folder(const char *path)
{
    ck_assert(mkdir(at(path), 0755) == 0 || errno == EEXIST);
}

static void file(const char *path, const char *text)
{
    FILE *f = fopen(at(path), "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void set_up(void)
{
    strcpy(root, "/tmp/bitnet-npu-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    static const char *const folders[] = {"sys", "sys/class", "sys/class/accel", "dev", "dev/accel"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
        folder(folders[i]);
    ck_assert_int_eq(setenv("BITNET_SYSROOT", root, 1), 0);
    // No driver of Vulkan: those of Mesa leak, which the sanitizers tell.
    ck_assert_int_eq(setenv("VK_ICD_FILENAMES", "/dev/null", 1), 0);
    ck_assert_int_eq(setenv("VK_DRIVER_FILES", "/dev/null", 1), 0);
    interruptions = failure = 0;
}

static void tear_down(void)
{
    char command[300];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

// accel<node> of a PCI device that a kernel driver has taken.
static void plug(int node, const char *address, const char *driver)
{
    char path[128], text[128];
    snprintf(path, sizeof(path), "sys/%s", address);
    folder(path);
    snprintf(path, sizeof(path), "sys/class/accel/accel%d", node);
    folder(path);
    snprintf(path, sizeof(path), "sys/class/accel/accel%d/dev", node);
    snprintf(text, sizeof(text), "261:%d\n", node);
    file(path, text);
    snprintf(path, sizeof(path), "sys/class/accel/accel%d/device", node);
    snprintf(text, sizeof(text), "../../../%s", address);
    ck_assert_int_eq(symlink(text, at(path)), 0);
    snprintf(path, sizeof(path), "sys/%s/subsystem", address);
    ck_assert_int_eq(symlink("../bus/pci", at(path)), 0);
    snprintf(path, sizeof(path), "sys/%s/driver", address);
    snprintf(text, sizeof(text), "../bus/pci/drivers/%s", driver);
    ck_assert_int_eq(symlink(text, at(path)), 0);
    snprintf(path, sizeof(path), "dev/accel/accel%d", node);
    file(path, "");
}

static struct bn_device_info found(const struct bn_driver *driver)
{
    struct bn_device_info list[4];
    size_t n = 9;
    ck_assert_int_eq(driver->probe(NULL, list, 4, &n, NULL), BN_OK);
    ck_assert_uint_eq(n, 1);
    size_t again;
    ck_assert_int_eq(driver->probe(NULL, NULL, 0, &again, NULL), BN_OK);
    ck_assert_uint_eq(again, 1);
    return list[0];
}

static void must_refuse(const struct bn_driver *driver, const struct bn_device_info *info)
{
    struct bn_device_options options;
    struct bn_device *device = NULL;
    struct bn_error err = {0};
    BN_INIT(options);
    ck_assert_int_eq(driver->open(NULL, info, &options, &device, &err), BN_ERR_UNSUPPORTED);
    ck_assert_ptr_null(device);
    ck_assert_ptr_nonnull(strstr(err.message, "no graphs for it yet"));
    // The same through the front door.
    struct bn_runtime *runtime;
    ck_assert_int_eq(bn_runtime_create(NULL, &runtime, &err), BN_OK);
    ck_assert_int_eq(bn_device_open(runtime, driver->name, NULL, &device, &err), BN_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "no graphs for it yet"));
    ck_assert_int_eq(bn_device_open(runtime, NULL, NULL, &device, &err), BN_OK); // is never chosen by itself
    ck_assert_str_eq(bn_device_get_info(device)->id, "cpu");
    bn_device_close(device);
    bn_runtime_destroy(runtime);
}

START_TEST(ivpu)
{
    plug(0, "0000:00:0b.0", "intel_vpu");
    plug(1, "0000:c2:00.1", "amdxdna");
    interruptions = 2;
    struct bn_device_info info = found(&bn_driver_ivpu);
    ck_assert_int_eq(info.kind, BN_DEVICE_NPU);
    ck_assert_int_eq(info.state, BN_STATE_DISABLED);
    ck_assert_str_eq(info.reason, "firmware interface 3.24, 64 contexts; no graphs for it yet");
    ck_assert_str_eq(info.isa, "npu 4000");
    ck_assert_str_eq(info.pci, "0000:00:0b.0");
    ck_assert_str_eq(info.node, "261:0");
    must_refuse(&bn_driver_ivpu, &info);
}
END_TEST

START_TEST(amdxdna)
{
    plug(0, "0000:00:0b.0", "intel_vpu");
    plug(1, "0000:c2:00.1", "amdxdna");
    struct bn_device_info info = found(&bn_driver_amdxdna);
    ck_assert_int_eq(info.state, BN_STATE_DISABLED);
    ck_assert_str_eq(info.reason, "firmware 1.5.2.380, 8 columns of 4 core tiles; no graphs for it yet");
    ck_assert_str_eq(info.isa, "aie 2.1");
    must_refuse(&bn_driver_amdxdna, &info);
}
END_TEST

START_TEST(silent)
{
    plug(0, "0000:00:0b.0", "intel_vpu");
    failure = EIO;
    struct bn_device_info info = found(&bn_driver_ivpu);
    ck_assert_int_eq(info.state, BN_STATE_FAULTED);
    ck_assert_str_ne(info.mend, "");
}
END_TEST

START_TEST(no_node)
{
    plug(0, "0000:00:0b.0", "intel_vpu");
    ck_assert_int_eq(unlink(at("dev/accel/accel0")), 0);
    struct bn_device_info info = found(&bn_driver_ivpu);
    ck_assert_int_eq(info.state, BN_STATE_PERMISSION_DENIED);
    ck_assert_ptr_nonnull(strstr(info.reason, "/dev/accel/accel0"));
}
END_TEST

START_TEST(none)
{
    size_t n = 1;
    ck_assert_int_eq(bn_driver_ivpu.probe(NULL, NULL, 0, &n, NULL), BN_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(bn_driver_amdxdna.probe(NULL, NULL, 0, &n, NULL), BN_OK);
    ck_assert_uint_eq(n, 0);
}
END_TEST

// The ids are those of a survey: by address, whatever the kernel's numbers are.
START_TEST(ids)
{
    struct bn_runtime *runtime;
    struct bn_device_info list[16];
    struct bn_error err = {0};
    size_t n, seen = 0;
    plug(0, "0000:c2:00.1", "amdxdna");
    plug(1, "0000:00:0b.0", "intel_vpu");
    ck_assert_int_eq(bn_runtime_create(NULL, &runtime, &err), BN_OK);
    ck_assert_int_eq(bn_device_list(runtime, list, 16, &n, &err), BN_OK);
    for (size_t i = 0; i < n && i < 16; i++) {
        if (list[i].kind != BN_DEVICE_NPU)
            continue;
        ck_assert_str_eq(list[i].id, strcmp(list[i].pci, "0000:00:0b.0") == 0 ? "npu0" : "npu1");
        seen++;
    }
    ck_assert_uint_eq(seen, 2);
    bn_runtime_destroy(runtime);
}
END_TEST

// Devices are opened by address too, in each spelling.
START_TEST(selectors)
{
    static const struct {
        const char *selector;
        enum bn_result result;
    } cases[] = {
        {"pci:0000:00:0b.0", BN_ERR_UNSUPPORTED},
        {"pci:00:0b.0", BN_ERR_UNSUPPORTED},
        {"pci:00000000:00:0B.0", BN_ERR_UNSUPPORTED},
        {"pci:0000:00:0b.0/ivpu", BN_ERR_UNSUPPORTED},
        {"npu0", BN_ERR_UNSUPPORTED},
        {"npu0/ivpu", BN_ERR_UNSUPPORTED},
        {"pci:0000:00:0b.1", BN_ERR_NOT_FOUND},
        {"pci:0000:00:0b.0/cpu", BN_ERR_NOT_FOUND},
        {"pci:", BN_ERR_NOT_FOUND},
        {"uuid:", BN_ERR_NOT_FOUND},
        {"uuid:00", BN_ERR_NOT_FOUND},
        {"npu1", BN_ERR_NOT_FOUND},
        {"npu", BN_ERR_NOT_FOUND},
        {"/", BN_ERR_NOT_FOUND},
    };
    struct bn_runtime *runtime;
    struct bn_device *device;
    struct bn_error err = {0};
    plug(0, "0000:00:0b.0", "intel_vpu");
    ck_assert_int_eq(bn_runtime_create(NULL, &runtime, &err), BN_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(bn_device_open(runtime, cases[i].selector, NULL, &device, &err) == cases[i].result, "%s: %s",
                      cases[i].selector, err.message);
    bn_runtime_destroy(runtime);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npu");
    TCase *tests = tcase_create("npu");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, ivpu);
    tcase_add_test(tests, amdxdna);
    tcase_add_test(tests, silent);
    tcase_add_test(tests, no_node);
    tcase_add_test(tests, none);
    tcase_add_test(tests, ids);
    tcase_add_test(tests, selectors);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
