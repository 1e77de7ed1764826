#include <stdio.h>
#include <string.h>

#include "devices/common/host_buffer.h"
#include "devices/common/ring.h"
#include "devices/common/spans.h"
#include "devices/cpu/command.h"
#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

enum { MAX_THREADS = 1024, MAX_ISAS = 16, CHUNKS_PER_WORKER = 4, MAX_PROFILES = 64 };

extern const struct bn_driver bn_driver_cpu;

struct device {
    struct bn_device base;
    const struct bn_kernels *kernels;
    bool base3; // wanted for ternary weights
    struct team *team;
    pthread_mutex_t lock; // who drives: the team serves one queue at a time
    _Atomic uint64_t submissions;
    _Atomic uint32_t last_op;
    struct bn_op_profile *profiles; // [MAX_PROFILES] under the lock; NULL unless asked for
    size_t n_profiles;
    bool traced;
};

struct queue {
    struct bn_queue base;
    struct bn_ring ring;
    struct bn_spans spans; // under the device's lock
};

static void describe(struct bn_device_info *info, const struct bn_isa *isa)
{
    memset(info, 0, sizeof(*info));
    info->size = sizeof(*info);
    strcpy(info->id, "cpu");
    strcpy(info->driver, "cpu");
    bn_cpu_name(info->name);
    snprintf(info->isa, sizeof(info->isa), "%s", isa->name);
    info->kind = BN_DEVICE_CPU;
    info->threads = bn_cpu_count();
    bn_memory_info(&info->memory_total, &info->memory_free);
}

static enum bn_result cpu_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity, size_t *count,
                                struct bn_error *err)
{
    struct bn_isa isas[MAX_ISAS];
    *count = 1;
    if (capacity > 0)
        describe(&list[0], bn_isa_find(isas, bn_isa_list(isas, MAX_ISAS), NULL));
    return BN_OK;
}

// Nothing refuses the scalar level, the first one.
static const struct bn_isa *newest_permitted(const struct bn_isa *isas, size_t n)
{
    while (n > 1 && !bn_isa_permit(&isas[n - 1]))
        n--;
    return &isas[n - 1];
}

static enum bn_result choose_isa(const char *name, struct bn_isa *chosen, struct bn_error *err)
{
    struct bn_isa isas[MAX_ISAS];
    size_t n = bn_isa_list(isas, MAX_ISAS);
    if (!name)
        name = bn_env("BITNET_CPU_ISA");
    const struct bn_isa *isa = name ? bn_isa_find(isas, n, name) : newest_permitted(isas, n);
    if (isa && isa->usable && !bn_isa_permit(isa))
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, name, UINT64_MAX,
                          "the system refuses the registers of that instruction set; choose another, or none");
    if (!isa || !isa->usable) {
        char known[128] = "";
        for (size_t i = 0; i < n; i++)
            if (isas[i].usable)
                snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", isas[i].name);
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, name, UINT64_MAX, "%s; this machine has %s",
                          isa ? "this CPU lacks that instruction set" : "no such instruction set", known);
    }
    *chosen = *isa;
    return BN_OK;
}

static void cpu_close(struct bn_device *base)
{
    struct device *device = (struct device *)base;
    bn_team_destroy(device->team);
    pthread_mutex_destroy(&device->lock);
    bn_free(base->host, device->profiles);
    bn_free(base->host, device);
}

static enum bn_result cpu_open(const struct bn_host *host, const struct bn_device_info *info,
                               const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    struct bn_isa isa;
    enum bn_result result = choose_isa(options->isa, &isa, err);
    if (result != BN_OK)
        return result;
    uint32_t threads = options->threads ? options->threads : bn_cpu_count();
    if (threads > MAX_THREADS)
        return bn_fail(err, BN_ERR_ARGUMENT, "%u threads asked for, the CPU driver takes at most %d", threads,
                       MAX_THREADS);
    struct device *device = bn_alloc(host, sizeof(*device));
    bool timed = options->profile || options->trace;
    struct bn_op_profile *profiles = timed ? bn_alloc_array(host, MAX_PROFILES, sizeof(*profiles)) : NULL;
    if (!device || (timed && !profiles)) {
        bn_free(host, device);
        bn_free(host, profiles);
        return bn_fail_memory(err, sizeof(*device), "the CPU device");
    }
    device->base.driver = &bn_driver_cpu;
    device->base.host = host;
    describe(&device->base.info, &isa);
    device->base.info.threads = threads;
    device->kernels = isa.kernels;
    device->base3 = options->packing == BN_PACKING_BASE3 && isa.kernels->ternary_base3;
    device->profiles = profiles;
    pthread_mutex_init(&device->lock, NULL);
    result = bn_team_create(host, threads, options->wait, &device->team, err);
    if (result != BN_OK) {
        pthread_mutex_destroy(&device->lock);
        bn_free(host, profiles);
        bn_free(host, device);
        return result;
    }
    device->team->timed = timed;
    device->traced = options->trace;
    *out = &device->base;
    return BN_OK;
}

static void cpu_caps(struct bn_device *device, struct bn_caps *caps)
{
    *caps = (struct bn_caps){.max_buffer = SIZE_MAX / 2,
                             .import_align = 4,
                             .host_memory = true,
                             .ring_capacity = BN_RING_CAPACITY,
                             .op_options = BN_OP_WITH_PLANES | BN_OP_WITH_WINDOW | BN_OP_WITH_HEAD_NORM |
                                           BN_OP_WITH_GELU | BN_OP_WITH_SCALE | BN_OP_WITH_INT8_KV};
}

static bool cpu_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    switch (kind) {
    case BN_OP_EMBED:
    case BN_OP_HEAD:
    case BN_OP_TOP:
        return layout < BN_LAYOUT_COUNT;
    case BN_OP_MATMUL:
    case BN_OP_QKV:
    case BN_OP_GATE_UP:
        if (layout == BN_LAYOUT_BASE3)
            return ((struct device *)device)->kernels->ternary_base3;
        return layout == BN_LAYOUT_I2S_A || (layout >= BN_LAYOUT_I2S_A_ROW && layout <= BN_LAYOUT_I2S_A_G64);
    case BN_OP_NORM_MATMUL:
    case BN_OP_NORM_QKV:
    case BN_OP_NORM_GATE_UP:
        return false;
    default:
        return layout == BN_LAYOUT_COUNT;
    }
}

static enum bn_layout cpu_preferred_layout(struct bn_device *device, enum bn_op_kind kind, enum bn_layout stored)
{
    bool wanted = ((struct device *)device)->base3 && cpu_supports(device, kind, BN_LAYOUT_BASE3);
    return wanted && bn_layout_keeps(stored, BN_LAYOUT_BASE3) ? BN_LAYOUT_BASE3 : BN_LAYOUT_COUNT;
}

static void cpu_command_destroy(struct bn_command *base)
{
    struct command *command = (struct command *)base;
    const struct bn_host *host = base->device->host;
    bn_free(host, command->temporary);
    bn_free(host, command->phases);
    bn_free(host, command->ops);
    bn_free(host, command);
}

// The entry of the op's kind and shape; NULL if nobody wants to know, or there are too many. Under the lock.
static struct bn_op_profile *profile_of(struct device *device, const struct bn_op *op)
{
    uint32_t rows = op->w[0].rows + op->w[1].rows + op->w[2].rows;
    for (size_t i = 0; i < device->n_profiles; i++)
        if (device->profiles[i].kind == op->kind && device->profiles[i].rows == rows &&
            device->profiles[i].cols == op->cols)
            return &device->profiles[i];
    if (!device->profiles || device->n_profiles == MAX_PROFILES)
        return NULL;
    struct bn_op_profile *profile = &device->profiles[device->n_profiles++];
    *profile = (struct bn_op_profile){.kind = op->kind, .rows = rows, .cols = op->cols};
    return profile;
}

static enum bn_result cpu_record(struct bn_device *base, const struct bn_op *ops, size_t n_ops,
                                 const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    struct device *device = (struct device *)base;
    struct command *command = bn_alloc(base->host, sizeof(*command));
    if (!command)
        return bn_fail_memory(err, sizeof(*command), "a command");
    command->base.device = base;
    size_t temporary = 0, scratch = 0;
    for (size_t i = 0; i < n_ops; i++)
        temporary = bn_cpu_temporary(&ops[i]) > temporary ? bn_cpu_temporary(&ops[i]) : temporary;
    command->ops = bn_alloc_array(base->host, n_ops, sizeof(*ops));
    command->phases = bn_alloc_array(base->host, n_ops * MOST_PHASES, sizeof(*command->phases));
    command->temporary = bn_alloc_array(base->host, temporary, sizeof(float));
    if (!command->ops || !command->phases || !command->temporary) {
        cpu_command_destroy(&command->base);
        return bn_fail_memory(err,
                              n_ops * (sizeof(*ops) + MOST_PHASES * sizeof(struct phase)) + temporary * sizeof(float),
                              "a recorded command");
    }
    memcpy(command->ops, ops, n_ops * sizeof(*ops));
    command->slot = bn_span_host(slot);
    for (size_t i = 0; i < n_ops; i++) {
        struct phase *phases = &command->phases[command->n_phases];
        size_t n = bn_cpu_phases(&command->ops[i], phases);
        for (size_t p = 0; p < n; p++) {
            phases[p].op_index = (uint32_t)i;
            phases[p].first = p == 0;
            phases[p].kernels = device->kernels;
            phases[p].workers = device->team->n;
            phases[p].slot = command->slot;
            phases[p].temporary = command->temporary;
            scratch = phases[p].scratch > scratch ? phases[p].scratch : scratch;
        }
        command->n_phases += n;
    }
    pthread_mutex_lock(&device->lock);
    enum bn_result result = bn_team_reserve_scratch(device->team, scratch, err);
    for (size_t i = 0; i < command->n_phases; i++)
        command->phases[i].profile = profile_of(device, command->phases[i].op);
    pthread_mutex_unlock(&device->lock);
    if (result != BN_OK) {
        cpu_command_destroy(&command->base);
        return result;
    }
    *out = &command->base;
    return BN_OK;
}

static enum bn_result cpu_queue_open(struct bn_device *device, struct bn_queue **out, struct bn_error *err)
{
    struct queue *queue = bn_alloc(device->host, sizeof(*queue));
    if (!queue)
        return bn_fail_memory(err, sizeof(*queue), "a queue");
    queue->base.device = device;
    bn_ring_init(&queue->ring);
    if (((struct device *)device)->traced && bn_spans_init(&queue->spans, device->host, err) != BN_OK) {
        bn_free(device->host, queue);
        return BN_ERR_NO_MEMORY;
    }
    *out = &queue->base;
    return BN_OK;
}

static void cpu_queue_close(struct bn_queue *queue)
{
    bn_spans_finish(&((struct queue *)queue)->spans, queue->device->host);
    bn_free(queue->device->host, queue);
}

static enum bn_result cpu_submit(struct bn_queue *base, const struct bn_submission *submission, struct bn_error *err)
{
    struct queue *queue = (struct queue *)base;
    if (!bn_ring_push(&queue->ring, submission))
        return bn_fail(err, BN_ERR_BUSY, "the queue holds %d submissions", BN_RING_CAPACITY);
    atomic_fetch_add_explicit(&((struct device *)base->device)->submissions, 1, memory_order_relaxed);
    return BN_OK;
}

static enum bn_result cpu_poll(struct bn_queue *base, uint64_t *value, struct bn_error *err)
{
    *value = bn_ring_timeline(&((struct queue *)base)->ring);
    return BN_OK;
}

static bool stopped(const struct bn_packet *packet)
{
    return packet->stop && __atomic_load_n(packet->stop, __ATOMIC_RELAXED) == packet->stop_at;
}

// Adds a phase that began at `start` and is over. `together`: all workers took part.
static void add_to_profile(struct device *device, struct queue *queue, const struct bn_packet *packet,
                           const struct phase *phase, uint64_t start, bool together)
{
    struct bn_op_profile *profile = phase->profile;
    uint64_t end = bn_clock_ns(), ns = end - start, work_ns = together ? 0 : ns;
    for (uint32_t i = 0; i < device->team->n && together; i++) {
        work_ns += device->team->workers[i].work_ns;
        device->team->workers[i].work_ns = 0;
    }
    profile->runs += phase->first;
    profile->barriers += together;
    profile->ns += ns;
    profile->alone_ns += together ? 0 : ns;
    profile->work_ns += work_ns;
    if (queue->spans.list)
        bn_spans_push(&queue->spans, &(struct bn_op_span){packet->signal, start, end, phase->op_index, profile->kind,
                                                          profile->rows, profile->cols});
}

static void execute(struct device *device, struct queue *queue, const struct bn_packet *packet)
{
    const struct command *command = (const struct command *)packet->command;
    struct team *team = device->team;
    command->slot->status = BN_SLOT_OK;
    for (size_t i = 0; i < command->n_phases; i++) {
        const struct phase *phase = &command->phases[i];
        if (stopped(packet)) {
            command->slot->status = BN_SLOT_STOPPED;
            command->slot->status_op = phase->op_index;
            return;
        }
        atomic_store_explicit(&device->last_op, phase->op_index, memory_order_relaxed);
        uint32_t items = phase->items(phase), share = items / (team->n * CHUNKS_PER_WORKER);
        uint32_t chunk = phase->chunk ? phase->chunk : share ? share : 1;
        uint64_t start = phase->profile ? bn_clock_ns() : 0;
        bool together = bn_team_run(team, phase, items, bn_cpu_worth_sharing(phase) ? chunk : items);
        if (phase->profile)
            add_to_profile(device, queue, packet, phase, start, together);
    }
}

static enum bn_result cpu_drive(struct bn_queue *base, uint64_t until, struct bn_error *err)
{
    struct device *device = (struct device *)base->device;
    struct queue *queue = (struct queue *)base;
    pthread_mutex_lock(&device->lock);
    while (bn_ring_timeline(&queue->ring) < until) {
        const struct bn_packet *packet = bn_ring_peek(&queue->ring);
        if (!packet)
            break;
        execute(device, queue, packet);
        bn_ring_retire(&queue->ring);
    }
    pthread_mutex_unlock(&device->lock);
    return BN_OK;
}

static void cpu_status(struct bn_device *base, struct bn_device_status *status)
{
    struct device *device = (struct device *)base;
    struct team *team = device->team;
    *status = (struct bn_device_status){
        .submissions = atomic_load(&device->submissions),
        .wakes = atomic_load(&team->go.wakes) + atomic_load(&team->arrived.wakes),
        .last_op = atomic_load(&device->last_op),
    };
    for (uint32_t i = 0; i < team->n; i++)
        status->sleeps += atomic_load(&team->workers[i].spin.sleeps);
}

static enum bn_result cpu_profile(struct bn_device *base, struct bn_op_profile *list, size_t capacity, size_t *count,
                                  struct bn_error *err)
{
    struct device *device = (struct device *)base;
    if (!device->profiles)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, base->info.id, NULL, UINT64_MAX,
                          "the device was opened without the option to measure its ops");
    pthread_mutex_lock(&device->lock);
    *count = device->n_profiles;
    if (capacity > 0)
        memcpy(list, device->profiles, (*count < capacity ? *count : capacity) * sizeof(*list));
    pthread_mutex_unlock(&device->lock);
    return BN_OK;
}

static enum bn_result cpu_take_spans(struct bn_queue *base, struct bn_op_span *list, size_t capacity, size_t *count,
                                     struct bn_error *err)
{
    struct device *device = (struct device *)base->device;
    struct queue *queue = (struct queue *)base;
    if (!queue->spans.list)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, base->device->info.id, NULL, UINT64_MAX,
                          "the device was opened without the option to trace its ops");
    pthread_mutex_lock(&device->lock);
    *count = bn_spans_take(&queue->spans, list, capacity);
    pthread_mutex_unlock(&device->lock);
    return BN_OK;
}

const struct bn_driver bn_driver_cpu = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "cpu",
    .about = "the CPU's own cores",
    .probe = cpu_probe,
    .open = cpu_open,
    .close = cpu_close,
    .caps = cpu_caps,
    .supports = cpu_supports,
    .preferred_layout = cpu_preferred_layout,
    .buffer_create = bn_host_buffer_create,
    .buffer_import = bn_host_buffer_import,
    .buffer_destroy = bn_host_buffer_destroy,
    .record = cpu_record,
    .command_destroy = cpu_command_destroy,
    .queue_open = cpu_queue_open,
    .queue_close = cpu_queue_close,
    .submit = cpu_submit,
    .poll = cpu_poll,
    .drive = cpu_drive,
    .status = cpu_status,
    .profile = cpu_profile,
    .take_spans = cpu_take_spans,
};
