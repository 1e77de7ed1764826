// One entry for each piece of hardware, however many APIs name it. What identifies it, first to last: the address on the PCI
// bus, with the partition; the UUID; the number of the render node.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/survey/survey_impl.h"

#define NVIDIA_MEND "install NVIDIA's driver with its user-space libraries (package nvidia-driver)"

// The order is that of the rows of a device.
const struct bn_survey_rule bn_survey_rules[] = {
    {.name = "bitnet"}, // the drivers of this library
    {.name = "drm"},    // libdrm
    {.name = "hwloc"},
    {.name = "vulkan",
     .gpu = true,
     .mend = "install libvulkan1 and the vendor's Vulkan driver (Mesa: mesa-vulkan-drivers)"},
    {.name = "opencl", .gpu = true, .mend = "install ocl-icd-libopencl1 and the vendor's OpenCL driver"},
    {.name = "cuda", .vendors = {VENDOR_NVIDIA}, .gpu = true, .mend = NVIDIA_MEND},
    {.name = "nvml", .vendors = {VENDOR_NVIDIA}, .gpu = true, .mend = NVIDIA_MEND},
    {.name = "hip",
     .vendors = {VENDOR_AMD},
     .gpu = true,
     .mend = "install ROCm's HIP (package libamdhip64-5 or later)"},
    {.name = "hsa", .vendors = {VENDOR_AMD}, .gpu = true, .mend = "install ROCm's HSA (package libhsa-runtime64-1)"},
    {.name = "level-zero",
     .vendors = {VENDOR_INTEL},
     .gpu = true,
     .npu = true,
     .mend = "install libze1 and the driver: intel-level-zero-gpu, or Intel's NPU driver (libze_intel_vpu.so.1)"},
};
const size_t bn_survey_n_rules = sizeof(bn_survey_rules) / sizeof(*bn_survey_rules);

bool bn_survey_pci(char *out, size_t size, const char *text)
{
    unsigned domain = 0, bus, device, function = 0;
    int at = 0;
    out[0] = '\0';
    // "00000000:03:00.0" (CUDA), "0000:03:00.0", "0000:03:00", "03:00.0"
    if (sscanf(text, "%8x:%2x:%2x%n.%1x%n", &domain, &bus, &device, &at, &function, &at) < 3) {
        domain = function = 0;
        at = 0;
        if (sscanf(text, "%2x:%2x%n.%1x%n", &bus, &device, &at, &function, &at) < 2)
            return false;
    }
    if (text[at] || device > 0x1f || function > 7)
        return false;
    snprintf(out, size, "pci:%04x:%02x:%02x.%x", domain, bus, device, function);
    return true;
}

struct bn_survey_entry *bn_survey_find(struct bn_survey *survey, const char *address)
{
    for (size_t i = 0; i < survey->n_entries; i++)
        if (strcasecmp(survey->entries[i]->device.address, address) == 0)
            return survey->entries[i];
    return NULL;
}

// The same UUID, whether written with dashes, capitals and a prefix or not.
static bool same_uuid(const char *a, const char *b)
{
    if (!*a || !*b)
        return false;
    if (strncasecmp(a, "GPU-", 4) == 0 || strncasecmp(a, "MIG-", 4) == 0)
        a += 4;
    if (strncasecmp(b, "GPU-", 4) == 0 || strncasecmp(b, "MIG-", 4) == 0)
        b += 4;
    while (*a && *b) {
        if (*a == '-')
            a++;
        else if (*b == '-')
            b++;
        else if (tolower((unsigned char)*a++) != tolower((unsigned char)*b++))
            return false;
    }
    return !*a && !*b;
}

static struct bn_survey_entry *same_address(struct bn_survey *survey, const struct bn_survey_record *record)
{
    const struct bn_survey_device *seen = &record->device;
    struct bn_survey_entry *found = NULL;
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_entry *entry = survey->entries[i];
        const struct bn_survey_device *device = &entry->device;
        if (strcmp(device->address, seen->address) != 0)
            continue;
        if (*seen->partition) {
            if (strcmp(device->partition, seen->partition) == 0 &&
                (!*device->uuid || !*seen->uuid || same_uuid(device->uuid, seen->uuid)))
                return entry;
        } else if (*record->number && strcmp(record->number, entry->number) == 0) {
            return entry;
        } else if (!found || !*device->partition) {
            found = entry;
        }
    }
    return found;
}

// A driver of this library may know nothing but the name that its API has for the device.
static struct bn_survey_entry *same_label(struct bn_survey *survey, const struct bn_survey_api *api)
{
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_entry *entry = survey->entries[i];
        for (size_t a = 0; a < entry->n_apis; a++)
            if (strcmp(entry->apis[a].name, api->name) == 0 && strcmp(entry->apis[a].label, api->label) == 0 &&
                !entry->apis[a].usable)
                return entry;
    }
    return NULL;
}

static struct bn_survey_entry *find(struct bn_survey *survey, const struct bn_survey_record *record)
{
    const struct bn_survey_device *seen = &record->device;
    if (seen->kind == BN_DEVICE_CPU) // software devices of Vulkan and OpenCL work on the host's processors
        return survey->n_entries ? survey->entries[0] : NULL;
    struct bn_survey_entry *entry = *seen->address ? same_address(survey, record) : NULL;
    if (entry)
        return entry;
    for (size_t i = 0; i < survey->n_entries; i++) {
        const struct bn_survey_device *device = &survey->entries[i]->device;
        bool elsewhere = *seen->address && strncmp(device->address, "pci:", 4) == 0;
        if (!elsewhere && same_uuid(device->uuid, seen->uuid))
            return survey->entries[i];
    }
    for (size_t i = 0; i < survey->n_entries && *record->number; i++)
        if (!*seen->address && strcmp(survey->entries[i]->number, record->number) == 0)
            return survey->entries[i];
    if (!*seen->address && !*seen->uuid && !*record->number && (entry = same_label(survey, &record->api)) != NULL)
        return entry;
    for (size_t i = 0; i < survey->n_entries; i++) // the first that an API names is what stands behind WSL's node
        if (survey->entries[i]->wsl && seen->kind == BN_DEVICE_GPU)
            return survey->entries[i];
    return NULL;
}

// A device that the kernel's files did not show, or a part of one that they did.
static struct bn_survey_entry *add(struct bn_survey *survey, const struct bn_survey_record *record)
{
    struct bn_survey_entry *whole = *record->device.address ? bn_survey_find(survey, record->device.address) : NULL;
    struct bn_survey_entry *entry = bn_survey_add(survey, record->device.kind);
    if (!entry)
        return NULL;
    entry->device = record->device;
    entry->device.unplaced = !whole;
    if (whole) {
        snprintf(entry->device.driver, sizeof(entry->device.driver), "%s", whole->device.driver);
        snprintf(entry->device.node, sizeof(entry->device.node), "%s", whole->device.node);
        entry->device.vendor = whole->device.vendor;
        entry->device.model = whole->device.model;
        entry->device.revision = whole->device.revision;
        entry->device.numa_node = whole->device.numa_node;
    }
    snprintf(entry->number, sizeof(entry->number), "%s", record->number);
    return entry;
}

#define TAKE_TEXT(field)                                                                                               \
    if (!*to->field)                                                                                                   \
    snprintf(to->field, sizeof(to->field), "%s", from->field)
#define TAKE(field)                                                                                                    \
    if (!to->field)                                                                                                    \
    to->field = from->field

// What the API knows and the kernel did not tell. The name of an API is the vendor's own word, so it counts more than that
// of a list of PCI devices, but not for the CPU, whose software devices have fanciful ones.
static void enrich(struct bn_survey_entry *entry, const struct bn_survey_record *record)
{
    struct bn_survey_device *to = &entry->device;
    const struct bn_survey_device *from = &record->device;
    bool hwloc = strcmp(record->api.name, "hwloc") == 0;
    if (hwloc) {
        memcpy(to->caches, from->caches, sizeof(to->caches));
        to->cores = from->cores ? from->cores : to->cores;
        to->packages = from->packages ? from->packages : to->packages;
        to->numa_nodes = from->numa_nodes ? from->numa_nodes : to->numa_nodes;
        if (from->threads_total > to->threads_total) // it leaves out those that the container may not use
            to->threads_total = from->threads_total;
        return;
    }
    TAKE_TEXT(isa);
    if (to->kind == BN_DEVICE_CPU)
        return;
    if (*from->name && (entry->wsl || strncmp(record->api.name, "cuda", 4) == 0))
        snprintf(to->name, sizeof(to->name), "%s", from->name);
    if (entry->wsl && *from->address)
        snprintf(to->address, sizeof(to->address), "%s", from->address);
    entry->wsl = false;
    TAKE_TEXT(name);
    TAKE_TEXT(uuid);
    if (to->uuid[3] != '-' && from->uuid[3] == '-' &&
        same_uuid(to->uuid, from->uuid)) // "MIG-...", as its vendor writes it
        snprintf(to->uuid, sizeof(to->uuid), "%s", from->uuid);
    TAKE_TEXT(driver_version);
    TAKE(shares_memory);
    TAKE(link_width);
    TAKE(link_mts);
    TAKE(temperature_c);
    TAKE(power_mw);
    TAKE(clock_mhz);
    TAKE(memory_clock_mhz);
    TAKE(limits);
    if (!to->memory_total) // one source for both
        to->memory_total = from->memory_total, to->memory_free = from->memory_free;
    else if (to->memory_free == UINT64_MAX && from->memory_free <= to->memory_total)
        to->memory_free = from->memory_free;
    if (to->load < 0)
        to->load = from->load;
}

// The row of the same way in, if there is one: a driver of this library knows best whether it can use what the API has.
static struct bn_survey_api *row_of(struct bn_survey_entry *entry, const struct bn_survey_api *api)
{
    for (size_t i = 0; i < entry->n_apis; i++) {
        struct bn_survey_api *row = &entry->apis[i];
        if (strcmp(row->name, api->name) == 0 &&
            (!*row->driver || !*api->driver || strcmp(row->driver, api->driver) == 0))
            return row;
    }
    return NULL;
}

void bn_survey_merge(struct bn_survey *survey, const struct bn_survey_record *record)
{
    struct bn_survey_entry *entry = find(survey, record);
    // A partition that the kernel does not know joins no whole device.
    if (entry && record->device.kind != BN_DEVICE_CPU && *record->device.partition &&
        strcmp(entry->device.partition, record->device.partition) != 0)
        entry = NULL;
    bool nothing = record->own && record->api.state != BN_STATE_READY && !*record->device.address &&
                   !*record->device.uuid && !*record->number;
    if (!entry && !nothing && record->device.kind != BN_DEVICE_CPU)
        entry = add(survey, record);
    if (!entry)
        return;
    enrich(entry, record);
    struct bn_survey_api *row = row_of(entry, &record->api);
    if (strcmp(record->api.name, "hwloc") == 0)
        return;
    if (!row) {
        bn_survey_add_api(survey, entry, &record->api);
        if (record->api.usable && entry->n_apis > 1) { // the straight way first
            memmove(entry->apis + 1, entry->apis, (entry->n_apis - 1) * sizeof(*entry->apis));
            entry->apis[0] = record->api;
        }
        return;
    }
    row->usable |= record->api.usable;
    if (row->state == BN_STATE_READY) {
        row->state = record->api.state;
        snprintf(row->reason, sizeof(row->reason), "%s", record->api.reason);
        snprintf(row->mend, sizeof(row->mend), "%s", record->api.mend);
    }
    if (!*row->version)
        snprintf(row->version, sizeof(row->version), "%s", record->api.version);
    if (!*row->driver)
        snprintf(row->driver, sizeof(row->driver), "%s", record->api.driver);
}

static bool is_for(const struct bn_survey_rule *rule, const struct bn_survey_device *device)
{
    bool kind = (rule->gpu && device->kind == BN_DEVICE_GPU) || (rule->npu && device->kind == BN_DEVICE_NPU);
    if (!kind || device->unplaced)
        return false;
    return !rule->vendors[0] || rule->vendors[0] == device->vendor || rule->vendors[1] == device->vendor;
}

static bool has_row(const struct bn_survey_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->n_apis; i++)
        if (strcmp(entry->apis[i].name, name) == 0)
            return true;
    return false;
}

// Why an API that works does not name a device: the kernel's node is closed to us, or it has no driver for it.
static void explain_absence(const struct bn_survey_entry *entry, const struct bn_survey_rule *rule,
                            struct bn_survey_api *row)
{
    for (size_t i = 0; i < entry->n_apis; i++) {
        const struct bn_survey_api *node = &entry->apis[i];
        if (node->state == BN_STATE_PERMISSION_DENIED) {
            row->state = node->state;
            snprintf(row->reason, sizeof(row->reason), "%s", node->reason);
            snprintf(row->mend, sizeof(row->mend), "%s", node->mend);
            return;
        }
    }
    row->state = BN_STATE_MISSING_LIBRARY;
    snprintf(row->reason, sizeof(row->reason), "no installed %s driver names this device", rule->name);
    snprintf(row->mend, sizeof(row->mend), "%s", rule->mend);
}

static void add_absent(struct bn_survey *survey, const struct bn_survey_rule *rule, const struct bn_survey_api *api)
{
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_entry *entry = survey->entries[i];
        if (!is_for(rule, &entry->device) || has_row(entry, rule->name))
            continue;
        struct bn_survey_api row = *api;
        row.ns = 0;
        row.usable = false;
        row.label[0] = row.version[0] = row.driver[0] = '\0';
        if (api->state == BN_STATE_READY)
            explain_absence(entry, rule, &row);
        bn_survey_add_api(survey, entry, &row);
    }
}

static int order(const void *left, const void *right)
{
    const struct bn_survey_device *a = &(*(const struct bn_survey_entry *const *)left)->device;
    const struct bn_survey_device *b = &(*(const struct bn_survey_entry *const *)right)->device;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->unplaced != b->unplaced)
        return a->unplaced ? 1 : -1;
    int difference = strcmp(a->address, b->address);
    if (!difference && strlen(a->partition) != strlen(b->partition)) // "xcp 9" before "xcp 10"
        difference = strlen(a->partition) < strlen(b->partition) ? -1 : 1;
    if (!difference)
        difference = strcmp(a->partition, b->partition);
    return difference ? difference : strcmp(a->uuid, b->uuid);
}

static void give_ids(struct bn_survey *survey)
{
    int next[BN_DEVICE_NULL + 1] = {0}, part = 0;
    const struct bn_survey_device *before = NULL;
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_device *device = &survey->entries[i]->device;
        bool same = before && *device->partition && *device->address && before->kind == device->kind &&
                    strcmp(before->address, device->address) == 0;
        part = same && *before->partition ? part + 1 : 0;
        if (device->kind == BN_DEVICE_CPU)
            snprintf(device->id, sizeof(device->id), "cpu");
        else if (*device->partition)
            snprintf(device->id, sizeof(device->id), "%s%d.%d", bn_device_kind_name(device->kind),
                     same ? next[device->kind] - 1 : next[device->kind]++, part);
        else
            snprintf(device->id, sizeof(device->id), "%s%d", bn_device_kind_name(device->kind), next[device->kind]++);
        before = device;
    }
}

void bn_survey_finish(struct bn_survey *survey)
{
    for (size_t r = 0; r < bn_survey_n_rules; r++)
        for (size_t a = 0; a < survey->n_apis; a++)
            if (survey->apis[a].state != BN_STATE_DISABLED && // which says nothing of any device
                strcmp(survey->apis[a].name, bn_survey_rules[r].name) == 0)
                add_absent(survey, &bn_survey_rules[r], &survey->apis[a]);
    if (survey->n_entries)
        qsort(survey->entries, survey->n_entries, sizeof(*survey->entries), order);
    give_ids(survey);
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_entry *entry = survey->entries[i];
        if (entry->device.shares_memory && entry->gtt) // what an integrated GPU may take of the host's memory
            entry->device.memory_total += entry->gtt;
        entry->device.apis = entry->apis;
        entry->device.n_apis = entry->n_apis;
    }
}
