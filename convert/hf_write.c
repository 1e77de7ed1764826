#include "convert/hf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/hf_texts.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/base/runtime.h"

#define NAME_BYTES 96
#define BLOCK (8u << 20)

enum kind { VECTOR, FLOATS_AS_THEY_ARE, FLOATS_WIDENED, TERNARY_FLOATS, PACKED, SCALE };

// A tensor of model.safetensors.
struct item {
    char name[NAME_BYTES];
    const struct bn_tensor *from;
    enum kind kind;
    const char *dtype;
    uint64_t bytes;
};

struct writer {
    const struct bn_conversion *conversion;
    struct bn_source source;
    struct bn_folder_source from;
    struct item *items;
    size_t n_items;
    int folder, fd;
    uint64_t done, total;
    struct bn_error *err;
};

static enum bn_result fail(const struct writer *w, enum bn_result code, const struct bn_tensor *tensor,
                           const char *message)
{
    struct bn_str name = {tensor->name, strlen(tensor->name)};
    return bn_gguf_fail(&w->source.checkpoint.gguf, code, &name, tensor->offset, w->err, "%s", message);
}

static enum bn_result fail_io(const struct writer *w, const char *name)
{
    return bn_fail_errno(w->err, errno, name, "cannot be written");
}

static float as_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bits &= 0xffff0000;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// Whether the tensor has one scale, and bf16 holds it.
static bool fits_bf16(const struct bn_tensor *tensor)
{
    bool floats = bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT;
    enum bn_layout layout = floats ? tensor->as : tensor->layout;
    return bn_layout_get(layout)->reach == BN_SCALE_TENSOR && as_bf16(tensor->scale) == tensor->scale;
}

static enum bn_result add_item(struct writer *w, const struct bn_tensor *tensor)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    struct item *item = &w->items[w->n_items++];
    uint64_t elements = (uint64_t)tensor->rows * tensor->cols;
    *item = (struct item){.from = tensor, .dtype = "F32", .bytes = elements * 4};
    if (!bn_hf_checkpoint_name(w->from.family, tensor->name, item->name, NAME_BYTES))
        return fail(w, BN_ERR_UNSUPPORTED, tensor, "has no name in models of this class");
    enum bn_source_kind kind = bn_source_kind_of(&w->source, tensor);
    if (kind == BN_SOURCE_VECTOR) {
        item->kind = VECTOR;
    } else if (kind == BN_SOURCE_EMBEDDING) {
        bool native = tensor->layout <= BN_LAYOUT_BF16;
        item->kind = native ? FLOATS_AS_THEY_ARE : FLOATS_WIDENED;
        item->dtype = native ? dtypes[tensor->layout] : "F32";
        item->bytes = native ? tensor->bytes : item->bytes;
    } else if (w->from.form == BN_FOLDER_FLOATS) {
        bool narrow = fits_bf16(tensor);
        item->kind = TERNARY_FLOATS;
        item->dtype = narrow ? "BF16" : "F32";
        item->bytes = elements * (narrow ? 2 : 4);
    } else {
        if (tensor->rows % 4)
            return fail(w, BN_ERR_UNSUPPORTED, tensor, "its rows are not a multiple of 4, as packed ones must be");
        item->kind = PACKED;
        item->dtype = "U8";
        item->bytes = elements / 4;
        struct item *scale = &w->items[w->n_items++];
        *scale = (struct item){.from = tensor, .kind = SCALE, .dtype = "F32", .bytes = 4};
        snprintf(scale->name, NAME_BYTES, "%.*s_scale", NAME_BYTES - 8, item->name);
    }
    return BN_OK;
}

static enum bn_result plan(struct writer *w)
{
    const struct bn_model *model = w->source.model;
    w->items = bn_alloc_array(w->source.host, 2 * model->n_tensors, sizeof(*w->items));
    enum bn_result result = w->items ? BN_OK : bn_fail_memory(w->err, model->n_tensors * sizeof(*w->items), "a list");
    for (size_t i = 0; i < model->n_tensors && result == BN_OK; i++)
        result = add_item(w, &model->tensors[i]);
    for (size_t i = 0; i < w->n_items; i++)
        w->total += w->items[i].bytes;
    return result;
}

static enum bn_result put(struct writer *w, const void *data, uint64_t bytes)
{
    const uint8_t *at = data;
    while (bytes) {
        ssize_t n = write(w->fd, at, bytes < BLOCK ? (size_t)bytes : BLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_io(w, "model.safetensors");
        at += n;
        bytes -= (uint64_t)n;
        w->done += (uint64_t)n;
        const struct bn_conversion *conversion = w->conversion;
        if (conversion->progress && !conversion->progress(conversion->user, w->done, w->total))
            return bn_fail(w->err, BN_ERR_CANCELLED, "interrupted");
    }
    return BN_OK;
}

// Where the folder's row `r` is in the source: Hugging Face's models turn halves.
static uint32_t row_of(const struct writer *w, const struct bn_tensor *tensor, uint32_t r)
{
    const struct bn_model *model = w->source.model;
    const char *end = strrchr(tensor->name, '.');
    size_t n = end ? (size_t)(end - tensor->name) : 0;
    bool turned = n > 7 && (memcmp(end - 7, ".attn_q", 7) == 0 || memcmp(end - 7, ".attn_k", 7) == 0);
    if (!turned || model->rope_order != BN_ROPE_PAIRS)
        return r;
    uint32_t size = model->info.head_dim, in_head = r % size;
    return r - in_head + in_head % (size / 2) * 2 + in_head / (size / 2);
}

// Norms, as the class stores them.
static enum bn_result write_vector(struct writer *w, const struct item *item)
{
    bool less = w->from.family->norms_less_one && !bn_hf_is_input_norm(item->from->name);
    enum bn_result result = BN_OK;
    for (uint32_t i = 0; i < item->from->cols && result == BN_OK; i++) {
        float value, stored;
        memcpy(&value, item->from->data + i * sizeof(value), sizeof(value));
        stored = less ? value - 1 : value;
        if (less && stored + 1 != value && !w->conversion->lossy)
            result = fail(w, BN_ERR_UNSUPPORTED, item->from, "less 1, as this class stores norms, it would be rounded");
        if (result == BN_OK)
            result = put(w, &stored, sizeof(stored));
    }
    return result;
}

// Trits and scales of a matrix of floats, as it is read; *memory is to be freed.
static enum bn_result read_trits(struct writer *w, const struct bn_tensor *tensor, enum bn_layout as,
                                 struct bn_matrix *matrix, uint8_t **memory)
{
    struct bn_error inner = {0};
    uint64_t bytes = bn_layout_bytes(as, tensor->rows, tensor->cols);
    uint64_t n_scales = tensor->rows * bn_layout_scales(as, tensor->cols);
    *memory = bn_alloc(w->source.host, bytes + n_scales * sizeof(float));
    if (!*memory)
        return bn_fail_memory(w->err, bytes, "a tensor");
    const struct bn_matrix from = bn_tensor_matrix(tensor);
    float *scales = n_scales ? (float *)(void *)(*memory + bytes) : NULL;
    struct bn_repacked to = {.layout = as, .data = *memory, .scales = scales};
    enum bn_result result =
        bn_repack(w->source.host, &from, &to, w->conversion->lossy ? BN_REPACK_LOSSY : BN_REPACK_EXACT, &inner);
    if (result != BN_OK)
        return fail(w, result, tensor, inner.message);
    float scale = bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT ? tensor->scale : to.scale;
    *matrix = (struct bn_matrix){as, tensor->rows, tensor->cols, *memory, scales, scale};
    return BN_OK;
}

static enum bn_result write_floats(struct writer *w, const struct item *item)
{
    const struct bn_tensor *tensor = item->from;
    struct bn_matrix matrix = bn_tensor_matrix(tensor);
    uint8_t *memory = NULL;
    bool floats = bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT;
    float *row = bn_alloc_array(w->source.host, tensor->cols, sizeof(*row));
    enum bn_result result = row ? BN_OK : bn_fail_memory(w->err, tensor->cols * sizeof(*row), "a row");
    if (result == BN_OK && floats && item->kind == TERNARY_FLOATS)
        result = read_trits(w, tensor, tensor->as, &matrix, &memory);
    uint32_t size = strcmp(item->dtype, "BF16") == 0 ? 2 : 4;
    for (uint32_t r = 0; r < tensor->rows && result == BN_OK; r++) {
        bn_matrix_widen(&matrix, row_of(w, tensor, r), row);
        for (uint32_t c = 0; size == 2 && c < tensor->cols; c++) // in place: the upper halves
            memcpy((uint8_t *)row + (size_t)2 * c, (const uint8_t *)(row + c) + 2, 2);
        result = put(w, row, (uint64_t)tensor->cols * size);
    }
    bn_free(w->source.host, row);
    bn_free(w->source.host, memory);
    return result;
}

static enum bn_result write_scale(struct writer *w, const struct bn_tensor *tensor, float scale)
{
    float stored = w->from.form == BN_FOLDER_INVERSE ? 1 / scale : scale;
    if (w->from.form == BN_FOLDER_INVERSE && (!isfinite(stored) || (1 / stored != scale && !w->conversion->lossy)))
        return fail(w, BN_ERR_UNSUPPORTED, tensor, "its scale is not exactly 1 over a number");
    return put(w, &stored, sizeof(stored));
}

// The matrix, and the scale that follows it.
static enum bn_result write_packed(struct writer *w, const struct item *item)
{
    const struct bn_tensor *tensor = item->from;
    struct bn_matrix matrix;
    uint8_t *memory = NULL, *packed = bn_alloc(w->source.host, item->bytes);
    int8_t *trits = bn_alloc(w->source.host, tensor->cols);
    enum bn_result result = packed && trits ? BN_OK : bn_fail_memory(w->err, item->bytes, "a tensor");
    if (result == BN_OK)
        result = read_trits(w, tensor, BN_LAYOUT_I2S_A, &matrix, &memory);
    for (uint32_t r = 0; r < tensor->rows && result == BN_OK; r++) {
        uint32_t source = row_of(w, tensor, r);
        bn_layout_get(BN_LAYOUT_I2S_A)->unpack(memory, tensor->rows, tensor->cols, source, source + 1, trits);
        bn_layout_get(BN_LAYOUT_PACKED)->pack(trits, tensor->rows, tensor->cols, r, r + 1, packed);
    }
    if (result == BN_OK)
        result = put(w, packed, item->bytes);
    if (result == BN_OK)
        result = write_scale(w, tensor, matrix.scale);
    bn_free(w->source.host, memory);
    bn_free(w->source.host, packed);
    bn_free(w->source.host, trits);
    return result;
}

static enum bn_result write_item(struct writer *w, const struct item *item)
{
    switch (item->kind) {
    case VECTOR:
        return write_vector(w, item);
    case FLOATS_AS_THEY_ARE:
        return put(w, item->from->data, item->bytes);
    case FLOATS_WIDENED:
    case TERNARY_FLOATS:
        return write_floats(w, item);
    case PACKED:
        return write_packed(w, item);
    case SCALE: // its matrix has written it
        return BN_OK;
    }
    return BN_OK;
}

static enum bn_result open_file(struct writer *w, const char *name)
{
    w->fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return w->fd < 0 ? fail_io(w, name) : BN_OK;
}

static enum bn_result close_file(struct writer *w, const char *name, enum bn_result result)
{
    if (w->fd >= 0 && (fsync(w->fd) != 0) + (close(w->fd) != 0) && result == BN_OK)
        result = fail_io(w, name);
    w->fd = -1;
    return result;
}

static enum bn_result write_text(struct writer *w, const char *name, const char *text, size_t bytes)
{
    enum bn_result result = open_file(w, name);
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        ssize_t n = write(w->fd, text + at, bytes - at);
        if (n < 0 && errno != EINTR)
            result = fail_io(w, name);
        at += n > 0 ? (size_t)n : 0;
    }
    return close_file(w, name, result);
}

// Ownership: the caller frees *text.
static enum bn_result dump(struct writer *w, const json_t *root, size_t flags, char **text, size_t *bytes)
{
    *bytes = json_dumpb(root, NULL, 0, flags);
    *text = *bytes ? bn_alloc(w->source.host, *bytes) : NULL;
    return *text && json_dumpb(root, *text, *bytes, flags) == *bytes ? BN_OK
                                                                     : bn_fail_memory(w->err, *bytes, "a file of JSON");
}

static enum bn_result write_json(struct writer *w, const char *name,
                                 enum bn_result (*make)(struct bn_folder_source *from, json_t **out))
{
    json_t *root = NULL;
    w->from.lost = false;
    enum bn_result result = make(&w->from, &root);
    if (result == BN_OK && w->from.lost)
        result = bn_fail_memory(w->err, 0, "a file of JSON");
    char *text = NULL;
    size_t bytes = 0;
    if (result == BN_OK)
        result = dump(w, root, JSON_INDENT(1) | JSON_REAL_PRECISION(9), &text, &bytes);
    if (result == BN_OK)
        result = write_text(w, name, text, bytes);
    bn_free(w->source.host, text);
    json_decref(root);
    return result;
}

static enum bn_result write_header(struct writer *w)
{
    json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    uint64_t at = 0;
    for (size_t i = 0; i < w->n_items; i++) {
        const struct item *item = &w->items[i];
        json_t *shape = item->kind == SCALE ? json_pack("[i]", 1)
                        : item->kind == VECTOR
                            ? json_pack("[I]", (json_int_t)item->from->cols)
                            : json_pack("[I,I]", (json_int_t)item->from->rows / (item->kind == PACKED ? 4 : 1),
                                        (json_int_t)item->from->cols);
        w->from.lost |=
            json_object_set_new(root, item->name,
                                json_pack("{s:s,s:o,s:[I,I]}", "dtype", item->dtype, "shape", shape, "data_offsets",
                                          (json_int_t)at, (json_int_t)(at + item->bytes))) != 0;
        at += item->bytes;
    }
    char *text = NULL;
    size_t bytes = 0;
    enum bn_result result =
        w->from.lost ? bn_fail_memory(w->err, 0, "a header") : dump(w, root, JSON_COMPACT, &text, &bytes);
    json_decref(root);
    uint64_t padded = ((uint64_t)bytes + 7) / 8 * 8;
    if (result == BN_OK)
        result = put(w, &padded, sizeof(padded));
    if (result == BN_OK)
        result = put(w, text, bytes);
    if (result == BN_OK)
        result = put(w, "        ", padded - bytes);
    bn_free(w->source.host, text);
    w->done = 0;
    return result;
}

static enum bn_result write_weights(struct writer *w)
{
    static const char name[] = "model.safetensors";
    enum bn_result result = open_file(w, name);
    if (result == BN_OK)
        result = write_header(w);
    if (result == BN_OK && fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)w->total) != 0 && errno == ENOSPC)
        result = fail_io(w, name); // a full disk is better found before the work than after it
    for (size_t i = 0; i < w->n_items && result == BN_OK; i++)
        result = write_item(w, &w->items[i]);
    return close_file(w, name, result);
}

static enum bn_result write_files(struct writer *w)
{
    struct bn_str template = {0};
    enum bn_result result = write_json(w, "config.json", bn_folder_config);
    if (result == BN_OK)
        result = write_json(w, "generation_config.json", bn_folder_generation);
    if (result == BN_OK)
        result = write_json(w, "tokenizer.json", bn_folder_tokenizer);
    if (result == BN_OK)
        result = bn_gguf_get_str(&w->source.checkpoint.gguf, "tokenizer.chat_template", false, &template, w->err);
    if (result == BN_OK && template.bytes)
        result = write_text(w, "chat_template.jinja", template.data, template.bytes);
    return result == BN_OK ? write_weights(w) : result;
}

static void remove_files(const struct writer *w, const char *path)
{
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "chat_template.jinja", "model.safetensors"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(w->folder, names[i], 0);
    rmdir(path);
}

static enum bn_result write_folder(struct writer *w, const char *to)
{
    struct stat st;
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/')
        n--;
    char *final = bn_alloc(w->source.host, n + 1), *part = bn_alloc(w->source.host, n + 6);
    enum bn_result result = final && part ? BN_OK : bn_fail_memory(w->err, n, "a path");
    if (result == BN_OK) {
        memcpy(final, to, n);
        memcpy(part, to, n);
        memcpy(part + n, ".part", 5);
        if (lstat(final, &st) == 0)
            result = bn_fail_at(w->err, BN_ERR_IO, final, NULL, UINT64_MAX, "exists");
    }
    if (result == BN_OK && mkdir(part, 0777) != 0)
        result = bn_fail_errno(w->err, errno, part, "cannot be created");
    if (result == BN_OK) {
        w->folder = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = w->folder < 0 ? fail_io(w, part) : write_files(w);
        if (result == BN_OK && rename(part, final) != 0)
            result = bn_fail_errno(w->err, errno, final, "cannot be given its name");
        if (result != BN_OK && w->folder >= 0)
            remove_files(w, part);
        if (w->folder >= 0)
            close(w->folder);
    }
    bn_free(w->source.host, final);
    bn_free(w->source.host, part);
    return result;
}

enum bn_result bn_convert_to_folder(struct bn_runtime *runtime, const char *from, const char *to,
                                    enum bn_folder_form form, const struct bn_conversion *conversion,
                                    struct bn_converted *done, struct bn_error *err)
{
    struct writer w = {.conversion = conversion, .folder = -1, .fd = -1, .err = err};
    memset(done, 0, sizeof(*done));
    enum bn_result result = bn_source_open(&w.source, runtime, from, &conversion->options, err);
    if (result != BN_OK)
        return result;
    w.from = (struct bn_folder_source){.source = &w.source, .form = form, .err = err};
    result = bn_folder_find_family(&w.from);
    if (result == BN_OK)
        result = plan(&w);
    if (result == BN_OK)
        result = write_folder(&w, to);
    *done = (struct bn_converted){.bytes = w.total, .n_tensors = w.n_items};
    bn_free(w.source.host, w.items);
    bn_source_close(&w.source);
    return result;
}
