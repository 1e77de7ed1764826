// The cache folder: $BITNET_CACHE_DIR, else $XDG_CACHE_HOME/bitnet, else ~/.cache/bitnet.
#ifndef BN_BASE_CACHE_H
#define BN_BASE_CACHE_H

#include "runtime/base/host.h"

// BN_CACHE_PROGRAMS: what the compiled programs of one driver may take there, bytes.
enum { BN_CACHE_PATH_BYTES = 4096, BN_CACHE_PROGRAMS = 64 << 20 };

// The path of the file `name` there, of at most 63 bytes. False if there is no such folder, or the path is too long. `make`:
// the folder is made, for its owner alone; what goes wrong shows when the file is opened.
bool bn_cache_path(char *path, const char *name, bool make);

// Reads at most `capacity` bytes of the file `name`; *bytes is how many.
// Errors: BN_ERR_NOT_FOUND (no such file or folder), BN_ERR_IO.
enum bn_result bn_cache_read(const char *name, void *data, size_t capacity, size_t *bytes, struct bn_error *err);

// Reads the whole file, of at most `most` bytes.
// Ownership: the caller frees *data. Errors: the same, BN_ERR_NO_MEMORY; BN_ERR_MODEL if it is larger.
enum bn_result bn_cache_read_all(const struct bn_host *host, const char *name, size_t most, void **data, size_t *bytes,
                                 struct bn_error *err);

// Writes the file `name`, for its owner alone: to another name first, which then takes its place.
// Errors: BN_ERR_NOT_FOUND (no cache folder), BN_ERR_IO.
enum bn_result bn_cache_write(const char *name, const void *data, size_t bytes, struct bn_error *err);

// Removes files whose names begin so, the oldest first, until the others have at most `most` bytes. What cannot be removed stays.
void bn_cache_trim(const char *prefix, uint64_t most);

#endif
