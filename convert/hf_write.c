#include "convert/hf_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/hf_texts.h"
#include "convert/part_file.h"
#include "convert/work.h"
#include "convert/xxh64.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/base/runtime.h"

#define NAME_BYTES 96
#define FILE_BYTES 48
#define PIECE (512u << 10) // bytes that a thread has under way, about
#define SAMPLE 4096u       // bytes of either end of a tensor that count for the fingerprint
#define MAX_SHARDS 99999u

enum kind { VECTOR, FLOATS_AS_THEY_ARE, FLOATS_WIDENED, TERNARY_FLOATS, PACKED, SCALE };

// A tensor of the folder.
struct item {
    char name[NAME_BYTES];
    const struct bn_tensor *from;
    enum kind kind;
    const char *dtype;
    uint64_t bytes;
    uint32_t shard;
    // It is made in pieces of so many bytes, if it is copied, or rows (of bytes, where it is packed).
    uint64_t rows, step, n_steps, first_piece;
    uint64_t left, sum;       // pieces that are still to be written; of the checksum
    struct bn_repacked whole; // of the pieces put in order
};

// What a thread has under way.
struct slot {
    uint8_t *made, *row_a; // [PIECE and a row], a row in order A
    float *row;
    int8_t *trits;
    void *repack;
    struct item *item;
    const uint8_t *data;
    uint64_t at;
    size_t bytes;
    bool first, last;
    struct bn_repacked scale;
};

struct writer {
    const struct bn_conversion *conversion;
    struct bn_source source;
    struct bn_folder_source from;
    struct item *items; // by name, so that those of a shard are the ones that follow
    uint64_t *offsets, *bytes;
    size_t n_items, begin, end;
    uint32_t n_shards;
    uint64_t most_cols, fingerprint;
    struct slot slots[BN_WORK_MOST_THREADS];
    struct bn_part part;
    struct bn_xxh64 sum;
    const char *part_folder;
    int folder;
    uint64_t done, total, kept;
    struct bn_error *err;
};

static enum bn_result fail(const struct writer *w, enum bn_result code, const struct bn_tensor *tensor,
                           const char *message, struct bn_error *err)
{
    struct bn_str name = {tensor->name, strlen(tensor->name)};
    return bn_gguf_fail(&w->source.checkpoint.gguf, code, &name, tensor->offset, err, "%s", message);
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
        return fail(w, BN_ERR_UNSUPPORTED, tensor, "has no name in models of this class", w->err);
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
            return fail(w, BN_ERR_UNSUPPORTED, tensor, "its rows are not a multiple of 4, as packed ones must be",
                        w->err);
        item->kind = PACKED;
        item->dtype = "U8";
        item->bytes = elements / 4;
        struct item *scale = &w->items[w->n_items++];
        *scale = (struct item){.from = tensor, .kind = SCALE, .dtype = "F32", .bytes = 4};
        snprintf(scale->name, NAME_BYTES, "%.*s_scale", NAME_BYTES - 8, item->name);
    }
    return BN_OK;
}

// By name, as readers list them: so the checksums have an order that both sides know.
static void sort_items(struct item *items, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            struct item item = items[i];
            size_t at = i;
            for (; at >= gap && strcmp(items[at - gap].name, item.name) > 0; at -= gap)
                items[at] = items[at - gap];
            items[at] = item;
        }
}

static void plan_pieces(struct writer *w, struct item *item)
{
    const struct bn_tensor *tensor = item->from;
    bool copied = item->kind == FLOATS_AS_THEY_ARE;
    item->rows = item->kind == VECTOR || item->kind == SCALE ? 1
                 : item->kind == PACKED                      ? tensor->rows / 4
                                                             : tensor->rows;
    uint64_t rows = PIECE / (item->bytes / item->rows + 1);
    item->step = copied ? PIECE : rows ? rows : 1;
    item->n_steps = ((copied ? item->bytes : item->rows) + item->step - 1) / item->step;
    w->most_cols = tensor->cols > w->most_cols ? tensor->cols : w->most_cols;
    w->total += item->bytes;
}

// A shard ends before it would become larger than it may be; a matrix and its scale stay together.
static void plan_shards(struct writer *w)
{
    uint64_t most = w->conversion->shard_bytes ? w->conversion->shard_bytes : UINT64_MAX, held = 0;
    for (size_t i = 0; i < w->n_items; i++) {
        struct item *item = &w->items[i];
        if (held && item->kind != SCALE && held + item->bytes > most) {
            w->n_shards++;
            held = 0;
        }
        item->shard = w->n_shards;
        held += item->bytes;
    }
    w->n_shards++;
}

// Of what is converted, and how.
static uint64_t fingerprint(const struct writer *w)
{
    struct bn_xxh64 state;
    bn_xxh64_begin(&state);
    for (size_t i = 0; i < w->n_items; i++) {
        const struct bn_tensor *tensor = w->items[i].from;
        uint64_t n = tensor->bytes < SAMPLE ? tensor->bytes : SAMPLE;
        bn_xxh64_add(&state, w->items[i].name, strlen(w->items[i].name));
        bn_xxh64_add(&state, &tensor->layout, sizeof(tensor->layout));
        bn_xxh64_add(&state, &tensor->scale, sizeof(tensor->scale));
        bn_xxh64_add(&state, tensor->data, (size_t)n);
        bn_xxh64_add(&state, tensor->data + tensor->bytes - n, (size_t)n);
    }
    bn_xxh64_add(&state, &w->conversion->lossy, sizeof(w->conversion->lossy));
    return bn_xxh64_end(&state);
}

static enum bn_result plan(struct writer *w)
{
    const struct bn_model *model = w->source.model;
    size_t room = 2 * model->n_tensors;
    w->items = bn_alloc_array(w->source.host, room, sizeof(*w->items));
    w->offsets = bn_alloc_array(w->source.host, room, sizeof(*w->offsets));
    w->bytes = bn_alloc_array(w->source.host, room, sizeof(*w->bytes));
    if (!w->items || !w->offsets || !w->bytes)
        return bn_fail_memory(w->err, room * sizeof(*w->items), "a list");
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < model->n_tensors && result == BN_OK; i++)
        result = add_item(w, &model->tensors[i]);
    if (result != BN_OK)
        return result;
    sort_items(w->items, w->n_items);
    for (size_t i = 0; i < w->n_items; i++)
        plan_pieces(w, &w->items[i]);
    plan_shards(w);
    w->fingerprint = fingerprint(w);
    return w->n_shards <= MAX_SHARDS ? BN_OK : bn_fail(w->err, BN_ERR_ARGUMENT, "%u shards", w->n_shards);
}

static enum bn_result reserve(struct writer *w, uint32_t threads)
{
    const struct bn_host *host = w->source.host;
    for (uint32_t i = 0; i < threads; i++) {
        struct slot *slot = &w->slots[i];
        slot->made = bn_alloc(host, PIECE + w->most_cols * sizeof(float));
        slot->row_a = bn_alloc(host, w->most_cols / 4 + 128);
        slot->row = bn_alloc_array(host, w->most_cols, sizeof(*slot->row));
        slot->trits = bn_alloc(host, w->most_cols);
        slot->repack = bn_alloc_array(host, w->most_cols, bn_repack_memory(1));
        if (!slot->made || !slot->row_a || !slot->row || !slot->trits || !slot->repack)
            return bn_fail_memory(w->err, PIECE + 32 * w->most_cols, "a few rows");
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
static enum bn_result make_vector(struct writer *w, struct slot *slot, struct bn_error *err)
{
    const struct item *item = slot->item;
    bool less = w->from.family->norms_less_one && !bn_hf_is_input_norm(item->from->name);
    for (uint32_t i = 0; i < item->from->cols; i++) {
        float value, stored;
        memcpy(&value, item->from->data + i * sizeof(value), sizeof(value));
        stored = less ? value - 1 : value;
        if (less && stored + 1 != value && !w->conversion->lossy)
            return fail(w, BN_ERR_UNSUPPORTED, item->from, "less 1, as this class stores norms, it would be rounded",
                        err);
        memcpy(slot->made + i * sizeof(stored), &stored, sizeof(stored));
    }
    return BN_OK;
}

// Row `source` of a matrix in order A, joined to what `slot->scale` has of the piece.
static enum bn_result row_of_trits(const struct writer *w, struct slot *slot, uint32_t source, bool first,
                                   struct bn_error *err)
{
    const struct bn_tensor *tensor = slot->item->from;
    enum bn_repack_loss loss = w->conversion->lossy ? BN_REPACK_LOSSY : BN_REPACK_EXACT;
    const struct bn_matrix from = bn_tensor_matrix(tensor);
    struct bn_repacked to = {.layout = BN_LAYOUT_I2S_A, .data = slot->row_a};
    struct bn_error inner = {0};
    enum bn_result result = bn_repack_rows(&from, source, source + 1, &to, loss, slot->repack, &inner);
    if (result == BN_OK && first)
        slot->scale = to;
    else if (result == BN_OK)
        result = bn_repack_join(&from, &slot->scale, &to, loss, &inner);
    return result == BN_OK ? BN_OK : fail(w, result, tensor, inner.message, err);
}

// Floats that are to be ternary are: masters by the rule of training, others as they are.
static enum bn_result widen_row(const struct writer *w, struct slot *slot, uint32_t source, struct bn_error *err)
{
    const struct item *item = slot->item;
    const struct bn_tensor *tensor = item->from;
    struct bn_matrix matrix = bn_tensor_matrix(tensor);
    matrix.scale = tensor->scale;
    bool floats = bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT && item->kind == TERNARY_FLOATS;
    if (floats && tensor->as == BN_LAYOUT_I2S_A) {
        enum bn_result result = row_of_trits(w, slot, source, true, err);
        if (result != BN_OK)
            return result;
        matrix = (struct bn_matrix){BN_LAYOUT_I2S_A, 1, tensor->cols, slot->row_a, NULL, tensor->scale};
        source = 0;
    }
    bn_matrix_widen(&matrix, source, slot->row);
    for (uint32_t c = 0; floats && c < tensor->cols; c++)
        slot->row[c] += 0.0f; // -0 becomes 0, as a trit would
    return BN_OK;
}

static enum bn_result make_floats(struct writer *w, struct slot *slot, uint32_t first, uint32_t end,
                                  struct bn_error *err)
{
    const struct item *item = slot->item;
    uint32_t size = strcmp(item->dtype, "BF16") == 0 ? 2 : 4;
    uint8_t *to = slot->made;
    for (uint32_t r = first; r < end; r++, to += (size_t)size * item->from->cols) {
        enum bn_result result = widen_row(w, slot, row_of(w, item->from, r), err);
        if (result != BN_OK)
            return result;
        for (uint32_t c = 0; c < item->from->cols; c++) // the upper halves, or all of them
            memcpy(to + (size_t)size * c, (const uint8_t *)(slot->row + c) + 4 - size, size);
    }
    return BN_OK;
}

// Bytes first .. end - 1 of each column: four rows of them, far apart.
static enum bn_result make_packed(struct writer *w, struct slot *slot, uint32_t first, uint32_t end,
                                  struct bn_error *err)
{
    const struct item *item = slot->item;
    uint32_t n = end - first, cols = item->from->cols;
    for (uint32_t quarter = 0; quarter < 4; quarter++)
        for (uint32_t r = 0; r < n; r++) {
            uint32_t source = row_of(w, item->from, quarter * (uint32_t)item->rows + first + r);
            enum bn_result result = row_of_trits(w, slot, source, quarter == 0 && r == 0, err);
            if (result != BN_OK)
                return result;
            bn_layout_get(BN_LAYOUT_I2S_A)->unpack(slot->row_a, 1, cols, 0, 1, slot->trits);
            bn_layout_get(BN_LAYOUT_PACKED)
                ->pack(slot->trits, 4 * (uint64_t)n, cols, quarter * n + r, quarter * n + r + 1, slot->made);
        }
    return BN_OK;
}

static struct item *item_of(const struct writer *w, uint64_t piece)
{
    size_t low = w->begin, high = w->end;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (w->items[middle].first_piece <= piece)
            low = middle;
        else
            high = middle;
    }
    return &w->items[low];
}

static enum bn_result make_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct writer *w = user;
    struct slot *slot = &w->slots[thread];
    struct item *item = slot->item = item_of(w, piece);
    uint64_t step = piece - item->first_piece, first = step * item->step, end = first + item->step;
    bool copied = item->kind == FLOATS_AS_THEY_ARE;
    uint64_t all = copied ? item->bytes : item->rows, unit = item->bytes / all;
    slot->first = step == 0;
    slot->last = step == item->n_steps - 1;
    end = slot->last ? all : end;
    slot->at = first * unit;
    slot->bytes = (size_t)((end - first) * unit);
    slot->data = copied ? item->from->data + first : slot->made;
    switch (item->kind) {
    case VECTOR:
        return make_vector(w, slot, err);
    case FLOATS_AS_THEY_ARE:
    case SCALE: // known when it is put in order
        return BN_OK;
    case FLOATS_WIDENED:
    case TERNARY_FLOATS:
        return make_floats(w, slot, (uint32_t)first, (uint32_t)end, err);
    case PACKED:
        return make_packed(w, slot, (uint32_t)first, (uint32_t)end, err);
    }
    return BN_OK;
}

// The scale of the matrix in front of this item.
static enum bn_result make_scale(struct writer *w, struct slot *slot, struct bn_error *err)
{
    const struct item *item = slot->item;
    const struct bn_tensor *tensor = item->from;
    bool floats = bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT;
    float scale = floats ? tensor->scale : item[-1].whole.scale, stored = scale;
    if (w->from.form == BN_FOLDER_INVERSE)
        stored = 1 / scale;
    if (w->from.form == BN_FOLDER_INVERSE && (!isfinite(stored) || (1 / stored != scale && !w->conversion->lossy)))
        return fail(w, BN_ERR_UNSUPPORTED, tensor, "its scale is not exactly 1 over a number", err);
    memcpy(slot->made, &stored, sizeof(stored));
    return BN_OK;
}

static enum bn_result order_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct writer *w = user;
    struct slot *slot = &w->slots[thread];
    struct item *item = slot->item;
    struct bn_error inner = {0};
    enum bn_result result = BN_OK;
    if (item->kind == SCALE)
        result = make_scale(w, slot, err);
    if (item->kind == PACKED && slot->first) {
        item->whole = slot->scale;
    } else if (item->kind == PACKED) {
        const struct bn_matrix from = bn_tensor_matrix(item->from);
        result = bn_repack_join(&from, &item->whole, &slot->scale,
                                w->conversion->lossy ? BN_REPACK_LOSSY : BN_REPACK_EXACT, &inner);
        if (result != BN_OK)
            result = fail(w, result, item->from, inner.message, err);
    }
    if (slot->first)
        bn_xxh64_begin(&w->sum);
    bn_xxh64_add(&w->sum, slot->data, slot->bytes);
    if (slot->last) {
        uint64_t sum = bn_xxh64_end(&w->sum);
        item->sum = sum ? sum : 1;
    }
    return result;
}

static enum bn_result write_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct writer *w = user;
    const struct slot *slot = &w->slots[thread];
    uint64_t tensor = (uint64_t)(slot->item - w->items) - (uint64_t)(w->part.config.offsets - w->offsets);
    return bn_part_write(&w->part, tensor, slot->at, slot->data, slot->bytes, err);
}

static enum bn_result report(struct writer *w, uint64_t bytes, struct bn_error *err)
{
    const struct bn_conversion *conversion = w->conversion;
    w->done += bytes;
    if (!conversion->progress || conversion->progress(conversion->user, w->done, w->total))
        return BN_OK;
    return bn_fail(err, BN_ERR_CANCELLED, "interrupted");
}

static enum bn_result end_piece(void *user, uint32_t thread, uint64_t piece, struct bn_error *err)
{
    struct writer *w = user;
    const struct slot *slot = &w->slots[thread];
    struct item *item = slot->item;
    uint64_t tensor = (uint64_t)(item - w->items) - (uint64_t)(w->part.config.offsets - w->offsets);
    enum bn_result result = BN_OK;
    if (--item->left == 0)
        result = bn_part_sum(&w->part, tensor, item->sum, err);
    return result == BN_OK ? report(w, slot->bytes, err) : result;
}

static enum bn_result write_text(struct writer *w, const char *name, const char *text, size_t bytes)
{
    int fd = openat(w->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    enum bn_result result = fd < 0 ? fail_io(w, name) : BN_OK;
    for (size_t at = 0; at < bytes && result == BN_OK;) {
        ssize_t n = write(fd, text + at, bytes - at);
        if (n < 0 && errno != EINTR)
            result = fail_io(w, name);
        at += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && close(fd) != 0 && result == BN_OK)
        result = fail_io(w, name);
    return result;
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

static void file_name(const struct writer *w, uint32_t shard, char name[FILE_BYTES])
{
    if (w->n_shards == 1)
        snprintf(name, FILE_BYTES, "model.safetensors");
    else
        snprintf(name, FILE_BYTES, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", shard + 1, w->n_shards);
}

// The checksums have a place in the header, which readers take for any text.
static json_t *metadata(struct writer *w, size_t n)
{
    char source[17];
    char *zeros = bn_alloc(w->source.host, 16 * n + 1);
    bn_sum_text(w->fingerprint, source);
    for (size_t i = 0; zeros && i < 16 * n; i++)
        zeros[i] = '0';
    json_t *object =
        zeros ? json_pack("{s:s,s:s,s:s}", "format", "pt", BN_SUMS_KEY, zeros, "bitnet.source", source) : NULL;
    bn_free(w->source.host, zeros);
    return object;
}

// The head of a shard: the length, then JSON. Ownership: the caller frees *head.
static enum bn_result make_head(struct writer *w, uint8_t **head, size_t *head_bytes, size_t *sums_at)
{
    static const char before[] = "\"" BN_SUMS_KEY "\":\"";
    json_t *root = json_pack("{s:o}", "__metadata__", metadata(w, w->end - w->begin));
    uint64_t at = 0;
    w->from.lost = false;
    for (size_t i = w->begin; i < w->end; i++) {
        const struct item *item = &w->items[i];
        json_t *shape = item->kind == SCALE ? json_pack("[i]", 1)
                        : item->kind == VECTOR
                            ? json_pack("[I]", (json_int_t)item->from->cols)
                            : json_pack("[I,I]", (json_int_t)item->rows, (json_int_t)item->from->cols);
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
    *head_bytes = sizeof(padded) + (size_t)padded;
    *head = result == BN_OK ? bn_alloc(w->source.host, *head_bytes) : NULL;
    if (result == BN_OK && !*head)
        result = bn_fail_memory(w->err, *head_bytes, "a header");
    if (result == BN_OK) {
        memcpy(*head, &padded, sizeof(padded));
        memset(*head + sizeof(padded), ' ', (size_t)padded);
        memcpy(*head + sizeof(padded), text, bytes);
        const uint8_t *found = memmem(*head, *head_bytes, before, sizeof(before) - 1);
        *sums_at = (size_t)(found - *head) + sizeof(before) - 1;
    }
    bn_free(w->source.host, text);
    return result;
}

// A shard that an earlier attempt has completed is looked at like one that it has not.
static void take_back(const struct writer *w, const char *name)
{
    char part[FILE_BYTES + 8];
    snprintf(part, sizeof(part), "%s.part", name);
    if (w->conversion->resume)
        (void)!renameat(w->folder, name, w->folder, part);
}

// Items begin .. end - 1.
static enum bn_result write_items(struct writer *w, struct bn_part_config *config, uint32_t threads)
{
    enum bn_result result = bn_part_begin(&w->part, w->source.host, config, w->err);
    if (result != BN_OK)
        return result;
    struct bn_work work = {0, threads, w, make_piece, order_piece, write_piece, end_piece};
    uint64_t kept = 0;
    size_t first = w->begin + (size_t)w->part.n_done;
    if (first > w->begin && first < w->end && w->items[first].kind == SCALE)
        first--; // of the matrix in front, which is known when that is made
    for (size_t i = w->begin; i < first; i++)
        kept += w->items[i].bytes;
    for (size_t i = first; i < w->end; i++) {
        w->items[i].first_piece = work.n_pieces;
        w->items[i].left = w->items[i].n_steps;
        work.n_pieces += w->items[i].n_steps;
    }
    size_t begin = w->begin;
    w->begin = first;
    w->kept += kept;
    result = report(w, kept, w->err);
    if (result == BN_OK && work.n_pieces)
        result = bn_work_run(&work, w->err);
    w->begin = begin;
    if (result == BN_OK)
        result = bn_part_end(&w->part, w->err);
    bn_part_close(&w->part, result == BN_ERR_CANCELLED || result == BN_ERR_IO);
    return result;
}

static enum bn_result write_shard(struct writer *w, uint32_t shard, uint32_t threads)
{
    char name[FILE_BYTES], path[4096];
    uint8_t *head = NULL;
    struct bn_part_config config = {.path = path, .text = true, .fingerprint = w->fingerprint};
    w->begin = w->end;
    while (w->end < w->n_items && w->items[w->end].shard == shard)
        w->end++;
    file_name(w, shard, name);
    int n = snprintf(path, sizeof(path), "%s/%s", w->part_folder, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return bn_fail(w->err, BN_ERR_IO, "the path is too long");
    enum bn_result result = make_head(w, &head, &config.head_bytes, &config.sums_at);
    if (result == BN_OK) {
        uint64_t at = config.head_bytes;
        for (size_t i = w->begin; i < w->end; i++) {
            w->offsets[i] = at;
            w->bytes[i] = w->items[i].bytes;
            at += w->bytes[i];
        }
        config.head = head;
        config.n_tensors = w->end - w->begin;
        config.offsets = w->offsets + w->begin;
        config.bytes = w->bytes + w->begin;
        config.total = at;
        config.resume = w->conversion->resume;
        take_back(w, name);
        result = write_items(w, &config, threads);
    }
    bn_free(w->source.host, head);
    return result;
}

static enum bn_result make_index(struct bn_folder_source *from, json_t **out)
{
    struct writer *w = from->user;
    json_t *map = json_object();
    char name[FILE_BYTES];
    for (size_t i = 0; i < w->n_items; i++) {
        file_name(w, w->items[i].shard, name);
        from->lost |= json_object_set_new(map, w->items[i].name, json_string(name)) != 0;
    }
    *out = json_pack("{s:{s:I},s:o}", "metadata", "total_size", (json_int_t)w->total, "weight_map", map);
    return *out ? BN_OK : bn_fail_memory(w->err, 0, "the index");
}

static const char *const texts[] = {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja",
                                    "model.safetensors.index.json"};

static enum bn_result write_files(struct writer *w)
{
    struct bn_str template = {0};
    uint32_t threads = bn_work_threads(w->conversion->threads);
    enum bn_result result = write_json(w, texts[0], bn_folder_config);
    if (result == BN_OK)
        result = write_json(w, texts[1], bn_folder_generation);
    if (result == BN_OK)
        result = write_json(w, texts[2], bn_folder_tokenizer);
    if (result == BN_OK)
        result = bn_gguf_get_str(&w->source.checkpoint.gguf, "tokenizer.chat_template", false, &template, w->err);
    if (result == BN_OK && template.bytes)
        result = write_text(w, texts[3], template.data, template.bytes);
    if (result == BN_OK && w->n_shards > 1)
        result = write_json(w, texts[4], make_index);
    if (result == BN_OK)
        result = reserve(w, threads);
    for (uint32_t shard = 0; shard < w->n_shards && result == BN_OK; shard++)
        result = write_shard(w, shard, threads);
    return result;
}

// Whether a file of that name is of this folder; `complete` only of one that is whole, with this many shards.
static bool is_ours(const struct writer *w, const char *name, bool complete)
{
    char wanted[FILE_BYTES], part[FILE_BYTES + 8];
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(name, texts[i]) == 0)
            return !complete || i != 4 || w->n_shards > 1;
    if (!complete)
        return strncmp(name, "model", 5) == 0 && strstr(name, ".safetensors");
    for (uint32_t shard = 0; shard < w->n_shards; shard++) {
        file_name(w, shard, wanted);
        snprintf(part, sizeof(part), "%s.part", wanted);
        if (strcmp(name, wanted) == 0 || strcmp(name, part) == 0)
            return true;
    }
    return false;
}

// Removes what an attempt has left: all that is ours, or only what this one does not write.
static void remove_files(const struct writer *w, bool all)
{
    int fd = openat(w->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0)
        close(fd);
    for (const struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        if (is_ours(w, entry->d_name, false) && (all || !is_ours(w, entry->d_name, true)))
            unlinkat(w->folder, entry->d_name, 0);
    if (dir)
        closedir(dir);
}

// Everything is written to `part`, which then gets its name.
static enum bn_result fill_folder(struct writer *w, const char *part, const char *final)
{
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
        return bn_fail_errno(w->err, errno, part, "cannot be created");
    w->part_folder = part;
    w->folder = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (w->folder < 0)
        return fail_io(w, part);
    remove_files(w, !w->conversion->resume);
    enum bn_result result = write_files(w);
    if (result == BN_OK && rename(part, final) != 0)
        result = bn_fail_errno(w->err, errno, final, "cannot be given its name");
    if (result != BN_OK && result != BN_ERR_CANCELLED && result != BN_ERR_IO) {
        remove_files(w, true);
        rmdir(part);
    }
    close(w->folder);
    return result;
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
    if (result == BN_OK)
        result = fill_folder(w, part, final);
    bn_free(w->source.host, final);
    bn_free(w->source.host, part);
    return result;
}

static void finish(struct writer *w)
{
    for (size_t i = 0; i < BN_WORK_MOST_THREADS; i++) {
        bn_free(w->source.host, w->slots[i].made);
        bn_free(w->source.host, w->slots[i].row_a);
        bn_free(w->source.host, w->slots[i].row);
        bn_free(w->source.host, w->slots[i].trits);
        bn_free(w->source.host, w->slots[i].repack);
    }
    bn_free(w->source.host, w->items);
    bn_free(w->source.host, w->offsets);
    bn_free(w->source.host, w->bytes);
    bn_source_close(&w->source);
}

enum bn_result bn_convert_to_folder(struct bn_runtime *runtime, const char *from, const char *to,
                                    enum bn_folder_form form, const struct bn_conversion *conversion,
                                    struct bn_converted *done, struct bn_error *err)
{
    struct writer w = {.conversion = conversion, .folder = -1, .part = {.fd = -1}, .err = err};
    memset(done, 0, sizeof(*done));
    enum bn_result result = bn_source_open(&w.source, runtime, from, &conversion->options, err);
    if (result != BN_OK)
        return result;
    w.from = (struct bn_folder_source){.source = &w.source, .form = form, .user = &w, .err = err};
    result = bn_folder_find_family(&w.from);
    if (result == BN_OK)
        result = plan(&w);
    if (result == BN_OK)
        result = write_folder(&w, to);
    *done = (struct bn_converted){.bytes = w.total, .kept = w.kept, .n_tensors = w.n_items};
    finish(&w);
    return result;
}
