// The driver interface (SPI): for authors of drivers only, not for applications. Not yet frozen: it changes until a
// third driver has proved it.
//
// A driver is one read-only struct. It opens devices; a device has buffers, records commands (replayable lists of
// ops) and has queues that run them. The runtime's front doors (runtime/device) check every argument and give
// missing optional slots their default, so a slot may rely on what is written here.
#ifndef BITNET_DRIVER_H
#define BITNET_DRIVER_H

#include <bitnet/compute.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BN_DRIVER_API 1

struct bn_host; // allocation, messages, environment: runtime/base/host.h

// Drivers embed these three as the first member of their own structs and fill every field in, but for those of the
// runtime. A device: its `driver`, the `host` that `open` was given, what was opened.
struct bn_device {
    const struct bn_driver *driver;
    const struct bn_host *host;
    struct bn_device_info info;
    struct bn_live *live;   // the runtime's: which buffers there are
    enum bn_load_mode load; // the runtime's: of the machine's tuning
};

// A command: a recorded list of ops.
struct bn_command {
    struct bn_device *device;   // of `record`
    struct bn_buffer **buffers; // the runtime's: the buffers that its ops use, kept until the command is gone
    size_t n_buffers;
};

// A queue: where a device takes submissions.
struct bn_queue {
    struct bn_device *device; // of `queue_open`
    uint64_t last_signal;     // the runtime's
    uint64_t naps;            // the runtime's: times a waiter slept; accessed with __atomic builtins
};

// A slot is called by one thread at a time per object, unless marked "any thread". On failure nothing is left
// behind and *err is filled in.
struct bn_driver {
    size_t size;       // sizeof(struct bn_driver): slots added later are missing in older drivers
    uint32_t api;      // BN_DRIVER_API
    const char *name;  // word of the driver list
    const char *about; // one line for --list-devices

    // Required. Cheap: writes at most `capacity` devices and the full number to *count. Any thread.
    enum bn_result (*probe)(const struct bn_host *host, struct bn_device_info *list, size_t capacity, size_t *count,
                            struct bn_error *err);
    // Required. Slow: opens device `info->index`. `options` is never NULL. Any thread.
    enum bn_result (*open)(const struct bn_host *host, const struct bn_device_info *info,
                           const struct bn_device_options *options, struct bn_device **out, struct bn_error *err);
    void (*close)(struct bn_device *device);                      // required
    void (*caps)(struct bn_device *device, struct bn_caps *caps); // required

    // Required. Whether the device runs this kind of op with weights in this layout (BN_LAYOUT_COUNT: no weights).
    bool (*supports)(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout);
    // Optional; default: the stored layout if supported, else the first supported one that keeps its values exactly.
    // The layout in which the device wants weights that are stored as `stored`; BN_LAYOUT_COUNT: it has no wish.
    enum bn_layout (*preferred_layout)(struct bn_device *device, enum bn_op_kind kind, enum bn_layout stored);

    // Required. `size` > 0. Memory is zeroed and touched, and the host reaches it.
    enum bn_result (*buffer_create)(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                    struct bn_error *err);
    // Optional; default: buffer_create. Zeroed memory that the host need not reach; its `host` may be NULL.
    enum bn_result (*buffer_create_local)(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                          struct bn_error *err);
    // Required if buffers may have no `host`, and called for those only. Offset and size are multiples of 4.
    enum bn_result (*buffer_write)(struct bn_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                                   struct bn_error *err);
    // Optional; default: BN_ERR_UNSUPPORTED, upon which the runtime copies. Memory that outlives the buffer.
    enum bn_result (*buffer_import)(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                    struct bn_error *err);
    void (*buffer_destroy)(struct bn_buffer *buffer); // required

    // Required. Records ops, which read the state slot at `slot` on each replay. The arrays are copied.
    enum bn_result (*record)(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                             const struct bn_span *slot, struct bn_command **out, struct bn_error *err);
    void (*command_destroy)(struct bn_command *command); // required; not while a submission runs

    enum bn_result (*queue_open)(struct bn_device *device, struct bn_queue **out, struct bn_error *err); // required
    void (*queue_close)(struct bn_queue *queue); // required; every submission is done or the device is lost
    // Required. Never blocks: BN_ERR_BUSY when the queue is full.
    enum bn_result (*submit)(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err);
    // Required, any thread. Never blocks: *value = the timeline. Not BN_OK once the device is lost.
    enum bn_result (*poll)(struct bn_queue *queue, uint64_t *value, struct bn_error *err);
    // Optional, for devices that work on the caller's thread: runs submissions until the timeline reaches `until`,
    // then returns; everything up to `until` has been submitted. A device with this slot makes no progress without it.
    enum bn_result (*drive)(struct bn_queue *queue, uint64_t until, struct bn_error *err);

    // Optional, any thread; default: naps. Blocks until the timeline has reached `value`, at most `timeout_ns`; the caller
    // polls then. For devices that work by themselves.
    void (*wait)(struct bn_queue *queue, uint64_t value, uint64_t timeout_ns);

    // Required, any thread.
    void (*status)(struct bn_device *device, struct bn_device_status *status);
    // Optional, any thread; default: BN_ERR_UNSUPPORTED. See bn_device_get_profile.
    enum bn_result (*profile)(struct bn_device *device, struct bn_op_profile *list, size_t capacity, size_t *count,
                              struct bn_error *err);
    // Optional; default: BN_ERR_UNSUPPORTED. See bn_queue_take_spans; devices/common/spans.h keeps them.
    enum bn_result (*take_spans)(struct bn_queue *queue, struct bn_op_span *list, size_t capacity, size_t *count,
                                 struct bn_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
