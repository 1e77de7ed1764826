// libdrm: the kernel's graphics drivers, their versions and what they say of memory.
#include "tools/probe/probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bn_config.h"

#if BN_HAVE_LIBDRM
#include <amdgpu_drm.h>
#include <i915_drm.h>
#include <xf86drm.h>

struct memory {
    uint64_t total, left;
};

static bool amdgpu_memory(int fd, struct memory *memory)
{
    struct drm_amdgpu_memory_info info;
    struct drm_amdgpu_info request;
    memset(&info, 0, sizeof info);
    memset(&request, 0, sizeof request);
    request.return_pointer = (uintptr_t)&info;
    request.return_size = sizeof info;
    request.query = AMDGPU_INFO_MEMORY;
    if (drmIoctl(fd, DRM_IOCTL_AMDGPU_INFO, &request) != 0)
        return false;
    memory->total = info.vram.total_heap_size;
    memory->left =
        info.vram.total_heap_size > info.vram.heap_usage ? info.vram.total_heap_size - info.vram.heap_usage : 0;
    return true;
}

// Memory of the device's own; an integrated GPU has none.
static bool i915_memory(int fd, struct memory *memory)
{
    union {
        struct drm_i915_query_memory_regions list;
        uint64_t room[512];
    } answer;
    struct drm_i915_query_item item = {.query_id = DRM_I915_QUERY_MEMORY_REGIONS};
    struct drm_i915_query query = {.num_items = 1, .items_ptr = (uintptr_t)&item};
    memset(&answer, 0, sizeof answer);
    item.length = sizeof answer;
    item.data_ptr = (uintptr_t)&answer;
    if (drmIoctl(fd, DRM_IOCTL_I915_QUERY, &query) != 0 || item.length <= 0)
        return false;
    memory->total = memory->left = 0;
    for (uint32_t i = 0; i < answer.list.num_regions && i < 32; i++) {
        const struct drm_i915_memory_region_info *region = &answer.list.regions[i];
        if (region->region.memory_class != I915_MEMORY_CLASS_DEVICE)
            continue;
        memory->total += region->probed_size;
        if (memory->left != UINT64_MAX) // all bits set: only root may know
            memory->left =
                region->unallocated_size == UINT64_MAX ? UINT64_MAX : memory->left + region->unallocated_size;
    }
    return memory->total > 0;
}

static const struct {
    const char *driver;
    bool (*memory)(int fd, struct memory *memory);
} drivers[] = {{"amdgpu", amdgpu_memory}, {"i915", i915_memory}};

static void record_driver(int fd)
{
    drmVersionPtr version = drmGetVersion(fd);
    struct memory memory;
    if (!version)
        return;
    record_text("driver", version->name);
    record_version("version", (unsigned)version->version_major, (unsigned)version->version_minor,
                   (unsigned)version->version_patchlevel);
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        if (strcmp(drivers[i].driver, version->name) == 0 && drivers[i].memory(fd, &memory)) {
            record_number("total", memory.total);
            record_number("free", memory.left);
        }
    }
    drmFreeVersion(version);
}

static void record_device(const drmDevice *device)
{
    const char *node = device->nodes[DRM_NODE_RENDER];
    struct stat status;
    char number[32];
    int fd = open(node, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return; // the survey has looked why
    record_start("device");
    if (device->bustype == DRM_BUS_PCI)
        record_pci(device->businfo.pci->domain, device->businfo.pci->bus, device->businfo.pci->dev,
                   device->businfo.pci->func);
    snprintf(number, sizeof number, "%u:%u", major(status.st_rdev), minor(status.st_rdev));
    record_text("render", number);
    record_text("label", node);
    record_driver(fd);
    record_end();
    close(fd);
}

void probe_drm(void)
{
    drmDevicePtr devices[64];
    int n = drmGetDevices2(DRM_DEVICE_GET_PCI_REVISION, devices, 64);
    for (int i = 0; i < n && i < 64; i++)
        if (devices[i]->available_nodes & 1 << DRM_NODE_RENDER)
            record_device(devices[i]);
}

#else

void probe_drm(void)
{
    record_state(BN_STATE_MISSING_LIBRARY, "build with libdrm (package libdrm-dev)", "this build has no libdrm");
}

#endif
