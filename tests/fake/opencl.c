// libOpenCL.so.1: one platform.
#include "fake/fake.h"

FAKE_API int clGetPlatformIDs(uint32_t n, void **platforms, uint32_t *count);
FAKE_API int clGetPlatformInfo(void *platform, uint32_t what, size_t size, void *value, size_t *used);
FAKE_API int clGetDeviceIDs(void *platform, uint64_t type, uint32_t n, void **devices, uint32_t *count);
FAKE_API int clGetDeviceInfo(struct fake_device *device, uint32_t what, size_t size, void *value, size_t *used);

static int give(const void *data, size_t bytes, size_t size, void *value, size_t *used)
{
    if (size < bytes)
        return -30;
    memcpy(value, data, bytes);
    if (used)
        *used = bytes;
    return 0;
}

int clGetPlatformIDs(uint32_t n, void **platforms, uint32_t *count)
{
    platforms[0] = &fake;
    *count = 1;
    return fake_start("BITNET_TEST_FAKE_OPENCL", -1001);
}

int clGetPlatformInfo(void *platform, uint32_t what, size_t size, void *value, size_t *used)
{
    return give("fakecl", 7, size, value, used);
}

int clGetDeviceIDs(void *platform, uint64_t type, uint32_t n, void **devices, uint32_t *count)
{
    for (int i = 0; i < fake.n; i++)
        devices[i] = &fake.devices[i];
    *count = (uint32_t)fake.n;
    return fake.n ? 0 : -1;
}

int clGetDeviceInfo(struct fake_device *device, uint32_t what, size_t size, void *value, size_t *used)
{
    uint32_t pci[4] = {device->domain, device->bus, device->device, device->function};
    switch (what) {
    case 0x1000: // a GPU
        return give(&(uint64_t){4}, 8, size, value, used);
    case 0x101f:
        return give(&(uint64_t){fake_memory((int)(device - fake.devices))}, 8, size, value, used);
    case 0x102b:
        return give(device->name, strlen(device->name) + 1, size, value, used);
    case 0x102d:
        return give("7.7", 4, size, value, used);
    case 0x102f:
        return give("OpenCL 3.0 fake", 16, size, value, used);
    case 0x410f:
        return device->address[0] == '-' ? -30 : give(pci, sizeof pci, size, value, used);
    case 0x106a:
        return give(device->uuid, 16, size, value, used);
    default:
        return -30;
    }
}
