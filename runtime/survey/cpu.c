// The host's processors, caches and memory, as the kernel's files tell; hwloc, in its helper, knows better.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/sysfs.h"
#include "runtime/survey/survey_impl.h"

static bool see_cpuinfo(void *user, const char *text)
{
    struct bn_survey_device *device = user;
    const char *value = strchr(text, ':');
    if (strncmp(text, "model name", 10) != 0 || !value)
        return true;
    snprintf(device->name, sizeof(device->name), "%s", value + 1 + strspn(value + 1, " "));
    bn_make_printable(device->name);
    return false;
}

static bool see_meminfo(void *user, const char *text)
{
    struct bn_survey_device *device = user;
    uint64_t kib;
    if (sscanf(text, "MemTotal: %" SCNu64, &kib) == 1 && kib < UINT64_MAX / 1024)
        device->memory_total = kib * 1024;
    else if (sscanf(text, "MemAvailable: %" SCNu64, &kib) == 1 && kib < UINT64_MAX / 1024)
        device->memory_free = kib * 1024;
    return true;
}

static bool is_numbered(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 && name[n] && strspn(name + n, "0123456789") == strlen(name + n);
}

// Whether the CPU `name` is the first in a list of siblings like "0,64" or "0-1".
static bool is_first(const char *name, const char *list)
{
    uint64_t first;
    return bn_sys_number(&first, 10, "/sys/devices/system/cpu/%s/%s", name, list) &&
           first == strtoull(name + strlen("cpu"), NULL, 10);
}

static void see_caches(struct bn_survey_device *device, const char *cpu)
{
    for (int index = 0; index < 8; index++) {
        char type[16], size[24], list[64];
        uint64_t level;
        if (!bn_sys_number(&level, 10, "/sys/devices/system/cpu/%s/cache/index%d/level", cpu, index))
            break;
        bn_sys_read(type, sizeof(type), "/sys/devices/system/cpu/%s/cache/index%d/type", cpu, index);
        bn_sys_read(size, sizeof(size), "/sys/devices/system/cpu/%s/cache/index%d/size", cpu, index);
        snprintf(list, sizeof(list), "cache/index%d/shared_cpu_list", index);
        if (level < 1 || level > 4 || strcmp(type, "Instruction") == 0 || !is_first(cpu, list))
            continue;
        struct bn_survey_cache *cache = &device->caches[level - 1];
        char *unit;
        uint64_t bytes = strtoull(size, &unit, 10);
        cache->level = (uint32_t)level;
        cache->bytes = bytes << (*unit == 'K' ? 10 : *unit == 'M' ? 20 : 0);
        cache->count++;
    }
}

static void see_cpu(void *user, const char *name)
{
    struct bn_survey_device *device = user;
    uint64_t package;
    if (!is_numbered(name, "cpu"))
        return;
    device->threads_total++;
    device->cores += is_first(name, "topology/thread_siblings_list");
    if (bn_sys_number(&package, 10, "/sys/devices/system/cpu/%s/topology/physical_package_id", name) &&
        package < 1024 && package + 1 > device->packages)
        device->packages = (uint32_t)package + 1;
    see_caches(device, name);
}

static void see_node(void *user, const char *name)
{
    ((struct bn_survey_device *)user)->numa_nodes += is_numbered(name, "node");
}

static void read_load(struct bn_survey_device *device)
{
    char text[64];
    unsigned whole, hundredths;
    if (bn_sys_read(text, sizeof(text), "/proc/loadavg") && sscanf(text, "%u.%u", &whole, &hundredths) == 2 &&
        whole < 100000 && device->threads) {
        uint32_t load = (whole * 100 + hundredths) / device->threads;
        device->load = load < 100 ? (int32_t)load : 100;
    }
}

void bn_survey_walk_cpu(struct bn_survey *survey)
{
    struct bn_survey_entry *entry = bn_survey_add(survey, BN_DEVICE_CPU);
    if (!entry)
        return;
    struct bn_survey_device *device = &entry->device;
    bn_sys_lines(see_cpuinfo, device, "/proc/cpuinfo");
    if (!*device->name)
        bn_sys_read(device->name, sizeof(device->name), "/sys/firmware/devicetree/base/model");
    if (!*device->name)
        snprintf(device->name, sizeof(device->name), "CPU");
    bn_sys_list(see_cpu, device, "/sys/devices/system/cpu");
    bn_sys_list(see_node, device, "/sys/devices/system/node");
    device->threads = bn_cpu_count();
    if (!device->threads_total)
        device->threads_total = device->threads;
    if (*bn_sys_root())
        bn_sys_lines(see_meminfo, device, "/proc/meminfo");
    else
        bn_memory_info(&device->memory_total, &device->memory_free); // knows the container's limit
    read_load(device);
}
