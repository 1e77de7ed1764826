#include "runtime/base/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fail.h"

enum { LINE = 1000 };

enum bn_result bn_out_open(struct bn_out_file *file, const char *path, struct bn_error *err)
{
    file->error = 0;
    file->n = 0;
    file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file->fd >= 0 ? BN_OK : bn_fail_errno(err, errno, path, "cannot be written");
}

static void flush(struct bn_out_file *file)
{
    for (size_t done = 0; done < file->n && !file->error;) {
        ssize_t n = write(file->fd, file->held + done, file->n - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            file->error = n == 0 ? EIO : errno;
    }
    file->n = 0;
}

void bn_out_format(struct bn_out_file *file, const char *format, ...)
{
    if (sizeof(file->held) - file->n < LINE)
        flush(file);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(file->held + file->n, LINE, format, args);
    va_end(args);
    file->n += n < 0 ? 0 : n < LINE ? (size_t)n : LINE - 1;
}

enum bn_result bn_out_close(struct bn_out_file *file, const char *path, struct bn_error *err)
{
    flush(file);
    if (close(file->fd) != 0 && !file->error)
        file->error = errno;
    file->fd = -1;
    return file->error ? bn_fail_errno(err, file->error, path, "cannot be written") : BN_OK;
}
