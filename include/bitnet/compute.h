// The low level: run ops on a device without any model. A program allocates or imports buffers, records ops into a
// command, submits it to a queue and waits for the queue's timeline. examples/matmul.c is a whole one.
//
// What stays the same from run to run (shapes, buffers, weights) is recorded; what changes (rows, tokens, positions,
// pages) lies in a state slot, struct bn_slot, that the command reads each time it runs.
#ifndef BITNET_COMPUTE_H
#define BITNET_COMPUTE_H

#include <bitnet/op.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a device can take.
struct bn_caps {
    uint64_t max_buffer;    // largest buffer, bytes
    uint64_t import_align;  // alignment of imported host memory, bytes; 0: import is not possible
    bool host_memory;       // local buffers can be reached by the host, without copies
    uint32_t ring_capacity; // submissions in flight at most; 0: no limit
    uint32_t op_options;    // enum bn_op_option: what ops may ask for
};

// Threads: any.
BN_API void bn_device_get_caps(struct bn_device *device, struct bn_caps *caps);

// Figures of a device since it was opened.
struct bn_device_status {
    uint64_t submissions; // accepted by its queues
    uint64_t sleeps;      // times a thread of the driver went to sleep in the kernel (futex and the like)
    uint64_t wakes;       // times one was woken by a system call
    uint32_t last_op;     // op index last started, for the report of a lost device
    uint64_t dispatches;  // kernels started by these submissions; 0: the driver does not count them
};

// Threads: any; figures of running work may be of different moments.
BN_API void bn_device_get_status(struct bn_device *device, struct bn_device_status *status);

// Where the time goes on a device that was opened with options.profile: one entry for each kind of op and shape, in the
// order in which they were first recorded.
struct bn_op_profile {
    enum bn_op_kind kind;
    uint32_t rows, cols; // of its weights, all matrices together; rows is 0 if it has none
    uint64_t runs;
    uint64_t barriers; // times that the device's threads met
    uint64_t ns;       // from its start to its end, all runs together
    uint64_t alone_ns; // of ns: one thread worked, the others had no part in it
    uint64_t work_ns;  // the time in which threads worked, summed over the threads
};

// "matmul"; "?" outside the enum. Ownership: static. Threads: any.
BN_API const char *bn_op_name(enum bn_op_kind kind);

// Writes at most `capacity` entries to `list`, and always the full number to *count. Figures since the device was
// opened, of the first 64 shapes. Threads: any; waits for running work.
// Errors: BN_ERR_UNSUPPORTED (the device was opened without options.profile, or its driver does not measure),
//   BN_ERR_ARGUMENT.
BN_API BN_MUST_CHECK enum bn_result bn_device_get_profile(struct bn_device *device, struct bn_op_profile *list,
                                                          size_t capacity, size_t *count, struct bn_error *err);

// Whether the device runs this kind of op with weights in this layout; BN_LAYOUT_COUNT for an op without weights.
// Threads: any.
BN_API bool bn_device_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout);

// The layout in which weights stored as `stored` should be given to the device.
// Threads: any. Errors: BN_ERR_UNSUPPORTED (the device runs the op with no layout that keeps the values exactly),
//   BN_ERR_ARGUMENT.
BN_API BN_MUST_CHECK enum bn_result bn_device_preferred_layout(struct bn_device *device, enum bn_op_kind kind,
                                                               enum bn_layout stored, enum bn_layout *out,
                                                               struct bn_error *err);

// Zeroed memory of the device, `size` > 0 bytes.
// Ownership: the caller destroys *out. Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY, BN_ERR_DEVICE_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                                     struct bn_error *err);

// The same for memory that the host need not reach: where device and host have memories of their own, (*out)->host is NULL.
// Ownership: the caller destroys *out. Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY, BN_ERR_DEVICE_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_buffer_create_local(struct bn_device *device, uint64_t size,
                                                           struct bn_buffer **out, struct bn_error *err);

// Copies `size` bytes from host memory to byte `offset` of any buffer. Not while a submission uses these bytes.
// Threads: any. Errors: BN_ERR_ARGUMENT (a buffer that was destroyed, bytes outside it, an offset or a size that is no
//   multiple of 4), BN_ERR_DEVICE_LOST.
BN_API BN_MUST_CHECK enum bn_result bn_buffer_write(struct bn_device *device, struct bn_buffer *buffer, uint64_t offset,
                                                    const void *data, uint64_t size, struct bn_error *err);

// Host memory as a buffer, without a copy; it must outlive the buffer and every command that uses it.
// Ownership: the caller destroys *out, and keeps the memory. Threads: any.
// Errors: BN_ERR_UNSUPPORTED (the device cannot read this memory in place: copy it instead), BN_ERR_ARGUMENT,
//   BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_buffer_import(struct bn_device *device, void *memory, uint64_t size,
                                                     struct bn_buffer **out, struct bn_error *err);

// The handle is gone at once: recording with it fails. The memory goes with the last command that uses it.
// Threads: any.
BN_API void bn_buffer_destroy(struct bn_buffer *buffer);

// Bytes of a matrix in a layout, without scales; 0 if the layout cannot hold the shape or the product overflows.
// Threads: any.
BN_API uint64_t bn_layout_bytes(enum bn_layout layout, uint64_t rows, uint64_t cols);

// Scales that a row of such a matrix has apart from its data (struct bn_weight); 0 for layouts without.
// Threads: any.
BN_API uint64_t bn_layout_scales(enum bn_layout layout, uint64_t cols);

// "i2_s 128/32"; NULL outside the enum. Ownership: static. Threads: any.
BN_API const char *bn_layout_name(enum bn_layout layout);

// Writes trits (-1, 0, +1; int8 [rows][cols]) in a ternary layout; `data` holds bn_layout_bytes bytes. Scales that the
// layout keeps within its data are set to 1.
// Threads: any. Errors: BN_ERR_ARGUMENT (not a ternary layout, a shape it cannot hold, a value that is no trit).
BN_API BN_MUST_CHECK enum bn_result bn_layout_pack(enum bn_layout layout, const int8_t *trits, uint64_t rows,
                                                   uint64_t cols, void *data, struct bn_error *err);

// Bytes of a slot with its arrays. Threads: any.
BN_API uint64_t bn_slot_bytes(const struct bn_slot_limits *limits);

// Writes the slot's header: offsets of the arrays, everything else 0. `slot` has bn_slot_bytes bytes, aligned to 64.
// Threads: one at a time.
BN_API void bn_slot_init(struct bn_slot *slot, const struct bn_slot_limits *limits);

// Ops that were recorded, to be run any number of times.
struct bn_command;

// Records ops, to be run in this order on every submission; each sees what those before it wrote. `slot`: a span of
// bn_slot_bytes bytes, its offset a multiple of 64. The ops are copied; their buffers are kept until the command is gone.
// Ownership: the caller destroys *out. Threads: any.
// Errors: BN_ERR_ARGUMENT (an operand that is missing, too small, outside its buffer, destroyed, or of another device;
//   shapes that do not fit; the subject names op and operand), BN_ERR_UNSUPPORTED, BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_command_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                                      const struct bn_span *slot, struct bn_command **out,
                                                      struct bn_error *err);

// Not while a submission of it runs. Threads: any.
BN_API void bn_command_destroy(struct bn_command *command);

// A queue has a timeline: a number that starts at 0 and only grows. Each submission names the value that the timeline
// takes when it and all before it are done.
struct bn_queue;

// Ownership: the caller closes *out. Threads: any. Errors: BN_ERR_NO_MEMORY, and what the driver says.
BN_API BN_MUST_CHECK enum bn_result bn_queue_open(struct bn_device *device, struct bn_queue **out,
                                                  struct bn_error *err);

// Every submission must be done, or the device lost. Threads: one at a time.
BN_API void bn_queue_close(struct bn_queue *queue);

// One run of a command.
struct bn_submission {
    struct bn_command *command; // of the queue's device; kept until `signal` is reached
    uint64_t signal;            // timeline value when done; larger than that of every earlier submission
    const uint32_t *stop; // NULL, or: when *stop == stop_at (relaxed atomic load between ops), the rest of the command
    uint32_t stop_at;     //   is skipped, slot.status is BN_SLOT_STOPPED, and the timeline advances as usual
};

// Never blocks. From now until its timeline value the slot belongs to the device.
// Threads: one at a time. Errors: BN_ERR_BUSY (the queue is full: wait for an earlier value), BN_ERR_ARGUMENT (a command
//   of another device, a signal that does not grow), BN_ERR_DEVICE_LOST.
BN_API BN_MUST_CHECK enum bn_result bn_queue_submit(struct bn_queue *queue, const struct bn_submission *submission,
                                                    struct bn_error *err);

// The timeline now. Threads: any. Errors: BN_ERR_DEVICE_LOST.
BN_API BN_MUST_CHECK enum bn_result bn_queue_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err);

// When an op, or a part of it, ran on a queue. Times are those of CLOCK_MONOTONIC, ns; those of a device with a clock of its own
// are right to some microseconds, never before the submission and never after its end was seen.
struct bn_op_span {
    uint64_t signal;   // of the submission
    uint64_t start_ns; // when it began
    uint64_t end_ns;   // when it was done
    uint32_t op;       // index in the command; several spans in a row if it has parts
    enum bn_op_kind kind;
    uint32_t rows, cols; // of its weights, all matrices together; rows is 0 if it has none
};

// Moves out the oldest spans of submissions that are done, in the order in which they ran, at most `capacity`; *count: how
// many. A queue keeps 16384 of them; older ones are gone. A command must not run twice at the same time then.
// Threads: one at a time. Errors: BN_ERR_UNSUPPORTED (the device was opened without options.trace, or its driver does not
//   measure), BN_ERR_ARGUMENT.
BN_API BN_MUST_CHECK enum bn_result bn_queue_take_spans(struct bn_queue *queue, struct bn_op_span *list,
                                                        size_t capacity, size_t *count, struct bn_error *err);

// Waits until the timeline reaches `value`, and does the work if the device works on the caller's thread.
// `timeout_ns`: UINT64_MAX for none; a device that works on the caller's thread looks at it between submissions only.
// Threads: any; a value that no thread has submitted yet may be waited for.
// Errors: BN_ERR_TIMEOUT (the work goes on), BN_ERR_DEVICE_LOST.
BN_API BN_MUST_CHECK enum bn_result bn_queue_wait(struct bn_queue *queue, uint64_t value, uint64_t timeout_ns,
                                                  struct bn_error *err);

#ifdef __cplusplus
}
#endif
#endif
