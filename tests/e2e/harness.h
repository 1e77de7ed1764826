// What the end-to-end tests share: the default model, opened on a device in a given way.
#ifndef TESTS_E2E_HARNESS_H
#define TESTS_E2E_HARNESS_H

#include <bitnet/bitnet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/without.h"

// Ends the test with the error's text unless the call succeeds. A build that cannot open the model skips it.
#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != BN_OK)                                                                                           \
            die(__FILE__, __LINE__, &error);                                                                           \
    } while (0)
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("%s:%d: ", __FILE__, __LINE__);                                                                     \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

static struct bn_error error;
static unsigned checks, failures;

static inline void die(const char *file, int line, const struct bn_error *e)
{
    printf("%s:%d: %s: %s %s: %s\n", file, line, bn_result_name(e->code), e->file, e->subject, e->message);
    exit(e->code == BN_ERR_UNSUPPORTED && without_pcre2() ? 77 : 1);
}

// Exit code of the program: a test that checked nothing has failed.
static inline int finish(void)
{
    printf("%u checks, %u failed\n", checks, failures);
    return checks == 0 || failures > 0;
}

struct rig {
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_device *device;
    struct bn_engine *engine;
    uint32_t n_vocab;
};

struct rig_options {
    const char *model;  // path; NULL: the default model
    const char *device; // NULL: cpu
    const char *isa;
    const char *fault;
    uint32_t threads;
    struct bn_engine_config engine;
};

static inline struct rig rig_open(const struct rig_options *options)
{
    struct rig rig = {0};
    char path[4096];
    const char *models = getenv("BITNET_TEST_MODELS");
    snprintf(path, sizeof(path), "%s/stories.gguf", models ? models : "models");
    MUST(bn_runtime_create(NULL, &rig.runtime, &error));
    MUST(bn_model_open(rig.runtime, options->model ? options->model : path, NULL, &rig.model, &error));
    struct bn_device_options device;
    BN_INIT(device);
    device.isa = options->isa;
    device.threads = options->threads;
    device.fault = options->fault;
    MUST(bn_device_open(rig.runtime, options->device ? options->device : "cpu", &device, &rig.device, &error));
    struct bn_engine_config config = options->engine;
    config.size = sizeof(config);
    MUST(bn_engine_create(rig.runtime, rig.model, rig.device, &config, &rig.engine, &error));
    rig.n_vocab = bn_model_get_info(rig.model)->n_vocab;
    return rig;
}

static inline void rig_close(struct rig *rig)
{
    bn_engine_destroy(rig->engine);
    bn_device_close(rig->device);
    bn_model_destroy(rig->model);
    bn_runtime_destroy(rig->runtime);
}

#endif
