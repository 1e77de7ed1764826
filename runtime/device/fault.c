#include "runtime/device/fault.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

enum slot { OPEN, CAPS, SUPPORTS, ALLOC, IMPORT, WRITE, RECORD, QUEUE, SUBMIT, POLL, DRIVE, SLOTS };
_Static_assert((int)SLOTS == (int)BN_FAULT_SLOTS, "the header's number of slots");

static const char *const slot_names[SLOTS] = {"open",   "caps",  "supports", "alloc", "import", "write",
                                              "record", "queue", "submit",   "poll",  "drive"};

static const struct {
    const char *name;
    enum bn_result result; // BN_OK: a delay
} faults[] = {
    {"lost", BN_ERR_DEVICE_LOST},
    {"oom", BN_ERR_DEVICE_MEMORY},
    {"host-oom", BN_ERR_NO_MEMORY},
    {"busy", BN_ERR_BUSY},
    {"timeout", BN_ERR_TIMEOUT},
    {"unavailable", BN_ERR_UNAVAILABLE},
    {"unsupported", BN_ERR_UNSUPPORTED},
    {"numeric", BN_ERR_NUMERIC},
    {"delay", BN_OK},
};

enum { MAX_ENTRIES = 16, DELAY_NS = 5000000, N_FAULTS = sizeof(faults) / sizeof(faults[0]) };

struct plan {
    struct {
        enum slot slot;
        uint64_t call; // 0: every call
        enum bn_result result;
    } entries[MAX_ENTRIES];
    size_t n;
};

// The decorator: a driver whose slots count, fail or call the inner one's. Devices point to it instead of to theirs.
struct decorator {
    struct bn_driver driver;
    const struct bn_driver *inner;
    const struct bn_host *host;
    struct plan plan;
    _Atomic uint64_t calls[SLOTS];
    _Atomic uint32_t lost;
};

bool bn_fault_concerns(const char *plan, const char *driver)
{
    size_t n = strlen(driver);
    return plan && strncmp(plan, driver, n) == 0 && plan[n] == ':';
}

static bool parse_entry(struct plan *plan, const char *entry)
{
    char slot[16], call[24], fault[16];
    int end = 0, s = 0, f = 0;
    if (plan->n == MAX_ENTRIES || sscanf(entry, "%15[a-z]@%23[0-9*]=%15[a-z-]%n", slot, call, fault, &end) != 3 ||
        entry[end] != '\0')
        return false;
    while (s < SLOTS && strcmp(slot, slot_names[s]) != 0)
        s++;
    while (f < N_FAULTS && strcmp(fault, faults[f].name) != 0)
        f++;
    uint64_t number = 0;
    if (s == SLOTS || f == N_FAULTS)
        return false;
    if (strcmp(call, "*") != 0 && (sscanf(call, "%" SCNu64, &number) != 1 || number == 0))
        return false;
    plan->entries[plan->n].slot = (enum slot)s;
    plan->entries[plan->n].call = number;
    plan->entries[plan->n].result = faults[f].result;
    plan->n++;
    return true;
}

static enum bn_result parse(struct plan *plan, const char *text, struct bn_error *err)
{
    char copy[512];
    memset(plan, 0, sizeof(*plan));
    text = strchr(text, ':') + 1;
    if (strlen(text) >= sizeof(copy))
        return bn_fail(err, BN_ERR_ARGUMENT, "the fault plan is longer than %zu characters", sizeof(copy) - 1);
    memcpy(copy, text, strlen(text) + 1);
    for (char *save = NULL, *entry = strtok_r(copy, ";", &save); entry; entry = strtok_r(NULL, ";", &save))
        if (!parse_entry(plan, entry))
            return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, entry, UINT64_MAX,
                              "not a fault; write slot@number=fault, as in submit@3=lost");
    return BN_OK;
}

static enum bn_result planned(const struct plan *plan, enum slot slot, uint64_t call, struct bn_error *err)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (plan->entries[i].slot != slot || (plan->entries[i].call != 0 && plan->entries[i].call != call))
            continue;
        if (plan->entries[i].result != BN_OK)
            return bn_fail_at(err, plan->entries[i].result, NULL, slot_names[slot], UINT64_MAX,
                              "injected fault at call %" PRIu64, call);
        struct timespec time = {0, DELAY_NS};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    }
    return BN_OK;
}

static enum bn_result hit(struct decorator *decorator, enum slot slot, struct bn_error *err)
{
    uint64_t call = atomic_fetch_add_explicit(&decorator->calls[slot], 1, memory_order_relaxed) + 1;
    enum bn_result result = planned(&decorator->plan, slot, call, err);
    if (result == BN_ERR_DEVICE_LOST)
        atomic_store(&decorator->lost, 1);
    if (result == BN_OK && atomic_load(&decorator->lost))
        return bn_fail_at(err, BN_ERR_DEVICE_LOST, NULL, slot_names[slot], UINT64_MAX, "the device was lost before");
    return result;
}

static struct decorator *of(const struct bn_device *device)
{
    union {
        const struct bn_driver *in;
        struct decorator *out; // the driver is the decorator's first member, and the decorator is ours to write
    } driver = {device->driver};
    return driver.out;
}

static void faulty_close(struct bn_device *device)
{
    struct decorator *decorator = of(device);
    const struct bn_host *host = decorator->host;
    decorator->inner->close(device);
    bn_free(host, decorator);
}

static void faulty_caps(struct bn_device *device, struct bn_caps *caps)
{
    of(device)->inner->caps(device, caps);
    if (hit(of(device), CAPS, NULL) != BN_OK)
        memset(caps, 0, sizeof(*caps));
}

static bool faulty_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return hit(of(device), SUPPORTS, NULL) == BN_OK && of(device)->inner->supports(device, kind, layout);
}

static enum bn_result faulty_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                           struct bn_error *err)
{
    enum bn_result result = hit(of(device), ALLOC, err);
    return result == BN_OK ? of(device)->inner->buffer_create(device, size, out, err) : result;
}

static enum bn_result faulty_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                                 struct bn_error *err)
{
    enum bn_result result = hit(of(device), ALLOC, err);
    return result == BN_OK ? of(device)->inner->buffer_create_local(device, size, out, err) : result;
}

static enum bn_result faulty_buffer_write(struct bn_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                                          struct bn_error *err)
{
    enum bn_result result = hit(of(buffer->device), WRITE, err);
    return result == BN_OK ? of(buffer->device)->inner->buffer_write(buffer, offset, data, size, err) : result;
}

static enum bn_result faulty_buffer_import(struct bn_device *device, void *memory, uint64_t size,
                                           struct bn_buffer **out, struct bn_error *err)
{
    enum bn_result result = hit(of(device), IMPORT, err);
    return result == BN_OK ? of(device)->inner->buffer_import(device, memory, size, out, err) : result;
}

static enum bn_result faulty_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                    const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    enum bn_result result = hit(of(device), RECORD, err);
    return result == BN_OK ? of(device)->inner->record(device, ops, n_ops, slot, out, err) : result;
}

static enum bn_result faulty_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err)
{
    enum bn_result result = hit(of(device), QUEUE, err);
    return result == BN_OK ? of(device)->inner->queue_open(device, out, err) : result;
}

static enum bn_result faulty_submit(struct bn_queue *queue, const struct bn_submission *submission,
                                    struct bn_error *err)
{
    enum bn_result result = hit(of(queue->device), SUBMIT, err);
    return result == BN_OK ? of(queue->device)->inner->submit(queue, submission, err) : result;
}

static enum bn_result faulty_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err)
{
    enum bn_result result = hit(of(queue->device), POLL, err);
    return result == BN_OK ? of(queue->device)->inner->poll(queue, value, err) : result;
}

static enum bn_result faulty_drive(struct bn_queue *queue, uint64_t until, struct bn_error *err)
{
    enum bn_result result = hit(of(queue->device), DRIVE, err);
    return result == BN_OK ? of(queue->device)->inner->drive(queue, until, err) : result;
}

enum bn_result bn_fault_open(const char *plan, const char *driver, struct bn_error *err)
{
    struct plan parsed;
    enum bn_result result = parse(&parsed, plan, err);
    return result == BN_OK ? planned(&parsed, OPEN, 1, err) : result;
}

enum bn_result bn_fault_wrap(struct bn_device *device, const char *plan, struct bn_error *err)
{
    struct decorator *decorator = bn_alloc(device->host, sizeof(*decorator));
    if (!decorator)
        return bn_fail_memory(err, sizeof(*decorator), "the fault plan");
    enum bn_result result = parse(&decorator->plan, plan, err);
    if (result != BN_OK) {
        bn_free(device->host, decorator);
        return result;
    }
    // Slots that only release or describe are the inner driver's own.
    decorator->inner = device->driver;
    decorator->host = device->host;
    decorator->driver = *device->driver;
    decorator->driver.close = faulty_close;
    decorator->driver.caps = faulty_caps;
    decorator->driver.supports = faulty_supports;
    decorator->driver.buffer_create = faulty_buffer_create;
    decorator->driver.record = faulty_record;
    decorator->driver.queue_open = faulty_queue_open;
    decorator->driver.submit = faulty_submit;
    decorator->driver.poll = faulty_poll;
    if (decorator->inner->buffer_create_local)
        decorator->driver.buffer_create_local = faulty_buffer_create_local;
    if (decorator->inner->buffer_write)
        decorator->driver.buffer_write = faulty_buffer_write;
    if (decorator->inner->buffer_import)
        decorator->driver.buffer_import = faulty_buffer_import;
    if (decorator->inner->drive)
        decorator->driver.drive = faulty_drive;
    atomic_store(&decorator->calls[OPEN], 1);
    device->driver = &decorator->driver;
    return BN_OK;
}

bool bn_fault_counts(const struct bn_device *device, uint64_t counts[BN_FAULT_SLOTS])
{
    if (device->driver->close != faulty_close)
        return false;
    for (int s = 0; s < SLOTS; s++)
        counts[s] = atomic_load(&of(device)->calls[s]);
    return true;
}

const char *bn_fault_slot_name(int slot)
{
    return slot >= 0 && slot < SLOTS ? slot_names[slot] : "?";
}
