// Memory that is counted, so that a test sees what was lost; and the runtime and model that use it.
#ifndef TESTS_E2E_COUNTING_H
#define TESTS_E2E_COUNTING_H

#include "tests/e2e/harness.h"

static struct bn_runtime *runtime;
static struct bn_model *model;
static long allocated;

static void *counting_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    if (posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    __atomic_add_fetch(&allocated, 1, __ATOMIC_RELAXED);
    return memory;
}

static void counting_free(void *user, void *memory)
{
    __atomic_sub_fetch(&allocated, 1, __ATOMIC_RELAXED);
    free(memory);
}

static inline void open_counted(void)
{
    static const struct bn_allocator allocator = {counting_alloc, counting_free, NULL};
    struct bn_runtime_config config;
    BN_INIT(config);
    config.allocator = &allocator;
    MUST(bn_runtime_create(&config, &runtime, &error));
    char path[4096];
    snprintf(path, sizeof(path), "%s/stories.gguf", getenv("BITNET_TEST_MODELS"));
    MUST(bn_model_open(runtime, path, NULL, &model, &error));
}

static inline int close_counted(void)
{
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    CHECK(allocated == 0, "%ld allocations were lost", allocated);
    return finish();
}

#endif
