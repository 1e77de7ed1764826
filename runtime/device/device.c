#include <bitnet/driver.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "driver_table.inl"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/base/sensors.h"
#include "runtime/base/sysfs.h"
#include "runtime/device/fault.h"
#include "runtime/device/tuning.h"
#include "runtime/device/live.h"
#include "runtime/device/op_check.h"
#include "runtime/layout/layout.h"
#include "runtime/survey/ids.h"

#define DECLARE(name) extern const struct bn_driver bn_driver_##name;
BN_DRIVERS(DECLARE)

#define ENTRY(name) &bn_driver_##name,
static const struct bn_driver *const drivers[] = {BN_DRIVERS(ENTRY)};

enum { N_DRIVERS = sizeof(drivers) / sizeof(drivers[0]), MAX_DEVICES = 64 };

const char *bn_device_state_name(enum bn_device_state state)
{
    static const char *const names[] = {"ready",     "missing_library", "permission_denied", "too_old", "crashed",
                                        "timed_out", "faulted",         "disabled",          "poisoned"};
    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *bn_device_kind_name(enum bn_device_kind kind)
{
    static const char *const names[] = {"cpu", "gpu", "npu", "null"};
    return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

enum bn_result bn_device_list(struct bn_runtime *runtime, struct bn_device_info *list, size_t capacity, size_t *count,
                              struct bn_error *err)
{
    if (!runtime || !count || (!list && capacity))
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime, count or list is NULL");
    *count = 0;
    for (size_t d = 0; d < N_DRIVERS; d++) {
        size_t n = 0, room = capacity > *count ? capacity - *count : 0;
        enum bn_result result = drivers[d]->probe(&runtime->host, room ? list + *count : NULL, room, &n, err);
        if (result != BN_OK)
            return result;
        *count += n;
    }
    bn_survey_give_ids(&runtime->host, list, *count < capacity ? *count : capacity);
    return BN_OK;
}

// "03:00.0", "0000:03:00.0" and "00000000:03:00.0" are the same address.
static bool same_pci(const char *address, const char *text, size_t n)
{
    unsigned a[4], b[4];
    char copy[24];
    if (!*address || n >= sizeof(copy))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    const char *colon = strchr(copy, ':');
    a[0] = 0;
    bool read = colon && strchr(colon + 1, ':') ? sscanf(copy, "%8x:%2x:%2x.%1x", &a[0], &a[1], &a[2], &a[3]) == 4
                                                : sscanf(copy, "%2x:%2x.%1x", &a[1], &a[2], &a[3]) == 3;
    return read && sscanf(address, "%8x:%2x:%2x.%1x", &b[0], &b[1], &b[2], &b[3]) == 4 && memcmp(a, b, sizeof(a)) == 0;
}

// The same digits, with or without dashes, a prefix of letters, capitals.
static bool same_uuid(const char *uuid, const char *text, size_t n)
{
    const char *const ends[2] = {uuid + strlen(uuid), text + n};
    const char *at[2] = {uuid, text};
    for (int i = 0; i < 2; i++)
        if (ends[i] - at[i] > 4 && at[i][3] == '-') // "GPU-", "MIG-"
            at[i] += 4;
    size_t digits = 0;
    for (;;) {
        for (int i = 0; i < 2; i++)
            while (at[i] < ends[i] && *at[i] == '-')
                at[i]++;
        if (at[0] == ends[0] || at[1] == ends[1])
            return at[0] == ends[0] && at[1] == ends[1] && digits > 0;
        if (tolower((unsigned char)*at[0]++) != tolower((unsigned char)*at[1]++))
            return false;
        digits++;
    }
}

// `selector` is a device in one of its spellings, alone or with "/driver"; NULL: what an automatic choice may take.
static bool matches(const struct bn_device_info *info, const char *selector)
{
    if (!selector)
        return info->state == BN_STATE_READY && info->kind != BN_DEVICE_NULL;
    if (strcmp(selector, info->driver) == 0)
        return true;
    size_t n = strcspn(selector, "/");
    if (selector[n] == '/' && strcmp(selector + n + 1, info->driver) != 0)
        return false;
    if (strncmp(selector, "pci:", 4) == 0)
        return same_pci(info->pci, selector + 4, n - 4);
    if (strncmp(selector, "uuid:", 5) == 0)
        return same_uuid(info->uuid, selector + 5, n - 5);
    return strlen(info->id) == n && strncmp(selector, info->id, n) == 0;
}

// The first device that the selector names. A driver that it names is asked first, then one after the other, so that no
// other is disturbed: a probe may load large libraries. NULL if there is none; *n is then the number of all devices.
static const struct bn_device_info *find(struct bn_runtime *runtime, const char *selector, struct bn_device_info *list,
                                         size_t capacity, size_t *n, enum bn_result *result, struct bn_error *err)
{
    for (int all = 0; all < 2; all++) {
        *n = 0;
        for (size_t d = 0; d < N_DRIVERS; d++) {
            size_t count = 0, first = *n;
            if (!all && (!selector || strcmp(selector, drivers[d]->name) != 0))
                continue;
            *result = drivers[d]->probe(&runtime->host, list + first, capacity - first, &count, err);
            if (*result != BN_OK)
                return NULL;
            *n = count < capacity - first ? first + count : capacity;
            bn_survey_give_ids(&runtime->host, list, *n);
            for (size_t i = first; i < *n; i++)
                if (matches(&list[i], selector))
                    return &list[i];
        }
    }
    return NULL;
}

enum bn_result bn_device_find(struct bn_runtime *runtime, const char *selector, struct bn_device_info *info,
                              struct bn_error *err)
{
    struct bn_device_info list[MAX_DEVICES];
    size_t n = 0;
    enum bn_result result = BN_OK;
    const struct bn_device_info *found = find(runtime, selector, list, MAX_DEVICES, &n, &result, err);
    if (found)
        *info = *found;
    return found || result != BN_OK ? result
                                    : bn_fail_at(err, BN_ERR_NOT_FOUND, NULL, selector, UINT64_MAX, "no such device");
}

static const struct bn_driver *driver_of(const struct bn_device_info *info)
{
    for (size_t d = 0; d < N_DRIVERS; d++)
        if (strcmp(drivers[d]->name, info->driver) == 0)
            return drivers[d];
    return NULL;
}

static enum bn_result no_such_device(const struct bn_device_info *list, size_t n, const char *selector,
                                     struct bn_error *err)
{
    char known[256] = "";
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(known), before = 0;
        while (before < i && strcmp(list[before].id, list[i].id) != 0)
            before++;
        snprintf(known + at, sizeof(known) - at, "%s%s%s%s", i ? ", " : "", list[i].id, before < i ? "/" : "",
                 before < i ? list[i].driver : ""); // the second way into a device
    }
    return bn_fail_at(err, BN_ERR_NOT_FOUND, NULL, selector, UINT64_MAX, "no such device; this machine has %s", known);
}

// What the options leave open is as the machine was tuned.
static enum bn_load_mode apply_tuning(const struct bn_host *host, const struct bn_device_info *found,
                                      struct bn_device_options *options)
{
    struct bn_tuning tuning;
    struct bn_error err = {0};
    if (strcmp(found->driver, "cpu") != 0 || options->isa || bn_env("BITNET_CPU_ISA"))
        return BN_LOAD_AUTO;
    enum bn_result result = bn_tuning_load(found, &tuning, &err);
    if (result != BN_OK && result != BN_ERR_NOT_FOUND)
        bn_log(host, BN_LOG_WARNING, "%s: %s", err.file, err.message);
    if (options->threads == 0)
        options->threads = tuning.threads;
    if (options->packing == BN_PACKING_AUTO)
        options->packing = tuning.packing;
    return tuning.load;
}

static enum bn_result open_found(const struct bn_host *host, const struct bn_device_info *found,
                                 const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    const char *plan = options->fault ? options->fault : bn_env("BITNET_FAULT");
    bool faulty = bn_fault_concerns(plan, found->driver);
    enum bn_result result = faulty ? bn_fault_open(plan, found->driver, err) : BN_OK;
    if (result == BN_OK)
        result = driver_of(found)->open(host, found, options, out, err);
    if (result == BN_OK && faulty)
        result = bn_fault_wrap(*out, plan, err);
    if (result == BN_OK)
        result = bn_live_create(*out, err);
    if (result != BN_OK && *out) {
        (*out)->driver->close(*out);
        *out = NULL;
    }
    return result;
}

static enum bn_result code_of(enum bn_device_state state)
{
    return state == BN_STATE_DISABLED   ? BN_ERR_UNSUPPORTED
           : state == BN_STATE_POISONED ? BN_ERR_POISONED
                                        : BN_ERR_UNAVAILABLE;
}

enum bn_result bn_device_open(struct bn_runtime *runtime, const char *selector, const struct bn_device_options *options,
                              struct bn_device **out, struct bn_error *err)
{
    if (!runtime || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime or out is NULL");
    *out = NULL;
    struct bn_device_options own;
    BN_INIT(own);
    if (options && options->size != sizeof(own))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the options is not set; use BN_INIT");
    if (options)
        own = *options;
    struct bn_device_info list[MAX_DEVICES];
    size_t n = 0;
    if (!selector)
        selector = bn_env("BITNET_DEVICE");
    if (selector && strcmp(selector, "auto") == 0)
        selector = NULL;
    enum bn_result result = BN_OK;
    const struct bn_device_info *found = find(runtime, selector, list, MAX_DEVICES, &n, &result, err);
    if (result != BN_OK)
        return result;
    if (!found)
        return no_such_device(list, n, selector ? selector : "auto", err);
    if (found->state != BN_STATE_READY)
        return bn_fail_at(err, code_of(found->state), NULL, found->id, UINT64_MAX, "%s: %s; %s",
                          bn_device_state_name(found->state), found->reason, found->mend);
    enum bn_load_mode load = apply_tuning(&runtime->host, found, &own);
    result = open_found(&runtime->host, found, &own, out, err);
    if (result == BN_OK)
        (*out)->load = load;
    return result;
}

void bn_device_close(struct bn_device *device)
{
    if (!device)
        return;
    bn_live_destroy(device);
    device->driver->close(device);
}

const struct bn_device_info *bn_device_get_info(const struct bn_device *device)
{
    return &device->info;
}

void bn_device_get_caps(struct bn_device *device, struct bn_caps *caps)
{
    memset(caps, 0, sizeof(*caps));
    device->driver->caps(device, caps);
}

void bn_device_get_status(struct bn_device *device, struct bn_device_status *status)
{
    memset(status, 0, sizeof(*status));
    device->driver->status(device, status);
}

bool bn_device_get_sensors(const struct bn_device *device, struct bn_device_sensors *out)
{
    enum { NVIDIA = 0x10de };
    const struct bn_device_info *info = &device->info;
    uint64_t vendor = 0;
    bn_sensors_clear(out);
    if (!info->pci[0])
        return false;
    bn_sys_number(&vendor, 16, "/sys/bus/pci/devices/%s/vendor", info->pci);
    bool nvidia = vendor == NVIDIA || strcmp(info->driver, "cuda") == 0;
    return (nvidia && bn_sensors_nvml(info->pci, out)) || bn_sensors_hwmon(info->pci, out);
}

const char *bn_device_limits_text(uint32_t limits)
{
    static const char *const names[] = {"",      "power",           "heat",           "power and heat",
                                        "other", "power and other", "heat and other", "power, heat and other"};
    return names[limits & 7];
}

enum bn_result bn_device_get_profile(struct bn_device *device, struct bn_op_profile *list, size_t capacity,
                                     size_t *count, struct bn_error *err)
{
    if (!device || !count || (!list && capacity))
        return bn_fail(err, BN_ERR_ARGUMENT, "device, count or list is NULL");
    *count = 0;
    if (!device->driver->profile)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, NULL, UINT64_MAX,
                          "the driver does not measure its ops");
    return device->driver->profile(device, list, capacity, count, err);
}

bool bn_device_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return device->driver->supports(device, kind, layout);
}

enum bn_result bn_device_preferred_layout(struct bn_device *device, enum bn_op_kind kind, enum bn_layout stored,
                                          enum bn_layout *out, struct bn_error *err)
{
    const struct bn_driver *driver = device->driver;
    *out = driver->preferred_layout ? driver->preferred_layout(device, kind, stored) : BN_LAYOUT_COUNT;
    if (*out != BN_LAYOUT_COUNT)
        return BN_OK;
    *out = stored;
    if (driver->supports(device, kind, stored))
        return BN_OK;
    // Tables turn into what they stand for, ternary layouts into those that keep their scales.
    bool reads_floats = kind == BN_OP_EMBED || kind == BN_OP_HEAD || kind == BN_OP_TOP;
    *out = BN_LAYOUT_F32;
    if (reads_floats && driver->supports(device, kind, *out))
        return BN_OK;
    for (int layout = 0; layout < BN_LAYOUT_COUNT; layout++) {
        *out = (enum bn_layout)layout;
        if (bn_layout_keeps(stored, *out) && driver->supports(device, kind, *out))
            return BN_OK;
    }
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, bn_layout_get(stored)->name, UINT64_MAX,
                      "the device has no kernel for %s with weights in this layout", bn_op_name(kind));
}
