// What a helper writes about an API. Whatever it is: the survey has every device once, under an id of its own, all text is
// terminated and can be printed, and the host's processor stays the first.
#include <bitnet/survey.h>

#include <stdio.h>

#include "input.h"
#include "runtime/base/fail.h"
#include "runtime/survey/survey_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void take(void *user, const struct bn_survey_record *record)
{
    bn_survey_merge(user, record);
}

static void check_text(const char *text, size_t size)
{
    char copy[256];
    require(memchr(text, '\0', size) != NULL);
    snprintf(copy, sizeof(copy), "%s", text);
    bn_make_printable(copy);
    require(strcmp(copy, text) == 0);
}

#define CHECK(field) check_text(field, sizeof(field))

static void check_device(const struct bn_survey *survey, size_t index)
{
    const struct bn_survey_device *device = bn_survey_get_device(survey, index);
    require((device->kind == BN_DEVICE_CPU) == (index == 0));
    require(device->load >= -1 && device->load <= 100);
    CHECK(device->name);
    CHECK(device->address);
    CHECK(device->partition);
    CHECK(device->uuid);
    CHECK(device->isa);
    for (size_t i = 0; i < index; i++)
        require(strcmp(device->id, bn_survey_get_device(survey, i)->id) != 0);
    for (size_t i = 0; i < device->n_apis; i++) {
        const struct bn_survey_api *api = &device->apis[i];
        require(strcmp(bn_device_state_name(api->state), "?") != 0);
        CHECK(api->name);
        CHECK(api->version);
        CHECK(api->label);
        CHECK(api->driver);
        CHECK(api->reason);
        CHECK(api->mend);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static char text[8192];
    struct bn_host host;
    bn_host_init(&host, NULL);
    struct bn_survey *survey = bn_alloc(&host, sizeof(*survey));
    require(survey != NULL);
    survey->host = &host;
    require(bn_survey_add(survey, BN_DEVICE_CPU) != NULL);
    struct bn_survey_entry *gpu = bn_survey_add(survey, BN_DEVICE_GPU);
    snprintf(gpu->device.address, sizeof(gpu->device.address), "pci:0000:01:00.0");
    snprintf(gpu->device.uuid, sizeof(gpu->device.uuid), "GPU-0102");
    snprintf(gpu->number, sizeof(gpu->number), "226:128");
    gpu->wsl = bytes & 1;
    bytes = bytes < sizeof(text) ? bytes : sizeof(text) - 1;
    if (bytes)
        memcpy(text, data, bytes);
    text[bytes] = '\0';
    struct bn_survey_api *api = &survey->apis[survey->n_apis++];
    snprintf(api->name, sizeof(api->name), "vulkan");
    bn_survey_read(text, api, take, survey);
    bn_survey_finish(survey);
    for (size_t i = 0; bn_survey_get_device(survey, i); i++)
        check_device(survey, i);
    CHECK(api->reason);
    bn_survey_destroy(survey);
    return 0;
}
