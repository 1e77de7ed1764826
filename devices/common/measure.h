// How long the ops of commands take, for drivers whose devices tell: a profile by shape, and spans for traces. Devices that were
// opened for neither measure nothing. Under the lock of the driver.
#ifndef BN_DEVICES_MEASURE_H
#define BN_DEVICES_MEASURE_H

#include "devices/common/spans.h"

enum { BN_MAX_PROFILES = 64 };

// Of a device.
struct bn_measure {
    struct bn_op_profile *profiles; // [BN_MAX_PROFILES]; NULL: nothing is measured
    size_t n_profiles;
    bool traced;    // queues keep spans
    int64_t offset; // from the device's clock to ours, ns
    bool aligned;   // once it is known
};

// An op of a recorded command.
struct bn_measured_op {
    struct bn_op_span span;        // without times
    struct bn_op_profile *profile; // where its time is added; NULL: nowhere
    uint32_t dispatches;           // the driver's to fill in
};

// By what the device is opened for.
enum bn_result bn_measure_init(struct bn_measure *measure, const struct bn_host *host,
                               const struct bn_device_options *options, struct bn_error *err);
void bn_measure_finish(struct bn_measure *measure, const struct bn_host *host);

// The ops of a command. Ownership: the caller frees *out.
enum bn_result bn_measure_ops(struct bn_measure *measure, const struct bn_host *host, const struct bn_op *ops,
                              uint32_t n, struct bn_measured_op **out, struct bn_error *err);

// A submission began at `first` and ended at `last` by the device's clock; what is added to such times gives ours. It is called once
// the end was seen.
int64_t bn_measure_align(struct bn_measure *measure, uint64_t first, uint64_t last, uint64_t submitted_ns);

// A run of an op, by our clock, in which its kernels worked for work_ns: it goes to the profile, and to `spans`, if they are kept.
void bn_measure_add(const struct bn_measured_op *op, struct bn_spans *spans, uint64_t signal, uint64_t start_ns,
                    uint64_t end_ns, uint64_t work_ns);

// struct bn_driver, profile and take_spans.
enum bn_result bn_measure_profile(const struct bn_measure *measure, const struct bn_device *device,
                                  struct bn_op_profile *list, size_t capacity, size_t *count, struct bn_error *err);
enum bn_result bn_measure_take(struct bn_spans *spans, const struct bn_device *device, struct bn_op_span *list,
                               size_t capacity, size_t *count, struct bn_error *err);

#endif
