// The OpenCL driver: every device of every OpenCL driver of the machine, through a loader that is opened at run time.
#include "devices/opencl/device.h"

#include <stdio.h>
#include <string.h>

extern const struct bn_driver bn_driver_opencl;

enum bn_result bn_opencl_fail(struct device *device, struct bn_error *err, cl_int result, const char *what)
{
    if (bn_cl_is_lost(result))
        atomic_store(&device->lost, 1);
    enum bn_result ours = bn_cl_fail(err, result, what);
    if (err)
        snprintf(err->file, sizeof(err->file), "%s", device->base.info.id);
    return ours;
}

static enum bn_result opencl_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                   size_t *count, struct bn_error *err)
{
    // Without any device there is one entry that says why.
    struct bn_device_info none = {.size = sizeof(none), .id = "opencl", .driver = "opencl", .kind = BN_DEVICE_GPU};
    struct cl cl;
    uint32_t n = 0;
    struct adapter *adapters = bn_alloc_array(host, CL_MAX_ADAPTERS, sizeof(*adapters));
    if (!adapters)
        return bn_fail_memory(err, CL_MAX_ADAPTERS * sizeof(*adapters), "the list of OpenCL devices");
    snprintf(none.name, sizeof(none.name), "OpenCL");
    if (bn_cl_open(&cl, &none)) {
        n = bn_opencl_adapters(&cl, adapters);
        none.state = BN_STATE_MISSING_LIBRARY;
        snprintf(none.reason, sizeof(none.reason), "no OpenCL driver finds a device");
        snprintf(
            none.mend, sizeof(none.mend),
            "install the OpenCL driver of the device (Debian: intel-opencl-icd, nvidia-opencl-icd, pocl-opencl-icd)");
    }
    *count = n ? n : 1;
    for (uint32_t i = 0; i < n && i < capacity; i++)
        list[i] = adapters[i].info;
    if (n == 0 && capacity > 0)
        list[0] = none;
    bn_free(host, adapters);
    return BN_OK;
}

static void opencl_close(struct bn_device *base)
{
    struct device *device = device_of(base);
    const struct cl *cl = &device->cl;
    bn_opencl_programs_finish(device);
    if (device->transfers)
        cl->ReleaseCommandQueue(device->transfers);
    if (device->context)
        cl->ReleaseContext(device->context);
    if (device->part)
        cl->ReleaseDevice(device->part);
    bn_measure_finish(&device->measure, base->host);
    pthread_mutex_destroy(&device->lock);
    bn_free(base->host, device);
}

// The adapter that the probe gave this number.
static enum bn_result find_adapter(struct device *device, const struct bn_device_info *info, struct bn_error *err)
{
    struct bn_device_info why = {.size = sizeof(why)};
    if (!bn_cl_open(&device->cl, &why))
        return bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, info->id, UINT64_MAX, "%s; %s", why.reason, why.mend);
    struct adapter *adapters = bn_alloc_array(device->base.host, CL_MAX_ADAPTERS, sizeof(*adapters));
    if (!adapters)
        return bn_fail_memory(err, CL_MAX_ADAPTERS * sizeof(*adapters), "the list of OpenCL devices");
    uint32_t n = bn_opencl_adapters(&device->cl, adapters);
    bool found = info->index < n && strcmp(adapters[info->index].info.name, info->name) == 0;
    if (found)
        device->adapter = adapters[info->index];
    bn_free(device->base.host, adapters);
    return found ? BN_OK
                 : bn_fail_at(err, BN_ERR_UNAVAILABLE, NULL, info->id, UINT64_MAX, "the device is no longer there");
}

// As many of a CPU's units as threads were asked for, as a device of their own.
static void take_part(struct device *device, uint32_t threads)
{
    struct adapter *adapter = &device->adapter;
    if (adapter->info.kind != BN_DEVICE_CPU || threads == 0 || threads >= adapter->units)
        return;
    const cl_device_partition_property how[] = {CL_DEVICE_PARTITION_BY_COUNTS, threads,
                                                CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_uint n = 0;
    if (!adapter->partitions || device->cl.CreateSubDevices(adapter->device, how, 1, &device->part, &n) != CL_SUCCESS ||
        n == 0) {
        device->part = NULL;
        bn_log(device->base.host, BN_LOG_WARNING, "opencl: %s cannot be divided; it uses all its threads",
               adapter->info.name);
        return;
    }
    device->base.info.threads = threads;
}

static enum bn_result open_device(struct device *device, struct bn_error *err)
{
    const struct cl *cl = &device->cl;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)device->adapter.platform,
                                                0};
    cl_device_id id = bn_opencl_id(device);
    cl_int native;
    device->context = cl->CreateContext(properties, 1, &id, NULL, NULL, &native);
    if (native != CL_SUCCESS) {
        device->context = NULL;
        return bn_opencl_fail(device, err, native, "clCreateContext");
    }
    device->transfers = cl->CreateCommandQueue(device->context, id, 0, &native);
    if (native != CL_SUCCESS) {
        device->transfers = NULL;
        return bn_opencl_fail(device, err, native, "clCreateCommandQueue");
    }
    return BN_OK;
}

static enum bn_result opencl_open(const struct bn_host *host, const struct bn_device_info *info,
                                  const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    struct device *device = bn_alloc(host, sizeof(*device));
    if (!device)
        return bn_fail_memory(err, sizeof(*device), "the OpenCL device");
    device->base.driver = &bn_driver_opencl;
    device->base.host = host;
    device->base.info = *info;
    const char *shaders = options->shaders ? options->shaders : bn_env("BITNET_SHADER_DIR");
    snprintf(device->shaders, sizeof(device->shaders), "%s", shaders ? shaders : "");
    pthread_mutex_init(&device->lock, NULL);
    enum bn_result result = find_adapter(device, info, err);
    if (result == BN_OK)
        result = bn_measure_init(&device->measure, host, options, err);
    if (result == BN_OK) {
        take_part(device, options->threads);
        result = open_device(device, err);
    }
    if (result != BN_OK) {
        opencl_close(&device->base);
        return result;
    }
    const struct adapter *adapter = &device->adapter;
    device->target = (struct bn_lower_target){
        .id = device->base.info.id,
        .software = adapter->features.software,
        .tiled = true,
        .splits = true,
        .whole_rows = adapter->features.software,
        .shared_bytes = adapter->local_bytes < UINT32_MAX ? (uint32_t)adapter->local_bytes : UINT32_MAX,
    };
    const struct features *features = &adapter->features;
    bn_log(host, BN_LOG_INFO, "opencl: %s, %s:%s%s%s%s%s", info->name, adapter->standard,
           features->int_dot ? " int-dot" : "", features->subgroup ? " subgroup" : "", features->svm ? " svm" : "",
           features->host_import ? " import" : "", features->binaries ? " binaries" : "");
    *out = &device->base;
    return BN_OK;
}

static void opencl_caps(struct bn_device *base, struct bn_caps *caps)
{
    enum { PAGE = 4096 }; // what drivers want of memory that they read in place
    const struct device *device = device_of(base);
    *caps = (struct bn_caps){
        .max_buffer = device->adapter.max_allocation,
        .import_align = device->adapter.features.host_import ? PAGE : 0,
        .host_memory = device->adapter.features.svm,
        .op_options = BN_LOWER_OPTIONS,
    };
}

static bool opencl_supports(struct bn_device *device, enum bn_op_kind kind, enum bn_layout layout)
{
    return bn_lower_supports(kind, layout, device_of(device)->adapter.features.fused);
}

static void opencl_status(struct bn_device *base, struct bn_device_status *status)
{
    struct device *device = device_of(base);
    *status = (struct bn_device_status){
        .submissions = atomic_load(&device->submissions),
        .last_op = atomic_load(&device->last_op),
        .dispatches = atomic_load(&device->dispatches),
    };
}

static enum bn_result opencl_profile(struct bn_device *base, struct bn_op_profile *list, size_t capacity, size_t *count,
                                     struct bn_error *err)
{
    struct device *device = device_of(base);
    pthread_mutex_lock(&device->lock);
    enum bn_result result = bn_measure_profile(&device->measure, base, list, capacity, count, err);
    pthread_mutex_unlock(&device->lock);
    return result;
}

const struct bn_driver bn_driver_opencl = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "opencl",
    .about = "GPUs, accelerators and CPUs, through OpenCL 1.2 and up",
    .probe = opencl_probe,
    .open = opencl_open,
    .close = opencl_close,
    .caps = opencl_caps,
    .supports = opencl_supports,
    .buffer_create = bn_opencl_buffer_create,
    .buffer_create_local = bn_opencl_buffer_create_local,
    .buffer_write = bn_opencl_buffer_write,
    .buffer_import = bn_opencl_buffer_import,
    .buffer_destroy = bn_opencl_buffer_destroy,
    .record = bn_opencl_record,
    .command_destroy = bn_opencl_command_destroy,
    .queue_open = bn_opencl_queue_open,
    .queue_close = bn_opencl_queue_close,
    .submit = bn_opencl_submit,
    .poll = bn_opencl_poll,
    .status = opencl_status,
    .profile = opencl_profile,
    .take_spans = bn_opencl_take_spans,
};
