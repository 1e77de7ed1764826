#include "devices/common/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"

static const char *const slot_names[BN_FAULT_SLOTS] = {"open", "alloc", "record", "submit", "poll"};

static const struct {
    const char *name;
    enum bn_result result;
} faults[] = {
    {"lost", BN_ERR_DEVICE_LOST},        {"oom", BN_ERR_DEVICE_MEMORY},  {"busy", BN_ERR_BUSY},
    {"timeout", BN_ERR_TIMEOUT},         {"host-oom", BN_ERR_NO_MEMORY}, {"unavailable", BN_ERR_UNAVAILABLE},
    {"unsupported", BN_ERR_UNSUPPORTED},
};

static bool parse_entry(struct bn_fault_plan *plan, const char *entry)
{
    char slot[16], call[24], fault[16];
    int end = 0;
    if (plan->n_entries == BN_FAULT_MAX_ENTRIES ||
        sscanf(entry, "%15[a-z]@%23[0-9*]=%15[a-z-]%n", slot, call, fault, &end) != 3 || entry[end] != '\0')
        return false;
    int s = 0, f = 0, n_faults = (int)(sizeof(faults) / sizeof(faults[0]));
    while (s < BN_FAULT_SLOTS && strcmp(slot, slot_names[s]) != 0)
        s++;
    while (f < n_faults && strcmp(fault, faults[f].name) != 0)
        f++;
    uint64_t number = 0;
    if (s == BN_FAULT_SLOTS || f == n_faults)
        return false;
    if (strcmp(call, "*") != 0 && (sscanf(call, "%" SCNu64, &number) != 1 || number == 0))
        return false;
    plan->entries[plan->n_entries].slot = (enum bn_fault_slot)s;
    plan->entries[plan->n_entries].call = number;
    plan->entries[plan->n_entries].result = faults[f].result;
    plan->n_entries++;
    return true;
}

enum bn_result bn_fault_parse(struct bn_fault_plan *plan, const char *driver, const char *text, struct bn_error *err)
{
    memset(plan, 0, sizeof(*plan));
    size_t n = strlen(driver);
    if (!text || strncmp(text, driver, n) != 0 || text[n] != ':')
        return BN_OK;
    char copy[512];
    size_t bytes = strlen(text + n + 1) + 1;
    if (bytes > sizeof(copy))
        return bn_fail(err, BN_ERR_ARGUMENT, "the fault plan is longer than %zu characters", sizeof(copy) - 1);
    memcpy(copy, text + n + 1, bytes);
    for (char *save = NULL, *entry = strtok_r(copy, ";", &save); entry; entry = strtok_r(NULL, ";", &save))
        if (!parse_entry(plan, entry))
            return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, entry, UINT64_MAX,
                              "not a fault; write slot@number=fault, as in submit@3=lost");
    return BN_OK;
}

enum bn_result bn_fault_hit(struct bn_fault_plan *plan, enum bn_fault_slot slot, struct bn_error *err)
{
    if (plan->n_entries == 0)
        return BN_OK;
    uint64_t call = atomic_fetch_add_explicit(&plan->calls[slot], 1, memory_order_relaxed) + 1;
    for (size_t i = 0; i < plan->n_entries; i++)
        if (plan->entries[i].slot == slot && (plan->entries[i].call == 0 || plan->entries[i].call == call))
            return bn_fail_at(err, plan->entries[i].result, NULL, slot_names[slot], UINT64_MAX,
                              "injected fault at call %" PRIu64, call);
    return BN_OK;
}
