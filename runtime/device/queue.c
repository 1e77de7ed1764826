// Slots, commands, submissions, waiting.
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/device/live.h"
#include "runtime/device/op_check.h"

static uint64_t align64(uint64_t n)
{
    return (n + 63) / 64 * 64;
}

static uint64_t lay_out(struct bn_slot *slot, const struct bn_slot_limits *limits)
{
    const struct {
        uint32_t *at;
        uint64_t bytes;
    } arrays[] = {
        {&slot->row_at, limits->rows * sizeof(struct bn_slot_row)},
        {&slot->seq_at, limits->seqs * sizeof(struct bn_slot_seq)},
        {&slot->page_at, limits->pages * sizeof(uint32_t)},
        {&slot->output_at, limits->outputs * sizeof(uint32_t)},
        {&slot->copy_at, limits->copies * sizeof(struct bn_slot_copy)},
    };
    uint64_t at = align64(sizeof(*slot));
    memset(slot, 0, sizeof(*slot));
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        *arrays[i].at = (uint32_t)at;
        at += align64(arrays[i].bytes);
    }
    return at;
}

uint64_t bn_slot_bytes(const struct bn_slot_limits *limits)
{
    struct bn_slot header;
    return lay_out(&header, limits);
}

void bn_slot_init(struct bn_slot *slot, const struct bn_slot_limits *limits)
{
    lay_out(slot, limits);
}

static enum bn_result check_slot(struct bn_device *device, const struct bn_span *slot, struct bn_error *err)
{
    if (!slot || !slot->buffer || !bn_live_has(device, slot->buffer))
        return bn_fail(err, BN_ERR_ARGUMENT, "a command needs a state slot in a buffer of its device");
    if (slot->offset % 64 || slot->offset > slot->buffer->size || slot->size > slot->buffer->size - slot->offset ||
        slot->size < sizeof(struct bn_slot))
        return bn_fail(err, BN_ERR_ARGUMENT, "the state slot is too small, outside its buffer, or not aligned to 64");
    return BN_OK;
}

enum bn_result bn_command_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    if (!device || !ops || n_ops == 0 || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "device, ops or out is NULL, or there are no ops");
    *out = NULL;
    enum bn_result result = check_slot(device, slot, err);
    for (size_t i = 0; i < n_ops && result == BN_OK; i++)
        result = bn_op_check(device, &ops[i], i, err);
    if (result == BN_OK)
        result = device->driver->record(device, ops, n_ops, slot, out, err);
    if (result != BN_OK)
        return result;
    result = bn_live_keep(*out, ops, n_ops, slot, err);
    if (result != BN_OK) {
        device->driver->command_destroy(*out);
        *out = NULL;
    }
    return result;
}

void bn_command_destroy(struct bn_command *command)
{
    if (!command)
        return;
    bn_live_drop(command);
    command->device->driver->command_destroy(command);
}

enum bn_result bn_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err)
{
    if (!device || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "device or out is NULL");
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
    if (!queue || !submission || !submission->command)
        return bn_fail(err, BN_ERR_ARGUMENT, "queue, submission or command is NULL");
    if (submission->command->device != queue->device)
        return bn_fail(err, BN_ERR_ARGUMENT, "the command was recorded for another device");
    if (submission->signal <= queue->last_signal)
        return bn_fail(err, BN_ERR_ARGUMENT, "signal %" PRIu64 " does not come after %" PRIu64, submission->signal,
                       queue->last_signal);
    enum bn_result result = queue->device->driver->submit(queue, submission, err);
    if (result == BN_OK)
        queue->last_signal = submission->signal;
    return result;
}

enum bn_result bn_queue_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err)
{
    if (!queue || !value)
        return bn_fail(err, BN_ERR_ARGUMENT, "queue or value is NULL");
    return queue->device->driver->poll(queue, value, err);
}

enum bn_result bn_queue_take_spans(struct bn_queue *queue, struct bn_op_span *list, size_t capacity, size_t *count,
                                   struct bn_error *err)
{
    if (!queue || !count || (!list && capacity))
        return bn_fail(err, BN_ERR_ARGUMENT, "queue, count or list is NULL");
    *count = 0;
    if (!queue->device->driver->take_spans)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, queue->device->info.id, NULL, UINT64_MAX,
                          "the driver does not tell when its ops run");
    return queue->device->driver->take_spans(queue, list, capacity, count, err);
}

enum { SPIN_NS = 50000, FIRST_NAP_NS = 20000, LAST_NAP_NS = 1000000 };

// Waits a little, by the driver if it can do that without missing the end.
static void nap(struct bn_queue *queue, uint64_t value, long *length)
{
    struct timespec time = {0, *length};
    if (queue->device->driver->wait)
        queue->device->driver->wait(queue, value, LAST_NAP_NS);
    else
        clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    __atomic_add_fetch(&queue->naps, 1, __ATOMIC_RELAXED);
    *length = *length * 2 < LAST_NAP_NS ? *length * 2 : LAST_NAP_NS;
}

enum bn_result bn_queue_wait(struct bn_queue *queue, uint64_t value, uint64_t timeout_ns, struct bn_error *err)
{
    if (!queue)
        return bn_fail(err, BN_ERR_ARGUMENT, "queue is NULL");
    const struct bn_driver *driver = queue->device->driver;
    uint64_t start = bn_clock_ns(), reached = 0;
    long length = FIRST_NAP_NS;
    for (;;) {
        uint64_t before = reached, waited = bn_clock_ns() - start;
        enum bn_result result = driver->poll(queue, &reached, err);
        if (result != BN_OK)
            return result;
        if (reached >= value)
            return BN_OK;
        if (waited >= timeout_ns)
            return bn_fail_at(err, BN_ERR_TIMEOUT, queue->device->info.id, NULL, UINT64_MAX,
                              "the timeline stands at %" PRIu64 ", not at %" PRIu64 ", after %" PRIu64 " ms", reached,
                              value, waited / 1000000);
        // One value at a time if there is a deadline to look at in between.
        if (driver->drive && (result = driver->drive(queue, timeout_ns == UINT64_MAX ? value : reached + 1, err)))
            return result;
        if (waited >= SPIN_NS && (!driver->drive || reached == before))
            nap(queue, value, &length);
        else
            for (int i = 0; i < 32; i++)
                bn_cpu_relax();
    }
}
