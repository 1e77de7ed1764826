#include "common/helper.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *tool_find_probe(char *path, size_t size)
{
    static const char *const places[] = {"../probe/bitnet-probe", "../libexec/bitnet/bitnet-probe"};
    char program[PATH_MAX];
    const char *named = getenv("BITNET_PROBE");
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if ((named && *named) || n <= 0)
        return NULL;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash)
        return NULL;
    slash[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(path, size, "%s%s", program, places[i]);
        if (length > 0 && (size_t)length < size && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}
