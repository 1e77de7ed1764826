// Filling in struct bn_error.
#ifndef BN_BASE_FAIL_H
#define BN_BASE_FAIL_H

#include <bitnet/error.h>

// Starts a report: everything of *err is overwritten. Returns `code`, so that `return bn_fail(...)` reads well.
enum bn_result bn_fail(struct bn_error *err, enum bn_result code, const char *format, ...) BN_PRINTF(3, 4);

// The same with subject, file and offset; any of them may be NULL, or UINT64_MAX.
enum bn_result bn_fail_at(struct bn_error *err, enum bn_result code, const char *file, const char *subject,
                          uint64_t offset, const char *format, ...) BN_PRINTF(6, 7);

// The same for a failed system call: adds strerror(error_number) to the message and sets native.
enum bn_result bn_fail_errno(struct bn_error *err, int error_number, const char *file, const char *format, ...)
    BN_PRINTF(4, 5);

// What strerror says, from any thread; `buffer` may be used for it.
const char *bn_errno_text(int error_number, char *buffer, size_t size);

// BN_ERR_NO_MEMORY with the number of bytes and what they were for.
enum bn_result bn_fail_memory(struct bn_error *err, uint64_t bytes, const char *purpose);

// Makes text from a file safe to print: bytes that are not UTF-8, control characters and marks that change the direction
// of text become '?', in place. A character that the text's end cuts short is dropped.
void bn_make_printable(char *text);

#endif
