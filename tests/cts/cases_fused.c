// Ops that quantise their input themselves, against the device's own plain ops. A device need not have them.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum { ROWS = 3, HEADS = 4, KV_HEADS = 2, DIM = 32, LAYERS = 1, POSITIONS = 128, COLS = 256 };

static const struct fused {
    enum bn_op_kind fused, plain;
    uint32_t w_rows[3];
} fuseds[] = {
    {BN_OP_NORM_MATMUL, BN_OP_MATMUL, {70}},
    {BN_OP_NORM_GATE_UP, BN_OP_GATE_UP, {70, 70}},
    {BN_OP_NORM_QKV, BN_OP_QKV, {HEADS * DIM, KV_HEADS *DIM, KV_HEADS *DIM}},
};

static struct bn_span random_floats(struct cts *cts, size_t n, float scale)
{
    struct bn_span span = cts_buffer(cts, n * sizeof(float), NULL);
    for (size_t i = 0; i < n; i++)
        ((float *)span.buffer->host)[i] = ((float)(cts_random() % 2001) / 1000.0f - 1.0f) * scale;
    return span;
}

static struct bn_weight random_weight(struct cts *cts, uint32_t rows, uint32_t cols)
{
    int8_t *trits = malloc((size_t)rows * cols);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        trits[i] = (int8_t)(cts_random() % 3) - 1;
    struct bn_weight w = {.layout = BN_LAYOUT_I2S_A, .rows = rows, .cols = cols, .scale = 0.3f};
    w.data = cts_buffer(cts, bn_layout_bytes(w.layout, rows, cols), NULL);
    bn_layout_get(w.layout)->pack(trits, rows, cols, 0, rows, w.data.buffer->host);
    free(trits);
    return w;
}

static struct bn_op base_op(struct cts *cts, const struct fused *f, uint32_t rows, uint32_t cols)
{
    struct bn_op op = {.rows = rows,
                       .cols = cols,
                       .heads = HEADS,
                       .kv_heads = KV_HEADS,
                       .head_dim = DIM,
                       .n_layers = LAYERS,
                       .positions = POSITIONS,
                       .eps = 1e-5f,
                       .activation = BN_OP_RELU2};
    op.out = cts_buffer(cts, (size_t)rows * f->w_rows[0] * sizeof(float), NULL);
    for (int i = 0; i < 3 && f->w_rows[i]; i++)
        op.w[i] = random_weight(cts, f->w_rows[i], cols);
    if (f->plain == BN_OP_MATMUL)
        op.in3 = random_floats(cts, (size_t)rows * f->w_rows[0], 1.0f);
    if (f->plain == BN_OP_QKV) {
        op.kv = cts_buffer(cts, bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, BN_KV_F16) * 2, NULL);
        op.rope = random_floats(cts, (size_t)POSITIONS * DIM, 1.0f);
    }
    return op;
}

static void free_op(struct bn_op *op)
{
    struct bn_span *spans[] = {&op->in,   &op->in3,       &op->out,       &op->norm,     &op->kv,
                               &op->rope, &op->w[0].data, &op->w[1].data, &op->w[2].data};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        if (spans[i]->buffer)
            cts_free(spans[i]);
}

// The largest difference of two f32 buffers, relative to the largest element.
static float difference(const float *a, const float *b, size_t n)
{
    float most = 0, largest = 1e-30f;
    for (size_t i = 0; i < n; i++) {
        most = fabsf(a[i] - b[i]) > most ? fabsf(a[i] - b[i]) : most;
        largest = fabsf(a[i]) > largest ? fabsf(a[i]) : largest;
    }
    return most / largest;
}

static void one(struct cts *cts, const struct fused *f, uint32_t rows, uint32_t cols, bool with_norm)
{
    struct bn_span slot = cts_slot(cts, rows, NULL, NULL),
                   q = cts_buffer(cts, (size_t)rows * bn_padded_cols(cols), NULL),
                   scales = cts_buffer(cts, rows * sizeof(struct bn_row_scale), NULL);
    struct bn_op op = base_op(cts, f, rows, cols);
    op.in = random_floats(cts, (size_t)rows * cols, 3.0f);
    if (with_norm)
        op.norm = random_floats(cts, cols, 2.0f);
    struct bn_op quantise = {.kind = BN_OP_QUANTISE, .rows = rows, .cols = cols, .in = op.in, .norm = op.norm};
    quantise.out = q;
    quantise.out2 = scales;
    quantise.eps = op.eps;
    cts_run(cts, &quantise, &slot);
    struct bn_op plain = op;
    plain.kind = f->plain;
    plain.in = q;
    plain.in2 = scales;
    plain.norm.buffer = NULL;
    cts_run(cts, &plain, &slot);
    size_t n = op.out.size / sizeof(float), kv_bytes = op.kv.size;
    float *want = malloc(op.out.size);
    uint8_t *kv = malloc(kv_bytes + 1);
    memcpy(want, op.out.buffer->host, op.out.size);
    memset(op.out.buffer->host, 0xff, op.out.size);
    if (kv_bytes) {
        memcpy(kv, op.kv.buffer->host, kv_bytes);
        memset(op.kv.buffer->host, 0, kv_bytes);
    }
    op.kind = f->fused;
    cts_run(cts, &op, &slot);
    // Without a norm nothing may differ. With one its sum may be taken in another order, and an element move by a step.
    float most = difference(want, op.out.buffer->host, n);
    CTS_CHECK(with_norm ? most < 0.02f : memcmp(want, op.out.buffer->host, op.out.size) == 0,
              "%s of %u rows, %u columns: %g", bn_op_name(f->fused), rows, cols, (double)most);
    CTS_CHECK(with_norm || !kv_bytes || memcmp(kv, op.kv.buffer->host, kv_bytes) == 0, "the KV pool differs");
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_OK, "status %u", cts_slot_header(&slot)->status);
    ((float *)op.in.buffer->host)[cols / 2] = NAN;
    cts_run(cts, &op, &slot);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "NaN goes unnoticed");
    free(want);
    free(kv);
    free_op(&op);
    cts_free(&slot);
    cts_free(&q);
    cts_free(&scales);
}

static void fused(struct cts *cts)
{
    static const uint32_t shapes[][2] = {
        {1, COLS}, {1, 192}, {ROWS, COLS}, {1, 33024}}; // the last fits no workgroup's memory
    for (size_t i = 0; i < sizeof(fuseds) / sizeof(fuseds[0]); i++)
        for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
            if (bn_device_supports(cts->device, fuseds[i].fused, BN_LAYOUT_I2S_A)) {
                one(cts, &fuseds[i], shapes[s][0], shapes[s][1], false);
                one(cts, &fuseds[i], shapes[s][0], shapes[s][1], true);
            }
}

const struct cts_case cts_fused_cases[] = {{"fused", fused}, {NULL, NULL}};
