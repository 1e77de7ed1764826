// OpenCL without linking it: the loader opened at run time, and the functions found in it.
#ifndef BN_DEVICES_OPENCL_CL_H
#define BN_DEVICES_OPENCL_CL_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <bitnet/driver.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

struct cl {
#define CL_REQUIRED(name) __typeof__(&cl##name) name;
#define CL_OPTIONAL(name) __typeof__(&cl##name) name;
#include "devices/opencl/functions.inl"
};

// Opens the loader. It is never closed: drivers behind it have threads that would run on without their code. On failure
// *state, reason and mend say why.
bool bn_cl_open(struct cl *cl, struct bn_device_info *why);

// Maps a result of OpenCL to ours, with what was tried: "clBuildProgram".
enum bn_result bn_cl_fail(struct bn_error *err, cl_int result, const char *what);

// Whether such a result means that the device will not work again.
bool bn_cl_is_lost(cl_int result);

#endif
