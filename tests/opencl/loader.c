// An OpenCL loader in front of the real one, which it opens by its path, BITNET_TEST_CL_LOADER: every call goes through until one is
// to fail. BITNET_TEST_CL_FAIL=clEnqueueNDRangeKernel@3=-5 lets the third call fail, @3+ that and all behind it, also of other
// functions that reach the device: it has vanished. "status@2=-14": an event says that its command failed. What was called how
// often is written to BITNET_TEST_CL_COUNTS when the process ends.
#pragma GCC visibility push(default)
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const char *name;
    unsigned calls;
} counts[MOST];
static char wanted[64];
static unsigned wanted_call;
static int wanted_code;
static bool for_good, gone, refused_build;
static void *real;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("BITNET_TEST_CL_LOADER"), *plan = getenv("BITNET_TEST_CL_FAIL");
    char plus = 0;
    real = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!real) {
        fprintf(stderr, "fake: BITNET_TEST_CL_LOADER: %s\n", path ? dlerror() : "is not set");
        abort();
    }
    if (plan && sscanf(plan, "%63[^@]@%u%c", wanted, &wanted_call, &plus) == 3) {
        for_good = plus == '+';
        wanted_code = atoi(strchr(plan, '=') + 1);
    }
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("BITNET_TEST_CL_COUNTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    for (int i = 0; file && i < MOST && counts[i].name; i++)
        fprintf(file, "%s %u\n", counts[i].name, counts[i].calls);
    if (file)
        fclose(file);
}

// The code with which this call fails, or 0. `releases`: even a device that has vanished lets go of what it had.
static int fails(const char *name, bool releases)
{
    int code = 0, i = 0;
    pthread_mutex_lock(&lock);
    while (i < MOST - 1 && counts[i].name && strcmp(counts[i].name, name) != 0)
        i++;
    counts[i].name = name;
    bool now = ++counts[i].calls == wanted_call && strcmp(name, wanted) == 0;
    if (now || (gone && !releases))
        code = wanted_code;
    gone = gone || (now && for_good);
    pthread_mutex_unlock(&lock);
    return code;
}

#define REAL(name) (__extension__(__typeof__(&name)) dlsym(real, #name))
// Functions that return a code; those that release; those that return a handle and write the code.
#define CODE(name, parameters, ...)                                                                                    \
    cl_int name parameters                                                                                             \
    {                                                                                                                  \
        int code = fails(#name, false);                                                                                \
        return code ? code : REAL(name)(__VA_ARGS__);                                                                  \
    }
#define RELEASE(name, type)                                                                                            \
    cl_int name(type handle)                                                                                           \
    {                                                                                                                  \
        int code = fails(#name, true);                                                                                 \
        cl_int own = REAL(name)(handle);                                                                               \
        return code ? code : own;                                                                                      \
    }
#define HANDLE(type, name, parameters, ...)                                                                            \
    type name parameters                                                                                               \
    {                                                                                                                  \
        int code = fails(#name, false);                                                                                \
        if (!code)                                                                                                     \
            return REAL(name)(__VA_ARGS__);                                                                            \
        *native = code;                                                                                                \
        return NULL;                                                                                                   \
    }

CODE(clGetPlatformIDs, (cl_uint n, cl_platform_id *list, cl_uint *count), n, list, count)
CODE(clGetPlatformInfo, (cl_platform_id p, cl_platform_info what, size_t size, void *value, size_t *used), p, what,
     size, value, used)
CODE(clGetDeviceIDs, (cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *list, cl_uint *count), p, type, n,
     list, count)
CODE(clGetDeviceInfo, (cl_device_id d, cl_device_info what, size_t size, void *value, size_t *used), d, what, size,
     value, used)
CODE(clCreateSubDevices,
     (cl_device_id d, const cl_device_partition_property *how, cl_uint n, cl_device_id *list, cl_uint *count), d, how,
     n, list, count)
RELEASE(clReleaseDevice, cl_device_id)
HANDLE(cl_context, clCreateContext,
       (const cl_context_properties *properties, cl_uint n, const cl_device_id *list,
        void (*call)(const char *, const void *, size_t, void *), void *data, cl_int *native),
       properties, n, list, call, data, native)
RELEASE(clReleaseContext, cl_context)
HANDLE(cl_command_queue, clCreateCommandQueue,
       (cl_context c, cl_device_id d, cl_command_queue_properties properties, cl_int *native), c, d, properties, native)
RELEASE(clReleaseCommandQueue, cl_command_queue)
HANDLE(cl_mem, clCreateBuffer, (cl_context c, cl_mem_flags flags, size_t size, void *host, cl_int *native), c, flags,
       size, host, native)
RELEASE(clReleaseMemObject, cl_mem)
CODE(clEnqueueWriteBuffer,
     (cl_command_queue q, cl_mem m, cl_bool blocks, size_t at, size_t size, const void *data, cl_uint n,
      const cl_event *list, cl_event *event),
     q, m, blocks, at, size, data, n, list, event)
CODE(clEnqueueReadBuffer,
     (cl_command_queue q, cl_mem m, cl_bool blocks, size_t at, size_t size, void *data, cl_uint n, const cl_event *list,
      cl_event *event),
     q, m, blocks, at, size, data, n, list, event)
CODE(clEnqueueFillBuffer,
     (cl_command_queue q, cl_mem m, const void *pattern, size_t bytes, size_t at, size_t size, cl_uint n,
      const cl_event *list, cl_event *event),
     q, m, pattern, bytes, at, size, n, list, event)
HANDLE(cl_program, clCreateProgramWithSource,
       (cl_context c, cl_uint n, const char **texts, const size_t *sizes, cl_int *native), c, n, texts, sizes, native)
HANDLE(cl_program, clCreateProgramWithBinary,
       (cl_context c, cl_uint n, const cl_device_id *list, const size_t *sizes, const unsigned char **data,
        cl_int *status, cl_int *native),
       c, n, list, sizes, data, status, native)
CODE(clGetProgramInfo, (cl_program p, cl_program_info what, size_t size, void *value, size_t *used), p, what, size,
     value, used)
RELEASE(clReleaseProgram, cl_program)
HANDLE(cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *native), p, name, native)
CODE(clSetKernelArg, (cl_kernel k, cl_uint i, size_t size, const void *value), k, i, size, value)
RELEASE(clReleaseKernel, cl_kernel)
CODE(clEnqueueNDRangeKernel,
     (cl_command_queue q, cl_kernel k, cl_uint axes, const size_t *offset, const size_t *global, const size_t *local,
      cl_uint n, const cl_event *list, cl_event *event),
     q, k, axes, offset, global, local, n, list, event)
CODE(clGetEventProfilingInfo, (cl_event e, cl_profiling_info what, size_t size, void *value, size_t *used), e, what,
     size, value, used)
CODE(clRetainEvent, (cl_event e), e)
RELEASE(clReleaseEvent, cl_event)
CODE(clFlush, (cl_command_queue q), q)
RELEASE(clFinish, cl_command_queue) // after which nothing runs, whatever it says

cl_int clBuildProgram(cl_program p, cl_uint n, const cl_device_id *list, const char *options,
                      void (*call)(cl_program, void *), void *data)
{
    int code = fails("clBuildProgram", false);
    refused_build = refused_build || code;
    return code ? code : REAL(clBuildProgram)(p, n, list, options, call, data);
}

cl_int clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info what, size_t size, void *value,
                             size_t *used)
{
    static const char log[] =
        "In file included from x:\nportable/fake.cl:7:3: error: this compiler refuses everything\n";
    int code = fails("clGetProgramBuildInfo", false);
    if (code || !refused_build || what != CL_PROGRAM_BUILD_LOG || size < sizeof log)
        return code ? code : REAL(clGetProgramBuildInfo)(p, d, what, size, value, used);
    memcpy(value, log, sizeof log);
    *used = sizeof log;
    return CL_SUCCESS;
}

cl_int clGetEventInfo(cl_event e, cl_event_info what, size_t size, void *value, size_t *used)
{
    int code = fails("clGetEventInfo", false), status = fails("status", false);
    if (!code && status && size == sizeof status) {
        memcpy(value, &status, sizeof status);
        return CL_SUCCESS;
    }
    return code ? code : REAL(clGetEventInfo)(e, what, size, value, used);
}

void *clSVMAlloc(cl_context c, cl_svm_mem_flags flags, size_t size, cl_uint alignment)
{
    return fails("clSVMAlloc", false) ? NULL : REAL(clSVMAlloc)(c, flags, size, alignment);
}

void clSVMFree(cl_context c, void *data)
{
    REAL(clSVMFree)(c, data);
}
