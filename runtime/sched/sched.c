#include "runtime/sched/sched.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/base/fail.h"

static const uint32_t bucket_rows[] = {1, 8, 64};

static enum bn_result record(struct bn_sched *sched, const struct bn_plan_config *plan, struct bn_op *ops,
                             struct bn_sched_slot *slot, size_t bucket, struct bn_error *err)
{
    uint32_t rows = sched->buckets[bucket];
    uint32_t outputs = rows < sched->limits.outputs ? rows : sched->limits.outputs;
    size_t n = bn_plan_build(plan, rows, outputs, ops);
    struct bn_span span = {slot->buffer, 0, slot->buffer->size};
    sched->records++;
    if (!sched->ops[bucket].kinds) {
        sched->ops[bucket].kinds = bn_alloc(sched->host, n);
        if (!sched->ops[bucket].kinds)
            return bn_fail_memory(err, n, "the names of a plan's ops");
        sched->ops[bucket].n = n;
        for (size_t i = 0; i < n; i++)
            sched->ops[bucket].kinds[i] = (uint8_t)ops[i].kind;
    }
    return bn_command_record(sched->device, ops, n, &span, &slot->commands[bucket], err);
}

enum bn_result bn_sched_init(struct bn_sched *sched, struct bn_device *device, const struct bn_plan_config *plan,
                             const struct bn_slot_limits *limits, struct bn_error *err)
{
    memset(sched, 0, sizeof(*sched));
    sched->host = device->host;
    sched->device = device;
    sched->limits = *limits;
    for (size_t i = 0; i < sizeof(bucket_rows) / sizeof(bucket_rows[0]); i++)
        if (bucket_rows[i] < limits->rows)
            sched->buckets[sched->n_buckets++] = bucket_rows[i];
    sched->buckets[sched->n_buckets++] = limits->rows;

    struct bn_op *ops = bn_alloc_array(device->host, bn_plan_size(plan), sizeof(*ops));
    if (!ops)
        return bn_fail_memory(err, bn_plan_size(plan) * sizeof(*ops), "the plan");
    uint64_t bytes = bn_slot_bytes(limits);
    enum bn_result result = bn_queue_open(device, &sched->queue, err);
    for (int s = 0; s < BN_SLOTS && result == BN_OK; s++) {
        struct bn_sched_slot *slot = &sched->slots[s];
        result = bn_buffer_create(device, bytes, &slot->buffer, err);
        if (result == BN_OK && !slot->buffer->host)
            result = bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, NULL, UINT64_MAX,
                                "the device has no memory that the host sees too");
        for (size_t b = 0; b < sched->n_buckets && result == BN_OK; b++)
            result = record(sched, plan, ops, slot, b, err);
    }
    bn_free(device->host, ops);
    if (result != BN_OK)
        bn_sched_finish(sched);
    return result;
}

void bn_sched_finish(struct bn_sched *sched)
{
    if (!sched->device)
        return;
    if (sched->queue && sched->submitted) {
        struct bn_error ignored;
        (void)!bn_queue_wait(sched->queue, sched->submitted, UINT64_MAX, &ignored);
    }
    bn_queue_close(sched->queue);
    for (int s = 0; s < BN_SLOTS; s++) {
        for (size_t b = 0; b < sched->n_buckets; b++)
            bn_command_destroy(sched->slots[s].commands[b]);
        bn_buffer_destroy(sched->slots[s].buffer);
    }
    for (size_t b = 0; b < sched->n_buckets; b++)
        bn_free(sched->host, sched->ops[b].kinds);
    memset(sched, 0, sizeof(*sched));
}

// A driver says that the device is lost; which op it was at is added, unless the driver did that too.
static enum bn_result name_op(const struct bn_sched *sched, uint64_t value, struct bn_error *err)
{
    struct bn_device_status status;
    const struct bn_sched_slot *slot = &sched->slots[value % BN_SLOTS];
    const struct bn_sched_ops *ops = &sched->ops[slot->bucket];
    bn_device_get_status(sched->device, &status);
    if (!err || err->code != BN_ERR_DEVICE_LOST || slot->value == 0 || status.last_op >= ops->n)
        return BN_ERR_DEVICE_LOST;
    for (int kind = 0; kind < BN_OP_COUNT; kind++)
        if (strcmp(err->subject, bn_op_name((enum bn_op_kind)kind)) == 0)
            return BN_ERR_DEVICE_LOST;
    struct bn_error said = *err;
    int native = err->native;
    bn_fail_at(err, BN_ERR_DEVICE_LOST, sched->device->info.id, bn_op_name((enum bn_op_kind)ops->kinds[status.last_op]),
               UINT64_MAX, "%s%s%.200s; op %" PRIu32 " of %zu was the last that started", said.subject,
               said.subject[0] ? ": " : "", said.message, status.last_op, ops->n);
    err->native = native;
    return BN_ERR_DEVICE_LOST;
}

static struct bn_sched_slot *next_slot(struct bn_sched *sched)
{
    return &sched->slots[(sched->submitted + 1) % BN_SLOTS];
}

enum bn_result bn_sched_begin(struct bn_sched *sched, struct bn_slot **out, struct bn_error *err)
{
    struct bn_sched_slot *slot = next_slot(sched);
    enum bn_result result = bn_sched_wait(sched, slot->value, err);
    if (result != BN_OK)
        return result;
    *out = slot->buffer->host;
    bn_slot_init(*out, &sched->limits);
    return BN_OK;
}

enum bn_result bn_sched_submit(struct bn_sched *sched, const uint32_t *stop, uint32_t stop_at, uint64_t *value,
                               struct bn_error *err)
{
    struct bn_sched_slot *slot = next_slot(sched);
    const struct bn_slot *header = slot->buffer->host;
    size_t bucket = 0;
    while (sched->buckets[bucket] < header->n_rows)
        bucket++;
    struct bn_submission submission = {slot->commands[bucket], sched->submitted + 1, stop, stop_at};
    enum bn_result result = bn_queue_submit(sched->queue, &submission, err);
    if (result != BN_OK)
        return result == BN_ERR_DEVICE_LOST ? name_op(sched, sched->submitted, err) : result;
    *value = slot->value = ++sched->submitted;
    slot->bucket = bucket;
    atomic_fetch_add_explicit(&sched->steps, 1, memory_order_relaxed);
    return BN_OK;
}

enum bn_result bn_sched_wait(struct bn_sched *sched, uint64_t value, struct bn_error *err)
{
    enum bn_result result = bn_queue_wait(sched->queue, value, UINT64_MAX, err);
    return result == BN_ERR_DEVICE_LOST ? name_op(sched, value, err) : result;
}

const struct bn_slot *bn_sched_slot_of(const struct bn_sched *sched, uint64_t value)
{
    return sched->slots[value % BN_SLOTS].buffer->host;
}
