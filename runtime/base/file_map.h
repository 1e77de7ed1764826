// Read-only views of files.
#ifndef BN_BASE_FILE_MAP_H
#define BN_BASE_FILE_MAP_H

#include "runtime/base/host.h"

struct bn_file_map {
    const uint8_t *data;
    uint64_t size;
    bool mapped; // false: the caller's memory
    char name[256];
};

// Errors: BN_ERR_IO (cannot be opened, not a regular file, empty, cannot be mapped).
enum bn_result bn_file_map_open(struct bn_file_map *map, const char *path, struct bn_error *err);
enum bn_result bn_file_map_open_fd(struct bn_file_map *map, int fd, const char *name, struct bn_error *err);

// Starts reading ahead, and asks for huge pages where the file system has them. A hint: failure changes nothing.
void bn_file_map_advise(const struct bn_file_map *map);

// Gives the range's pages back to the system; whoever reads there again gets them from the file.
void bn_file_map_release(const struct bn_file_map *map, uint64_t offset, uint64_t size);

void bn_file_map_close(struct bn_file_map *map);

#endif
