// Every op with arithmetic against the scalar kernels: integers exact, and floats too where the device promises it.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum { MAX_ROWS = 5 };
static const uint32_t row_counts[] = {1, 3, MAX_ROWS};

// A ternary matrix in the layout that the device prefers, and the same in the oracle's (I2_S A).
struct ternary {
    struct bn_weight weight;
    uint8_t *oracle;
};

static struct ternary make_ternary(struct cts *cts, enum bn_op_kind kind, uint32_t rows, uint32_t cols, float scale)
{
    struct ternary t = {.weight = {.rows = rows, .cols = cols, .scale = scale}};
    int8_t *trits = malloc((size_t)rows * cols);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        trits[i] = (int8_t)(cts_random() % 3) - 1;
    size_t bytes = bn_layout_bytes(BN_LAYOUT_I2S_A, rows, cols);
    t.oracle = malloc(bytes);
    bn_layout_get(BN_LAYOUT_I2S_A)->pack(trits, rows, cols, 0, rows, t.oracle);
    CTS_MUST(bn_device_preferred_layout(cts->device, kind, BN_LAYOUT_I2S_A, &t.weight.layout, &cts->error));
    t.weight.data = cts_buffer(cts, bn_layout_bytes(t.weight.layout, rows, cols), NULL);
    bn_layout_get(t.weight.layout)->pack(trits, rows, cols, 0, rows, t.weight.data.buffer->host);
    free(trits);
    return t;
}

static void free_ternary(struct ternary *t)
{
    cts_free(&t->weight.data);
    free(t->oracle);
}

// Quantised rows on the device and for the oracle.
struct rows8 {
    struct bn_span q, scales;
    int8_t *oracle_q;
    struct bn_row_scale *oracle_scales;
};

static struct rows8 make_rows8(struct cts *cts, uint32_t rows, uint32_t cols)
{
    struct rows8 r;
    r.oracle_q = aligned_alloc(64, (size_t)rows * cols);
    r.oracle_scales = calloc(rows, sizeof(*r.oracle_scales));
    float *x = cts_floats((size_t)rows * cols, 3.0f);
    for (uint32_t i = 0; i < rows; i++)
        cts->oracle->quantise(x + (size_t)i * cols, NULL, cols, 1e-5f, r.oracle_q + (size_t)i * cols,
                              &r.oracle_scales[i]);
    r.q = cts_buffer(cts, (size_t)rows * cols, r.oracle_q);
    r.scales = cts_buffer(cts, rows * sizeof(*r.oracle_scales), r.oracle_scales);
    free(x);
    return r;
}

static void free_rows8(struct rows8 *r)
{
    cts_free(&r->q);
    cts_free(&r->scales);
    free(r->oracle_q);
    free(r->oracle_scales);
}

// What the oracle says of out [rows][t->weight.rows] = t * r (+ add).
static float *oracle_matmul(struct cts *cts, const struct ternary *t, const struct rows8 *r, uint32_t rows,
                            const float *add)
{
    size_t n = t->weight.rows, cols = t->weight.cols;
    int32_t *acc = malloc(n * sizeof(*acc));
    float *out = malloc(rows * n * sizeof(*out));
    for (uint32_t i = 0; i < rows; i++) {
        cts->oracle->ternary(t->oracle, n, cols, r->oracle_q + i * cols, cols, &r->oracle_scales[i], 1, acc, n);
        cts->oracle->dequantise(acc, n, t->weight.scale / r->oracle_scales[i].scale, add ? add + i * n : NULL,
                                out + i * n);
    }
    free(acc);
    return out;
}

static void embed(struct cts *cts)
{
    enum { VOCAB = 37, COLS = 48 };
    static const enum bn_layout layouts[] = {BN_LAYOUT_F32, BN_LAYOUT_F16, BN_LAYOUT_BF16};
    uint32_t tokens[MAX_ROWS] = {0, 36, 5, 5, 17};
    struct bn_caps caps = {0};
    for (int l = 0; l < 3; l++) {
        float *values = cts_floats((size_t)VOCAB * COLS, 2.0f), expected[MAX_ROWS * COLS];
        uint16_t *half = malloc(sizeof(*half) * VOCAB * COLS);
        for (size_t i = 0; i < (size_t)VOCAB * COLS; i++) {
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof(bits));
            half[i] = layouts[l] == BN_LAYOUT_F16 ? bn_f32_to_f16(values[i]) : (uint16_t)(bits >> 16);
        }
        const void *data = layouts[l] == BN_LAYOUT_F32 ? (void *)values : (void *)half;
        struct bn_weight w = {.layout = layouts[l], .rows = VOCAB, .cols = COLS, .scale = 1};
        w.data = cts_buffer(cts, bn_layout_bytes(layouts[l], VOCAB, COLS), data);
        struct bn_span slot = cts_slot(cts, MAX_ROWS, tokens, NULL), out = cts_buffer(cts, sizeof(expected), NULL);
        struct bn_op op = {.kind = BN_OP_EMBED, .rows = MAX_ROWS, .cols = COLS, .out = out};
        op.w[0] = w;
        cts_run(cts, &op, &slot);
        for (int i = 0; i < MAX_ROWS; i++)
            bn_layout_get(layouts[l])->widen(data, COLS, tokens[i], expected + (size_t)i * COLS);
        cts_compare(cts, bn_layout_get(layouts[l])->name, &out, expected, MAX_ROWS * COLS);
        bn_device_get_caps(cts->device, &caps);
        if (caps.op_options & BN_OP_WITH_SCALE) {
            op.scale = 11.3f;
            cts_run(cts, &op, &slot);
            for (int i = 0; i < MAX_ROWS * COLS; i++)
                expected[i] *= op.scale;
            CTS_CHECK(memcmp(out.buffer->host, expected, sizeof(expected)) == 0, "scaled rows differ");
        }
        cts_free(&w.data);
        cts_free(&slot);
        cts_free(&out);
        free(values);
        free(half);
    }
}

// A row after a norm, on a device whose norm is not the oracle's to the bit: the scale within the norm's bound, and no element
// further off than that moves it, which is one step where the oracle was next to a half. The sum is that of the row as it is.
static void check_close_row(struct cts *cts, const int8_t *got, const struct bn_row_scale *got_scale, const int8_t *q,
                            const struct bn_row_scale *scale, int n)
{
    int32_t sum = 0, moved = 0, wrong = 0;
    for (int i = 0; i < n; i++) {
        sum += got[i];
        moved += got[i] != q[i];
        wrong += abs(got[i] - q[i]) > 1;
    }
    CTS_CHECK(wrong == 0 && moved <= 1 + n / 100, "%d of %d elements moved, %d by more than a step", moved, n, wrong);
    CTS_CHECK(sum == got_scale->sum, "the row's sum is %d, not %d", sum, got_scale->sum);
    CTS_CHECK(fabsf(got_scale->scale - scale->scale) <= 4e-6f * scale->scale, "scale %g, not %g",
              (double)got_scale->scale, (double)scale->scale);
}

static void quantise(struct cts *cts)
{
    enum { COLS = 384 };
    for (int with_norm = 0; with_norm < 2; with_norm++) {
        float *x = cts_floats(MAX_ROWS * COLS, 100.0f), *norm = cts_floats(COLS, 2.0f);
        struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, NULL), in = cts_buffer(cts, MAX_ROWS * COLS * 4, x),
                       weights = cts_buffer(cts, COLS * 4, norm), out = cts_buffer(cts, MAX_ROWS * COLS, NULL),
                       scales = cts_buffer(cts, MAX_ROWS * sizeof(struct bn_row_scale), NULL);
        struct bn_op op = {
            .kind = BN_OP_QUANTISE, .rows = MAX_ROWS, .cols = COLS, .in = in, .out = out, .out2 = scales, .eps = 1e-5f};
        if (with_norm)
            op.norm = weights;
        cts_run(cts, &op, &slot);
        _Alignas(64) int8_t q[COLS];
        for (int i = 0; i < MAX_ROWS; i++) {
            struct bn_row_scale scale;
            cts->oracle->quantise(x + (size_t)i * COLS, with_norm ? norm : NULL, COLS, 1e-5f, q, &scale);
            const struct bn_row_scale *got = (const struct bn_row_scale *)scales.buffer->host + i;
            if (with_norm && !cts->exact) {
                check_close_row(cts, (int8_t *)out.buffer->host + (size_t)i * COLS, got, q, &scale, COLS);
                continue;
            }
            CTS_CHECK(memcmp(q, (int8_t *)out.buffer->host + (size_t)i * COLS, COLS) == 0, "row %d differs", i);
            CTS_CHECK(got->sum == scale.sum && got->scale == scale.scale, "scale of row %d differs", i);
        }
        cts_free(&slot);
        cts_free(&in);
        cts_free(&weights);
        cts_free(&out);
        cts_free(&scales);
        free(x);
        free(norm);
    }
}

static void matmul(struct cts *cts)
{
    static const uint32_t shapes[][2] = {{32, 128}, {33, 256}, {128, 2560}, {4, 6912}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
        for (size_t c = 0; c < sizeof(row_counts) / sizeof(row_counts[0]); c++) {
            uint32_t n = shapes[s][0], cols = shapes[s][1], rows = row_counts[c];
            struct ternary t = make_ternary(cts, BN_OP_MATMUL, n, cols, 0.37f);
            struct rows8 r = make_rows8(cts, MAX_ROWS, cols);
            float *residual = cts_floats((size_t)MAX_ROWS * n, 1.0f);
            struct bn_span slot = cts_slot(cts, rows, NULL, NULL),
                           out = cts_buffer(cts, (size_t)MAX_ROWS * n * 4, residual);
            struct bn_op op = {.kind = BN_OP_MATMUL,
                               .rows = MAX_ROWS,
                               .cols = cols,
                               .in = r.q,
                               .in2 = r.scales,
                               .in3 = out,
                               .out = out};
            op.w[0] = t.weight;
            cts_run(cts, &op, &slot);
            float *expected = oracle_matmul(cts, &t, &r, rows, residual);
            cts_compare(cts, "matmul", &out, expected, (size_t)rows * n);
            free(expected);
            free(residual);
            cts_free(&slot);
            cts_free(&out);
            free_rows8(&r);
            free_ternary(&t);
        }
}

enum { HEADS = 4, KV_HEADS = 2, DIM = 32, LAYERS = 2, POSITIONS = 256, POOL_PAGES = 4 };

static void fill_geometry(struct bn_op *op)
{
    op->heads = HEADS;
    op->kv_heads = KV_HEADS;
    op->head_dim = DIM;
    op->n_layers = LAYERS;
    op->layer = 1;
    op->positions = POSITIONS;
}

// How a row of K or V is stored; `step` of int8.
static size_t stored_row(struct cts *cts, enum bn_kv_type type, const float *x, uint8_t *row, float *step)
{
    if (type == BN_KV_F16) {
        cts->oracle->narrow_f16(x, DIM, (uint16_t *)(void *)row);
        return DIM * sizeof(uint16_t);
    }
    float padded[64] = {0};
    int8_t q[64];
    struct bn_row_scale scale;
    memcpy(padded, x, DIM * sizeof(*x));
    CTS_CHECK(cts->oracle->quantise(padded, NULL, 64, 0, q, &scale), "a row is not finite");
    memcpy(row, q, DIM);
    *step = 1.0f / scale.scale;
    return DIM;
}

static size_t wrong_rows(struct cts *cts, enum bn_kv_type type, const uint8_t *page, uint32_t position, uint32_t which,
                         const float *x)
{
    size_t wrong = 0;
    for (uint32_t h = 0; h < KV_HEADS; h++) {
        _Alignas(4) uint8_t row[2 * DIM];
        float step = 0, stored = 0;
        size_t bytes = stored_row(cts, type, x + (size_t)h * DIM, row, &step);
        uint64_t rows = bn_kv_row_offset(1, which, h, 0, KV_HEADS, DIM, type);
        wrong += memcmp(row, page + bn_kv_row_offset(1, which, h, position, KV_HEADS, DIM, type), bytes) != 0;
        if (type == BN_KV_INT8)
            memcpy(&stored, page + bn_kv_steps_offset(rows, DIM) + position % BN_PAGE_POSITIONS * sizeof(float),
                   sizeof(stored));
        wrong += memcmp(&step, &stored, sizeof(step)) != 0;
    }
    return wrong;
}

static void qkv_in_order(struct cts *cts, enum bn_rope_order rope_order, enum bn_kv_type type)
{
    enum { COLS = 256 };
    uint32_t positions[MAX_ROWS] = {0, 63, 64, 65, 200};
    struct ternary t[3] = {make_ternary(cts, BN_OP_QKV, HEADS * DIM, COLS, 0.5f),
                           make_ternary(cts, BN_OP_QKV, KV_HEADS * DIM, COLS, 0.25f),
                           make_ternary(cts, BN_OP_QKV, KV_HEADS * DIM, COLS, 0.75f)};
    struct rows8 r = make_rows8(cts, MAX_ROWS, COLS);
    float *table = cts_floats((size_t)POSITIONS * DIM, 1.0f);
    struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, positions), rope = cts_buffer(cts, POSITIONS * DIM * 4, table),
                   out = cts_buffer(cts, MAX_ROWS * HEADS * DIM * 4, NULL),
                   pool = cts_buffer(cts, bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, type) * POOL_PAGES, NULL);
    struct bn_op op = {.kind = BN_OP_QKV,
                       .rows = MAX_ROWS,
                       .cols = COLS,
                       .in = r.q,
                       .in2 = r.scales,
                       .out = out,
                       .kv = pool,
                       .rope = rope,
                       .rope_order = rope_order,
                       .kv_type = type};
    for (int i = 0; i < 3; i++)
        op.w[i] = t[i].weight;
    fill_geometry(&op);
    cts_run(cts, &op, &slot);
    float *expected[3];
    for (int i = 0; i < 3; i++)
        expected[i] = oracle_matmul(cts, &t[i], &r, MAX_ROWS, NULL);
    size_t wrong = 0;
    for (uint32_t i = 0; i < MAX_ROWS; i++) {
        const float *angles = table + (size_t)positions[i] * DIM;
        cts->oracle->rope(expected[0] + (size_t)i * HEADS * DIM, HEADS, DIM, angles, rope_order);
        cts->oracle->rope(expected[1] + (size_t)i * KV_HEADS * DIM, KV_HEADS, DIM, angles, rope_order);
        const uint8_t *page = (const uint8_t *)pool.buffer->host +
                              positions[i] / BN_PAGE_POSITIONS * bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, type);
        for (uint32_t which = 0; which < 2; which++)
            wrong += wrong_rows(cts, type, page, positions[i], which, expected[1 + which] + (size_t)i * KV_HEADS * DIM);
    }
    cts_compare(cts, "q", &out, expected[0], MAX_ROWS * HEADS * DIM);
    CTS_CHECK(wrong == 0, "%zu rows of the KV pool differ", wrong);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_OK, "status %u", cts_slot_header(&slot)->status);
    for (int i = 1; i < 3; i++) { // k, then v, beyond f16 or f32
        op.w[i].scale = type == BN_KV_F16 ? 1e30f : 3e38f;
        cts_run(cts, &op, &slot);
        CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "infinity in the KV pool goes unnoticed");
        op.w[i].scale = t[i].weight.scale;
    }
    for (int i = 0; i < 3; i++) {
        free(expected[i]);
        free_ternary(&t[i]);
    }
    free(table);
    free_rows8(&r);
    cts_free(&slot);
    cts_free(&rope);
    cts_free(&out);
    cts_free(&pool);
}

static void qkv(struct cts *cts)
{
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    qkv_in_order(cts, BN_ROPE_HALVES, BN_KV_F16);
    qkv_in_order(cts, BN_ROPE_PAIRS, BN_KV_F16);
    if (caps.op_options & BN_OP_WITH_INT8_KV)
        qkv_in_order(cts, BN_ROPE_HALVES, BN_KV_INT8);
}

// Rows and steps of a pool of int8: all bytes of rows at random, no step 0.
static void fill_int8_pool(uint8_t *pool)
{
    uint64_t head = bn_kv_head_bytes(DIM, BN_KV_INT8);
    for (uint64_t at = 0; at < bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, BN_KV_INT8) * POOL_PAGES; at += head) {
        float *values = cts_floats(BN_PAGE_POSITIONS * (DIM + 1), 127);
        for (uint32_t i = 0; i < BN_PAGE_POSITIONS * DIM; i++)
            pool[at + i] = (uint8_t)(int8_t)values[i];
        float *steps = (float *)(void *)(pool + bn_kv_steps_offset(at, DIM));
        for (uint32_t i = 0; i < BN_PAGE_POSITIONS; i++)
            steps[i] = 0.001f + fabsf(values[BN_PAGE_POSITIONS * DIM + i]) / (127 * 64);
        free(values);
    }
}

static void attention_at(struct cts *cts, const uint32_t *positions, uint32_t pages, uint32_t window,
                         enum bn_kv_type type)
{
    size_t bytes = bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, type) * pages, n = (size_t)MAX_ROWS * HEADS * DIM;
    float *q = cts_floats(n, 2.0f), *kv = cts_floats(bytes / 2, 1.5f), *expected = malloc(n * sizeof(*expected));
    struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, positions), in = cts_buffer(cts, n * 4, q),
                   out = cts_buffer(cts, n * 4, NULL), pool = cts_buffer(cts, bytes, NULL);
    if (type == BN_KV_F16)
        cts->oracle->narrow_f16(kv, bytes / 2, pool.buffer->host);
    else
        fill_int8_pool(pool.buffer->host);
    struct bn_op op = {.kind = BN_OP_ATTENTION,
                       .rows = MAX_ROWS,
                       .cols = HEADS * DIM,
                       .in = in,
                       .out = out,
                       .kv = pool,
                       .window = window,
                       .kv_type = type};
    fill_geometry(&op);
    op.positions = pages * BN_PAGE_POSITIONS;
    cts_run(cts, &op, &slot);
    const struct bn_slot *header = cts_slot_header(&slot);
    float *scores = malloc((size_t)HEADS / KV_HEADS * op.positions * sizeof(*scores));
    for (uint32_t i = 0; i < MAX_ROWS; i++)
        for (uint32_t h = 0; h < KV_HEADS; h++) {
            size_t at = ((size_t)i * HEADS + h * (HEADS / KV_HEADS)) * DIM;
            struct bn_attend args = {.q = q + at,
                                     .out = expected + at,
                                     .scores = scores,
                                     .pool = pool.buffer->host,
                                     .pages = (const void *)((const uint8_t *)header + header->page_at),
                                     .page_bytes = bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, type),
                                     .k_offset = bn_kv_row_offset(1, 0, h, 0, KV_HEADS, DIM, type),
                                     .v_offset = bn_kv_row_offset(1, 1, h, 0, KV_HEADS, DIM, type),
                                     .kv_type = type,
                                     .n_positions = positions[i] + 1,
                                     .skip = window && positions[i] + 1 > window ? positions[i] + 1 - window : 0,
                                     .group = HEADS / KV_HEADS,
                                     .head_dim = DIM,
                                     .scale = 1.0f / sqrtf((float)DIM)};
            cts->oracle->attend(&args);
        }
    cts_compare(cts,
                type == BN_KV_INT8 ? "attention over int8"
                : window           ? "attention within a window"
                                   : "attention",
                &out, expected, n);
    free(q);
    free(kv);
    free(expected);
    free(scores);
    cts_free(&slot);
    cts_free(&in);
    cts_free(&out);
    cts_free(&pool);
}

static void attention_of(struct cts *cts, uint32_t window, enum bn_kv_type type)
{
    static const uint32_t positions[MAX_ROWS] = {0, 63, 64, 130, 255};
    attention_at(cts, positions, POOL_PAGES, window, type);
}

// As long as a slot of this suite holds: a device may share a row's pages among groups.
static void long_attention(struct cts *cts)
{
    static const uint32_t positions[][MAX_ROWS] = {
        {0, 64, 1000, 1023, 1024}, {2047, 2048, 2111, 3000, 4095}, {127, 128, 4031, 4032, 4094}};
    static const uint32_t fewer[MAX_ROWS] = {0, 255, 319, 1023, 1087};
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        attention_at(cts, positions[i], 64, 0, BN_KV_F16);
        if (caps.op_options & BN_OP_WITH_WINDOW)
            attention_at(cts, positions[i], 64, 700, BN_KV_F16);
    }
    attention_at(cts, fewer, 17, 0, BN_KV_F16); // pages that no number of groups divides
}

// However many threads share the work.
static void attention_in_teams(struct cts *cts)
{
    static const uint32_t threads[] = {1, 3, 7, 16};
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]) && bn_device_get_info(cts->device)->threads; i++) {
        struct cts own = *cts;
        struct bn_device_options options;
        BN_INIT(options);
        options.threads = threads[i];
        own.submitted = own.failures = 0;
        if (!CTS_MUST(bn_device_open(cts->runtime, cts->selector, &options, &own.device, &cts->error)))
            return;
        if (CTS_MUST(bn_queue_open(own.device, &own.queue, &cts->error))) {
            attention_of(&own, 0, BN_KV_F16);
            attention_of(&own, 100, BN_KV_F16);
            bn_queue_close(own.queue);
        }
        bn_device_close(own.device);
        cts->failures += own.failures;
    }
}

static void attention(struct cts *cts)
{
    static const uint32_t windows[] = {1, 40, 64, 100, 1000};
    struct bn_caps caps = {0};
    attention_of(cts, 0, BN_KV_F16);
    long_attention(cts);
    bn_device_get_caps(cts->device, &caps);
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]) && (caps.op_options & BN_OP_WITH_WINDOW); i++)
        attention_of(cts, windows[i], BN_KV_F16);
    if (caps.op_options & BN_OP_WITH_INT8_KV)
        attention_of(cts, 0, BN_KV_INT8);
    if (caps.op_options & BN_OP_WITH_WINDOW)
        attention_in_teams(cts);
}

static void gate_up(struct cts *cts)
{
    enum { N = 70, COLS = 256 };
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    for (int a = BN_OP_RELU2; a <= (caps.op_options & BN_OP_WITH_GELU ? BN_OP_GELU : BN_OP_SILU); a++) {
        struct ternary gate = make_ternary(cts, BN_OP_GATE_UP, N, COLS, 0.5f),
                       up = make_ternary(cts, BN_OP_GATE_UP, N, COLS, 0.3f);
        struct rows8 r = make_rows8(cts, MAX_ROWS, COLS);
        struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, NULL), out = cts_buffer(cts, MAX_ROWS * N * 4, NULL);
        struct bn_op op = {.kind = BN_OP_GATE_UP,
                           .rows = MAX_ROWS,
                           .cols = COLS,
                           .in = r.q,
                           .in2 = r.scales,
                           .out = out,
                           .activation = (enum bn_op_activation)a};
        op.w[0] = gate.weight;
        op.w[1] = up.weight;
        cts_run(cts, &op, &slot);
        float expected[MAX_ROWS * N];
        int32_t g[N], u[N];
        for (int i = 0; i < MAX_ROWS; i++) {
            const int8_t *q = r.oracle_q + (size_t)i * COLS;
            const struct bn_row_scale *scale = &r.oracle_scales[i];
            cts->oracle->ternary(gate.oracle, N, COLS, q, COLS, scale, 1, g, N);
            cts->oracle->ternary(up.oracle, N, COLS, q, COLS, scale, 1, u, N);
            cts->oracle->gate(g, u, N, 0.5f / scale->scale, 0.3f / scale->scale, op.activation, expected + i * N);
        }
        cts_compare(cts, a == BN_OP_RELU2 ? "relu2" : a == BN_OP_SILU ? "silu" : "gelu", &out, expected, MAX_ROWS * N);
        cts_free(&slot);
        cts_free(&out);
        free_rows8(&r);
        free_ternary(&gate);
        free_ternary(&up);
    }
}

// Norm and head work on the output rows only, in the slot's order.
static void set_outputs(const struct bn_span *slot, uint32_t a, uint32_t b, uint32_t first)
{
    struct bn_slot *header = cts_slot_header(slot);
    uint32_t *outputs = (void *)((uint8_t *)header + header->output_at);
    header->n_outputs = 2;
    header->first_output = first;
    outputs[0] = a;
    outputs[1] = b;
}

static void norm(struct cts *cts)
{
    enum { COLS = 80 };
    float *x = cts_floats(MAX_ROWS * COLS, 9.0f), *weights = cts_floats(COLS, 2.0f), expected[2 * COLS];
    struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, NULL), in = cts_buffer(cts, MAX_ROWS * COLS * 4, x),
                   w = cts_buffer(cts, COLS * 4, weights), out = cts_buffer(cts, MAX_ROWS * COLS * 4, NULL);
    set_outputs(&slot, 4, 1, 0);
    struct bn_op op = {
        .kind = BN_OP_NORM, .rows = MAX_ROWS, .cols = COLS, .in = in, .norm = w, .out = out, .eps = 1e-5f};
    cts_run(cts, &op, &slot);
    cts->oracle->norm(x + 4 * COLS, weights, COLS, 1e-5f, expected);
    cts->oracle->norm(x + 1 * COLS, weights, COLS, 1e-5f, expected + COLS);
    cts_compare(cts, "norm", &out, expected, 2 * COLS);
    free(x);
    free(weights);
    cts_free(&slot);
    cts_free(&in);
    cts_free(&w);
    cts_free(&out);
}

static void head(struct cts *cts)
{
    enum { VOCAB = 201, COLS = 64 };
    float *x = cts_floats(MAX_ROWS * COLS, 3.0f), *table = cts_floats((size_t)VOCAB * COLS, 1.0f);
    uint16_t *half = malloc(sizeof(*half) * VOCAB * COLS);
    cts->oracle->narrow_f16(table, (size_t)VOCAB * COLS, half);
    struct bn_weight w = {.layout = BN_LAYOUT_F16, .rows = VOCAB, .cols = COLS, .scale = 1};
    w.data = cts_buffer(cts, sizeof(*half) * VOCAB * COLS, half);
    struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, NULL), in = cts_buffer(cts, MAX_ROWS * COLS * 4, x),
                   out = cts_buffer(cts, (MAX_ROWS + 1) * VOCAB * 4, NULL), second = out;
    set_outputs(&slot, 4, 1, 1); // logits go to rows 1 and 2
    struct bn_op op = {.kind = BN_OP_HEAD, .rows = MAX_ROWS, .cols = COLS, .in = in, .out = out};
    op.w[0] = w;
    cts_run(cts, &op, &slot);
    float *expected = malloc(sizeof(*expected) * 2 * VOCAB);
    cts->oracle->dot(BN_LAYOUT_F16, half, VOCAB, COLS, x, expected);
    cts->oracle->dot(BN_LAYOUT_F16, half, VOCAB, COLS, x + COLS, expected + VOCAB);
    second.offset += VOCAB * sizeof(float);
    cts_compare(cts, "head", &second, expected, 2 * VOCAB);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_OK, "status %u", cts_slot_header(&slot)->status);
    half[(VOCAB - 1) * COLS] = 0xfc00;
    memcpy(w.data.buffer->host, half, sizeof(*half) * VOCAB * COLS);
    cts_run(cts, &op, &slot);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "infinity in the last logit goes unnoticed");
    free(x);
    free(table);
    free(half);
    free(expected);
    cts_free(&w.data);
    cts_free(&slot);
    cts_free(&in);
    cts_free(&out);
}

// Heads that make it hard to tell rows apart: what the scan keeps must hold the true best ones, with the head's own bits.
enum { TOP_VOCAB = 5000, TOP_COLS = 96, TOP_OUTPUTS = 3 };
enum head_kind { HEAD_RANDOM, HEAD_NEAR_TIES, HEAD_EQUAL, HEAD_HUGE_ROWS, HEAD_ZERO, HEAD_TINY, HEAD_KINDS };
static const char *const head_names[HEAD_KINDS] = {"random", "near ties", "all equal", "huge rows", "zero", "tiny"};

static float *make_head(enum head_kind kind)
{
    float *w = cts_floats((size_t)TOP_VOCAB * TOP_COLS, kind == HEAD_TINY ? 1e-20f : 1.0f);
    for (size_t r = 0; r < TOP_VOCAB; r++)
        for (size_t i = 0; i < TOP_COLS; i++) {
            float *x = &w[r * TOP_COLS + i];
            if (kind == HEAD_NEAR_TIES && r > 0)
                *x = w[i] + *x * 1e-5f;
            else if (kind == HEAD_EQUAL && r > 0)
                *x = w[i];
            else if (kind == HEAD_HUGE_ROWS && r % 100 == 7)
                *x *= 1e4f;
            else if (kind == HEAD_ZERO)
                *x = 0;
        }
    return w;
}

static int by_logit(const void *a, const void *b)
{
    const struct bn_candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void check_top(struct cts *cts, const char *what, const struct bn_top *top, const float *logits, uint32_t k)
{
    static struct bn_candidate all[TOP_VOCAB];
    for (int32_t id = 0; id < TOP_VOCAB; id++)
        all[id] = (struct bn_candidate){logits[id], id};
    qsort(all, TOP_VOCAB, sizeof(all[0]), by_logit);
    uint32_t found = 0, wrong_bits = 0;
    for (uint32_t c = 0; c < top->n; c++)
        wrong_bits += memcmp(&top->candidates[c].logit, &logits[top->candidates[c].id], sizeof(float)) != 0;
    for (uint32_t i = 0; i < k && i < TOP_VOCAB; i++)
        for (uint32_t c = 0; c < top->n; c++)
            found += top->candidates[c].id == all[i].id;
    CTS_CHECK(found == (k < TOP_VOCAB ? k : TOP_VOCAB), "%s: %u of the best %u are among %u candidates", what, found, k,
              top->n);
    CTS_CHECK(wrong_bits == 0, "%s: %u exact logits are not the head's", what, wrong_bits);
}

// The logits that a device's candidates must have, bit for bit: the oracle's, or those of its own head.
static void head_logits(struct cts *cts, const struct bn_op *top, const struct bn_span *slot, const float *w,
                        const float *x, float *expected)
{
    if (cts->exact) {
        for (int o = 0; o < TOP_OUTPUTS; o++)
            cts->oracle->dot(BN_LAYOUT_F32, w, TOP_VOCAB, TOP_COLS, x + o * TOP_COLS, expected + o * TOP_VOCAB);
        return;
    }
    struct bn_op op = {.kind = BN_OP_HEAD, .rows = TOP_OUTPUTS, .cols = TOP_COLS, .in = top->in};
    op.out = cts_buffer(cts, TOP_OUTPUTS * TOP_VOCAB * 4, NULL);
    op.w[0] = top->w[0];
    uint32_t wanted = cts_slot_header(slot)->top;
    cts_slot_header(slot)->top = 0;
    cts_run(cts, &op, slot);
    cts_slot_header(slot)->top = wanted;
    memcpy(expected, op.out.buffer->host, op.out.size);
    cts_free(&op.out);
}

static void top_of_head(struct cts *cts, enum head_kind kind, uint32_t k)
{
    float *w = make_head(kind), *x = cts_floats(TOP_OUTPUTS * TOP_COLS, 4.0f);
    struct bn_span q = cts_buffer(cts, (size_t)TOP_VOCAB * TOP_COLS, NULL),
                   info = cts_buffer(cts, TOP_VOCAB * sizeof(struct bn_scan_row), NULL);
    for (size_t r = 0; r < TOP_VOCAB; r++)
        CTS_CHECK(bn_scan_quantise(w + r * TOP_COLS, TOP_COLS, (int8_t *)q.buffer->host + r * TOP_COLS,
                                   (struct bn_scan_row *)info.buffer->host + r),
                  "row %zu", r);
    struct bn_span slot = cts_slot(cts, TOP_OUTPUTS, NULL, NULL), in = cts_buffer(cts, TOP_OUTPUTS * TOP_COLS * 4, x),
                   out = cts_buffer(cts, TOP_OUTPUTS * sizeof(struct bn_top), NULL),
                   logits = cts_buffer(cts, TOP_OUTPUTS * TOP_VOCAB * 4, NULL);
    struct bn_op op = {.kind = BN_OP_TOP,
                       .rows = TOP_OUTPUTS,
                       .cols = TOP_COLS,
                       .in = in,
                       .in2 = q,
                       .in3 = info,
                       .out = out,
                       .out2 = logits};
    op.w[0] = (struct bn_weight){.layout = BN_LAYOUT_F32, .rows = TOP_VOCAB, .cols = TOP_COLS, .scale = 1};
    op.w[0].data = cts_buffer(cts, (size_t)TOP_VOCAB * TOP_COLS * 4, w);
    cts_slot_header(&slot)->n_outputs = TOP_OUTPUTS;
    cts_slot_header(&slot)->top = k;
    cts_run(cts, &op, &slot);
    float *all_expected = malloc(TOP_OUTPUTS * TOP_VOCAB * sizeof(*all_expected));
    head_logits(cts, &op, &slot, w, x, all_expected);
    for (int o = 0; o < TOP_OUTPUTS; o++) {
        const float *expected = all_expected + o * TOP_VOCAB;
        const struct bn_top *top = (const struct bn_top *)out.buffer->host + o;
        const float *all = (const float *)logits.buffer->host + (size_t)o * TOP_VOCAB;
        if (top->n)
            check_top(cts, head_names[kind], top, expected, k);
        else
            CTS_CHECK(memcmp(all, expected, TOP_VOCAB * sizeof(float)) == 0, "%s: the logits differ", head_names[kind]);
        CTS_CHECK(kind != HEAD_RANDOM || k > 40 || (top->n && top->n < TOP_VOCAB / 20),
                  "a random head kept %u of %u rows", top->n, TOP_VOCAB);
        CTS_CHECK(kind != HEAD_EQUAL || top->n == 0, "equal rows were told apart");
    }
    free(all_expected);
    free(w);
    free(x);
    cts_free(&op.w[0].data);
    cts_free(&q);
    cts_free(&info);
    cts_free(&slot);
    cts_free(&in);
    cts_free(&out);
    cts_free(&logits);
}

static void top(struct cts *cts)
{
    static const uint32_t ks[] = {1, 40, 1000};
    for (int kind = 0; kind < HEAD_KINDS; kind++)
        for (size_t i = 0; i < sizeof(ks) / sizeof(ks[0]); i++)
            top_of_head(cts, (enum head_kind)kind, ks[i]);
}

// A NaN or infinity ends in the slot's status, whichever row it is in.
static void not_finite(struct cts *cts)
{
    enum { COLS = 128 };
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (int p = 0; p < 3; p++) {
        float *x = cts_floats(MAX_ROWS * COLS, 1.0f);
        x[3 * COLS + 77] = poisons[p];
        struct bn_span slot = cts_slot(cts, MAX_ROWS, NULL, NULL), in = cts_buffer(cts, MAX_ROWS * COLS * 4, x),
                       out = cts_buffer(cts, MAX_ROWS * COLS, NULL),
                       scales = cts_buffer(cts, MAX_ROWS * sizeof(struct bn_row_scale), NULL);
        struct bn_op op = {
            .kind = BN_OP_QUANTISE, .rows = MAX_ROWS, .cols = COLS, .in = in, .out = out, .out2 = scales, .eps = 1e-5f};
        cts_run(cts, &op, &slot);
        CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "%g goes unnoticed", (double)poisons[p]);
        cts_free(&slot);
        cts_free(&in);
        cts_free(&out);
        cts_free(&scales);
        free(x);
    }
}

const struct cts_case cts_op_cases[] = {
    {"embed", embed},     {"quantise", quantise}, {"matmul", matmul}, {"qkv", qkv}, {"attention", attention},
    {"gate_up", gate_up}, {"norm", norm},         {"head", head},     {"top", top}, {"not_finite", not_finite},
    {NULL, NULL},
};
