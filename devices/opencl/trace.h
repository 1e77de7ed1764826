// When ops run: events of each kernel of a command, for traces and profiles. Devices that were opened for neither have none of it.
#ifndef BN_DEVICES_OPENCL_TRACE_H
#define BN_DEVICES_OPENCL_TRACE_H

#include "devices/opencl/device.h"

struct command;

// What is measured of a command.
struct bn_opencl_stamps {
    struct bn_measured_op *ops; // [n_ops]
    cl_event *events;           // [n_runs], of the submission that is measured
    bool under_way;             // there is one; those that are made meanwhile are not measured
};

// While a command is recorded, under the device's lock. Nothing is done on a device that does not measure.
enum bn_result bn_opencl_stamps_create(struct device *device, struct command *command, const struct bn_op *ops,
                                       struct bn_error *err);
void bn_opencl_stamps_destroy(struct device *device, struct command *command);

// A submission is done: its times go to the profile and to `spans`, if it has a list. Under the lock.
void bn_opencl_stamps_read(struct device *device, const struct command *command, uint64_t signal, uint64_t submitted_ns,
                           struct bn_spans *spans);

// The events are released; where a submission failed, those that there are.
void bn_opencl_stamps_release(struct device *device, const struct command *command);

#endif
