// The Vulkan driver: any vendor's GPU, through a loader that is opened at run time.
#include "devices/vulkan/trace.h"

#include <stdio.h>
#include <string.h>

extern const struct bn_driver bn_driver_vulkan;

enum bn_result bn_vulkan_fail(struct device *device, struct bn_error *err, VkResult result, const char *what)
{
    if (result == VK_ERROR_DEVICE_LOST)
        atomic_store(&device->lost, 1);
    enum bn_result ours = bn_vk_fail(err, result, what);
    if (err)
        snprintf(err->file, sizeof(err->file), "%s", device->base.info.id);
    return ours;
}

static enum bn_result vulkan_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                   size_t *count, struct bn_error *err)
{
    // Without any device there is one entry that says why.
    struct bn_device_info none = {.size = sizeof(none), .id = "vulkan", .driver = "vulkan", .kind = BN_DEVICE_GPU};
    struct vk vk;
    uint32_t n = 0;
    struct adapter *adapters = bn_alloc_array(host, VK_MAX_ADAPTERS, sizeof(*adapters));
    if (!adapters)
        return bn_fail_memory(err, VK_MAX_ADAPTERS * sizeof(*adapters), "the list of Vulkan devices");
    snprintf(none.name, sizeof(none.name), "Vulkan");
    if (bn_vk_open(&vk, &none)) {
        n = bn_vulkan_adapters(&vk, adapters);
        bn_vk_close(&vk);
        if (n == 0) {
            none.state = BN_STATE_MISSING_LIBRARY;
            snprintf(none.reason, sizeof(none.reason), "no Vulkan driver finds a device");
            snprintf(none.mend, sizeof(none.mend),
                     "install the GPU's driver, and see that you may open /dev/dri (group render)");
        }
    }
    *count = n ? n : 1;
    for (uint32_t i = 0; i < n && i < capacity; i++)
        list[i] = adapters[i].info;
    if (n == 0 && capacity > 0)
        list[0] = none;
    bn_free(host, adapters);
    return BN_OK;
}

static void vulkan_close(struct bn_device *base)
{
    struct device *device = device_of(base);
    if (device->logical) {
        device->vk.DeviceWaitIdle(device->logical);
        bn_vulkan_staging_finish(device);
        bn_vulkan_pipelines_finish(device);
        if (device->pool)
            device->vk.DestroyCommandPool(device->logical, device->pool, NULL);
        if (device->transfer_pool)
            device->vk.DestroyCommandPool(device->logical, device->transfer_pool, NULL);
        device->vk.DestroyDevice(device->logical, NULL);
    }
    bn_vk_close(&device->vk);
    pthread_mutex_destroy(&device->lock);
    bn_measure_finish(&device->measure.base, base->host);
    bn_free(base->host, device);
}

// The adapter that the probe gave this number.
static enum bn_result find_adapter(struct device *device, const struct bn_device_info *info, struct bn_error *err)
{
    struct bn_device_info why = {.size = sizeof(why)};
    if (!bn_vk_open(&device->vk, &why))
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, info->id, UINT64_MAX, "%s; %s", why.reason, why.mend);
    struct adapter *adapters = bn_alloc_array(device->base.host, VK_MAX_ADAPTERS, sizeof(*adapters));
    if (!adapters)
        return bn_fail_memory(err, VK_MAX_ADAPTERS * sizeof(*adapters), "the list of Vulkan devices");
    uint32_t n = bn_vulkan_adapters(&device->vk, adapters);
    bool found = info->index < n && strcmp(adapters[info->index].info.name, info->name) == 0;
    if (found)
        device->adapter = adapters[info->index];
    bn_free(device->base.host, adapters);
    device->target = (struct bn_lower_target){.id = device->base.info.id,
                                              .software = device->adapter.features.software,
                                              .shared_bytes = device->adapter.shared_bytes,
                                              .tiled = true,
                                              .scaled_tiled = true,
                                              .splits = true};
    return found ? BN_OK
                 : bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, info->id, UINT64_MAX, "the device is no longer there");
}

static enum bn_result open_device(struct device *device, struct bn_error *err)
{
    struct vk *vk = &device->vk;
    const struct adapter *adapter = &device->adapter;
    VkResult native = bn_vulkan_create_device(vk, adapter, &device->logical);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkCreateDevice");
    if (!bn_vk_load_device(vk, device->logical))
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, device->base.info.id, UINT64_MAX,
                          "the device's driver lacks functions of Vulkan 1.2");
    vk->GetDeviceQueue(device->logical, adapter->family, 0, &device->queue);
    vk->GetDeviceQueue(device->logical, adapter->transfer_family, 0, &device->transfer);
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = adapter->family};
    native = vk->CreateCommandPool(device->logical, &pool, NULL, &device->pool);
    pool.queueFamilyIndex = adapter->transfer_family;
    if (native == VK_SUCCESS)
        native = vk->CreateCommandPool(device->logical, &pool, NULL, &device->transfer_pool);
    if (native != VK_SUCCESS)
        return bn_vulkan_fail(device, err, native, "vkCreateCommandPool");
    enum bn_result result = bn_vulkan_pipelines_init(device, err);
    if (result == BN_OK && !adapter->features.host_visible)
        result = bn_vulkan_staging_init(device, err);
    return result;
}

static enum bn_result vulkan_open(const struct bn_host *host, const struct bn_device_info *info,
                                  const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    struct device *device = bn_alloc(host, sizeof(*device));
    if (!device)
        return bn_fail_memory(err, sizeof(*device), "the Vulkan device");
    device->base.driver = &bn_driver_vulkan;
    device->base.host = host;
    device->base.info = *info;
    const char *shaders = options->shaders ? options->shaders : bn_env("BITNET_SHADER_DIR");
    snprintf(device->shaders, sizeof(device->shaders), "%s", shaders ? shaders : "");
    pthread_mutex_init(&device->lock, NULL);
    enum bn_result result = find_adapter(device, info, err);
    if (result == BN_OK && device->adapter.timestamp_bits) {
        device->measure.period = (double)device->adapter.properties.limits.timestampPeriod;
        device->measure.valid_bits = device->adapter.timestamp_bits;
        result = bn_measure_init(&device->measure.base, host, options, err);
    }
    if (result == BN_OK)
        result = open_device(device, err);
    if (result != BN_OK) {
        vulkan_close(&device->base);
        return result;
    }
    const struct features *features = &device->adapter.features;
    bn_log(host, BN_LOG_INFO, "vulkan: %s:%s%s%s%s%s%s%s, subgroups of %u", info->name,
           features->int_dot ? " int-dot" : "", features->coopmat ? " coopmat" : "",
           features->subgroup ? " subgroup" : "", features->full ? " full" : "", features->timeline ? " timeline" : "",
           features->host_import ? " import" : "", features->host_visible ? " host-visible" : " staging",
           device->adapter.subgroups.own);
    *out = &device->base;
    return BN_OK;
}

static void vulkan_caps(struct bn_device *base, struct bn_caps *caps)
{
    const struct device *device = device_of(base);
    *caps = (struct bn_caps){
        .max_buffer = device->adapter.max_allocation,
        .import_align = device->adapter.features.host_import ? device->adapter.import_align : 0,
        .host_memory = device->adapter.features.host_visible,
        .op_options = BN_LOWER_OPTIONS,
    };
}

static bool vulkan_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return bn_lower_supports(kind, layout, device_of(device)->adapter.features.fused);
}

static void vulkan_status(struct bn_device *base, struct bn_device_status *status)
{
    struct device *device = device_of(base);
    *status = (struct bn_device_status){
        .submissions = atomic_load(&device->submissions),
        .last_op = atomic_load(&device->last_op),
        .dispatches = atomic_load(&device->dispatches),
    };
}

const struct bn_driver bn_driver_vulkan = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "vulkan",
    .about = "any vendor's GPU, through Vulkan 1.2",
    .probe = vulkan_probe,
    .open = vulkan_open,
    .close = vulkan_close,
    .caps = vulkan_caps,
    .supports = vulkan_supports,
    .buffer_create = bn_vulkan_buffer_create,
    .buffer_create_local = bn_vulkan_buffer_create_local,
    .buffer_write = bn_vulkan_buffer_write,
    .buffer_import = bn_vulkan_buffer_import,
    .buffer_destroy = bn_vulkan_buffer_destroy,
    .record = bn_vulkan_record,
    .command_destroy = bn_vulkan_command_destroy,
    .queue_open = bn_vulkan_queue_open,
    .queue_close = bn_vulkan_queue_close,
    .submit = bn_vulkan_submit,
    .poll = bn_vulkan_poll,
    .wait = bn_vulkan_wait,
    .status = vulkan_status,
    .profile = bn_vulkan_profile,
    .take_spans = bn_vulkan_take_spans,
};
