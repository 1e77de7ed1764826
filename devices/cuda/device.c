// The CUDA driver: NVIDIA's cards through libcuda.so.1, which is opened at run time. What it does is in devices/common/streams*.
// The kernels are PTX, which NVIDIA's driver compiles for the card, and keeps in a cache of its own.
#include <stdio.h>
#include <string.h>

#include "devices/common/streams.h"
#include "cuda_kernels.inl"

extern const struct bn_driver bn_driver_cuda;

enum { INTEGRATED = 18, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 }; // CUdevice_attribute
enum { LEAST_CAPABILITY = 75 };                                         // packed dot products, and what the PTX is for

static const struct bn_streams_image images[] = {CUDA_IMAGES{NULL, NULL, NULL, 0, 0}};
static struct bn_streams_process process = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void judge(const struct bn_streams_api *api, int device, struct bn_device_info *info)
{
    int major = 0, minor = 0;
    api->attribute(&major, CAPABILITY_MAJOR, device);
    api->attribute(&minor, CAPABILITY_MINOR, device);
    snprintf(info->isa, sizeof(info->isa), "sm_%d%d", major, minor);
    if (major * 10 + minor >= LEAST_CAPABILITY)
        return;
    info->state = BN_STATE_TOO_OLD;
    snprintf(info->reason, sizeof(info->reason), "the card has compute capability %d.%d; 7.5 and up is needed", major,
             minor);
    snprintf(info->mend, sizeof(info->mend), "use it through Vulkan (-d vulkan), or use the CPU");
}

static const char *const libraries[] = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", NULL};

static const struct bn_streams_vendor vendor = {
    .driver = &bn_driver_cuda,
    .number = 0,
    .title = "CUDA",
    .libraries = libraries,
    .without = "BITNET_CUDA_WITHOUT",
    .no_library = "install NVIDIA's driver (Debian: nvidia-driver)",
    .no_device = "nvidia-smi tells more; CUDA_VISIBLE_DEVICES may hide devices",
    .no_kernel = "nvidia-smi and dmesg tell more",
    .integrated = INTEGRATED,
    .images = images,
    .process = &process,
    .judge = judge,
};

static enum bn_result cuda_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                 size_t *count, struct bn_error *err)
{
    return bn_streams_probe(&vendor, list, capacity, count);
}

static enum bn_result cuda_open(const struct bn_host *host, const struct bn_device_info *info,
                                const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    return bn_streams_open(&vendor, host, info, out, err);
}

const struct bn_driver bn_driver_cuda = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "cuda",
    .about = "NVIDIA's cards, through CUDA's driver library (prototype)",
    .probe = cuda_probe,
    .open = cuda_open,
    BN_STREAMS_SLOTS,
};
