// Ops with random operands, on any device.
#include "shader/shader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 20, KV_HEADS = 5, DIM = 128, PAGES = 64, SLOT_ROWS = 512, POSITIONS = PAGES * BN_PAGE_POSITIONS };

const struct problem problems[] = {
    {"copy", BN_OP_COPY, 1, 1001, 48, false},
    {"embed", BN_OP_EMBED, 5, 100, 256, false},
    {"quantise", BN_OP_QUANTISE, 5, 0, 384, false},
    {"norm", BN_OP_NORM, 5, 0, 2560, false},
    {"ternary", BN_OP_MATMUL, 1, 130, 256, false},
    {"ternary", BN_OP_MATMUL, 7, 33, 2560, false},
    {"ternary", BN_OP_GATE_UP, 3, 70, 512, false},
    {"ternary_fused", BN_OP_NORM_MATMUL, 1, 130, 2560, false},
    {"ternary_tiled", BN_OP_MATMUL, 33, 70, 512, false}, // software devices have "ternary" for this, too
    {"ternary_tiled", BN_OP_GATE_UP, 17, 71, 256, false},
    {"ternary_scaled", BN_OP_MATMUL, 3, 70, 320, false},
    {"ternary_scaled", BN_OP_GATE_UP, 1, 70, 512, false},
    {"ternary_scaled_tiled", BN_OP_MATMUL, 35, 70, 320, false},
    {"ternary_scaled_tiled", BN_OP_GATE_UP, 17, 71, 256, false},
    {"ternary_fused", BN_OP_NORM_GATE_UP, 1, 70, 512, false},
    {"attention", BN_OP_ATTENTION, 3, 200, DIM, false},
    {"head", BN_OP_HEAD, 3, 501, 256, false},
    {"quantise", BN_OP_QUANTISE, 1, 0, 6912, true},
    {"norm", BN_OP_NORM, 1, 0, 2560, true},
    {"ternary", BN_OP_MATMUL, 1, 2560, 6912, true},
    {"ternary", BN_OP_MATMUL, 1, 4096, 14336, true},
    {"ternary", BN_OP_MATMUL, 16, 2560, 6912, true},
    {"ternary", BN_OP_GATE_UP, 1, 6912, 2560, true},
    {"ternary_tiled", BN_OP_MATMUL, 64, 2560, 6912, true},
    {"ternary_scaled", BN_OP_MATMUL, 1, 2560, 6912, true},
    {"ternary_scaled_tiled", BN_OP_MATMUL, 64, 2560, 6912, true},
    {"ternary_fused", BN_OP_NORM_MATMUL, 1, 2560, 2560, true},
    {"ternary_fused", BN_OP_NORM_MATMUL, 1, 2560, 6912, true},
    {"ternary_fused", BN_OP_NORM_GATE_UP, 1, 6912, 2560, true},
    {"attention", BN_OP_ATTENTION, 1, 1024, DIM, true},
    {"head", BN_OP_HEAD, 1, 16032, 2560, true},
};
const size_t n_problems = sizeof problems / sizeof *problems;

static uint64_t state;

static uint32_t next_random(void)
{
    state ^= state << 13; // xorshift64 (Marsaglia 2003)
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static void fill_floats(void *data, size_t n)
{
    float *x = data;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(next_random() % 20001) / 10000.0f - 1.0f;
}

// Halves of moderate size: random mantissas, exponents of 2^-3 to 2^0.
static void fill_halves(void *data, size_t n)
{
    uint16_t *x = data;
    for (size_t i = 0; i < n; i++)
        x[i] = (uint16_t)((next_random() & 0x83ff) | (12 + next_random() % 4) << 10);
}

// Codes 0, 1, 2 in pairs of bits; any order of them is a matrix.
static void fill_codes(void *data, size_t n)
{
    uint8_t *x = data;
    for (size_t i = 0; i < n; i++) {
        uint32_t r = next_random();
        x[i] = (uint8_t)(r % 3 | r / 3 % 3 << 2 | r / 9 % 3 << 4 | r / 27 % 3 << 6);
    }
}

static enum bn_result make(struct rig *rig, struct bn_span *span, size_t bytes, void (*fill)(void *data, size_t n),
                           size_t n, struct bn_error *err)
{
    enum bn_result result = bn_buffer_create(rig->device, bytes, &span->buffer, err);
    span->size = bytes;
    if (result == BN_OK && fill)
        fill(span->buffer->host, n);
    rig->bytes += bytes;
    return result;
}

static enum bn_result make_slot(struct rig *rig, const struct problem *problem, struct bn_error *err)
{
    const struct bn_slot_limits limits = {
        .rows = SLOT_ROWS, .seqs = 1, .pages = PAGES, .outputs = SLOT_ROWS, .copies = 1};
    enum bn_result result = bn_buffer_create(rig->device, bn_slot_bytes(&limits), &rig->slot, err);
    if (result != BN_OK)
        return result;
    struct bn_slot *slot = rig->slot->host;
    uint8_t *base = rig->slot->host;
    bn_slot_init(slot, &limits);
    slot->n_rows = slot->n_outputs = problem->rows;
    slot->n_seqs = 1;
    uint32_t last = problem->kind == BN_OP_ATTENTION ? problem->n : 100;
    for (uint32_t i = 0; i < problem->rows; i++) {
        ((struct bn_slot_row *)(void *)(base + slot->row_at))[i] =
            (struct bn_slot_row){i * 7, last - 1 - i * 13 % last, 0, 0};
        ((uint32_t *)(void *)(base + slot->output_at))[i] = problem->rows - 1 - i;
    }
    ((struct bn_slot_seq *)(void *)(base + slot->seq_at))[0] = (struct bn_slot_seq){0, PAGES};
    for (uint32_t i = 0; i < PAGES; i++)
        ((uint32_t *)(void *)(base + slot->page_at))[i] = PAGES - 1 - i;
    return BN_OK;
}

static enum bn_result make_weights(struct rig *rig, const struct problem *problem, int n, enum bn_layout layout,
                                   struct bn_error *err)
{
    enum bn_result result = BN_OK;
    uint64_t bytes = bn_layout_bytes(layout, problem->n, problem->cols);
    for (int i = 0; i < n && result == BN_OK; i++) {
        rig->op.w[i] = (struct bn_weight){
            .layout = layout, .rows = problem->n, .cols = problem->cols, .scale = 0.3f + (float)i / 4};
        bool ternary = layout == BN_LAYOUT_I2S_A || layout == BN_LAYOUT_I2S_A_G128;
        size_t scales = (size_t)problem->n * ((problem->cols + 127) / 128);
        result =
            make(rig, &rig->op.w[i].data, bytes, ternary ? fill_codes : fill_halves, ternary ? bytes : bytes / 2, err);
        if (!ternary)
            rig->op.w[i].scale = 1;
        if (result == BN_OK && layout == BN_LAYOUT_I2S_A_G128)
            result = make(rig, &rig->op.w[i].scales, scales * sizeof(float), fill_floats, scales, err);
    }
    return result;
}

// The input of a ternary op: floats, quantised first unless the op does it itself.
static enum bn_result make_rows8(struct rig *rig, const struct problem *problem, bool fused, struct bn_error *err)
{
    struct bn_op *op = &rig->op, *quantise = &rig->quantise;
    size_t n = (size_t)problem->rows * problem->cols;
    *quantise = (struct bn_op){.kind = BN_OP_QUANTISE, .rows = problem->rows, .cols = problem->cols, .eps = 1e-5f};
    enum bn_result result = make(rig, &quantise->in, n * sizeof(float), fill_floats, n, err);
    if (result == BN_OK && fused)
        result = make(rig, &quantise->norm, problem->cols * sizeof(float), fill_floats, problem->cols, err);
    if (result == BN_OK)
        result = make(rig, &quantise->out, (size_t)problem->rows * bn_padded_cols(problem->cols), NULL, 0, err);
    if (result == BN_OK)
        result = make(rig, &quantise->out2, problem->rows * sizeof(struct bn_row_scale), NULL, 0, err);
    op->in = quantise->out;
    op->in2 = quantise->out2;
    return result;
}

static enum bn_result make_ternary(struct rig *rig, const struct problem *problem, struct bn_error *err)
{
    struct bn_op *op = &rig->op;
    bool gates = problem->kind == BN_OP_GATE_UP || problem->kind == BN_OP_NORM_GATE_UP;
    bool fused = problem->kind == BN_OP_NORM_MATMUL || problem->kind == BN_OP_NORM_GATE_UP;
    size_t n = (size_t)problem->rows * problem->n;
    enum bn_result result = make_rows8(rig, problem, fused, err);
    if (result == BN_OK)
        result =
            make_weights(rig, problem, gates ? 2 : 1,
                         strncmp(problem->shader, "ternary_scaled", 14) ? BN_LAYOUT_I2S_A : BN_LAYOUT_I2S_A_G128, err);
    if (result == BN_OK && !gates)
        result = make(rig, &op->in3, n * sizeof(float), fill_floats, n, err);
    if (result == BN_OK)
        result = make(rig, &op->out, n * sizeof(float), NULL, 0, err);
    op->activation = BN_OP_RELU2;
    if (!fused)
        return result;
    if (bn_device_supports(rig->device, problem->kind, BN_LAYOUT_I2S_A)) {
        op->in = rig->quantise.in;
        op->norm = rig->quantise.norm;
        op->in2 = (struct bn_span){NULL, 0, 0};
    } else { // the oracle has the plain ops
        op->kind = gates ? BN_OP_GATE_UP : BN_OP_MATMUL;
    }
    return result;
}

static enum bn_result make_attention(struct rig *rig, const struct problem *problem, struct bn_error *err)
{
    struct bn_op *op = &rig->op;
    size_t n = (size_t)problem->rows * HEADS * DIM, pool = bn_kv_page_bytes(1, KV_HEADS, DIM, BN_KV_F16) * PAGES;
    op->heads = HEADS;
    op->kv_heads = KV_HEADS;
    op->head_dim = DIM;
    op->n_layers = 1;
    op->positions = POSITIONS;
    op->cols = HEADS * DIM;
    enum bn_result result = make(rig, &op->in, n * sizeof(float), fill_floats, n, err);
    if (result == BN_OK)
        result = make(rig, &op->out, n * sizeof(float), NULL, 0, err);
    if (result == BN_OK)
        result = make(rig, &op->kv, pool, fill_halves, pool / 2, err);
    rig->bytes = (uint64_t)problem->n * KV_HEADS * DIM * 2 * 2;
    return result;
}

// Ops that take floats and give floats.
static enum bn_result make_floats(struct rig *rig, const struct problem *problem, struct bn_error *err)
{
    struct bn_op *op = &rig->op;
    size_t in = (size_t)problem->rows * problem->cols, out = in;
    enum bn_result result = BN_OK;
    if (problem->kind == BN_OP_HEAD || problem->kind == BN_OP_EMBED)
        result = make_weights(rig, problem, 1, BN_LAYOUT_F16, err);
    out = problem->kind == BN_OP_HEAD ? (size_t)problem->rows * problem->n : out;
    in = problem->kind == BN_OP_COPY ? (size_t)problem->n * problem->cols : in;
    out = problem->kind == BN_OP_COPY ? in : out;
    if (result == BN_OK && problem->kind != BN_OP_EMBED)
        result = make(rig, &op->in, in * sizeof(float), fill_floats, in, err);
    if (result == BN_OK && (problem->kind == BN_OP_NORM || problem->kind == BN_OP_QUANTISE))
        result = make(rig, &op->norm, problem->cols * sizeof(float), fill_floats, problem->cols, err);
    if (problem->kind == BN_OP_QUANTISE) {
        if (result == BN_OK)
            result = make(rig, &op->out, (size_t)problem->rows * bn_padded_cols(problem->cols), NULL, 0, err);
        return result == BN_OK ? make(rig, &op->out2, problem->rows * sizeof(struct bn_row_scale), NULL, 0, err)
                               : result;
    }
    return result == BN_OK ? make(rig, &op->out, out * sizeof(float), NULL, 0, err) : result;
}

static enum bn_result record(struct rig *rig, uint32_t copies, struct bn_error *err)
{
    struct bn_op *ops = calloc(copies, sizeof *ops);
    if (!ops) {
        *err = (struct bn_error){.code = BN_ERR_NO_MEMORY, .message = "out of memory"};
        return BN_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < copies; i++)
        ops[i] = rig->op;
    const struct bn_span slot = {rig->slot, 0, rig->slot->size};
    enum bn_result result = bn_command_record(rig->device, ops, copies, &slot, &rig->command, err);
    free(ops);
    return result;
}

static enum bn_result submit(struct rig *rig, struct bn_command *command, uint64_t *signal, struct bn_error *err)
{
    const struct bn_submission submission = {command, ++*signal, NULL, 0};
    enum bn_result result = bn_queue_submit(rig->queue, &submission, err);
    return result == BN_OK ? bn_queue_wait(rig->queue, *signal, UINT64_MAX, err) : result;
}

static enum bn_result quantise_first(struct rig *rig, uint64_t *signal, struct bn_error *err)
{
    struct bn_command *command;
    const struct bn_span slot = {rig->slot, 0, rig->slot->size};
    enum bn_result result = bn_command_record(rig->device, &rig->quantise, 1, &slot, &command, err);
    if (result != BN_OK)
        return result;
    result = submit(rig, command, signal, err);
    bn_command_destroy(command);
    return result;
}

enum bn_result rig_run(struct rig *rig, struct bn_error *err)
{
    uint64_t signal = 0;
    enum bn_result result = bn_queue_poll(rig->queue, &signal, err);
    return result == BN_OK ? submit(rig, rig->command, &signal, err) : result;
}

enum bn_result rig_init(struct rig *rig, struct bn_device *device, const struct problem *problem, uint32_t copies,
                        struct bn_error *err)
{
    rig->device = device;
    rig->op = (struct bn_op){.kind = problem->kind, .rows = problem->rows, .cols = problem->cols, .eps = 1e-5f};
    rig->quantise.kind = BN_OP_COUNT;
    state = 88172645463325252u;
    enum bn_result result = make_slot(rig, problem, err);
    if (result == BN_OK)
        result = problem->kind == BN_OP_ATTENTION         ? make_attention(rig, problem, err)
                 : strncmp(problem->shader, "ternary", 7) ? make_floats(rig, problem, err)
                                                          : make_ternary(rig, problem, err);
    if (result == BN_OK)
        result = bn_queue_open(device, &rig->queue, err);
    uint64_t signal = 0;
    if (result == BN_OK && rig->quantise.kind != BN_OP_COUNT && rig->op.in2.buffer)
        result = quantise_first(rig, &signal, err);
    return result == BN_OK ? record(rig, copies, err) : result;
}

void rig_finish(struct rig *rig)
{
    struct bn_op *op = &rig->op, *quantise = &rig->quantise;
    if (quantise->kind != BN_OP_COUNT && quantise->in.buffer) {
        op->in = quantise->in;
        op->norm = quantise->norm;
        bn_buffer_destroy(quantise->out.buffer);
        bn_buffer_destroy(quantise->out2.buffer);
    }
    bn_queue_close(rig->queue);
    bn_command_destroy(rig->command);
    struct bn_span *spans[] = {&op->in,        &op->in3,       &op->out,         &op->norm,       &op->kv,
                               &op->w[0].data, &op->w[1].data, &op->w[0].scales, &op->w[1].scales};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        bn_buffer_destroy(spans[i]->buffer);
    if (op->kind == BN_OP_QUANTISE)
        bn_buffer_destroy(op->out2.buffer);
    bn_buffer_destroy(rig->slot);
    memset(rig, 0, sizeof *rig);
}

bool rig_compare(const struct rig *got, const struct rig *want, char *text, size_t size)
{
    const struct bn_op *a = &got->op, *b = &want->op;
    if (a->kind == BN_OP_QUANTISE) { // an element next to a half may move by a step after another device's norm
        const int8_t *x = a->out.buffer->host, *y = b->out.buffer->host;
        uint64_t moved = 0, wrong = 0;
        for (uint64_t i = 0; i < a->out.size; i++) {
            moved += x[i] != y[i];
            wrong += abs(x[i] - y[i]) > 1;
        }
        snprintf(text, size, "%llu of %llu elements moved by a step", (unsigned long long)moved,
                 (unsigned long long)a->out.size);
        return wrong == 0 && moved <= 1 + a->out.size / 100;
    }
    const float *x = a->out.buffer->host, *y = b->out.buffer->host;
    double most = 0, largest = 1e-30;
    for (uint64_t i = 0; i < a->out.size / sizeof(float); i++) {
        double off = fabs((double)x[i] - (double)y[i]);
        most = off > most || off != off ? off : most;
        largest = fabs((double)y[i]) > largest ? fabs((double)y[i]) : largest;
    }
    // Without a norm of its own the sums of an op are exact, or few and in another order.
    double bound = a->kind == BN_OP_NORM_MATMUL || a->kind == BN_OP_NORM_GATE_UP ? 2e-2 : 1e-5;
    snprintf(text, size, "largest difference %.2g of the largest value, bound %.2g", most / largest, bound);
    return most / largest <= bound;
}
