// What a tensor's data is: type numbers collide between projects, and only the room that a tensor has can tell.
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/thread.h"
#include "runtime/model/load.h"

#define SEARCH_STRIPE (256u << 10) // bytes
#define I2S_TAIL 32                // after the codes: the f32 scale, then 28 bytes that mean nothing

// A number may stand for several layouts, and one layout have several numbers.
static const struct row {
    uint32_t type;
    enum bn_layout layout; // I2S_A: in the order that the file has
    uint32_t tail;
    uint32_t not_file_type; // with this general.file_type the number is another type; 0: with none
} rows[] = {
    {BN_GGUF_TENSOR_F32, BN_LAYOUT_F32, 0, 0},
    {BN_GGUF_TENSOR_F16, BN_LAYOUT_F16, 0, 0},
    {BN_GGUF_TENSOR_BF16, BN_LAYOUT_BF16, 0, 0},
    {2, BN_LAYOUT_Q4_0, 0, 0},
    {6, BN_LAYOUT_Q5_0, 0, 0},
    {8, BN_LAYOUT_Q8_0, 0, 0},
    {14, BN_LAYOUT_Q6_K, 0, 0},
    {34, BN_LAYOUT_TQ1_0, 0, 0},
    {35, BN_LAYOUT_TQ2_0, 0, 0},
    {BN_GGUF_TENSOR_I2S, BN_LAYOUT_I2S_A, I2S_TAIL, 0},
    {38, BN_LAYOUT_TL1, 0, 0},
    {39, BN_LAYOUT_TL2, 0, 0},
    {42, BN_LAYOUT_Q2_0, 0, 0},
    {42, BN_LAYOUT_PQ2_0, 0, 0},
    {134, BN_LAYOUT_IQ1_BN, 0, 0},
    {135, BN_LAYOUT_IQ2_BN, 0, 0},
    {335, BN_LAYOUT_IQ2_BN_R4, 0, 0},
    {142, BN_LAYOUT_PQ2_0, 0, 135},  // or ik_llama.cpp's IQ2_TN
    {143, BN_LAYOUT_PTQ1_0, 0, 136}, // or its IQ1_TN
    {BN_GGUF_TENSOR_HF, BN_LAYOUT_PACKED, 0, 0},
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static enum bn_result fail(struct bn_load *load, enum bn_result code, const struct bn_gguf_tensor *found,
                           const char *message)
{
    return bn_gguf_fail(load->gguf, code, &found->name, found->offset, load->err, "%s", message);
}

static const char *type_name(uint32_t type)
{
    const char *name = bn_gguf_tensor_type_name(type);
    return name ? name : "unknown";
}

static enum bn_layout layout_of(const struct bn_load *load, const struct row *row)
{
    return row->layout == BN_LAYOUT_I2S_A ? load->i2s : row->layout;
}

// Bytes of the tensor as this row has it; 0 if it cannot. In a file, blocks are whole.
static uint64_t size_as(const struct bn_load *load, const struct row *row, const struct bn_gguf_tensor *tensor)
{
    enum bn_layout layout = layout_of(load, row);
    uint64_t matrix_rows = tensor->elements / tensor->dims[0];
    if (tensor->dims[0] % bn_layout_get(layout)->block_cols)
        return 0;
    uint64_t bytes = bn_layout_bytes(layout, matrix_rows, tensor->dims[0]);
    return bytes ? bytes + row->tail : 0;
}

// The last tensor may be followed by anything, and so may floats, whose number means one thing; the others by less than an
// alignment.
static bool fits(const struct bn_load *load, const struct row *row, const struct bn_gguf_tensor *tensor)
{
    uint64_t bytes = size_as(load, row, tensor);
    return bytes && tensor->room >= bytes &&
           (tensor->last || row->layout <= BN_LAYOUT_BF16 || tensor->room - bytes < load->gguf->alignment);
}

// Of several rows with the number, the one that all tensors of this number fit; small ones may fit more than one.
static const struct row *row_of(const struct bn_load *load, uint32_t type)
{
    const struct row *first = NULL;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].type != type)
            continue;
        bool all = true;
        for (uint32_t t = 0; t < load->gguf->n_tensors && all; t++)
            all = load->gguf->tensors[t].type != type || fits(load, &rows[i], &load->gguf->tensors[t]);
        if (all)
            return &rows[i];
        first = first ? first : &rows[i];
    }
    return first;
}

static enum bn_result check_number(struct bn_load *load, const struct row *row, const struct bn_gguf_tensor *found,
                                   enum bn_use use)
{
    static const char *const wanted[] = {
        [BN_USE_NORM] = "only F32, F16 and BF16 are for norms",
        [BN_USE_LINEAR] = "only ternary types, and F32, F16 and BF16 that are to become ternary, are for this matrix",
        [BN_USE_EMBEDDING] = "only ternary types, F32, F16, BF16, Q8_0, Q6_K, Q5_0 and Q4_0 are for this matrix",
    };
    uint32_t file_type = 0;
    if (row && row->not_file_type) {
        enum bn_result result = bn_gguf_get_u32(load->gguf, "general.file_type", false, &file_type, load->err);
        if (result != BN_OK)
            return result;
    }
    bool known = row && (row->not_file_type == 0 || row->not_file_type != file_type);
    bool plain = known && row->layout <= BN_LAYOUT_BF16;
    bool right = use == BN_USE_NORM     ? plain
                 : use == BN_USE_LINEAR ? plain || (known && bn_layout_get(row->layout)->kind == BN_LAYOUT_TERNARY)
                                        : known;
    if (right)
        return BN_OK;
    char message[200];
    snprintf(message, sizeof(message), "weights of type %s (%" PRIu32 ") are not supported: %s", type_name(found->type),
             found->type, wanted[use]);
    return fail(load, BN_ERR_UNSUPPORTED, found, message);
}

static enum bn_result check_size(struct bn_load *load, const struct row *row, const struct bn_gguf_tensor *found)
{
    char message[240];
    const struct bn_layout_info *info = bn_layout_get(layout_of(load, row));
    uint64_t bytes = size_as(load, row, found);
    if (bytes == 0 && info->bytes) {
        snprintf(message, sizeof(message),
                 "%s (%" PRIu32 ") of %" PRIu64 " rows and %" PRIu64 " columns is not known: %s",
                 type_name(found->type), found->type, found->dims[1], found->dims[0],
                 info->scale_at ? "columns must be a multiple of 64" : "no preset kernel of bitnet.cpp has this shape");
        return fail(load, BN_ERR_UNSUPPORTED, found, message);
    }
    if (bytes == 0) {
        snprintf(message, sizeof(message),
                 "%" PRIu64 " rows and %" PRIu64 " columns do not fit %s (%" PRIu32 "), the layout %s: blocks have "
                 "%" PRIu32 " rows and %" PRIu32 " columns",
                 found->dims[1], found->dims[0], type_name(found->type), found->type, info->name, info->block_rows,
                 info->block_cols);
        return fail(load, BN_ERR_UNSUPPORTED, found, message);
    }
    snprintf(message, sizeof(message), "%s of this shape has %" PRIu64 " bytes, found room for %" PRIu64,
             type_name(found->type), bytes, found->room);
    if (found->room < bytes)
        return fail(load, BN_ERR_MODEL, found, message);
    return fits(load, row, found) ? BN_OK : fail(load, BN_ERR_UNSUPPORTED, found, message);
}

// Code 3, looked for on several threads.
struct search {
    const uint8_t *data;
    uint64_t bytes;
    _Atomic uint64_t found; // the first one; `bytes` if there is none
};

static void search_stripes(void *context, uint64_t begin, uint64_t end)
{
    struct search *search = context;
    uint64_t first = begin * SEARCH_STRIPE, last = end * SEARCH_STRIPE;
    last = last < search->bytes ? last : search->bytes;
    uint64_t at = first + bn_i2s_find_code_3(search->data + first, last - first), found = search->found;
    while (at < last && at < found && !atomic_compare_exchange_weak(&search->found, &found, at))
        ;
}

static uint64_t find_code_3(const uint8_t *data, uint64_t bytes)
{
    struct search search = {.data = data, .bytes = bytes, .found = bytes};
    uint64_t stripes = (bytes + SEARCH_STRIPE - 1) / SEARCH_STRIPE;
    if (stripes > 2)
        bn_parallel(stripes, search_stripes, &search);
    else
        search_stripes(&search, 0, stripes);
    return search.found;
}

// I2_S: its scale, and what scanning tells at the speed of memory.
static enum bn_result read_i2s(struct bn_load *load, const struct bn_gguf_tensor *found, struct bn_tensor *tensor)
{
    memcpy(&tensor->scale, tensor->data + tensor->bytes, sizeof(tensor->scale));
    uint64_t bad = find_code_3(tensor->data, tensor->bytes);
    if (bad < tensor->bytes)
        return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &found->name, tensor->offset + bad, load->err,
                            "a weight has the unused code 3");
    if (!isfinite(tensor->scale))
        return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &found->name, tensor->offset + tensor->bytes, load->err,
                            "the scale is not finite");
    return BN_OK;
}

static enum bn_result read_scales(struct bn_load *load, const struct bn_gguf_tensor *found, struct bn_tensor *tensor)
{
    const struct bn_matrix matrix = bn_tensor_matrix(tensor);
    struct bn_scales scales = bn_matrix_scales(&matrix);
    if (!scales.finite)
        return fail(load, BN_ERR_MODEL, found, "a scale is not finite");
    if (scales.one)
        tensor->as = BN_LAYOUT_I2S_A;
    return BN_OK;
}

// Floats where trits are wanted: ternary as they are, or a master of a family that is trained so.
static enum bn_result read_floats(struct bn_load *load, const struct bn_gguf_tensor *found, struct bn_tensor *tensor)
{
    const struct bn_matrix matrix = bn_tensor_matrix(tensor);
    struct bn_float_survey survey;
    enum bn_result result = bn_survey_floats(load->model->host, &matrix, &survey, load->err);
    if (result != BN_OK)
        return result;
    if (!survey.finite)
        return fail(load, BN_ERR_MODEL, found, "a weight is not finite");
    bool masters = load->gguf->n_parts ? load->gguf->master : load->family->masters;
    if (survey.as == BN_LAYOUT_COUNT && !masters)
        return fail(load, BN_ERR_UNSUPPORTED, found,
                    "the weights are not ternary, and nothing says that the model was trained to become so");
    tensor->as = survey.as == BN_LAYOUT_COUNT ? BN_LAYOUT_I2S_A : survey.as;
    tensor->scale = tensor->rule = survey.scale;
    return BN_OK;
}

static enum bn_result read_codes(struct bn_load *load, const struct bn_gguf_tensor *found, struct bn_tensor *tensor)
{
    const struct bn_matrix matrix = bn_tensor_matrix(tensor);
    struct bn_error inner;
    memset(&inner, 0, sizeof(inner));
    enum bn_result result = bn_check_codes(load->model->host, &matrix, &inner);
    return result == BN_OK ? BN_OK : fail(load, result, found, inner.message);
}

enum bn_result bn_load_stored(struct bn_load *load, const struct bn_gguf_tensor *found, enum bn_use use,
                              struct bn_tensor *tensor)
{
    const struct row *row = row_of(load, found->type);
    enum bn_result result = check_number(load, row, found, use);
    if (result == BN_OK)
        result = check_size(load, row, found);
    if (result != BN_OK)
        return result;
    const struct bn_layout_info *info = bn_layout_get(layout_of(load, row));
    tensor->layout = tensor->as = info->layout;
    tensor->bytes = size_as(load, row, found) - row->tail;
    tensor->scale = found->scale;
    load->model->info.bytes += tensor->bytes + row->tail;
    if (row->tail)
        result = read_i2s(load, found, tensor);
    else if (info->scale_at)
        result = read_scales(load, found, tensor);
    else if (use == BN_USE_LINEAR && info->kind == BN_LAYOUT_FLOAT)
        result = read_floats(load, found, tensor);
    if (result == BN_OK && use == BN_USE_EMBEDDING && info->kind == BN_LAYOUT_TERNARY && !row->tail)
        result = read_codes(load, found, tensor); // linear ones are seen when they are repacked
    return result;
}
