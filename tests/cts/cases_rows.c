// Many rows at once, as prompts have them: each row must have the bits that it has alone, whatever kernel a device takes for many.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum {
    MOST_ROWS = 127,
    HEADS = 4,
    KV_HEADS = 2,
    DIM = 32,
    LAYERS = 1,
    PAGES = 2,
    POSITIONS = 128,
    COLS = 320,
    PADDED = 384
};
static const uint32_t counts[] = {2, 3, 5, 33, MOST_ROWS};

static const struct {
    enum bn_op_kind kind;
    enum bn_op_activation activation;
    uint32_t w_rows[3];
} ops[] = {
    {BN_OP_MATMUL, BN_OP_RELU2, {70}},
    {BN_OP_GATE_UP, BN_OP_RELU2, {71, 71}},
    {BN_OP_GATE_UP, BN_OP_SILU, {71, 71}},
    {BN_OP_QKV, BN_OP_RELU2, {HEADS * DIM, KV_HEADS *DIM, KV_HEADS *DIM}},
};

// The int8 rows, and their scales, in buffers for `rows` of them.
struct input {
    int8_t q[MOST_ROWS * PADDED];
    struct bn_row_scale scales[MOST_ROWS];
    float add[MOST_ROWS * HEADS * DIM];
};

static void fill(struct cts *cts, struct input *input)
{
    memset(input, 0, sizeof(*input));
    for (size_t i = 0; i < MOST_ROWS; i++) {
        _Alignas(64) int8_t q[PADDED] = {0};
        float *x = cts_floats(COLS, 2.0f);
        cts->oracle->quantise(x, NULL, COLS, 1e-5f, q, &input->scales[i]);
        memcpy(input->q + i * PADDED, q, PADDED);
        free(x);
    }
    for (size_t i = 0; i < MOST_ROWS * HEADS * DIM; i++)
        input->add[i] = (float)(cts_random() % 1000) / 100.0f;
}

static struct bn_weight random_weight(struct cts *cts, enum bn_op_kind kind, uint32_t rows)
{
    struct bn_weight w = {.rows = rows, .cols = COLS, .scale = 0.3f};
    int8_t *trits = malloc((size_t)rows * COLS);
    for (size_t i = 0; i < (size_t)rows * COLS; i++)
        trits[i] = (int8_t)(cts_random() % 3) - 1;
    CTS_MUST(bn_device_preferred_layout(cts->device, kind, BN_LAYOUT_I2S_A, &w.layout, &cts->error));
    w.data = cts_buffer(cts, bn_layout_bytes(w.layout, rows, COLS), NULL);
    bn_layout_get(w.layout)->pack(trits, rows, COLS, 0, rows, w.data.buffer->host);
    free(trits);
    return w;
}

// Runs rows first .. first + n - 1 in a command for `rows`; what comes out is appended to *out.
static void run(struct cts *cts, struct bn_op op, const struct input *input, uint32_t rows, uint32_t first, uint32_t n,
                float *out)
{
    uint32_t positions[MOST_ROWS];
    for (uint32_t i = 0; i < n; i++)
        positions[i] = first + i;
    struct bn_span slot = cts_slot(cts, n, NULL, positions);
    size_t width = op.w[0].rows;
    op.rows = rows;
    op.in = cts_buffer(cts, (size_t)rows * PADDED, NULL);
    op.in2 = cts_buffer(cts, rows * sizeof(input->scales[0]), NULL);
    op.out = cts_buffer(cts, rows * width * sizeof(float), NULL);
    if (op.kind == BN_OP_MATMUL) {
        op.in3 = cts_buffer(cts, rows * width * sizeof(float), NULL);
        memcpy(op.in3.buffer->host, input->add + first * width, n * width * sizeof(float));
    }
    memcpy(op.in.buffer->host, input->q + (size_t)first * PADDED, (size_t)n * PADDED);
    memcpy(op.in2.buffer->host, input->scales + first, n * sizeof(input->scales[0]));
    memset(op.out.buffer->host, 0xff, op.out.size);
    cts_run(cts, &op, &slot);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_OK, "status %u", cts_slot_header(&slot)->status);
    memcpy(out, op.out.buffer->host, n * width * sizeof(float));
    struct bn_span *spans[] = {&slot, &op.in, &op.in2, &op.in3, &op.out};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        if (spans[i]->buffer)
            cts_free(spans[i]);
}

static void rows_of(struct cts *cts, size_t which, const struct input *input)
{
    size_t width = ops[which].w_rows[0], pool = bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, BN_KV_F16) * PAGES;
    struct bn_op op = {.kind = ops[which].kind,
                       .cols = COLS,
                       .activation = ops[which].activation,
                       .heads = HEADS,
                       .kv_heads = KV_HEADS,
                       .head_dim = DIM,
                       .n_layers = LAYERS,
                       .positions = POSITIONS};
    for (int i = 0; i < 3 && ops[which].w_rows[i]; i++)
        op.w[i] = random_weight(cts, op.kind, ops[which].w_rows[i]);
    if (op.kind == BN_OP_QKV) {
        float *table = cts_floats(POSITIONS * DIM, 1.0f);
        op.rope = cts_buffer(cts, POSITIONS * DIM * sizeof(float), table);
        op.kv = cts_buffer(cts, pool, NULL);
        free(table);
    }
    float *alone = malloc(MOST_ROWS * width * sizeof(float)), *together = malloc(MOST_ROWS * width * sizeof(float));
    uint8_t *pages = malloc(pool);
    for (uint32_t i = 0; i < MOST_ROWS; i++)
        run(cts, op, input, 1, i, 1, alone + i * width);
    if (op.kv.buffer)
        memcpy(pages, op.kv.buffer->host, pool);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
        for (uint32_t most = counts[c];; most = MOST_ROWS) { // a command of this size, and the largest
            if (op.kv.buffer)
                memset(op.kv.buffer->host, 0, pool);
            run(cts, op, input, most, 0, counts[c], together);
            CTS_CHECK(memcmp(together, alone, counts[c] * width * sizeof(float)) == 0, "%s: %u of %u rows differ",
                      bn_op_name(op.kind), counts[c], most);
            if (most == MOST_ROWS)
                break;
        }
    CTS_CHECK(!op.kv.buffer || memcmp(op.kv.buffer->host, pages, pool) == 0, "the KV pools differ");
    struct bn_span *spans[] = {&op.w[0].data, &op.w[1].data, &op.w[2].data, &op.rope, &op.kv};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        if (spans[i]->buffer)
            cts_free(spans[i]);
    free(alone);
    free(together);
    free(pages);
}

static void rows(struct cts *cts)
{
    struct input *input = malloc(sizeof(*input));
    fill(cts, input);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        rows_of(cts, i, input);
    free(input);
}

const struct cts_case cts_row_cases[] = {{"rows", rows}, {NULL, NULL}};
