// How fast a device copies, by its own copy op: the bound for devices whose memory the host cannot read for them.
#include "bench/rig.h"

#include "common/fail.h"

#include <math.h>

enum { PASSES = 12, MOST_BYTES = 256 << 20, LEAST_BYTES = 1 << 20, COPIES = 4 };

struct copy {
    struct bn_device *device;
    struct bn_buffer *from, *to, *slot;
    struct bn_queue *queue;
    struct bn_command *command;
    uint64_t bytes;
};

static enum bn_result prepare(struct copy *copy, struct bn_error *err)
{
    const struct bn_slot_limits limits = {.rows = 1, .seqs = 1, .pages = 1, .outputs = 1, .copies = 1};
    struct bn_op ops[COPIES];
    enum bn_result result = bn_buffer_create_local(copy->device, copy->bytes, &copy->from, err);
    if (result == BN_OK)
        result = bn_buffer_create_local(copy->device, copy->bytes, &copy->to, err);
    if (result == BN_OK)
        result = bn_buffer_create(copy->device, bn_slot_bytes(&limits), &copy->slot, err);
    if (result == BN_OK)
        result = bn_queue_open(copy->device, &copy->queue, err);
    if (result != BN_OK)
        return result;
    bn_slot_init(copy->slot->host, &limits);
    ((struct bn_slot *)copy->slot->host)->n_rows = 1;
    for (int i = 0; i < COPIES; i++) // there and back
        ops[i] = (struct bn_op){.kind = BN_OP_COPY,
                                .rows = 1,
                                .in = {i % 2 ? copy->to : copy->from, 0, copy->bytes},
                                .out = {i % 2 ? copy->from : copy->to, 0, copy->bytes}};
    const struct bn_span slot = {copy->slot, 0, copy->slot->size};
    return bn_command_record(copy->device, ops, COPIES, &slot, &copy->command, err);
}

static void clear(struct copy *copy)
{
    bn_queue_close(copy->queue);
    bn_command_destroy(copy->command);
    bn_buffer_destroy(copy->from);
    bn_buffer_destroy(copy->to);
    bn_buffer_destroy(copy->slot);
}

static enum bn_result run(struct copy *copy, double *seconds, struct bn_error *err)
{
    enum bn_result result = BN_OK;
    for (uint64_t i = 0; i <= PASSES && result == BN_OK; i++) {
        const struct bn_submission submission = {.command = copy->command, .signal = i + 1};
        double start = bench_seconds();
        result = bn_queue_submit(copy->queue, &submission, err);
        if (result == BN_OK)
            result = bn_queue_wait(copy->queue, i + 1, UINT64_MAX, err);
        if (i > 0) // the first one warms up
            seconds[i - 1] = bench_seconds() - start;
    }
    return result;
}

int copy_measure(const struct rig *rig, size_t mem, double *gb)
{
    struct bn_caps caps;
    struct bn_error err = {0};
    const struct bn_device_info *info = bn_device_get_info(rig->device);
    struct copy copy = {.device = rig->device, .bytes = mem < MOST_BYTES ? mem : MOST_BYTES};
    double seconds[PASSES];
    bn_device_get_caps(rig->device, &caps);
    copy.bytes = copy.bytes < caps.max_buffer ? copy.bytes : caps.max_buffer;
    while (info->memory_free && copy.bytes > info->memory_free / 8 && copy.bytes > LEAST_BYTES)
        copy.bytes /= 2;
    copy.bytes = copy.bytes / 256 * 256;
    enum bn_result result = prepare(&copy, &err);
    if (result == BN_OK)
        result = run(&copy, seconds, &err);
    clear(&copy);
    *gb = result == BN_OK ? 2e-9 * COPIES * (double)copy.bytes / stats_median(seconds, PASSES) : NAN;
    return result == BN_OK ? 0 : tool_fail_device(PROGRAM, &err, "--no-limits leaves this out");
}
