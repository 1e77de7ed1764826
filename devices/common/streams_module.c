// Code: loaded, and by CUDA's driver finished, when a command first needs it.
#include <stdio.h>
#include <string.h>

#include "devices/common/streams.h"
#include "devices/common/unpack.h"

enum { JIT_ERROR_LOG = 5, JIT_ERROR_LOG_BYTES = 6, LOG_BYTES = 4096 };

struct bn_streams_module {
    struct bn_streams_module *next;
    const struct bn_streams_image *image;
    void *handle;
};

static const struct bn_streams_image *find_image(const struct bn_streams_device *device, const char *name)
{
    for (const struct bn_streams_image *image = device->vendor->images; image->data; image++)
        if ((!image->isa || strcmp(image->isa, device->base.info.isa) == 0) &&
            (!image->kernel || strcmp(image->kernel, name) == 0))
            return image;
    return NULL;
}

// The driver's compiler says what it does not like.
static enum bn_result refused(struct bn_streams_device *device, struct bn_error *err, int native, const char *name,
                              char *log)
{
    enum bn_result result = bn_streams_fail(device, err, native, name);
    bn_make_printable(log);
    if (err && log[0]) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof(err->message) - used, ": %.200s", log);
    }
    return result;
}

static enum bn_result unpack(struct bn_streams_device *device, const struct bn_streams_image *image, void **out,
                             struct bn_error *err)
{
    const struct bn_host *host = device->base.host;
    void *code = bn_alloc(host, image->bytes);
    if (!code)
        return bn_fail_memory(err, image->bytes, "the code of a kernel");
    enum bn_result result = bn_unpack(host, image->data, image->packed_bytes, code, image->bytes, err);
    if (result != BN_OK)
        bn_free(host, code);
    else
        *out = code;
    return result;
}

static enum bn_result load(struct bn_streams_device *device, const struct bn_streams_image *image, const char *name,
                           struct bn_streams_module **out, struct bn_error *err)
{
    char log[LOG_BYTES] = "";
    int options[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
    void *values[] = {log, (void *)(uintptr_t)(LOG_BYTES - 1)}, *code = NULL;
    struct bn_streams_module *module = bn_alloc(device->base.host, sizeof(*module));
    if (!module)
        return bn_fail_memory(err, sizeof(*module), "a module");
    enum bn_result result = unpack(device, image, &code, err);
    if (result == BN_OK) {
        int native = device->api->module_load(&module->handle, code, 2, options, values);
        result = native == 0 ? BN_OK : refused(device, err, native, name, log);
        bn_free(device->base.host, code);
    }
    if (result != BN_OK) {
        bn_free(device->base.host, module);
        return result;
    }
    module->image = image;
    module->next = device->modules;
    device->modules = module;
    *out = module;
    return BN_OK;
}

enum bn_result bn_streams_function(struct bn_streams_device *device, const char *name, void **function,
                                   struct bn_error *err)
{
    const struct bn_streams_image *image = find_image(device, name);
    if (!image)
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, device->base.info.id, name, UINT64_MAX,
                          "this build has no such kernel for %s", device->base.info.isa);
    struct bn_streams_module *module = device->modules;
    while (module && module->image != image)
        module = module->next;
    enum bn_result result = module ? BN_OK : load(device, image, name, &module, err);
    if (result != BN_OK)
        return result;
    int native = device->api->module_function(function, module->handle, name);
    return native == 0 ? BN_OK : bn_streams_fail(device, err, native, name);
}

void bn_streams_modules_finish(struct bn_streams_device *device)
{
    while (device->modules) {
        struct bn_streams_module *module = device->modules;
        device->modules = module->next;
        device->api->module_unload(module->handle);
        bn_free(device->base.host, module);
    }
}
