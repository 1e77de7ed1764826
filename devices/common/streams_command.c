// Commands: launches, and as one graph where the library has graphs.
#include <string.h>

#include "devices/common/ahead.h"
#include "devices/common/streams.h"

enum { CAPTURE_RELAXED = 2 }; // what other threads do meanwhile is no concern of the capture

static int launch(struct bn_streams_device *device, const struct bn_streams_launch *launch, void *stream)
{
    void *parameters[BN_MAX_SPANS + BN_MAX_WORDS + BN_MAX_CONSTANTS];
    uint32_t n = 0;
    // The library copies them. It wants pointers that it could write to.
    struct bn_streams_launch own = *launch;
    for (uint32_t i = 0; i < own.n_spans; i++)
        parameters[n++] = &own.addresses[i];
    for (uint32_t i = 0; i < own.n_words; i++)
        parameters[n++] = &own.words[i];
    return device->api->launch(own.function, own.x, own.y, 1, own.threads, 1, 1, 0, stream, parameters, NULL);
}

static uint64_t mirror_at(const struct bn_streams_command *command, uint64_t offset)
{
    return bn_streams_address(&(struct bn_span){command->mirror, offset, 0});
}

static int launch_all(struct bn_streams_device *device, const struct bn_streams_command *command, void *stream)
{
    int native = 0;
    if (command->mirror)
        native = device->api->copy_in(mirror_at(command, 0), command->slot, command->mirrored, stream);
    for (uint32_t i = 0; i < command->n_launches && native == 0; i++)
        native = launch(device, &command->launches[i], stream);
    return native;
}

int bn_streams_run(struct bn_streams_device *device, const struct bn_streams_command *command, void *stream)
{
    return command->exec ? device->api->graph_launch(command->exec, stream) : launch_all(device, command, stream);
}

int bn_streams_tell(struct bn_streams_device *device, const struct bn_streams_command *command)
{
    uint32_t *skip = &command->slot->skip;
    return command->mirror ? device->api->copy_in(mirror_at(command, offsetof(struct bn_slot, skip)), skip,
                                                  sizeof(*skip), device->transfer)
                           : 0;
}

// Else a word could arrive when the command already runs again. What is copied is what the slot says by then, though.
int bn_streams_told(struct bn_streams_device *device, const struct bn_streams_command *command)
{
    return command->mirror ? device->api->stream_wait(device->transfer) : 0;
}

static enum bn_result prepare(struct bn_streams_device *device, const struct bn_dispatch *dispatch,
                              struct bn_streams_launch *launch, struct bn_error *err)
{
    char name[BN_AHEAD_NAME];
    uint32_t shape[BN_MAX_CONSTANTS], n_shape = bn_ahead_variant(dispatch, device->matrices, name, shape);
    enum bn_result result = bn_streams_function(device, name, &launch->function, err);
    if (result != BN_OK)
        return result;
    launch->x = dispatch->x;
    launch->y = dispatch->y;
    launch->threads = dispatch->constants[0];
    launch->n_spans = dispatch->n_spans;
    for (uint32_t i = 0; i < dispatch->n_spans; i++)
        launch->addresses[i] = bn_streams_address(&dispatch->spans[i]);
    memcpy(launch->words, dispatch->words, dispatch->n_words * sizeof(uint32_t));
    memcpy(launch->words + dispatch->n_words, shape, n_shape * sizeof(uint32_t));
    launch->n_words = dispatch->n_words + n_shape;
    return BN_OK;
}

// The launches as a graph. A library that does not make one of them is asked for launches.
static void capture(struct bn_streams_device *device, struct bn_streams_command *command)
{
    const struct bn_streams_api *api = device->api;
    void *graph = NULL;
    if (api->capture_begin(device->transfer, CAPTURE_RELAXED) != 0)
        return;
    int native = launch_all(device, command, device->transfer);
    int ended = api->capture_end(device->transfer, &graph); // ends it in any case
    if (native == 0 && ended == 0 && graph && api->graph_instantiate(&command->exec, graph, 0) != 0)
        command->exec = NULL;
    if (graph)
        api->graph_destroy(graph);
    if (!command->exec)
        bn_log(device->base.host, BN_LOG_INFO, "%s: a command is run as launches: no graph of it could be made",
               device->vendor->driver->name);
}

static enum bn_result record_ops(struct bn_streams_device *device, struct bn_streams_command *command,
                                 const struct bn_op *ops, const struct bn_span *slot, struct bn_error *err)
{
    const struct bn_span temporary = {command->temporary, 0, command->temporary ? command->temporary->size : 0};
    for (uint32_t i = 0; i < command->n_ops; i++) {
        struct bn_dispatch list[BN_MAX_DISPATCHES];
        uint32_t n = bn_lower(&device->target, &ops[i], i, slot, &temporary, list);
        for (uint32_t d = 0; d < n; d++) {
            enum bn_result result = prepare(device, &list[d], &command->launches[command->n_launches], err);
            if (result != BN_OK)
                return result;
            command->n_launches++;
        }
        command->kinds[i] = (uint8_t)ops[i].kind;
    }
    if (device->features.graphs)
        capture(device, command);
    return BN_OK;
}

// The copy of the slot, which ends with the address of the one that the host reads.
static enum bn_result create_mirror(struct bn_streams_device *device, struct bn_streams_command *command,
                                    const struct bn_span *slot, struct bn_error *err)
{
    uint64_t address = bn_streams_address(slot), at = (slot->size + 7) / 8 * 8;
    enum bn_result result = bn_streams_buffer_create_local(&device->base, at + sizeof(address), &command->mirror, err);
    command->mirrored = slot->size;
    command->report = (uint32_t)(at / sizeof(uint32_t));
    return result == BN_OK ? bn_streams_buffer_write(command->mirror, at, &address, sizeof(address), err) : result;
}

static enum bn_result check_ops(struct bn_streams_device *device, const struct bn_op *ops, size_t n_ops,
                                uint64_t *temporary, struct bn_error *err)
{
    for (size_t i = 0; i < n_ops; i++) {
        enum bn_result result = bn_lower_check(&device->target, &ops[i], err);
        if (result == BN_OK)
            result = bn_ahead_check(&device->target, &ops[i], err);
        if (result != BN_OK)
            return result;
        uint64_t bytes = bn_lower_temporary(&device->target, &ops[i]);
        *temporary = bytes > *temporary ? bytes : *temporary;
    }
    return BN_OK;
}

enum bn_result bn_streams_record(struct bn_device *base, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    struct bn_streams_device *device = bn_streams_of(base);
    uint64_t temporary = 0;
    enum bn_result result = check_ops(device, ops, n_ops, &temporary, err);
    if (result != BN_OK)
        return result;
    if (!slot->buffer->host)
        return bn_fail(err, BN_ERR_ARGUMENT, "the state slot lies in memory that the host does not reach");
    struct bn_streams_command *command = bn_alloc(base->host, sizeof(*command) + n_ops);
    if (!command)
        return bn_fail_memory(err, sizeof(*command) + n_ops, "a command");
    command->base.device = base;
    command->slot = (struct bn_slot *)(void *)((uint8_t *)slot->buffer->host + slot->offset);
    command->n_ops = (uint32_t)n_ops;
    command->launches = bn_alloc_array(base->host, n_ops * BN_MAX_DISPATCHES, sizeof(*command->launches));
    if (!command->launches)
        result =
            bn_fail_memory(err, n_ops * BN_MAX_DISPATCHES * sizeof(*command->launches), "the launches of a command");
    if (result == BN_OK && temporary > 0)
        result = bn_streams_buffer_create_local(base, temporary, &command->temporary, err);
    if (result == BN_OK && device->features.mirror)
        result = create_mirror(device, command, slot, err);
    if (result == BN_OK) {
        const struct bn_span mirror = {command->mirror, 0, command->mirrored};
        bn_streams_enter(device);
        result = record_ops(device, command, ops, command->mirror ? &mirror : slot, err);
        bn_streams_leave(device);
    }
    if (result != BN_OK) {
        bn_streams_command_destroy(&command->base);
        return result;
    }
    *out = &command->base;
    return BN_OK;
}

void bn_streams_command_destroy(struct bn_command *base)
{
    struct bn_streams_command *command = (struct bn_streams_command *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    bn_streams_enter(device);
    if (command->exec)
        device->api->exec_destroy(command->exec);
    bn_streams_leave(device);
    if (command->temporary)
        bn_streams_buffer_destroy(command->temporary);
    if (command->mirror)
        bn_streams_buffer_destroy(command->mirror);
    bn_free(device->base.host, command->launches);
    bn_free(device->base.host, command);
}
