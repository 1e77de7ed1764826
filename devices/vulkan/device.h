// The parts of a Vulkan device.
#ifndef BN_DEVICES_VULKAN_DEVICE_H
#define BN_DEVICES_VULKAN_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/common/lower.h"
#include "devices/common/measure.h"
#include "devices/common/blocks.h"
#include "devices/vulkan/adapter.h"
#include "devices/vulkan/shaders.h"

enum { STAGING_PARTS = 2, STAGING_BYTES = 4 << 20, PUSH_BYTES = 128 };

// One allocation of the driver's, with one VkBuffer all over it. Small buffers share blocks.
struct block {
    struct bn_block base;
    VkDeviceMemory memory;
    VkBuffer buffer;
    VkDeviceAddress address;
    uint32_t heap, type;
    bool imported;
};

// Uploads to memory that the host does not reach: while one part is copied by the device, the other is filled.
struct staging {
    struct bn_buffer *buffer; // NULL until the first upload
    VkCommandBuffer commands[STAGING_PARTS];
    VkFence fences[STAGING_PARTS];
    bool busy[STAGING_PARTS];
};

// A shader with its specialisation, compiled when a command first needs it.
struct pipeline {
    struct pipeline *next;
    enum bn_kernel kernel;
    uint32_t constants[BN_MAX_CONSTANTS];
    VkPipeline handle;
};

// What trace.c measures; under the device's lock.
struct measure {
    struct bn_measure base;
    double period;       // ns of a tick
    uint32_t valid_bits; // of a tick count
};

struct device {
    struct bn_device base;
    struct vk vk;
    struct adapter adapter;
    struct bn_lower_target target;
    VkDevice logical;
    char shaders[4096]; // folder of shaders that replace the embedded ones; may be empty
    VkQueue queue, transfer;
    pthread_mutex_t lock; // everything below, and the VkQueues
    VkCommandPool pool, transfer_pool;
    VkPipelineLayout layout;
    VkPipelineCache cache;
    struct pipeline *pipelines;
    struct bn_block *blocks;
    struct staging staging;
    uint64_t taken[VK_MAX_MEMORY_HEAPS]; // bytes of each heap that we allocated
    struct measure measure;
    const char *lost_in;     // the op that ran when the device was lost; NULL: not known
    const char *done_before; // the one that had ended before; NULL: none of the command
    _Atomic uint64_t submissions, dispatches;
    _Atomic uint32_t last_op, lost;
};

static inline struct device *device_of(struct bn_device *device)
{
    return (struct device *)device;
}

static inline const struct block *bn_vulkan_block(const struct bn_block_buffer *buffer)
{
    return (const struct block *)buffer->block;
}

// The address of a span on the device; 0 for an unused operand.
static inline VkDeviceAddress bn_vulkan_address(const struct bn_span *span)
{
    const struct bn_block_buffer *buffer = (const struct bn_block_buffer *)span->buffer;
    return buffer ? bn_vulkan_block(buffer)->address + buffer->offset + span->offset : 0;
}

// memory.c: slots of the driver.
enum bn_result bn_vulkan_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err);
enum bn_result bn_vulkan_buffer_create_local(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                             struct bn_error *err);
enum bn_result bn_vulkan_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                       struct bn_error *err);
void bn_vulkan_buffer_destroy(struct bn_buffer *buffer);
enum bn_result bn_vulkan_buffer_write(struct bn_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                                      struct bn_error *err);
enum bn_result bn_vulkan_staging_init(struct device *device, struct bn_error *err);
void bn_vulkan_staging_finish(struct device *device);

// pipeline.c: the pipeline of a kernel with these specialisation constants. Under the lock.
enum bn_result bn_vulkan_pipeline(struct device *device, enum bn_kernel kernel, const uint32_t *constants,
                                  VkPipeline *out, struct bn_error *err);
enum bn_result bn_vulkan_pipelines_init(struct device *device, struct bn_error *err);
void bn_vulkan_pipelines_finish(struct device *device);

// cache.c: the pipeline cache on disk; a missing, foreign or damaged one is as good as none.
VkPipelineCache bn_vulkan_cache_load(struct device *device);
void bn_vulkan_cache_save(struct device *device);

// command.c, queue.c: slots of the driver.
enum bn_result bn_vulkan_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                const struct bn_span *slot, struct bn_command **out, struct bn_error *err);
void bn_vulkan_command_destroy(struct bn_command *command);
enum bn_result bn_vulkan_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err);
void bn_vulkan_queue_close(struct bn_queue *queue);
enum bn_result bn_vulkan_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err);
enum bn_result bn_vulkan_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err);

void bn_vulkan_wait(struct bn_queue *queue, uint64_t value, uint64_t timeout_ns);

// A failed call of Vulkan. Notes a lost device, and names the op that ran last.
enum bn_result bn_vulkan_fail(struct device *device, struct bn_error *err, VkResult result, const char *what);

#endif
