#include "runtime/base/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"

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

static enum bn_result no_folder(struct bn_error *err)
{
    return bn_fail(err, BN_ERR_NOT_FOUND, "there is no cache folder: set BITNET_CACHE_DIR or HOME");
}

static enum bn_result open_file(const char *name, char *path, int *fd, struct bn_error *err)
{
    if (!bn_cache_path(path, name, false))
        return no_folder(err);
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd >= 0)
        return BN_OK;
    return errno == ENOENT || errno == ENOTDIR
               ? bn_fail_at(err, BN_ERR_NOT_FOUND, path, NULL, UINT64_MAX, "is not there")
               : bn_fail_errno(err, errno, path, "cannot be opened");
}

// Reads until the end of the file or `capacity`, then closes it.
static enum bn_result read_file(int fd, const char *path, void *data, size_t capacity, size_t *bytes,
                                struct bn_error *err)
{
    ssize_t n = 1;
    for (*bytes = 0; n > 0 && *bytes<capacity; *bytes += n> 0 ? (size_t)n : 0)
        n = read(fd, (char *)data + *bytes, capacity - *bytes);
    int error = errno;
    close(fd);
    return n < 0 ? bn_fail_errno(err, error, path, "cannot be read") : BN_OK;
}

enum bn_result bn_cache_read(const char *name, void *data, size_t capacity, size_t *bytes, struct bn_error *err)
{
    char path[BN_CACHE_PATH_BYTES];
    int fd = -1;
    *bytes = 0;
    enum bn_result result = open_file(name, path, &fd, err);
    return result == BN_OK ? read_file(fd, path, data, capacity, bytes, err) : result;
}

enum bn_result bn_cache_read_all(const struct bn_host *host, const char *name, size_t most, void **data, size_t *bytes,
                                 struct bn_error *err)
{
    char path[BN_CACHE_PATH_BYTES];
    struct stat st;
    int fd = -1;
    *data = NULL;
    *bytes = 0;
    enum bn_result result = open_file(name, path, &fd, err);
    if (result != BN_OK)
        return result;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > most) {
        close(fd);
        return bn_fail_at(err, BN_ERR_MODEL, path, NULL, UINT64_MAX, "is not a file of at most %zu bytes", most);
    }
    *data = bn_alloc(host, (size_t)st.st_size);
    if (!*data) {
        close(fd);
        return bn_fail_memory(err, (uint64_t)st.st_size, "a file of the cache folder");
    }
    result = read_file(fd, path, *data, (size_t)st.st_size, bytes, err);
    if (result != BN_OK) {
        bn_free(host, *data);
        *data = NULL;
    }
    return result;
}

enum bn_result bn_cache_write(const char *name, const void *data, size_t bytes, struct bn_error *err)
{
    char path[BN_CACHE_PATH_BYTES], other[BN_CACHE_PATH_BYTES + 32];
    if (!bn_cache_path(path, name, true))
        return no_folder(err);
    snprintf(other, sizeof(other), "%s.%ld", path, (long)getpid());
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return bn_fail_errno(err, errno, other, "cannot be written");
    bool good = write(fd, data, bytes) == (ssize_t)bytes;
    int error = good ? 0 : errno;
    good = close(fd) == 0 && good && rename(other, path) == 0;
    if (good)
        return BN_OK;
    error = error ? error : errno;
    unlink(other);
    return bn_fail_errno(err, error, path, "cannot be written");
}

// Bytes of the files with the prefix, and the oldest of them; its name is empty if there are none.
static uint64_t look_through(int folder, DIR *list, const char *prefix, char *oldest)
{
    struct timespec least = {0, 0};
    uint64_t total = 0;
    oldest[0] = '\0';
    rewinddir(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        struct stat st;
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        total += (uint64_t)st.st_size;
        bool older = st.st_mtim.tv_sec < least.tv_sec ||
                     (st.st_mtim.tv_sec == least.tv_sec && st.st_mtim.tv_nsec < least.tv_nsec);
        if (oldest[0] == '\0' || older) {
            least = st.st_mtim;
            snprintf(oldest, sizeof(entry->d_name), "%s", entry->d_name);
        }
    }
    return total;
}

void bn_cache_trim(const char *prefix, uint64_t most)
{
    char path[BN_CACHE_PATH_BYTES], oldest[sizeof(((struct dirent *)NULL)->d_name)];
    DIR *list = bn_cache_path(path, ".", false) ? opendir(path) : NULL;
    if (!list)
        return;
    while (look_through(dirfd(list), list, prefix, oldest) > most && oldest[0] != '\0' &&
           unlinkat(dirfd(list), oldest, 0) == 0)
        continue;
    closedir(list);
}
