// Submissions: an in-order queue of the driver, and an event behind each.
#include <inttypes.h>

#include "devices/common/flight.h"
#include "devices/opencl/command.h"
#include "devices/opencl/trace.h"
#include "runtime/base/clock.h"

struct flight {
    struct bn_flight base;
    const struct command *command;
    cl_event done;
    uint64_t submitted_ns; // clock; 0 if it is not measured
};

struct queue {
    struct bn_queue base;
    cl_command_queue handle;
    struct flight flights[BN_IN_FLIGHT];
    uint64_t first, end; // flights that are not over; modulo BN_IN_FLIGHT
    uint64_t value;      // the timeline as it was seen last
    struct bn_spans spans;
};

// Its events are no longer needed.
static void release(struct device *device, struct flight *flight)
{
    device->cl.ReleaseEvent(flight->done);
    flight->done = NULL;
}

void bn_opencl_queue_close(struct bn_queue *base)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    if (queue->handle) {
        // Of a lost device, too: kernels that still run would write into memory that is given back next.
        device->cl.Finish(queue->handle);
        for (; queue->first != queue->end; queue->first++)
            release(device, &queue->flights[queue->first % BN_IN_FLIGHT]);
        device->cl.ReleaseCommandQueue(queue->handle);
    }
    pthread_mutex_unlock(&device->lock);
    bn_spans_finish(&queue->spans, device->base.host);
    bn_free(device->base.host, queue);
}

enum bn_result bn_opencl_queue_open(struct bn_device *base, struct bn_queue **out, struct bn_error *err)
{
    struct device *device = device_of(base);
    struct queue *queue = bn_alloc(base->host, sizeof(*queue));
    if (!queue)
        return bn_fail_memory(err, sizeof(*queue), "a queue");
    queue->base.device = base;
    if (device->measure.traced && bn_spans_init(&queue->spans, base->host, err) != BN_OK) {
        bn_free(base->host, queue);
        return BN_ERR_NO_MEMORY;
    }
    cl_int native;
    queue->handle = device->cl.CreateCommandQueue(device->context, bn_opencl_id(device),
                                                  device->measure.profiles ? CL_QUEUE_PROFILING_ENABLE : 0, &native);
    if (native != CL_SUCCESS) {
        bn_spans_finish(&queue->spans, base->host);
        bn_free(base->host, queue);
        return bn_opencl_fail(device, err, native, "clCreateCommandQueue");
    }
    *out = &queue->base;
    return BN_OK;
}

// The word is written past the queue, while kernels read it, where the device has a copy of the slot.
static void stop_running(struct device *device, struct flight *flight)
{
    static const cl_uint one = 1;
    const struct transfer *slot = &flight->command->slot_up;
    bn_flight_stop(&flight->base);
    if (slot->memory && device->cl.EnqueueWriteBuffer(device->transfers, slot->memory, CL_FALSE,
                                                      (size_t)slot->offset + offsetof(struct bn_slot, skip),
                                                      sizeof(one), &one, 0, NULL, NULL) == CL_SUCCESS)
        device->cl.Flush(device->transfers);
}

static void retire(struct device *device, struct queue *queue, struct flight *flight)
{
    if (flight->submitted_ns) {
        bn_opencl_stamps_read(device, flight->command, flight->base.signal, flight->submitted_ns, &queue->spans);
        bn_opencl_stamps_release(device, flight->command);
    }
    release(device, flight);
    bn_flight_end(&flight->base);
}

// Looks at the device: what is over is retired, what shall stop is told so.
static cl_int look(struct device *device, struct queue *queue)
{
    for (; queue->first != queue->end; queue->first++) {
        struct flight *flight = &queue->flights[queue->first % BN_IN_FLIGHT];
        cl_int status = CL_QUEUED;
        cl_int native =
            device->cl.GetEventInfo(flight->done, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, NULL);
        if (native != CL_SUCCESS)
            return native;
        if (status < 0)
            return status;
        if (status != CL_COMPLETE)
            break;
        retire(device, queue, flight);
        queue->value = flight->base.signal;
    }
    for (uint64_t i = queue->first; i != queue->end; i++) {
        struct flight *flight = &queue->flights[i % BN_IN_FLIGHT];
        if (!flight->base.stopped && bn_flight_stops(&flight->base))
            stop_running(device, flight);
    }
    if (queue->first != queue->end) {
        const struct command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
        atomic_store_explicit(&device->last_op, __atomic_load_n(&command->slot->progress, __ATOMIC_RELAXED),
                              memory_order_relaxed);
    }
    return CL_SUCCESS;
}

// A lost device, with the op that ran. What an event reports is the end of the device, whatever its number. Only who finds out
// looks at the commands: once it is known, their owners may have destroyed them.
static enum bn_result lost(struct device *device, struct queue *queue, cl_int native, struct bn_error *err)
{
    uint32_t op = atomic_load(&device->last_op);
    if (!atomic_exchange(&device->lost, 1) && queue->first != queue->end) {
        const struct command *command = queue->flights[queue->first % BN_IN_FLIGHT].command;
        device->lost_in = op < command->n_ops ? bn_op_name((enum bn_op_kind)command->kinds[op]) : NULL;
    }
    for (; queue->first != queue->end; queue->first++)
        release(device, &queue->flights[queue->first % BN_IN_FLIGHT]);
    bn_fail_at(err, BN_ERR_DEVICE_LOST, device->base.info.id, device->lost_in ? device->lost_in : "?", UINT64_MAX,
               "the device is lost (OpenCL error %d); op %" PRIu32 " of the command was the last that is known to have "
               "started",
               native, op);
    if (err)
        err->native = native;
    return BN_ERR_DEVICE_LOST;
}

// The part of a transfer that this run of the command moves.
static uint64_t clip(const struct transfer *transfer, const struct bn_slot *slot, uint64_t *skip)
{
    *skip = 0;
    if (!transfer->row_bytes)
        return transfer->bytes;
    *skip = slot->first_output * transfer->row_bytes;
    uint64_t bytes = slot->n_outputs * transfer->row_bytes;
    if (*skip >= transfer->bytes)
        return 0;
    return bytes < transfer->bytes - *skip ? bytes : transfer->bytes - *skip;
}

static cl_int upload(struct device *device, struct queue *queue, const struct command *command)
{
    const struct transfer *slot = &command->slot_up;
    if (!slot->memory)
        return CL_SUCCESS;
    cl_int native = device->cl.EnqueueWriteBuffer(queue->handle, slot->memory, CL_FALSE, (size_t)slot->offset,
                                                  (size_t)slot->bytes, slot->host, 0, NULL, NULL);
    for (uint32_t i = 0; i < command->n_transfers && native == CL_SUCCESS; i++) {
        const struct transfer *transfer = &command->transfers[i];
        if (transfer->up)
            native = device->cl.EnqueueWriteBuffer(queue->handle, transfer->memory, CL_FALSE, (size_t)transfer->offset,
                                                   (size_t)transfer->bytes, transfer->host, 0, NULL, NULL);
    }
    return native;
}

static cl_int download(struct device *device, struct queue *queue, const struct command *command, cl_event *done)
{
    const struct transfer *slot = &command->slot_up;
    cl_int native = CL_SUCCESS;
    for (uint32_t i = 0; i < command->n_transfers && native == CL_SUCCESS; i++) {
        const struct transfer *transfer = &command->transfers[i];
        uint64_t skip, bytes = clip(transfer, command->slot, &skip);
        if (transfer->down && bytes > 0)
            native = device->cl.EnqueueReadBuffer(queue->handle, transfer->memory, CL_FALSE,
                                                  (size_t)(transfer->offset + skip), (size_t)bytes,
                                                  transfer->host + skip, 0, NULL, NULL);
    }
    return native == CL_SUCCESS
               ? device->cl.EnqueueReadBuffer(queue->handle, slot->memory, CL_FALSE, (size_t)slot->offset,
                                              sizeof(struct bn_slot), slot->host, 0, NULL, done)
               : native;
}

// `events`: of each kernel, or NULL.
static cl_int submit(struct device *device, struct queue *queue, const struct command *command, cl_event *events,
                     cl_event *done)
{
    bool moves = command->slot_up.memory != NULL;
    cl_int native = upload(device, queue, command);
    for (uint32_t i = 0; i < command->n_runs && native == CL_SUCCESS; i++) {
        const struct run *run = &command->runs[i];
        native = device->cl.EnqueueNDRangeKernel(queue->handle, run->kernel, 2, NULL, run->global, run->local, 0, NULL,
                                                 events                               ? &events[i]
                                                 : i + 1 == command->n_runs && !moves ? done
                                                                                      : NULL);
    }
    if (native == CL_SUCCESS && events && !moves) {
        *done = events[command->n_runs - 1];
        native = device->cl.RetainEvent(*done);
    }
    if (native == CL_SUCCESS && moves)
        native = download(device, queue, command, done);
    return native == CL_SUCCESS ? device->cl.Flush(queue->handle) : native;
}

enum bn_result bn_opencl_submit(struct bn_queue *base, const struct bn_submission *submission, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    const struct command *command = (const struct command *)submission->command;
    pthread_mutex_lock(&device->lock);
    enum bn_result result = BN_OK;
    cl_int native = atomic_load(&device->lost) ? CL_DEVICE_NOT_AVAILABLE : CL_SUCCESS;
    if (native == CL_SUCCESS && queue->end - queue->first == BN_IN_FLIGHT)
        native = look(device, queue);
    if (native == CL_SUCCESS && queue->end - queue->first == BN_IN_FLIGHT)
        result = bn_fail(err, BN_ERR_BUSY, "the queue holds %d submissions", BN_IN_FLIGHT);
    if (native == CL_SUCCESS && result == BN_OK) {
        struct flight *flight = &queue->flights[queue->end % BN_IN_FLIGHT];
        bool measured = command->stamps && !command->stamps->under_way;
        *flight =
            (struct flight){bn_flight_begin(command->slot, submission), command, NULL, measured ? bn_clock_ns() : 0};
        if (measured)
            command->stamps->under_way = true;
        native = submit(device, queue, command, measured ? command->stamps->events : NULL, &flight->done);
        if (native != CL_SUCCESS && measured)
            bn_opencl_stamps_release(device, command);
        queue->end += native == CL_SUCCESS;
    }
    // Half of a submission may be under way, and nothing tells when it ends: the device is of no more use.
    if (native != CL_SUCCESS)
        result = lost(device, queue, native, err);
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK)
        return result;
    atomic_fetch_add_explicit(&device->submissions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&device->dispatches, command->n_runs, memory_order_relaxed);
    return BN_OK;
}

enum bn_result bn_opencl_poll(struct bn_queue *base, uint64_t *value, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    enum bn_result result = BN_OK;
    pthread_mutex_lock(&device->lock);
    cl_int native = atomic_load(&device->lost) ? CL_DEVICE_NOT_AVAILABLE : look(device, queue);
    if (native != CL_SUCCESS)
        result = lost(device, queue, native, err);
    *value = queue->value;
    pthread_mutex_unlock(&device->lock);
    return result;
}

enum bn_result bn_opencl_take_spans(struct bn_queue *base, struct bn_op_span *list, size_t capacity, size_t *count,
                                    struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    struct device *device = device_of(base->device);
    pthread_mutex_lock(&device->lock);
    enum bn_result result = bn_measure_take(&queue->spans, base->device, list, capacity, count, err);
    pthread_mutex_unlock(&device->lock);
    return result;
}
