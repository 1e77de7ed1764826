#include "common/cache.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool tool_cache_folder(char *path, size_t bytes)
{
    const char *cache = getenv("BITNET_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (cache && *cache)
        n = snprintf(path, bytes, "%s", cache);
    else if (xdg && *xdg == '/')
        n = snprintf(path, bytes, "%s/bitnet", xdg);
    else if (home && *home)
        n = snprintf(path, bytes, "%s/.cache/bitnet", home);
    else
        return false;
    return n > 0 && (size_t)n < bytes;
}

bool tool_make_cache_folder(const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        if ((size_t)(slash - path) >= sizeof part)
            return false;
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}
