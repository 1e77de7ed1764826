// Devices: what the machine has, and opening one of them.
#ifndef BITNET_DEVICE_H
#define BITNET_DEVICE_H

#include <bitnet/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a device is. NULL is the driver of tests, which computes nothing.
enum bn_device_kind { BN_DEVICE_CPU, BN_DEVICE_GPU, BN_DEVICE_NPU, BN_DEVICE_NULL };

// Whether a driver can use a device, and if not, why.
enum bn_device_state {
    BN_STATE_READY,
    BN_STATE_MISSING_LIBRARY,
    BN_STATE_PERMISSION_DENIED,
    BN_STATE_TOO_OLD,
    BN_STATE_CRASHED,
    BN_STATE_TIMED_OUT,
    BN_STATE_FAULTED,
    BN_STATE_DISABLED,
    BN_STATE_POISONED, // a vendor's library failed for good in this process
};

// One way into one device: a (device, driver) pair. The same hardware seen by two drivers has the same `id`.
struct bn_device_info {
    size_t size;
    char id[16];      // short selector: "cpu", "gpu0", "null"
    char driver[16];  // "cpu", "vulkan", "null" ...
    char name[96];    // what the hardware calls itself
    char isa[16];     // the instruction set level or architecture the driver would use: "avx2", "gfx1100"
    char reason[128]; // empty when ready
    char mend[128];   // what to do about it; empty when ready
    enum bn_device_kind kind;
    enum bn_device_state state;
    uint32_t threads;      // CPU: threads the driver would use by default; else 0
    uint32_t index;        // the driver's own number for it
    uint64_t memory_total; // 0: unknown
    uint64_t memory_free;  // 0: unknown
    // What tells the same hardware in two drivers, each "" if the driver does not know it.
    char pci[24];  // address on the PCI bus, "0000:03:00.0"
    char uuid[48]; // "GPU-..." or hexadecimal digits
    char node[24]; // numbers of the kernel's node, "226:128"
};

// "ready", "missing_library" ...; "cpu", "gpu", "npu", "null". Ownership: static. Threads: any.
BN_API const char *bn_device_state_name(enum bn_device_state state);
BN_API const char *bn_device_kind_name(enum bn_device_kind kind);

// Asks every driver for its devices, in the order in which an automatic choice prefers them. Writes at most
// `capacity` entries to `list` and always the full number to *count, so list = NULL, capacity = 0 asks for it.
// Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_device_list(struct bn_runtime *runtime, struct bn_device_info *list,
                                                   size_t capacity, size_t *count, struct bn_error *err);

// How threads wait for each other and for a device. SLEEP spins for a short adaptive time, at most 0.1 ms, then sleeps. SPIN
// goes to sleep only after a second without work: lowest latency and no system call in steps that follow each other, at the
// cost of busy cores for that second.
enum bn_wait_mode { BN_WAIT_SLEEP, BN_WAIT_SPIN };

// Where ternary weights are read whose form the device takes as it is. MAP: in place, from the mapped file. COPY: from the
// device's memory, for the CPU in huge pages where the system gives them; faster, but slower to start and not shared between
// processes. AUTO: what the machine's tuning says; else COPY for 64 MiB and more if four times as much memory is free.
enum bn_load_mode { BN_LOAD_AUTO, BN_LOAD_MAP, BN_LOAD_COPY };

// In what form ternary weights are kept whose scale is the tensor's. 2BIT: as most files have them, read in place. BASE3:
// five in a byte, a fifth less to read and more to compute, repacked when the model is placed. The numbers are the same.
// AUTO: what the machine's tuning says, else 2BIT.
enum bn_packing { BN_PACKING_AUTO, BN_PACKING_2BIT, BN_PACKING_BASE3 };

// How a device is opened. A driver ignores what is for others.
struct bn_device_options {
    size_t size;
    uint32_t threads; // CPU: team size, the caller included; 0: what affinity and the cgroup's quota allow
    enum bn_wait_mode wait;
    const char *isa;         // CPU: "scalar", "avx2" ...; NULL: $BITNET_CPU_ISA, else the best this machine has
    const char *fault;       // fault plan of a test, "null:submit@3=lost;alloc@2=oom"; NULL: $BITNET_FAULT
    bool profile;            // measure where the time goes: bn_device_get_profile
    enum bn_packing packing; // CPU: of ternary weights; BASE3 where the instruction set has it, else 2BIT
    bool trace;              // keep when each op ran: bn_queue_take_spans
    const char *shaders;     // Vulkan: a folder whose NAME.spv replace built-in shaders; NULL: $BITNET_SHADER_DIR
};

// An opened device.
struct bn_device;

// What `bitnet-bench --tune` measured to be fastest on this machine's CPU. bn_device_open takes it where its options leave
// the choice open and name no instruction set. It is kept in the cache folder, and holds for this CPU, the instruction set
// chosen for it, and the number of CPUs that the process may use; one that does not fit is ignored, with a message.
struct bn_tuning {
    size_t size;
    uint32_t threads; // 0: no choice
    enum bn_packing packing;
    enum bn_load_mode load;
};

// Threads: any.
// Errors: BN_ERR_ARGUMENT, BN_ERR_NOT_FOUND (the machine was not tuned), BN_ERR_MODEL (it does not fit, or is damaged),
//   BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_tuning_read(struct bn_runtime *runtime, struct bn_tuning *tuning,
                                                   struct bn_error *err);

// Written to another file and renamed.
// Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NOT_FOUND (no cache folder), BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_tuning_write(struct bn_runtime *runtime, const struct bn_tuning *tuning,
                                                    struct bn_error *err);

// Opens the device that `selector` names: "cpu", "null", a device id ("gpu0"), a driver's name, "pci:0000:03:00.0",
// "uuid:..." as a survey shows it, or one of these with a driver behind it, "gpu0/vulkan". NULL or "auto" takes
// $BITNET_DEVICE, else the first ready device that is not the null device.
// Ownership: the caller closes *out. Threads: any.
// Errors: BN_ERR_NOT_FOUND (no such device; the message lists those there are), BN_ERR_UNAVAILABLE (there, but
//   not ready; the message is its reason and mend), BN_ERR_UNSUPPORTED (there, but its state is "disabled"), BN_ERR_ARGUMENT (unknown ISA, thread count out of range),
//   BN_ERR_NO_MEMORY, and what the driver says.
BN_API BN_MUST_CHECK enum bn_result bn_device_open(struct bn_runtime *runtime, const char *selector,
                                                   const struct bn_device_options *options, // NULL: defaults
                                                   struct bn_device **out, struct bn_error *err);

// Engines on the device must be gone first. Threads: one at a time.
BN_API void bn_device_close(struct bn_device *device);

// What was opened: `isa` and `threads` hold what is in use. Ownership: borrowed. Threads: any.
BN_API const struct bn_device_info *bn_device_get_info(const struct bn_device *device);

// What keeps a card's clock below what it could be.
enum bn_device_limit { BN_LIMIT_POWER = 1, BN_LIMIT_HEAT = 2, BN_LIMIT_OTHER = 4 };

// What a card tells of itself at this moment. Floats are NaN, clocks 0, where it does not.
struct bn_device_sensors {
    double energy_j;              // taken since a moment in the past: what counts is the difference of two readings
    float power_w, temperature_c; // now
    uint32_t clock_mhz, memory_clock_mhz; // now, which at rest is low
    uint32_t limits;                      // enum bn_device_limit, now
};

// Reads the sensors of the card that has the device's PCI address: by NVML, which is opened at run time, for NVIDIA's, by the
// kernel's hwmon for others; of an instance of a card, those of the whole card. May take milliseconds: not for every token.
// False if nothing is known. Threads: any.
BN_API bool bn_device_get_sensors(const struct bn_device *device, struct bn_device_sensors *out);

// "power", "heat", "power and heat" ...; "" for none. Ownership: static. Threads: any.
BN_API const char *bn_device_limits_text(uint32_t limits);

#ifdef __cplusplus
}
#endif
#endif
