#include "runtime/model/key_blob.h"

#include <string.h>

#include "runtime/base/fail.h"

#define COUNTS_AT 8 // of tensors and keys

void bn_key_blob_put(struct bn_key_blob *blob, const void *data, size_t bytes)
{
    size_t end;
    if (blob->failed || __builtin_add_overflow(blob->bytes, bytes, &end)) {
        blob->failed = true;
        return;
    }
    if (end > blob->capacity) {
        size_t capacity = end > SIZE_MAX / 2 ? end : end * 2;
        uint8_t *larger = bn_alloc(blob->host, capacity);
        if (!larger) {
            blob->failed = true;
            return;
        }
        if (blob->bytes)
            memcpy(larger, blob->data, blob->bytes);
        bn_free(blob->host, blob->data);
        blob->data = larger;
        blob->capacity = capacity;
    }
    if (data && bytes)
        memcpy(blob->data + blob->bytes, data, bytes);
    else if (bytes)
        memset(blob->data + blob->bytes, 0, bytes);
    blob->bytes = end;
}

static void put_u32(struct bn_key_blob *blob, uint32_t value)
{
    bn_key_blob_put(blob, &value, sizeof(value));
}

static void put_u64(struct bn_key_blob *blob, uint64_t value)
{
    bn_key_blob_put(blob, &value, sizeof(value));
}

void bn_key_blob_put_str(struct bn_key_blob *blob, struct bn_str value)
{
    put_u64(blob, value.bytes);
    bn_key_blob_put(blob, value.data, value.bytes);
}

static void put_key(struct bn_key_blob *blob, const char *key, enum bn_gguf_type type)
{
    bn_key_blob_put_str(blob, (struct bn_str){key, strlen(key)});
    put_u32(blob, type);
    blob->n_keys++;
}

void bn_key_blob_begin(struct bn_key_blob *blob, const struct bn_host *host)
{
    memset(blob, 0, sizeof(*blob));
    blob->host = host;
    bn_key_blob_put(blob, "GGUF", 4);
    put_u32(blob, 3);
    put_u64(blob, 0);
    put_u64(blob, 0);
}

void bn_key_blob_finish(struct bn_key_blob *blob)
{
    if (blob->host)
        bn_free(blob->host, blob->data);
    memset(blob, 0, sizeof(*blob));
}

void bn_key_u32(struct bn_key_blob *blob, const char *key, uint32_t value)
{
    put_key(blob, key, BN_GGUF_U32);
    put_u32(blob, value);
}

void bn_key_f32(struct bn_key_blob *blob, const char *key, float value)
{
    put_key(blob, key, BN_GGUF_F32);
    bn_key_blob_put(blob, &value, sizeof(value));
}

void bn_key_bool(struct bn_key_blob *blob, const char *key, bool value)
{
    uint8_t byte = value;
    put_key(blob, key, BN_GGUF_BOOL);
    bn_key_blob_put(blob, &byte, sizeof(byte));
}

void bn_key_str(struct bn_key_blob *blob, const char *key, struct bn_str value)
{
    put_key(blob, key, BN_GGUF_STRING);
    bn_key_blob_put_str(blob, value);
}

void bn_key_array(struct bn_key_blob *blob, const char *key, enum bn_gguf_type element, uint64_t count)
{
    put_key(blob, key, BN_GGUF_ARRAY);
    put_u32(blob, element);
    put_u64(blob, count);
}

void bn_key_element_u32(struct bn_key_blob *blob, uint32_t bits)
{
    put_u32(blob, bits);
}

void bn_key_element_str(struct bn_key_blob *blob, struct bn_str value)
{
    bn_key_blob_put_str(blob, value);
}

void bn_key_copy(struct bn_key_blob *blob, const struct bn_gguf_key *key)
{
    const uint8_t *start = (const uint8_t *)key->name.data - sizeof(uint64_t);
    bn_key_blob_put(blob, start, (size_t)(bn_gguf_value_end(key) - start));
    blob->n_keys++;
}

size_t bn_key_blob_room(struct bn_key_blob *blob, size_t n, size_t alignment)
{
    bn_key_blob_put(blob, NULL, (alignment - blob->bytes % alignment) % alignment);
    size_t at = blob->bytes;
    bn_key_blob_put(blob, NULL, n);
    return blob->failed ? 0 : at;
}

enum bn_result bn_key_blob_end(struct bn_key_blob *blob, struct bn_error *err)
{
    if (blob->failed)
        return bn_fail_memory(err, blob->capacity, "the keys of a model");
    memcpy(blob->data + COUNTS_AT, &blob->n_tensors, sizeof(blob->n_tensors));
    memcpy(blob->data + COUNTS_AT + sizeof(uint64_t), &blob->n_keys, sizeof(blob->n_keys));
    return BN_OK;
}
