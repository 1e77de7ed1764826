// The doctor: whether this machine is fit to run a model, before a service starts.
#ifndef BITNET_DOCTOR_H
#define BITNET_DOCTOR_H

#include <bitnet/survey.h>

#ifdef __cplusplus
extern "C" {
#endif

// OK; DEGRADED: works, but slower or with less than this machine could; CRITICAL: does not work, or will fail.
enum bn_health { BN_HEALTH_OK, BN_HEALTH_DEGRADED, BN_HEALTH_CRITICAL };

// One thing that was looked at. bitnet-doctor(1) has the thresholds. Text is printable UTF-8.
struct bn_check {
    char name[32];    // "memory", "huge_pages"; of an API "gpu0/vulkan"
    char value[160];  // what was found: "20.6 GiB available of 23.5 GiB"
    char reason[192]; // why it is not OK; else ""
    char mend[192];   // what to do about it; else ""
    enum bn_health health;
};

// What is examined.
struct bn_doctor_options {
    size_t size;
    const char *model;  // path of a model to run; NULL: the machine alone
    const char *device; // selector of bn_device_open; NULL: the one chosen automatically
    uint32_t n_ctx;     // positions that will be asked for; 0: as many as the engine takes by default
    const struct bn_survey_options *survey; // NULL: defaults
};

// A finished examination.
struct bn_doctor;

// "ok", "degraded", "critical". Ownership: static. Threads: any.
BN_API const char *bn_health_name(enum bn_health health);

// A model that cannot be opened and a device that is not there are findings, not failures of this call.
// Ownership: the caller destroys *out. Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_doctor_create(struct bn_runtime *runtime,
                                                     const struct bn_doctor_options *options, // NULL: defaults
                                                     struct bn_doctor **out, struct bn_error *err);

// Threads: one at a time.
BN_API void bn_doctor_destroy(struct bn_doctor *doctor);

// The worst of all checks. Threads: any.
BN_API enum bn_health bn_doctor_get_health(const struct bn_doctor *doctor);

// NULL from the end of the list on. Ownership: borrowed. Threads: any.
BN_API const struct bn_check *bn_doctor_get_check(const struct bn_doctor *doctor, size_t index);

#ifdef __cplusplus
}
#endif
#endif
