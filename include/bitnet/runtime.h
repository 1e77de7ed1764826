// The runtime object: allocation, messages, drivers.
#ifndef BITNET_RUNTIME_H
#define BITNET_RUNTIME_H

#include <bitnet/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// Where the library gets its memory. Both functions are called from several threads at once.
// Weights are mapped, not allocated, wherever the device reads the file's own layout.
struct bn_allocator {
    // Returns `bytes` bytes aligned to `align` (a power of two, at most 4096), or NULL. `bytes` is never 0.
    void *(*alloc)(void *user, size_t bytes, size_t align);
    // Takes back what alloc returned; `memory` is never NULL.
    void (*free)(void *user, void *memory);
    void *user;
};

// How much a message matters, most first.
enum bn_log_level { BN_LOG_ERROR, BN_LOG_WARNING, BN_LOG_INFO, BN_LOG_DEBUG };

// What a runtime is made with.
struct bn_runtime_config {
    size_t size;
    const struct bn_allocator *allocator; // NULL: the C library's
    // Receives one message without a newline; NULL: messages are dropped. May be called from any thread, never
    // inside a step. Must not call back into the library.
    void (*log)(void *user, enum bn_log_level level, const char *message);
    void *log_user; // given to log
};

// Everything else hangs off a runtime: allocator, messages, drivers. A process may have several.
struct bn_runtime;

// Ownership: the caller destroys *out. Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_runtime_create(const struct bn_runtime_config *config, // NULL: defaults
                                                      struct bn_runtime **out, struct bn_error *err);

// Models, devices and engines made with it must be gone first. Threads: one at a time.
BN_API void bn_runtime_destroy(struct bn_runtime *runtime);

#ifdef __cplusplus
}
#endif
#endif
