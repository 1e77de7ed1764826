// The cache folder: $BITNET_CACHE_DIR, else $XDG_CACHE_HOME/bitnet, else ~/.cache/bitnet.
#ifndef BN_BASE_CACHE_H
#define BN_BASE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

enum { BN_CACHE_PATH_BYTES = 4096 };

// The path of the file `name` there, of at most 63 bytes. False if there is no such folder, or the path is too long. `make`:
// the folder is made, for its owner alone; what goes wrong shows when the file is opened.
bool bn_cache_path(char *path, const char *name, bool make);

#endif
