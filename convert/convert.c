#include "convert/convert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/part_file.h"
#include "convert/source.h"
#include "convert/xxh64.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/model/key_blob.h"

#define SUMS_KEY "bitnet.checksums"
#define ALIGNMENT 32u
#define I2S_TAIL 32u
#define BLOCK (8u << 20) // written between two looks at the clock
#define SAMPLE 4096u     // bytes of either end of a tensor that count for the fingerprint

static const struct bn_target targets[] = {
    {"f32", BN_GGUF_TENSOR_F32, BN_LAYOUT_F32, false, 0},
    {"f16", BN_GGUF_TENSOR_F16, BN_LAYOUT_F16, false, 1},
    {"bf16", BN_GGUF_TENSOR_BF16, BN_LAYOUT_BF16, false, 32},
    {"q8_0", 8, BN_LAYOUT_Q8_0, false, 7},
    {"q5_0", 6, BN_LAYOUT_Q5_0, false, 8},
    {"q4_0", 2, BN_LAYOUT_Q4_0, false, 2},
    {"q6_k", 14, BN_LAYOUT_Q6_K, false, 18},
    {"i2_s", BN_GGUF_TENSOR_I2S, BN_LAYOUT_I2S_A, true, 40},
    {"tq1_0", 34, BN_LAYOUT_TQ1_0, true, 36},
    {"tq2_0", 35, BN_LAYOUT_TQ2_0, true, 37},
    {"q2_0", 42, BN_LAYOUT_Q2_0, true, 0},
    {"pq2_0", 142, BN_LAYOUT_PQ2_0, true, 0},
    {"ptq1_0", 143, BN_LAYOUT_PTQ1_0, true, 0},
    {"iq1_bn", 134, BN_LAYOUT_IQ1_BN, true, 0},
    {"iq2_bn", 135, BN_LAYOUT_IQ2_BN, true, 0},
    {"iq2_bn_r4", 335, BN_LAYOUT_IQ2_BN_R4, true, 0},
};

static const struct {
    const char *name;
    enum bn_layout layout;
} orders[] = {
    [BN_I2S_AUTO] = {NULL, BN_LAYOUT_I2S_A},
    [BN_I2S_A] = {NULL, BN_LAYOUT_I2S_A},
    [BN_I2S_B] = {"64/16", BN_LAYOUT_I2S_B},
    [BN_I2S_C] = {"1x4", BN_LAYOUT_I2S_C},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct bn_target *bn_targets(size_t *n)
{
    *n = COUNT(targets);
    return targets;
}

// What a tensor of the file that is made holds: a tensor of the source, or a part of the scan copy of its head.
enum part { PART_WEIGHTS, PART_SCAN_ROWS, PART_SCAN_INFO };

static const struct {
    const char *name;
    struct bn_target target;
} scan_parts[] = {
    [PART_SCAN_ROWS] = {BN_GGUF_SCAN_ROWS, {.name = "i8", .type = BN_GGUF_TENSOR_I8}},
    [PART_SCAN_INFO] = {BN_GGUF_SCAN_INFO, {.name = "f32", .type = BN_GGUF_TENSOR_F32}},
};

// A tensor of the file that is made.
struct item {
    enum part part;
    const struct bn_tensor *from;
    const struct bn_target *target;
    enum bn_layout layout; // the target's, in the order that is asked for
    uint64_t data_bytes;   // without I2_S's tail
    bool copied;
};

struct converter {
    const struct bn_conversion *conversion;
    struct bn_source source;
    struct item *items;
    uint64_t *offsets, *bytes;
    size_t n_items;
    struct bn_key_blob keys; // and the list of tensors
    size_t sums_at;
    struct bn_part part;
    uint8_t *made, *permuted,
        *trits;              // room for the largest of what is made, put in order, and quantised before it is packed
    uint8_t *stripe;         // [BLOCK], of the scan copy
    const struct item *head; // of which there is one; NULL: none
    uint64_t done, total;
    struct bn_error *err;
};

static const struct bn_target *find_target(const char *name)
{
    for (size_t i = 0; i < COUNT(targets); i++)
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    return NULL;
}

// The type that holds a layout as it is.
static const struct bn_target *same_target(enum bn_layout layout)
{
    if (layout == BN_LAYOUT_I2S_B || layout == BN_LAYOUT_I2S_C)
        layout = BN_LAYOUT_I2S_A;
    for (size_t i = 0; i < COUNT(targets); i++)
        if (targets[i].layout == layout)
            return &targets[i];
    return NULL;
}

static enum bn_result fail(const struct converter *c, enum bn_result code, const struct bn_tensor *tensor,
                           const char *message)
{
    struct bn_str name = {tensor->name, strlen(tensor->name)};
    return bn_gguf_fail(&c->source.checkpoint.gguf, code, &name, tensor->offset, c->err, "%s", message);
}

static const struct bn_target *choose(const struct converter *c, const struct bn_tensor *tensor)
{
    const struct bn_conversion *conversion = c->conversion;
    enum bn_source_kind kind = bn_source_kind_of(&c->source, tensor);
    if (kind == BN_SOURCE_VECTOR)
        return find_target("f32");
    const char *name = kind == BN_SOURCE_LINEAR ? conversion->matrices : conversion->embeddings;
    if (name)
        return find_target(name);
    // Matrices that are still to be quantised, and packed ones of Hugging Face, become what every program reads; those that I2_S
    // cannot hold, what has a scale per row.
    const struct bn_target *same = same_target(tensor->layout);
    if (kind == BN_SOURCE_EMBEDDING || (same && same->ternary))
        return same;
    return find_target(tensor->cols % 128 == 0 ? "i2_s" : "iq2_bn");
}

static enum bn_result plan_item(struct converter *c, const struct bn_tensor *tensor, struct item *item)
{
    char message[160];
    item->from = tensor;
    item->target = choose(c, tensor);
    if (!item->target) {
        snprintf(message, sizeof(message), "%s cannot be written as it is; say what it shall become",
                 bn_layout_get(tensor->layout)->name);
        return fail(c, BN_ERR_UNSUPPORTED, tensor, message);
    }
    item->layout =
        item->target->type == BN_GGUF_TENSOR_I2S ? orders[c->conversion->order].layout : item->target->layout;
    if (item->target->type == BN_GGUF_TENSOR_I2S && c->conversion->order == BN_I2S_AUTO && !c->conversion->matrices &&
        (tensor->layout == BN_LAYOUT_I2S_B || tensor->layout == BN_LAYOUT_I2S_C))
        item->layout = tensor->layout; // as it is
    item->data_bytes = bn_layout_bytes(item->layout, tensor->rows, tensor->cols);
    if (item->data_bytes == 0 || tensor->cols % bn_layout_get(item->layout)->block_cols) {
        snprintf(message, sizeof(message), "%" PRIu32 " rows and %" PRIu32 " columns do not fit %s", tensor->rows,
                 tensor->cols, bn_layout_get(item->layout)->name);
        return fail(c, BN_ERR_UNSUPPORTED, tensor, message);
    }
    item->copied = item->layout == tensor->layout && !bn_source_is_permuted(&c->source, tensor);
    return BN_OK;
}

// Floats become trits in the layout that holds them, by the scale of a master or by their own; from there they go on.
static bool needs_trits(const struct item *item)
{
    bool direct = item->from->as == BN_LAYOUT_I2S_A && bn_layout_get(item->layout)->reach == BN_SCALE_TENSOR;
    return item->from->rule != 0 && item->target->ternary && !direct;
}

static uint64_t scan_row_bytes(const struct item *item)
{
    return item->part == PART_SCAN_ROWS ? item->from->cols : sizeof(struct bn_scan_row);
}

// The scan copy of the head, as the head is written, if that is large enough.
static void plan_scan(struct converter *c)
{
    const struct bn_model *model = c->source.model;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (&model->tensors[i] == model->output)
            c->head = &c->items[i];
    if (!c->conversion->scan_from || c->head->data_bytes < c->conversion->scan_from || model->pools_last ||
        model->output->cols % BN_SCAN_BLOCK || model->output->cols > BLOCK)
        return;
    for (enum part part = PART_SCAN_ROWS; part <= PART_SCAN_INFO; part++) {
        struct item *item = &c->items[c->n_items++];
        *item = (struct item){.part = part, .from = model->output, .target = &scan_parts[part].target};
        item->data_bytes = scan_row_bytes(item) * model->output->rows;
    }
}

static enum bn_result plan(struct converter *c)
{
    const struct bn_model *model = c->source.model;
    uint64_t at = 0, most = 0, most_permuted = 0, most_trits = 0;
    size_t room = model->n_tensors + COUNT(scan_parts);
    c->items = bn_alloc_array(c->source.host, room, sizeof(*c->items));
    c->offsets = bn_alloc_array(c->source.host, room, sizeof(*c->offsets));
    c->bytes = bn_alloc_array(c->source.host, room, sizeof(*c->bytes));
    if (!c->items || !c->offsets || !c->bytes)
        return bn_fail_memory(c->err, room * sizeof(*c->items), "the list of tensors");
    for (; c->n_items < model->n_tensors; c->n_items++) {
        enum bn_result result = plan_item(c, &model->tensors[c->n_items], &c->items[c->n_items]);
        if (result != BN_OK)
            return result;
    }
    plan_scan(c);
    for (size_t i = 0; i < c->n_items; i++) {
        const struct item *item = &c->items[i];
        c->bytes[i] = item->data_bytes + (item->target->type == BN_GGUF_TENSOR_I2S ? I2S_TAIL : 0);
        c->bytes[i] = (c->bytes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; // the padding counts for the checksum
        c->offsets[i] = at;
        at += c->bytes[i];
        c->total += c->bytes[i];
        if (item->part != PART_WEIGHTS)
            continue;
        if (!item->copied && item->data_bytes > most)
            most = item->data_bytes;
        uint64_t in_order_a = bn_layout_bytes(BN_LAYOUT_I2S_A, item->from->rows, item->from->cols);
        uint64_t moved = item->from->bytes > in_order_a ? item->from->bytes : in_order_a;
        if (bn_source_is_permuted(&c->source, item->from) && moved > most_permuted)
            most_permuted = moved;
        uint64_t n_scales = item->from->rows * bn_layout_scales(item->from->as, item->from->cols);
        if (needs_trits(item) && in_order_a + n_scales * sizeof(float) > most_trits)
            most_trits = in_order_a + n_scales * sizeof(float);
    }
    c->made = bn_alloc(c->source.host, most);
    c->permuted = bn_alloc(c->source.host, most_permuted);
    c->trits = bn_alloc(c->source.host, most_trits);
    c->stripe = bn_alloc(c->source.host, c->n_items > model->n_tensors ? BLOCK : 0);
    return c->made && c->permuted && c->trits && c->stripe
               ? BN_OK
               : bn_fail_memory(c->err, most + most_permuted + most_trits, "a tensor");
}

// Keys that are written anew, or mean nothing in one file.
static bool is_dropped(const struct bn_gguf_key *key)
{
    static const char *const dropped[] = {"general.alignment", "general.file_type", "bitnet.i2s_layout", SUMS_KEY};
    for (size_t i = 0; i < COUNT(dropped); i++)
        if (bn_str_is(key->name, dropped[i]))
            return true;
    return bn_str_starts(key->name, "split.");
}

static void write_keys(struct converter *c)
{
    const struct bn_gguf *gguf = &c->source.checkpoint.gguf;
    uint32_t file_type = 0;
    const char *order = NULL;
    for (uint32_t i = 0; i < gguf->n_keys; i++)
        if (!is_dropped(&gguf->keys[i]))
            bn_key_copy(&c->keys, &gguf->keys[i]);
    for (size_t i = 0; i < c->n_items; i++) {
        if (bn_source_kind_of(&c->source, c->items[i].from) == BN_SOURCE_LINEAR)
            file_type = c->items[i].target->file_type;
        for (size_t o = BN_I2S_B; o < COUNT(orders); o++)
            order = c->items[i].layout == orders[o].layout ? orders[o].name : order;
    }
    if (file_type)
        bn_key_u32(&c->keys, "general.file_type", file_type);
    if (order)
        bn_key_str(&c->keys, "bitnet.i2s_layout", (struct bn_str){order, strlen(order)});
    bn_key_array(&c->keys, SUMS_KEY, BN_GGUF_U64, c->n_items);
    c->sums_at = c->keys.bytes;
    for (size_t i = 0; i < c->n_items; i++)
        bn_key_blob_put(&c->keys, &(uint64_t){0}, sizeof(uint64_t));
}

static enum bn_result write_head(struct converter *c)
{
    bn_key_blob_begin(&c->keys, c->source.host);
    write_keys(c);
    for (size_t i = 0; i < c->n_items; i++) {
        const struct item *item = &c->items[i];
        bool vector = bn_source_kind_of(&c->source, item->from) == BN_SOURCE_VECTOR;
        const char *name = item->part == PART_WEIGHTS ? item->from->name : scan_parts[item->part].name;
        const uint64_t dims[2] = {item->part == PART_SCAN_INFO ? 3 : item->from->cols, item->from->rows};
        const uint32_t n_dims = vector ? 1 : 2;
        bn_key_blob_put_str(&c->keys, (struct bn_str){name, strlen(name)});
        bn_key_blob_put(&c->keys, &n_dims, sizeof(n_dims));
        bn_key_blob_put(&c->keys, dims, n_dims * sizeof(dims[0]));
        bn_key_blob_put(&c->keys, &item->target->type, sizeof(item->target->type));
        bn_key_blob_put(&c->keys, &c->offsets[i], sizeof(c->offsets[i]));
    }
    c->keys.n_tensors = c->n_items;
    size_t data_at = bn_key_blob_room(&c->keys, 0, ALIGNMENT);
    for (size_t i = 0; i < c->n_items; i++)
        c->offsets[i] += data_at;
    return bn_key_blob_end(&c->keys, c->err);
}

// Of what is converted: its tensors' places, and both ends of their data.
static uint64_t fingerprint(const struct converter *c)
{
    struct bn_xxh64 state;
    bn_xxh64_begin(&state);
    for (size_t i = 0; i < c->n_items; i++) {
        const struct bn_tensor *tensor = c->items[i].from;
        uint64_t n = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;
        bn_xxh64_add(&state, &tensor->offset, sizeof(tensor->offset));
        bn_xxh64_add(&state, &tensor->layout, sizeof(tensor->layout));
        bn_xxh64_add(&state, &tensor->scale, sizeof(tensor->scale));
        bn_xxh64_add(&state, tensor->data, (size_t)n);
        bn_xxh64_add(&state, tensor->data + tensor->bytes - n, (size_t)n);
    }
    bn_xxh64_add(&state, &c->conversion->lossy, sizeof(c->conversion->lossy));
    bn_xxh64_add(&state, &c->n_items, sizeof(c->n_items));
    return bn_xxh64_end(&state);
}

// Rows in the order of GGUF: `to` has the layout of `from`, or order A for packed trits.
static enum bn_result permute(struct converter *c, const struct bn_tensor *from, struct bn_matrix *to)
{
    const struct bn_layout_info *info = bn_layout_get(from->layout), *order_a = bn_layout_get(BN_LAYOUT_I2S_A);
    *to = bn_tensor_matrix(from);
    to->data = c->permuted;
    if (from->rows % c->source.model->info.head_dim)
        return fail(c, BN_ERR_MODEL, from, "its rows are not whole heads");
    if (info->kind == BN_LAYOUT_FLOAT && info->block_cols == 1) {
        size_t bytes = (size_t)from->cols * info->block_bytes;
        for (uint32_t r = 0; r < from->rows; r++)
            memcpy(c->permuted + r * bytes, from->data + bn_source_row(&c->source, r) * bytes, bytes);
        return BN_OK;
    }
    if (info->kind != BN_LAYOUT_TERNARY || info->reach != BN_SCALE_TENSOR)
        return fail(c, BN_ERR_UNSUPPORTED, from, "the rows of this layout cannot be put into another order");
    int8_t *trits = bn_alloc(c->source.host, from->cols);
    if (!trits)
        return bn_fail_memory(c->err, from->cols, "a row of weights");
    to->layout = BN_LAYOUT_I2S_A;
    enum bn_result result = BN_OK;
    for (uint32_t r = 0; r < from->rows && result == BN_OK; r++) {
        uint32_t source = bn_source_row(&c->source, r);
        if (!info->unpack(from->data, from->rows, from->cols, source, source + 1, trits))
            result = fail(c, BN_ERR_MODEL, from, "a weight has an unused code");
        else
            order_a->pack(trits, from->rows, from->cols, r, r + 1, c->permuted);
    }
    bn_free(c->source.host, trits);
    return result;
}

// The data of the item; *scale is what stands in I2_S's tail.
static enum bn_result make(struct converter *c, const struct item *item, const uint8_t **data, float *scale)
{
    *data = item->from->data;
    *scale = item->from->scale;
    if (item->copied)
        return BN_OK;
    struct bn_error inner = {0};
    struct bn_matrix from = bn_tensor_matrix(item->from);
    struct bn_repacked to = {.layout = item->layout, .data = c->made, .scale = from.scale};
    enum bn_result result = BN_OK;
    if (bn_source_is_permuted(&c->source, item->from))
        result = permute(c, item->from, &from);
    if (result != BN_OK)
        return result;
    if (from.layout == item->layout) {
        *data = from.data;
        return BN_OK;
    }
    if (needs_trits(item)) {
        enum bn_layout as =
            item->from->as; // of order A, whose rows are whole blocks: the scales behind them are aligned
        float *scales = (float *)(void *)(c->trits + bn_layout_bytes(as, from.rows, from.cols));
        scales = bn_layout_scales(as, from.cols) ? scales : NULL;
        struct bn_repacked trits = {.layout = as, .data = c->trits, .scales = scales};
        result = bn_repack(c->source.host, &from, &trits, BN_REPACK_EXACT, &inner);
        from = (struct bn_matrix){as, from.rows, from.cols, c->trits, scales, item->from->scale};
    }
    if (result == BN_OK)
        result =
            bn_repack(c->source.host, &from, &to, c->conversion->lossy ? BN_REPACK_LOSSY : BN_REPACK_EXACT, &inner);
    if (result != BN_OK)
        return fail(c, result, item->from, inner.message);
    *data = c->made;
    // A master's was chosen when it was read.
    *scale = item->from->rule != 0 && !needs_trits(item) ? item->from->scale : to.scale;
    return BN_OK;
}

static enum bn_result report(struct converter *c, uint64_t bytes)
{
    const struct bn_conversion *conversion = c->conversion;
    c->done += bytes;
    if (!conversion->progress || conversion->progress(conversion->user, c->done, c->total))
        return BN_OK;
    return bn_fail(c->err, BN_ERR_CANCELLED, "interrupted");
}

// `n` bytes of the tensor's data from `at` on.
static enum bn_result write_block(struct converter *c, uint64_t at, const uint8_t *data, size_t n, struct bn_xxh64 *sum)
{
    bn_xxh64_add(sum, data, n);
    enum bn_result result = bn_part_write(&c->part, at, data, n, c->err);
    return result == BN_OK ? report(c, n) : result;
}

// Rows of the scan copy, made of the head as it is written.
static enum bn_result write_scan(struct converter *c, const struct item *item, const uint8_t *head, float scale,
                                 struct bn_xxh64 *sum)
{
    const uint32_t rows = item->from->rows, cols = item->from->cols;
    const struct bn_matrix matrix = {c->head->layout, rows, cols, head, NULL, scale};
    const size_t row_bytes = (size_t)scan_row_bytes(item), most = BLOCK / row_bytes;
    float *row = bn_alloc_array(c->source.host, cols, sizeof(*row));
    int8_t *q = bn_alloc(c->source.host, cols);
    enum bn_result result = row && q ? BN_OK : bn_fail_memory(c->err, cols * sizeof(*row), "a row of the head");
    for (size_t first = 0, n; first < rows && result == BN_OK; first += n) {
        n = rows - first < most ? rows - first : most;
        for (size_t i = 0; i < n && result == BN_OK; i++) {
            struct bn_scan_row info;
            bn_matrix_widen(&matrix, first + i, row);
            if (!bn_scan_quantise(row, cols, q, &info))
                result = fail(c, BN_ERR_UNSUPPORTED, item->from, "a row is not finite or too small to be scanned");
            memcpy(c->stripe + i * row_bytes, item->part == PART_SCAN_ROWS ? (const void *)q : &info, row_bytes);
        }
        if (result == BN_OK)
            result = write_block(c, first * row_bytes, c->stripe, n * row_bytes, sum);
    }
    bn_free(c->source.host, row);
    bn_free(c->source.host, q);
    return result;
}

static enum bn_result write_item(struct converter *c, const struct item *item)
{
    const uint8_t *data;
    uint8_t tail[I2S_TAIL + ALIGNMENT] = {0}; // zeros are what the padding is
    float scale;
    struct bn_xxh64 sum;
    bn_xxh64_begin(&sum);
    enum bn_result result = make(c, item->part == PART_WEIGHTS ? item : c->head, &data, &scale);
    if (result == BN_OK && item->part != PART_WEIGHTS)
        result = write_scan(c, item, data, scale, &sum);
    for (uint64_t at = 0; item->part == PART_WEIGHTS && at < item->data_bytes && result == BN_OK; at += BLOCK) {
        uint64_t left = item->data_bytes - at;
        result = write_block(c, at, data + at, left < BLOCK ? (size_t)left : BLOCK, &sum);
    }
    size_t left = (size_t)(c->bytes[item - c->items] - item->data_bytes);
    if (result == BN_OK && item->target->type == BN_GGUF_TENSOR_I2S)
        memcpy(tail, &scale, sizeof(scale));
    bn_xxh64_add(&sum, tail, left);
    if (result == BN_OK && left)
        result = bn_part_write(&c->part, item->data_bytes, tail, left, c->err);
    if (result == BN_OK)
        result = report(c, left);
    uint64_t hash = bn_xxh64_end(&sum);
    return result == BN_OK ? bn_part_sum(&c->part, hash ? hash : 1, c->err) : result;
}

static enum bn_result write_all(struct converter *c, const char *to, struct bn_converted *done)
{
    size_t last = c->n_items - 1;
    const struct bn_part_config config = {
        .path = to,
        .head = c->keys.data,
        .head_bytes = c->keys.bytes,
        .sums_at = c->sums_at,
        .n_tensors = c->n_items,
        .offsets = c->offsets,
        .bytes = c->bytes,
        .total = c->offsets[last] + c->bytes[last],
        .fingerprint = fingerprint(c),
        .resume = c->conversion->resume,
    };
    enum bn_result result = bn_part_begin(&c->part, c->source.host, &config, c->err);
    if (result != BN_OK)
        return result;
    for (uint64_t i = 0; i < c->part.n_done; i++)
        done->kept += c->bytes[i];
    result = report(c, done->kept);
    while (c->part.n_done < c->n_items && result == BN_OK)
        result = write_item(c, &c->items[c->part.n_done]);
    if (result == BN_OK)
        result = bn_part_end(&c->part, c->err);
    done->bytes = config.total;
    bn_part_close(&c->part, result == BN_ERR_CANCELLED || result == BN_ERR_IO);
    return result;
}

enum bn_result bn_convert(struct bn_runtime *runtime, const char *from, const char *to,
                          const struct bn_conversion *conversion, struct bn_converted *done, struct bn_error *err)
{
    struct converter c = {.conversion = conversion, .err = err, .part = {.fd = -1}};
    memset(done, 0, sizeof(*done));
    const char *const names[] = {conversion->matrices, conversion->embeddings};
    for (size_t i = 0; i < COUNT(names); i++)
        if (names[i] && !find_target(names[i]))
            return bn_fail(err, BN_ERR_ARGUMENT, "no type of weights is called \"%s\"", names[i]);
    if ((unsigned)conversion->order >= COUNT(orders))
        return bn_fail(err, BN_ERR_ARGUMENT, "unknown order of I2_S");
    enum bn_result result = bn_source_open(&c.source, runtime, from, &conversion->options, err);
    if (result != BN_OK)
        return result;
    result = plan(&c);
    if (result == BN_OK)
        result = write_head(&c);
    if (result == BN_OK)
        result = write_all(&c, to, done);
    done->n_tensors = c.n_items;
    for (size_t i = 0; result == BN_OK && i < c.n_items; i++)
        done->n_copied += c.items[i].copied;
    bn_free(c.source.host, c.items);
    bn_free(c.source.host, c.offsets);
    bn_free(c.source.host, c.bytes);
    bn_free(c.source.host, c.made);
    bn_free(c.source.host, c.permuted);
    bn_free(c.source.host, c.trits);
    bn_free(c.source.host, c.stripe);
    bn_key_blob_finish(&c.keys);
    bn_source_close(&c.source);
    return result;
}

static enum bn_result compare_sums(const struct bn_gguf *gguf, const struct bn_gguf_key *key,
                                   bool (*progress)(void *user, uint64_t done, uint64_t total), void *user,
                                   struct bn_error *err)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t stored;
        memcpy(&stored, key->data + i * sizeof(stored), sizeof(stored));
        uint64_t sum = bn_tensor_sum(gguf->data + tensor->offset, (size_t)tensor->room);
        if (sum != stored)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->offset, err,
                                "the data does not have the checksum that was stored with it");
        done += tensor->room;
        if (progress && !progress(user, done, gguf->size))
            return bn_fail(err, BN_ERR_CANCELLED, "interrupted");
    }
    return BN_OK;
}

enum bn_result bn_verify(struct bn_runtime *runtime, const char *path,
                         bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                         struct bn_error *err)
{
    struct bn_checkpoint checkpoint;
    const struct bn_gguf_key *key;
    *n = 0;
    enum bn_result result = bn_checkpoint_open(&checkpoint, &runtime->host, path, true, err);
    if (result != BN_OK)
        return result;
    const struct bn_gguf *gguf = &checkpoint.gguf;
    result = bn_gguf_get_array(gguf, SUMS_KEY, false, BN_GGUF_U64, &key, err);
    if (result == BN_OK && !key)
        result = bn_fail_at(err, BN_ERR_NOT_FOUND, path, SUMS_KEY, UINT64_MAX,
                            "has no checksums: files that bitnet-convert wrote have them");
    if (result == BN_OK && key->count != gguf->n_tensors)
        result = bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err,
                              "%" PRIu64 " checksums of %" PRIu32 " tensors", key->count, gguf->n_tensors);
    if (result == BN_OK)
        result = compare_sums(gguf, key, progress, user, err);
    if (result == BN_OK)
        *n = gguf->n_tensors;
    bn_checkpoint_close(&checkpoint);
    return result;
}
