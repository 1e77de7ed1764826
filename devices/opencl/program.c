// Kernels: source, options, binaries.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/opencl/device.h"
#include "devices/opencl/sources.h"

enum { MAX_OPTIONS = 512, MAX_NAME = 64, MAX_SOURCE_BYTES = 4 << 20, LOG_BYTES = 16384 };

void bn_opencl_programs_finish(struct device *device)
{
    while (device->programs) {
        struct program *program = device->programs;
        device->programs = program->next;
        device->cl.ReleaseProgram(program->handle);
        bn_free(device->base.host, program);
    }
}

// A source that its author works on: NAME.cl of the folder, whole, instead of the embedded one. NULL if there is none.
static char *read_override(const struct device *device, const char *name, size_t *bytes)
{
    char path[sizeof(device->shaders) + MAX_NAME + 8];
    if (!device->shaders[0])
        return NULL;
    snprintf(path, sizeof(path), "%s/%s.cl", device->shaders, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct stat st;
    char *text = NULL;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= MAX_SOURCE_BYTES)
        text = bn_alloc(device->base.host, (size_t)st.st_size);
    if (text && read(fd, text, (size_t)st.st_size) == st.st_size) {
        *bytes = (size_t)st.st_size;
        bn_log(device->base.host, BN_LOG_INFO, "opencl: kernel %s from %s", name, path);
    } else {
        bn_log(device->base.host, BN_LOG_WARNING, "opencl: %s cannot be read; the embedded kernel is used", path);
        bn_free(device->base.host, text);
        text = NULL;
    }
    close(fd);
    return text;
}

// The options of the compiler, into `text`.
static void write_options(const struct device *device, const struct program *program, const struct source *source,
                          char *text)
{
    const struct adapter *adapter = &device->adapter;
    uint32_t variants = bn_kernel_infos[program->kernel].variants;
    int n = snprintf(text, MAX_OPTIONS, "-cl-std=%s%s%s%s%s%s%s", adapter->standard,
                     adapter->exact_divide ? " -cl-fp32-correctly-rounded-divide-sqrt" : "", source->options,
                     device->target.whole_rows ? " -DWIDE" : "", adapter->features.half ? " -DHALF" : "",
                     (variants & BN_KERNEL_DOT) && adapter->features.int_dot ? " -DDOT" : "",
                     (variants & BN_KERNEL_SUBGROUP) && adapter->features.subgroup ? " -DSUBGROUP" : "");
    for (uint32_t i = 0; i < BN_MAX_CONSTANTS; i++)
        if (!(source->parameters & 1u << i))
            n += snprintf(text + n, (size_t)(MAX_OPTIONS - n), " -DC%u=%u", i, program->constants[i]);
}

static cl_program from_binary(struct device *device, const void *binary, size_t bytes)
{
    const struct cl *cl = &device->cl;
    cl_device_id id = bn_opencl_id(device);
    const unsigned char *data = binary;
    cl_int native, status = CL_SUCCESS;
    cl_program program = cl->CreateProgramWithBinary(device->context, 1, &id, &bytes, &data, &status, &native);
    if (native == CL_SUCCESS && status == CL_SUCCESS && cl->BuildProgram(program, 1, &id, "", NULL, NULL) == CL_SUCCESS)
        return program;
    if (native == CL_SUCCESS)
        cl->ReleaseProgram(program);
    bn_log(device->base.host, BN_LOG_INFO, "opencl: the driver refuses a program of the cache, which is made anew");
    return NULL;
}

// What the compiler said: all of it as a message, the first error in the report.
static enum bn_result refused(struct device *device, cl_program program, const char *name, const char *options,
                              cl_int native, struct bn_error *err)
{
    char *said = bn_alloc(device->base.host, LOG_BYTES);
    size_t used = 0;
    enum bn_result result = bn_opencl_fail(device, err, native, name);
    if (!said)
        return result;
    if (device->cl.GetProgramBuildInfo(program, bn_opencl_id(device), CL_PROGRAM_BUILD_LOG, LOG_BYTES - 1, said,
                                       &used) != CL_SUCCESS)
        snprintf(said, LOG_BYTES, "no log, or one of more than %d bytes", LOG_BYTES);
    bn_log(device->base.host, BN_LOG_WARNING, "opencl: %s with %s:\n%s", name, options, said);
    const char *first = strstr(said, "error");
    while (first && first > said && first[-1] != '\n')
        first--;
    if (err) {
        snprintf(err->message, sizeof(err->message), "the device's compiler refuses the kernel: %.*s",
                 (int)strcspn(first ? first : said, "\n"), first ? first : said);
        bn_make_printable(err->message);
    }
    bn_free(device->base.host, said);
    return result;
}

static enum bn_result build(struct device *device, struct program *program, struct bn_error *err)
{
    const struct cl *cl = &device->cl;
    const struct source *source = bn_opencl_source(program->kernel);
    if (!source)
        return bn_fail_at(err, BN_ERR_INTERNAL, NULL, bn_kernel_infos[program->kernel].name, UINT64_MAX,
                          "no such kernel was embedded");
    char options[MAX_OPTIONS];
    size_t bytes = source->bytes, binary_bytes = 0;
    char *override = read_override(device, source->name, &bytes);
    const char *text = override ? override : source->text;
    write_options(device, program, source, options);
    uint64_t key = bn_opencl_hash(0xcbf29ce484222325u, text, bytes);
    key = bn_opencl_hash(key, options, strlen(options));
    key = bn_opencl_hash(key, device->adapter.identity, strlen(device->adapter.identity));
    void *binary = device->adapter.features.binaries ? bn_opencl_cache_load(device, key, &binary_bytes) : NULL;
    program->handle = binary ? from_binary(device, binary, binary_bytes) : NULL;
    bn_free(device->base.host, binary);
    enum bn_result result = BN_OK;
    if (!program->handle) {
        cl_device_id id = bn_opencl_id(device);
        cl_int native;
        program->handle = cl->CreateProgramWithSource(device->context, 1, &text, &bytes, &native);
        if (native != CL_SUCCESS) {
            program->handle = NULL;
            result = bn_opencl_fail(device, err, native, "clCreateProgramWithSource");
        } else if ((native = cl->BuildProgram(program->handle, 1, &id, options, NULL, NULL)) != CL_SUCCESS) {
            result = refused(device, program->handle, source->name, options, native, err);
            cl->ReleaseProgram(program->handle);
            program->handle = NULL;
        } else if (device->adapter.features.binaries) {
            bn_opencl_cache_save(device, key, program->handle);
        }
    }
    bn_free(device->base.host, override);
    return result;
}

static enum bn_result find_program(struct device *device, enum bn_kernel kernel, const uint32_t *constants,
                                   struct program **out, struct bn_error *err)
{
    const struct source *source = bn_opencl_source(kernel);
    uint32_t fixed[BN_MAX_CONSTANTS];
    for (uint32_t i = 0; i < BN_MAX_CONSTANTS; i++)
        fixed[i] = source && source->parameters & 1u << i ? 0 : constants[i];
    for (struct program *program = device->programs; program; program = program->next)
        if (program->kernel == kernel && memcmp(program->constants, fixed, sizeof(fixed)) == 0) {
            *out = program;
            return BN_OK;
        }
    struct program *program = bn_alloc(device->base.host, sizeof(*program));
    if (!program)
        return bn_fail_memory(err, sizeof(*program), "a program");
    program->kernel = kernel;
    memcpy(program->constants, fixed, sizeof(program->constants));
    struct features *features = &device->adapter.features;
    enum bn_result result = build(device, program, err);
    if (result == BN_ERR_UNSUPPORTED && (features->int_dot || features->subgroup)) {
        // An extension that a compiler lists and does not have.
        features->int_dot = features->subgroup = false;
        bn_log(device->base.host, BN_LOG_WARNING, "opencl: packed dot products and subgroups are left out");
        result = build(device, program, err);
    }
    if (result != BN_OK) {
        bn_free(device->base.host, program);
        return result;
    }
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return BN_OK;
}

enum bn_result bn_opencl_kernel(struct device *device, const struct bn_dispatch *dispatch, cl_kernel *out,
                                struct bn_error *err)
{
    struct program *program = NULL;
    enum bn_result result = find_program(device, dispatch->kernel, dispatch->constants, &program, err);
    if (result != BN_OK)
        return result;
    cl_int native;
    *out = device->cl.CreateKernel(program->handle, bn_kernel_infos[dispatch->kernel].name, &native);
    return native == CL_SUCCESS ? BN_OK : bn_opencl_fail(device, err, native, bn_kernel_infos[dispatch->kernel].name);
}
