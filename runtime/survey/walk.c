// The walk through the kernel's files: PCI, DRM render nodes, accel nodes, KFD, NVIDIA's /proc, FastRPC, WSL.
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/sensors.h"
#include "runtime/base/sysfs.h"
#include "runtime/survey/survey_impl.h"

#define PCI "/sys/bus/pci/devices/%s"

// Display adapters that cannot compute: consoles of servers and of virtual machines.
static const uint16_t displays_only[] = {0x1a03 /* ASPEED */, 0x102b /* Matrox */, 0x1234 /* QEMU */,
                                         0x1013 /* Cirrus */, 0x1b36 /* QXL */,    0x15ad /* VMware */};

// NPUs whose PCI class does not say so.
static const struct {
    uint16_t vendor, model;
} npus[] = {{VENDOR_AMD_CPU, 0x1502}, {VENDOR_AMD_CPU, 0x17f0}};

// Software devices with nodes like those of hardware.
static const char *const not_hardware[] = {"vgem", "vkms", "faux_driver", "amdgpu_xcp"};

// What binds a device that has no kernel driver, by vendor.
static const struct {
    uint16_t vendor;
    enum bn_device_kind kind;
    const char *mend;
} kernel_drivers[] = {
    {VENDOR_AMD, BN_DEVICE_GPU, "load it: sudo modprobe amdgpu; it needs the package firmware-amd-graphics"},
    {VENDOR_NVIDIA, BN_DEVICE_GPU, "install NVIDIA's driver (package nvidia-driver), or load nouveau"},
    {VENDOR_INTEL, BN_DEVICE_GPU, "load it: sudo modprobe i915, or xe for newer ones"},
    {VENDOR_INTEL, BN_DEVICE_NPU, "load it: sudo modprobe intel_vpu; it needs Linux 6.3 or later"},
    {VENDOR_AMD_CPU, BN_DEVICE_NPU, "load it: sudo modprobe amdxdna; it needs Linux 6.14 or later"},
};

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(word, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static enum bn_device_kind kind_of(uint64_t class, uint16_t vendor, uint16_t model)
{
    for (size_t i = 0; i < sizeof(npus) / sizeof(*npus); i++)
        if (npus[i].vendor == vendor && npus[i].model == model)
            return BN_DEVICE_NPU;
    if (class >> 8 == 0x1200) // processing accelerator: AMD's large GPUs say so too
        return vendor == VENDOR_AMD || vendor == VENDOR_NVIDIA ? BN_DEVICE_GPU : BN_DEVICE_NPU;
    if (class >> 16 != 0x03)
        return BN_DEVICE_NULL;
    for (size_t i = 0; i < sizeof(displays_only) / sizeof(*displays_only); i++)
        if (displays_only[i] == vendor)
            return BN_DEVICE_NULL;
    return BN_DEVICE_GPU;
}

// "16.0 GT/s PCIe" is 16000.
static uint32_t link_speed(const char *device, const char *file)
{
    char text[64];
    unsigned whole = 0, tenth = 0;
    if (!bn_sys_read(text, sizeof(text), PCI "/%s", device, file) || sscanf(text, "%u.%u", &whole, &tenth) < 1)
        return 0;
    return whole < 1000 && tenth < 10 ? whole * 1000 + tenth * 100 : 0;
}

static uint32_t small_number(const char *device, const char *file, uint32_t most)
{
    uint64_t value;
    return bn_sys_number(&value, 10, PCI "/%s", device, file) && value <= most ? (uint32_t)value : 0;
}

static void read_sensors(struct bn_survey_device *device, const char *name)
{
    struct bn_device_sensors now;
    if (!bn_sensors_hwmon(name, &now))
        return;
    device->temperature_c = now.temperature_c > 0 && now.temperature_c < 1000 ? (uint32_t)now.temperature_c : 0;
    device->power_mw = now.power_w > 0 && now.power_w < 1e5f ? (uint32_t)(now.power_w * 1e3f) : 0;
    device->clock_mhz = now.clock_mhz;
    device->memory_clock_mhz = now.memory_clock_mhz;
}

static void read_pci(struct bn_survey_entry *entry, const char *name)
{
    struct bn_survey_device *device = &entry->device;
    char numa[16];
    uint64_t value, used;
    snprintf(device->address, sizeof(device->address), "pci:%.56s", name);
    if (bn_sys_number(&value, 16, PCI "/revision", name))
        device->revision = (uint8_t)value;
    bn_sys_link(device->driver, sizeof(device->driver), PCI "/driver", name);
    if (bn_sys_read(numa, sizeof(numa), PCI "/numa_node", name) && isdigit((unsigned char)numa[0]))
        device->numa_node = (int32_t)strtol(numa, NULL, 10);
    device->link_mts = link_speed(name, "current_link_speed");
    device->link_mts_max = link_speed(name, "max_link_speed");
    device->link_width = small_number(name, "current_link_width", 64);
    device->link_width_max = small_number(name, "max_link_width", 64);
    if (bn_sys_number(&device->memory_total, 10, PCI "/mem_info_vram_total", name) &&
        bn_sys_number(&used, 10, PCI "/mem_info_vram_used", name))
        device->memory_free = device->memory_total > used ? device->memory_total - used : 0;
    bn_sys_number(&entry->gtt, 10, PCI "/mem_info_gtt_total", name);
    if (bn_sys_number(&value, 10, PCI "/gpu_busy_percent", name) && value <= 100)
        device->load = (int32_t)value;
    read_sensors(device, name);
}

static void see_pci(void *user, const char *name)
{
    struct bn_survey *survey = user;
    uint64_t class, vendor, model;
    if (!bn_sys_number(&class, 16, PCI "/class", name) || !bn_sys_number(&vendor, 16, PCI "/vendor", name) ||
        !bn_sys_number(&model, 16, PCI "/device", name))
        return;
    enum bn_device_kind kind = kind_of(class, (uint16_t)vendor, (uint16_t)model);
    struct bn_survey_entry *entry = kind != BN_DEVICE_NULL ? bn_survey_add(survey, kind) : NULL;
    if (!entry)
        return;
    entry->device.vendor = (uint16_t)vendor;
    entry->device.model = (uint16_t)model;
    entry->device.shares_memory = kind == BN_DEVICE_NPU && (vendor == VENDOR_INTEL || vendor == VENDOR_AMD_CPU);
    read_pci(entry, name);
}

// The device that a node belongs to: /sys/class/drm/renderD128/device. NULL if it is no hardware.
static struct bn_survey_entry *owner_of(struct bn_survey *survey, const char *class, const char *node,
                                        enum bn_device_kind kind)
{
    char name[64], bus[32], driver[32], address[64];
    if (!bn_sys_link(name, sizeof(name), "/sys/class/%s/%s/device", class, node))
        return NULL;
    bn_sys_link(bus, sizeof(bus), "/sys/class/%s/%s/device/subsystem", class, node);
    bn_sys_link(driver, sizeof(driver), "/sys/class/%s/%s/device/driver", class, node);
    if (is_one_of(*driver ? driver : name, not_hardware, sizeof(not_hardware) / sizeof(*not_hardware)))
        return NULL;
    snprintf(address, sizeof(address), "%.12s:%.50s", *bus ? bus : "device", name);
    struct bn_survey_entry *entry = bn_survey_find(survey, address);
    if (entry)
        return entry;
    entry = bn_survey_add(survey, kind);
    if (!entry)
        return NULL;
    if (strcmp(bus, "pci") == 0) { // of a class that see_pci does not take
        uint64_t vendor, model;
        bn_sys_number(&vendor, 16, PCI "/vendor", name);
        bn_sys_number(&model, 16, PCI "/device", name);
        entry->device.vendor = (uint16_t)vendor;
        entry->device.model = (uint16_t)model;
        read_pci(entry, name);
    } else {
        entry->device.shares_memory = true; // a part of a system on a chip
        snprintf(entry->device.address, sizeof(entry->device.address), "%s", address);
        snprintf(entry->device.driver, sizeof(entry->device.driver), "%s", driver);
    }
    return entry;
}

// A row for a node of the kernel: whether this process may use it.
static void add_node(struct bn_survey *survey, struct bn_survey_entry *entry, const char *api, const char *node,
                     const char *group)
{
    struct bn_survey_api row = {.state = BN_STATE_READY};
    char text[96];
    int error = bn_sys_access(node);
    snprintf(row.name, sizeof(row.name), "%s", api);
    snprintf(row.label, sizeof(row.label), "%s", node);
    snprintf(row.driver, sizeof(row.driver), "%s", entry->device.driver);
    if (error == ENOENT) {
        row.state = BN_STATE_PERMISSION_DENIED;
        snprintf(row.reason, sizeof(row.reason), "%.64s is not there, though the kernel has the device", node);
        snprintf(row.mend, sizeof(row.mend), "in a container: start it with --device %.64s", node);
    } else if (error) {
        row.state = BN_STATE_PERMISSION_DENIED;
        snprintf(row.reason, sizeof(row.reason), "%.64s: %s", node, bn_errno_text(error, text, sizeof(text)));
        snprintf(row.mend, sizeof(row.mend),
                 "join the group that owns it, usually %s: sudo usermod -aG %s $USER; then log in again", group, group);
    }
    bn_survey_add_api(survey, entry, &row);
}

static void see_render(void *user, const char *name)
{
    struct bn_survey *survey = user;
    if (strncmp(name, "renderD", 7) != 0)
        return;
    struct bn_survey_entry *entry = owner_of(survey, "drm", name, BN_DEVICE_GPU);
    if (!entry || *entry->device.node)
        return;
    snprintf(entry->device.node, sizeof(entry->device.node), "/dev/dri/%.50s", name);
    bn_sys_read(entry->number, sizeof(entry->number), "/sys/class/drm/%s/dev", name);
    add_node(survey, entry, "drm", entry->device.node, "render");
}

static void see_accel(void *user, const char *name)
{
    struct bn_survey *survey = user;
    if (strncmp(name, "accel", 5) != 0)
        return;
    struct bn_survey_entry *entry = owner_of(survey, "accel", name, BN_DEVICE_NPU);
    if (!entry || *entry->device.node)
        return;
    snprintf(entry->device.node, sizeof(entry->device.node), "/dev/accel/%.50s", name);
    bn_sys_read(entry->number, sizeof(entry->number), "/sys/class/accel/%s/dev", name);
    add_node(survey, entry, "accel", entry->device.node, "render");
}

// One node of KFD's topology, what matters of it.
struct kfd {
    uint64_t location, domain, gfx, unique, render;
};

static bool see_kfd_line(void *user, const char *text)
{
    struct kfd *kfd = user;
    const struct {
        const char *key;
        uint64_t *value;
    } keys[] = {{"location_id ", &kfd->location},
                {"domain ", &kfd->domain},
                {"gfx_target_version ", &kfd->gfx},
                {"unique_id ", &kfd->unique},
                {"drm_render_minor ", &kfd->render}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (strncmp(text, keys[i].key, strlen(keys[i].key)) == 0)
            *keys[i].value = strtoull(text + strlen(keys[i].key), NULL, 10);
    return true;
}

// A further node at the same address is a partition of the device; the node there was is the first.
static struct bn_survey_entry *add_partition(struct bn_survey *survey, struct bn_survey_entry *whole)
{
    unsigned count = 0;
    for (size_t i = 0; i < survey->n_entries; i++)
        count += strcmp(survey->entries[i]->device.address, whole->device.address) == 0;
    struct bn_survey_entry *entry = bn_survey_add(survey, BN_DEVICE_GPU);
    if (!entry)
        return NULL;
    entry->device = whole->device;
    entry->device.node[0] = '\0';
    snprintf(whole->device.partition, sizeof(whole->device.partition), "xcp 0");
    snprintf(entry->device.partition, sizeof(entry->device.partition), "xcp %u", count);
    return entry;
}

// One node; false if there is none of this number.
static bool see_kfd(struct bn_survey *survey, unsigned node)
{
    struct kfd kfd = {0};
    char address[64];
    if (!bn_sys_lines(see_kfd_line, &kfd, "/sys/class/kfd/kfd/topology/nodes/%u/properties", node))
        return false;
    if (!kfd.gfx) // a CPU
        return true;
    snprintf(address, sizeof(address), "pci:%04x:%02x:%02x.%x", (unsigned)kfd.domain & 0xffffffu,
             (unsigned)(kfd.location >> 8) & 0xffu, (unsigned)(kfd.location >> 3) & 0x1fu, (unsigned)kfd.location & 7u);
    struct bn_survey_entry *entry = bn_survey_find(survey, address);
    if (!entry)
        return true;
    char number[24];
    snprintf(number, sizeof(number), "226:%u", (unsigned)kfd.render);
    if (*entry->device.isa && strcmp(number, entry->number) != 0) {
        entry = add_partition(survey, entry);
        if (!entry)
            return true;
        snprintf(entry->device.node, sizeof(entry->device.node), "/dev/dri/renderD%u", (unsigned)kfd.render);
        snprintf(entry->number, sizeof(entry->number), "%s", number);
        add_node(survey, entry, "drm", entry->device.node, "render");
    }
    snprintf(entry->device.isa, sizeof(entry->device.isa), "gfx%u%u%x", (unsigned)(kfd.gfx / 10000) % 100,
             (unsigned)(kfd.gfx / 100) % 100, (unsigned)(kfd.gfx % 100));
    if (kfd.unique)
        snprintf(entry->device.uuid, sizeof(entry->device.uuid), "GPU-%016" PRIx64, kfd.unique);
    add_node(survey, entry, "kfd", "/dev/kfd", "render");
    return true;
}

static bool see_nvidia_line(void *user, const char *text)
{
    struct bn_survey_entry *entry = user;
    struct bn_survey_device *device = &entry->device;
    const char *value = strchr(text, ':');
    if (!value)
        return true;
    value += 1 + strspn(value + 1, " \t");
    if (strncmp(text, "Model:", 6) == 0)
        snprintf(device->name, sizeof(device->name), "%s", value);
    else if (strncmp(text, "GPU UUID:", 9) == 0 && !strchr(value, '?')) // "GPU-????..." before its first use
        snprintf(device->uuid, sizeof(device->uuid), "%s", value);
    else if (strncmp(text, "Device Minor:", 13) == 0 && isdigit((unsigned char)*value))
        snprintf(device->node, sizeof(device->node), "/dev/nvidia%.10s", value);
    bn_make_printable(device->name);
    bn_make_printable(device->uuid);
    bn_make_printable(device->node);
    return true;
}

// The first word that is a version: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun ..."
static void nvidia_version(char *version, size_t size)
{
    char text[256];
    version[0] = '\0';
    bn_sys_read(text, sizeof(text), "/proc/driver/nvidia/version");
    for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (strspn(word, "0123456789.") == strlen(word) && strchr(word, '.')) {
            snprintf(version, size, "%s", word);
            return;
        }
    }
}

static void see_nvidia(void *user, const char *name)
{
    struct bn_survey *survey = user;
    char address[64];
    struct bn_survey_entry *entry =
        bn_survey_pci(address, sizeof(address), name) ? bn_survey_find(survey, address) : NULL;
    if (!entry)
        return;
    char render[64];
    snprintf(render, sizeof(render), "%s", entry->device.node);
    entry->device.node[0] = '\0';
    bn_sys_lines(see_nvidia_line, entry, "/proc/driver/nvidia/gpus/%s/information", name);
    nvidia_version(entry->device.driver_version, sizeof(entry->device.driver_version));
    if (*entry->device.node)
        add_node(survey, entry, "nvidia", entry->device.node, "video");
    else
        snprintf(entry->device.node, sizeof(entry->device.node), "%s", render);
}

static void see_fastrpc(void *user, const char *name)
{
    struct bn_survey *survey = user;
    char node[64];
    if (strcmp(name, "fastrpc-cdsp") != 0 && strcmp(name, "fastrpc-cdsp1") != 0) // other DSPs serve sensors and sound
        return;
    struct bn_survey_entry *entry = bn_survey_add(survey, BN_DEVICE_NPU);
    if (!entry)
        return;
    snprintf(entry->device.name, sizeof(entry->device.name), "Qualcomm Hexagon (%.32s)", name + strlen("fastrpc-"));
    snprintf(entry->device.address, sizeof(entry->device.address), "misc:%.32s", name);
    snprintf(entry->device.driver, sizeof(entry->device.driver), "fastrpc");
    snprintf(node, sizeof(node), "/dev/%.50s", name);
    snprintf(entry->device.node, sizeof(entry->device.node), "%s", node);
    entry->device.shares_memory = true;
    add_node(survey, entry, "fastrpc", node, "fastrpc");
}

// Windows hands its GPUs to a virtual machine through one node; which they are, only the APIs know.
static void see_wsl(struct bn_survey *survey)
{
    if (!bn_sys_exists("/dev/dxg"))
        return;
    struct bn_survey_entry *entry = bn_survey_add(survey, BN_DEVICE_GPU);
    if (!entry)
        return;
    entry->wsl = true;
    snprintf(entry->device.name, sizeof(entry->device.name), "GPU of Windows (WSL)");
    snprintf(entry->device.driver, sizeof(entry->device.driver), "dxgkrnl");
    snprintf(entry->device.address, sizeof(entry->device.address), "wsl:dxg");
    snprintf(entry->device.node, sizeof(entry->device.node), "/dev/dxg");
    add_node(survey, entry, "dxg", "/dev/dxg", "render");
}

// A device that no kernel driver has taken has no node.
static void note_unbound(struct bn_survey *survey, struct bn_survey_entry *entry)
{
    struct bn_survey_api row = {.state = BN_STATE_MISSING_LIBRARY};
    const struct bn_survey_device *device = &entry->device;
    if (device->kind == BN_DEVICE_CPU || *device->node)
        return;
    snprintf(row.name, sizeof(row.name), "%s", device->kind == BN_DEVICE_NPU ? "accel" : "drm");
    snprintf(row.reason, sizeof(row.reason),
             *device->driver ? "the kernel's driver %s made no node for it"
                             : "no driver of the kernel has taken the device%s",
             device->driver);
    snprintf(row.mend, sizeof(row.mend), "sudo dmesg tells what the driver did not like");
    for (size_t i = 0; i < sizeof(kernel_drivers) / sizeof(*kernel_drivers) && !*device->driver; i++)
        if (kernel_drivers[i].vendor == device->vendor && kernel_drivers[i].kind == device->kind)
            snprintf(row.mend, sizeof(row.mend), "%s", kernel_drivers[i].mend);
    bn_survey_add_api(survey, entry, &row);
}

static void module_version(struct bn_survey_device *device)
{
    if (*device->driver && !*device->driver_version)
        bn_sys_read(device->driver_version, sizeof(device->driver_version), "/sys/module/%s/version", device->driver);
}

void bn_survey_walk(struct bn_survey *survey)
{
    bn_survey_walk_cpu(survey);
    bn_sys_list(see_pci, survey, "/sys/bus/pci/devices");
    bn_sys_list(see_render, survey, "/sys/class/drm");
    bn_sys_list(see_accel, survey, "/sys/class/accel");
    for (unsigned node = 0; see_kfd(survey, node); node++)
        ; // in their order: the first of a device's parts is the one that has its PCI function
    bn_sys_list(see_nvidia, survey, "/proc/driver/nvidia/gpus");
    bn_sys_list(see_fastrpc, survey, "/sys/class/misc");
    see_wsl(survey);
    for (size_t i = 0; i < survey->n_entries; i++) {
        note_unbound(survey, survey->entries[i]);
        module_version(&survey->entries[i]->device);
    }
}
