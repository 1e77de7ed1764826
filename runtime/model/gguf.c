#include "runtime/model/gguf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are read in place, and files are little-endian");

#define MAX_KEYS 65536u
#define MAX_TENSORS 65536u
#define MAX_KEY_NAME 65535u // the format's own limit
#define MAX_TENSOR_NAME 64u // likewise
#define MIN_ALIGNMENT 8u    // what f64 and u64 need; files use 32
#define MAX_ALIGNMENT (1u << 20)
#define MIN_KEY_BYTES (8 + 4 + 1)        // an empty name, a type, a bool
#define MIN_TENSOR_BYTES (8 + 4 + 4 + 8) // an empty name, no dimensions, type, offset

static const struct {
    const char *name;
    uint8_t bytes; // 0: not of one size
} types[BN_GGUF_TYPE_COUNT] = {
    [BN_GGUF_U8] = {"u8", 1},       [BN_GGUF_I8] = {"i8", 1},     [BN_GGUF_U16] = {"u16", 2},
    [BN_GGUF_I16] = {"i16", 2},     [BN_GGUF_U32] = {"u32", 4},   [BN_GGUF_I32] = {"i32", 4},
    [BN_GGUF_F32] = {"f32", 4},     [BN_GGUF_BOOL] = {"bool", 1}, [BN_GGUF_STRING] = {"string", 0},
    [BN_GGUF_ARRAY] = {"array", 0}, [BN_GGUF_U64] = {"u64", 8},   [BN_GGUF_I64] = {"i64", 8},
    [BN_GGUF_F64] = {"f64", 8},
};

// Names for messages; 36 to 39 are bitnet.cpp's, which reused numbers of types removed upstream.
static const char *const tensor_types[] = {
    [0] = "F32",     [1] = "F16",    [2] = "Q4_0",     [3] = "Q4_1",    [6] = "Q5_0",     [7] = "Q5_1",
    [8] = "Q8_0",    [9] = "Q8_1",   [10] = "Q2_K",    [11] = "Q3_K",   [12] = "Q4_K",    [13] = "Q5_K",
    [14] = "Q6_K",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
    [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S",   [23] = "IQ4_XS", [24] = "I8",      [25] = "I16",
    [26] = "I32",    [27] = "I64",   [28] = "F64",     [29] = "IQ1_M",  [30] = "BF16",    [34] = "TQ1_0",
    [35] = "TQ2_0",  [36] = "I2_S",  [37] = "I8_S",    [38] = "TL1",    [39] = "TL2",     [40] = "NVFP4",
    [41] = "Q1_0",   [42] = "Q2_0",
};

const char *bn_gguf_type_name(uint32_t type)
{
    return type < BN_GGUF_TYPE_COUNT ? types[type].name : NULL;
}

const char *bn_gguf_tensor_type_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } others[] = {{134, "IQ1_BN"}, {135, "IQ2_BN"},    {142, "PQ2_0"},
                  {143, "PTQ1_0"}, {335, "IQ2_BN_R4"}, {BN_GGUF_TENSOR_HF, "packed U8"}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i].type == type)
            return others[i].name;
    return type < sizeof(tensor_types) / sizeof(tensor_types[0]) ? tensor_types[type] : NULL;
}

const uint8_t *bn_gguf_value_end(const struct bn_gguf_key *key)
{
    if (types[key->element].bytes)
        return key->data + key->count * types[key->element].bytes;
    const uint8_t *at = key->data;
    for (uint64_t i = 0; i < key->count; i++)
        bn_gguf_next_str(&at);
    return at;
}

// A place of a view as one of its file.
static uint64_t find_part(const struct bn_gguf *gguf, uint64_t offset, const char **file)
{
    uint64_t within = UINT64_MAX;
    for (uint32_t i = 0; i < gguf->n_parts && offset != UINT64_MAX && offset >= gguf->parts[i].start; i++) {
        *file = gguf->parts[i].name;
        within = offset - gguf->parts[i].start;
    }
    return within;
}

enum bn_result bn_gguf_fail(const struct bn_gguf *gguf, enum bn_result code, const struct bn_str *subject,
                            uint64_t offset, struct bn_error *err, const char *format, ...)
{
    char name[sizeof(err->subject)], message[sizeof(err->message)];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    const char *file = gguf->file;
    if (gguf->parts) // what lies before the first was made in memory
        offset = find_part(gguf, offset, &file);
    return bn_fail_at(err, code, file, subject ? bn_str_text(*subject, name, sizeof(name)) : NULL, offset, "%s",
                      message);
}

// Where reading has got to, and what is being read, for messages.
struct reader {
    const struct bn_gguf *gguf;
    uint64_t at;
    const struct bn_str *subject;
    struct bn_error *err;
};

// NULL, with the error set to BN_ERR_MODEL, if the file has less.
static const uint8_t *take(struct reader *r, uint64_t bytes, const char *what)
{
    uint64_t left = r->gguf->size - r->at;
    if (bytes > left) {
        bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at, r->err,
                     "the file ends inside %s: %" PRIu64 " bytes needed, %" PRIu64 " left", what, bytes, left);
        return NULL;
    }
    const uint8_t *data = r->gguf->data + r->at;
    r->at += bytes;
    return data;
}

static enum bn_result take_u32(struct reader *r, const char *what, uint32_t *value)
{
    const uint8_t *data = take(r, 4, what);
    if (!data)
        return BN_ERR_MODEL;
    memcpy(value, data, sizeof(*value));
    return BN_OK;
}

static enum bn_result take_u64(struct reader *r, const char *what, uint64_t *value)
{
    const uint8_t *data = take(r, 8, what);
    if (!data)
        return BN_ERR_MODEL;
    memcpy(value, data, sizeof(*value));
    return BN_OK;
}

static enum bn_result take_str(struct reader *r, const char *what, struct bn_str *str)
{
    uint64_t bytes;
    enum bn_result result = take_u64(r, what, &bytes);
    if (result != BN_OK)
        return result;
    const uint8_t *data = take(r, bytes, what);
    if (!data)
        return BN_ERR_MODEL;
    *str = (struct bn_str){(const char *)data, (size_t)bytes};
    return BN_OK;
}

static enum bn_result take_name(struct reader *r, const char *what, uint64_t most, struct bn_str *name)
{
    uint64_t start = r->at;
    enum bn_result result = take_str(r, what, name);
    if (result != BN_OK)
        return result;
    if (name->bytes == 0 || name->bytes > most)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, NULL, start, r->err, "%s has %zu bytes, expected 1 to %" PRIu64,
                            what, name->bytes, most);
    for (size_t i = 0; i < name->bytes; i++) {
        if ((unsigned char)name->data[i] <= 0x20 || (unsigned char)name->data[i] >= 0x7f)
            return bn_gguf_fail(r->gguf, BN_ERR_MODEL, name, start, r->err, "%s is not printable ASCII", what);
    }
    return BN_OK;
}

static enum bn_result check_bools(struct reader *r, const uint8_t *data, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (data[i] > 1)
            return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - count + i, r->err, "a bool has the value %u",
                                data[i]);
    }
    return BN_OK;
}

static enum bn_result read_array(struct reader *r, struct bn_gguf_key *key)
{
    uint32_t element;
    enum bn_result result = take_u32(r, "an array's type", &element);
    if (result == BN_OK)
        result = take_u64(r, "an array's length", &key->count);
    if (result != BN_OK)
        return result;
    if (element >= BN_GGUF_TYPE_COUNT)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 12, r->err, "unknown element type %" PRIu32,
                            element);
    if (element == BN_GGUF_ARRAY)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 12, r->err, "arrays of arrays are not accepted");
    key->element = (enum bn_gguf_type)element;
    uint64_t least = types[element].bytes ? types[element].bytes : 8; // a string is at least its length
    if (key->count > (r->gguf->size - r->at) / least)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 8, r->err,
                            "an array of %" PRIu64 " elements does not fit into the file", key->count);
    key->data = r->gguf->data + r->at;
    if (element == BN_GGUF_STRING) {
        struct bn_str str;
        for (uint64_t i = 0; i < key->count && result == BN_OK; i++)
            result = take_str(r, "a string of an array", &str);
        return result;
    }
    if (!take(r, key->count * least, "an array"))
        return BN_ERR_MODEL;
    return element == BN_GGUF_BOOL ? check_bools(r, key->data, key->count) : BN_OK;
}

static enum bn_result read_key(struct reader *r, struct bn_gguf_key *key)
{
    key->offset = r->at;
    r->subject = NULL;
    enum bn_result result = take_name(r, "a key", MAX_KEY_NAME, &key->name);
    if (result != BN_OK)
        return result;
    r->subject = &key->name;
    uint32_t type;
    result = take_u32(r, "a key's type", &type);
    if (result != BN_OK)
        return result;
    if (type >= BN_GGUF_TYPE_COUNT)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 4, r->err, "unknown value type %" PRIu32, type);
    key->type = key->element = (enum bn_gguf_type)type;
    key->count = 1;
    if (type == BN_GGUF_ARRAY)
        return read_array(r, key);
    if (type == BN_GGUF_STRING) {
        struct bn_str str;
        key->data = r->gguf->data + r->at;
        return take_str(r, "a string", &str);
    }
    key->data = take(r, types[type].bytes, "a value");
    if (!key->data)
        return BN_ERR_MODEL;
    return type == BN_GGUF_BOOL ? check_bools(r, key->data, 1) : BN_OK;
}

static enum bn_result read_tensor(struct reader *r, struct bn_gguf_tensor *tensor)
{
    r->subject = NULL;
    tensor->described_at = r->at;
    enum bn_result result = take_name(r, "a tensor's name", MAX_TENSOR_NAME, &tensor->name);
    if (result != BN_OK)
        return result;
    r->subject = &tensor->name;
    result = take_u32(r, "a tensor's description", &tensor->n_dims);
    if (result != BN_OK)
        return result;
    if (tensor->n_dims > 4)
        return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 4, r->err,
                            "%" PRIu32 " dimensions, expected at most 4", tensor->n_dims);
    tensor->elements = 1;
    for (uint32_t d = 0; d < 4; d++) {
        tensor->dims[d] = 1;
        if (d >= tensor->n_dims)
            continue;
        result = take_u64(r, "a tensor's dimensions", &tensor->dims[d]);
        if (result != BN_OK)
            return result;
        if (tensor->dims[d] == 0)
            return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 8, r->err, "a dimension is 0");
        if (__builtin_mul_overflow(tensor->elements, tensor->dims[d], &tensor->elements) ||
            tensor->elements > INT64_MAX)
            return bn_gguf_fail(r->gguf, BN_ERR_MODEL, r->subject, r->at - 8, r->err,
                                "the number of elements overflows");
    }
    result = take_u32(r, "a tensor's type", &tensor->type);
    if (result == BN_OK)
        result = take_u64(r, "a tensor's offset", &tensor->offset); // relative to the data, for now
    tensor->scale = 1;
    if (result == BN_OK && tensor->type == BN_GGUF_TENSOR_HF)
        result = bn_gguf_fail(r->gguf, BN_ERR_UNSUPPORTED, r->subject, r->at - 12, r->err,
                              "weights of the unknown type %u", BN_GGUF_TENSOR_HF);
    return result;
}

// Heap sort of indices, so that neither time nor memory depend on what the file says: C's qsort may allocate or be
// quadratic.
typedef int compare_fn(const struct bn_gguf *gguf, uint32_t a, uint32_t b);

static void sift(const struct bn_gguf *gguf, uint32_t *index, uint32_t at, uint32_t n, compare_fn *compare)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n)
            return;
        if (child + 1 < n && compare(gguf, index[child], index[child + 1]) < 0)
            child++;
        if (compare(gguf, index[at], index[child]) >= 0)
            return;
        uint32_t swap = index[at];
        index[at] = index[child];
        index[child] = swap;
        at = child;
    }
}

static uint32_t *sort(const struct bn_gguf *gguf, uint32_t n, compare_fn *compare, struct bn_error *err)
{
    uint32_t *index = bn_alloc_array(gguf->host, n, sizeof(*index));
    if (!index) {
        bn_fail_memory(err, (uint64_t)n * sizeof(*index), "the index of a model file");
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        index[i] = i;
    for (uint32_t i = n / 2; i-- > 0;)
        sift(gguf, index, i, n, compare);
    for (uint32_t i = n; i-- > 1;) {
        uint32_t swap = index[0];
        index[0] = index[i];
        index[i] = swap;
        sift(gguf, index, 0, i, compare);
    }
    return index;
}

static int compare_str(struct bn_str a, struct bn_str b)
{
    int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int compare_keys(const struct bn_gguf *gguf, uint32_t a, uint32_t b)
{
    return compare_str(gguf->keys[a].name, gguf->keys[b].name);
}

static int compare_tensors(const struct bn_gguf *gguf, uint32_t a, uint32_t b)
{
    return compare_str(gguf->tensors[a].name, gguf->tensors[b].name);
}

static int compare_offsets(const struct bn_gguf *gguf, uint32_t a, uint32_t b)
{
    uint64_t x = gguf->tensors[a].offset, y = gguf->tensors[b].offset;
    return (x > y) - (x < y);
}

static enum bn_result sort_names(struct bn_gguf *gguf, struct bn_error *err)
{
    gguf->sorted_keys = sort(gguf, gguf->n_keys, compare_keys, err);
    if (!gguf->sorted_keys)
        return BN_ERR_NO_MEMORY;
    for (uint32_t i = 1; i < gguf->n_keys; i++) {
        const struct bn_gguf_key *a = &gguf->keys[gguf->sorted_keys[i - 1]], *b = &gguf->keys[gguf->sorted_keys[i]];
        if (compare_str(a->name, b->name) == 0)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &a->name, a->offset > b->offset ? a->offset : b->offset, err,
                                "the key occurs twice");
    }
    return BN_OK;
}

static enum bn_result sort_tensors(struct bn_gguf *gguf, struct bn_error *err)
{
    gguf->sorted_tensors = sort(gguf, gguf->n_tensors, compare_tensors, err);
    if (!gguf->sorted_tensors)
        return BN_ERR_NO_MEMORY;
    for (uint32_t i = 1; i < gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *a = &gguf->tensors[gguf->sorted_tensors[i - 1]];
        const struct bn_gguf_tensor *b = &gguf->tensors[gguf->sorted_tensors[i]];
        if (compare_str(a->name, b->name) == 0)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &a->name,
                                a->described_at > b->described_at ? a->described_at : b->described_at, err,
                                "the tensor occurs twice");
    }
    return BN_OK;
}

// Of the types whose size is known here; 0: whoever reads such a tensor compares its size with `room`.
static uint64_t element_bytes(uint32_t type)
{
    return type == BN_GGUF_TENSOR_F32 ? 4 : type == BN_GGUF_TENSOR_F16 || type == BN_GGUF_TENSOR_BF16 ? 2 : 0;
}

// Tensors must lie inside the file, aligned, and not start where another one is. What a type needs beyond its start is
// compared with the room up to the next one.
static enum bn_result place_tensors(struct bn_gguf *gguf, struct bn_error *err)
{
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        struct bn_gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t relative = tensor->offset;
        if (relative % gguf->alignment)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->described_at, err,
                                "the tensor's offset is not a multiple of %" PRIu32, gguf->alignment);
        if (gguf->data_offset > gguf->size || relative >= gguf->size - gguf->data_offset)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->described_at, err,
                                "the tensor starts beyond the end of the file (%" PRIu64 " bytes)", gguf->size);
        tensor->offset = gguf->data_offset + relative;
    }
    uint32_t *order = sort(gguf, gguf->n_tensors, compare_offsets, err);
    if (!order)
        return BN_ERR_NO_MEMORY;
    enum bn_result result = BN_OK;
    for (uint32_t i = 0; i < gguf->n_tensors && result == BN_OK; i++) {
        struct bn_gguf_tensor *tensor = &gguf->tensors[order[i]];
        tensor->last = i + 1 == gguf->n_tensors;
        uint64_t end = tensor->last ? gguf->size : gguf->tensors[order[i + 1]].offset;
        tensor->room = end - tensor->offset;
        uint64_t bytes = element_bytes(tensor->type);
        if (tensor->room == 0)
            result = bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->offset, err,
                                  "two tensors start at the same place");
        else if (bytes && tensor->elements > tensor->room / bytes)
            result = bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->offset, err,
                                  "%" PRIu64 " elements of type %s do not fit into the %" PRIu64 " bytes before %s",
                                  tensor->elements, bn_gguf_tensor_type_name(tensor->type), tensor->room,
                                  tensor->last ? "the file's end" : "the next tensor");
    }
    bn_free(gguf->host, order);
    return result;
}

static enum bn_result read_counts(struct reader *r, struct bn_gguf *gguf)
{
    const uint8_t *magic = take(r, 4, "the file's first word");
    if (!magic)
        return BN_ERR_MODEL;
    if (memcmp(magic, "FUGG", 4) == 0)
        return bn_gguf_fail(gguf, BN_ERR_UNSUPPORTED, NULL, 0, r->err,
                            "a big-endian GGUF file; only little-endian is read");
    if (memcmp(magic, "GGUF", 4) != 0)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, NULL, 0, r->err, "not a GGUF file: it does not start with \"GGUF\"");
    enum bn_result result = take_u32(r, "the version", &gguf->version);
    if (result != BN_OK)
        return result;
    if (gguf->version != 0 && gguf->version % 65536 == 0)
        return bn_gguf_fail(gguf, BN_ERR_UNSUPPORTED, NULL, 4, r->err,
                            "a big-endian GGUF file (version %" PRIu32 "); only little-endian is read",
                            __builtin_bswap32(gguf->version));
    if (gguf->version != 2 && gguf->version != 3)
        return bn_gguf_fail(gguf, BN_ERR_UNSUPPORTED, NULL, 4, r->err,
                            "GGUF version %" PRIu32 "; versions 2 and 3 are read", gguf->version);
    uint64_t tensors, keys;
    result = take_u64(r, "the number of tensors", &tensors);
    if (result == BN_OK)
        result = take_u64(r, "the number of keys", &keys);
    if (result != BN_OK)
        return result;
    uint64_t left = gguf->size - r->at;
    if (tensors > MAX_TENSORS || tensors > left / MIN_TENSOR_BYTES)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, NULL, 8, r->err, "the file cannot have %" PRIu64 " tensors", tensors);
    if (keys > MAX_KEYS || keys > left / MIN_KEY_BYTES)
        return bn_gguf_fail(gguf, BN_ERR_MODEL, NULL, 16, r->err, "the file cannot have %" PRIu64 " keys", keys);
    gguf->n_tensors = (uint32_t)tensors;
    gguf->n_keys = (uint32_t)keys;
    return BN_OK;
}

static enum bn_result read_all(struct bn_gguf *gguf, struct bn_error *err)
{
    struct reader r = {.gguf = gguf, .err = err};
    enum bn_result result = read_counts(&r, gguf);
    if (result != BN_OK)
        return result;
    gguf->keys = bn_alloc_array(gguf->host, gguf->n_keys, sizeof(*gguf->keys));
    gguf->tensors = bn_alloc_array(gguf->host, gguf->n_tensors, sizeof(*gguf->tensors));
    if (!gguf->keys || !gguf->tensors)
        return bn_fail_memory(err, gguf->n_keys * sizeof(*gguf->keys) + gguf->n_tensors * sizeof(*gguf->tensors),
                              "a model file's keys");
    for (uint32_t i = 0; i < gguf->n_keys && result == BN_OK; i++)
        result = read_key(&r, &gguf->keys[i]);
    for (uint32_t i = 0; i < gguf->n_tensors && result == BN_OK; i++)
        result = read_tensor(&r, &gguf->tensors[i]);
    if (result == BN_OK)
        result = sort_names(gguf, err);
    if (result == BN_OK)
        result = sort_tensors(gguf, err);
    if (result != BN_OK)
        return result;
    gguf->alignment = 32;
    result = bn_gguf_get_u32(gguf, "general.alignment", false, &gguf->alignment, err);
    if (result != BN_OK)
        return result;
    uint32_t alignment = gguf->alignment;
    if (alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1))) {
        const struct bn_gguf_key *key = bn_gguf_find(gguf, "general.alignment");
        return bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err,
                            "an alignment of %" PRIu32 ", expected a power of two from %u to %u", alignment,
                            MIN_ALIGNMENT, MAX_ALIGNMENT);
    }
    gguf->data_offset = (r.at + alignment - 1) / alignment * alignment;
    return place_tensors(gguf, err);
}

enum bn_result bn_gguf_init(struct bn_gguf *gguf, const struct bn_host *host, const char *file, const uint8_t *data,
                            uint64_t size, struct bn_error *err)
{
    memset(gguf, 0, sizeof(*gguf));
    gguf->host = host;
    gguf->file = file;
    gguf->data = data;
    gguf->size = size;
    enum bn_result result = read_all(gguf, err);
    if (result != BN_OK)
        bn_gguf_finish(gguf);
    return result;
}

void bn_gguf_finish(struct bn_gguf *gguf)
{
    bn_free(gguf->host, gguf->keys);
    bn_free(gguf->host, gguf->tensors);
    bn_free(gguf->host, gguf->sorted_keys);
    bn_free(gguf->host, gguf->sorted_tensors);
    bn_free(gguf->host, gguf->parts);
    bn_free(gguf->host, gguf->names);
    memset(gguf, 0, sizeof(*gguf));
}

enum bn_result bn_gguf_set_tensors(struct bn_gguf *gguf, struct bn_gguf_tensor *tensors, uint32_t n, char *names,
                                   struct bn_gguf_part *parts, uint32_t n_parts, struct bn_error *err)
{
    bn_free(gguf->host, gguf->tensors);
    bn_free(gguf->host, gguf->sorted_tensors);
    gguf->tensors = tensors;
    gguf->n_tensors = n;
    gguf->names = names;
    gguf->parts = parts;
    gguf->n_parts = n_parts;
    gguf->sorted_tensors = NULL;
    return sort_tensors(gguf, err);
}

const struct bn_gguf_key *bn_gguf_find(const struct bn_gguf *gguf, const char *name)
{
    struct bn_str wanted = {name, strlen(name)};
    uint32_t low = 0, high = gguf->n_keys;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct bn_gguf_key *key = &gguf->keys[gguf->sorted_keys[middle]];
        int order = compare_str(wanted, key->name);
        if (order == 0)
            return key;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct bn_gguf_tensor *bn_gguf_find_tensor(const struct bn_gguf *gguf, const char *name)
{
    struct bn_str wanted = {name, strlen(name)};
    uint32_t low = 0, high = gguf->n_tensors;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct bn_gguf_tensor *tensor = &gguf->tensors[gguf->sorted_tensors[middle]];
        int order = compare_str(wanted, tensor->name);
        if (order == 0)
            return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
