#include <bitnet/doctor.h>

#include <bitnet/model.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/base/sysfs.h"

// The thresholds; bitnet-doctor(1) states them.
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
static const uint64_t least_memory = 256 * MIB, little_memory = 1 * GIB; // available, without a model
static const uint64_t little_disk = 1 * GIB;                             // free in the cache folder
static const uint64_t work_memory = 64 * MIB;                            // activations and logits, generously
enum { FULL_PERCENT = 80, MOST_BY_DEFAULT = 32768, BUSY_PERCENT = 90, SHORT_WATCHDOG = 7 };

struct bn_doctor {
    const struct bn_host *host;
    struct bn_check *checks;
    size_t n, room;
    bool no_memory;
    struct bn_check lost; // what there is no memory for goes here
};

const char *bn_health_name(enum bn_health health)
{
    static const char *const names[] = {"ok", "degraded", "critical"};
    return (size_t)health < sizeof(names) / sizeof(names[0]) ? names[health] : "?";
}

static void set(char *text, size_t size, const char *format, va_list args)
{
    vsnprintf(text, size, format, args);
    bn_make_printable(text);
}

// Adds a check that is OK until `worsen` says otherwise. Where there is no memory, it is lost with `no_memory` set.
static struct bn_check *add(struct bn_doctor *doctor, const char *name, const char *format, ...) BN_PRINTF(3, 4);

static struct bn_check *add(struct bn_doctor *doctor, const char *name, const char *format, ...)
{
    if (doctor->n == doctor->room) {
        size_t room = doctor->room ? 2 * doctor->room : 32;
        struct bn_check *checks = bn_alloc_array(doctor->host, room, sizeof(*checks));
        if (!checks) {
            doctor->no_memory = true;
            return &doctor->lost;
        }
        if (doctor->n)
            memcpy(checks, doctor->checks, doctor->n * sizeof(*checks));
        bn_free(doctor->host, doctor->checks);
        doctor->checks = checks;
        doctor->room = room;
    }
    struct bn_check *check = &doctor->checks[doctor->n++];
    snprintf(check->name, sizeof(check->name), "%s", name);
    va_list args;
    va_start(args, format);
    set(check->value, sizeof(check->value), format, args);
    va_end(args);
    return check;
}

static void worsen(struct bn_check *check, enum bn_health health, const char *mend, const char *format, ...)
    BN_PRINTF(4, 5);

static void worsen(struct bn_check *check, enum bn_health health, const char *mend, const char *format, ...)
{
    va_list args;
    if (health <= check->health)
        return;
    check->health = health;
    snprintf(check->mend, sizeof(check->mend), "%s", mend);
    va_start(args, format);
    set(check->reason, sizeof(check->reason), format, args);
    va_end(args);
}

struct size {
    char text[24];
};

static struct size size_of(uint64_t bytes)
{
    struct size size;
    bool large = bytes >= GIB;
    snprintf(size.text, sizeof(size.text), "%.1f %s", (double)bytes / (double)(large ? GIB : MIB),
             large ? "GiB" : "MiB");
    return size;
}

// The KV cache, with as many positions as an engine takes.
static uint64_t kv_bytes(const struct bn_model_info *info, uint32_t n_ctx)
{
    uint32_t positions = n_ctx ? n_ctx : info->n_ctx_train < MOST_BY_DEFAULT ? info->n_ctx_train : MOST_BY_DEFAULT;
    return (uint64_t)positions * info->n_layer * 2 * info->n_head_kv * info->head_dim * sizeof(uint16_t);
}

static void check_memory(struct bn_doctor *doctor, const struct bn_survey_device *cpu, uint64_t needed)
{
    uint64_t available = cpu->memory_free;
    struct bn_check *check =
        add(doctor, "memory", "%s available of %s", size_of(available).text, size_of(cpu->memory_total).text);
    const char *mend = needed ? "end other programs, ask for a smaller context (-c), or take a smaller model"
                              : "end other programs, or raise the container's limit";
    if (!cpu->memory_total || available == UINT64_MAX)
        snprintf(check->value, sizeof(check->value), "unknown");
    else if (available < (needed ? needed : least_memory))
        worsen(check, BN_HEALTH_CRITICAL, mend, "%s are needed", size_of(needed ? needed : least_memory).text);
    else if (needed ? available / 100 * FULL_PERCENT < needed : available < little_memory)
        worsen(check, BN_HEALTH_DEGRADED, mend, "%s are needed, more than %d %% of it",
               size_of(needed ? needed : little_memory).text, FULL_PERCENT);
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        check = add(doctor, "address_space", "%s", size_of(limit.rlim_cur).text);
        if (limit.rlim_cur < 2 * needed + GIB)
            worsen(check, BN_HEALTH_CRITICAL, "raise it: ulimit -v unlimited, or LimitAS= of the service",
                   "the limit of address space is less than %s", size_of(2 * needed + GIB).text);
    }
}

static void check_huge_pages(struct bn_doctor *doctor)
{
    char text[128];
    if (!bn_sys_read(text, sizeof(text), "/sys/kernel/mm/transparent_hugepage/enabled"))
        snprintf(text, sizeof(text), "not offered by this kernel");
    struct bn_check *check = add(doctor, "huge_pages", "%s", text);
    if (strstr(text, "[never]"))
        worsen(check, BN_HEALTH_DEGRADED, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
               "transparent huge pages are off: reading weights misses the TLB more often");
}

static void check_governor(struct bn_doctor *doctor)
{
    char governor[32], driver[32];
    if (!bn_sys_read(governor, sizeof(governor), "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")) {
        add(doctor, "governor", "left to firmware or hypervisor");
        return;
    }
    bn_sys_read(driver, sizeof(driver), "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
    struct bn_check *check = add(doctor, "governor", "%s (%s)", governor, driver);
    // "powersave" of these drivers is their ordinary, dynamic mode.
    bool dynamic = strcmp(driver, "intel_pstate") == 0 || strcmp(driver, "amd-pstate-epp") == 0;
    if ((strcmp(governor, "powersave") == 0 && !dynamic) || strcmp(governor, "conservative") == 0)
        worsen(check, BN_HEALTH_DEGRADED, "sudo cpupower frequency-set -g schedutil, or performance",
               "the governor keeps the clock low");
}

static void check_cpu(struct bn_doctor *doctor, const struct bn_survey_device *cpu)
{
    struct bn_check *check = add(doctor, "cpu", "%s, %u of %u threads%s%s", cpu->name, cpu->threads, cpu->threads_total,
                                 *cpu->isa ? ", " : "", cpu->isa);
    if (strcmp(cpu->isa, "scalar") == 0)
        worsen(check, BN_HEALTH_DEGRADED, "a processor with AVX2 or NEON is many times as fast",
               "there are no vector kernels for this processor");
    else if (cpu->threads < cpu->threads_total)
        worsen(check, BN_HEALTH_DEGRADED, "raise the container's CPU quota (cpu.max), or widen the affinity mask",
               "affinity or the container's quota allow %u of %u threads", cpu->threads, cpu->threads_total);
    check = add(doctor, "load", cpu->load < 0 ? "unknown" : "%d %% of the threads", cpu->load);
    if (cpu->load >= BUSY_PERCENT)
        worsen(check, BN_HEALTH_DEGRADED, "end other programs, or give this one cores of its own (taskset)",
               "other programs keep the processors busy");
}

static bool cache_folder(char *path, size_t size)
{
    const char *own = bn_env("BITNET_CACHE_DIR"), *xdg = bn_env("XDG_CACHE_HOME"), *home = bn_env("HOME");
    int n = own                  ? snprintf(path, size, "%s", own)
            : xdg && *xdg == '/' ? snprintf(path, size, "%s/bitnet", xdg)
            : home               ? snprintf(path, size, "%s/.cache/bitnet", home)
                                 : -1;
    return n > 0 && (size_t)n < size;
}

static void check_disk(struct bn_doctor *doctor, uint64_t model_bytes)
{
    char path[BN_SYS_PATH];
    struct statvfs status;
    const char *mend = "free some space, or set BITNET_CACHE_DIR to another folder";
    if (!cache_folder(path, sizeof(path))) {
        worsen(add(doctor, "cache", "no folder"), BN_HEALTH_DEGRADED, "set BITNET_CACHE_DIR or HOME",
               "nothing can be kept from one start to the next");
        return;
    }
    struct bn_check *check = add(doctor, "cache", "%s", path);
    while (access(path, F_OK) != 0 && strrchr(path, '/') > path) // it is made when it is needed
        *strrchr(path, '/') = '\0';
    if (access(path, W_OK) != 0 || statvfs(path, &status) != 0) {
        char text[64];
        worsen(check, BN_HEALTH_DEGRADED, "set BITNET_CACHE_DIR to a folder that may be written", "%.100s: %s", path,
               bn_errno_text(errno, text, sizeof(text)));
        return;
    }
    uint64_t left = (uint64_t)status.f_bavail * status.f_frsize;
    uint64_t wanted = model_bytes > little_disk ? model_bytes : little_disk;
    size_t at = strlen(check->value);
    snprintf(check->value + at, sizeof(check->value) - at, ", %s free", size_of(left).text);
    if (left < wanted)
        worsen(check, BN_HEALTH_DEGRADED, mend, "less than %s: caches and conversions may not fit",
               size_of(wanted).text);
}

// Combinations of kernel and driver that are known to fail.
static void check_known_bad(struct bn_doctor *doctor, const struct bn_survey_device *device)
{
    char name[32], timeout[64], release[64];
    unsigned major = 0;
    if (strcmp(device->driver, "amdgpu") != 0 || !bn_sys_read(release, sizeof(release), "/proc/sys/kernel/osrelease") ||
        sscanf(release, "%u", &major) != 1 || major < SHORT_WATCHDOG)
        return;
    snprintf(name, sizeof(name), "%s/watchdog", device->id);
    bool set_by_hand =
        bn_sys_read(timeout, sizeof(timeout), "/sys/module/amdgpu/parameters/lockup_timeout") && *timeout;
    struct bn_check *check =
        add(doctor, name, "Linux %s, lockup_timeout %s", release, set_by_hand ? timeout : "default");
    if (!set_by_hand)
        worsen(check, BN_HEALTH_DEGRADED, "start Linux with amdgpu.lockup_timeout=10000,60000",
               "since Linux 7 amdgpu resets the GPU after 2 seconds of one job: long prompts may lose the device");
}

// Each way into an accelerator that does not work. Software devices of the CPU are nobody's plan.
static void check_devices(struct bn_doctor *doctor, const struct bn_survey *survey)
{
    const struct bn_survey_device *device;
    const struct bn_survey_api *api;
    for (size_t d = 0; (device = bn_survey_get_device(survey, d)) != NULL; d++) {
        bool usable = device->kind == BN_DEVICE_CPU;
        for (size_t a = 0; a < device->n_apis; a++)
            usable |= device->apis[a].usable;
        for (size_t a = 0; device->kind != BN_DEVICE_CPU && a < device->n_apis; a++) {
            char name[40];
            api = &device->apis[a];
            snprintf(name, sizeof(name), "%.14s/%s", device->id, api->name);
            struct bn_check *check =
                add(doctor, name, "%s%s%s", bn_device_state_name(api->state), *api->version ? ", " : "", api->version);
            // What is not installed is missed only if the device has no way in at all.
            bool missed = api->state != BN_STATE_READY && api->state != BN_STATE_DISABLED &&
                          (api->state != BN_STATE_MISSING_LIBRARY || !usable);
            if (missed)
                worsen(check, BN_HEALTH_DEGRADED, api->mend, "%s", api->reason);
        }
        check_known_bad(doctor, device);
    }
    for (size_t a = 0; (api = bn_survey_get_api(survey, a)) != NULL; a++) {
        struct bn_check *check;
        if (api->state == BN_STATE_READY || api->state == BN_STATE_DISABLED || api->state == BN_STATE_MISSING_LIBRARY)
            continue;
        check = add(doctor, api->name, "%s", bn_device_state_name(api->state));
        worsen(check, BN_HEALTH_DEGRADED, api->mend, "%s", api->reason);
    }
}

// The device that would be taken, opened for a moment, and the model against its memory.
static void check_choice(struct bn_doctor *doctor, struct bn_runtime *runtime, const char *selector, uint64_t needed)
{
    struct bn_device *device;
    struct bn_error err = {0};
    if (bn_device_open(runtime, selector, NULL, &device, &err) != BN_OK) {
        worsen(add(doctor, "device", "%s", selector ? selector : "none"), BN_HEALTH_CRITICAL,
               "bitnet-devices shows what there is", "%s", err.message);
        return;
    }
    const struct bn_device_info *info = bn_device_get_info(device);
    struct bn_check *check = add(doctor, "device", "%s (%s): %s", info->id, info->driver, info->name);
    if (info->kind != BN_DEVICE_CPU && info->memory_total && needed > info->memory_total)
        worsen(check, BN_HEALTH_CRITICAL, "take another device (-d), a smaller context (-c) or a smaller model",
               "it has %s, and %s are needed", size_of(info->memory_total).text, size_of(needed).text);
    else if (info->kind != BN_DEVICE_CPU && info->memory_free && needed > info->memory_free)
        worsen(check, BN_HEALTH_DEGRADED, "end what else uses it", "%s of it are free, and %s are needed",
               size_of(info->memory_free).text, size_of(needed).text);
    bn_device_close(device);
}

// Opens the model; what it needs in memory, and its size.
static uint64_t check_model(struct bn_doctor *doctor, struct bn_runtime *runtime,
                            const struct bn_doctor_options *options, uint64_t *bytes)
{
    struct bn_model *model;
    struct bn_error err = {0};
    *bytes = 0;
    if (!options->model)
        return 0;
    if (bn_model_open(runtime, options->model, NULL, &model, &err) != BN_OK) {
        worsen(add(doctor, "model", "%s", options->model), BN_HEALTH_CRITICAL,
               err.code == BN_ERR_IO ? "check the path and the permissions of the file"
                                     : "take another file, or convert it",
               "%s%s%s", err.subject, *err.subject ? ": " : "", err.message);
        return 0;
    }
    const struct bn_model_info *info = bn_model_get_info(model);
    uint64_t kv = kv_bytes(info, options->n_ctx);
    uint64_t head = (uint64_t)info->n_vocab * info->n_embd; // its int8 copy
    struct bn_check *check = add(doctor, "model", "%s, %s of weights, %s of KV cache", info->architecture,
                                 size_of(info->bytes).text, size_of(kv).text);
    if (options->n_ctx > info->n_ctx_train)
        worsen(check, BN_HEALTH_DEGRADED, "ask for fewer positions",
               "the model was trained for %u positions, not for %u", info->n_ctx_train, options->n_ctx);
    *bytes = info->bytes;
    bn_model_destroy(model);
    return *bytes + kv + head + work_memory;
}

static enum bn_result examine(struct bn_doctor *doctor, struct bn_runtime *runtime,
                              const struct bn_doctor_options *options, struct bn_error *err)
{
    struct bn_survey *survey;
    enum bn_result result = bn_survey_create(runtime, options->survey, &survey, err);
    if (result != BN_OK)
        return result;
    uint64_t bytes, needed = check_model(doctor, runtime, options, &bytes);
    const struct bn_survey_device *cpu = bn_survey_get_device(survey, 0);
    check_choice(doctor, runtime, options->device, needed);
    check_memory(doctor, cpu, needed);
    check_disk(doctor, bytes);
    check_cpu(doctor, cpu);
    check_governor(doctor);
    check_huge_pages(doctor);
    check_devices(doctor, survey);
    bn_survey_destroy(survey);
    return doctor->no_memory ? bn_fail(err, BN_ERR_NO_MEMORY, "no memory for the list of checks") : BN_OK;
}

enum bn_result bn_doctor_create(struct bn_runtime *runtime, const struct bn_doctor_options *options,
                                struct bn_doctor **out, struct bn_error *err)
{
    if (!runtime || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime or out is NULL");
    *out = NULL;
    struct bn_doctor_options own;
    BN_INIT(own);
    if (options && options->size != sizeof(own))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the options is not set; use BN_INIT");
    if (options)
        own = *options;
    struct bn_doctor *doctor = bn_alloc(&runtime->host, sizeof(*doctor));
    if (!doctor)
        return bn_fail_memory(err, sizeof(*doctor), "an examination");
    doctor->host = &runtime->host;
    enum bn_result result = examine(doctor, runtime, &own, err);
    if (result != BN_OK) {
        bn_doctor_destroy(doctor);
        return result;
    }
    *out = doctor;
    return BN_OK;
}

void bn_doctor_destroy(struct bn_doctor *doctor)
{
    if (!doctor)
        return;
    bn_free(doctor->host, doctor->checks);
    bn_free(doctor->host, doctor);
}

enum bn_health bn_doctor_get_health(const struct bn_doctor *doctor)
{
    enum bn_health worst = BN_HEALTH_OK;
    for (size_t i = 0; i < doctor->n; i++)
        worst = doctor->checks[i].health > worst ? doctor->checks[i].health : worst;
    return worst;
}

const struct bn_check *bn_doctor_get_check(const struct bn_doctor *doctor, size_t index)
{
    return index < doctor->n ? &doctor->checks[index] : NULL;
}
