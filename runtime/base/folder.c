#include "runtime/base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"

bool bn_path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum bn_result bn_folder_open(struct bn_folder *folder, const char *path, struct bn_error *err)
{
    size_t n = strlen(path), most = sizeof(folder->name) - 1;
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t skip = n > most ? n - most : 0;
    snprintf(folder->name, sizeof(folder->name), "%.*s", (int)(n - skip), path + skip);
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? bn_fail_errno(err, errno, path, "cannot be opened") : BN_OK;
}

// folder/name; the end says more than the beginning.
static void name_file(const struct bn_folder *folder, const char *name, char text[256])
{
    size_t most = 255, n = strlen(name), m = strlen(folder->name);
    n = n < most - 1 ? n : most - 1;
    size_t kept = m < most - 1 - n ? m : most - 1 - n;
    snprintf(text, 256, "%s/%.*s", folder->name + (m - kept), (int)n, name);
}

enum bn_result bn_folder_open_in(struct bn_folder *folder, const struct bn_folder *parent, const char *name,
                                 struct bn_error *err)
{
    name_file(parent, name, folder->name);
    folder->fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? bn_fail_errno(err, errno, folder->name, "cannot be opened") : BN_OK;
}

void bn_folder_close(struct bn_folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

enum bn_result bn_folder_file(const struct bn_folder *folder, const char *name, bool required, struct bn_file *file,
                              struct bn_error *err)
{
    struct stat st;
    name_file(folder, name, file->name);
    file->fd = -1;
    file->size = 0;
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return bn_fail_at(err, BN_ERR_MODEL, folder->name, name, UINT64_MAX, "not the name of a file in this folder");
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && !required)
        return BN_OK;
    if (fd < 0)
        return bn_fail_errno(err, errno, file->name, "cannot be opened");
    enum bn_result result = BN_OK;
    if (fstat(fd, &st) != 0)
        result = bn_fail_errno(err, errno, file->name, "cannot be examined");
    else if (!S_ISREG(st.st_mode))
        result = bn_fail_at(err, BN_ERR_IO, file->name, NULL, UINT64_MAX, "is not a regular file");
    if (result != BN_OK) {
        close(fd);
        return result;
    }
    file->fd = fd;
    file->size = (uint64_t)st.st_size;
    return BN_OK;
}

void bn_file_close(struct bn_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

enum bn_result bn_file_read(const struct bn_file *file, uint64_t offset, void *data, size_t bytes, struct bn_error *err)
{
    uint8_t *to = data;
    while (bytes) {
        ssize_t n = pread(file->fd, to, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bn_fail_errno(err, errno, file->name, "cannot be read");
        if (n == 0)
            return bn_fail_at(err, BN_ERR_IO, file->name, NULL, offset, "the file became shorter");
        to += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return BN_OK;
}

enum bn_result bn_folder_read(const struct bn_folder *folder, const struct bn_host *host, const char *name,
                              bool required, size_t most, char **text, size_t *bytes, struct bn_error *err)
{
    struct bn_file file;
    *text = NULL;
    *bytes = 0;
    enum bn_result result = bn_folder_file(folder, name, required, &file, err);
    if (result != BN_OK || file.fd < 0)
        return result;
    if (file.size == 0 || file.size > most) {
        result = bn_fail_at(err, BN_ERR_MODEL, file.name, NULL, UINT64_MAX, "a file of %llu bytes, expected 1 to %zu",
                            (unsigned long long)file.size, most);
    } else {
        *text = bn_alloc(host, (size_t)file.size);
        result = *text ? bn_file_read(&file, 0, *text, (size_t)file.size, err)
                       : bn_fail_memory(err, file.size, "a file of a model");
        *bytes = (size_t)file.size;
    }
    if (result != BN_OK) {
        bn_free(host, *text);
        *text = NULL;
    }
    bn_file_close(&file);
    return result;
}

static bool add_pages(uint64_t *total, uint64_t bytes, uint64_t page)
{
    return bytes <= SIZE_MAX - page && !__builtin_add_overflow(*total, (bytes + page - 1) / page * page, total) &&
           *total <= SIZE_MAX / 2;
}

enum bn_result bn_file_map_join(struct bn_file_map *map, const char *name, const void *head, size_t head_bytes,
                                const struct bn_file *files, size_t n, uint64_t *starts, struct bn_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), total = 0;
    bool fits = add_pages(&total, head_bytes, page);
    memset(map, 0, sizeof(*map));
    snprintf(map->name, sizeof(map->name), "%s", name);
    for (size_t i = 0; i < n && fits; i++) {
        starts[i] = total;
        fits = add_pages(&total, files[i].size, page);
    }
    if (!fits || total == 0)
        return bn_fail_errno(err, ENOMEM, name, "cannot be mapped");
    // Only the head is ever writable: the rest must not count as memory that might be written.
    uint8_t *base = mmap(NULL, (size_t)total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return bn_fail_errno(err, errno, name, "cannot be mapped");
    map->data = base;
    map->size = total;
    map->mapped = true;
    enum bn_result result = BN_OK;
    if (head_bytes && mprotect(base, head_bytes, PROT_READ | PROT_WRITE) != 0)
        result = bn_fail_errno(err, errno, name, "cannot be mapped");
    if (head_bytes && result == BN_OK)
        memcpy(base, head, head_bytes);
    if (head_bytes && result == BN_OK && mprotect(base, head_bytes, PROT_READ) != 0)
        result = bn_fail_errno(err, errno, name, "cannot be mapped");
    for (size_t i = 0; i < n && result == BN_OK; i++) {
        if (files[i].size && mmap(base + starts[i], (size_t)files[i].size, PROT_READ, MAP_PRIVATE | MAP_FIXED,
                                  files[i].fd, 0) == MAP_FAILED)
            result = bn_fail_errno(err, errno, files[i].name, "cannot be mapped");
    }
    if (result != BN_OK)
        bn_file_map_close(map);
    return result;
}
