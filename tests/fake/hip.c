// libamdhip64.so.6
#include "fake/fake.h"

FAKE_API int hipInit(unsigned flags);
FAKE_API int hipRuntimeGetVersion(int *version);
FAKE_API int hipGetDeviceCount(int *count);
FAKE_API int hipDeviceGetName(char *name, int size, int device);
FAKE_API int hipDeviceGetPCIBusId(char *address, int size, int device);
FAKE_API int hipDeviceTotalMem(size_t *bytes, int device);

int hipInit(unsigned flags)
{
    return fake_start("BITNET_TEST_FAKE_HIP", 100);
}

int hipRuntimeGetVersion(int *version)
{
    *version = 60140092;
    return 0;
}

int hipGetDeviceCount(int *count)
{
    *count = fake.n;
    return fake.n ? 0 : 100;
}

int hipDeviceGetName(char *name, int size, int device)
{
    fake_text(name, (size_t)size, fake.devices[device].name);
    return 0;
}

int hipDeviceGetPCIBusId(char *address, int size, int device)
{
    fake_text(address, (size_t)size, fake.devices[device].address);
    return 0;
}

int hipDeviceTotalMem(size_t *bytes, int device)
{
    *bytes = fake_memory(device);
    return 0;
}
