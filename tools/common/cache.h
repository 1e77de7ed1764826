// The cache folder.
#ifndef TOOLS_COMMON_CACHE_H
#define TOOLS_COMMON_CACHE_H

#include <stdbool.h>
#include <stddef.h>

// Writes its path: $BITNET_CACHE_DIR, else $XDG_CACHE_HOME/bitnet, else ~/.cache/bitnet. False if there is none. It may not
// exist yet; who makes it gives it the mode 0700.
bool tool_cache_folder(char *path, size_t bytes);

// Makes it, and the folders above it.
bool tool_make_cache_folder(const char *path);

#endif
