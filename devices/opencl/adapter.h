// The devices of every OpenCL driver: what there is, what of it we use, and what we do instead of the rest.
#ifndef BN_DEVICES_OPENCL_ADAPTER_H
#define BN_DEVICES_OPENCL_ADAPTER_H

#include "devices/opencl/cl.h"

// What a device may lack. Each has a fallback, which BITNET_OPENCL_WITHOUT=name,name forces for tests.
struct features {
    bool int_dot;  // cl_khr_integer_dot_product; else shifts and multiplications
    bool subgroup; // shuffles in subgroups; else local memory
    bool half;     // cl_khr_fp16; else its core function vload_half
    bool svm;      // fine-grained shared virtual memory where device and host share theirs; else copies at submission
    bool host_import; // host memory as device memory (CL_MEM_USE_HOST_PTR where memory is shared); else copies
    bool binaries;    // compiled programs can be kept; else every process compiles
    bool software;    // a CPU that plays a GPU: other sizes of groups, no tiles, no split contexts
    bool fused;       // norm and quantisation inside their consumer; else kernels of their own
};

struct adapter {
    cl_platform_id platform;
    cl_device_id device;
    struct features features;
    char identity[512]; // platform, device, driver and versions: what compiled programs depend on
    char standard[16];  // of OpenCL C: "CL1.2"
    uint64_t max_allocation, alignment, local_bytes;
    uint32_t units;
    bool unified;    // host and device share their memory
    bool partitions; // CL_DEVICE_PARTITION_BY_COUNTS
    bool exact_divide;
    struct bn_device_info info;
};

enum { CL_MAX_ADAPTERS = 32 };

// Every device of every platform: GPUs, then accelerators, then CPUs. Returns how many were written.
uint32_t bn_opencl_adapters(const struct cl *cl, struct adapter *list);

#endif
