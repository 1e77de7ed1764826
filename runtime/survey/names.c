// Names of PCI devices, from lists that distributions install: libdrm's for AMD, which tells revisions apart, and that of
// the PCI ID project.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/sysfs.h"
#include "runtime/survey/survey_impl.h"

static const char *const pci_ids[] = {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"};

static const struct {
    uint16_t vendor;
    const char *name;
} vendors[] = {
    {VENDOR_AMD, "AMD"},  {VENDOR_AMD_CPU, "AMD"}, {VENDOR_NVIDIA, "NVIDIA"}, {VENDOR_INTEL, "Intel"},
    {0x17cb, "Qualcomm"}, {0x1da3, "Habana"},      {0x1e52, "Tenstorrent"},   {0x1ed2, "FuriosaAI"},
    {0x10ee, "Xilinx"},   {0x1e60, "Hailo"},       {0x1ae0, "Google"},
};

static const char *vendor_name(uint16_t vendor)
{
    for (size_t i = 0; i < sizeof(vendors) / sizeof(*vendors); i++)
        if (vendors[i].vendor == vendor)
            return vendors[i].name;
    return "";
}

static bool is_nameless(const struct bn_survey_device *device)
{
    return device->vendor && !*device->name;
}

static void set_name(struct bn_survey_device *device, const char *vendor, const char *name)
{
    size_t n = strlen(vendor);
    bool twice = n && strncmp(name, vendor, n) == 0;
    snprintf(device->name, sizeof(device->name), "%s%s%s", twice ? "" : vendor, twice || !n ? "" : " ", name);
    bn_make_printable(device->name);
}

// "744C, C8, AMD Radeon RX 7900 XTX", with tabs
static bool see_amd(void *user, const char *text)
{
    struct bn_survey *survey = user;
    unsigned model, revision;
    int at = 0;
    if (sscanf(text, "%x, %x, %n", &model, &revision, &at) < 2 || at == 0)
        return true;
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_device *device = &survey->entries[i]->device;
        if (is_nameless(device) && device->vendor == VENDOR_AMD && device->model == model &&
            device->revision == revision)
            set_name(device, "AMD", text + at);
    }
    return true;
}

struct reading {
    struct bn_survey *survey;
    unsigned vendor; // whose devices follow; 0: none that is here
};

// "1002  Advanced Micro Devices" starts a vendor, "<tab>744c  Navi 31 [Radeon RX 7900 XT]" is a device of it.
static bool see_pci_id(void *user, const char *text)
{
    struct reading *reading = user;
    struct bn_survey *survey = reading->survey;
    unsigned id;
    int at = 0;
    if (text[0] == '#' || text[0] == '\0' || (text[0] == '\t' && (text[1] == '\t' || !reading->vendor)))
        return true;
    if (text[0] == 'C' && text[1] == ' ') // classes follow
        return false;
    if (sscanf(text, "%4x %n", &id, &at) < 1 || at == 0)
        return true;
    if (text[0] != '\t')
        reading->vendor = 0;
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_device *device = &survey->entries[i]->device;
        if (!is_nameless(device))
            continue;
        if (text[0] != '\t' && device->vendor == id)
            reading->vendor = id;
        else if (text[0] == '\t' && device->vendor == reading->vendor && device->model == id)
            set_name(device, vendor_name(device->vendor), text + at);
    }
    return true;
}

static bool any_nameless(const struct bn_survey *survey, unsigned vendor)
{
    for (size_t i = 0; i < survey->n_entries; i++) {
        const struct bn_survey_device *device = &survey->entries[i]->device;
        if (is_nameless(device) && (!vendor || device->vendor == vendor))
            return true;
    }
    return false;
}

void bn_survey_name(struct bn_survey *survey)
{
    struct reading reading = {survey, 0};
    if (any_nameless(survey, VENDOR_AMD))
        bn_sys_lines(see_amd, survey, "/usr/share/libdrm/amdgpu.ids");
    for (size_t i = 0; i < sizeof(pci_ids) / sizeof(*pci_ids) && any_nameless(survey, 0); i++)
        bn_sys_lines(see_pci_id, &reading, "%s", pci_ids[i]);
    for (size_t i = 0; i < survey->n_entries; i++) {
        struct bn_survey_device *device = &survey->entries[i]->device;
        const char *kind = device->kind == BN_DEVICE_NPU ? "NPU" : "GPU";
        if (is_nameless(device))
            snprintf(device->name, sizeof(device->name), "%s%s%s %04x:%04x", vendor_name(device->vendor),
                     *vendor_name(device->vendor) ? " " : "", kind, device->vendor, device->model);
        else if (!*device->name)
            snprintf(device->name, sizeof(device->name), "%s %s", kind, device->driver);
    }
}
