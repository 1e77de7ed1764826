// AMD's two libraries: HIP, and HSA under it.
#include "tools/probe/probe.h"

#include <stdio.h>
#include <string.h>

static struct {
    int (*init)(unsigned flags);
    int (*version)(int *version);
    int (*count)(int *count);
    int (*name)(char *name, int size, int device);
    int (*bus)(char *address, int size, int device);
    int (*memory)(size_t *bytes, int device);
} hip;

enum { HIP_NO_DEVICE = 100, HIP_OLD_DRIVER = 35 };

void probe_hip(void)
{
    static const char *const names[] = {"libamdhip64.so.7",
                                        "libamdhip64.so.6",
                                        "libamdhip64.so.5",
                                        "libamdhip64.so",
                                        "/opt/rocm/lib/libamdhip64.so",
                                        NULL};
    const struct symbol symbols[] = {
        {"hipInit", &hip.init, false},
        {"hipRuntimeGetVersion", &hip.version, false},
        {"hipGetDeviceCount", &hip.count, false},
        {"hipDeviceGetName", &hip.name, false},
        {"hipDeviceGetPCIBusId", &hip.bus, false},
        {"hipDeviceTotalMem", &hip.memory, false},
    };
    int number = 0, n = 0;
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols))
        return;
    int result = hip.init(0);
    if (result == 0)
        result = hip.count(&n);
    if (result == HIP_NO_DEVICE)
        record_state(BN_STATE_MISSING_LIBRARY, "rocminfo tells more; HIP_VISIBLE_DEVICES may hide devices",
                     "HIP finds no device that it supports");
    else if (result == HIP_OLD_DRIVER)
        record_state(BN_STATE_TOO_OLD, "update the kernel, or ROCm's kernel module",
                     "the kernel's amdgpu is too old for HIP");
    else if (result != 0)
        record_state(BN_STATE_FAULTED, "rocminfo and dmesg tell more", "HIP: error %d", result);
    hip.version(&number);
    for (int i = 0; result == 0 && i < n && i < 256; i++) {
        char name[128] = "", address[32] = "";
        size_t bytes = 0;
        hip.name(name, sizeof name - 1, i);
        hip.bus(address, sizeof address - 1, i);
        record_start("device");
        record_text("name", name);
        record_text("label", name);
        record_version("version", (unsigned)number / 10000000, (unsigned)number / 100000 % 100,
                       (unsigned)number % 100000);
        record_text("pci", address);
        if (hip.memory(&bytes, i) == 0)
            record_number("total", bytes);
        record_end();
    }
}

// HSA: an agent is a 64-bit handle, passed by value in a struct.
struct agent {
    uint64_t handle;
};

static struct {
    uint32_t (*init)(void);
    uint32_t (*system)(uint32_t what, void *value);
    uint32_t (*iterate)(uint32_t (*each)(struct agent agent, void *user), void *user);
    uint32_t (*info)(struct agent agent, uint32_t what, void *value);
} hsa;

enum {
    HSA_OUT_OF_RESOURCES = 0x1008,
    HSA_NAME = 0,
    HSA_DEVICE = 17,
    HSA_GPU = 1,
    HSA_BDF = 0xa006,
    HSA_PRODUCT = 0xa009,
    HSA_DOMAIN = 0xa00f,
    HSA_UUID = 0xa011,
};

static uint32_t hsa_agent(struct agent agent, void *user)
{
    const uint16_t *version = user;
    int type = 0;
    uint32_t bdf = 0, domain = 0;
    char isa[64] = "", name[65] = "", uuid[24] = "";
    if (hsa.info(agent, HSA_DEVICE, &type) != 0 || type != HSA_GPU)
        return 0;
    hsa.info(agent, HSA_NAME, isa);
    hsa.info(agent, HSA_BDF, &bdf);
    hsa.info(agent, HSA_DOMAIN, &domain);
    hsa.info(agent, HSA_PRODUCT, name);
    hsa.info(agent, HSA_UUID, uuid);
    record_start("device");
    record_text("name", *name ? name : isa);
    record_text("label", *name ? name : isa);
    record_text("isa", isa);
    record_version("version", version[0], version[1], 0);
    record_pci(domain, bdf >> 8, bdf >> 3, bdf);
    record_text("uuid", strncmp(uuid, "GPU-X", 5) == 0 ? NULL : uuid); // "GPU-XX": the device has none
    record_end();
    return 0;
}

void probe_hsa(void)
{
    static const char *const names[] = {"libhsa-runtime64.so.1", "/opt/rocm/lib/libhsa-runtime64.so.1", NULL};
    const struct symbol symbols[] = {{"hsa_init", &hsa.init, false},
                                     {"hsa_system_get_info", &hsa.system, false},
                                     {"hsa_iterate_agents", &hsa.iterate, false},
                                     {"hsa_agent_get_info", &hsa.info, false}};
    uint16_t version[2] = {0, 0};
    if (!open_library(names, symbols, sizeof symbols / sizeof *symbols))
        return;
    uint32_t result = hsa.init();
    if (result == HSA_OUT_OF_RESOURCES) { // what it says when /dev/kfd cannot be opened
        record_state(BN_STATE_PERMISSION_DENIED, "join the groups render and video; in a container: --device /dev/kfd",
                     "hsa_init: /dev/kfd cannot be used");
        return;
    }
    if (result != 0) {
        record_state(BN_STATE_FAULTED, "rocminfo and dmesg tell more", "hsa_init: status 0x%x", result);
        return;
    }
    hsa.system(0, &version[0]);
    hsa.system(1, &version[1]);
    hsa.iterate(hsa_agent, version);
}
