#include "bench/rig.h"

#include "common/fail.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, LARGE = 2 << 20 };

// Memory in pages of 4 KiB, whatever the library would ask for.
static void *alloc_small_pages(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    bool large = bytes >= LARGE;
    if (posix_memalign(&memory, large && align < PAGE ? PAGE : align, bytes) != 0)
        return NULL;
    if (large)
        madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

// What the C library keeps for itself goes back in its usual state.
static void free_small_pages(void *user, void *memory)
{
    free(memory);
}

int rig_open_device(struct rig *rig, const struct bench *bench, uint32_t threads, enum pages pages)
{
    static const struct bn_allocator small_pages = {alloc_small_pages, free_small_pages, NULL};
    struct bn_runtime_config config;
    struct bn_device_options options;
    struct bn_error err = {0};
    *rig = (struct rig){.huge_share = NAN};
    BN_INIT(config);
    config.allocator = pages == PAGES_SMALL ? &small_pages : NULL;
    if (bn_runtime_create(&config, &rig->runtime, &err))
        return tool_fail(PROGRAM, &err, NULL);
    BN_INIT(options);
    options.threads = threads;
    options.wait = bench->settings.wait ? BN_WAIT_SPIN : BN_WAIT_SLEEP;
    options.packing = (enum bn_packing)bench->settings.packing;
    options.isa = bench->settings.isa;
    options.profile = bench->settings.breakdown;
    options.trace = bench->trace != NULL;
    rig->trace = bench->trace;
    if (bn_device_open(rig->runtime, bench->device, &options, &rig->device, &err))
        return tool_fail_device(PROGRAM, &err, NULL);
    return 0;
}

int rig_open_model(struct rig *rig, const struct bench *bench)
{
    struct bn_model_options options;
    struct bn_error err = {0};
    BN_INIT(options);
    int order = bench->settings.i2s_layout; // each order has two names
    options.i2s_order = (enum bn_i2s_order)(order > BN_I2S_C ? order - BN_I2S_C : order);
    options.activation = (enum bn_activation)bench->settings.activation;
    return bn_model_open(rig->runtime, bench->model_path, &options, &rig->model, &err) ? tool_fail(PROGRAM, &err, NULL)
                                                                                       : 0;
}

int rig_open_engine(struct rig *rig, const struct bn_engine_config *config)
{
    struct bn_error err = {0};
    uint64_t before = machine_huge_bytes(NULL);
    if (bn_engine_create(rig->runtime, rig->model, rig->device, config, &rig->engine, &err))
        return tool_fail_device(PROGRAM, &err,
                                config->kv_type && err.code == BN_ERR_UNSUPPORTED
                                    ? "--cache-type f16 works on every device"
                                    : "fewer --sessions or a smaller --depth need less memory");
    bn_engine_set_trace(rig->engine, rig->trace);
    uint64_t after = machine_huge_bytes(NULL);
    BN_INIT(rig->stats);
    bn_engine_get_stats(rig->engine, &rig->stats);
    double copied = (double)rig->stats.weight_bytes_copied, streamed = (double)rig->stats.layer_bytes;
    if (copied > streamed / 2)
        rig->huge_share = after > before ? fmin(1, (double)(after - before) / copied) : 0;
    return 0;
}

int rig_open_sessions(struct rig *rig, size_t n)
{
    struct bn_error err = {0};
    rig->sessions = calloc(n, sizeof *rig->sessions);
    if (!rig->sessions) {
        tool_say(PROGRAM, "out of memory");
        return TOOL_EXIT_RESOURCE;
    }
    for (; rig->n_sessions < n; rig->n_sessions++) {
        if (bn_session_create(rig->engine, NULL, &rig->sessions[rig->n_sessions], &err))
            return tool_fail_device(PROGRAM, &err, NULL);
    }
    return 0;
}

void rig_close_sessions(struct rig *rig)
{
    while (rig->n_sessions > 0)
        bn_session_destroy(rig->sessions[--rig->n_sessions]);
    free(rig->sessions);
    rig->sessions = NULL;
}

void rig_close_engine(struct rig *rig)
{
    rig_close_sessions(rig);
    bn_engine_destroy(rig->engine);
    rig->engine = NULL;
}

void rig_close(struct rig *rig)
{
    rig_close_engine(rig);
    bn_device_close(rig->device);
    bn_model_destroy(rig->model);
    bn_runtime_destroy(rig->runtime);
    *rig = (struct rig){0};
}
