// libbitnet: the rules of every header, attributes, version.
//
// Rules that hold for every header of this library, stated once:
//
// Ownership: what a `_create` or `_open` function returns belongs to the caller, who gives it back to the
//   matching `_destroy` or `_close`; both accept NULL. What an accessor returns is borrowed and lives as long
//   as the object it came from. Configuration structs need to live only for the call that reads them.
// Threads: "any" = may be called from any thread at any time; "one at a time" = the caller makes sure that
//   no two calls on the same object overlap (different objects are independent); "one at a time per engine" = the
//   same, for the engine and all its sessions together. Nothing may overlap with the _destroy or _close of an object
//   that it uses.
// Errors: every function that can fail returns enum bn_result, and the compiler warns if it is ignored. The
//   last parameter, `struct bn_error *err`, may be NULL. On failure output parameters are set to NULL or 0.
//   BN_ERR_INTERNAL may come from any of them and is not listed.
// Extending: configuration structs start with `size`; zero the struct, set `size = sizeof(...)`, then fill in
//   what you need. Zero always means the default. The BN_INIT macro does the first two steps.
// Units: sizes are bytes, times are nanoseconds of CLOCK_MONOTONIC, text is UTF-8 and need not be terminated
//   where a length is given.
//
// The library never prints, exits, aborts, forks, changes the locale, signal handlers or the caller's
// affinity. Its threads block all signals.
#ifndef BITNET_BASE_H
#define BITNET_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BN_VERSION_MAJOR 0
#define BN_VERSION_MINOR 1
#define BN_VERSION_PATCH 0

#if defined(__GNUC__)
#define BN_API __attribute__((visibility("default")))
#define BN_MUST_CHECK __attribute__((warn_unused_result))
#define BN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define BN_API
#define BN_MUST_CHECK
#define BN_PRINTF(fmt, args)
#endif

// Zeroes a configuration struct and sets its size: `struct bn_engine_config c; BN_INIT(c);`
#define BN_INIT(object)                                                                                                \
    do {                                                                                                               \
        unsigned char *bn_p = (unsigned char *)&(object);                                                              \
        for (size_t bn_i = 0; bn_i < sizeof(object); bn_i++)                                                           \
            bn_p[bn_i] = 0;                                                                                            \
        (object).size = sizeof(object);                                                                                \
    } while (0)

// The version of the library at run time, "0.1.0".
// Ownership: static. Threads: any.
BN_API const char *bn_version(void);

#ifdef __cplusplus
}
#endif
#endif
