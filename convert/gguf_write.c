#include "convert/gguf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/fail.h"

#define MAX_TENSORS 65536u
#define COUNTS_AT 8 // file offset of the numbers of tensors and keys

static const uint8_t zeros[BN_GGUF_WRITE_ALIGNMENT];

static void fail_io(struct bn_gguf_write *writer, const char *what)
{
    writer->result = bn_fail_errno(writer->err, errno, writer->path, "%s", what);
}

static void misuse(struct bn_gguf_write *writer, const char *what)
{
    if (writer->result == BN_OK)
        writer->result = bn_fail_at(writer->err, BN_ERR_ARGUMENT, writer->path, NULL, writer->at, "%s", what);
}

static void write_all(struct bn_gguf_write *writer, const uint8_t *data, size_t bytes)
{
    while (bytes && writer->result == BN_OK) {
        ssize_t n = write(writer->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail_io(writer, "cannot be written");
            return;
        }
        data += n;
        bytes -= (size_t)n;
    }
}

static void flush(struct bn_gguf_write *writer)
{
    write_all(writer, writer->buffer, writer->held);
    writer->held = 0;
}

static void put(struct bn_gguf_write *writer, const void *data, size_t bytes)
{
    if (writer->result != BN_OK || bytes == 0)
        return;
    if (bytes > BN_GGUF_WRITE_BUFFER - writer->held)
        flush(writer);
    if (bytes >= BN_GGUF_WRITE_BUFFER) {
        write_all(writer, data, bytes);
    } else {
        memcpy(writer->buffer + writer->held, data, bytes);
        writer->held += bytes;
    }
    writer->at += bytes;
}

static void put_u32(struct bn_gguf_write *writer, uint32_t value)
{
    put(writer, &value, sizeof(value));
}

static void put_u64(struct bn_gguf_write *writer, uint64_t value)
{
    put(writer, &value, sizeof(value));
}

static void put_str(struct bn_gguf_write *writer, const char *data, size_t bytes)
{
    put_u64(writer, bytes);
    put(writer, data, bytes);
}

static char *join(const struct bn_host *host, const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    char *text = bn_alloc(host, n + m + 1);
    if (text) {
        memcpy(text, path, n);
        memcpy(text + n, suffix, m);
    }
    return text;
}

static void release(struct bn_gguf_write *writer)
{
    bn_free(writer->host, writer->path);
    bn_free(writer->host, writer->temporary);
    bn_free(writer->host, writer->buffer);
    bn_free(writer->host, writer->ends);
    memset(writer, 0, sizeof(*writer));
    writer->fd = -1;
}

enum bn_result bn_gguf_write_begin(struct bn_gguf_write *writer, const struct bn_host *host, const char *path,
                                   struct bn_error *err)
{
    memset(writer, 0, sizeof(*writer));
    char suffix[48];
    snprintf(suffix, sizeof(suffix), ".%ld.part", (long)getpid());
    writer->host = host;
    writer->err = err;
    writer->fd = -1;
    writer->path = join(host, path, "");
    writer->temporary = join(host, path, suffix);
    writer->buffer = bn_alloc(host, BN_GGUF_WRITE_BUFFER);
    writer->ends = bn_alloc_array(host, MAX_TENSORS, sizeof(*writer->ends));
    if (!writer->path || !writer->temporary || !writer->buffer || !writer->ends) {
        release(writer);
        return bn_fail_memory(err, BN_GGUF_WRITE_BUFFER + MAX_TENSORS * sizeof(*writer->ends), "writing a model file");
    }
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        enum bn_result result = bn_fail_errno(err, errno, writer->temporary, "cannot be created");
        release(writer);
        return result;
    }
    put(writer, "GGUF", 4);
    put_u32(writer, 3);
    put_u64(writer, 0);
    put_u64(writer, 0);
    return BN_OK;
}

static void put_key(struct bn_gguf_write *writer, const char *key, enum bn_gguf_type type)
{
    if (writer->array_left || writer->n_tensors)
        misuse(writer, "a key inside an array or after tensors");
    put_str(writer, key, strlen(key));
    put_u32(writer, type);
    writer->n_keys++;
}

void bn_gguf_write_u32(struct bn_gguf_write *writer, const char *key, uint32_t value)
{
    put_key(writer, key, BN_GGUF_U32);
    put_u32(writer, value);
}

void bn_gguf_write_f32(struct bn_gguf_write *writer, const char *key, float value)
{
    put_key(writer, key, BN_GGUF_F32);
    put(writer, &value, sizeof(value));
}

void bn_gguf_write_bool(struct bn_gguf_write *writer, const char *key, bool value)
{
    uint8_t byte = value;
    put_key(writer, key, BN_GGUF_BOOL);
    put(writer, &byte, sizeof(byte));
}

void bn_gguf_write_str(struct bn_gguf_write *writer, const char *key, const char *value)
{
    put_key(writer, key, BN_GGUF_STRING);
    put_str(writer, value, strlen(value));
}

void bn_gguf_write_array(struct bn_gguf_write *writer, const char *key, enum bn_gguf_type element, uint64_t count)
{
    put_key(writer, key, BN_GGUF_ARRAY);
    put_u32(writer, element);
    put_u64(writer, count);
    writer->array_left = count;
}

static void take_element(struct bn_gguf_write *writer)
{
    if (writer->array_left == 0)
        misuse(writer, "an array has more elements than announced");
    else
        writer->array_left--;
}

void bn_gguf_write_array_u32(struct bn_gguf_write *writer, uint32_t bits)
{
    take_element(writer);
    put_u32(writer, bits);
}

void bn_gguf_write_array_str(struct bn_gguf_write *writer, const char *data, size_t bytes)
{
    take_element(writer);
    put_str(writer, data, bytes);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + BN_GGUF_WRITE_ALIGNMENT - 1) / BN_GGUF_WRITE_ALIGNMENT * BN_GGUF_WRITE_ALIGNMENT;
}

void bn_gguf_write_tensor(struct bn_gguf_write *writer, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                          uint64_t bytes)
{
    uint64_t end = 0;
    if (writer->array_left || writer->data_at || writer->n_tensors == MAX_TENSORS || bytes == 0 ||
        __builtin_add_overflow(writer->data_bytes, bytes, &end) || end > INT64_MAX)
        misuse(writer, "a tensor out of place, or too many, or of an impossible size");
    if (writer->result != BN_OK)
        return;
    put_str(writer, name, strlen(name));
    put_u32(writer, rows ? 2 : 1);
    put_u64(writer, cols);
    if (rows)
        put_u64(writer, rows);
    put_u32(writer, type);
    put_u64(writer, writer->data_bytes);
    writer->ends[writer->n_tensors++] = end;
    writer->data_bytes = padded(end);
}

static void pad(struct bn_gguf_write *writer)
{
    put(writer, zeros, (size_t)(padded(writer->at) - writer->at));
}

static off_t begin_data(struct bn_gguf_write *writer)
{
    pad(writer);
    writer->data_at = writer->at;
    return (off_t)(writer->data_at + writer->data_bytes);
}

void bn_gguf_write_data(struct bn_gguf_write *writer, const void *data, size_t bytes)
{
    if (writer->data_at == 0) {
        // Asks for the room now: a full disk is better found before the work than after it.
        off_t end = begin_data(writer);
        if (writer->result == BN_OK && fallocate(writer->fd, 0, 0, end) != 0 && errno == ENOSPC)
            fail_io(writer, "cannot be written");
    }
    if (writer->n_ended == writer->n_tensors || bytes > writer->data_at + writer->ends[writer->n_ended] - writer->at)
        misuse(writer, "more data than the tensor has");
    if (writer->result != BN_OK)
        return;
    put(writer, data, bytes);
    if (writer->at == writer->data_at + writer->ends[writer->n_ended]) {
        writer->n_ended++;
        pad(writer);
    }
}

void bn_gguf_write_hole(struct bn_gguf_write *writer)
{
    if (writer->array_left || writer->data_at)
        misuse(writer, "a hole after data");
    off_t end = begin_data(writer);
    flush(writer);
    if (writer->result == BN_OK && ftruncate(writer->fd, end) != 0)
        fail_io(writer, "cannot be written");
    writer->n_ended = writer->n_tensors;
}

static void put_counts(struct bn_gguf_write *writer)
{
    uint64_t counts[2] = {writer->n_tensors, writer->n_keys};
    if (writer->result == BN_OK && pwrite(writer->fd, counts, sizeof(counts), COUNTS_AT) != (ssize_t)sizeof(counts))
        fail_io(writer, "cannot be written");
}

enum bn_result bn_gguf_write_end(struct bn_gguf_write *writer, bool keep)
{
    if (keep && (writer->array_left || writer->n_ended != writer->n_tensors))
        misuse(writer, "an array or a tensor is incomplete");
    if (keep) {
        flush(writer);
        put_counts(writer);
    }
    if (close(writer->fd) != 0 && writer->result == BN_OK)
        fail_io(writer, "cannot be written");
    if (writer->result == BN_OK && keep && rename(writer->temporary, writer->path) != 0)
        fail_io(writer, "cannot be given its name");
    if (writer->result != BN_OK || !keep)
        unlink(writer->temporary);
    enum bn_result result = writer->result;
    release(writer);
    return result;
}
