// Small GGUF files made in memory, to be damaged. Shares no code with the reader nor with convert/.
#ifndef TESTS_UNIT_GGUF_BUILD_H
#define TESTS_UNIT_GGUF_BUILD_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 };
enum {
    T_F32 = 0,
    T_F16 = 1,
    T_Q4_0 = 2,
    T_Q8_0 = 8,
    T_BF16 = 30,
    T_TQ1_0 = 34,
    T_TQ2_0 = 35,
    T_I2S = 36,
    T_Q2_0 = 42,
    T_IQ1_BN = 134,
    T_PQ2_0 = 142,
    T_PTQ1_0 = 143,
    T_IQ2_BN_R4 = 335
};

#define AS_IS UINT64_MAX
#define BUILD_TENSORS 400

struct bytes {
    uint8_t data[4096];
    size_t n;
};

struct build_key {
    char name[128];
    uint64_t name_bytes; // as claimed; ~0: as it is
    uint32_t type;
    struct bytes value; // array header included
    size_t zeros;       // bytes after it
};

struct build_tensor {
    char name[128];
    uint32_t n_dims;
    uint64_t dims[5];
    uint32_t type;
    uint64_t bytes;  // of data written
    uint64_t offset; // as claimed; ~0: as it is
    float scale;     // at byte bytes - 32 of I2_S
};

struct build {
    char magic[4];
    uint32_t version;
    uint64_t n_keys, n_tensors; // as claimed; ~0: as they are
    uint32_t alignment;
    struct build_key keys[64];
    struct build_tensor tensors[BUILD_TENSORS];
    size_t k, t;
};

static inline void bytes_add(struct bytes *bytes, const void *data, size_t n)
{
    ck_assert_uint_le(bytes->n + n, sizeof(bytes->data));
    memcpy(bytes->data + bytes->n, data, n);
    bytes->n += n;
}

static inline void bytes_u32(struct bytes *bytes, uint32_t value)
{
    bytes_add(bytes, &value, 4);
}

static inline void bytes_u64(struct bytes *bytes, uint64_t value)
{
    bytes_add(bytes, &value, 8);
}

static inline void bytes_str(struct bytes *bytes, const char *text)
{
    bytes_u64(bytes, strlen(text));
    bytes_add(bytes, text, strlen(text));
}

// The key of that name, emptied; a new one if there is none.
static inline struct build_key *build_key(struct build *b, const char *name, uint32_t type)
{
    size_t i = 0;
    while (i < b->k && strcmp(b->keys[i].name, name) != 0)
        i++;
    ck_assert_uint_lt(i, 64);
    if (i == b->k)
        b->k++;
    struct build_key *key = &b->keys[i];
    memset(key, 0, sizeof(*key));
    snprintf(key->name, sizeof(key->name), "%s", name);
    key->name_bytes = AS_IS;
    key->type = type;
    return key;
}

static inline void set_u32(struct build *b, const char *name, uint32_t value)
{
    bytes_u32(&build_key(b, name, U32)->value, value);
}

static inline void set_f32(struct build *b, const char *name, float value)
{
    bytes_add(&build_key(b, name, F32)->value, &value, 4);
}

static inline void set_str(struct build *b, const char *name, const char *value)
{
    bytes_str(&build_key(b, name, STR)->value, value);
}

static inline void set_bool(struct build *b, const char *name, uint8_t value)
{
    bytes_add(&build_key(b, name, BOOL)->value, &value, 1);
}

static inline struct bytes *set_array(struct build *b, const char *name, uint32_t element, uint64_t count)
{
    struct bytes *value = &build_key(b, name, ARR)->value;
    bytes_u32(value, element);
    bytes_u64(value, count);
    return value;
}

static inline void set_strings(struct build *b, const char *name, const char *const *list, size_t n)
{
    struct bytes *value = set_array(b, name, STR, n);
    for (size_t i = 0; i < n; i++)
        bytes_str(value, list[i]);
}

static inline void drop_key(struct build *b, const char *name)
{
    for (size_t i = 0; i < b->k; i++) {
        if (strcmp(b->keys[i].name, name) == 0) {
            memmove(&b->keys[i], &b->keys[i + 1], (b->k - i - 1) * sizeof(b->keys[0]));
            b->k--;
            return;
        }
    }
    ck_abort_msg("no key %s", name);
}

static inline uint64_t data_bytes(uint32_t type, uint64_t elements)
{
    switch (type) {
    case T_F32:
        return elements * 4;
    case T_Q8_0:
        return elements / 32 * 34;
    case T_I2S:
        return elements / 4 + 32;
    case T_TQ1_0:
        return elements / 256 * 54;
    case T_TQ2_0:
        return elements / 256 * 66;
    case T_Q2_0:
        return elements / 64 * 18;
    case T_PQ2_0:
        return elements / 128 * 34;
    case T_PTQ1_0:
        return elements / 128 * 28;
    default:
        return elements * 2;
    }
}

static inline struct build_tensor *add_tensor(struct build *b, const char *name, uint32_t type, uint64_t cols,
                                              uint64_t rows)
{
    ck_assert_uint_lt(b->t, BUILD_TENSORS);
    struct build_tensor *tensor = &b->tensors[b->t++];
    memset(tensor, 0, sizeof(*tensor));
    snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    tensor->n_dims = rows ? 2 : 1;
    tensor->dims[0] = cols;
    tensor->dims[1] = rows ? rows : 1;
    tensor->type = type;
    tensor->bytes = data_bytes(type, cols * (rows ? rows : 1));
    tensor->offset = AS_IS;
    tensor->scale = 1;
    return tensor;
}

static inline struct build_tensor *tensor_of(struct build *b, const char *name)
{
    for (size_t i = 0; i < b->t; i++) {
        if (strcmp(b->tensors[i].name, name) == 0)
            return &b->tensors[i];
    }
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

static inline void drop_tensor(struct build *b, const char *name)
{
    size_t i = (size_t)(tensor_of(b, name) - b->tensors);
    memmove(&b->tensors[i], &b->tensors[i + 1], (b->t - i - 1) * sizeof(b->tensors[0]));
    b->t--;
}

// A sound model: one layer, 128 features, 2 heads of 64 over 1 KV head, 8 tokens.
static inline void build_model(struct build *b, const char *architecture)
{
    static const char *const tokens[] = {"a", "b", "\xc4\xa0", "ab", "\xc4\xa0\x61", "c", "<|begin|>", "<|eot_id|>"};
    static const char *const merges[] = {"a b", "\xc4\xa0 a"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 1, 3, 3};
    static const struct {
        const char *name;
        uint32_t type;
        uint64_t cols, rows;
    } tensors[] = {
        {"token_embd.weight", T_F16, 128, 8},       {"blk.0.attn_norm.weight", T_F32, 128, 0},
        {"blk.0.ffn_down.weight", T_I2S, 256, 128}, {"blk.0.ffn_sub_norm.weight", T_F32, 256, 0},
        {"blk.0.ffn_gate.weight", T_I2S, 128, 256}, {"blk.0.ffn_up.weight", T_I2S, 128, 256},
        {"blk.0.ffn_norm.weight", T_F32, 128, 0},   {"blk.0.attn_sub_norm.weight", T_F32, 128, 0},
        {"blk.0.attn_k.weight", T_I2S, 128, 64},    {"blk.0.attn_output.weight", T_I2S, 128, 128},
        {"blk.0.attn_q.weight", T_I2S, 128, 128},   {"output_norm.weight", T_F32, 128, 0},
        {"blk.0.attn_v.weight", T_I2S, 128, 64},
    };
    const struct {
        const char *name;
        uint32_t value;
    } counts[] = {
        {"context_length", 32},      {"embedding_length", 128},
        {"block_count", 1},          {"feed_forward_length", 256},
        {"vocab_size", 8},           {"rope.dimension_count", 64},
        {"attention.head_count", 2}, {"attention.head_count_kv", 1},
    };
    char name[128];
    memset(b, 0, sizeof(*b));
    memcpy(b->magic, "GGUF", 4);
    b->version = 3;
    b->alignment = 32;
    b->n_keys = b->n_tensors = AS_IS;
    set_str(b, "general.architecture", architecture);
    set_str(b, "general.name", "made in a test");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        snprintf(name, sizeof(name), "%s.%s", architecture, counts[i].name);
        set_u32(b, name, counts[i].value);
    }
    snprintf(name, sizeof(name), "%s.attention.layer_norm_rms_epsilon", architecture);
    set_f32(b, name, 1e-5f);
    snprintf(name, sizeof(name), "%s.rope.freq_base", architecture);
    set_f32(b, name, 10000);
    set_str(b, "tokenizer.ggml.model", "gpt2");
    set_str(b, "tokenizer.ggml.pre", "llama-bpe");
    set_strings(b, "tokenizer.ggml.tokens", tokens, 8);
    struct bytes *value = set_array(b, "tokenizer.ggml.token_type", I32, 8);
    bytes_add(value, types, sizeof(types));
    set_strings(b, "tokenizer.ggml.merges", merges, 2);
    set_u32(b, "tokenizer.ggml.bos_token_id", 6);
    set_u32(b, "tokenizer.ggml.eos_token_id", 7);
    set_bool(b, "tokenizer.ggml.add_bos_token", 1);
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++)
        add_tensor(b, tensors[i].name, tensors[i].type, tensors[i].cols, tensors[i].rows);
}

// The file's bytes, aligned to 64 and of exactly *size bytes, so that a sanitizer sees reads beyond. The caller frees.
static inline uint8_t *build_file(const struct build *b, size_t *size)
{
    size_t capacity = 1 << 18, n = 0;
    for (size_t i = 0; i < b->k; i++)
        capacity += b->keys[i].zeros;
    for (size_t i = 0; i < b->t; i++)
        capacity += b->tensors[i].bytes + b->alignment;
    uint8_t *out = calloc(1, capacity);
#define PUT(data, bytes)                                                                                               \
    do {                                                                                                               \
        ck_assert_uint_le(n + (bytes), capacity);                                                                      \
        memcpy(out + n, data, bytes);                                                                                  \
        n += (bytes);                                                                                                  \
    } while (0)
#define PUT_U32(x) PUT(&(uint32_t){x}, 4)
#define PUT_U64(x) PUT(&(uint64_t){x}, 8)
    PUT(b->magic, 4);
    PUT_U32(b->version);
    PUT_U64(b->n_tensors == AS_IS ? b->t : b->n_tensors);
    PUT_U64(b->n_keys == AS_IS ? b->k : b->n_keys);
    for (size_t i = 0; i < b->k; i++) {
        const struct build_key *key = &b->keys[i];
        PUT_U64(key->name_bytes == AS_IS ? strlen(key->name) : key->name_bytes);
        PUT(key->name, strlen(key->name));
        PUT_U32(key->type);
        PUT(key->value.data, key->value.n);
        ck_assert_uint_le(n + key->zeros, capacity);
        n += key->zeros; // the memory is zero
    }
    uint64_t at = 0;
    for (size_t i = 0; i < b->t; i++) {
        const struct build_tensor *tensor = &b->tensors[i];
        PUT_U64(strlen(tensor->name));
        PUT(tensor->name, strlen(tensor->name));
        PUT_U32(tensor->n_dims);
        for (uint32_t d = 0; d < tensor->n_dims && d < 5; d++)
            PUT_U64(tensor->dims[d]);
        PUT_U32(tensor->type);
        PUT_U64(tensor->offset == AS_IS ? at : tensor->offset);
        at = (at + tensor->bytes + b->alignment - 1) / b->alignment * b->alignment;
    }
    for (size_t i = 0; i < b->t; i++) {
        const struct build_tensor *tensor = &b->tensors[i];
        n = (n + b->alignment - 1) / b->alignment * b->alignment;
        ck_assert_uint_le(n + tensor->bytes, capacity);
        memset(out + n, tensor->type == T_I2S ? 0x55 : 0, tensor->bytes);
        if (tensor->type == T_I2S && tensor->bytes >= 32)
            memcpy(out + n + tensor->bytes - 32, &tensor->scale, 4);
        n += tensor->bytes;
    }
    void *exact = NULL;
    ck_assert_int_eq(posix_memalign(&exact, 64, n), 0);
    memcpy(exact, out, n);
    free(out);
    *size = n;
    return exact;
#undef PUT
#undef PUT_U32
#undef PUT_U64
}

#endif
