#include "common/device.h"

#include "common/fail.h"

#include <string.h>

void tool_note_unused(const char *program, const struct bn_device *device, const struct bn_device_options *options)
{
    const struct bn_device_info *info = bn_device_get_info(device);
    bool cpu = strcmp(info->driver, "cpu") == 0;
    const struct {
        const char *option;
        bool unused;
        const char *why;
    } table[] = {
        {"--isa", options->isa && !cpu, "its compiler chooses the instructions"},
        {"--packing base3", options->packing == BN_PACKING_BASE3 && !cpu, "it has kernels for 2bit only"},
        {"--threads", options->threads && !info->threads, "it has no threads of the host"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].unused)
            tool_say(program, "%s does nothing on %s/%s: %s", table[i].option, info->id, info->driver, table[i].why);
}
