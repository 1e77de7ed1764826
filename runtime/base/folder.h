// Reading the files of one folder, and several files as one view.
#ifndef BN_BASE_FOLDER_H
#define BN_BASE_FOLDER_H

#include "runtime/base/file_map.h"

struct bn_folder {
    int fd;
    char name[256]; // the path, for messages; the end is kept
};

// A regular file that is open for reading.
struct bn_file {
    int fd;
    uint64_t size;
    char name[256]; // folder/name, for messages
};

bool bn_path_is_folder(const char *path);

// Errors: BN_ERR_IO.
enum bn_result bn_folder_open(struct bn_folder *folder, const char *path, struct bn_error *err);
// A folder within the parent, which `name` leads to. Errors: BN_ERR_IO.
enum bn_result bn_folder_open_in(struct bn_folder *folder, const struct bn_folder *parent, const char *name,
                                 struct bn_error *err);
void bn_folder_close(struct bn_folder *folder);

// `name` is that of a file directly within the folder. A file that is not there is BN_OK with fd -1 if it need not be.
// Errors: BN_ERR_IO (absent, not a regular file), BN_ERR_MODEL (a name that leads elsewhere).
enum bn_result bn_folder_file(const struct bn_folder *folder, const char *name, bool required, struct bn_file *file,
                              struct bn_error *err);
void bn_file_close(struct bn_file *file);

// Exactly `bytes` bytes from `offset` on. Errors: BN_ERR_IO.
enum bn_result bn_file_read(const struct bn_file *file, uint64_t offset, void *data, size_t bytes,
                            struct bn_error *err);

// A whole file of at most `most` bytes; *text is NULL if it is absent and may be. Ownership: the caller frees *text.
// Errors: BN_ERR_IO, BN_ERR_MODEL (empty, too large), BN_ERR_NO_MEMORY.
enum bn_result bn_folder_read(const struct bn_folder *folder, const struct bn_host *host, const char *name,
                              bool required, size_t most, char **text, size_t *bytes, struct bn_error *err);

// One view of `head` and the files, one after the other; starts[i] is where file i begins. What lies between them is zeros.
// The files may be closed afterwards. Errors: BN_ERR_IO.
enum bn_result bn_file_map_join(struct bn_file_map *map, const char *name, const void *head, size_t head_bytes,
                                const struct bn_file *files, size_t n, uint64_t *starts, struct bn_error *err);

#endif
