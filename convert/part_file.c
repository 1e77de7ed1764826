#include "convert/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "convert/xxh64.h"
#include "runtime/base/fail.h"

#define BLOCK (1u << 20)
#define COUNT_AT 8 // of the number of tensors
#define SUM_DIGITS 16

static enum bn_result fail(const struct bn_part *part, struct bn_error *err, const char *what)
{
    return bn_fail_errno(err, errno, part->temporary, "%s", what);
}

uint64_t bn_tensor_sum(const void *data, size_t bytes)
{
    struct bn_xxh64 state;
    bn_xxh64_begin(&state);
    bn_xxh64_add(&state, data, bytes);
    uint64_t sum = bn_xxh64_end(&state);
    return sum ? sum : 1;
}

void bn_sum_text(uint64_t sum, char text[17])
{
    snprintf(text, SUM_DIGITS + 1, "%016" PRIx64, sum);
}

uint64_t bn_sum_of_text(const char *text)
{
    uint64_t sum = 0;
    for (int i = 0; i < SUM_DIGITS; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return 0;
        sum = sum << 4 | (uint64_t)(digit - digits);
    }
    return sum;
}

static size_t sum_bytes(const struct bn_part_config *config)
{
    return config->text ? SUM_DIGITS : sizeof(uint64_t);
}

static enum bn_result write_at(const struct bn_part *part, uint64_t at, const void *data, size_t bytes,
                               struct bn_error *err)
{
    const uint8_t *from = data;
    while (bytes) {
        ssize_t n = pwrite(part->fd, from, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(part, err, "cannot be written");
        from += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return BN_OK;
}

static bool read_at(const struct bn_part *part, uint64_t at, void *data, size_t bytes)
{
    uint8_t *to = data;
    while (bytes) {
        ssize_t n = pread(part->fd, to, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return true;
}

// The head as it is before the end.
static void mark(const struct bn_part *part, uint8_t start[COUNT_AT + 8])
{
    memcpy(start, part->config.head, COUNT_AT + 8);
    memcpy(start, "PART", 4);
    memcpy(start + COUNT_AT, &part->config.fingerprint, 8);
}

static bool same_sum(const struct bn_part *part, uint64_t tensor, uint64_t sum, uint8_t *block)
{
    struct bn_xxh64 state;
    bn_xxh64_begin(&state);
    for (uint64_t at = 0; at < part->config.bytes[tensor];) {
        uint64_t left = part->config.bytes[tensor] - at;
        size_t n = left < BLOCK ? (size_t)left : BLOCK;
        if (!read_at(part, part->config.offsets[tensor] + at, block, n))
            return false;
        bn_xxh64_add(&state, block, n);
        at += n;
    }
    uint64_t found = bn_xxh64_end(&state);
    return (found ? found : 1) == sum;
}

// How many tensors of an earlier attempt can be kept; the head must be the same but for the sums.
static uint64_t find_done(const struct bn_part *part, uint8_t *head, uint8_t *block)
{
    const struct bn_part_config *config = &part->config;
    uint8_t start[COUNT_AT + 8];
    size_t sums = (size_t)config->n_tensors * sum_bytes(config), after = config->sums_at + sums;
    mark(part, start);
    if (config->sums_at == 0 || !read_at(part, 0, head, config->head_bytes))
        return 0;
    // The end was reached, but not the name; or it was not.
    bool complete = memcmp(head, config->head, sizeof(start)) == 0;
    if ((!complete && memcmp(head, start, sizeof(start)) != 0) ||
        memcmp(head + sizeof(start), config->head + sizeof(start), config->sums_at - sizeof(start)) != 0 ||
        memcmp(head + after, config->head + after, config->head_bytes - after) != 0)
        return 0;
    for (uint64_t i = 0; i < config->n_tensors; i++) {
        const uint8_t *stored = head + config->sums_at + i * sum_bytes(config);
        uint64_t sum;
        memcpy(&sum, stored, sizeof(sum));
        sum = config->text ? bn_sum_of_text((const char *)stored) : sum;
        if (sum == 0 || !same_sum(part, i, sum, block))
            return i;
    }
    return config->n_tensors;
}

// A full disk is better found before the work than after it.
static enum bn_result ask_for_room(struct bn_part *part, struct bn_error *err)
{
    struct statvfs fs;
    struct stat st;
    if (fstat(part->fd, &st) != 0)
        return fail(part, err, "cannot be examined");
    uint64_t has = (uint64_t)st.st_blocks * 512, needed = part->config.total;
    needed = needed > has ? needed - has : 0;
    if (fstatvfs(part->fd, &fs) == 0) {
        uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (needed > available)
            return bn_fail_at(err, BN_ERR_IO, part->config.path, NULL, UINT64_MAX,
                              "%.1f MB are needed, and the disk has %.1f MB left", (double)needed / 1e6,
                              (double)available / 1e6);
    }
    if (fallocate(part->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)part->config.total) != 0 && errno == ENOSPC)
        return fail(part, err, "cannot be written");
    return BN_OK;
}

static enum bn_result start_anew(struct bn_part *part, struct bn_error *err)
{
    uint8_t start[COUNT_AT + 8];
    mark(part, start);
    if (ftruncate(part->fd, 0) != 0)
        return fail(part, err, "cannot be written");
    // The mark comes last: a head without it is none.
    enum bn_result result =
        write_at(part, sizeof(start), part->config.head + sizeof(start), part->config.head_bytes - sizeof(start), err);
    return result == BN_OK ? write_at(part, 0, start, sizeof(start), err) : result;
}

// Opens and locks it. While we wait for nothing, another process may finish with the file that we have opened: then it has
// another name, and is not ours.
static enum bn_result lock_part(struct bn_part *part, struct bn_error *err)
{
    for (;;) {
        struct stat ours, named;
        part->fd = open(part->temporary, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (part->fd < 0)
            return fail(part, err, "cannot be created");
        if (flock(part->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return bn_fail_at(err, BN_ERR_IO, part->temporary, NULL, UINT64_MAX, "another process is writing it");
        if (fstat(part->fd, &ours) != 0)
            return fail(part, err, "cannot be examined");
        if (!S_ISREG(ours.st_mode))
            return bn_fail_at(err, BN_ERR_IO, part->temporary, NULL, UINT64_MAX, "is not a regular file");
        if (lstat(part->temporary, &named) == 0 && named.st_ino == ours.st_ino && named.st_dev == ours.st_dev)
            break;
        close(part->fd);
    }
    part->owned = true;
    return BN_OK;
}

static enum bn_result open_part(struct bn_part *part, struct bn_error *err)
{
    enum bn_result result = lock_part(part, err);
    if (result != BN_OK)
        return result;
    if (part->config.resume) {
        uint8_t *memory = bn_alloc(part->host, part->config.head_bytes + BLOCK);
        if (!memory)
            return bn_fail_memory(err, part->config.head_bytes + BLOCK, "going on with a file");
        part->n_done = find_done(part, memory, memory + part->config.head_bytes);
        bn_free(part->host, memory);
    }
    // What was complete but for the name gets its mark back, too.
    uint8_t start[COUNT_AT + 8];
    mark(part, start);
    result = part->n_done ? write_at(part, 0, start, sizeof(start), err) : start_anew(part, err);
    return result == BN_OK ? ask_for_room(part, err) : result;
}

enum bn_result bn_part_begin(struct bn_part *part, const struct bn_host *host, const struct bn_part_config *config,
                             struct bn_error *err)
{
    *part = (struct bn_part){.host = host, .config = *config, .fd = -1};
    size_t n = strlen(config->path) + sizeof(".part");
    part->temporary = bn_alloc(host, n);
    if (!part->temporary)
        return bn_fail_memory(err, n, "a path");
    snprintf(part->temporary, n, "%s.part", config->path);
    enum bn_result result = open_part(part, err);
    if (result != BN_OK)
        bn_part_close(part, config->resume);
    return result;
}

enum bn_result bn_part_write(const struct bn_part *part, uint64_t tensor, uint64_t at, const void *data, size_t bytes,
                             struct bn_error *err)
{
    return write_at(part, part->config.offsets[tensor] + at, data, bytes, err);
}

enum bn_result bn_part_sum(const struct bn_part *part, uint64_t tensor, uint64_t sum, struct bn_error *err)
{
    const struct bn_part_config *config = &part->config;
    uint64_t at = config->sums_at + tensor * sum_bytes(config);
    char text[SUM_DIGITS + 1];
    if (config->sums_at == 0)
        return BN_OK;
    bn_sum_text(sum, text);
    return config->text ? write_at(part, at, text, SUM_DIGITS, err) : write_at(part, at, &sum, sizeof(sum), err);
}

enum bn_result bn_part_hole(const struct bn_part *part, struct bn_error *err)
{
    return ftruncate(part->fd, (off_t)part->config.total) == 0 ? BN_OK : fail(part, err, "cannot be written");
}

enum bn_result bn_part_end(struct bn_part *part, struct bn_error *err)
{
    enum bn_result result = write_at(part, 0, part->config.head, COUNT_AT + 8, err);
    if (result == BN_OK && rename(part->temporary, part->config.path) != 0)
        result = bn_fail_errno(err, errno, part->config.path, "cannot be given its name");
    if (result == BN_OK)
        bn_part_close(part, true);
    return result;
}

void bn_part_close(struct bn_part *part, bool keep)
{
    if (part->owned && !keep)
        unlink(part->temporary);
    if (part->fd >= 0)
        close(part->fd);
    bn_free(part->host, part->temporary);
    part->temporary = NULL;
    part->fd = -1;
    part->owned = false;
}
