#include "devices/opencl/trace.h"

#include "devices/opencl/command.h"

enum bn_result bn_opencl_stamps_create(struct device *device, struct command *command, const struct bn_op *ops,
                                       struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    if (!device->measure.profiles)
        return BN_OK;
    struct bn_opencl_stamps *stamps = bn_alloc(host, sizeof(*stamps));
    command->stamps = stamps;
    if (!stamps)
        return bn_fail_memory(err, sizeof(*stamps), "times of kernels");
    enum bn_result result = bn_measure_ops(&device->measure, host, ops, command->n_ops, &stamps->ops, err);
    if (result != BN_OK)
        return result;
    stamps->events = bn_alloc_array(host, (size_t)command->n_ops * BN_MAX_DISPATCHES, sizeof(cl_event));
    return stamps->events ? BN_OK : bn_fail_memory(err, command->n_ops * sizeof(cl_event), "times of kernels");
}

void bn_opencl_stamps_destroy(struct device *device, struct command *command)
{
    const struct bn_host *host = device->base.host;
    if (!command->stamps)
        return;
    if (command->stamps->events) // of a device that was lost
        bn_opencl_stamps_release(device, command);
    bn_free(host, command->stamps->ops);
    bn_free(host, command->stamps->events);
    bn_free(host, command->stamps);
}

void bn_opencl_stamps_release(struct device *device, const struct command *command)
{
    for (uint32_t i = 0; i < command->n_runs; i++) {
        if (command->stamps->events[i])
            device->cl.ReleaseEvent(command->stamps->events[i]);
        command->stamps->events[i] = NULL;
    }
    command->stamps->under_way = false;
}

static cl_ulong time_of(const struct device *device, cl_event event, cl_profiling_info what)
{
    cl_ulong ns = 0;
    return device->cl.GetEventProfilingInfo(event, what, sizeof(ns), &ns, NULL) == CL_SUCCESS ? ns : 0;
}

void bn_opencl_stamps_read(struct device *device, const struct command *command, uint64_t signal, uint64_t submitted_ns,
                           struct bn_spans *spans)
{
    const struct bn_opencl_stamps *stamps = command->stamps;
    uint64_t first = command->n_runs ? time_of(device, stamps->events[0], CL_PROFILING_COMMAND_START) : 0, last = first;
    if (first == 0) // a driver that does not tell
        return;
    uint64_t end = time_of(device, stamps->events[command->n_runs - 1], CL_PROFILING_COMMAND_END);
    uint64_t units = device->base.info.threads ? device->base.info.threads : 1; // a kernel has all of them
    uint64_t offset = (uint64_t)bn_measure_align(&device->measure, first, end > first ? end : first, submitted_ns);
    for (uint32_t i = 0, run = 0; i < command->n_ops; i++) {
        uint64_t start = last, work = 0;
        for (uint32_t d = 0; d < stamps->ops[i].dispatches; d++, run++) {
            uint64_t from = time_of(device, stamps->events[run], CL_PROFILING_COMMAND_START);
            uint64_t to = time_of(device, stamps->events[run], CL_PROFILING_COMMAND_END);
            start = d == 0 && from > last ? from : start;
            last = to > last ? to : last;
            work += to > from ? to - from : 0;
        }
        bn_measure_add(&stamps->ops[i], spans, signal, start + offset, last + offset, work * units);
    }
}
