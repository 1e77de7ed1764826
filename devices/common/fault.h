// Fault plans: which call of which slot fails, and how. "null:submit@37=lost;alloc@3=oom": entries separated by ';', the
// driver's name once in front; slot@n=fault with n counted from 1, or '*' for every call.
#ifndef BN_DEVICES_FAULT_H
#define BN_DEVICES_FAULT_H

#include <bitnet/error.h>

#include <stdatomic.h>

enum bn_fault_slot { BN_FAULT_OPEN, BN_FAULT_ALLOC, BN_FAULT_RECORD, BN_FAULT_SUBMIT, BN_FAULT_POLL, BN_FAULT_SLOTS };

enum { BN_FAULT_MAX_ENTRIES = 16 };

struct bn_fault_plan {
    struct {
        enum bn_fault_slot slot;
        uint64_t call; // 0: every call
        enum bn_result result;
    } entries[BN_FAULT_MAX_ENTRIES];
    size_t n_entries;
    _Atomic uint64_t calls[BN_FAULT_SLOTS];
};

// Parses the plan for `driver`; a plan for another driver, or NULL, gives an empty one.
// Errors: BN_ERR_ARGUMENT naming the entry.
enum bn_result bn_fault_parse(struct bn_fault_plan *plan, const char *driver, const char *text, struct bn_error *err);

// Counts a call of `slot`, and fails it if the plan says so.
enum bn_result bn_fault_hit(struct bn_fault_plan *plan, enum bn_fault_slot slot, struct bn_error *err);

#endif
