#include "devices/opencl/cl.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/dynlib.h"

static const char *const loader_names[] = {"libOpenCL.so.1", "libOpenCL.so", NULL};

static bool refuse(struct bn_device_info *why, enum bn_device_state state, const char *reason, const char *mend)
{
    why->state = state;
    snprintf(why->reason, sizeof(why->reason), "%s", reason);
    snprintf(why->mend, sizeof(why->mend), "%s", mend);
    return false;
}

bool bn_cl_open(struct cl *cl, struct bn_device_info *why)
{
    memset(cl, 0, sizeof(*cl));
    char reason[sizeof(why->reason)];
    void *library = bn_dynlib_open(loader_names, reason, sizeof(reason));
    if (!library)
        return refuse(why, BN_STATE_MISSING_LIBRARY, reason, "install the OpenCL loader (Debian: ocl-icd-libopencl1)");
    bool all = true;
#define CL_REQUIRED(name)                                                                                              \
    cl->name = (__typeof__(&cl##name))bn_dynlib_symbol(library, "cl" #name);                                           \
    all = all && cl->name;
#define CL_OPTIONAL(name) cl->name = (__typeof__(&cl##name))bn_dynlib_symbol(library, "cl" #name);
#include "devices/opencl/functions.inl"
    if (all)
        return true;
    bn_dynlib_close(library); // no driver was loaded yet
    return refuse(why, BN_STATE_TOO_OLD, "the OpenCL loader lacks functions of 1.2", "update the OpenCL loader");
}

bool bn_cl_is_lost(cl_int result)
{
    return result == CL_DEVICE_NOT_AVAILABLE || result == CL_OUT_OF_RESOURCES || result == CL_INVALID_COMMAND_QUEUE ||
           result == CL_INVALID_CONTEXT || result == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

enum bn_result bn_cl_fail(struct bn_error *err, cl_int result, const char *what)
{
    static const struct {
        cl_int native;
        enum bn_result result;
        const char *text;
    } table[] = {
        {CL_OUT_OF_HOST_MEMORY, BN_ERR_NO_MEMORY, "the driver is out of host memory"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, BN_ERR_DEVICE_MEMORY, "out of device memory"},
        {CL_INVALID_BUFFER_SIZE, BN_ERR_DEVICE_MEMORY, "larger than the device allocates at once"},
        {CL_DEVICE_NOT_AVAILABLE, BN_ERR_DEVICE_LOST, "the device is lost; close it and open it again"},
        {CL_OUT_OF_RESOURCES, BN_ERR_DEVICE_LOST, "the device failed; close it and open it again"},
        {CL_INVALID_COMMAND_QUEUE, BN_ERR_DEVICE_LOST, "the device is lost; close it and open it again"},
        {CL_INVALID_CONTEXT, BN_ERR_DEVICE_LOST, "the device is lost; close it and open it again"},
        {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, BN_ERR_DEVICE_LOST, "the device failed earlier"},
        {CL_BUILD_PROGRAM_FAILURE, BN_ERR_UNSUPPORTED, "the device's compiler refuses the kernel"},
        {CL_COMPILER_NOT_AVAILABLE, BN_ERR_UNAVAILABLE, "the driver has no compiler"},
    };
    enum bn_result ours = BN_ERR_INTERNAL;
    const char *text = "unexpected result of the driver";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].native == result) {
            ours = table[i].result;
            text = table[i].text;
        }
    bn_fail_at(err, ours, NULL, what, UINT64_MAX, "%s (OpenCL error %d)", text, result);
    if (err)
        err->native = result;
    return ours;
}
