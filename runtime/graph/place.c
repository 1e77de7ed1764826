#include "runtime/graph/place.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/layout/layout.h"

// Bytes: of copies, and of what is used in place.
enum { ALIGNMENT = 256, LEAST_ALIGNMENT = 16, TENSORS_PER_LAYER = 22 };

// One tensor's place: where it comes from, in which layout it is wanted, and who wants to know.
struct wish {
    const struct bn_tensor *tensor;
    enum bn_layout layout;
    uint64_t bytes, scale_bytes;
    bool in_place;
    uint64_t offset; // in the buffer of copies, if not in place; scales come after the data
};

// A tensor to be copied, and where its scale goes; NULL: nowhere.
struct job {
    struct wish wish;
    float *scale;
};

struct placer {
    struct bn_placement *placement;
    const struct bn_model *model;
    struct bn_device *device;
    bool copy;
    uint64_t copied; // bytes of the buffer of copies so far
    bool writing;    // second pass: the buffers exist
    struct job *jobs;
    size_t n_jobs;
    pthread_mutex_t lock; // of the device, and of the first failure among the jobs
    enum bn_result result;
    uint64_t failed;
    struct bn_error *err;
};

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

// What the device is asked about: a layout with the scales that it must keep, unless it reads the file's layout itself.
static enum bn_layout layout_asked(const struct placer *placer, const struct bn_tensor *tensor, enum bn_op_kind kind)
{
    return bn_device_supports(placer->device, kind, tensor->layout) ? tensor->layout : tensor->as;
}

// Decides where the tensor goes; the same answer in both passes.
static enum bn_result plan_wish(struct placer *placer, struct wish *wish, enum bn_op_kind kind)
{
    const struct bn_tensor *tensor = wish->tensor;
    wish->layout = tensor->layout;
    if (kind != BN_OP_COUNT) {
        enum bn_result result = bn_device_preferred_layout(placer->device, kind, layout_asked(placer, tensor, kind),
                                                           &wish->layout, placer->err);
        if (result != BN_OK)
            return result;
    }
    wish->bytes = bn_layout_bytes(wish->layout, tensor->rows, tensor->cols);
    if (wish->bytes == 0)
        return bn_fail_at(placer->err, BN_ERR_UNSUPPORTED, placer->model->map.name, tensor->name, tensor->offset,
                          "shape %u x %u does not fit layout %s", tensor->rows, tensor->cols,
                          bn_layout_get(wish->layout)->name);
    bool matrix = kind == BN_OP_MATMUL || kind == BN_OP_QKV || kind == BN_OP_GATE_UP;
    wish->in_place = placer->placement->imported && !tensor->widened && wish->layout == tensor->layout &&
                     !(placer->copy && matrix) &&
                     (uint64_t)(tensor->data - placer->model->map.data) % LEAST_ALIGNMENT == 0;
    wish->scale_bytes = tensor->rows * bn_layout_scales(wish->layout, tensor->cols) * sizeof(float);
    if (!wish->in_place) {
        wish->offset = placer->copied;
        placer->copied += aligned(wish->bytes) + aligned(wish->scale_bytes);
    }
    return BN_OK;
}

// `bytes` of host memory to the buffer of copies. Devices take one at a time.
static enum bn_result upload(struct placer *placer, uint64_t offset, const uint8_t *data, uint64_t bytes,
                             struct bn_error *err)
{
    struct bn_buffer *buffer = placer->placement->copied;
    if (buffer->host) {
        memcpy((uint8_t *)buffer->host + offset, data, bytes);
        return BN_OK;
    }
    uint64_t whole = bytes / 4 * 4;
    uint8_t last[4] = {0};
    memcpy(last, data + whole, bytes - whole);
    pthread_mutex_lock(&placer->lock);
    enum bn_result result = bn_buffer_write(placer->device, buffer, offset, data, whole, err);
    if (result == BN_OK && whole < bytes)
        result = bn_buffer_write(placer->device, buffer, offset + whole, last, 4, err);
    pthread_mutex_unlock(&placer->lock);
    return result;
}

// To the buffer of copies; *scale is the tensor's there.
static enum bn_result copy_tensor(struct placer *placer, const struct wish *wish, float *scale, struct bn_error *err)
{
    const struct bn_tensor *tensor = wish->tensor;
    struct bn_buffer *buffer = placer->placement->copied;
    if (wish->layout == tensor->layout)
        return upload(placer, wish->offset, tensor->data, wish->bytes, err);
    const struct bn_host *host = placer->placement->host;
    uint64_t total = aligned(wish->bytes) + aligned(wish->scale_bytes);
    uint8_t *own = buffer->host ? NULL : bn_alloc(host, total); // where the host does not reach the buffer
    uint8_t *target = buffer->host ? (uint8_t *)buffer->host + wish->offset : own;
    if (!target)
        return bn_fail_memory(err, total, "a repacked matrix");
    struct bn_error inner;
    memset(&inner, 0, sizeof(inner));
    const struct bn_matrix from = bn_tensor_matrix(tensor);
    struct bn_repacked to = {.layout = wish->layout, .data = target};
    to.scales = wish->scale_bytes ? (float *)(void *)(target + aligned(wish->bytes)) : NULL;
    enum bn_result result = bn_repack(host, &from, &to, BN_REPACK_EXACT, &inner);
    if (result != BN_OK)
        result = bn_fail_at(err, result, placer->model->map.name, tensor->name, tensor->offset, "%s", inner.message);
    else if (own)
        result = upload(placer, wish->offset, own, total, err);
    bn_free(host, own);
    if (scale && tensor->rule == 0)
        *scale = to.scale;
    return result;
}

static void run_jobs(void *context, uint64_t begin, uint64_t end)
{
    struct placer *placer = context;
    for (uint64_t i = begin; i < end; i++) {
        const struct job *job = &placer->jobs[i];
        const struct bn_tensor *tensor = job->wish.tensor;
        struct bn_error err = {0};
        enum bn_result result = copy_tensor(placer, &job->wish, job->scale, &err);
        bn_file_map_release(&placer->model->map, (uint64_t)(tensor->data - placer->model->map.data), tensor->bytes);
        if (result == BN_OK)
            continue;
        pthread_mutex_lock(&placer->lock);
        if (placer->result == BN_OK || i < placer->failed) {
            placer->result = result;
            placer->failed = i;
            if (placer->err)
                *placer->err = err;
        }
        pthread_mutex_unlock(&placer->lock);
    }
}

static enum bn_result place(struct placer *placer, const struct bn_tensor *tensor, enum bn_op_kind kind,
                            struct bn_span *span, struct bn_weight *weight)
{
    if (!tensor)
        return BN_OK;
    struct wish wish = {.tensor = tensor};
    enum bn_result result = plan_wish(placer, &wish, kind);
    if (result != BN_OK || !placer->writing)
        return result;
    if (wish.in_place) {
        *span = (struct bn_span){placer->placement->imported, (uint64_t)(tensor->data - placer->model->map.data),
                                 wish.bytes};
        placer->placement->imported_bytes += wish.bytes;
    } else {
        *span = (struct bn_span){placer->placement->copied, wish.offset, wish.bytes};
        placer->placement->copied_bytes += wish.bytes + wish.scale_bytes;
        placer->jobs[placer->n_jobs++] = (struct job){wish, weight ? &weight->scale : NULL};
        if (weight && wish.scale_bytes)
            weight->scales = (struct bn_span){span->buffer, wish.offset + aligned(wish.bytes), wish.scale_bytes};
    }
    if (tensor != placer->model->token_embd && tensor != placer->model->output)
        placer->placement->layer_bytes += wish.bytes + wish.scale_bytes;
    if (weight) {
        weight->layout = wish.layout;
        weight->rows = tensor->rows;
        weight->cols = tensor->cols;
        weight->scale = tensor->scale; // unless a job finds another
    }
    return result;
}

static enum bn_result place_weight(struct placer *placer, const struct bn_tensor *tensor, enum bn_op_kind kind,
                                   struct bn_weight *weight)
{
    return place(placer, tensor, kind, &weight->data, weight);
}

static enum bn_result place_layer(struct placer *placer, const struct bn_layer *from, struct bn_placed_layer *to)
{
    const struct {
        const struct bn_tensor *tensor;
        enum bn_op_kind kind;
        struct bn_weight *weight;
    } weights[] = {
        {from->attn_q, BN_OP_QKV, &to->q},          {from->attn_k, BN_OP_QKV, &to->k},
        {from->attn_v, BN_OP_QKV, &to->v},          {from->attn_output, BN_OP_MATMUL, &to->o},
        {from->ffn_gate, BN_OP_GATE_UP, &to->gate}, {from->ffn_up, BN_OP_GATE_UP, &to->up},
        {from->ffn_down, BN_OP_MATMUL, &to->down},
    };
    const struct {
        const struct bn_tensor *tensor;
        struct bn_span *span;
    } norms[] = {
        {from->attn_norm, &to->attn_norm},
        {from->attn_sub_norm, &to->attn_sub_norm},
        {from->ffn_norm, &to->ffn_norm},
        {from->ffn_sub_norm, &to->ffn_sub_norm},
        {from->attn_q_norm, &to->q_norm},
        {from->attn_k_norm, &to->k_norm},
        {from->post_attention_norm, &to->attn_post_norm},
        {from->post_ffw_norm, &to->ffn_post_norm},
        {from->attn_q_norm_in, &to->q_in_norm},
        {from->attn_k_norm_in, &to->k_in_norm},
        {from->attn_v_norm_in, &to->v_in_norm},
        {from->attn_output_norm_in, &to->o_in_norm},
        {from->ffn_gate_norm_in, &to->gate_in_norm},
        {from->ffn_up_norm_in, &to->up_in_norm},
        {from->ffn_down_norm_in, &to->down_in_norm},
    };
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]) && result == BN_OK; i++)
        result = place_weight(placer, weights[i].tensor, weights[i].kind, weights[i].weight);
    for (size_t i = 0; i < sizeof(norms) / sizeof(norms[0]) && result == BN_OK; i++)
        result = place(placer, norms[i].tensor, BN_OP_COUNT, norms[i].span, NULL);
    return result;
}

static enum bn_result place_all(struct placer *placer)
{
    struct bn_placement *placement = placer->placement;
    const struct bn_model *model = placer->model;
    placer->copied = 0;
    enum bn_result result = place_weight(placer, model->token_embd, BN_OP_EMBED, &placement->embed);
    if (result == BN_OK && model->output != model->token_embd)
        result = place_weight(placer, model->output, BN_OP_HEAD, &placement->head);
    if (result == BN_OK)
        result = place(placer, model->output_norm, BN_OP_COUNT, &placement->output_norm, NULL);
    for (uint32_t i = 0; i < model->hadamard.n_signs && result == BN_OK; i++)
        result = place(placer, &model->hadamard.signs[i], BN_OP_COUNT, &placement->signs[i], NULL);
    for (uint32_t i = 0; i < model->info.n_layer && result == BN_OK; i++)
        result = place_layer(placer, &model->layers[i], &placement->layers[i]);
    return result;
}

// The second pass, then the copies, on all CPUs.
static enum bn_result write_all(struct placer *placer)
{
    size_t most = 3 + BN_MOST_SIGNS + (size_t)placer->model->info.n_layer * TENSORS_PER_LAYER;
    placer->writing = true;
    placer->jobs = bn_alloc_array(placer->placement->host, most, sizeof(*placer->jobs));
    if (!placer->jobs)
        return bn_fail_memory(placer->err, most * sizeof(*placer->jobs), "the list of tensors to be copied");
    enum bn_result result = place_all(placer);
    if (result == BN_OK) {
        pthread_mutex_init(&placer->lock, NULL);
        bn_parallel(placer->n_jobs, run_jobs, placer);
        pthread_mutex_destroy(&placer->lock);
        result = placer->result;
    }
    if (placer->model->output == placer->model->token_embd)
        placer->placement->head = placer->placement->embed;
    bn_free(placer->placement->host, placer->jobs);
    return result;
}

enum bn_result bn_placement_init(struct bn_placement *placement, const struct bn_model *model, struct bn_device *device,
                                 bool copy, struct bn_error *err)
{
    memset(placement, 0, sizeof(*placement));
    placement->host = device->host;
    placement->layers = bn_alloc_array(device->host, model->info.n_layer, sizeof(*placement->layers));
    if (!placement->layers)
        return bn_fail_memory(err, model->info.n_layer * sizeof(*placement->layers), "the layers' weights");
    union {
        const uint8_t *in;
        void *out;
    } file = {model->map.data}; // import takes what a device might write to; weights are only read
    enum bn_result result = bn_buffer_import(device, file.out, model->map.size, &placement->imported, err);
    if (result != BN_OK && result != BN_ERR_UNSUPPORTED)
        goto fail;

    struct placer placer = {.placement = placement, .model = model, .device = device, .copy = copy, .err = err};
    result = place_all(&placer); // first pass: how much must be copied
    if (result == BN_OK && placer.copied > 0)
        result = bn_buffer_create_local(device, placer.copied, &placement->copied, err);
    if (result == BN_OK)
        result = write_all(&placer);
    if (result == BN_OK)
        return BN_OK;
fail:
    bn_placement_finish(placement);
    return result;
}

void bn_placement_finish(struct bn_placement *placement)
{
    if (!placement->host)
        return;
    bn_buffer_destroy(placement->imported);
    bn_buffer_destroy(placement->copied);
    bn_free(placement->host, placement->layers);
    memset(placement, 0, sizeof(*placement));
}
