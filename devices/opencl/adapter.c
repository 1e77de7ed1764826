#include "devices/opencl/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLATFORMS = 16, TEXT_BYTES = 8192, LEAST_GROUP = 128, LEAST_LOCAL = 16384 };

// Extensions of vendors that cl_ext.h of Debian does not have, or not under these names.
enum { NV_BUS = 0x4008, NV_SLOT = 0x4009, NV_DOMAIN = 0x400a, AMD_TOPOLOGY = 0x4037, AMD_BOARD_NAME = 0x4038 };

static const char *text_of(const struct cl *cl, cl_device_id device, cl_device_info what, char *text, size_t size)
{
    size_t used = 0;
    if (cl->GetDeviceInfo(device, what, size - 1, text, &used) != CL_SUCCESS)
        used = 0;
    text[used < size ? used : size - 1] = '\0';
    return text;
}

static bool value_of(const struct cl *cl, cl_device_id device, cl_device_info what, void *value, size_t size)
{
    size_t used = 0;
    return cl->GetDeviceInfo(device, what, size, value, &used) == CL_SUCCESS && used == size;
}

static uint64_t number_of(const struct cl *cl, cl_device_id device, cl_device_info what)
{
    uint64_t wide = 0;
    uint32_t narrow = 0;
    if (value_of(cl, device, what, &wide, sizeof(wide)))
        return wide;
    return value_of(cl, device, what, &narrow, sizeof(narrow)) ? narrow : 0;
}

// Whether `name` is a word of the list.
static bool listed(const char *list, const char *name, char between)
{
    size_t n = strlen(name);
    for (const char *at = list; at; at = strchr(at, between) ? strchr(at, between) + 1 : NULL)
        if (strncmp(at, name, n) == 0 && (at[n] == between || at[n] == '\0'))
            return true;
    return false;
}

static void apply_mask(struct features *features)
{
    const char *without = bn_env("BITNET_OPENCL_WITHOUT");
    const struct {
        const char *name;
        bool *feature;
    } table[] = {
        {"int_dot", &features->int_dot}, {"subgroup", &features->subgroup},       {"svm", &features->svm},
        {"half", &features->half},       {"host_import", &features->host_import}, {"binaries", &features->binaries},
        {"fused", &features->fused},     {"software", &features->software},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (listed(without, table[i].name, ','))
            *table[i].feature = false;
}

static void refuse(struct bn_device_info *info, enum bn_device_state state, const char *reason)
{
    info->state = state;
    snprintf(info->reason, sizeof(info->reason), "%s", reason);
    snprintf(info->mend, sizeof(info->mend), "%s", "update the device's OpenCL driver");
}

// "OpenCL 3.0 ..." -> 30
static unsigned version_of(const char *text)
{
    unsigned major = 0, minor = 0;
    return sscanf(text, "OpenCL C %u.%u", &major, &minor) == 2 || sscanf(text, "OpenCL %u.%u", &major, &minor) == 2
               ? major * 10 + minor
               : 0;
}

static bool partitions(const struct cl *cl, cl_device_id device)
{
    cl_device_partition_property list[16];
    size_t used = 0;
    if (cl->GetDeviceInfo(device, CL_DEVICE_PARTITION_PROPERTIES, sizeof(list), list, &used) != CL_SUCCESS)
        return false;
    for (size_t i = 0; i < used / sizeof(list[0]); i++)
        if (list[i] == CL_DEVICE_PARTITION_BY_COUNTS)
            return true;
    return false;
}

static void find_features(const struct cl *cl, struct adapter *adapter, const char *extensions, unsigned version)
{
    cl_device_id device = adapter->device;
    char text[256];
    unsigned language = version_of(text_of(cl, device, CL_DEVICE_OPENCL_C_VERSION, text, sizeof(text)));
    bool later = language >= 20; // built-in functions of extensions are of OpenCL C 2.0 and up
    uint64_t svm = version >= 20 ? number_of(cl, device, CL_DEVICE_SVM_CAPABILITIES) : 0;
    bool cpu = adapter->info.kind == BN_DEVICE_CPU;
    adapter->features = (struct features){
        .int_dot = later && listed(extensions, "cl_khr_integer_dot_product", ' '),
        .subgroup =
            later && !cpu &&
            (listed(extensions, "cl_khr_subgroup_shuffle", ' ') || listed(extensions, "cl_intel_subgroups", ' ')),
        .half = listed(extensions, "cl_khr_fp16", ' '),
        .svm = adapter->unified && (svm & CL_DEVICE_SVM_FINE_GRAIN_BUFFER) && cl->SVMAlloc && cl->SVMFree,
        .host_import = adapter->unified,
        .binaries = true,
        .software = cpu,
        .fused = true,
    };
    apply_mask(&adapter->features);
    bool extended = adapter->features.int_dot || adapter->features.subgroup;
    snprintf(adapter->standard, sizeof(adapter->standard), "CL%u.%u", extended ? language / 10 : 1,
             extended ? language % 10 : 2);
    adapter->exact_divide = number_of(cl, device, CL_DEVICE_SINGLE_FP_CONFIG) & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
}

static void judge(const struct cl *cl, struct adapter *adapter, unsigned version)
{
    cl_device_id device = adapter->device;
    struct bn_device_info *info = &adapter->info;
    if (version < 12)
        refuse(info, BN_STATE_TOO_OLD, "the device's driver is older than OpenCL 1.2");
    else if (!number_of(cl, device, CL_DEVICE_AVAILABLE))
        refuse(info, BN_STATE_FAULTED, "the driver says that the device is not available");
    else if (!number_of(cl, device, CL_DEVICE_COMPILER_AVAILABLE))
        refuse(info, BN_STATE_TOO_OLD, "the device's driver has no compiler");
    else if (!number_of(cl, device, CL_DEVICE_ENDIAN_LITTLE))
        refuse(info, BN_STATE_TOO_OLD, "the device is big-endian");
    else if (number_of(cl, device, CL_DEVICE_MAX_WORK_GROUP_SIZE) < LEAST_GROUP || adapter->local_bytes < LEAST_LOCAL)
        refuse(info, BN_STATE_TOO_OLD, "the device has groups of less than 128 work-items, or 16 KiB");
}

// By what other drivers and bitnet-devices know a card; software has no place of its own.
static void locate(const struct cl *cl, struct adapter *adapter, const char *extensions)
{
    struct bn_device_info *info = &adapter->info;
    cl_device_id device = adapter->device;
    uint32_t pci[4], bus, slot, domain = 0;
    uint8_t amd[24], uuid[CL_UUID_SIZE_KHR];
    if (info->kind == BN_DEVICE_CPU)
        return;
    if (listed(extensions, "cl_khr_pci_bus_info", ' ') &&
        value_of(cl, device, CL_DEVICE_PCI_BUS_INFO_KHR, pci, sizeof(pci))) {
        snprintf(info->pci, sizeof(info->pci), "%04x:%02x:%02x.%x", pci[0], pci[1] & 0xffu, pci[2] & 0xffu,
                 pci[3] & 0xfu);
    } else if (value_of(cl, device, NV_BUS, &bus, sizeof(bus)) && value_of(cl, device, NV_SLOT, &slot, sizeof(slot))) {
        value_of(cl, device, NV_DOMAIN, &domain, sizeof(domain));
        snprintf(info->pci, sizeof(info->pci), "%04x:%02x:%02x.%x", domain, bus & 0xffu, slot >> 3 & 0xffu, slot & 7);
    } else if (value_of(cl, device, AMD_TOPOLOGY, amd, sizeof(amd)) && amd[0] == 1) { // PCIe; the last three bytes
        snprintf(info->pci, sizeof(info->pci), "0000:%02x:%02x.%x", amd[21], amd[22], amd[23] & 0xfu);
    }
    if (listed(extensions, "cl_khr_device_uuid", ' ') && value_of(cl, device, CL_DEVICE_UUID_KHR, uuid, sizeof(uuid)))
        for (size_t i = 0; i < sizeof(uuid); i++)
            snprintf(info->uuid + 2 * i, 3, "%02x", uuid[i]);
}

static void look_at(const struct cl *cl, struct adapter *adapter, cl_device_type type)
{
    cl_device_id device = adapter->device;
    struct bn_device_info *info = &adapter->info;
    char extensions[TEXT_BYTES], name[128], version[128], driver[64], platform[128] = "";
    *info = (struct bn_device_info){.size = sizeof(*info)};
    info->kind = type & CL_DEVICE_TYPE_CPU ? BN_DEVICE_CPU : type & CL_DEVICE_TYPE_GPU ? BN_DEVICE_GPU : BN_DEVICE_NPU;
    text_of(cl, device, CL_DEVICE_EXTENSIONS, extensions, sizeof(extensions));
    text_of(cl, device, CL_DEVICE_VERSION, version, sizeof(version));
    text_of(cl, device, CL_DRIVER_VERSION, driver, sizeof(driver));
    text_of(cl, device, CL_DEVICE_NAME, name, sizeof(name));
    cl->GetPlatformInfo(adapter->platform, CL_PLATFORM_VERSION, sizeof(platform) - 1, platform, NULL);
    snprintf(adapter->identity, sizeof(adapter->identity), "%s|%s|%s|%s", platform, name, version, driver);
    if (!*text_of(cl, device, AMD_BOARD_NAME, info->name, sizeof(info->name)))
        snprintf(info->name, sizeof(info->name), "%.95s", name);
    bn_make_printable(info->name);
    unsigned number = version_of(version);
    snprintf(info->driver, sizeof(info->driver), "opencl");
    snprintf(info->isa, sizeof(info->isa), "opencl %u.%u", number / 10 % 100, number % 10);
    info->memory_total = number_of(cl, device, CL_DEVICE_GLOBAL_MEM_SIZE);
    adapter->units = (uint32_t)number_of(cl, device, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->threads = info->kind == BN_DEVICE_CPU ? adapter->units : 0;
    adapter->max_allocation = number_of(cl, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    adapter->alignment = number_of(cl, device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    adapter->local_bytes = number_of(cl, device, CL_DEVICE_LOCAL_MEM_SIZE);
    adapter->unified = number_of(cl, device, CL_DEVICE_HOST_UNIFIED_MEMORY);
    adapter->partitions = partitions(cl, device);
    find_features(cl, adapter, extensions, number);
    judge(cl, adapter, number);
    locate(cl, adapter, extensions);
}

// Software is one more way into the CPU.
static void name_it(struct bn_device_info *info, uint32_t number)
{
    const char *kind = info->kind == BN_DEVICE_CPU ? "cpu" : info->kind == BN_DEVICE_GPU ? "gpu" : "npu";
    if (info->kind == BN_DEVICE_CPU && number == 0)
        snprintf(info->id, sizeof(info->id), "cpu");
    else
        snprintf(info->id, sizeof(info->id), "%s%u", kind, number);
}

uint32_t bn_opencl_adapters(const struct cl *cl, struct adapter *list)
{
    static const cl_device_type wanted[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU};
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_device_id devices[CL_MAX_ADAPTERS];
    cl_uint n_platforms = 0, n_devices;
    uint32_t written = 0;
    if (cl->GetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
        return 0;
    n_platforms = n_platforms < MAX_PLATFORMS ? n_platforms : MAX_PLATFORMS;
    for (size_t w = 0; w < sizeof(wanted) / sizeof(wanted[0]); w++) {
        uint32_t of_kind = 0;
        for (cl_uint p = 0; p < n_platforms; p++) {
            n_devices = 0;
            if (cl->GetDeviceIDs(platforms[p], wanted[w], CL_MAX_ADAPTERS, devices, &n_devices) != CL_SUCCESS)
                continue;
            for (cl_uint d = 0; d < n_devices && d < CL_MAX_ADAPTERS && written < CL_MAX_ADAPTERS; d++) {
                struct adapter *adapter = &list[written];
                memset(adapter, 0, sizeof(*adapter));
                adapter->platform = platforms[p];
                adapter->device = devices[d];
                look_at(cl, adapter, wanted[w]);
                name_it(&adapter->info, of_kind++);
                adapter->info.index = written++;
            }
        }
    }
    return written;
}
