#include "runtime/base/cache.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/host.h"

bool bn_cache_path(char *path, const char *name, bool make)
{
    const char *own = bn_env("BITNET_CACHE_DIR"), *xdg = bn_env("XDG_CACHE_HOME"), *home = bn_env("HOME");
    int n = own                    ? snprintf(path, BN_CACHE_PATH_BYTES, "%s", own)
            : xdg && xdg[0] == '/' ? snprintf(path, BN_CACHE_PATH_BYTES, "%s/bitnet", xdg)
            : home                 ? snprintf(path, BN_CACHE_PATH_BYTES, "%s/.cache/bitnet", home)
                                   : -1;
    if (n < 0 || n >= BN_CACHE_PATH_BYTES - 64)
        return false;
    for (char *at = make ? strchr(path + 1, '/') : NULL; at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    if (make)
        mkdir(path, 0700);
    snprintf(path + n, (size_t)(BN_CACHE_PATH_BYTES - n), "/%s", name);
    return true;
}
