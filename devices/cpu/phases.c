#include "devices/cpu/command.h"

#include <math.h>
#include <string.h>

#include "devices/common/host_buffer.h"

// Weight rows that one item of a matmul covers: the unit that workers take, and the width of the int32 scratch.
enum { TILE = 32, HEAD_TILE = BN_CPU_TABLE_ROWS };

// With fewer rows of the replay than this, tiles of two matrices in turn are longer: each turn breaks a stream of weights.
enum { LONG_TILES = 16 };

// Less than this is done by worker 0 before the others have woken up: some 20 microseconds of one core. Small models then keep
// their speed on a machine that is busy with other things.
enum { SHARE_FROM = 256 << 10 };

enum { MAX_HEAD_DIM = 512 }; // the front door's

#define HOST(span) bn_span_host(&phase->op->span)

static uint32_t tiles(uint32_t rows, uint32_t tile)
{
    return (rows + tile - 1) / tile;
}

void bn_cpu_not_finite(const struct phase *phase)
{
    uint32_t expected = BN_SLOT_OK;
    if (__atomic_compare_exchange_n(&phase->slot->status, &expected, BN_SLOT_NOT_FINITE, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        phase->slot->status_op = phase->op_index;
}

void bn_cpu_check_logits(const struct phase *phase, const float *logits, uint32_t n)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof(bits));
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    if (bad)
        bn_cpu_not_finite(phase);
}

static const void *slot_at(const struct phase *phase, uint32_t offset)
{
    return (const uint8_t *)phase->slot + offset;
}

static const struct bn_slot_row *slot_rows(const struct phase *phase)
{
    return slot_at(phase, phase->slot->row_at);
}

static uint32_t one_item(const struct phase *phase)
{
    return 1;
}

uint32_t bn_cpu_rows(const struct phase *phase)
{
    return phase->slot->n_rows;
}

static uint32_t output_items(const struct phase *phase)
{
    return phase->slot->n_outputs;
}

static uint32_t rotate_items(const struct phase *phase)
{
    return phase->op->of_outputs ? phase->slot->n_outputs : phase->slot->n_rows;
}

static uint32_t copy_items(const struct phase *phase)
{
    return phase->slot->n_copies;
}

static uint32_t tile_items(const struct phase *phase)
{
    uint32_t n = 0;
    for (int i = 0; i < 3; i++)
        n += tiles(phase->op->w[i].rows, TILE);
    return n;
}

static uint32_t gate_items(const struct phase *phase)
{
    return tiles(phase->op->w[0].rows, TILE);
}

static uint32_t head_items(const struct phase *phase)
{
    return phase->slot->n_outputs && !phase->slot->top ? tiles(phase->op->w[0].rows, HEAD_TILE) : 0;
}

// The pairs of a row and a KV head: as many as fill the workers evenly are items as they are. The query heads of those that are left
// over are dealt out, so that nobody waits for the last: it costs reading K and V once more, from a cache.
struct cut {
    uint32_t whole, left; // pairs
    uint32_t parts;       // items of a pair that is left over
    uint32_t heads;       // query heads of such an item, or fewer
};

static struct cut cut_attention(const struct phase *phase)
{
    const struct bn_op *op = phase->op;
    uint32_t pairs = phase->slot->n_rows * op->kv_heads, group = op->heads / op->kv_heads;
    struct cut cut = {.left = pairs % phase->workers, .parts = 1, .heads = group};
    if (cut.left && bn_cpu_worth_sharing(phase)) {
        cut.heads = tiles(group, tiles(phase->workers, cut.left));
        cut.parts = tiles(group, cut.heads);
    }
    cut.whole = pairs - cut.left;
    return cut;
}

static uint32_t attention_items(const struct phase *phase)
{
    struct cut cut = cut_attention(phase);
    return cut.whole + cut.left * cut.parts;
}

static void run_embed(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    float *out = HOST(out);
    for (uint32_t r = begin; r < end; r++) {
        float *row = out + (size_t)r * op->cols;
        bn_cpu_table_row(phase, &op->w[0], slot_rows(phase)[r].token, row);
        for (uint32_t i = 0; op->scale != 0 && i < op->cols; i++)
            row[i] *= op->scale;
    }
}

static void run_quantise(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const float *in = HOST(in), *norm = HOST(norm);
    int8_t *out = HOST(out);
    struct bn_row_scale *scales = HOST(out2);
    uint32_t padded = bn_padded_cols(op->cols);
    for (uint32_t r = begin; r < end; r++) {
        int8_t *row = out + (size_t)r * padded;
        if (!phase->kernels->quantise(in + (size_t)r * op->cols, norm, op->cols, op->eps, row, &scales[r]))
            bn_cpu_not_finite(phase);
        memset(row + op->cols, 0, padded - op->cols);
    }
}

static void run_norm(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const float *in = HOST(in), *norm = HOST(norm);
    float *out = HOST(out);
    const uint32_t *outputs = slot_at(phase, phase->slot->output_at);
    for (uint32_t o = begin; o < end; o++)
        if (!phase->kernels->norm(in + (size_t)outputs[o] * op->cols, norm, op->cols, op->eps,
                                  out + (size_t)o * op->cols))
            bn_cpu_not_finite(phase);
}

void bn_cpu_multiply(const struct phase *phase, const struct bn_weight *w, uint32_t first, uint32_t n, int32_t *acc,
                     uint32_t acc_stride)
{
    const struct bn_op *op = phase->op;
    const uint8_t *data = bn_span_host(&w->data);
    const struct bn_kernels *k = phase->kernels;
    uint32_t cols = bn_padded_cols(op->cols), rows = phase->slot->n_rows;
    size_t row_bytes = w->data.size / w->rows;
    (w->layout == BN_LAYOUT_BASE3 ? k->ternary_base3 : k->ternary)(data + first * row_bytes, n, cols, HOST(in), cols,
                                                                   HOST(in2), rows * bn_op_planes(op), acc, acc_stride);
    bn_cpu_join_planes(op, rows, n, acc_stride, acc);
}

// One tile of out [n_rows][w->rows] = w * in (+ add).
static void matmul_tile(const struct phase *phase, const struct bn_weight *w, uint32_t tile, const float *add,
                        float *out, int32_t *acc)
{
    uint32_t first = tile * TILE;
    uint32_t n = w->rows - first < TILE ? w->rows - first : TILE;
    if (w->scales.buffer) {
        bn_cpu_scaled_matmul(phase, w, &(struct bn_cpu_tile){first, n, TILE}, add, out, (float *)acc);
        return;
    }
    bn_cpu_multiply(phase, w, first, n, acc, TILE);
    for (uint32_t r = 0; r < phase->slot->n_rows; r++) {
        size_t at = (size_t)r * w->rows + first;
        phase->kernels->dequantise(acc + (size_t)r * TILE, n, w->scale / bn_cpu_row_scale(phase, r),
                                   add ? add + at : NULL, out + at);
    }
}

static void run_matmul(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    for (uint32_t tile = begin; tile < end; tile++)
        matmul_tile(phase, &phase->op->w[0], tile, HOST(in3), HOST(out), (int32_t *)worker->scratch);
}

// k and v of the replay's rows, before they go to the KV pool: f32 [rows][w->rows].
static float *temporary_k(const struct phase *phase)
{
    return phase->temporary;
}

static float *temporary_v(const struct phase *phase)
{
    return phase->temporary + (size_t)phase->op->rows * phase->op->w[1].rows;
}

static void run_qkv(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    float *out[3] = {HOST(out), temporary_k(phase), temporary_v(phase)};
    for (uint32_t item = begin; item < end; item++) {
        uint32_t tile = item;
        int i = 0;
        while (tile >= tiles(phase->op->w[i].rows, TILE))
            tile -= tiles(phase->op->w[i++].rows, TILE);
        matmul_tile(phase, &phase->op->w[i], tile, NULL, out[i], (int32_t *)worker->scratch);
    }
}

static uint8_t *page_of(const struct phase *phase, const struct bn_slot_row *row)
{
    const struct bn_op *op = phase->op;
    const struct bn_slot_seq *seqs = slot_at(phase, phase->slot->seq_at);
    const uint32_t *pages = slot_at(phase, phase->slot->page_at);
    uint32_t page = pages[seqs[row->seq].first_page + row->position / BN_PAGE_POSITIONS];
    return (uint8_t *)HOST(kv) + page * bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
}

static bool store_f16(const struct phase *phase, const float *x, uint8_t *to)
{
    uint16_t *row = (uint16_t *)(void *)to;
    uint32_t n = phase->op->head_dim, bad = 0;
    phase->kernels->narrow_f16(x, n, row);
    for (uint32_t i = 0; i < n; i++)
        bad |= (row[i] & 0x7c00) == 0x7c00;
    return !bad;
}

static bool store_int8(const struct phase *phase, const float *x, uint8_t *to, float *step)
{
    _Alignas(64) float padded[MAX_HEAD_DIM] = {0}; // the kernel takes multiples of 64
    _Alignas(64) int8_t q[MAX_HEAD_DIM];
    struct bn_row_scale scale;
    uint32_t n = phase->op->head_dim;
    memcpy(padded, x, n * sizeof(*x));
    if (!phase->kernels->quantise(padded, NULL, (n + 63) / 64 * 64, 0, q, &scale))
        return false;
    memcpy(to, q, n);
    *step = 1.0f / scale.scale;
    return true;
}

// Stores one head of K (which = 0) or V; false if it has what the type of the pool cannot hold.
static bool store_head(const struct phase *phase, uint8_t *page, uint32_t which, uint32_t h, uint32_t position,
                       const float *x)
{
    const struct bn_op *op = phase->op;
    uint64_t rows = bn_kv_row_offset(op->layer, which, h, 0, op->kv_heads, op->head_dim, op->kv_type);
    uint64_t at = bn_kv_row_offset(op->layer, which, h, position, op->kv_heads, op->head_dim, op->kv_type);
    if (op->kv_type == BN_KV_F16)
        return store_f16(phase, x, page + at);
    float *steps = (float *)(void *)(page + bn_kv_steps_offset(rows, op->head_dim));
    return store_int8(phase, x, page + at, &steps[position % BN_PAGE_POSITIONS]);
}

// Norms, turns and stores a row: q, k and v are f32 of its heads.
void bn_cpu_append_row(const struct phase *phase, uint32_t r, float *q, float *k, const float *v)
{
    const struct bn_op *op = phase->op;
    const struct bn_kernels *kernels = phase->kernels;
    const struct bn_slot_row *row = &slot_rows(phase)[r];
    const float *table = (const float *)HOST(rope) + (size_t)row->position * op->head_dim;
    if (op->norm.buffer) {
        bool finite = true;
        for (uint32_t h = 0; h < op->heads; h++, q += op->head_dim)
            finite &= kernels->norm(q, HOST(norm), op->head_dim, op->eps, q);
        for (uint32_t h = 0; h < op->kv_heads; h++, k += op->head_dim)
            finite &= kernels->norm(k, HOST(norm2), op->head_dim, op->eps, k);
        if (!finite)
            bn_cpu_not_finite(phase);
        q -= (size_t)op->heads * op->head_dim;
        k -= (size_t)op->kv_heads * op->head_dim;
    }
    kernels->rope(q, op->heads, op->head_dim, table, op->rope_order);
    kernels->rope(k, op->kv_heads, op->head_dim, table, op->rope_order);
    uint8_t *page = page_of(phase, row);
    for (uint32_t h = 0; h < op->kv_heads; h++) {
        size_t at = (size_t)h * op->head_dim;
        if (!store_head(phase, page, 0, h, row->position, k + at) ||
            !store_head(phase, page, 1, h, row->position, v + at))
            bn_cpu_not_finite(phase);
    }
}

static void run_rope_append(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    size_t q_row = (size_t)op->heads * op->head_dim, kv_row = (size_t)op->kv_heads * op->head_dim;
    for (uint32_t r = begin; r < end; r++)
        bn_cpu_append_row(phase, r, (float *)HOST(out) + r * q_row, temporary_k(phase) + r * kv_row,
                          temporary_v(phase) + r * kv_row);
}

static void run_attention(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const struct bn_slot_seq *seqs = slot_at(phase, phase->slot->seq_at);
    const uint32_t *pages = slot_at(phase, phase->slot->page_at);
    uint32_t group = op->heads / op->kv_heads;
    struct cut cut = cut_attention(phase);
    for (uint32_t item = begin; item < end; item++) {
        bool is_part = item >= cut.whole;
        uint32_t pair = is_part ? cut.whole + (item - cut.whole) / cut.parts : item;
        uint32_t first_head = is_part ? (item - cut.whole) % cut.parts * cut.heads : 0;
        uint32_t heads = is_part && group - first_head > cut.heads ? cut.heads : group - first_head;
        uint32_t r = pair / op->kv_heads, h = pair % op->kv_heads;
        const struct bn_slot_row *row = &slot_rows(phase)[r];
        size_t at = ((size_t)r * op->heads + (size_t)h * group + first_head) * op->head_dim;
        uint32_t end_position = row->position + 1, first = 0;
        if (op->window && end_position > op->window)
            first = end_position - op->window;
        uint32_t first_page = first / BN_PAGE_POSITIONS;
        struct bn_attend args = {
            .q = (const float *)HOST(in) + at,
            .out = (float *)HOST(out) + at,
            .scores = (float *)worker->scratch,
            .pool = HOST(kv),
            .pages = pages + seqs[row->seq].first_page + first_page,
            .page_bytes = bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type),
            .k_offset = bn_kv_row_offset(op->layer, 0, h, 0, op->kv_heads, op->head_dim, op->kv_type),
            .v_offset = bn_kv_row_offset(op->layer, 1, h, 0, op->kv_heads, op->head_dim, op->kv_type),
            .n_positions = end_position - first_page * BN_PAGE_POSITIONS,
            .skip = first % BN_PAGE_POSITIONS,
            .group = heads,
            .head_dim = op->head_dim,
            .kv_type = op->kv_type,
            .scale = 1.0f / sqrtf((float)op->head_dim),
        };
        phase->kernels->attend(&args);
    }
}

static void run_gate_up(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const struct bn_weight *gate = &op->w[0], *up = &op->w[1];
    uint32_t rows = phase->slot->n_rows, wide = rows * bn_op_planes(op);
    uint32_t tiles_at_once = wide < LONG_TILES ? LONG_TILES / wide : 1;
    uint32_t stride = tiles_at_once * TILE, last = end * TILE < gate->rows ? end * TILE : gate->rows;
    int32_t *gate_acc = (int32_t *)worker->scratch, *up_acc = gate_acc + (size_t)wide * stride;
    float *out = HOST(out);
    for (uint32_t first = begin * TILE, n; first < last; first += n) {
        n = last - first < stride ? last - first : stride;
        if (gate->scales.buffer || up->scales.buffer) {
            bn_cpu_scaled_gate(phase, &(struct bn_cpu_tile){first, n, stride}, (float *)gate_acc, (float *)up_acc);
            continue;
        }
        bn_cpu_multiply(phase, gate, first, n, gate_acc, stride);
        bn_cpu_multiply(phase, up, first, n, up_acc, stride);
        for (uint32_t r = 0; r < rows; r++)
            phase->kernels->gate(gate_acc + (size_t)r * stride, up_acc + (size_t)r * stride, n,
                                 gate->scale / bn_cpu_row_scale(phase, r), up->scale / bn_cpu_row_scale(phase, r),
                                 op->activation, out + (size_t)r * gate->rows + first);
    }
}

static void run_head(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const struct bn_weight *w = &op->w[0];
    const float *in = HOST(in);
    float *out = (float *)HOST(out) + (size_t)phase->slot->first_output * w->rows;
    for (uint32_t tile = begin; tile < end; tile++) {
        uint32_t first = tile * HEAD_TILE, n = w->rows - first < HEAD_TILE ? w->rows - first : HEAD_TILE;
        struct bn_cpu_table rows = bn_cpu_table_rows(phase, w, first, n, (float *)worker->scratch);
        for (uint32_t o = 0; o < phase->slot->n_outputs; o++) {
            float *logits = out + (size_t)o * w->rows + first;
            phase->kernels->dot(rows.layout, rows.data, n, op->cols, in + (size_t)o * op->cols, logits);
            bn_cpu_check_logits(phase, logits, n);
        }
    }
}

static void run_kv_copy(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const struct bn_slot_copy *copies = slot_at(phase, phase->slot->copy_at);
    uint64_t bytes = bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
    uint8_t *pool = HOST(kv);
    for (uint32_t i = begin; i < end; i++)
        memcpy(pool + copies[i].to * bytes, pool + copies[i].from * bytes, bytes);
}

static void run_copy(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    memcpy(HOST(out), HOST(in), phase->op->in.size);
}

static const struct phase_row table[BN_OP_COUNT][MOST_PHASES] = {
    [BN_OP_EMBED] = {{run_embed, bn_cpu_rows, 1}},
    [BN_OP_QUANTISE] = {{run_quantise, bn_cpu_rows, 1}},
    [BN_OP_MATMUL] = {{run_matmul, tile_items, 0}},
    [BN_OP_QKV] = {{run_qkv, tile_items, 0}, {run_rope_append, bn_cpu_rows, 1}},
    [BN_OP_ATTENTION] = {{run_attention, attention_items, 1}},
    [BN_OP_GATE_UP] = {{run_gate_up, gate_items, 0}},
    [BN_OP_NORM] = {{run_norm, output_items, 1}},
    [BN_OP_HEAD] = {{run_head, head_items, 0}},
    [BN_OP_TOP] = {{bn_cpu_top_quantise, bn_cpu_top_outputs, 1},
                   {bn_cpu_top_scan, bn_cpu_top_scan_items, 0},
                   {bn_cpu_top_select, bn_cpu_top_outputs, 1},
                   {bn_cpu_top_rescore, bn_cpu_top_rescore_items, 1},
                   {bn_cpu_top_all, bn_cpu_top_all_items, 0}},
    [BN_OP_KV_COPY] = {{run_kv_copy, copy_items, 1}},
    [BN_OP_COPY] = {{run_copy, one_item, 1}},
    [BN_OP_QUANTISE16] = {{bn_cpu_quantise16, bn_cpu_rows, 1}},
    [BN_OP_NORM_ROWS] = {{bn_cpu_norm_rows, bn_cpu_rows, 1}},
    [BN_OP_APPEND] = {{bn_cpu_append, bn_cpu_rows, 1}},
    [BN_OP_ACTIVATE] = {{bn_cpu_activate, bn_cpu_rows, 1}},
    [BN_OP_ROTATE] = {{bn_cpu_rotate, rotate_items, 1}},
};

static size_t scratch_of(const struct bn_op *op)
{
    uint32_t wide = op->rows * bn_op_planes(op);
    size_t acc = (size_t)(wide < LONG_TILES ? LONG_TILES : wide) * TILE * sizeof(int32_t);
    switch (op->kind) {
    case BN_OP_MATMUL:
    case BN_OP_QKV:
        return acc;
    case BN_OP_GATE_UP:
        return 2 * acc;
    case BN_OP_ATTENTION:
        return (size_t)(op->heads / op->kv_heads) * ((op->positions + 63) / 64 * 64) * sizeof(float);
    case BN_OP_HEAD:
        return bn_cpu_table_scratch(op);
    case BN_OP_TOP:
        return bn_cpu_top_scratch(op);
    case BN_OP_NORM_ROWS:
        return op->cols * sizeof(float);
    default:
        return 0;
    }
}

size_t bn_cpu_temporary(const struct bn_op *op)
{
    if (op->kind == BN_OP_TOP)
        return bn_cpu_top_temporary(op);
    return op->kind == BN_OP_QKV ? (size_t)op->rows * (op->w[1].rows + op->w[2].rows) : 0;
}

size_t bn_cpu_phases(const struct bn_op *op, struct phase *phases)
{
    size_t n = 0;
    for (; n < MOST_PHASES && table[op->kind][n].run; n++) {
        phases[n].run = table[op->kind][n].run;
        phases[n].items = table[op->kind][n].items;
        phases[n].chunk = table[op->kind][n].chunk;
        phases[n].scratch = scratch_of(op);
        phases[n].op = op;
        phases[n].row_bytes = op->cols * sizeof(float);
        for (int i = 0; i < 3; i++)
            phases[n].row_bytes += op->w[i].data.size;
    }
    return n;
}

bool bn_cpu_worth_sharing(const struct phase *phase)
{
    const struct bn_op *op = phase->op;
    uint64_t rows = phase->slot->n_rows, bytes = phase->row_bytes;
    if (op->kind == BN_OP_KV_COPY)
        return true;
    if (op->kind == BN_OP_ATTENTION && rows > 0)
        bytes = (uint64_t)(slot_rows(phase)[rows - 1].position + 1) * op->heads * op->head_dim * sizeof(float);
    return rows * bytes >= SHARE_FROM;
}
