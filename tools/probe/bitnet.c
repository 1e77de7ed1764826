// The drivers of this library: what each can use, by its own judgement.
#include "tools/probe/probe.h"

#include <stdlib.h>

static void record_info(const struct bn_device_info *info)
{
    record_start("device");
    record_text("api", info->driver);
    record_text("kind", bn_device_kind_name(info->kind));
    record_text("state", bn_device_state_name(info->state));
    record_text("reason", info->reason);
    record_text("mend", info->mend);
    record_text("label", info->name);
    record_text("name", info->name);
    record_text("isa", info->isa);
    record_text("version", info->kind == BN_DEVICE_CPU ? info->isa : NULL);
    record_text("pci", info->pci);
    record_text("uuid", info->uuid);
    record_text("render", info->node);
    record_number("usable", info->state == BN_STATE_READY);
    if (info->memory_total) {
        record_number("total", info->memory_total);
        record_number("free", info->memory_free);
    }
    record_end();
}

void probe_bitnet(void)
{
    struct bn_runtime *runtime = NULL;
    struct bn_error err = {0};
    struct bn_device_info list[64];
    size_t n = 0;
    if (bn_runtime_create(NULL, &runtime, &err) || bn_device_list(runtime, list, 64, &n, &err)) {
        record_state(BN_STATE_FAULTED, NULL, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < n && i < 64; i++) {
        // What is not ready and has no identity is no device, but a driver that found none; its API is asked apart.
        bool found = list[i].state == BN_STATE_READY || *list[i].pci || *list[i].uuid || *list[i].node;
        if (list[i].kind != BN_DEVICE_NULL && found)
            record_info(&list[i]);
    }
}
