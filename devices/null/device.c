// The null device: memory, queue and timeline are real, arithmetic is not. It moves pages and copies bytes as any
// device would, and answers a head with logits that depend on the row's token and position only, so engines,
// sessions and fault handling can be tested without a model's cost.
//
// It works on a thread of its own and has no `drive`, as drivers of real accelerators do.
#include <stdio.h>
#include <string.h>

#include "devices/common/host_buffer.h"
#include "devices/common/ring.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"

extern const struct bn_driver bn_driver_null;

struct device {
    struct bn_device base;
    _Atomic uint64_t submissions;
    _Atomic uint32_t last_op;
};

struct command {
    struct bn_command base;
    struct bn_op *ops;
    size_t n_ops;
    struct bn_slot *slot;
};

struct queue {
    struct bn_queue base;
    struct bn_ring ring;
    struct bn_spin spin;
    pthread_t thread;
    _Atomic uint32_t closing;
};

static enum bn_result null_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                 size_t *count, struct bn_error *err)
{
    *count = 1;
    if (capacity > 0) {
        list[0] = (struct bn_device_info){.size = sizeof(list[0]), .kind = BN_DEVICE_NULL};
        strcpy(list[0].id, "null");
        strcpy(list[0].driver, "null");
        strcpy(list[0].name, "no arithmetic, for tests");
    }
    return BN_OK;
}

static enum bn_result null_open(const struct bn_host *host, const struct bn_device_info *info,
                                const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    struct device *device = bn_alloc(host, sizeof(*device));
    if (!device)
        return bn_fail_memory(err, sizeof(*device), "the null device");
    device->base.driver = &bn_driver_null;
    device->base.host = host;
    device->base.info = *info;
    *out = &device->base;
    return BN_OK;
}

static void null_close(struct bn_device *device)
{
    bn_free(device->host, device);
}

static void null_caps(struct bn_device *device, struct bn_caps *caps)
{
    *caps = (struct bn_caps){.max_buffer = SIZE_MAX / 2,
                             .import_align = 1,
                             .host_memory = true,
                             .ring_capacity = BN_RING_CAPACITY,
                             .op_options = UINT32_MAX}; // it computes none of it
}

static bool null_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return kind != BN_OP_TOP;
}

static void null_command_destroy(struct bn_command *base)
{
    struct command *command = (struct command *)base;
    bn_free(base->device->host, command->ops);
    bn_free(base->device->host, command);
}

static enum bn_result null_record(struct bn_device *base, const struct bn_op *ops, size_t n_ops,
                                  const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    struct command *command = bn_alloc(base->host, sizeof(*command));
    struct bn_op *copy = bn_alloc_array(base->host, n_ops, sizeof(*ops));
    if (!command || !copy) {
        bn_free(base->host, command);
        bn_free(base->host, copy);
        return bn_fail_memory(err, n_ops * sizeof(*ops), "a recorded command");
    }
    memcpy(copy, ops, n_ops * sizeof(*ops));
    *command = (struct command){{base}, copy, n_ops, bn_span_host(slot)};
    *out = &command->base;
    return BN_OK;
}

// Logits in (-4, 4) from a hash of token, position and id.
static float pseudo_logit(uint32_t token, uint32_t position, uint32_t id)
{
    uint64_t x = ((uint64_t)token << 40) ^ ((uint64_t)position << 20) ^ id;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u; // the finaliser of splitmix64
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return ((float)(x >> 40) - (float)(1 << 23)) / (float)(1 << 21);
}

static void run_head(const struct command *command, const struct bn_op *op)
{
    const struct bn_slot *slot = command->slot;
    const uint8_t *base = (const uint8_t *)slot;
    const struct bn_slot_row *rows = (const struct bn_slot_row *)(const void *)(base + slot->row_at);
    const uint32_t *outputs = (const uint32_t *)(const void *)(base + slot->output_at);
    float *logits = (float *)bn_span_host(&op->out) + (size_t)slot->first_output * op->w[0].rows;
    for (uint32_t o = 0; o < slot->n_outputs; o++)
        for (uint32_t id = 0; id < op->w[0].rows; id++)
            logits[(size_t)o * op->w[0].rows + id] =
                pseudo_logit(rows[outputs[o]].token, rows[outputs[o]].position, id);
}

static void run_kv_copy(const struct command *command, const struct bn_op *op)
{
    const struct bn_slot *slot = command->slot;
    const struct bn_slot_copy *copies = (const void *)((const uint8_t *)slot + slot->copy_at);
    uint64_t bytes = bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
    uint8_t *pool = bn_span_host(&op->kv);
    for (uint32_t i = 0; i < slot->n_copies; i++)
        memcpy(pool + copies[i].to * bytes, pool + copies[i].from * bytes, bytes);
}

static void execute(struct device *device, const struct bn_packet *packet)
{
    const struct command *command = (const struct command *)packet->command;
    command->slot->status = BN_SLOT_OK;
    for (size_t i = 0; i < command->n_ops; i++) {
        const struct bn_op *op = &command->ops[i];
        if (packet->stop && __atomic_load_n(packet->stop, __ATOMIC_RELAXED) == packet->stop_at) {
            command->slot->status = BN_SLOT_STOPPED;
            command->slot->status_op = (uint32_t)i;
            return;
        }
        atomic_store_explicit(&device->last_op, (uint32_t)i, memory_order_relaxed);
        if (op->kind == BN_OP_HEAD)
            run_head(command, op);
        else if (op->kind == BN_OP_KV_COPY)
            run_kv_copy(command, op);
        else if (op->kind == BN_OP_COPY)
            memcpy(bn_span_host(&op->out), bn_span_host(&op->in), op->in.size);
    }
}

static void *queue_main(void *argument)
{
    struct queue *queue = argument;
    struct device *device = (struct device *)queue->base.device;
    for (;;) {
        uint32_t rung = atomic_load(&queue->ring.doorbell.value);
        const struct bn_packet *packet = bn_ring_peek(&queue->ring);
        if (packet) {
            execute(device, packet);
            bn_ring_retire(&queue->ring);
        } else if (atomic_load(&queue->closing)) {
            return NULL;
        } else {
            bn_word_wait(&queue->ring.doorbell, rung, &queue->spin);
        }
    }
}

static enum bn_result null_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err)
{
    struct queue *queue = bn_alloc(device->host, sizeof(*queue));
    if (!queue)
        return bn_fail_memory(err, sizeof(*queue), "a queue");
    queue->base.device = device;
    bn_ring_init(&queue->ring);
    bn_spin_init(&queue->spin, 1000, 50000);
    enum bn_result result = bn_thread_start(&queue->thread, "bitnet-null", queue_main, queue, err);
    if (result != BN_OK) {
        bn_free(device->host, queue);
        return result;
    }
    *out = &queue->base;
    return BN_OK;
}

static void null_queue_close(struct bn_queue *base)
{
    struct queue *queue = (struct queue *)base;
    atomic_store(&queue->closing, 1);
    atomic_fetch_add(&queue->ring.doorbell.value, 1);
    bn_word_wake(&queue->ring.doorbell);
    pthread_join(queue->thread, NULL);
    bn_free(base->device->host, queue);
}

static enum bn_result null_submit(struct bn_queue *base, const struct bn_submission *submission, struct bn_error *err)
{
    struct device *device = (struct device *)base->device;
    if (!bn_ring_push(&((struct queue *)base)->ring, submission))
        return bn_fail(err, BN_ERR_BUSY, "the queue holds %d submissions", BN_RING_CAPACITY);
    atomic_fetch_add_explicit(&device->submissions, 1, memory_order_relaxed);
    return BN_OK;
}

static enum bn_result null_poll(struct bn_queue *base, uint64_t *value, struct bn_error *err)
{
    *value = bn_ring_timeline(&((struct queue *)base)->ring);
    return BN_OK;
}

static void null_status(struct bn_device *base, struct bn_device_status *status)
{
    struct device *device = (struct device *)base;
    *status = (struct bn_device_status){
        .submissions = atomic_load(&device->submissions),
        .last_op = atomic_load(&device->last_op),
    };
}

const struct bn_driver bn_driver_null = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "null",
    .about = "a device without arithmetic, for tests",
    .probe = null_probe,
    .open = null_open,
    .close = null_close,
    .caps = null_caps,
    .supports = null_supports,
    .buffer_create = bn_host_buffer_create,
    .buffer_import = bn_host_buffer_import,
    .buffer_destroy = bn_host_buffer_destroy,
    .record = null_record,
    .command_destroy = null_command_destroy,
    .queue_open = null_queue_open,
    .queue_close = null_queue_close,
    .submit = null_submit,
    .poll = null_poll,
    .status = null_status,
};
