// The parts of an OpenCL device.
#ifndef BN_DEVICES_OPENCL_DEVICE_H
#define BN_DEVICES_OPENCL_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/common/blocks.h"
#include "devices/common/lower.h"
#include "devices/common/measure.h"
#include "devices/opencl/adapter.h"

// One memory object. Small buffers share blocks.
struct block {
    struct bn_block base;
    cl_mem memory;
    void *svm;     // what the memory object lies in; NULL: memory of the driver's
    bool shadow;   // base.host is a copy: commands bring it to the device and back
    bool imported; // read only, the caller's
};

// A kernel with its constants, compiled when a command first needs it.
struct program {
    struct program *next;
    enum bn_kernel kernel;
    uint32_t constants[BN_MAX_CONSTANTS];
    cl_program handle;
};

struct device {
    struct bn_device base;
    struct cl cl;
    struct adapter adapter;
    struct bn_lower_target target;
    char shaders[4096]; // folder of sources that replace the embedded ones; may be empty
    cl_device_id part;  // sub-device of as many units as were asked for; NULL: the whole device
    cl_context context;
    cl_command_queue transfers; // uploads, and words for kernels that run
    pthread_mutex_t lock;       // everything below
    struct program *programs;
    struct bn_block *blocks;
    struct bn_measure measure;
    uint64_t taken; // bytes allocated on the device
    _Atomic uint64_t submissions, dispatches;
    const char *lost_in; // the op that ran when the device was lost; NULL: not known
    _Atomic uint32_t last_op, lost;
};

static inline struct device *device_of(struct bn_device *device)
{
    return (struct device *)device;
}

static inline struct bn_block_buffer *buffer_of(struct bn_buffer *buffer)
{
    return (struct bn_block_buffer *)buffer;
}

static inline const struct block *block_of(const struct bn_block_buffer *buffer)
{
    return (const struct block *)buffer->block;
}

static inline cl_device_id bn_opencl_id(const struct device *device)
{
    return device->part ? device->part : device->adapter.device;
}

// memory.c: slots of the driver.
enum bn_result bn_opencl_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err);
enum bn_result bn_opencl_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                             struct bn_error *err);
enum bn_result bn_opencl_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err);
void bn_opencl_buffer_destroy(struct bn_buffer *buffer);
enum bn_result bn_opencl_buffer_write(struct bn_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                                      struct bn_error *err);

// program.c: the kernel of a dispatch, without its parameters. Under the lock.
enum bn_result bn_opencl_kernel(struct device *device, const struct bn_dispatch *dispatch, cl_kernel *out,
                                struct bn_error *err);
void bn_opencl_programs_finish(struct device *device);

// cache.c: compiled programs on disk, by a hash of driver, options and text; a missing, foreign or damaged one is as good as
// none. Ownership: the caller frees what load gives.
void *bn_opencl_cache_load(struct device *device, uint64_t key, size_t *bytes);
void bn_opencl_cache_save(struct device *device, uint64_t key, cl_program program);
uint64_t bn_opencl_hash(uint64_t hash, const void *data, size_t bytes);

// command.c, queue.c: slots of the driver.
enum bn_result bn_opencl_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                const struct bn_span *slot, struct bn_command **out, struct bn_error *err);
void bn_opencl_command_destroy(struct bn_command *command);
enum bn_result bn_opencl_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err);
void bn_opencl_queue_close(struct bn_queue *queue);
enum bn_result bn_opencl_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err);
enum bn_result bn_opencl_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err);
enum bn_result bn_opencl_take_spans(struct bn_queue *queue, struct bn_op_span *list, size_t capacity, size_t *count,
                                    struct bn_error *err);

// A failed call of OpenCL. Notes a lost device.
enum bn_result bn_opencl_fail(struct device *device, struct bn_error *err, cl_int result, const char *what);

#endif
