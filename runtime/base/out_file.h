// A file of text that is written from beginning to end.
#ifndef BN_BASE_OUT_FILE_H
#define BN_BASE_OUT_FILE_H

#include <bitnet/error.h>

struct bn_out_file {
    int fd;    // -1: not open
    int error; // errno of the first write that failed; nothing is written after it
    size_t n;
    char held[8192];
};

// Errors: BN_ERR_IO.
enum bn_result bn_out_open(struct bn_out_file *file, const char *path, struct bn_error *err);
// At most 1000 bytes; more are cut off.
void bn_out_format(struct bn_out_file *file, const char *format, ...) BN_PRINTF(2, 3);
// Writes what is held, closes, and says whether all of it went well. `path` is for the message.
enum bn_result bn_out_close(struct bn_out_file *file, const char *path, struct bn_error *err);

#endif
