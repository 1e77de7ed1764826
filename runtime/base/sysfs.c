#include "runtime/base/sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

const char *bn_sys_root(void)
{
    const char *root = bn_env("BITNET_SYSROOT");
    return root ? root : "";
}

static bool path_of(char *path, const char *format, va_list args)
{
    int root = snprintf(path, BN_SYS_PATH, "%s", bn_sys_root());
    if (root < 0 || root >= BN_SYS_PATH)
        return false;
    int n = vsnprintf(path + root, (size_t)(BN_SYS_PATH - root), format, args);
    return n >= 0 && n < BN_SYS_PATH - root;
}

// In these wrappers: the path that the format and its arguments make, or `give_up`.
#define PATH(format, give_up)                                                                                          \
    char path[BN_SYS_PATH];                                                                                            \
    va_list args;                                                                                                      \
    va_start(args, format);                                                                                            \
    bool fits = path_of(path, format, args);                                                                           \
    va_end(args);                                                                                                      \
    if (!fits)                                                                                                         \
    return give_up

static bool first_line(char *text, size_t size, const char *path)
{
    text[0] = '\0';
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ok = fgets(text, (int)size, file) != NULL;
    fclose(file);
    if (!ok)
        text[0] = '\0';
    size_t start = strspn(text, " \t"), end = strlen(text);
    while (end > start && isspace((unsigned char)text[end - 1]))
        end--;
    memmove(text, text + start, end - start);
    text[end - start] = '\0';
    bn_make_printable(text);
    return ok;
}

bool bn_sys_read(char *text, size_t size, const char *format, ...)
{
    text[0] = '\0';
    PATH(format, false);
    return first_line(text, size, path);
}

bool bn_sys_number(uint64_t *value, int base, const char *format, ...)
{
    char text[64];
    *value = 0;
    PATH(format, false);
    if (!first_line(text, sizeof(text), path) || !isxdigit((unsigned char)text[0]))
        return false;
    char *end;
    errno = 0;
    *value = strtoull(text, &end, base);
    if (errno || end == text) {
        *value = 0;
        return false;
    }
    return true;
}

bool bn_sys_link(char *text, size_t size, const char *format, ...)
{
    char target[BN_SYS_PATH];
    text[0] = '\0';
    PATH(format, false);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(text, size, "%s", slash ? slash + 1 : target);
    bn_make_printable(text);
    return true;
}

bool bn_sys_exists(const char *format, ...)
{
    PATH(format, false);
    return access(path, F_OK) == 0;
}

bool bn_sys_lines(bool (*line)(void *user, const char *text), void *user, const char *format, ...)
{
    PATH(format, false);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char text[1024];
    bool start = true; // of a line, not the rest of a long one
    while (fgets(text, sizeof(text), file)) {
        bool wanted = start;
        start = strchr(text, '\n') != NULL;
        text[strcspn(text, "\n")] = '\0';
        if (wanted && !line(user, text))
            break;
    }
    fclose(file);
    return true;
}

bool bn_sys_list(void (*entry)(void *user, const char *name), void *user, const char *format, ...)
{
    PATH(format, false);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    const struct dirent *item;
    while ((item = readdir(folder)) != NULL) {
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            entry(user, item->d_name);
    }
    closedir(folder);
    return true;
}

int bn_sys_access(const char *node)
{
    char path[BN_SYS_PATH];
    int n = snprintf(path, sizeof(path), "%s%s", bn_sys_root(), node);
    if (n < 0 || n >= (int)sizeof(path))
        return ENAMETOOLONG;
    return access(path, R_OK | W_OK) == 0 ? 0 : errno;
}
