// Opening the library of a vendor, and what its errors mean.
#include <stdio.h>
#include <string.h>

#include "devices/common/streams.h"
#include "runtime/base/dynlib.h"

enum { REQUIRED, OPTIONAL };

typedef int (*any_function)(void);

static const struct {
    int need;
    size_t at; // in struct bn_streams_api
    const char *names[2];
} functions[] = {
#define STREAMS(need, member, parameters, cuda, hip) {need, offsetof(struct bn_streams_api, member), {cuda, hip}},
#include "devices/common/streams.inl"
};

static const struct meaning {
    int native;
    enum bn_result result;
    bool sticky; // every call after it fails, on every device, until the process ends
    const char *text;
} meanings[] = {
    {2, BN_ERR_DEVICE_MEMORY, false, "out of device memory"},
    {3, BN_ERR_UNAVAILABLE, false, "the library was not initialised"},
    {4, BN_ERR_DEVICE_LOST, true, "the library shuts down"},
    {35, BN_ERR_UNAVAILABLE, false, "the kernel's driver is older than the library"},
    {46, BN_ERR_UNAVAILABLE, false, "another process has the device for itself"},
    {100, BN_ERR_UNAVAILABLE, false, "there is no device"},
    {101, BN_ERR_UNAVAILABLE, false, "the device is no longer there"},
    {209, BN_ERR_UNSUPPORTED, false, "the code is not for this device"},
    {214, BN_ERR_DEVICE_LOST, true, "memory of the device is damaged (ECC)"},
    {218, BN_ERR_INTERNAL, false, "the driver refuses the PTX"},
    {222, BN_ERR_UNAVAILABLE, false, "the driver is too old for the PTX"},
    {700, BN_ERR_DEVICE_LOST, true, "a kernel used an address that is not its own"},
    {702, BN_ERR_DEVICE_LOST, true, "a kernel ran for too long"},
    {710, BN_ERR_DEVICE_LOST, true, "a kernel stopped itself"},
    {714, BN_ERR_DEVICE_LOST, true, "a kernel's stack is damaged"},
    {715, BN_ERR_DEVICE_LOST, true, "a kernel met an instruction that the device lacks"},
    {716, BN_ERR_DEVICE_LOST, true, "a kernel used an address that is not aligned"},
    {717, BN_ERR_DEVICE_LOST, true, "a kernel used memory of the wrong kind"},
    {718, BN_ERR_DEVICE_LOST, true, "a kernel jumped out of its code"},
    {719, BN_ERR_DEVICE_LOST, true, "a kernel failed"},
    {712, BN_ERR_UNSUPPORTED, false, "this memory is registered already"},
    {801, BN_ERR_UNSUPPORTED, false, "the device cannot do that"},
};

static const struct meaning *meaning_of(int native)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].native == native)
            return &meanings[i];
    return NULL;
}

enum bn_result bn_streams_fail(struct bn_streams_device *device, struct bn_error *err, int native, const char *what)
{
    const struct meaning *meaning = meaning_of(native);
    if (meaning && meaning->sticky) {
        int none = 0;
        atomic_compare_exchange_strong(&device->vendor->process->sticky, &none, native);
    }
    enum bn_result result = meaning ? meaning->result : BN_ERR_INTERNAL;
    bn_fail_at(err, result, device->base.info.id, what, UINT64_MAX, "%s (%s error %d)%s",
               meaning ? meaning->text : "unexpected result of the driver", device->vendor->title, native,
               meaning && meaning->sticky ? "; only a new process can use the device again" : "");
    if (err)
        err->native = native;
    return result;
}

bool bn_streams_poisoned(const struct bn_streams_vendor *vendor, struct bn_device_info *info)
{
    int sticky = atomic_load(&vendor->process->sticky);
    const struct meaning *meaning = meaning_of(sticky);
    if (!sticky)
        return false;
    info->state = BN_STATE_POISONED;
    snprintf(info->reason, sizeof(info->reason), "%s failed for good in this process: %s (error %d)", vendor->title,
             meaning ? meaning->text : "?", sticky);
    snprintf(info->mend, sizeof(info->mend), "start a new process");
    return true;
}

static bool refuse(struct bn_device_info *info, enum bn_device_state state, const char *mend, const char *reason)
{
    info->state = state;
    snprintf(info->reason, sizeof(info->reason), "%s", reason);
    snprintf(info->mend, sizeof(info->mend), "%s", mend);
    return false;
}

static bool find_functions(const struct bn_streams_vendor *vendor, void *library, struct bn_device_info *info)
{
    struct bn_streams_api *api = &vendor->process->api;
    char reason[sizeof(info->reason)];
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const char *name = functions[i].names[vendor->number];
        any_function function = name ? (any_function)bn_dynlib_symbol(library, name) : NULL;
        memcpy((char *)api + functions[i].at, &function, sizeof(function));
        if (!function && name && functions[i].need == REQUIRED) {
            snprintf(reason, sizeof(reason), "the library of %s has no %s", vendor->title, name);
            return refuse(info, BN_STATE_TOO_OLD, "update the driver", reason);
        }
    }
    return true;
}

static bool start(const struct bn_streams_vendor *vendor, struct bn_device_info *info)
{
    int native = vendor->process->api.init(0);
    const struct meaning *meaning = meaning_of(native);
    char reason[sizeof(info->reason)];
    snprintf(reason, sizeof(reason), "%s cannot be started: %s (error %d)", vendor->title,
             meaning ? meaning->text : "the library and the kernel's driver may not fit", native);
    if (native == 100)
        return refuse(info, BN_STATE_MISSING_LIBRARY, vendor->no_device, reason);
    if (native == 35 || native == 803 || native == 804)
        return refuse(info, BN_STATE_TOO_OLD, "reboot after an update of the driver, or update it", reason);
    return native == 0 || refuse(info, BN_STATE_FAULTED, vendor->no_kernel, reason);
}

bool bn_streams_load(const struct bn_streams_vendor *vendor, struct bn_device_info *info)
{
    struct bn_streams_process *process = vendor->process;
    char reason[sizeof(info->reason)];
    if (process->library)
        return true;
    void *library = bn_dynlib_open(vendor->libraries, reason, sizeof(reason));
    if (!library)
        return refuse(info, BN_STATE_MISSING_LIBRARY, vendor->no_library, reason);
    if (!find_functions(vendor, library, info) || !start(vendor, info))
        return false; // it stays open, and is asked again
    process->library = library;
    return true;
}

void bn_streams_enter(struct bn_streams_device *device)
{
    pthread_mutex_lock(&device->lock);
    if (device->api->context_push) {
        device->api->context_push(device->context);
    } else {
        device->api->device_get(&device->previous);
        device->api->device_set(device->device);
    }
}

void bn_streams_leave(struct bn_streams_device *device)
{
    void *context;
    if (device->api->context_push)
        device->api->context_pop(&context);
    else
        device->api->device_set(device->previous);
    pthread_mutex_unlock(&device->lock);
}
