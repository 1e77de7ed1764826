// Inside the survey: its list of devices while it grows.
#ifndef BN_SURVEY_IMPL_H
#define BN_SURVEY_IMPL_H

#include <bitnet/survey.h>

#include "runtime/base/host.h"

enum { MAX_APIS = 16 };

// The vendors that a rule knows.
enum { VENDOR_AMD = 0x1002, VENDOR_NVIDIA = 0x10de, VENDOR_INTEL = 0x8086, VENDOR_AMD_CPU = 0x1022 };

// A device as it is put together.
struct bn_survey_entry {
    struct bn_survey_device device; // `apis` is set at the end
    struct bn_survey_api *apis;
    size_t n_apis, room;
    char number[24]; // of its render node, "226:128"
    uint64_t gtt;    // host memory that it may use, bytes
    bool wsl;        // stands for whatever the host of this virtual machine offers
};

struct bn_survey {
    const struct bn_host *host;
    struct bn_survey_entry **entries;
    size_t n_entries, room;
    struct bn_survey_api apis[MAX_APIS];
    size_t n_apis;
    bool no_memory; // something is missing from the list for want of memory
};

// What an API's helper says of a device: what it knows of the device, and of itself.
struct bn_survey_record {
    struct bn_survey_device device;
    struct bn_survey_api api;
    char number[24];
    bool own; // a driver of this library says it: where it finds nothing, it says so as if of a device
};

// A survey with what the kernel says, without names of devices; NULL if there is no memory. bn_survey_destroy takes it.
struct bn_survey *bn_survey_start(const struct bn_host *host);

// A new device; NULL and `no_memory` if there is no memory. The CPU is the first.
struct bn_survey_entry *bn_survey_add(struct bn_survey *survey, enum bn_device_kind kind);

// Copies the API to the device's list.
void bn_survey_add_api(struct bn_survey *survey, struct bn_survey_entry *entry, const struct bn_survey_api *api);

// The whole device, or its first part, at an address.
struct bn_survey_entry *bn_survey_find(struct bn_survey *survey, const char *address);

// Fills in `out` with a PCI address as the kernel writes it, "pci:0000:03:00.0", from any of the ways in which APIs do.
// False if `text` is not one.
bool bn_survey_pci(char *out, size_t size, const char *text);

// walk.c: what the kernel says, no driver loaded. cpu.c: the host's processors and memory.
void bn_survey_walk(struct bn_survey *survey);
void bn_survey_walk_cpu(struct bn_survey *survey);

// names.c: names for PCI devices from the lists that distributions install; a number where none has it.
void bn_survey_name(struct bn_survey *survey);

// ask.c: the APIs, each in its helper process. `wanted` as in the options.
enum bn_result bn_survey_ask(struct bn_survey *survey, const struct bn_survey_options *options, struct bn_error *err);

// records.c: what a helper wrote, line by line; calls `each` for each device. Returns whether it came to its end.
bool bn_survey_read(const char *text, struct bn_survey_api *api, void (*each)(void *, const struct bn_survey_record *),
                    void *user);

// merge.c: adds what an API says of a device to the entry that is the same piece of hardware, else to a new one; `state`
// is what became of the helper.
void bn_survey_merge(struct bn_survey *survey, const struct bn_survey_record *record);
// Adds the APIs that should have named a device and did not, sorts, gives ids.
void bn_survey_finish(struct bn_survey *survey);

// Which devices an API is for.
struct bn_survey_rule {
    const char *name;
    uint16_t vendors[2]; // 0: any, or none
    bool gpu, npu;       // expected to name every device of this kind and vendor
    const char *mend;    // when it is missing or does not name the device
};

extern const struct bn_survey_rule bn_survey_rules[];
extern const size_t bn_survey_n_rules;

#endif
