// Devices: finding, opening and closing them.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "devices/common/ahead.h"
#include "devices/common/streams.h"

enum { NON_BLOCKING = 1, UUID_BYTES = 16 };

// CUDA's 16 bytes are binary; HIP's are text, the sixteen digits of the kernel's own number.
static void write_uuid(const struct bn_streams_vendor *vendor, const uint8_t *uuid, struct bn_device_info *info)
{
    const char *prefix = strstr(info->name, " MIG ") ? "MIG-" : "GPU-";
    int at = snprintf(info->uuid, sizeof(info->uuid), "%s", prefix);
    bool text = vendor->number == 1;
    for (int i = 0; i < UUID_BYTES && text; i++)
        text = isxdigit(uuid[i]) != 0;
    for (int i = 0; i < UUID_BYTES; i++) {
        const char *dash = !text && (i == 4 || i == 6 || i == 8 || i == 10) ? "-" : "";
        at += text ? snprintf(info->uuid + at, sizeof(info->uuid) - (size_t)at, "%c", uuid[i])
                   : snprintf(info->uuid + at, sizeof(info->uuid) - (size_t)at, "%s%02x", dash, uuid[i]);
    }
}

static void describe(const struct bn_streams_vendor *vendor, int index, struct bn_device_info *info)
{
    const struct bn_streams_api *api = &vendor->process->api;
    uint8_t uuid[UUID_BYTES];
    size_t bytes = 0;
    int device = 0;
    *info = (struct bn_device_info){.size = sizeof(*info), .kind = BN_DEVICE_GPU, .index = (uint32_t)index};
    snprintf(info->id, sizeof(info->id), "%s", vendor->driver->name);
    snprintf(info->driver, sizeof(info->driver), "%s", vendor->driver->name);
    int native = api->get(&device, index);
    if (native != 0) {
        info->state = BN_STATE_FAULTED;
        snprintf(info->reason, sizeof(info->reason), "the device does not answer (%s error %d)", vendor->title, native);
        snprintf(info->mend, sizeof(info->mend), "%s", vendor->no_kernel);
        return;
    }
    if (api->name(info->name, sizeof(info->name), device) != 0)
        snprintf(info->name, sizeof(info->name), "%s device %d", vendor->title, index);
    bn_make_printable(info->name);
    if (api->bus_id(info->pci, sizeof(info->pci), device) != 0)
        info->pci[0] = '\0';
    if (api->uuid && api->uuid(uuid, device) == 0)
        write_uuid(vendor, uuid, info);
    if (api->total(&bytes, device) == 0)
        info->memory_total = bytes;
    vendor->judge(api, device, info);
}

// Asks for the devices, unless the library has failed for good: then those that were known are out of order. Under the lock.
static void list_devices(const struct bn_streams_vendor *vendor)
{
    struct bn_streams_process *process = vendor->process;
    int n = 0;
    if (atomic_load(&process->sticky)) {
        for (uint32_t i = 0; i < process->n_devices; i++)
            bn_streams_poisoned(vendor, &process->devices[i]);
        return;
    }
    if (process->api.count(&n) != 0 || n < 0)
        n = 0;
    process->n_devices = n < BN_STREAMS_MOST_DEVICES ? (uint32_t)n : BN_STREAMS_MOST_DEVICES;
    for (uint32_t i = 0; i < process->n_devices; i++)
        describe(vendor, (int)i, &process->devices[i]);
}

enum bn_result bn_streams_probe(const struct bn_streams_vendor *vendor, struct bn_device_info *list, size_t capacity,
                                size_t *count)
{
    // Without any device there is one entry that says why.
    struct bn_streams_process *process = vendor->process;
    struct bn_device_info none = {.size = sizeof(none), .kind = BN_DEVICE_GPU};
    snprintf(none.id, sizeof(none.id), "%s", vendor->driver->name);
    snprintf(none.driver, sizeof(none.driver), "%s", vendor->driver->name);
    snprintf(none.name, sizeof(none.name), "%s", vendor->title);
    pthread_mutex_lock(&process->lock);
    if (bn_streams_load(vendor, &none)) {
        list_devices(vendor);
        none.state = BN_STATE_MISSING_LIBRARY;
        snprintf(none.reason, sizeof(none.reason), "%s finds no device", vendor->title);
        snprintf(none.mend, sizeof(none.mend), "%s", vendor->no_device);
    }
    uint32_t n = process->n_devices;
    *count = n ? n : 1;
    for (uint32_t i = 0; i < n && i < capacity; i++)
        list[i] = process->devices[i];
    pthread_mutex_unlock(&process->lock);
    if (n == 0 && capacity > 0)
        list[0] = none;
    return BN_OK;
}

void bn_streams_close(struct bn_device *base)
{
    struct bn_streams_device *device = bn_streams_of(base);
    const struct bn_streams_api *api = device->api;
    if (device->retained) {
        bn_streams_staging_finish(device);
        bn_streams_enter(device);
        if (device->transfer)
            api->stream_destroy(device->transfer);
        bn_streams_modules_finish(device);
        bn_streams_leave(device);
        if (api->context_release)
            api->context_release(device->device);
    }
    pthread_mutex_destroy(&device->lock);
    bn_free(base->host, device);
}

static bool without(const struct bn_streams_vendor *vendor, const char *feature)
{
    const char *list = bn_env(vendor->without);
    size_t n = strlen(feature);
    for (const char *at = list ? strstr(list, feature) : NULL; at; at = strstr(at + 1, feature))
        if ((at == list || at[-1] == ',') && (at[n] == '\0' || at[n] == ','))
            return true;
    return false;
}

static void find_features(struct bn_streams_device *device)
{
    const struct bn_streams_vendor *vendor = device->vendor;
    const struct bn_streams_api *api = device->api;
    int integrated = 0;
    device->unified = api->attribute(&integrated, vendor->integrated, device->device) == 0 && integrated;
    device->features = (struct bn_streams_features){
        .graphs = api->capture_begin && api->capture_end && api->graph_instantiate && api->graph_launch &&
                  api->graph_destroy && api->exec_destroy && !without(vendor, "graphs"),
        .write_value = api->stream_write && !without(vendor, "write_value"),
        // Elsewhere weights would come through the bus for each token.
        .import = device->unified && api->host_register && api->host_unregister && !without(vendor, "import"),
        // A kernel that read the slot through the bus would wait for it before it begins: to be measured on a card.
        .mirror = !device->unified && !without(vendor, "mirror"),
        .tiled = !without(vendor, "tiled"),
        .matrices = !without(vendor, "matrices") && bn_ahead_matrices(device->base.info.isa),
        .fused = !without(vendor, "fused"),
    };
    device->matrices = device->features.matrices ? bn_ahead_matrices(device->base.info.isa) : NULL;
    device->target = (struct bn_lower_target){
        .id = device->base.info.id, .shared_bytes = bn_ahead_shared_bytes(), .tiled = device->features.tiled};
}

static enum bn_result start(struct bn_streams_device *device, struct bn_error *err)
{
    const struct bn_streams_api *api = device->api;
    struct bn_device_info now;
    int native = api->get(&device->device, (int)device->base.info.index);
    if (native != 0)
        return bn_streams_fail(device, err, native, "finding the device");
    describe(device->vendor, (int)device->base.info.index, &now);
    if (now.state != BN_STATE_READY || strcmp(now.name, device->base.info.name) != 0)
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, device->base.info.id, UINT64_MAX, "%s; %s",
                          now.state ? now.reason : "the device is no longer there",
                          now.state ? now.mend : "list the devices again");
    if (api->context_retain && (native = api->context_retain(&device->context, device->device)) != 0)
        return bn_streams_fail(device, err, native, "the device's context");
    device->retained = true;
    find_features(device);
    bn_streams_enter(device);
    native = api->stream_create(&device->transfer, NON_BLOCKING);
    // One kernel, to see whether the device takes the code of this build.
    void *function;
    enum bn_result result = native == 0 ? bn_streams_function(device, "copy", &function, err)
                                        : bn_streams_fail(device, err, native, "a stream");
    bn_streams_leave(device);
    return result;
}

enum bn_result bn_streams_open(const struct bn_streams_vendor *vendor, const struct bn_host *host,
                               const struct bn_device_info *info, struct bn_device **out, struct bn_error *err)
{
    struct bn_device_info why = {.size = sizeof(why)};
    pthread_mutex_lock(&vendor->process->lock);
    bool loaded = bn_streams_load(vendor, &why), poisoned = loaded && bn_streams_poisoned(vendor, &why);
    pthread_mutex_unlock(&vendor->process->lock);
    if (!loaded || poisoned)
        return bn_fail_at(err, poisoned ? BN_ERR_POISONED : BN_ERR_UNAVAILABLE, NULL, info->id, UINT64_MAX, "%s; %s",
                          why.reason, why.mend);
    struct bn_streams_device *device = bn_alloc(host, sizeof(*device));
    if (!device)
        return bn_fail_memory(err, sizeof(*device), "the device");
    device->base.driver = vendor->driver;
    device->base.host = host;
    device->base.info = *info;
    device->vendor = vendor;
    device->api = &vendor->process->api;
    pthread_mutex_init(&device->lock, NULL);
    enum bn_result result = start(device, err);
    if (result != BN_OK) {
        bn_streams_close(&device->base);
        return result;
    }
    const struct bn_streams_features *features = &device->features;
    bn_log(host, BN_LOG_INFO, "%s: %s (%s):%s%s%s%s%s%s%s", vendor->driver->name, info->name, info->isa,
           features->graphs ? " graphs" : "", features->write_value ? " write-value" : "",
           features->import ? " import" : "", features->mirror ? " mirror" : "",
           features->tiled ? device->matrices ? " matrices " : " tiled" : "",
           features->tiled && device->matrices ? device->matrices : "", device->unified ? " unified" : " staging");
    *out = &device->base;
    return BN_OK;
}

void bn_streams_caps(struct bn_device *base, struct bn_caps *caps)
{
    const struct bn_streams_device *device = bn_streams_of(base);
    *caps = (struct bn_caps){
        .max_buffer = base->info.memory_total,
        .import_align = device->features.import ? 4096 : 0,
        .host_memory = device->unified,
        .op_options = BN_LOWER_OPTIONS,
    };
}

bool bn_streams_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return bn_lower_supports(kind, layout, bn_streams_of(device)->features.fused);
}

void bn_streams_status(struct bn_device *base, struct bn_device_status *status)
{
    struct bn_streams_device *device = bn_streams_of(base);
    *status = (struct bn_device_status){
        .submissions = atomic_load(&device->submissions),
        .last_op = atomic_load(&device->last_op),
        .dispatches = atomic_load(&device->dispatches),
    };
}
