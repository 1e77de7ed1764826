// What the drivers of CUDA and HIP share, which is all but their names, their numbers and their code: devices with streams,
// events, modules and graphs, through a library that is opened at run time. No header of a vendor is needed.
#ifndef BN_DEVICES_STREAMS_H
#define BN_DEVICES_STREAMS_H

#include <pthread.h>
#include <stdatomic.h>

#include <bitnet/driver.h>

#include "devices/common/blocks.h"
#include "devices/common/lower.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"

struct bn_streams_api {
#define STREAMS(need, member, parameters, cuda, hip) int(*member) parameters;
#include "devices/common/streams.inl"
};

// Error numbers that mean more than failure.
enum { BN_STREAMS_OUT_OF_MEMORY = 2, BN_STREAMS_NOT_READY = 600 };

// What the process knows of a library. It is opened once and stays: these libraries do not survive being closed.
enum { BN_STREAMS_MOST_DEVICES = 32 };
struct bn_streams_process {
    pthread_mutex_t lock;
    void *library; // NULL: not opened yet
    struct bn_streams_api api;
    struct bn_device_info devices[BN_STREAMS_MOST_DEVICES]; // as they were listed last
    uint32_t n_devices;
    _Atomic int sticky; // the error after which the library fails for good in this process; 0: none
};

// Code: PTX text, or a code object.
struct bn_streams_image {
    const char *isa;    // that it is for; NULL: any
    const char *kernel; // the one that is in it; NULL: all
    const void *data;   // packed: unpack.h
    size_t packed_bytes, bytes;
};

// One of the two.
struct bn_streams_vendor {
    const struct bn_driver *driver;
    int number;        // 0: CUDA, 1: HIP
    const char *title; // "CUDA"
    const char *const *libraries;
    const char *without;                            // the environment variable that turns features off, for tests
    const char *no_library, *no_device, *no_kernel; // what to do if the library, a device, the kernel module is missing
    int integrated;                                 // number of this attribute
    const struct bn_streams_image *images;          // ends with one that has no data
    struct bn_streams_process *process;
    // Fills in isa; refuses a device (state, reason, mend) that is too old.
    void (*judge)(const struct bn_streams_api *api, int device, struct bn_device_info *info);
};

// What a device or library may lack. Each has a fallback, which vendor->without=name,name forces for tests.
struct bn_streams_features {
    bool graphs;      // a command is one graph; else launches
    bool write_value; // the stream writes the timeline to memory; else an event per submission
    bool import;      // host memory is registered and read in place; else copied
    bool mirror;      // a command copies its slot to the device's memory first; else each kernel reads the host's
    bool tiled;       // many rows share weights in a group's memory; else a few in registers
    bool matrices;    // ... and are multiplied by the device's instructions for matrices of int8
    bool fused;       // norm and quantisation inside their consumer; else dispatches of their own
};

enum { BN_STREAMS_STAGING_PARTS = 2, BN_STREAMS_STAGING_BYTES = 4 << 20 };

// One allocation of the library's. Small buffers share blocks.
struct bn_streams_block {
    struct bn_block base;
    uint64_t address;
    bool registered; // memory of the caller
};

struct bn_streams_device {
    struct bn_device base;
    const struct bn_streams_vendor *vendor;
    const struct bn_streams_api *api;
    struct bn_streams_features features;
    struct bn_lower_target target;
    const char *matrices; // the kernel that has them; NULL: none
    int device, previous; // previous: the current device of the thread that entered (HIP)
    void *context;        // CUDA
    bool retained, unified;
    pthread_mutex_t lock; // everything below
    struct bn_streams_module *modules;
    void *transfer; // stream of uploads, and of capturing graphs
    struct bn_block *blocks;
    struct {
        struct bn_buffer *buffer; // NULL until the first upload
        void *events[BN_STREAMS_STAGING_PARTS];
        bool busy[BN_STREAMS_STAGING_PARTS];
    } staging;
    _Atomic uint64_t submissions, dispatches;
    _Atomic uint32_t last_op;
};

static inline struct bn_streams_device *bn_streams_of(struct bn_device *device)
{
    return (struct bn_streams_device *)device;
}

// streams.c: slots of a driver that take the vendor in addition, and others as they are.
enum bn_result bn_streams_probe(const struct bn_streams_vendor *vendor, struct bn_device_info *list, size_t capacity,
                                size_t *count);
enum bn_result bn_streams_open(const struct bn_streams_vendor *vendor, const struct bn_host *host,
                               const struct bn_device_info *info, struct bn_device **out, struct bn_error *err);
void bn_streams_close(struct bn_device *device);
void bn_streams_caps(struct bn_device *device, struct bn_caps *caps);
bool bn_streams_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout);
void bn_streams_status(struct bn_device *device, struct bn_device_status *status);

// streams_api.c, under the process's lock: opens the library and starts it. False: info says why not.
bool bn_streams_load(const struct bn_streams_vendor *vendor, struct bn_device_info *info);
// A failed call. Notes an error that stays, and with it the end of the library in this process.
enum bn_result bn_streams_fail(struct bn_streams_device *device, struct bn_error *err, int native, const char *what);
// The state of a device of a process in which the library has failed for good. False: it has not.
bool bn_streams_poisoned(const struct bn_streams_vendor *vendor, struct bn_device_info *info);
// Takes the device's lock and makes it the thread's current one; gives both back.
void bn_streams_enter(struct bn_streams_device *device);
void bn_streams_leave(struct bn_streams_device *device);

// streams_module.c, between enter and leave: a kernel by its name.
enum bn_result bn_streams_function(struct bn_streams_device *device, const char *name, void **function,
                                   struct bn_error *err);
void bn_streams_modules_finish(struct bn_streams_device *device);

// streams_memory.c: slots of a driver.
enum bn_result bn_streams_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                        struct bn_error *err);
enum bn_result bn_streams_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                              struct bn_error *err);
enum bn_result bn_streams_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                        struct bn_error *err);
void bn_streams_buffer_destroy(struct bn_buffer *buffer);
enum bn_result bn_streams_buffer_write(struct bn_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                                       struct bn_error *err);
void bn_streams_staging_finish(struct bn_streams_device *device);

// The address of a span on the device; 0 for an unused operand.
static inline uint64_t bn_streams_address(const struct bn_span *span)
{
    const struct bn_block_buffer *buffer = (const struct bn_block_buffer *)span->buffer;
    return buffer ? ((const struct bn_streams_block *)buffer->block)->address + buffer->offset + span->offset : 0;
}

// One dispatch as it is launched.
struct bn_streams_launch {
    void *function;
    uint32_t x, y, threads;
    uint32_t n_spans, n_words;
    uint64_t addresses[BN_MAX_SPANS];
    uint32_t words[BN_MAX_WORDS + BN_MAX_CONSTANTS];
};

struct bn_streams_command {
    struct bn_command base;
    struct bn_slot *slot;
    struct bn_buffer *mirror;    // the slot in the device's memory, and behind it the address of the host's; NULL: none
    uint64_t mirrored;           // bytes of the slot
    uint32_t report;             // where that address is, in words; 0: there is none
    struct bn_buffer *temporary; // NULL if the ops need none
    void *exec;                  // the graph; NULL: launches
    struct bn_streams_launch *launches;
    uint32_t n_launches, n_ops;
    uint8_t kinds[]; // enum bn_op_kind of each op, for the report of a lost device
};

// streams_command.c and streams_queue.c: slots of a driver, and running a command's dispatches on a stream.
enum bn_result bn_streams_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err);
void bn_streams_command_destroy(struct bn_command *command);
int bn_streams_run(struct bn_streams_device *device, const struct bn_streams_command *command, void *stream);
// Tells kernels that run what the slot now says in `skip`; and waits until nothing is under way to them any more.
int bn_streams_tell(struct bn_streams_device *device, const struct bn_streams_command *command);
int bn_streams_told(struct bn_streams_device *device, const struct bn_streams_command *command);
enum bn_result bn_streams_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err);
void bn_streams_queue_close(struct bn_queue *queue);
enum bn_result bn_streams_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err);
enum bn_result bn_streams_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err);

// The slots that need no vendor.
#define BN_STREAMS_SLOTS                                                                                               \
    .close = bn_streams_close, .caps = bn_streams_caps, .supports = bn_streams_supports,                               \
    .buffer_create = bn_streams_buffer_create, .buffer_create_local = bn_streams_buffer_create_local,                  \
    .buffer_write = bn_streams_buffer_write, .buffer_import = bn_streams_buffer_import,                                \
    .buffer_destroy = bn_streams_buffer_destroy, .record = bn_streams_record,                                          \
    .command_destroy = bn_streams_command_destroy, .queue_open = bn_streams_queue_open,                                \
    .queue_close = bn_streams_queue_close, .submit = bn_streams_submit, .poll = bn_streams_poll,                       \
    .status = bn_streams_status

#endif
