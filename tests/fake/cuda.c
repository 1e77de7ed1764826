// libcuda.so.1
#include "fake/fake.h"

FAKE_API int cuInit(unsigned flags);
FAKE_API int cuDriverGetVersion(int *version);
FAKE_API int cuDeviceGetCount(int *count);
FAKE_API int cuDeviceGet(int *device, int index);
FAKE_API int cuDeviceGetName(char *name, int size, int device);
FAKE_API int cuDeviceGetPCIBusId(char *address, int size, int device);
FAKE_API int cuDeviceTotalMem_v2(size_t *bytes, int device);
FAKE_API int cuDeviceGetUuid_v2(uint8_t *uuid, int device);
FAKE_API int cuDeviceGetAttribute(int *value, int attribute, int device);

int cuInit(unsigned flags)
{
    return fake_start("BITNET_TEST_FAKE_CUDA", 100);
}

int cuDriverGetVersion(int *version)
{
    *version = 12040;
    return 0;
}

int cuDeviceGetCount(int *count)
{
    *count = fake.n;
    return 0;
}

int cuDeviceGet(int *device, int index)
{
    *device = index;
    return 0;
}

int cuDeviceGetName(char *name, int size, int device)
{
    fake_text(name, (size_t)size, fake.devices[device].name);
    return 0;
}

int cuDeviceGetPCIBusId(char *address, int size, int device)
{
    fake_text(address, (size_t)size, fake.devices[device].address);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    *bytes = fake_memory(device);
    return 0;
}

int cuDeviceGetUuid_v2(uint8_t *uuid, int device)
{
    memcpy(uuid, fake.devices[device].uuid, 16);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? 9 : 0; // sm_90
    return 0;
}
