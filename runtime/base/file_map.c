#include "runtime/base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/fail.h"

enum bn_result bn_file_map_open_fd(struct bn_file_map *map, int fd, const char *name, struct bn_error *err)
{
    memset(map, 0, sizeof(*map));
    snprintf(map->name, sizeof(map->name), "%s", name ? name : "(descriptor)");
    struct stat st;
    if (fstat(fd, &st) != 0)
        return bn_fail_errno(err, errno, map->name, "cannot be examined");
    if (S_ISDIR(st.st_mode))
        return bn_fail_errno(err, EISDIR, map->name, "cannot be read as a file");
    if (!S_ISREG(st.st_mode))
        return bn_fail_at(err, BN_ERR_IO, map->name, NULL, UINT64_MAX, "is not a regular file");
    if (st.st_size == 0)
        return bn_fail_at(err, BN_ERR_MODEL, map->name, NULL, 0, "the file is empty");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return bn_fail_errno(err, errno, map->name, "cannot be mapped");
    map->data = data;
    map->size = (uint64_t)st.st_size;
    map->mapped = true;
    return BN_OK;
}

enum bn_result bn_file_map_open(struct bn_file_map *map, const char *path, struct bn_error *err)
{
    memset(map, 0, sizeof(*map));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // non-blocking: a FIFO must not hang us
    if (fd < 0)
        return bn_fail_errno(err, errno, path, "cannot be opened");
    enum bn_result result = bn_file_map_open_fd(map, fd, path, err);
    close(fd);
    return result;
}

// The system calls take what mmap gave, which was not const.
static void *address(const struct bn_file_map *map)
{
    union {
        const uint8_t *in;
        void *out;
    } data = {map->data};
    return data.out;
}

void bn_file_map_advise(const struct bn_file_map *map)
{
    if (!map->mapped)
        return;
    madvise(address(map), (size_t)map->size, MADV_HUGEPAGE);
    madvise(address(map), (size_t)map->size, MADV_WILLNEED);
}

void bn_file_map_release(const struct bn_file_map *map, uint64_t offset, uint64_t size)
{
    if (!map->mapped)
        return;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = (offset + page - 1) / page * page;
    uint64_t end = (offset + size) / page * page;
    if (begin < end)
        madvise((uint8_t *)address(map) + begin, (size_t)(end - begin), MADV_DONTNEED);
}

void bn_file_map_close(struct bn_file_map *map)
{
    if (map->mapped)
        munmap(address(map), (size_t)map->size);
    memset(map, 0, sizeof(*map));
}
