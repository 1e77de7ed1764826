#include <inttypes.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/engine/engine_impl.h"
#include "runtime/graph/rope.h"
#include "runtime/layout/layout.h"

enum {
    DEFAULT_BATCH = 512,
    MOST_BY_DEFAULT = 32768, // a number in a file must not reserve all memory
    MAX_POSITIONS = 1 << 24,
    MAX_SESSIONS = 1 << 16,
    MAX_BATCH = 1 << 16,
    FIRST_CHUNK = 64, // rows, on a device whose speed is not known yet
    COPY_FROM = 64 << 20
};

static enum bn_result fill_in_config(struct bn_engine_config *config, const struct bn_model_info *info,
                                     struct bn_error *err)
{
    if (config->n_ctx == 0)
        config->n_ctx = info->n_ctx_train < MOST_BY_DEFAULT ? info->n_ctx_train : MOST_BY_DEFAULT;
    if (config->n_sessions == 0)
        config->n_sessions = 1;
    if (config->n_batch == 0)
        config->n_batch = DEFAULT_BATCH;
    if (config->n_batch > config->n_ctx && config->n_sessions == 1)
        config->n_batch = config->n_ctx;
    if (config->n_outputs == 0)
        config->n_outputs = config->n_sessions;
    if (config->n_sessions > MAX_SESSIONS || config->n_batch > MAX_BATCH)
        return bn_fail(err, BN_ERR_ARGUMENT, "at most %d sessions and %d rows in a batch", MAX_SESSIONS, MAX_BATCH);
    if (config->n_positions == 0) {
        uint64_t pages = ((uint64_t)config->n_ctx + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS;
        uint64_t positions = pages * BN_PAGE_POSITIONS * config->n_sessions;
        config->n_positions = positions < UINT32_MAX ? (uint32_t)positions : UINT32_MAX;
    }
    if (config->kv_type > BN_KV_INT8)
        return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, "kv_type", UINT64_MAX, "no such type of the KV cache");
    if (config->n_ctx > MAX_POSITIONS || config->n_positions > MAX_POSITIONS)
        return bn_fail(err, BN_ERR_ARGUMENT, "a context or KV pool of more than %d positions", MAX_POSITIONS);
    return BN_OK;
}

static uint32_t widest_input(const struct bn_model *model)
{
    uint32_t heads = model->info.n_head * model->info.head_dim, widest = model->info.n_embd;
    widest = heads > widest ? heads : widest;
    return model->info.n_ff > widest ? model->info.n_ff : widest;
}

// Lays out the activations that stay on the device in one buffer, and what the host reads in another. Called twice: without
// buffers to learn the sizes, then with them.
static void lay_out_activations(struct bn_engine *engine, uint64_t *work, uint64_t *results)
{
    const struct bn_model_info *info = &engine->model->info;
    struct bn_activations *a = &engine->activations;
    uint64_t rows = engine->config.n_batch, f32 = sizeof(float);
    uint64_t outputs = engine->sched.limits.outputs, planes = engine->model->planes;
    const struct bn_layer *layer = &engine->model->layers[0]; // all have the same parts
    bool embeds = engine->model->pools_last;
    const struct {
        struct bn_span *span;
        uint64_t bytes;
        bool read;
    } parts[] = {
        {&a->x, rows * info->n_embd * f32},
        {&a->q, rows * info->n_head * info->head_dim * f32},
        {&a->attended, rows * info->n_head * info->head_dim * f32},
        {&a->hidden, rows * info->n_ff * f32},
        {&a->quantised, rows * planes * bn_padded_cols(widest_input(engine->model))},
        {&a->scales, rows * planes * sizeof(struct bn_row_scale)},
        {&a->normed, layer->post_ffw_norm || layer->attn_q_norm_in || engine->model->hadamard.block
                         ? rows * info->n_embd * f32
                         : 0},
        {&a->k, layer->attn_q_norm_in ? rows * info->n_head_kv * info->head_dim * f32 : 0},
        {&a->v, layer->attn_q_norm_in ? rows * info->n_head_kv * info->head_dim * f32 : 0},
        {&a->up, layer->attn_q_norm_in ? rows * info->n_ff * f32 : 0},
        {&a->final, outputs * info->n_embd * f32, embeds},
        {&a->logits, embeds ? 0 : (uint64_t)engine->config.n_outputs * info->n_vocab * f32, true},
        {&a->tops, engine->scan.rows.buffer ? BN_TOP_OUTPUTS * sizeof(struct bn_top) : 0, true},
    };
    *work = *results = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t *at = parts[i].read ? results : work;
        *parts[i].span = (struct bn_span){parts[i].read ? engine->results : engine->work, *at, parts[i].bytes};
        *at += (parts[i].bytes + 255) / 256 * 256;
    }
}

// Bytes of one table of RoPE; models with a window have two.
static uint64_t rope_bytes(const struct bn_engine *engine)
{
    return (uint64_t)engine->config.n_ctx * engine->model->info.head_dim * sizeof(float);
}

static void fill_rope(const struct bn_engine *engine, float *table)
{
    const struct bn_model *model = engine->model;
    uint32_t dim = model->info.head_dim, positions = engine->config.n_ctx;
    bn_rope_fill(&model->rope, dim, positions, table);
    if (model->window)
        bn_rope_fill(&model->local_rope, dim, positions, table + (size_t)positions * dim);
}

static enum bn_result create_rope(struct bn_engine *engine, struct bn_error *err)
{
    uint64_t bytes = rope_bytes(engine) * (engine->model->window ? 2 : 1);
    enum bn_result result = bn_buffer_create_local(engine->device, bytes, &engine->rope, err);
    if (result != BN_OK)
        return result;
    float *own = engine->rope->host ? NULL : bn_alloc(engine->host, bytes); // where the host does not reach it
    float *table = engine->rope->host ? engine->rope->host : own;
    if (!table)
        return bn_fail_memory(err, bytes, "the table of RoPE angles");
    fill_rope(engine, table);
    if (own)
        result = bn_buffer_write(engine->device, engine->rope, 0, own, bytes, err);
    bn_free(engine->host, own);
    return result;
}

static uint64_t kv_page_bytes(const struct bn_engine *engine)
{
    const struct bn_model_info *info = &engine->model->info;
    return bn_kv_page_bytes(info->n_layer, info->n_head_kv, info->head_dim, engine->config.kv_type);
}

static enum bn_result create_buffers(struct bn_engine *engine, struct bn_error *err)
{
    uint64_t page = kv_page_bytes(engine);
    uint64_t work, results;
    lay_out_activations(engine, &work, &results);
    enum bn_result result = bn_buffer_create_local(engine->device, page * engine->pages.n, &engine->kv, err);
    if (result == BN_OK)
        result = bn_buffer_create_local(engine->device, work, &engine->work, err);
    if (result == BN_OK)
        result = bn_buffer_create(engine->device, results, &engine->results, err);
    if (result == BN_OK)
        result = create_rope(engine, err);
    lay_out_activations(engine, &work, &results);
    return result;
}

static enum bn_result create_sched(struct bn_engine *engine, const struct bn_slot_limits *limits, struct bn_error *err)
{
    struct bn_plan_config plan = {
        .device = engine->device,
        .model = engine->model,
        .placement = &engine->placement,
        .scan = &engine->scan,
        .activations = engine->activations,
        .kv = {engine->kv, 0, engine->kv->size},
        .kv_type = engine->config.kv_type,
        .rope = {engine->rope, 0, rope_bytes(engine)},
        .local_rope = {engine->rope, engine->model->window ? rope_bytes(engine) : 0, rope_bytes(engine)},
        .positions = engine->config.n_ctx,
    };
    return bn_sched_init(&engine->sched, engine->device, &plan, limits, err);
}

static bool wants_scan(const struct bn_engine *engine)
{
    const struct bn_tensor *head = engine->model->output;
    if (engine->model->pools_last)
        return false;
    return engine->config.head == BN_HEAD_SCAN ||
           (engine->config.head == BN_HEAD_AUTO && engine->config.n_outputs <= BN_TOP_OUTPUTS &&
            bn_layout_bytes(head->layout, head->rows, head->cols) >= BN_SCAN_FROM);
}

// Whether weights that could be read in place are copied: bn_load.
static bool copies_weights(const struct bn_engine *engine)
{
    enum bn_load_mode load = engine->config.load != BN_LOAD_AUTO ? engine->config.load : engine->device->load;
    if (load != BN_LOAD_AUTO || engine->device->info.kind != BN_DEVICE_CPU)
        return load == BN_LOAD_COPY;
    uint64_t total, available, bytes = engine->model->info.bytes;
    bn_memory_info(&total, &available);
    return bytes >= COPY_FROM && available / 4 >= bytes;
}

static enum bn_result place(struct bn_engine *engine, struct bn_error *err)
{
    const struct bn_engine_config *config = &engine->config;
    bool copy = copies_weights(engine);
    struct bn_slot_limits limits = {
        .rows = config->n_batch,
        .seqs = config->n_sessions,
        .pages = engine->pages_per_session * config->n_sessions,
        .outputs = config->n_outputs < config->n_batch ? config->n_outputs : config->n_batch,
        .copies = config->n_sessions,
    };
    engine->sched.limits = limits;
    bool own_thread = engine->device->driver->drive != NULL;
    engine->chunk_rows = own_thread || config->n_batch < FIRST_CHUNK ? config->n_batch : FIRST_CHUNK;
    enum bn_result result = bn_placement_init(&engine->placement, engine->model, engine->device, copy, err);
    if (result == BN_OK && wants_scan(engine))
        result = bn_scan_init(&engine->scan, engine->model, engine->device, &engine->placement, copy, err);
    if (result == BN_OK)
        result = create_buffers(engine, err);
    if (result == BN_OK)
        result = create_sched(engine, &limits, err);
    return result;
}

// Releases what `place` made, all or a part of it.
static void leave(struct bn_engine *engine)
{
    bn_sched_finish(&engine->sched);
    struct bn_buffer **buffers[] = {&engine->kv, &engine->work, &engine->results, &engine->rope};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        bn_buffer_destroy(*buffers[i]);
        *buffers[i] = NULL;
    }
    bn_scan_finish(&engine->scan);
    bn_placement_finish(&engine->placement);
    memset(&engine->activations, 0, sizeof(engine->activations));
    engine->device = NULL;
}

// Counts of the device that the engine is on, and of those before.
static void count(const struct bn_engine *engine, struct bn_engine_stats *stats)
{
    struct bn_device_status device = {0};
    if (engine->device)
        bn_device_get_status(engine->device, &device);
    const struct bn_queue *queue = engine->sched.queue;
    stats->steps = engine->past.steps + atomic_load(&engine->sched.steps);
    stats->records = engine->past.records + engine->sched.records;
    stats->sleeps = engine->past.sleeps + device.sleeps + (queue ? __atomic_load_n(&queue->naps, __ATOMIC_RELAXED) : 0);
    stats->wakes = engine->past.wakes + device.wakes;
}

static enum bn_result build(struct bn_engine *engine, struct bn_error *err)
{
    struct bn_engine_config *config = &engine->config;
    enum bn_result result = fill_in_config(config, &engine->model->info, err);
    if (result != BN_OK)
        return result;
    engine->pages_per_session = (config->n_ctx + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS;
    uint32_t n_vocab = engine->model->info.n_vocab;
    uint32_t pages = (config->n_positions + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS;
    result = bn_pages_init(&engine->pages, engine->host, pages, err);
    engine->copies = bn_alloc_array(engine->host, config->n_sessions, sizeof(*engine->copies));
    engine->adjusted = bn_alloc_array(engine->host, n_vocab, sizeof(*engine->adjusted));
    engine->adjusted_list = bn_alloc_array(engine->host, BN_TOP_MOST, sizeof(*engine->adjusted_list));
    engine->candidates = bn_alloc_array(engine->host, n_vocab, sizeof(*engine->candidates));
    if (result == BN_OK && (!engine->copies || !engine->adjusted || !engine->adjusted_list || !engine->candidates))
        result = bn_fail_memory(err, n_vocab * sizeof(*engine->candidates), "the sampler");
    return result == BN_OK ? place(engine, err) : result;
}

enum bn_result bn_engine_create(struct bn_runtime *runtime, struct bn_model *model, struct bn_device *device,
                                const struct bn_engine_config *config, struct bn_engine **out, struct bn_error *err)
{
    if (!runtime || !model || !device || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime, model, device or out is NULL");
    *out = NULL;
    if (config && config->size != sizeof(*config))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the configuration is not set; use BN_INIT");
    if (!model->layers)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, model->map.name, NULL, UINT64_MAX,
                          "the model was opened for its vocabulary only");
    struct bn_engine *engine = bn_alloc(&runtime->host, sizeof(*engine));
    if (!engine)
        return bn_fail_memory(err, sizeof(*engine), "an engine");
    engine->host = &runtime->host;
    engine->model = model;
    engine->device = device;
    pthread_mutex_init(&engine->placing, NULL);
    BN_INIT(engine->config);
    if (config)
        engine->config = *config;
    enum bn_result result = build(engine, err);
    if (result != BN_OK) {
        bn_engine_destroy(engine);
        return result;
    }
    for (uint32_t id = 0; id < model->info.n_vocab; id++)
        engine->n_ends += bn_token_is_end(bn_model_get_tokenizer(model), (int32_t)id);
    *out = engine;
    return BN_OK;
}

void bn_engine_destroy(struct bn_engine *engine)
{
    if (!engine)
        return;
    leave(engine);
    pthread_mutex_destroy(&engine->placing);
    bn_pages_finish(&engine->pages, engine->host);
    bn_free(engine->host, engine->copies);
    bn_free(engine->host, engine->adjusted);
    bn_free(engine->host, engine->adjusted_list);
    bn_free(engine->host, engine->candidates);
    bn_free(engine->host, engine);
}

void bn_engine_detach(struct bn_engine *engine)
{
    if (!engine->device)
        return;
    pthread_mutex_lock(&engine->placing);
    count(engine, &engine->past);
    leave(engine);
    pthread_mutex_unlock(&engine->placing);
    for (struct bn_session *session = engine->sessions; session; session = session->next)
        session->computed = 0;
}

enum bn_result bn_engine_attach(struct bn_engine *engine, struct bn_device *device, struct bn_error *err)
{
    if (!engine || !device)
        return bn_fail(err, BN_ERR_ARGUMENT, "engine or device is NULL");
    bn_engine_detach(engine);
    pthread_mutex_lock(&engine->placing);
    engine->device = device;
    enum bn_result result = place(engine, err);
    if (result != BN_OK)
        leave(engine);
    pthread_mutex_unlock(&engine->placing);
    return result;
}

struct bn_device *bn_engine_get_device(const struct bn_engine *engine)
{
    return engine->device;
}

void bn_engine_set_recovery(struct bn_engine *engine,
                            enum bn_result (*recover)(void *user, struct bn_engine *engine, const struct bn_error *lost,
                                                      struct bn_error *err),
                            void *user)
{
    engine->recover = recover;
    engine->recover_user = user;
}

const struct bn_engine_config *bn_engine_get_config(const struct bn_engine *engine)
{
    return &engine->config;
}

struct bn_model *bn_engine_get_model(const struct bn_engine *engine)
{
    return engine->model;
}

void bn_engine_get_stats(const struct bn_engine *engine, struct bn_engine_stats *stats)
{
    pthread_mutex_t *placing = (pthread_mutex_t *)(uintptr_t)&engine->placing; // nothing else is written
    pthread_mutex_lock(placing);
    *stats = (struct bn_engine_stats){
        .size = sizeof(*stats),
        .rows = atomic_load(&engine->rows),
        .outputs = atomic_load(&engine->outputs),
        .scanned = atomic_load(&engine->scanned),
        .rescored = atomic_load(&engine->rescored),
        .scan_bytes = engine->scan.rows.size + engine->scan.info.size,
        .weight_bytes_imported = engine->placement.imported_bytes,
        .weight_bytes_copied = engine->placement.copied_bytes,
        .layer_bytes = engine->placement.layer_bytes,
        .head_bytes = engine->placement.head.data.size,
        .kv_position_bytes = kv_page_bytes(engine) / BN_PAGE_POSITIONS,
        .head = bn_layout_name(engine->placement.head.layout),
        .kv_bytes = engine->kv ? engine->kv->size : 0,
        .work_bytes = engine->kv ? engine->work->size + engine->results->size + engine->rope->size : 0,
        .pages_total = engine->pages.n,
        .pages_used = engine->pages.n - engine->pages.n_free,
        .wait_ns = atomic_load(&engine->wait_ns),
        .recoveries = atomic_load(&engine->recoveries),
        .restored_rows = atomic_load(&engine->restored),
    };
    count(engine, stats);
    pthread_mutex_unlock(placing);
}
