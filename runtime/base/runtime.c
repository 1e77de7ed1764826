#include "runtime/base/runtime.h"

#include "bn_config.h"
#include "runtime/base/fail.h"

const char *bn_version(void)
{
    return BN_VERSION_STRING;
}

enum bn_result bn_runtime_create(const struct bn_runtime_config *config, struct bn_runtime **out, struct bn_error *err)
{
    if (!out)
        return bn_fail(err, BN_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (config && config->size < sizeof(size_t) * 2)
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the configuration is not set; use BN_INIT");
    if (config && config->allocator && (!config->allocator->alloc || !config->allocator->free))
        return bn_fail(err, BN_ERR_ARGUMENT, "an allocator needs both functions");
    struct bn_host host;
    bn_host_init(&host, config);
    struct bn_runtime *runtime = bn_alloc(&host, sizeof(*runtime));
    if (!runtime)
        return bn_fail_memory(err, sizeof(*runtime), "the runtime object");
    runtime->host = host;
    *out = runtime;
    return BN_OK;
}

void bn_runtime_destroy(struct bn_runtime *runtime)
{
    if (!runtime)
        return;
    struct bn_host host = runtime->host;
    bn_free(&host, runtime);
}
