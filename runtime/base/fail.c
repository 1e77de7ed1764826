#include "runtime/base/fail.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [BN_OK] = "OK",
    [BN_ERR_ARGUMENT] = "ARGUMENT",
    [BN_ERR_NOT_FOUND] = "NOT_FOUND",
    [BN_ERR_IO] = "IO",
    [BN_ERR_MODEL] = "MODEL",
    [BN_ERR_UNSUPPORTED] = "UNSUPPORTED",
    [BN_ERR_NO_MEMORY] = "NO_MEMORY",
    [BN_ERR_DEVICE_MEMORY] = "DEVICE_MEMORY",
    [BN_ERR_UNAVAILABLE] = "UNAVAILABLE",
    [BN_ERR_DEVICE_LOST] = "DEVICE_LOST",
    [BN_ERR_TIMEOUT] = "TIMEOUT",
    [BN_ERR_CANCELLED] = "CANCELLED",
    [BN_ERR_CONTEXT_FULL] = "CONTEXT_FULL",
    [BN_ERR_NUMERIC] = "NUMERIC",
    [BN_ERR_BUSY] = "BUSY",
    [BN_ERR_INTERNAL] = "INTERNAL",
};

const char *bn_result_name(enum bn_result result)
{
    size_t i = (size_t)result;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}

// Strings from files reach terminals through errors: control characters become '?', and a UTF-8 sequence that the
// buffer cut short is dropped.
static void make_printable(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            text[i] = '?';
    }
    size_t start = n;
    while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0) {
        unsigned char lead = (unsigned char)text[start - 1];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (need > n - start + 1)
            text[start - 1] = '\0';
    }
}

static void copy_text(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from);
    make_printable(to);
}

// The end of a path says more than its beginning.
static void copy_tail(char *to, size_t capacity, const char *from)
{
    size_t n = strlen(from);
    if (n < capacity) {
        copy_text(to, capacity, from);
        return;
    }
    snprintf(to, capacity, "...%s", from + n - (capacity - 4));
    make_printable(to);
}

static enum bn_result report(struct bn_error *err, enum bn_result code, const char *file, const char *subject,
                             uint64_t offset, int native, const char *format, va_list args)
{
    if (!err)
        return code;
    memset(err, 0, sizeof(*err));
    err->code = code;
    err->native = native;
    err->offset = offset;
    if (file)
        copy_tail(err->file, sizeof(err->file), file);
    if (subject)
        copy_text(err->subject, sizeof(err->subject), subject);
    vsnprintf(err->message, sizeof(err->message), format, args);
    make_printable(err->message);
    return code;
}

enum bn_result bn_fail(struct bn_error *err, enum bn_result code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(err, code, NULL, NULL, UINT64_MAX, 0, format, args);
    va_end(args);
    return code;
}

enum bn_result bn_fail_at(struct bn_error *err, enum bn_result code, const char *file, const char *subject,
                          uint64_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(err, code, file, subject, offset, 0, format, args);
    va_end(args);
    return code;
}

enum bn_result bn_fail_errno(struct bn_error *err, int error_number, const char *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(err, BN_ERR_IO, file, NULL, UINT64_MAX, error_number, format, args);
    va_end(args);
    if (err) {
        size_t n = strlen(err->message);
        char text[96];
        const char *reason = strerror_r(error_number, text, sizeof(text));
        snprintf(err->message + n, sizeof(err->message) - n, ": %s", reason);
    }
    return BN_ERR_IO;
}

enum bn_result bn_fail_memory(struct bn_error *err, uint64_t bytes, const char *purpose)
{
    return bn_fail(err, BN_ERR_NO_MEMORY, "no memory for %s (%" PRIu64 " bytes)", purpose, bytes);
}
