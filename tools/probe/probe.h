// bitnet-probe API: asks one API of a vendor which devices it has, in a process of its own, and writes records that
// runtime/survey/records.c reads. Whatever the driver does, the records before it stand.
#ifndef TOOLS_PROBE_PROBE_H
#define TOOLS_PROBE_PROBE_H

#include <bitnet/device.h>

// One API. A probe writes its records and returns; what it opened is left to the end of the process.
typedef void probe_function(void);
probe_function probe_bitnet, probe_cuda, probe_drm, probe_hip, probe_hsa, probe_hwloc, probe_level_zero, probe_nvml,
    probe_opencl, probe_vulkan;

// Writes a record: a line that begins with `word`. Fields of no text, and unknown numbers (UINT64_MAX), are left out.
void record_start(const char *word);
void record_text(const char *key, const char *value);
void record_number(const char *key, uint64_t value);
void record_pci(unsigned domain, unsigned bus, unsigned device, unsigned function);
void record_uuid(const uint8_t bytes[16]);
void record_version(const char *key, unsigned major, unsigned minor, unsigned patch);
void record_end(void);

// The API as a whole cannot be used.
void record_state(enum bn_device_state state, const char *mend, const char *format, ...) BN_PRINTF(3, 4);

// A function to be found in a library.
struct symbol {
    const char *name;
    void *target; // where its address goes: a pointer to a pointer to a function
    bool optional;
};

// Opens the first of `names` that is there and finds the symbols. False after record_state.
bool open_library(const char *const *names, const struct symbol *symbols, size_t n);

#endif
