#include "devices/devices.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 512 };

struct colours {
    const char *bold, *good, *bad, *off;
};

static void add(char *line, const char *format, ...) BN_PRINTF(2, 3);

static void add(char *line, const char *format, ...)
{
    size_t n = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, LINE - n, format, args);
    va_end(args);
}

static void add_bytes(char *line, uint64_t bytes, const char *what)
{
    if (bytes >= 1u << 30)
        add(line, "%.1f GiB%s", (double)bytes / (1 << 30), what);
    else
        add(line, "%.0f MiB%s", (double)bytes / (1 << 20), what);
}

static void add_memory(char *line, const struct bn_survey_device *device)
{
    if (!device->memory_total) {
        add(line, "%s", device->shares_memory ? ", memory of the host" : "");
        return;
    }
    add(line, ", ");
    add_bytes(line, device->memory_total, device->shares_memory ? " of the host's memory" : "");
    if (device->memory_free != UINT64_MAX) {
        add(line, " (");
        add_bytes(line, device->memory_free, " free)");
    }
}

static void add_cpu(char *line, const struct bn_survey_device *device)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    add(line, ", %u of %u threads", device->threads, device->threads_total);
    if (device->cores)
        add(line, ", %u core%s", device->cores, device->cores == 1 ? "" : "s");
    if (device->packages > 1)
        add(line, ", %u packages", device->packages);
    if (device->numa_nodes > 1)
        add(line, ", %u NUMA nodes", device->numa_nodes);
    for (int i = 0; i < 4; i++) {
        const struct bn_survey_cache *cache = &device->caches[i];
        uint64_t bytes = cache->bytes;
        int unit = 0;
        for (; bytes >= 1024 && bytes % 1024 == 0 && unit < 3; unit++)
            bytes /= 1024;
        if (cache->count)
            add(line, ", L%u %u x %u %s", cache->level, cache->count, (unsigned)bytes, units[unit]);
    }
}

static void add_link(char *line, const struct bn_survey_device *device)
{
    if (device->link_width && device->link_mts)
        add(line, ", PCIe %u.%u GT/s x%u", device->link_mts / 1000, device->link_mts / 100 % 10, device->link_width);
    // A GPU at rest slows its link down, so a lower speed is nothing; fewer lanes than it has are.
    if (device->link_width && device->link_width < device->link_width_max)
        add(line, " of x%u", device->link_width_max);
}

static void add_sensors(char *line, const struct bn_survey_device *device)
{
    if (device->load >= 0)
        add(line, ", %d %% busy", device->load);
    if (device->temperature_c)
        add(line, ", %u °C", device->temperature_c);
    if (device->power_mw)
        add(line, ", %.0f W", device->power_mw * 1e-3);
    if (device->clock_mhz)
        add(line, ", %u MHz", device->clock_mhz);
    if (device->limits)
        add(line, ", slowed by %s", bn_device_limits_text(device->limits));
}

static void print_device(struct tool_out *out, const struct bn_survey_device *device, const struct colours *c)
{
    char line[LINE] = "";
    add(line, "%s%-6s%s%s", c->bold, device->id, device->name, c->off);
    if (*device->partition)
        add(line, " [%s]", device->partition);
    if (*device->isa)
        add(line, " (%s)", device->isa);
    add_memory(line, device);
    if (device->kind == BN_DEVICE_CPU)
        add_cpu(line, device);
    add_link(line, device);
    if (device->numa_node >= 0)
        add(line, ", NUMA node %d", device->numa_node);
    add_sensors(line, device);
    add(line, "\n");
    tool_out_text(out, line);
    if (!*device->address && !device->unplaced)
        return;
    snprintf(line, sizeof line, "      %s%s%s%s%s%s%s\n", device->address, *device->address ? ", " : "",
             device->unplaced  ? "unplaced: an API has it, the kernel does not"
             : *device->driver ? device->driver
                               : "no kernel driver",
             *device->driver_version ? " " : "", device->driver_version, *device->uuid ? ", " : "", device->uuid);
    tool_out_text(out, line);
}

static void print_api(struct tool_out *out, const struct bn_survey_api *api, const struct colours *c)
{
    char line[LINE] = "";
    bool ready = api->state == BN_STATE_READY;
    add(line, "      %-11s%s%s%s", api->name, ready ? c->good : c->bad, bn_device_state_name(api->state), c->off);
    if (*api->version)
        add(line, " %s", api->version);
    if (*api->driver)
        add(line, " %s", api->driver);
    if (*api->label && strcmp(api->label, api->driver) != 0)
        add(line, " \"%s\"", api->label);
    if (api->usable)
        add(line, " *");
    if (*api->reason)
        add(line, ": %s", api->reason);
    add(line, "\n");
    if (*api->mend)
        add(line, "                 %s\n", api->mend);
    tool_out_text(out, line);
}

static void print_figures(struct tool_out *out, const struct report *report, size_t d, size_t a)
{
    const struct figures *figures = devices_figures(report, d, a);
    char line[LINE] = "";
    if (!figures)
        return;
    add(line, "                 reads %.1f GB/s, %.0f int8 GOPS%s", figures->bytes_per_second / 1e9,
        figures->ops_per_second / 1e9, figures->cached ? " (measured before)" : "");
    if (report->model) {
        bool fits = devices_fits(report, bn_survey_get_device(report->survey, d));
        add(line, fits ? ": at most %.1f tokens/s" : ": does not fit (%.1f tokens/s)",
            devices_ceiling(report, figures));
    }
    add(line, "\n");
    tool_out_text(out, line);
}

static void print_model(struct tool_out *out, const struct report *report)
{
    const struct bn_model_info *info = bn_model_get_info(report->model);
    char line[LINE] = "model ";
    add(line, "%.200s, ", *info->name ? info->name : report->model_path);
    add_bytes(line, info->bytes, ", of which a token reads ");
    add_bytes(line, info->token_bytes, "\n");
    add(line, "      runs on %s: %s\n", *report->chosen ? report->chosen : "nothing", report->why);
    tool_out_text(out, line);
}

// APIs that failed without a device to write it under; that one is not installed says nothing if nothing needs it.
static void print_rest(struct tool_out *out, const struct bn_survey *survey, const struct colours *c)
{
    const struct bn_survey_device *device;
    const struct bn_survey_api *api;
    for (size_t a = 0; (api = bn_survey_get_api(survey, a)) != NULL; a++) {
        bool shown = api->state == BN_STATE_READY || api->state == BN_STATE_DISABLED;
        if (api->state == BN_STATE_MISSING_LIBRARY && strcmp(api->name, "bitnet") != 0)
            shown = true;
        for (size_t d = 0; !shown && (device = bn_survey_get_device(survey, d)) != NULL; d++)
            for (size_t i = 0; i < device->n_apis; i++)
                shown |= strcmp(device->apis[i].name, api->name) == 0 && device->apis[i].state != BN_STATE_READY;
        if (!shown)
            print_api(out, api, c);
    }
}

void devices_print(struct tool_out *out, const struct report *report, bool colour)
{
    const struct colours plain = {"", "", "", ""}, coloured = {"\033[1m", "\033[32m", "\033[31m", "\033[0m"};
    const struct colours *c = colour ? &coloured : &plain;
    const struct bn_survey *survey = report->survey;
    const struct bn_survey_device *device;
    for (size_t i = 0; (device = bn_survey_get_device(survey, i)) != NULL; i++) {
        print_device(out, device, c);
        for (size_t a = 0; a < device->n_apis; a++) {
            print_api(out, &device->apis[a], c);
            print_figures(out, report, i, a);
        }
    }
    print_rest(out, survey, c);
    if (report->model)
        print_model(out, report);
}
