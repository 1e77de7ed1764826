#include "runtime/model/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/json.h"

#define LENGTH_BYTES 8

// OTHER: known, of that many bytes, and not for weights.
static const struct {
    const char *name;
    enum bn_safetensors_dtype dtype;
    uint8_t bytes;
} dtypes[] = {
    {"F32", BN_ST_F32, 4},    {"F16", BN_ST_F16, 2},       {"BF16", BN_ST_BF16, 2},     {"U8", BN_ST_U8, 1},
    {"F64", BN_ST_OTHER, 8},  {"I64", BN_ST_OTHER, 8},     {"U64", BN_ST_OTHER, 8},     {"I32", BN_ST_OTHER, 4},
    {"U32", BN_ST_OTHER, 4},  {"I16", BN_ST_OTHER, 2},     {"U16", BN_ST_OTHER, 2},     {"I8", BN_ST_OTHER, 1},
    {"BOOL", BN_ST_OTHER, 1}, {"F8_E4M3", BN_ST_OTHER, 1}, {"F8_E5M2", BN_ST_OTHER, 1},
};

enum bn_result bn_safetensors_header(const char *file, const uint8_t first[8], uint64_t size, uint64_t *bytes,
                                     struct bn_error *err)
{
    memcpy(bytes, first, LENGTH_BYTES);
    if (size < LENGTH_BYTES || *bytes > size - LENGTH_BYTES || *bytes > BN_SAFETENSORS_MAX_HEADER)
        return bn_fail_at(err, BN_ERR_MODEL, file, NULL, 0,
                          "a header of %" PRIu64 " bytes, in a file of %" PRIu64 "; at most %u are allowed", *bytes,
                          size, BN_SAFETENSORS_MAX_HEADER);
    return BN_OK;
}

static enum bn_result read_dtype(const struct bn_json *json, const char *name, const json_t *entry,
                                 struct bn_safetensor *tensor, uint64_t *element)
{
    struct bn_str dtype = {0};
    enum bn_result result = bn_json_str(json, entry, "dtype", true, &dtype);
    if (result != BN_OK)
        return result;
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        if (bn_str_is(dtype, dtypes[i].name)) {
            tensor->dtype = dtypes[i].dtype;
            *element = dtypes[i].bytes;
            return BN_OK;
        }
    }
    char text[32];
    return bn_json_fail(json, BN_ERR_UNSUPPORTED, name, "elements of the type \"%s\" are not known",
                        bn_str_text(dtype, text, sizeof(text)));
}

static enum bn_result read_shape(const struct bn_json *json, const char *name, const json_t *entry,
                                 struct bn_safetensor *tensor)
{
    json_t *shape;
    enum bn_result result = bn_json_array(json, entry, "shape", true, &shape);
    if (result != BN_OK)
        return result;
    if (json_array_size(shape) > 4)
        return bn_json_fail(json, BN_ERR_UNSUPPORTED, name, "%zu dimensions; at most 4 are read",
                            json_array_size(shape));
    tensor->n_dims = (uint32_t)json_array_size(shape);
    tensor->elements = 1;
    for (uint32_t d = 0; d < 4; d++) {
        const json_t *dim = json_array_get(shape, d);
        json_int_t value = dim && json_is_integer(dim) ? json_integer_value(dim) : dim ? -1 : 1;
        tensor->dims[d] = (uint64_t)value;
        if (value < 1 || __builtin_mul_overflow(tensor->elements, tensor->dims[d], &tensor->elements))
            return bn_json_fail(json, BN_ERR_MODEL, name, "an impossible shape");
    }
    return BN_OK;
}

static enum bn_result read_place(const struct bn_json *json, const char *name, const json_t *entry, uint64_t data_at,
                                 uint64_t size, uint64_t element, struct bn_safetensor *tensor)
{
    json_t *offsets;
    enum bn_result result = bn_json_array(json, entry, "data_offsets", true, &offsets);
    if (result != BN_OK)
        return result;
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        json_integer_value(first) < 0 || json_integer_value(last) < json_integer_value(first) ||
        (uint64_t)json_integer_value(last) > size - data_at)
        return bn_json_fail(json, BN_ERR_MODEL, name, "its data does not lie within the file's %" PRIu64 " bytes",
                            size);
    uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(last);
    tensor->offset = data_at + begin;
    tensor->bytes = end - begin;
    uint64_t needed;
    if (__builtin_mul_overflow(tensor->elements, element, &needed) || needed != tensor->bytes)
        return bn_json_fail(json, BN_ERR_MODEL, name, "%" PRIu64 " elements of %" PRIu64 " bytes, in %" PRIu64 " bytes",
                            tensor->elements, element, tensor->bytes);
    return BN_OK;
}

static enum bn_result read_tensor(const struct bn_json *json, const char *name, const json_t *entry, uint64_t data_at,
                                  uint64_t size, struct bn_safetensor *tensor)
{
    if (!json_is_object(entry))
        return bn_json_fail(json, BN_ERR_MODEL, name, "expected an object");
    uint64_t element = 0;
    enum bn_result result = read_dtype(json, name, entry, tensor, &element);
    if (result == BN_OK)
        result = read_shape(json, name, entry, tensor);
    if (result == BN_OK)
        result = read_place(json, name, entry, data_at, size, element, tensor);
    return result;
}

typedef int compare_fn(const struct bn_safetensor *a, const struct bn_safetensor *b);

static int by_place(const struct bn_safetensor *a, const struct bn_safetensor *b)
{
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int by_name(const struct bn_safetensor *a, const struct bn_safetensor *b)
{
    return strcmp(a->name.data, b->name.data);
}

// Heap sort: C's qsort may allocate behind the host's back.
static void sift(struct bn_safetensor *list, size_t at, size_t n, compare_fn *compare)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && compare(&list[child], &list[child + 1]) < 0)
            child++;
        if (compare(&list[at], &list[child]) >= 0)
            return;
        struct bn_safetensor swap = list[at];
        list[at] = list[child];
        list[child] = swap;
    }
}

static void sort(struct bn_safetensor *list, size_t n, compare_fn *compare)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(list, i, n, compare);
    for (size_t i = n; i-- > 1;) {
        struct bn_safetensor swap = list[0];
        list[0] = list[i];
        list[i] = swap;
        sift(list, 0, i, compare);
    }
}

static enum bn_result check_overlap(const struct bn_safetensors *st, const struct bn_json *json)
{
    for (size_t i = 1; i < st->n_tensors; i++) {
        const struct bn_safetensor *tensor = &st->tensors[i];
        if (tensor[-1].offset + tensor[-1].bytes > tensor->offset)
            return bn_json_fail(json, BN_ERR_MODEL, tensor->name.data, "its data overlaps that of %s",
                                tensor[-1].name.data);
    }
    return BN_OK;
}

// Names are copied, terminated: the JSON does not outlive this.
static enum bn_result allocate(struct bn_safetensors *st, const struct bn_json *json)
{
    size_t bytes = 0, n = json_object_size(json->root);
    const char *name;
    json_t *entry;
    if (n > BN_SAFETENSORS_MAX_TENSORS)
        return bn_json_fail(json, BN_ERR_MODEL, NULL, "%zu tensors; at most %u are read", n,
                            BN_SAFETENSORS_MAX_TENSORS);
    json_object_foreach(json->root, name, entry) bytes += strlen(name) + 1;
    st->names = bn_alloc(st->host, bytes);
    st->tensors = bn_alloc_array(st->host, n, sizeof(*st->tensors));
    if (!st->names || !st->tensors)
        return bn_fail_memory(json->err, bytes + n * sizeof(*st->tensors), "the list of tensors");
    return BN_OK;
}

static enum bn_result read_all(struct bn_safetensors *st, const struct bn_json *json, uint64_t data_at, uint64_t size)
{
    enum bn_result result = allocate(st, json);
    if (result != BN_OK)
        return result;
    char *at = st->names;
    const char *name;
    json_t *entry;
    json_object_foreach(json->root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        size_t n = strlen(name);
        struct bn_safetensor *tensor = &st->tensors[st->n_tensors];
        memcpy(at, name, n + 1);
        tensor->name = (struct bn_str){at, n};
        at += n + 1;
        result = read_tensor(json, name, entry, data_at, size, tensor);
        if (result != BN_OK)
            return result;
        st->n_tensors++;
    }
    sort(st->tensors, st->n_tensors, by_place);
    result = check_overlap(st, json);
    sort(st->tensors, st->n_tensors, by_name);
    return result;
}

enum bn_result bn_safetensors_init(struct bn_safetensors *st, const struct bn_host *host, const char *file,
                                   struct bn_str header, uint64_t size, struct bn_error *err)
{
    memset(st, 0, sizeof(*st));
    st->host = host;
    struct bn_json json;
    enum bn_result result = bn_json_init(&json, file, header, err);
    if (result != BN_OK)
        return result;
    result = read_all(st, &json, LENGTH_BYTES + header.bytes, size);
    bn_json_finish(&json);
    if (result != BN_OK)
        bn_safetensors_finish(st);
    return result;
}

void bn_safetensors_finish(struct bn_safetensors *st)
{
    if (!st->host)
        return;
    bn_free(st->host, st->names);
    bn_free(st->host, st->tensors);
    memset(st, 0, sizeof(*st));
}

const struct bn_safetensor *bn_safetensors_find(const struct bn_safetensors *st, const char *name)
{
    size_t low = 0, high = st->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, st->tensors[middle].name.data);
        if (order == 0)
            return &st->tensors[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
