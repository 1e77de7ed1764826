// AMD's NPU (XDNA) through the kernel's driver amdxdna. A prototype: it tells what is there and opens nothing; never run on
// hardware. The structs are those of Linux' include/uapi/drm/amdxdna_accel.h.
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "npu/common/accel.h"

struct get_info {
    uint32_t param, size;
    uint64_t buffer;
};

struct tiles {
    uint16_t rows, first_row, dma_channels, locks, events, pad[3];
};

struct metadata {
    uint32_t column_bytes;
    uint16_t columns, rows;
    uint32_t version[2]; // of the array
    struct tiles core, memory, shim;
};

struct firmware {
    uint32_t major, minor, patch, build;
};

#define AMDXDNA_GET_INFO _IOWR('d', 0x40 + 7, struct get_info)

enum { QUERY_METADATA = 1, QUERY_FIRMWARE = 8 };

static bool query(int fd, uint32_t param, void *buffer, uint32_t size)
{
    struct get_info request = {.param = param, .size = size, .buffer = (uintptr_t)buffer};
    memset(buffer, 0, size);
    return bn_accel_ioctl(fd, AMDXDNA_GET_INFO, &request);
}

static bool ask(int fd, struct bn_device_info *info, char *about, size_t size)
{
    struct metadata array;
    struct firmware firmware;
    if (!query(fd, QUERY_METADATA, &array, sizeof(array)))
        return false;
    query(fd, QUERY_FIRMWARE, &firmware, sizeof(firmware)); // zeros if the kernel is too old to tell
    snprintf(info->isa, sizeof(info->isa), "aie %u.%u", array.version[0] & 0xffu, array.version[1] & 0xffu);
    snprintf(about, size, "firmware %u.%u.%u.%u, %u columns of %u core tiles", firmware.major, firmware.minor,
             firmware.patch, firmware.build, array.columns, array.core.rows);
    return true;
}

static const struct bn_accel_probe accel = {"amdxdna", "amdxdna", "AMD NPU", ask};

static enum bn_result amdxdna_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity,
                                    size_t *count, struct bn_error *err)
{
    return bn_accel_list(&accel, list, capacity, count);
}

static enum bn_result amdxdna_open(const struct bn_host *host, const struct bn_device_info *info,
                                   const struct bn_device_options *options, struct bn_device **out,
                                   struct bn_error *err)
{
    return bn_accel_open(info, err);
}

extern const struct bn_driver bn_driver_amdxdna;
const struct bn_driver bn_driver_amdxdna = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "amdxdna",
    .about = "AMD's NPU; prototype",
    .probe = amdxdna_probe,
    .open = amdxdna_open,
};
