// libhsa-runtime64.so.1: a CPU agent, then the GPUs.
#include "fake/fake.h"

struct agent {
    uint64_t handle;
};

FAKE_API uint32_t hsa_init(void);
FAKE_API uint32_t hsa_system_get_info(uint32_t what, void *value);
FAKE_API uint32_t hsa_iterate_agents(uint32_t (*each)(struct agent agent, void *user), void *user);
FAKE_API uint32_t hsa_agent_get_info(struct agent agent, uint32_t what, void *value);

uint32_t hsa_init(void)
{
    return (uint32_t)fake_start("BITNET_TEST_FAKE_HSA", 0);
}

uint32_t hsa_system_get_info(uint32_t what, void *value)
{
    *(uint16_t *)value = 1;
    return 0;
}

uint32_t hsa_iterate_agents(uint32_t (*each)(struct agent agent, void *user), void *user)
{
    for (int i = 0; i <= fake.n; i++)
        each((struct agent){(uint64_t)i}, user);
    return 0;
}

uint32_t hsa_agent_get_info(struct agent agent, uint32_t what, void *value)
{
    const struct fake_device *device = agent.handle ? &fake.devices[agent.handle - 1] : NULL;
    switch (what) {
    case 0:
        memcpy(value, "gfx1100", 8);
        return 0;
    case 17:
        *(int *)value = device != NULL;
        return 0;
    case 0xa006:
        *(uint32_t *)value = device ? device->bus << 8 | device->device << 3 | device->function : 0;
        return 0;
    case 0xa009:
        fake_text(value, 64, device ? device->name : "CPU");
        return 0;
    case 0xa00f:
        *(uint32_t *)value = device ? device->domain : 0;
        return 0;
    case 0xa011:
        fake_text(value, 21, device ? device->uuid_text : "CPU-XX");
        return 0;
    default:
        return 0x1001;
    }
}
