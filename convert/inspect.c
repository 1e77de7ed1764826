#include "convert/inspect.h"

#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"

#define STRIPE 16 // rows unpacked at a time

static void show_value(const struct bn_gguf_key *key, struct bn_shown_key *shown)
{
    static const struct {
        enum bn_shown_kind kind;
        uint8_t bytes;
        bool is_signed;
    } types[BN_GGUF_TYPE_COUNT] = {
        [BN_GGUF_U8] = {BN_SHOWN_INTEGER, 1, false},  [BN_GGUF_I8] = {BN_SHOWN_INTEGER, 1, true},
        [BN_GGUF_U16] = {BN_SHOWN_INTEGER, 2, false}, [BN_GGUF_I16] = {BN_SHOWN_INTEGER, 2, true},
        [BN_GGUF_U32] = {BN_SHOWN_INTEGER, 4, false}, [BN_GGUF_I32] = {BN_SHOWN_INTEGER, 4, true},
        [BN_GGUF_U64] = {BN_SHOWN_INTEGER, 8, false}, [BN_GGUF_I64] = {BN_SHOWN_INTEGER, 8, true},
        [BN_GGUF_F32] = {BN_SHOWN_REAL, 4, true},     [BN_GGUF_F64] = {BN_SHOWN_REAL, 8, true},
        [BN_GGUF_BOOL] = {BN_SHOWN_BOOL, 1, false},   [BN_GGUF_STRING] = {BN_SHOWN_TEXT, 0, false},
        [BN_GGUF_ARRAY] = {BN_SHOWN_LIST, 0, false},
    };
    shown->kind = types[key->type].kind;
    if (shown->kind == BN_SHOWN_TEXT) {
        const uint8_t *at = key->data;
        shown->text = bn_gguf_next_str(&at);
    } else if (key->type == BN_GGUF_F32) {
        float value;
        memcpy(&value, key->data, sizeof(value));
        shown->real = (double)value;
    } else if (key->type == BN_GGUF_F64) {
        memcpy(&shown->real, key->data, sizeof(shown->real));
    } else if (shown->kind != BN_SHOWN_LIST) {
        uint64_t bits = 0;
        unsigned bytes = types[key->type].bytes;
        memcpy(&bits, key->data, bytes);
        if (types[key->type].is_signed && bytes < 8 && bits >> (8 * bytes - 1))
            bits |= UINT64_MAX << (8 * bytes);
        if (!types[key->type].is_signed && bits > INT64_MAX) {
            shown->kind = BN_SHOWN_REAL;
            shown->real = (double)bits;
        }
        memcpy(&shown->integer, &bits, sizeof(bits));
    }
}

bool bn_inspect_key(const struct bn_source *source, uint32_t i, struct bn_shown_key *key)
{
    const struct bn_gguf *gguf = &source->checkpoint.gguf;
    if (i >= gguf->n_keys)
        return false;
    memset(key, 0, sizeof(*key));
    key->name = gguf->keys[i].name;
    key->type = bn_gguf_type_name(gguf->keys[i].element);
    key->count = gguf->keys[i].count;
    show_value(&gguf->keys[i], key);
    return true;
}

// A tensor of the list that the model has not as one of its own, but obeys: a scale, a part of the scan copy. The first one from
// list[i] on; the list's end: there is none.
static uint32_t find_other(const struct bn_source *source, uint32_t i)
{
    const struct bn_gguf *gguf = &source->checkpoint.gguf;
    for (; i < gguf->n_tensors; i++) {
        bool own = false;
        for (size_t t = 0; t < source->model->n_tensors && !own; t++)
            own = bn_str_is(gguf->tensors[i].name, source->model->tensors[t].name);
        if (!own)
            break;
    }
    return i;
}

size_t bn_inspect_count(const struct bn_source *source)
{
    const struct bn_gguf *gguf = &source->checkpoint.gguf;
    if (!source->model)
        return gguf->n_tensors;
    size_t n = source->model->n_tensors;
    for (uint32_t i = find_other(source, 0); i < gguf->n_tensors; i = find_other(source, i + 1))
        n++;
    return n;
}

static enum bn_result count_codes(const struct bn_source *source, const struct bn_tensor *tensor,
                                  struct bn_shown_tensor *shown, struct bn_error *err)
{
    const struct bn_layout_info *info = bn_layout_get(tensor->layout);
    int8_t *trits = bn_alloc_array(source->host, STRIPE, tensor->cols);
    if (!trits)
        return bn_fail_memory(err, (uint64_t)STRIPE * tensor->cols, "rows of weights");
    enum bn_result result = BN_OK;
    for (uint32_t r = 0; r < tensor->rows && result == BN_OK; r += STRIPE) {
        uint32_t end = tensor->rows - r < STRIPE ? tensor->rows : r + STRIPE;
        if (!info->unpack(tensor->data, tensor->rows, tensor->cols, r, end, trits))
            result = bn_fail_at(err, BN_ERR_MODEL, source->checkpoint.map.name, tensor->name, tensor->offset,
                                "a weight has an unused code");
        for (uint64_t i = 0; i < (uint64_t)(end - r) * tensor->cols && result == BN_OK; i++)
            shown->codes[trits[i] + 1]++;
    }
    bn_free(source->host, trits);
    return result;
}

static void measure_scales(const struct bn_tensor *tensor, struct bn_shown_tensor *shown)
{
    const struct bn_matrix matrix = bn_tensor_matrix(tensor);
    const struct bn_layout_info *info = bn_layout_get(tensor->layout);
    uint64_t groups = info->reach == BN_SCALE_GROUP ? tensor->cols / info->group : 1;
    uint64_t rows = info->reach == BN_SCALE_TENSOR ? 1 : tensor->rows;
    shown->n_scales = rows * groups;
    shown->least_scale = (double)INFINITY;
    shown->greatest_scale = (double)-INFINITY;
    for (uint64_t r = 0; r < rows; r++) {
        for (uint64_t g = 0; g < groups; g++) {
            double scale = (double)bn_matrix_scale(&matrix, r, g) * (double)tensor->scale;
            shown->least_scale = fmin(shown->least_scale, scale);
            shown->greatest_scale = fmax(shown->greatest_scale, scale);
        }
    }
}

static enum bn_result measure_floats(const struct bn_source *source, const struct bn_tensor *tensor,
                                     struct bn_shown_tensor *shown, struct bn_error *err)
{
    float *row = bn_alloc_array(source->host, tensor->cols, sizeof(*row));
    if (!row)
        return bn_fail_memory(err, tensor->cols * sizeof(*row), "a row of weights");
    double sum = 0;
    shown->least = (double)INFINITY;
    shown->greatest = (double)-INFINITY;
    for (uint32_t r = 0; r < tensor->rows; r++) {
        bn_layout_get(tensor->layout)->widen(tensor->data, tensor->cols, r, row);
        for (uint32_t c = 0; c < tensor->cols; c++) {
            shown->least = fmin(shown->least, (double)row[c]);
            shown->greatest = fmax(shown->greatest, (double)row[c]);
            sum += fabs((double)row[c]);
        }
    }
    shown->mean_magnitude = sum / ((double)tensor->rows * (double)tensor->cols);
    bn_free(source->host, row);
    return BN_OK;
}

// What the list of tensors says.
static void show_listed(const struct bn_gguf_tensor *listed, struct bn_shown_tensor *shown)
{
    const char *type = bn_gguf_tensor_type_name(listed->type);
    *shown = (struct bn_shown_tensor){
        .type = type ? type : "unknown",
        .rows = listed->elements / listed->dims[0],
        .cols = listed->dims[0],
        .offset = listed->offset,
        .bytes = listed->room,
    };
    bn_str_text(listed->name, shown->name, sizeof(shown->name));
}

enum bn_result bn_inspect_tensor(const struct bn_source *source, size_t i, struct bn_shown_tensor *shown,
                                 struct bn_error *err)
{
    if (!source->model) {
        show_listed(&source->checkpoint.gguf.tensors[i], shown);
        return BN_OK;
    }
    if (i >= source->model->n_tensors) {
        uint32_t other = find_other(source, 0);
        for (size_t left = i - source->model->n_tensors; left > 0; left--)
            other = find_other(source, other + 1);
        show_listed(&source->checkpoint.gguf.tensors[other], shown);
        return BN_OK;
    }
    const struct bn_tensor *tensor = &source->model->tensors[i];
    const struct bn_layout_info *info = bn_layout_get(tensor->layout);
    const struct bn_gguf_tensor *stored = bn_gguf_find_tensor(&source->checkpoint.gguf, tensor->name);
    *shown = (struct bn_shown_tensor){
        .type = stored ? bn_gguf_tensor_type_name(stored->type) : "",
        .layout = info->name,
        .rows = tensor->rows,
        .cols = tensor->cols,
        .offset = tensor->offset,
        .bytes = tensor->bytes,
        .ternary = info->kind == BN_LAYOUT_TERNARY,
    };
    bn_str_text((struct bn_str){tensor->name, strlen(tensor->name)}, shown->name, sizeof(shown->name));
    if (!shown->ternary)
        return measure_floats(source, tensor, shown, err);
    measure_scales(tensor, shown);
    return count_codes(source, tensor, shown, err);
}
