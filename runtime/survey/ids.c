#include "runtime/survey/ids.h"

#include <stdio.h>
#include <string.h>

#include "runtime/survey/survey_impl.h"

// What is not ready and has no identity is no device, but a driver that found none.
static bool is_numbered(const struct bn_device_info *info)
{
    bool found = info->state == BN_STATE_READY || *info->pci || *info->uuid || *info->node;
    return found && (info->kind == BN_DEVICE_GPU || info->kind == BN_DEVICE_NPU);
}

static bool any_address(const struct bn_device_info *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_numbered(&list[i]) && *list[i].pci)
            return true;
    return false;
}

// What another driver calls this address; NULL if none has it.
static const char *earlier(const struct bn_device_info *list, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (list[j].kind == list[i].kind && *list[i].pci && strcmp(list[i].pci, list[j].pci) == 0 &&
            strcmp(list[i].driver, list[j].driver) != 0)
            return list[j].id;
    return NULL;
}

static const char *surveyed(struct bn_survey *survey, const char *pci)
{
    char address[64];
    struct bn_survey_entry *entry =
        bn_survey_pci(address, sizeof(address), pci) ? bn_survey_find(survey, address) : NULL;
    return entry ? entry->device.id : NULL;
}

void bn_survey_give_ids(const struct bn_host *host, struct bn_device_info *list, size_t n)
{
    struct bn_survey *survey = any_address(list, n) ? bn_survey_start(host) : NULL;
    unsigned next[BN_DEVICE_NULL + 1] = {0};
    if (survey)
        bn_survey_finish(survey);
    for (size_t i = 0; survey && i < survey->n_entries; i++) {
        const struct bn_survey_device *device = &survey->entries[i]->device;
        unsigned number; // "gpu3", or "gpu3.1" for a part
        if (sscanf(device->id + 3, "%u", &number) == 1 && number >= next[device->kind])
            next[device->kind] = number + 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_numbered(&list[i]))
            continue;
        const char *id = survey && *list[i].pci ? surveyed(survey, list[i].pci) : NULL;
        if (!id)
            id = earlier(list, i);
        if (id)
            snprintf(list[i].id, sizeof(list[i].id), "%s", id);
        else
            snprintf(list[i].id, sizeof(list[i].id), "%s%u", bn_device_kind_name(list[i].kind), next[list[i].kind]++);
    }
    bn_survey_destroy(survey);
}
