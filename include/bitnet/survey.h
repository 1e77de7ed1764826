// The survey: every device of the machine that could run a model, once, with each way in, and what is missing where a way
// is closed. It loads no driver into this process: the kernel's files are read here, and each vendor's API is opened in a
// helper process, since a broken driver may crash or hang its caller.
#ifndef BITNET_SURVEY_H
#define BITNET_SURVEY_H

#include <bitnet/device.h>

#ifdef __cplusplus
extern "C" {
#endif

// What is asked, and how.
struct bn_survey_options {
    size_t size;
    const char *helper;  // path of the program bitnet-probe; NULL: $BITNET_PROBE, else the installed one
    const char *apis;    // the APIs to ask, separated by commas: "vulkan,opencl"; NULL: all, "none": none
    uint32_t timeout_ms; // after which an API is given up; all are asked at once; 0: 5000
};

// One way into a device, or, from bn_survey_get_api, an API as a whole. Text is printable UTF-8, "" if unknown.
struct bn_survey_api {
    char name[16];    // "vulkan", "opencl", "cuda", "drm" (the kernel's node), a driver of this library ("cpu", "ivpu")
    char version[64]; // of the API or its driver
    char label[96];   // what the API calls the device
    char driver[64];  // whose implementation it is: "llvmpipe", "RADV"
    char reason[192]; // empty when ready
    char mend[192];   // what to do about it; empty when ready
    enum bn_device_state state;
    bool usable; // this build of the library runs models through it
    uint64_t ns; // time that asking the API took; of bn_survey_get_api only
};

// Caches of one level of a CPU.
struct bn_survey_cache {
    uint32_t level;
    uint32_t count; // how many there are
    uint64_t bytes; // of each
};

// A piece of hardware. Numbers are 0 if unknown, where nothing else is said.
struct bn_survey_device {
    char id[16];             // selector of bn_device_open: "cpu", "gpu0", "npu0"; a part of a device: "gpu0.1"
    char name[96];           // what it is sold as
    char address[64];        // "pci:0000:03:00.0", "platform:fdab0000.npu", ""
    char partition[32];      // a part of a device: "mig 1g.10gb", "xcp 3"; "" for a whole one
    char uuid[64];           // "GPU-..." or digits
    char node[64];           // where the kernel offers it: "/dev/dri/renderD128"
    char driver[32];         // the kernel's driver: "amdgpu"
    char driver_version[32]; // its version, where it has one of its own
    char isa[16];            // "gfx1100"; of a CPU the instruction set level in use: "avx2"
    enum bn_device_kind kind;
    uint16_t vendor, model;                // PCI
    uint8_t revision;                      // PCI
    bool unplaced;                         // an API reports it, the kernel does not
    bool shares_memory;                    // works in the host's memory
    int32_t numa_node;                     // -1: unknown, or no such thing
    int32_t load;                          // percent busy; of a CPU its load average per usable thread; -1: unknown
    uint32_t temperature_c, power_mw;      // now
    uint32_t clock_mhz, memory_clock_mhz;  // now, which at rest is low
    uint32_t limits;                       // enum bn_device_limit: what keeps the clock down now
    uint32_t threads;                      // CPU: those this process may use
    uint32_t threads_total;                // CPU: of the machine
    uint32_t cores;                        // CPU: of the machine, without their threads
    uint32_t packages;                     // CPU
    uint32_t numa_nodes;                   // CPU
    uint32_t link_width;                   // lanes of PCIe, now
    uint32_t link_mts;                     // million transfers per second of a lane, now
    uint32_t link_width_max, link_mts_max; // what device and slot could do
    uint64_t memory_total;                 // bytes
    uint64_t memory_free;                  // UINT64_MAX: unknown
    struct bn_survey_cache caches[4];      // CPU: by level; those of count 0 are not there
    size_t n_apis;
    const struct bn_survey_api *apis; // the ways in
};

// A finished survey: a picture of that moment.
struct bn_survey;

// Takes a second or two where a driver is slow, less than a third of one where none is.
// What an API or its driver does wrong is a state in the result, never a failure of this call.
// Ownership: the caller destroys *out. Threads: any. Errors: BN_ERR_ARGUMENT (an unknown API), BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_survey_create(struct bn_runtime *runtime,
                                                     const struct bn_survey_options *options, // NULL: defaults
                                                     struct bn_survey **out, struct bn_error *err);

// Threads: one at a time.
BN_API void bn_survey_destroy(struct bn_survey *survey);

// The devices: CPU, then GPUs by address, then NPUs by address, then what could not be placed. NULL from the end of the
// list on. Ownership: borrowed. Threads: any.
BN_API const struct bn_survey_device *bn_survey_get_device(const struct bn_survey *survey, size_t index);

// The APIs that were asked, each as a whole: one that fails without naming a device is seen here. NULL from the end of the
// list on. Ownership: borrowed. Threads: any.
BN_API const struct bn_survey_api *bn_survey_get_api(const struct bn_survey *survey, size_t index);

#ifdef __cplusplus
}
#endif
#endif
