#include "convert/convert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/part_file.h"
#include "convert/rows.h"
#include "convert/work.h"
#include "convert/xxh64.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/model/key_blob.h"

#define ALIGNMENT 32u
#define I2S_TAIL 32u
#define PIECE (512u << 10) // bytes that a thread has under way, about: they stay in its cache
#define SAMPLE 4096u       // bytes of either end of a tensor that count for the fingerprint

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
    struct bn_rows rows; // with the target's layout, in the order that is asked for
    uint64_t data_bytes; // without I2_S's tail
    bool copied;
    // It is made in pieces of so many bytes, if it is copied, or rows.
    uint64_t step, n_steps, first_piece;
    uint64_t left;            // pieces that are still to be written
    uint64_t sum;             // of the checksum
    struct bn_repacked whole; // of the pieces put in order
};

// What a thread has under way.
struct slot {
    struct bn_rows_room room;
    float *row;    // of the head
    uint8_t *scan; // rows of its copy
    struct item *item;
    bool first, last; // piece of the item
    const uint8_t *data;
    uint64_t at; // in the item's data
    size_t bytes;
    struct bn_repacked made;
    uint8_t tail[I2S_TAIL + ALIGNMENT]; // behind the last piece's: zeros are what the padding is
    size_t tail_bytes;
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
    struct bn_rows_memory memory;
    struct slot slots[BN_WORK_MOST_THREADS];
    struct item *head;             // of which there is one, if there is a scan copy; else NULL
    struct bn_scan_row *scan_info; // of its rows
    bool scan_made;                // in this run
    size_t begin, end;             // items that are under way
    struct bn_xxh64 sum;           // of the item whose pieces are put in order
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
                           const char *message, struct bn_error *err)
{
    struct bn_str name = {tensor->name, strlen(tensor->name)};
    return bn_gguf_fail(&c->source.checkpoint.gguf, code, &name, tensor->offset, err, "%s", message);
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
        return fail(c, BN_ERR_UNSUPPORTED, tensor, message, c->err);
    }
    enum bn_layout layout = item->target->layout;
    if (item->target->type == BN_GGUF_TENSOR_I2S)
        layout = orders[c->conversion->order].layout;
    if (item->target->type == BN_GGUF_TENSOR_I2S && c->conversion->order == BN_I2S_AUTO && !c->conversion->matrices &&
        (tensor->layout == BN_LAYOUT_I2S_B || tensor->layout == BN_LAYOUT_I2S_C))
        layout = tensor->layout; // as it is
    item->data_bytes = bn_layout_bytes(layout, tensor->rows, tensor->cols);
    if (item->data_bytes == 0 || tensor->cols % bn_layout_get(layout)->block_cols) {
        snprintf(message, sizeof(message), "%" PRIu32 " rows and %" PRIu32 " columns do not fit %s", tensor->rows,
                 tensor->cols, bn_layout_get(layout)->name);
        return fail(c, BN_ERR_UNSUPPORTED, tensor, message, c->err);
    }
    item->rows = (struct bn_rows){
        .source = &c->source,
        .from = tensor,
        .layout = layout,
        .turned = bn_source_is_permuted(&c->source, tensor),
        .row = bn_source_row,
        .loss = c->conversion->lossy ? BN_REPACK_LOSSY : BN_REPACK_EXACT,
    };
    item->copied = layout == tensor->layout && !item->rows.turned;
    return BN_OK;
}

static uint64_t scan_row_bytes(const struct item *item)
{
    return item->part == PART_SCAN_ROWS ? item->from->cols : sizeof(struct bn_scan_row);
}

// The scan copy of the head, as the head is written, if that is large enough.
static enum bn_result plan_scan(struct converter *c)
{
    const struct bn_model *model = c->source.model;
    struct item *head = NULL;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (&model->tensors[i] == model->output)
            head = &c->items[i];
    if (!c->conversion->scan_from || !head || head->data_bytes < c->conversion->scan_from || model->pools_last ||
        model->output->cols % BN_SCAN_BLOCK)
        return BN_OK;
    c->head = head;
    for (enum part part = PART_SCAN_ROWS; part <= PART_SCAN_INFO; part++) {
        struct item *item = &c->items[c->n_items++];
        *item = (struct item){.part = part, .from = model->output, .target = &scan_parts[part].target};
        item->rows = head->rows;
        item->data_bytes = scan_row_bytes(item) * model->output->rows;
    }
    c->scan_info = bn_alloc_array(c->source.host, model->output->rows, sizeof(*c->scan_info));
    return c->scan_info ? BN_OK : bn_fail_memory(c->err, model->output->rows * sizeof(*c->scan_info), "a scan copy");
}

// How the item is made in pieces, and the memory that one takes.
static bool plan_pieces(struct converter *c, struct item *item)
{
    const struct bn_tensor *tensor = item->from;
    uint64_t row_bytes = item->part == PART_WEIGHTS ? item->data_bytes / tensor->rows : tensor->cols;
    uint64_t rows = PIECE / (row_bytes + 1) / BN_REPACK_ROWS * BN_REPACK_ROWS;
    rows = rows < BN_REPACK_ROWS ? BN_REPACK_ROWS : rows > tensor->rows ? tensor->rows : rows;
    bool in_bytes = item->copied && item->part == PART_WEIGHTS;
    item->step = in_bytes ? PIECE : rows;
    item->n_steps = ((in_bytes ? item->data_bytes : tensor->rows) + item->step - 1) / item->step;
    bool made = item->part != PART_WEIGHTS ? !c->head->copied : !item->copied;
    return !made || bn_rows_add_memory(&item->rows, (uint32_t)rows, &c->memory);
}

static enum bn_result reserve(struct converter *c, uint32_t threads)
{
    size_t cols = c->head ? c->head->from->cols : 0;
    enum bn_result result = BN_OK;
    for (uint32_t i = 0; i < threads && result == BN_OK; i++) {
        struct slot *slot = &c->slots[i];
        result = bn_rows_reserve(c->source.host, &c->memory, &slot->room, c->err);
        slot->row = bn_alloc_array(c->source.host, cols, sizeof(*slot->row));
        slot->scan = bn_alloc(c->source.host, c->head ? PIECE + BN_REPACK_ROWS * cols : 0);
        if (result == BN_OK && (!slot->row || !slot->scan))
            result = bn_fail_memory(c->err, PIECE, "rows of a scan copy");
    }
    return result;
}

static enum bn_result plan(struct converter *c)
{
    const struct bn_model *model = c->source.model;
    uint64_t at = 0;
    size_t room = model->n_tensors + COUNT(scan_parts);
    c->items = bn_alloc_array(c->source.host, room, sizeof(*c->items));
    c->offsets = bn_alloc_array(c->source.host, room, sizeof(*c->offsets));
    c->bytes = bn_alloc_array(c->source.host, room, sizeof(*c->bytes));
    if (!c->items || !c->offsets || !c->bytes)
        return bn_fail_memory(c->err, room * sizeof(*c->items), "the list of tensors");
    enum bn_result result = BN_OK;
    for (; c->n_items < model->n_tensors && result == BN_OK; c->n_items++)
        result = plan_item(c, &model->tensors[c->n_items], &c->items[c->n_items]);
    if (result == BN_OK)
        result = plan_scan(c);
    for (size_t i = 0; i < c->n_items && result == BN_OK; i++) {
        struct item *item = &c->items[i];
        c->bytes[i] = item->data_bytes + (item->target->type == BN_GGUF_TENSOR_I2S ? I2S_TAIL : 0);
        c->bytes[i] = (c->bytes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; // the padding counts for the checksum
        c->offsets[i] = at;
        at += c->bytes[i];
        c->total += c->bytes[i];
        if (!plan_pieces(c, item))
            result = fail(c, BN_ERR_UNSUPPORTED, item->from, "its rows are too long", c->err);
    }
    return result;
}

// Keys that are written anew, or mean nothing in one file.
static bool is_dropped(const struct bn_gguf_key *key)
{
    static const char *const dropped[] = {"general.alignment", "general.file_type", "bitnet.i2s_layout", BN_SUMS_KEY};
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
            order = c->items[i].rows.layout == orders[o].layout ? orders[o].name : order;
    }
    if (file_type)
        bn_key_u32(&c->keys, "general.file_type", file_type);
    if (order)
        bn_key_str(&c->keys, "bitnet.i2s_layout", (struct bn_str){order, strlen(order)});
    bn_key_array(&c->keys, BN_SUMS_KEY, BN_GGUF_U64, c->n_items);
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

// Rows first .. end - 1 of the scan copy, made of the head as it is written.
static enum bn_result make_scan(struct converter *c, struct slot *slot, uint32_t first, uint32_t end,
                                struct bn_error *err)
{
    const struct item *item = slot->item, *head = c->head;
    struct bn_matrix matrix = {head->rows.layout, item->from->rows, item->from->cols, item->from->data, NULL, 1};
    struct bn_repacked made;
    const uint32_t to_first = head->copied ? first : 0;
    const size_t row_bytes = (size_t)scan_row_bytes(item);
    slot->data = item->part == PART_SCAN_ROWS ? slot->scan : (const uint8_t *)(c->scan_info + first);
    if (item->part == PART_SCAN_INFO && c->scan_made)
        return BN_OK;
    if (!head->copied) {
        enum bn_result result = bn_rows_make(&item->rows, first, end, &slot->room, &made, err);
        if (result != BN_OK)
            return result;
        matrix.rows = end - first;
        matrix.data = slot->room.made;
    }
    matrix.scale = head->copied ? item->from->scale : bn_rows_scale(&head->rows, &head->whole);
    for (uint32_t r = first; r < end; r++) {
        // The quantised row of the second part counts for nothing.
        int8_t *q = (int8_t *)slot->scan + (item->part == PART_SCAN_ROWS ? (r - first) * row_bytes : 0);
        bn_matrix_widen(&matrix, to_first + r - first, slot->row);
        if (!bn_scan_quantise(slot->row, matrix.cols, q, &c->scan_info[r]))
            return fail(c, BN_ERR_UNSUPPORTED, item->from, "a row is not finite or too small to be scanned", err);
    }
    return BN_OK;
}

static struct item *item_of(struct converter *c, uint64_t piece)
{
    size_t low = c->begin, high = c->end;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (c->items[middle].first_piece <= piece)
            low = middle;
        else
            high = middle;
    }
    return &c->items[low];
}

static uint64_t bytes_of(const struct item *item, uint64_t rows)
{
    return item->part == PART_WEIGHTS ? bn_layout_bytes(item->rows.layout, rows, item->from->cols)
                                      : rows * scan_row_bytes(item);
}

static enum bn_result make_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct converter *c = user;
    struct slot *slot = &c->slots[thread];
    struct item *item = slot->item = item_of(c, piece);
    uint64_t step = piece - item->first_piece, first = step * item->step, end = first + item->step;
    slot->first = step == 0;
    slot->last = step == item->n_steps - 1;
    if (item->copied) {
        slot->at = first;
        slot->bytes = (size_t)((slot->last ? item->data_bytes : end) - first);
        slot->data = item->from->data + first;
        return BN_OK;
    }
    end = slot->last ? item->from->rows : end;
    slot->at = bytes_of(item, first);
    slot->bytes = (size_t)(bytes_of(item, end) - slot->at);
    if (item->part != PART_WEIGHTS)
        return make_scan(c, slot, (uint32_t)first, (uint32_t)end, err);
    slot->data = slot->room.made;
    return bn_rows_make(&item->rows, (uint32_t)first, (uint32_t)end, &slot->room, &slot->made, err);
}

// The scale, the checksum, and what stands behind the data.
static enum bn_result order_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct converter *c = user;
    struct slot *slot = &c->slots[thread];
    struct item *item = slot->item;
    enum bn_result result = BN_OK;
    bool made = item->part == PART_WEIGHTS && !item->copied;
    if (slot->first)
        bn_xxh64_begin(&c->sum);
    if (made && slot->first)
        item->whole = slot->made;
    else if (made)
        result = bn_rows_join(&item->rows, &item->whole, &slot->made, err);
    bn_xxh64_add(&c->sum, slot->data, slot->bytes);
    slot->tail_bytes = 0;
    if (result != BN_OK || !slot->last)
        return result;
    float scale = item->copied ? item->from->scale : bn_rows_scale(&item->rows, &item->whole);
    memset(slot->tail, 0, sizeof(slot->tail));
    if (item->target->type == BN_GGUF_TENSOR_I2S)
        memcpy(slot->tail, &scale, sizeof(scale));
    slot->tail_bytes = (size_t)(c->bytes[item - c->items] - item->data_bytes);
    bn_xxh64_add(&c->sum, slot->tail, slot->tail_bytes);
    uint64_t sum = bn_xxh64_end(&c->sum);
    item->sum = sum ? sum : 1;
    return BN_OK;
}

static enum bn_result write_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct converter *c = user;
    const struct slot *slot = &c->slots[thread];
    uint64_t tensor = (uint64_t)(slot->item - c->items);
    enum bn_result result = bn_part_write(&c->part, tensor, slot->at, slot->data, slot->bytes, err);
    if (result == BN_OK && slot->tail_bytes)
        result = bn_part_write(&c->part, tensor, slot->item->data_bytes, slot->tail, slot->tail_bytes, err);
    return result;
}

static enum bn_result report(struct converter *c, uint64_t bytes, struct bn_error *err)
{
    const struct bn_conversion *conversion = c->conversion;
    c->done += bytes;
    if (!conversion->progress || conversion->progress(conversion->user, c->done, c->total))
        return BN_OK;
    return bn_fail(err, BN_ERR_CANCELLED, "interrupted");
}

static enum bn_result end_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct converter *c = user;
    const struct slot *slot = &c->slots[thread];
    struct item *item = slot->item;
    enum bn_result result = BN_OK;
    if (--item->left == 0)
        result = bn_part_sum(&c->part, (uint64_t)(item - c->items), item->sum, err);
    return result == BN_OK ? report(c, slot->bytes + slot->tail_bytes, err) : result;
}

// Items begin .. end - 1.
static enum bn_result write_items(struct converter *c, size_t begin, size_t end, uint32_t threads)
{
    struct bn_work work = {
        .threads = threads,
        .user = c,
        .make = make_piece,
        .order = order_piece,
        .write = write_piece,
        .done = end_piece,
    };
    c->begin = begin;
    c->end = end;
    for (size_t i = begin; i < end; i++) {
        c->items[i].first_piece = work.n_pieces;
        c->items[i].left = c->items[i].n_steps;
        work.n_pieces += c->items[i].n_steps;
    }
    return begin < end ? bn_work_run(&work, c->err) : BN_OK;
}

// The scan copy is made of the head, whose scale is known at its end, and its second part while the first one is made.
static enum bn_result write_parts(struct converter *c, size_t begin, uint32_t threads)
{
    size_t ends[] = {c->n_items, c->n_items, c->n_items};
    if (c->head) {
        ends[0] -= 2;
        ends[1] -= 1;
    }
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < COUNT(ends) && result == BN_OK; i++) {
        c->scan_made = i == 2 && begin < ends[1];
        size_t first = i > 0 && ends[i - 1] > begin ? ends[i - 1] : begin;
        result = write_items(c, first, ends[i], threads);
    }
    return result;
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
    uint32_t threads = bn_work_threads(c->conversion->threads);
    enum bn_result result = reserve(c, threads);
    if (result == BN_OK)
        result = bn_part_begin(&c->part, c->source.host, &config, c->err);
    if (result != BN_OK)
        return result;
    size_t begin = (size_t)c->part.n_done;
    if (c->head && !c->head->copied && begin < c->n_items && begin > (size_t)(c->head - c->items))
        begin = (size_t)(c->head - c->items); // its scale is needed
    for (uint64_t i = 0; i < begin; i++)
        done->kept += c->bytes[i];
    result = report(c, done->kept, c->err);
    if (result == BN_OK)
        result = write_parts(c, begin, threads);
    if (result == BN_OK)
        result = bn_part_end(&c->part, c->err);
    done->bytes = config.total;
    bn_part_close(&c->part, result == BN_ERR_CANCELLED || result == BN_ERR_IO);
    return result;
}

static void finish(struct converter *c)
{
    for (size_t i = 0; i < COUNT(c->slots); i++) {
        bn_rows_free(c->source.host, &c->slots[i].room);
        bn_free(c->source.host, c->slots[i].row);
        bn_free(c->source.host, c->slots[i].scan);
    }
    bn_free(c->source.host, c->items);
    bn_free(c->source.host, c->offsets);
    bn_free(c->source.host, c->bytes);
    bn_free(c->source.host, c->scan_info);
    bn_key_blob_finish(&c->keys);
    bn_source_close(&c->source);
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
    finish(&c);
    return result;
}
