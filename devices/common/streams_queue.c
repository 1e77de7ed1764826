// Submissions: a stream per queue. Behind each submission the stream writes its number to memory that the host reads, or
// records an event.
#include <inttypes.h>
#include <string.h>

#include "devices/common/flight.h"
#include "devices/common/streams.h"

enum { NON_BLOCKING = 1, NO_TIMING = 2 };

struct flight {
    struct bn_flight base;
    const struct bn_streams_command *command;
    uint32_t number; // of the submission, modulo 2^32
};

struct queue {
    struct bn_queue base;
    void *stream;
    struct bn_buffer *word;     // the number of the last submission that is done; NULL: events
    void *events[BN_IN_FLIGHT]; // entry i is of flight i
    struct flight flights[BN_IN_FLIGHT];
    uint64_t first, end; // flights that are not over; modulo BN_IN_FLIGHT
    uint64_t value;      // the timeline as it was seen last
    uint32_t number;     // of the last submission
};

void bn_streams_queue_close(struct bn_queue *base)
{
    struct queue *queue = (struct queue *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    bn_streams_enter(device);
    if (queue->stream) {
        device->api->stream_wait(queue->stream);
        device->api->stream_destroy(queue->stream);
    }
    for (int i = 0; i < BN_IN_FLIGHT; i++)
        if (queue->events[i])
            device->api->event_destroy(queue->events[i]);
    bn_streams_leave(device);
    if (queue->word)
        bn_streams_buffer_destroy(queue->word);
    bn_free(device->base.host, queue);
}

static int create_sync(struct bn_streams_device *device, struct queue *queue)
{
    int native = device->api->stream_create(&queue->stream, NON_BLOCKING);
    for (int i = 0; i < BN_IN_FLIGHT && !queue->word && native == 0; i++)
        native = device->api->event_create(&queue->events[i], NO_TIMING);
    return native;
}

enum bn_result bn_streams_queue_open(struct bn_device *base, struct bn_queue **out, struct bn_error *err)
{
    struct bn_streams_device *device = bn_streams_of(base);
    struct queue *queue = bn_alloc(base->host, sizeof(*queue));
    if (!queue)
        return bn_fail_memory(err, sizeof(*queue), "a queue");
    queue->base.device = base;
    enum bn_result result = BN_OK;
    if (device->features.write_value)
        result = bn_streams_buffer_create(base, sizeof(uint32_t), &queue->word, err);
    if (result == BN_OK) {
        bn_streams_enter(device);
        int native = create_sync(device, queue);
        bn_streams_leave(device);
        if (native != 0)
            result = bn_streams_fail(device, err, native, "a stream");
    }
    if (result != BN_OK) {
        bn_streams_queue_close(&queue->base);
        return result;
    }
    *out = &queue->base;
    return BN_OK;
}

// 0 if the oldest flight is over, BN_STREAMS_NOT_READY if it is not, else an error.
static int first_is_over(struct bn_streams_device *device, struct queue *queue)
{
    const struct flight *flight = &queue->flights[queue->first % BN_IN_FLIGHT];
    if (!queue->word)
        return device->api->event_query(queue->events[queue->first % BN_IN_FLIGHT]);
    const uint32_t *word = queue->word->host;
    if ((int32_t)(__atomic_load_n(word, __ATOMIC_ACQUIRE) - flight->number) >= 0)
        return 0;
    // A fault shows here only. What is done by now has been written.
    int native = device->api->stream_query(queue->stream);
    return native == 0 ? BN_STREAMS_NOT_READY : native;
}

// Looks at the device: what is over is retired, what shall stop is told so.
static int look(struct bn_streams_device *device, struct queue *queue)
{
    int native = 0;
    for (; queue->first != queue->end && (native = first_is_over(device, queue)) == 0; queue->first++) {
        const struct flight *flight = &queue->flights[queue->first % BN_IN_FLIGHT];
        int told = flight->base.stopped ? bn_streams_told(device, flight->command) : 0;
        if (told != 0)
            return told;
        bn_flight_end(&flight->base);
        queue->value = flight->base.signal;
    }
    if (native != 0 && native != BN_STREAMS_NOT_READY)
        return native;
    for (uint64_t i = queue->first; i != queue->end; i++) {
        struct flight *flight = &queue->flights[i % BN_IN_FLIGHT];
        if (flight->base.stopped || !bn_flight_stops(&flight->base))
            continue;
        bn_flight_stop(&flight->base);
        if ((native = bn_streams_tell(device, flight->command)) != 0)
            return native;
    }
    if (queue->first != queue->end) {
        const struct bn_streams_command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
        atomic_store_explicit(&device->last_op, __atomic_load_n(&command->slot->progress, __ATOMIC_RELAXED),
                              memory_order_relaxed);
    }
    return 0;
}

static enum bn_result fail(struct bn_streams_device *device, struct queue *queue, int native, struct bn_error *err)
{
    enum bn_result result = bn_streams_fail(device, err, native, "the stream");
    if (result != BN_ERR_DEVICE_LOST || queue->first == queue->end)
        return result;
    if (!err) {
        queue->first = queue->end;
        return result;
    }
    // With the op that ran.
    const struct bn_streams_command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
    uint32_t op = __atomic_load_n(&command->slot->progress, __ATOMIC_RELAXED);
    atomic_store(&device->last_op, op);
    struct bn_error cause = *err;
    bn_fail_at(err, result, device->base.info.id, op < command->n_ops ? bn_op_name(command->kinds[op]) : "?",
               UINT64_MAX, "op %" PRIu32 " of the command was the last that started: %.200s", op, cause.message);
    err->native = native;
    queue->first = queue->end; // the commands may be gone from now on
    return result;
}

static int submit(struct bn_streams_device *device, struct queue *queue, const struct flight *flight)
{
    int native = bn_streams_run(device, flight->command, queue->stream);
    if (native != 0)
        return native;
    return queue->word ? device->api->stream_write(
                             queue->stream, bn_streams_address(&(struct bn_span){queue->word, 0, 4}), flight->number, 0)
                       : device->api->event_record(queue->events[queue->end % BN_IN_FLIGHT], queue->stream);
}

enum bn_result bn_streams_submit(struct bn_queue *base, const struct bn_submission *submission, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    const struct bn_streams_command *command = (const struct bn_streams_command *)submission->command;
    bn_streams_enter(device);
    enum bn_result result = BN_OK;
    int native = atomic_load(&device->vendor->process->sticky);
    if (native == 0 && queue->end - queue->first == BN_IN_FLIGHT)
        native = look(device, queue);
    if (native == 0 && queue->end - queue->first == BN_IN_FLIGHT)
        result = bn_fail(err, BN_ERR_BUSY, "the queue holds %d submissions", BN_IN_FLIGHT);
    if (native == 0 && result == BN_OK) {
        struct flight *flight = &queue->flights[queue->end % BN_IN_FLIGHT];
        command->slot->report = command->report;
        *flight = (struct flight){bn_flight_begin(command->slot, submission), command, queue->number + 1};
        native = submit(device, queue, flight);
        queue->number += native == 0;
        queue->end += native == 0;
    }
    if (native != 0)
        result = fail(device, queue, native, err);
    bn_streams_leave(device);
    if (result != BN_OK)
        return result;
    atomic_fetch_add_explicit(&device->submissions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&device->dispatches, command->n_launches, memory_order_relaxed);
    return BN_OK;
}

enum bn_result bn_streams_poll(struct bn_queue *base, uint64_t *value, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct bn_streams_device *device = bn_streams_of(base->device);
    bn_streams_enter(device);
    int native = atomic_load(&device->vendor->process->sticky);
    if (native == 0)
        native = look(device, queue);
    enum bn_result result = native == 0 ? BN_OK : fail(device, queue, native, err);
    *value = queue->value;
    bn_streams_leave(device);
    return result;
}
