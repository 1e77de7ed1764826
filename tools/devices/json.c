#include "common/json.h"

#include "devices/devices.h"

#include <string.h>

#if BN_HAVE_JANSSON

static json_t *text_of(const char *text)
{
    return *text ? tool_json_text(text, strlen(text)) : json_null();
}

static json_t *number_of(uint64_t value, uint64_t unknown)
{
    return value == unknown || value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

// `reason` and `mend` are texts always: "" when ready.
static json_t *api_object(const struct bn_survey_api *api)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", text_of(api->name));
    json_object_set_new(object, "state", text_of(bn_device_state_name(api->state)));
    json_object_set_new(object, "reason", tool_json_text(api->reason, strlen(api->reason)));
    json_object_set_new(object, "mend", tool_json_text(api->mend, strlen(api->mend)));
    json_object_set_new(object, "version", text_of(api->version));
    json_object_set_new(object, "driver", text_of(api->driver));
    json_object_set_new(object, "label", text_of(api->label));
    json_object_set_new(object, "usable", json_boolean(api->usable));
    return object;
}

static json_t *cpu_object(const struct bn_survey_device *device)
{
    json_t *object = json_object(), *caches = json_array();
    for (int i = 0; i < 4; i++) {
        const struct bn_survey_cache *cache = &device->caches[i];
        if (!cache->count)
            continue;
        json_t *item = json_object();
        json_object_set_new(item, "level", json_integer(cache->level));
        json_object_set_new(item, "count", json_integer(cache->count));
        json_object_set_new(item, "bytes", json_integer((json_int_t)cache->bytes));
        json_array_append_new(caches, item);
    }
    json_object_set_new(object, "threads", number_of(device->threads, 0));
    json_object_set_new(object, "threads_total", number_of(device->threads_total, 0));
    json_object_set_new(object, "cores", number_of(device->cores, 0));
    json_object_set_new(object, "packages", number_of(device->packages, 0));
    json_object_set_new(object, "numa_nodes", number_of(device->numa_nodes, 0));
    json_object_set_new(object, "caches", caches);
    return object;
}

static json_t *link_object(const struct bn_survey_device *device)
{
    if (!device->link_width)
        return json_null();
    json_t *object = json_object();
    json_object_set_new(object, "width", json_integer(device->link_width));
    json_object_set_new(object, "width_max", number_of(device->link_width_max, 0));
    json_object_set_new(object, "megatransfers", number_of(device->link_mts, 0));
    json_object_set_new(object, "megatransfers_max", number_of(device->link_mts_max, 0));
    return object;
}

static json_t *figures_object(const struct report *report, size_t d, size_t a)
{
    const struct figures *figures = devices_figures(report, d, a);
    if (!figures)
        return json_null();
    json_t *object = json_object();
    json_object_set_new(object, "bytes_per_second", tool_json_number(figures->bytes_per_second));
    json_object_set_new(object, "int8_ops_per_second", tool_json_number(figures->ops_per_second));
    json_object_set_new(object, "cached", json_boolean(figures->cached));
    if (report->model)
        json_object_set_new(object, "tokens_per_second_ceiling", tool_json_number(devices_ceiling(report, figures)));
    return object;
}

static json_t *model_object(const struct report *report)
{
    const struct bn_model_info *info = bn_model_get_info(report->model);
    json_t *object = json_object();
    json_object_set_new(object, "path", text_of(report->model_path));
    json_object_set_new(object, "name", text_of(info->name));
    json_object_set_new(object, "bytes", number_of(info->bytes, 0));
    json_object_set_new(object, "token_bytes", number_of(info->token_bytes, 0));
    json_object_set_new(object, "chosen", text_of(report->chosen));
    json_object_set_new(object, "why", text_of(report->why));
    return object;
}

static json_t *device_object(const struct report *report, size_t index)
{
    const struct bn_survey_device *device = bn_survey_get_device(report->survey, index);
    json_t *object = json_object(), *apis = json_array();
    json_object_set_new(object, "id", text_of(device->id));
    json_object_set_new(object, "kind", text_of(bn_device_kind_name(device->kind)));
    json_object_set_new(object, "name", text_of(device->name));
    json_object_set_new(object, "address", text_of(device->address));
    json_object_set_new(object, "partition", text_of(device->partition));
    json_object_set_new(object, "uuid", text_of(device->uuid));
    json_object_set_new(object, "node", text_of(device->node));
    json_object_set_new(object, "driver", text_of(device->driver));
    json_object_set_new(object, "driver_version", text_of(device->driver_version));
    json_object_set_new(object, "isa", text_of(device->isa));
    json_object_set_new(object, "pci_vendor", number_of(device->vendor, 0));
    json_object_set_new(object, "pci_device", number_of(device->model, 0));
    json_object_set_new(object, "unplaced", json_boolean(device->unplaced));
    json_object_set_new(object, "numa_node", device->numa_node >= 0 ? json_integer(device->numa_node) : json_null());
    json_object_set_new(object, "load_percent", device->load >= 0 ? json_integer(device->load) : json_null());
    json_object_set_new(object, "temperature_celsius", number_of(device->temperature_c, 0));
    json_object_set_new(object, "power_milliwatts", number_of(device->power_mw, 0));
    json_object_set_new(object, "clock_mhz", number_of(device->clock_mhz, 0));
    json_object_set_new(object, "memory_clock_mhz", number_of(device->memory_clock_mhz, 0));
    json_object_set_new(object, "limited_by", text_of(bn_device_limits_text(device->limits)));
    json_object_set_new(object, "memory_total", number_of(device->memory_total, 0));
    json_object_set_new(object, "memory_free", number_of(device->memory_free, UINT64_MAX));
    json_object_set_new(object, "memory_shared", json_boolean(device->shares_memory));
    json_object_set_new(object, "link", link_object(device));
    json_object_set_new(object, "cpu", device->kind == BN_DEVICE_CPU ? cpu_object(device) : json_null());
    for (size_t i = 0; i < device->n_apis; i++) {
        json_t *item = api_object(&device->apis[i]);
        json_object_set_new(item, "bench", figures_object(report, index, i));
        json_array_append_new(apis, item);
    }
    json_object_set_new(object, "apis", apis);
    json_object_set_new(object, "model_fits", report->model ? json_boolean(devices_fits(report, device)) : json_null());
    return object;
}

int devices_print_json(struct tool_out *out, const struct report *report)
{
    const struct bn_survey *survey = report->survey;
    const struct bn_survey_api *api;
    json_t *object = json_object(), *devices = json_array(), *apis = json_array();
    for (size_t i = 0; bn_survey_get_device(survey, i); i++)
        json_array_append_new(devices, device_object(report, i));
    for (size_t i = 0; (api = bn_survey_get_api(survey, i)) != NULL; i++) {
        json_t *item = api_object(api);
        json_object_set_new(item, "milliseconds", api->ns ? json_real((double)api->ns / 1e6) : json_null());
        json_array_append_new(apis, item);
    }
    json_object_set_new(object, "schema", json_string("bitnet-devices/1"));
    json_object_set_new(object, "version", json_string(bn_version()));
    json_object_set_new(object, "devices", devices);
    json_object_set_new(object, "apis", apis);
    json_object_set_new(object, "model", report->model ? model_object(report) : json_null());
    return tool_json_print(out, PROGRAM, object);
}

#else

int devices_print_json(struct tool_out *out, const struct report *report)
{
    (void)out, (void)report;
    return tool_json_missing(PROGRAM);
}

#endif
