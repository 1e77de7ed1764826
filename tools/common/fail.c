#include "common/fail.h"
#include "common/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void tool_say(const char *program, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tool_make_printable(text);
    fprintf(stderr, "%s: %s\n", program, text);
}

int tool_exit_code(const struct bn_error *err, bool at_device)
{
    switch (err->code) {
    case BN_OK:
        return TOOL_EXIT_OK;
    case BN_ERR_ARGUMENT:
    case BN_ERR_CONTEXT_FULL:
        return TOOL_EXIT_USAGE;
    case BN_ERR_NOT_FOUND:
        return at_device ? TOOL_EXIT_DEVICE : TOOL_EXIT_USAGE;
    case BN_ERR_IO:
        if (err->native == ENOSPC || err->native == EDQUOT || err->native == EFBIG || err->native == ENOMEM)
            return TOOL_EXIT_RESOURCE;
        return TOOL_EXIT_USAGE;
    case BN_ERR_MODEL:
        return TOOL_EXIT_MODEL;
    case BN_ERR_UNSUPPORTED:
        return at_device ? TOOL_EXIT_DEVICE : TOOL_EXIT_MODEL;
    case BN_ERR_NO_MEMORY:
    case BN_ERR_DEVICE_MEMORY:
        return TOOL_EXIT_RESOURCE;
    case BN_ERR_UNAVAILABLE:
    case BN_ERR_POISONED:
    case BN_ERR_DEVICE_LOST:
    case BN_ERR_TIMEOUT:
        return TOOL_EXIT_DEVICE;
    case BN_ERR_NUMERIC:
        return TOOL_EXIT_MODEL;
    case BN_ERR_CANCELLED:
        return TOOL_EXIT_SIGNAL + 2;
    case BN_ERR_BUSY:
    case BN_ERR_INTERNAL:
        return TOOL_EXIT_INTERNAL;
    }
    return TOOL_EXIT_INTERNAL;
}

static const char *mend_of(const struct bn_error *err, bool at_device)
{
    switch (err->code) {
    case BN_ERR_NOT_FOUND:
        return at_device ? "--list-devices shows what this machine has" : NULL;
    case BN_ERR_NO_MEMORY:
    case BN_ERR_DEVICE_MEMORY:
        return "a smaller context (-c) needs less memory";
    case BN_ERR_DEVICE_LOST:
        return "try again; if it fails again, try another device (-d)";
    case BN_ERR_NUMERIC:
        return "the model file is damaged or was read in a wrong byte order (--i2s-layout)";
    case BN_ERR_INTERNAL:
        return "this is a defect of bitnet; please report it";
    default:
        return NULL;
    }
}

static int fail(const char *program, const struct bn_error *err, const char *mend, bool at_device)
{
    const char *message = err->message[0] ? err->message : bn_result_name(err->code);
    tool_say(program, "%s%s%s%s%s", err->file, err->file[0] ? ": " : "", err->subject, err->subject[0] ? ": " : "",
             message);
    if (!mend)
        mend = mend_of(err, at_device);
    if (mend && *mend)
        tool_say(program, "%s", mend);
    return tool_exit_code(err, at_device);
}

int tool_fail(const char *program, const struct bn_error *err, const char *mend)
{
    return fail(program, err, mend, false);
}

int tool_fail_device(const char *program, const struct bn_error *err, const char *mend)
{
    return fail(program, err, mend, true);
}
