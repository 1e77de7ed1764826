#include "runtime/device/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "driver_table.inl"
#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/base/thread.h"
#include "runtime/device/op_check.h"
#include "runtime/layout/layout.h"

#define DECLARE(name) extern const struct bn_driver bn_driver_##name;
BN_DRIVERS(DECLARE)

#define ENTRY(name) &bn_driver_##name,
static const struct bn_driver *const drivers[] = {BN_DRIVERS(ENTRY)};

enum { N_DRIVERS = sizeof(drivers) / sizeof(drivers[0]), MAX_DEVICES = 64 };

const char *bn_device_state_name(enum bn_device_state state)
{
    static const char *const names[] = {"ready",   "missing_library", "permission_denied", "too_old",
                                        "crashed", "timed_out",       "faulted",           "disabled"};
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
    return BN_OK;
}

static const struct bn_driver *driver_of(const struct bn_device_info *info)
{
    for (size_t d = 0; d < N_DRIVERS; d++)
        if (strcmp(drivers[d]->name, info->driver) == 0)
            return drivers[d];
    return NULL;
}

static bool matches(const struct bn_device_info *info, const char *selector)
{
    if (!selector)
        return info->state == BN_STATE_READY && info->kind != BN_DEVICE_NULL;
    size_t n = strlen(info->id);
    return strcmp(selector, info->id) == 0 || strcmp(selector, info->driver) == 0 ||
           (strncmp(selector, info->id, n) == 0 && selector[n] == '/' && strcmp(selector + n + 1, info->driver) == 0);
}

static enum bn_result no_such_device(const struct bn_device_info *list, size_t n, const char *selector,
                                     struct bn_error *err)
{
    char known[256] = "";
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof(known) - at, "%s%s", i ? ", " : "", list[i].id);
    }
    return bn_fail_at(err, BN_ERR_NOT_FOUND, NULL, selector, UINT64_MAX, "no such device; this machine has %s", known);
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
    enum bn_result result = bn_device_list(runtime, list, MAX_DEVICES, &n, err);
    if (result != BN_OK)
        return result;
    n = n < MAX_DEVICES ? n : MAX_DEVICES;
    if (!selector)
        selector = bn_env("BITNET_DEVICE");
    if (selector && strcmp(selector, "auto") == 0)
        selector = NULL;
    const struct bn_device_info *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        if (matches(&list[i], selector))
            found = &list[i];
    if (!found)
        return no_such_device(list, n, selector ? selector : "auto", err);
    if (found->state != BN_STATE_READY)
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, found->id, UINT64_MAX, "%s: %s; %s",
                          bn_device_state_name(found->state), found->reason, found->mend);
    return driver_of(found)->open(&runtime->host, found, &own, out, err);
}

void bn_device_close(struct bn_device *device)
{
    if (device)
        device->driver->close(device);
}

const struct bn_device_info *bn_device_get_info(const struct bn_device *device)
{
    return &device->info;
}

void bn_device_caps(struct bn_device *device, struct bn_caps *caps)
{
    memset(caps, 0, sizeof(*caps));
    device->driver->caps(device, caps);
}

void bn_device_get_status(struct bn_device *device, struct bn_device_status *status)
{
    memset(status, 0, sizeof(*status));
    device->driver->status(device, status);
}

bool bn_device_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return device->driver->supports(device, kind, layout);
}

enum bn_result bn_device_preferred_layout(struct bn_device *device, enum bn_op_kind kind, enum bn_layout stored,
                                          enum bn_layout *out, struct bn_error *err)
{
    const struct bn_driver *driver = device->driver;
    if (driver->preferred_layout) {
        *out = driver->preferred_layout(device, kind, stored);
        return BN_OK;
    }
    *out = stored;
    if (driver->supports(device, kind, stored))
        return BN_OK;
    // Any ternary layout turns into any other without loss; float layouts are not converted.
    for (int layout = 0; layout < BN_LAYOUT_COUNT; layout++) {
        *out = (enum bn_layout)layout;
        if (bn_layout_get(*out)->kind == BN_LAYOUT_TERNARY && bn_layout_get(stored)->kind == BN_LAYOUT_TERNARY &&
            driver->supports(device, kind, *out))
            return BN_OK;
    }
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, bn_layout_get(stored)->name, UINT64_MAX,
                      "the device has no kernel for %s with weights in this layout", bn_op_name(kind));
}

enum bn_result bn_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out, struct bn_error *err)
{
    *out = NULL;
    struct bn_caps caps;
    bn_device_caps(device, &caps);
    if (size == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "a buffer of 0 bytes");
    if (size > caps.max_buffer)
        return bn_fail_at(err, BN_ERR_DEVICE_MEMORY, device->info.id, NULL, UINT64_MAX,
                          "a buffer of %" PRIu64 " bytes was asked for, the device's largest has %" PRIu64, size,
                          caps.max_buffer);
    return device->driver->buffer_create(device, size, out, err);
}

enum bn_result bn_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                struct bn_error *err)
{
    *out = NULL;
    struct bn_caps caps;
    bn_device_caps(device, &caps);
    if (!memory || size == 0)
        return bn_fail(err, BN_ERR_ARGUMENT, "no memory to import");
    if (!device->driver->buffer_import || caps.import_align == 0 || (uintptr_t)memory % caps.import_align)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the device cannot read this memory in place");
    return device->driver->buffer_import(device, memory, size, out, err);
}

void bn_buffer_destroy(struct bn_buffer *buffer)
{
    if (buffer)
        buffer->device->driver->buffer_destroy(buffer);
}

enum bn_result bn_command_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    *out = NULL;
    if (!slot || !slot->buffer || slot->size < sizeof(struct bn_slot) || slot->offset % 64)
        return bn_fail(err, BN_ERR_ARGUMENT, "a command needs a state slot");
    for (size_t i = 0; i < n_ops; i++) {
        enum bn_result result = bn_op_check(device, &ops[i], i, err);
        if (result != BN_OK)
            return result;
    }
    return device->driver->record(device, ops, n_ops, slot, out, err);
}

void bn_command_destroy(struct bn_command *command)
{
    if (command)
        command->device->driver->command_destroy(command);
}

enum bn_result bn_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err)
{
    *out = NULL;
    return device->driver->queue_open(device, out, err);
}

void bn_queue_close(struct bn_queue *queue)
{
    if (queue)
        queue->device->driver->queue_close(queue);
}

enum bn_result bn_queue_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err)
{
    if (!submission->command || submission->command->device != queue->device)
        return bn_fail(err, BN_ERR_ARGUMENT, "the command was recorded for another device");
    return queue->device->driver->submit(queue, submission, err);
}

enum bn_result bn_queue_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err)
{
    return queue->device->driver->poll(queue, value, err);
}

enum { SPIN_NS = 50000, FIRST_NAP_NS = 20000, LAST_NAP_NS = 1000000 };

enum bn_result bn_queue_wait(struct bn_queue *queue, uint64_t value, uint64_t deadline, uint64_t *sleeps,
                             struct bn_error *err)
{
    const struct bn_driver *driver = queue->device->driver;
    uint64_t start = bn_clock_ns(), now = start, reached;
    long nap = FIRST_NAP_NS;
    for (;;) {
        enum bn_result result = driver->poll(queue, &reached, err);
        if (result != BN_OK)
            return result;
        if (reached >= value)
            return BN_OK;
        if (now >= deadline)
            return bn_fail_at(err, BN_ERR_TIMEOUT, queue->device->info.id, NULL, UINT64_MAX,
                              "the timeline stands at %" PRIu64 ", not at %" PRIu64 ", after %" PRIu64 " ms", reached,
                              value, (now - start) / 1000000);
        if (driver->drive) {
            // One value at a time, so that the deadline is seen in between.
            result = driver->drive(queue, deadline == UINT64_MAX ? value : reached + 1, err);
            if (result != BN_OK)
                return result;
        } else if (now - start < SPIN_NS) {
            for (int i = 0; i < 32; i++)
                bn_cpu_relax();
        } else {
            struct timespec time = {0, nap};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
            ++*sleeps;
            nap = nap * 2 < LAST_NAP_NS ? nap * 2 : LAST_NAP_NS;
        }
        now = bn_clock_ns();
    }
}
