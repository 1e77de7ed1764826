// Results and their details.
#ifndef BITNET_ERROR_H
#define BITNET_ERROR_H

#include <bitnet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// Each code says when it is used; a caller that handles codes apart may rely on these meanings.
enum bn_result {
    BN_OK = 0,
    BN_ERR_ARGUMENT,      // the call itself is wrong: NULL where not allowed, out of range, wrong state
    BN_ERR_NOT_FOUND,     // a path, device selector or name that does not exist
    BN_ERR_IO,            // the system refused to open, read, map or write; `native` is errno
    BN_ERR_MODEL,         // a model file that is damaged or contradicts itself; subject and offset say where
    BN_ERR_UNSUPPORTED,   // well formed, but not something this build or device can do
    BN_ERR_NO_MEMORY,     // host memory
    BN_ERR_DEVICE_MEMORY, // the device's own memory
    BN_ERR_UNAVAILABLE,   // the driver, or the hardware it drives, is not on this machine
    BN_ERR_DEVICE_LOST,   // the device failed under us; it must be closed and may be opened again
    BN_ERR_TIMEOUT,       // a deadline passed; the work goes on
    BN_ERR_CANCELLED,     // bn_session_cancel was seen; what was computed in that step is dropped
    BN_ERR_CONTEXT_FULL,  // no room for more positions in the session's context or in the KV pool
    BN_ERR_NUMERIC,       // NaN or infinity in the activations: a damaged model, or a device that computes wrong
    BN_ERR_BUSY,          // a queue is full; drive or wait, then call again
    BN_ERR_INTERNAL,      // a defect of this library; please report it
    BN_ERR_POISONED,      // a vendor's library failed for good in this process: only a new one can use its devices
};

// Details of a failure, in memory of the caller. Zero it once; every failing call overwrites it, succeeding
// calls leave it alone. All strings are terminated and free of control characters, so they may be printed.
struct bn_error {
    enum bn_result code; // what the call returned
    int native;          // errno, VkResult, cl_int, CUresult ...; 0 if there is none
    uint64_t offset;     // byte offset in `file`, UINT64_MAX if it has no meaning here
    char file[256];      // the file, device or stream concerned; may be empty; the end is kept if too long
    char subject[96];    // key, tensor, op or option concerned; may be empty
    char message[320];   // one sentence for people, without a full stop, not containing file and subject
};

// The code's name without prefix: "MODEL". Ownership: static. Threads: any.
BN_API const char *bn_result_name(enum bn_result result);

#ifdef __cplusplus
}
#endif
#endif
