#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/survey/survey_impl.h"

// A larger copy of an array; NULL if there is no memory.
static void *grown(const struct bn_host *host, void *old, size_t n, size_t *room, size_t size)
{
    size_t wanted = *room ? *room * 2 : 8;
    void *copy = bn_alloc_array(host, wanted, size);
    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, old, n * size);
    bn_free(host, old);
    *room = wanted;
    return copy;
}

struct bn_survey_entry *bn_survey_add(struct bn_survey *survey, enum bn_device_kind kind)
{
    if (survey->n_entries == survey->room) {
        void *entries =
            grown(survey->host, survey->entries, survey->n_entries, &survey->room, sizeof(*survey->entries));
        if (!entries) {
            survey->no_memory = true;
            return NULL;
        }
        survey->entries = entries;
    }
    struct bn_survey_entry *entry = bn_alloc(survey->host, sizeof(*entry));
    if (!entry) {
        survey->no_memory = true;
        return NULL;
    }
    entry->device.kind = kind;
    entry->device.numa_node = entry->device.load = -1;
    entry->device.memory_free = UINT64_MAX;
    survey->entries[survey->n_entries++] = entry;
    return entry;
}

void bn_survey_add_api(struct bn_survey *survey, struct bn_survey_entry *entry, const struct bn_survey_api *api)
{
    if (entry->n_apis == entry->room) {
        void *apis = grown(survey->host, entry->apis, entry->n_apis, &entry->room, sizeof(*entry->apis));
        if (!apis) {
            survey->no_memory = true;
            return;
        }
        entry->apis = apis;
    }
    entry->apis[entry->n_apis++] = *api;
}

struct bn_survey *bn_survey_start(const struct bn_host *host)
{
    struct bn_survey *survey = bn_alloc(host, sizeof(*survey));
    if (!survey)
        return NULL;
    survey->host = host;
    bn_survey_walk(survey);
    return survey;
}

enum bn_result bn_survey_create(struct bn_runtime *runtime, const struct bn_survey_options *options,
                                struct bn_survey **out, struct bn_error *err)
{
    if (!runtime || !out)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime or out is NULL");
    *out = NULL;
    struct bn_survey_options own;
    BN_INIT(own);
    if (options && options->size != sizeof(own))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the options is not set; use BN_INIT");
    if (options)
        own = *options;
    struct bn_survey *survey = bn_survey_start(&runtime->host);
    if (!survey)
        return bn_fail_memory(err, sizeof(*survey), "a survey");
    bn_survey_name(survey);
    enum bn_result result = bn_survey_ask(survey, &own, err);
    bn_survey_finish(survey);
    if (result == BN_OK && survey->no_memory)
        result = bn_fail(err, BN_ERR_NO_MEMORY, "no memory for the list of devices");
    if (result != BN_OK) {
        bn_survey_destroy(survey);
        return result;
    }
    *out = survey;
    return BN_OK;
}

void bn_survey_destroy(struct bn_survey *survey)
{
    if (!survey)
        return;
    const struct bn_host *host = survey->host;
    for (size_t i = 0; i < survey->n_entries; i++) {
        bn_free(host, survey->entries[i]->apis);
        bn_free(host, survey->entries[i]);
    }
    bn_free(host, survey->entries);
    bn_free(host, survey);
}

const struct bn_survey_device *bn_survey_get_device(const struct bn_survey *survey, size_t index)
{
    return index < survey->n_entries ? &survey->entries[index]->device : NULL;
}

const struct bn_survey_api *bn_survey_get_api(const struct bn_survey *survey, size_t index)
{
    return index < survey->n_apis ? &survey->apis[index] : NULL;
}
