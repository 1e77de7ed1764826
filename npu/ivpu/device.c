// Intel's NPU through the kernel's driver intel_vpu. A prototype: it tells what is there and opens nothing; never run on
// hardware. The structs are those of Linux' include/uapi/drm/ivpu_accel.h.
#include <stdio.h>
#include <sys/ioctl.h>

#include "npu/common/accel.h"

struct ivpu_param {
    uint32_t param, index;
    uint64_t value;
};

#define IVPU_GET_PARAM _IOWR('d', 0x40, struct ivpu_param)

enum {
    PARAM_DEVICE_ID = 0,
    PARAM_CORE_CLOCK = 3,
    PARAM_CONTEXTS = 4,
    PARAM_FIRMWARE = 8,
    FIRMWARE_JOBS = 4, // index of the interface through which jobs are given
};

static bool get(int fd, uint32_t param, uint32_t index, uint64_t *value)
{
    struct ivpu_param request = {.param = param, .index = index};
    if (!bn_accel_ioctl(fd, IVPU_GET_PARAM, &request))
        return false;
    *value = request.value;
    return true;
}

static bool ask(int fd, struct bn_device_info *info, char *about, size_t size)
{
    static const struct {
        uint64_t id;
        const char *isa;
    } generations[] = {{0x7d1d, "npu 3720"}, {0xad1d, "npu 3720"}, {0x643e, "npu 4000"}, {0xb03e, "npu 5010"}};
    uint64_t id = 0, contexts = 0, firmware = 0;
    if (!get(fd, PARAM_DEVICE_ID, 0, &id) || !get(fd, PARAM_CONTEXTS, 0, &contexts))
        return false;
    for (size_t i = 0; i < sizeof(generations) / sizeof(*generations); i++)
        if (generations[i].id == id)
            snprintf(info->isa, sizeof(info->isa), "%s", generations[i].isa);
    get(fd, PARAM_FIRMWARE, FIRMWARE_JOBS, &firmware);
    snprintf(about, size, "firmware interface %u.%u, %u contexts", (unsigned)(firmware >> 16) & 0xffffu,
             (unsigned)firmware & 0xffffu, (unsigned)contexts);
    return true;
}

static const struct bn_accel_probe accel = {"ivpu", "intel_vpu", "Intel NPU", ask};

static enum bn_result ivpu_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                 size_t *count, struct bn_error *err)
{
    return bn_accel_list(&accel, list, capacity, count);
}

static enum bn_result ivpu_open(const struct bn_host *host, const struct bn_device_info *info,
                                const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    return bn_accel_open(info, err);
}

extern const struct bn_driver bn_driver_ivpu;
const struct bn_driver bn_driver_ivpu = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "ivpu",
    .about = "Intel's NPU; prototype",
    .probe = ivpu_probe,
    .open = ivpu_open,
};
