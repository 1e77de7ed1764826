// What the library needs of its surroundings: memory, messages, environment. One per runtime object.
#ifndef BN_BASE_HOST_H
#define BN_BASE_HOST_H

#include <bitnet/runtime.h>

struct bn_host {
    struct bn_allocator allocator;
    void (*log)(void *user, enum bn_log_level level, const char *message);
    void *log_user;
};

// Fills in the defaults of a configuration, which may be NULL.
void bn_host_init(struct bn_host *host, const struct bn_runtime_config *config);

// Memory from the runtime's allocator: bn_alloc is zeroed, aligned to 64 and NULL when there is none; 0 bytes give a
// valid pointer. bn_alloc_array checks count * bytes for overflow. bn_free takes NULL.
void *bn_alloc(const struct bn_host *host, size_t bytes);
void *bn_alloc_array(const struct bn_host *host, size_t count, size_t bytes);
void bn_free(const struct bn_host *host, void *memory);
char *bn_strdup(const struct bn_host *host, const char *text, size_t bytes);

void bn_log(const struct bn_host *host, enum bn_log_level level, const char *format, ...) BN_PRINTF(3, 4);

// The only getenv of the library. NULL if unset or empty; docs/environment.md lists the variables.
const char *bn_env(const char *name);

#endif
