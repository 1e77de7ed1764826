#include "devices/opencl/command.h"

#include <string.h>

#include "devices/opencl/sources.h"
#include "devices/opencl/trace.h"

enum { MOST_OPERANDS = 16 };

static cl_int set_span(const struct device *device, cl_kernel kernel, uint32_t *at, const struct bn_span *span,
                       const struct bn_span *slot)
{
    // Not every driver takes an operand without memory; what the kernel does not touch may be anything.
    const struct bn_span *used = span->buffer ? span : slot;
    const struct bn_block_buffer *buffer = buffer_of(used->buffer);
    cl_ulong offset = buffer->offset + used->offset;
    cl_int native = device->cl.SetKernelArg(kernel, (*at)++, sizeof(cl_mem), &block_of(buffer)->memory);
    return native == CL_SUCCESS ? device->cl.SetKernelArg(kernel, (*at)++, sizeof(offset), &offset) : native;
}

static enum bn_result record_dispatch(struct device *device, struct command *command,
                                      const struct bn_dispatch *dispatch, const struct bn_span *slot,
                                      struct bn_error *err)
{
    struct run *run = &command->runs[command->n_runs];
    enum bn_result result = bn_opencl_kernel(device, dispatch, &run->kernel, err);
    if (result != BN_OK)
        return result;
    command->n_runs++;
    cl_int native = CL_SUCCESS;
    uint32_t at = 0;
    for (uint32_t i = 0; i < dispatch->n_spans && native == CL_SUCCESS; i++)
        native = set_span(device, run->kernel, &at, &dispatch->spans[i], slot);
    for (uint32_t i = 0; i < dispatch->n_words && native == CL_SUCCESS; i++)
        native = device->cl.SetKernelArg(run->kernel, at++, sizeof(uint32_t), &dispatch->words[i]);
    const uint32_t parameters = bn_opencl_source(dispatch->kernel)->parameters;
    for (uint32_t i = 0; i < BN_MAX_CONSTANTS && native == CL_SUCCESS; i++)
        if (parameters & 1u << i)
            native = device->cl.SetKernelArg(run->kernel, at++, sizeof(uint32_t), &dispatch->constants[i]);
    if (native != CL_SUCCESS)
        return bn_opencl_fail(device, err, native, bn_kernel_infos[dispatch->kernel].name);
    run->local[0] = dispatch->constants[0];
    run->local[1] = 1;
    run->global[0] = (size_t)dispatch->x * dispatch->constants[0];
    run->global[1] = dispatch->y;
    return BN_OK;
}

static void add_transfer(struct command *command, const struct bn_span *span, bool up, bool down, uint64_t row_bytes)
{
    if (!span->buffer || !block_of(buffer_of(span->buffer))->shadow)
        return;
    const struct bn_block_buffer *buffer = buffer_of(span->buffer);
    struct transfer transfer = {block_of(buffer)->memory,
                                (uint8_t *)span->buffer->host + span->offset,
                                buffer->offset + span->offset,
                                span->size,
                                row_bytes,
                                up,
                                down};
    for (uint32_t i = 0; i < command->n_transfers; i++)
        if (command->transfers[i].host == transfer.host && command->transfers[i].bytes == transfer.bytes) {
            command->transfers[i].up |= up;
            command->transfers[i].down |= down;
            command->transfers[i].row_bytes = row_bytes ? command->transfers[i].row_bytes : 0;
            return;
        }
    command->transfers[command->n_transfers++] = transfer;
}

// What an op reads goes up, what it writes goes up too, since it may leave parts of it alone, and down.
static void add_transfers(struct command *command, const struct bn_op *op)
{
    const struct bn_span *const in[] = {&op->in,        &op->in2,         &op->in3,         &op->norm,
                                        &op->norm2,     &op->rope,        &op->w[0].data,   &op->w[1].data,
                                        &op->w[2].data, &op->w[0].scales, &op->w[1].scales, &op->w[2].scales};
    uint64_t row_bytes = (uint64_t)op->w[0].rows * sizeof(float);
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
        add_transfer(command, in[i], true, false, 0);
    add_transfer(command, &op->kv, true, true, 0);
    bool head = op->kind == BN_OP_HEAD, top = op->kind == BN_OP_TOP;
    add_transfer(command, &op->out, !head, true, head ? row_bytes : 0);
    add_transfer(command, &op->out2, !top, true, top ? row_bytes : 0);
}

static enum bn_result record_ops(struct device *device, struct command *command, const struct bn_op *ops,
                                 const struct bn_span *slot, struct bn_error *err)
{
    enum bn_result measured = bn_opencl_stamps_create(device, command, ops, err);
    if (measured != BN_OK)
        return measured;
    const struct bn_span temporary = {command->temporary, 0, command->temporary ? command->temporary->size : 0};
    for (uint32_t i = 0; i < command->n_ops; i++) {
        struct bn_dispatch list[BN_MAX_DISPATCHES];
        uint32_t n = bn_lower(&device->target, &ops[i], i, slot, &temporary, list);
        if (command->stamps)
            command->stamps->ops[i].dispatches = n;
        for (uint32_t d = 0; d < n; d++) {
            enum bn_result result = record_dispatch(device, command, &list[d], slot, err);
            if (result != BN_OK)
                return result;
        }
        if (!device->adapter.features.svm)
            add_transfers(command, &ops[i]);
        command->kinds[i] = (uint8_t)ops[i].kind;
    }
    return BN_OK;
}

static enum bn_result check(const struct device *device, const struct bn_op *op, struct bn_error *err)
{
    const struct bn_span *const written[] = {&op->out, &op->out2, &op->kv};
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
        if (written[i]->buffer && block_of(buffer_of(written[i]->buffer))->imported)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->base.info.id, bn_op_name(op->kind), UINT64_MAX,
                              "this device reads imported memory only");
    return bn_lower_check(&device->target, op, err);
}

static enum bn_result allocate(struct device *device, size_t n_ops, uint64_t temporary, struct command **out,
                               struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    struct command *command = bn_alloc(host, sizeof(*command) + n_ops);
    if (!command)
        return bn_fail_memory(err, sizeof(*command) + n_ops, "a command");
    *out = command;
    command->base.device = &device->base;
    command->n_ops = (uint32_t)n_ops;
    command->runs = bn_alloc_array(host, n_ops * BN_MAX_DISPATCHES, sizeof(*command->runs));
    if (!device->adapter.features.svm)
        command->transfers = bn_alloc_array(host, n_ops * MOST_OPERANDS, sizeof(*command->transfers));
    if (!command->runs || (!command->transfers && !device->adapter.features.svm))
        return bn_fail_memory(err, n_ops * BN_MAX_DISPATCHES * sizeof(*command->runs), "a command");
    return temporary > 0 ? bn_opencl_buffer_create_local(&device->base, temporary, &command->temporary, err) : BN_OK;
}

enum bn_result bn_opencl_record(struct bn_device *base, const struct bn_op *ops, size_t n_ops,
                                const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    struct device *device = device_of(base);
    uint64_t temporary = 0;
    for (size_t i = 0; i < n_ops; i++) {
        enum bn_result result = check(device, &ops[i], err);
        if (result != BN_OK)
            return result;
        uint64_t bytes = bn_lower_temporary(&device->target, &ops[i]);
        temporary = bytes > temporary ? bytes : temporary;
    }
    const struct bn_block_buffer *buffer = buffer_of(slot->buffer);
    if (!slot->buffer->host || block_of(buffer)->imported)
        return bn_fail(err, BN_ERR_ARGUMENT, "the state slot lies in memory that host and device do not share");
    struct command *command = NULL;
    enum bn_result result = allocate(device, n_ops, temporary, &command, err);
    if (result == BN_OK) {
        uint8_t *host = (uint8_t *)slot->buffer->host + slot->offset;
        command->slot = (struct bn_slot *)(void *)host;
        if (block_of(buffer)->shadow)
            command->slot_up = (struct transfer){
                block_of(buffer)->memory, host, buffer->offset + slot->offset, slot->size, 0, true, true};
        pthread_mutex_lock(&device->lock);
        result = record_ops(device, command, ops, slot, err);
        pthread_mutex_unlock(&device->lock);
    }
    if (result != BN_OK) {
        if (command)
            bn_opencl_command_destroy(&command->base);
        return result;
    }
    *out = &command->base;
    return BN_OK;
}

void bn_opencl_command_destroy(struct bn_command *base)
{
    struct command *command = (struct command *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < command->n_runs; i++)
        device->cl.ReleaseKernel(command->runs[i].kernel);
    pthread_mutex_unlock(&device->lock);
    if (command->temporary)
        bn_opencl_buffer_destroy(command->temporary);
    bn_opencl_stamps_destroy(device, command);
    bn_free(device->base.host, command->runs);
    bn_free(device->base.host, command->transfers);
    bn_free(device->base.host, command);
}
