// The front doors to drivers: arguments are checked here once, optional slots get their default here. Everything above
// this folder talks to devices through these functions only.
#ifndef BN_DEVICE_DEVICE_H
#define BN_DEVICE_DEVICE_H

#include <bitnet/driver.h>

void bn_device_caps(struct bn_device *device, struct bn_caps *caps);
void bn_device_get_status(struct bn_device *device, struct bn_device_status *status);
bool bn_device_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout);

// The layout in which weights stored as `stored` should be given to the device. Errors: BN_ERR_UNSUPPORTED.
enum bn_result bn_device_preferred_layout(struct bn_device *device, enum bn_op_kind kind, enum bn_layout stored,
                                          enum bn_layout *out, struct bn_error *err);

enum bn_result bn_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out, struct bn_error *err);

// BN_ERR_UNSUPPORTED if the device cannot read this memory in place; the caller then copies.
enum bn_result bn_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                struct bn_error *err);
void bn_buffer_destroy(struct bn_buffer *buffer);

// Checks every op (runtime/graph/op_check.h) before the driver sees it.
enum bn_result bn_command_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err);
void bn_command_destroy(struct bn_command *command);

enum bn_result bn_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err);
void bn_queue_close(struct bn_queue *queue);
enum bn_result bn_queue_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err);
enum bn_result bn_queue_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err);

// Waits until the timeline reaches `value`, all of which has been submitted: drives the queue if the device works on
// the caller's thread, else looks, spins and sleeps. `deadline` in bn_clock_ns, UINT64_MAX: none; a device that is driven
// looks at the deadline between submissions only. *sleeps counts the sleeps. Errors: BN_ERR_TIMEOUT and what the driver says.
enum bn_result bn_queue_wait(struct bn_queue *queue, uint64_t value, uint64_t deadline, uint64_t *sleeps,
                             struct bn_error *err);

#endif
