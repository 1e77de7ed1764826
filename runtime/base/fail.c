#include "runtime/base/fail.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
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
    [BN_ERR_POISONED] = "POISONED",
};

const char *bn_result_name(enum bn_result result)
{
    size_t i = (size_t)result;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}

// What must not reach a terminal or a log: control characters (C0, C1), and what breaks lines or reverses text.
static bool is_steering(uint32_t code)
{
    static const uint32_t ranges[][2] = {{0, 0x1f}, {0x7f, 0x9f}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    }
    return false;
}

// Bytes of the character at `text`, which is terminated; 0 if there is none (Unicode 15, table 3-7). *cut: it would go
// on where the text ends.
static size_t character(const unsigned char *text, uint32_t *code, bool *cut)
{
    unsigned char lead = text[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    *code = n == 1 ? lead : lead & (0xffu >> (n + 1));
    *cut = false;
    for (size_t i = 1; i < n; i++) {
        *cut = text[i] == '\0';
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

void bn_make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text;
    while (*at) {
        uint32_t code;
        bool cut;
        size_t n = character(at, &code, &cut);
        if (n == 0 && cut) {
            *at = '\0';
            return;
        }
        if (n == 0 || is_steering(code)) {
            n = n ? n : 1;
            memset(at, '?', n);
        }
        at += n;
    }
}

static void copy_text(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from);
    bn_make_printable(to);
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
    bn_make_printable(to);
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
    bn_make_printable(err->message);
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

static inline const char *given(const char *text, const char *buffer)
{
    return text;
}

static inline const char *filled(int failed, const char *buffer)
{
    return failed ? "unknown error" : buffer;
}

const char *bn_errno_text(int error_number, char *buffer, size_t size)
{
    // GNU's strerror_r gives the text back, that of POSIX fills the buffer.
    return _Generic(strerror_r(error_number, buffer, size), char *: given, int: filled)(
        strerror_r(error_number, buffer, size), buffer);
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
        snprintf(err->message + n, sizeof(err->message) - n, ": %s", bn_errno_text(error_number, text, sizeof(text)));
    }
    return BN_ERR_IO;
}

enum bn_result bn_fail_memory(struct bn_error *err, uint64_t bytes, const char *purpose)
{
    return bn_fail(err, BN_ERR_NO_MEMORY, "no memory for %s (%" PRIu64 " bytes)", purpose, bytes);
}
