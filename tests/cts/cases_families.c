// Ops of families other than BitNet b1.58: 16-bit activations, norms of rows and heads, the parts of QKV and gate-up. A device need
// not run these.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum { ROWS = 5, HEADS = 4, KV_HEADS = 2, DIM = 48, LAYERS = 2, POSITIONS = 256, PAGES = 4 };
static const uint32_t positions[ROWS] = {0, 63, 64, 65, 200};

static bool with(struct cts *cts, uint32_t option)
{
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    return caps.op_options & option;
}

// Exact without a norm. With one, on a device whose norm is not the oracle's to the bit, an element moves by as much as the norm does.
static void quantise16(struct cts *cts)
{
    enum { COLS = 448, PADDED = 512 };
    if (!with(cts, BN_OP_WITH_PLANES))
        return;
    for (int with_norm = 0; with_norm < 2; with_norm++) {
        float *x = cts_floats(ROWS * COLS, 50.0f), *weights = cts_floats(COLS, 2.0f);
        struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL), out = cts_buffer(cts, ROWS * 2 * PADDED, NULL);
        struct bn_op op = {.kind = BN_OP_QUANTISE16, .rows = ROWS, .cols = COLS, .planes = 2, .eps = 1e-5f};
        op.in = cts_buffer(cts, ROWS * COLS * 4, x);
        op.norm = cts_buffer(cts, COLS * 4, weights);
        op.out = out;
        op.out2 = cts_buffer(cts, ROWS * 2 * sizeof(struct bn_row_scale), NULL);
        struct bn_span norm = op.norm;
        if (!with_norm)
            op.norm.buffer = NULL;
        memset(out.buffer->host, 0x55, out.size);
        cts_run(cts, &op, &slot);
        for (int i = 0; i < ROWS; i++) {
            int8_t q[2][PADDED] = {{0}};
            struct bn_row_scale scales[2];
            bn_kernels_quantise16(cts->oracle, x + i * COLS, with_norm ? weights : NULL, COLS, 1e-5f, q[0], q[1],
                                  scales);
            const int8_t *got = (const int8_t *)out.buffer->host + (size_t)i * 2 * PADDED;
            const struct bn_row_scale *got_scales = (const struct bn_row_scale *)op.out2.buffer->host + (size_t)2 * i;
            if (!with_norm || cts->exact) {
                CTS_CHECK(memcmp(got, q, sizeof(q)) == 0, "row %d differs", i);
                CTS_CHECK(memcmp(got_scales, scales, sizeof(scales)) == 0, "the scales of row %d differ", i);
                continue;
            }
            int32_t sums[2] = {0, 0}, wrong = 0;
            for (int c = 0; c < PADDED; c++) {
                sums[0] += got[c];
                sums[1] += got[PADDED + c];
                wrong += abs(256 * got[c] + got[PADDED + c] - (256 * q[0][c] + q[1][c])) > 1;
            }
            CTS_CHECK(wrong == 0, "%d elements of row %d moved by more than a step", wrong, i);
            CTS_CHECK(sums[0] == got_scales[0].sum && sums[1] == got_scales[1].sum, "the sums of row %d differ", i);
            CTS_CHECK(got_scales[0].scale == got_scales[1].scale &&
                          fabsf(got_scales[0].scale - scales[0].scale) <= 4e-6f * scales[0].scale,
                      "scale %g, not %g", (double)got_scales[0].scale, (double)scales[0].scale);
        }
        ((float *)op.in.buffer->host)[3 * COLS + 7] = INFINITY;
        cts_run(cts, &op, &slot);
        CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "infinity goes unnoticed");
        cts_free(&slot);
        cts_free(&op.in);
        cts_free(&norm);
        cts_free(&out);
        cts_free(&op.out2);
        free(x);
        free(weights);
    }
}

// With and without what is added; the result in a place of its own, in that of the input, or of what is added.
static void norm_rows(struct cts *cts)
{
    enum { COLS = 80 };
    if (!bn_device_supports(cts->device, BN_OP_NORM_ROWS, BN_LAYOUT_COUNT))
        return;
    for (int way = 0; way < 4; way++) {
        float *x = cts_floats(ROWS * COLS, 9.0f), *add = cts_floats(ROWS * COLS, 2.0f),
              *weights = cts_floats(COLS, 2.0f);
        float expected[ROWS * COLS];
        for (int i = 0; i < ROWS; i++) {
            cts->oracle->norm(x + i * COLS, weights, COLS, 1e-6f, expected + i * COLS);
            for (int c = 0; c < COLS && way >= 2; c++)
                expected[i * COLS + c] += add[i * COLS + c];
        }
        struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL), out = cts_buffer(cts, ROWS * COLS * 4, NULL),
                       in3 = cts_buffer(cts, ROWS * COLS * 4, add);
        struct bn_op op = {.kind = BN_OP_NORM_ROWS, .rows = ROWS, .cols = COLS, .eps = 1e-6f};
        op.in = cts_buffer(cts, ROWS * COLS * 4, x);
        op.norm = cts_buffer(cts, COLS * 4, weights);
        if (way >= 2)
            op.in3 = in3;
        op.out = way == 1 ? op.in : way == 3 ? in3 : out;
        cts_run(cts, &op, &slot);
        cts_compare(cts, "norm_rows", &op.out, expected, ROWS * COLS);
        ((float *)op.in.buffer->host)[2 * COLS + 79] = NAN;
        cts_run(cts, &op, &slot);
        CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "NaN goes unnoticed");
        cts_free(&slot);
        cts_free(&op.in);
        cts_free(&op.norm);
        cts_free(&out);
        cts_free(&in3);
        free(x);
        free(add);
        free(weights);
    }
}

static void activate(struct cts *cts)
{
    enum { COLS = 112 };
    static const float extremes[] = {-200.0f, 200.0f, 0.0f, -0.0f};
    if (!bn_device_supports(cts->device, BN_OP_ACTIVATE, BN_LAYOUT_COUNT))
        return;
    for (int a = BN_OP_RELU2; a <= (with(cts, BN_OP_WITH_GELU) ? BN_OP_GELU : BN_OP_SILU); a++) {
        float *gate = cts_floats(ROWS * COLS, 12.0f), *up = cts_floats(ROWS * COLS, 3.0f), expected[ROWS * COLS];
        memcpy(gate, extremes, sizeof(extremes));
        bn_kernels_activate(cts->oracle, gate, up, ROWS * COLS, (enum bn_op_activation)a, expected);
        struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL);
        struct bn_op op = {.kind = BN_OP_ACTIVATE, .rows = ROWS, .cols = COLS, .activation = (enum bn_op_activation)a};
        op.in = cts_buffer(cts, ROWS * COLS * 4, gate);
        op.in2 = cts_buffer(cts, ROWS * COLS * 4, up);
        op.out = a == BN_OP_SILU ? op.in : op.in2;
        cts_run(cts, &op, &slot);
        cts_compare(cts, "activate", &op.out, expected, ROWS * COLS);
        cts_free(&slot);
        cts_free(&op.in);
        cts_free(&op.in2);
        free(gate);
        free(up);
    }
}

// With and without signs before and after; of rows, and of outputs.
static void rotate(struct cts *cts)
{
    enum { COLS = 384 };
    if (!bn_device_supports(cts->device, BN_OP_ROTATE, BN_LAYOUT_COUNT))
        return;
    for (uint32_t way = 0; way < 8; way++) {
        uint32_t block = way & 4 ? 128 : 2, rows = way & 4 ? 2 : ROWS;
        float *x = cts_floats(ROWS * COLS, 4.0f), *signs = cts_floats(COLS, 1.0f), expected[ROWS * COLS];
        struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL), weights = cts_buffer(cts, COLS * 4, signs),
                       out = cts_buffer(cts, ROWS * COLS * 4, NULL);
        struct bn_op op = {.kind = BN_OP_ROTATE, .rows = ROWS, .cols = COLS, .block = block, .of_outputs = way & 4};
        op.in = cts_buffer(cts, ROWS * COLS * 4, x);
        op.out = way & 1 ? op.in : out;
        op.norm = way & 1 ? weights : op.norm;
        op.norm2 = way & 2 ? weights : op.norm2;
        cts_slot_header(&slot)->n_outputs = 2;
        cts_run(cts, &op, &slot);
        for (uint32_t i = 0; i < rows * COLS; i++)
            expected[i] = way & 1 ? x[i] * signs[i % COLS] : x[i];
        for (uint32_t step = 1; step < block; step *= 2)
            for (uint32_t i = 0; i < rows * COLS; i++)
                if (!(i & step)) { // blocks begin at multiples of their size
                    float low = expected[i], high = expected[i + step];
                    expected[i] = low + high;
                    expected[i + step] = low - high;
                }
        for (uint32_t i = 0; i < rows * COLS; i++) {
            expected[i] *= 1 / sqrtf((float)block);
            expected[i] = way & 2 ? expected[i] * signs[i % COLS] : expected[i];
        }
        CTS_CHECK(memcmp(op.out.buffer->host, expected, rows * COLS * sizeof(float)) == 0, "way %u differs", way);
        cts_free(&slot);
        cts_free(&op.in);
        cts_free(&weights);
        cts_free(&out);
        free(x);
        free(signs);
    }
}

// Where q, k and v come from: floats for BN_OP_APPEND, or products of BN_OP_QKV. What follows is the same.
struct heads {
    struct bn_op op;
    float *q, *k, *v; // before norms and RoPE
    float *table, *q_norm, *k_norm;
};

static void make_heads(struct cts *cts, struct heads *h, bool norms, enum bn_rope_order order)
{
    h->table = cts_floats((size_t)POSITIONS * DIM, 1.0f);
    h->q_norm = cts_floats(DIM, 2.0f);
    h->k_norm = cts_floats(DIM, 2.0f);
    h->op = (struct bn_op){.rows = ROWS,
                           .heads = HEADS,
                           .kv_heads = KV_HEADS,
                           .head_dim = DIM,
                           .n_layers = LAYERS,
                           .layer = 1,
                           .positions = POSITIONS,
                           .rope_order = order,
                           .eps = 1e-6f};
    h->op.rope = cts_buffer(cts, (size_t)POSITIONS * DIM * 4, h->table);
    h->op.out = cts_buffer(cts, ROWS * HEADS * DIM * 4, NULL);
    h->op.kv = cts_buffer(cts, bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, BN_KV_F16) * PAGES, NULL);
    if (norms) {
        h->op.norm = cts_buffer(cts, DIM * 4, h->q_norm);
        h->op.norm2 = cts_buffer(cts, DIM * 4, h->k_norm);
    }
}

static void free_heads(struct heads *h)
{
    struct bn_span *spans[] = {&h->op.rope, &h->op.out, &h->op.kv, &h->op.norm, &h->op.norm2};
    float *floats[] = {h->q, h->k, h->v, h->table, h->q_norm, h->k_norm};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        if (spans[i]->buffer)
            cts_free(spans[i]);
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
        free(floats[i]);
}

// Rows of the KV pool: the bits of f16 where nothing was normed, else as close as f16 tells.
static size_t wrong_halves(struct cts *cts, const struct heads *h, const float *x, const uint16_t *got)
{
    uint16_t want[DIM];
    size_t wrong = 0;
    cts->oracle->narrow_f16(x, DIM, want);
    for (int i = 0; i < DIM; i++)
        wrong += h->op.norm.buffer && !cts->exact ? abs(got[i] - want[i]) > 1 : got[i] != want[i];
    return wrong;
}

static void check_heads(struct cts *cts, struct heads *h, const struct bn_span *slot)
{
    size_t wrong = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        float *q = h->q + (size_t)i * HEADS * DIM, *k = h->k + (size_t)i * KV_HEADS * DIM, *v = h->v + (k - h->k);
        for (uint32_t head = 0; h->op.norm.buffer && head < HEADS; head++)
            cts->oracle->norm(q + head * DIM, h->q_norm, DIM, h->op.eps, q + head * DIM);
        for (uint32_t head = 0; h->op.norm.buffer && head < KV_HEADS; head++)
            cts->oracle->norm(k + head * DIM, h->k_norm, DIM, h->op.eps, k + head * DIM);
        const float *angles = h->table + (size_t)positions[i] * DIM;
        cts->oracle->rope(q, HEADS, DIM, angles, h->op.rope_order);
        cts->oracle->rope(k, KV_HEADS, DIM, angles, h->op.rope_order);
        const uint8_t *page = (const uint8_t *)h->op.kv.buffer->host +
                              positions[i] / BN_PAGE_POSITIONS * bn_kv_page_bytes(LAYERS, KV_HEADS, DIM, BN_KV_F16);
        for (uint32_t which = 0; which < 2; which++)
            for (uint32_t head = 0; head < KV_HEADS; head++)
                wrong += wrong_halves(
                    cts, h, (which ? v : k) + head * DIM,
                    (const void *)(page + bn_kv_row_offset(1, which, head, positions[i], KV_HEADS, DIM, BN_KV_F16)));
    }
    cts_compare(cts, "q", &h->op.out, h->q, (size_t)ROWS * HEADS * DIM);
    CTS_CHECK(wrong == 0, "%zu halves of the KV pool differ", wrong);
    CTS_CHECK(cts_slot_header(slot)->status == BN_SLOT_OK, "status %u", cts_slot_header(slot)->status);
}

static void append(struct cts *cts)
{
    if (!bn_device_supports(cts->device, BN_OP_APPEND, BN_LAYOUT_COUNT))
        return;
    for (int way = 0; way < 4; way++) {
        struct heads h = {.q = cts_floats(ROWS * HEADS * DIM, 3.0f),
                          .k = cts_floats(ROWS * KV_HEADS * DIM, 3.0f),
                          .v = cts_floats(ROWS * KV_HEADS * DIM, 3.0f)};
        if (way % 2 && !with(cts, BN_OP_WITH_HEAD_NORM)) {
            free(h.q);
            free(h.k);
            free(h.v);
            continue;
        }
        make_heads(cts, &h, way % 2, way / 2 ? BN_ROPE_PAIRS : BN_ROPE_HALVES);
        struct bn_span slot = cts_slot(cts, ROWS, NULL, positions);
        h.op.kind = BN_OP_APPEND;
        h.op.cols = HEADS * DIM;
        h.op.in = cts_buffer(cts, ROWS * HEADS * DIM * 4, h.q);
        h.op.in2 = cts_buffer(cts, ROWS * KV_HEADS * DIM * 4, h.k);
        h.op.in3 = cts_buffer(cts, ROWS * KV_HEADS * DIM * 4, h.v);
        struct bn_span out = h.op.out;
        if (way == 3) // q in its place
            h.op.out = h.op.in;
        cts_run(cts, &h.op, &slot);
        check_heads(cts, &h, &slot);
        ((float *)h.op.in3.buffer->host)[KV_HEADS * DIM + 5] = 1e6f;
        cts_run(cts, &h.op, &slot);
        CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_NOT_FINITE, "infinity in the KV pool goes unnoticed");
        h.op.out = out;
        cts_free(&slot);
        cts_free(&h.op.in);
        cts_free(&h.op.in2);
        cts_free(&h.op.in3);
        free_heads(&h);
    }
}

static struct bn_weight random_weight(struct cts *cts, enum bn_layout layout, uint32_t rows, uint32_t cols)
{
    struct bn_weight w = {.layout = layout, .rows = rows, .cols = cols, .scale = 0.4f};
    uint64_t scales = rows * bn_layout_scales(layout, cols);
    int8_t *trits = malloc((size_t)rows * cols);
    for (size_t i = 0; i < (size_t)rows * cols; i++)
        trits[i] = (int8_t)(cts_random() % 3) - 1;
    w.data = cts_buffer(cts, bn_layout_bytes(layout, rows, cols), NULL);
    bn_layout_get(layout)->pack(trits, rows, cols, 0, rows, w.data.buffer->host);
    if (scales) {
        float *values = cts_floats(scales, 1.0f);
        w.scales = cts_buffer(cts, scales * sizeof(float), values);
        free(values);
    }
    free(trits);
    return w;
}

static struct bn_span quantised_rows(struct cts *cts, uint32_t cols, uint32_t planes, struct bn_row_scale *scales)
{
    uint32_t padded = bn_padded_cols(cols);
    struct bn_span span = cts_buffer(cts, (size_t)ROWS * planes * padded, NULL);
    int8_t *q = aligned_alloc(64, 2 * padded);
    for (uint32_t i = 0; i < ROWS; i++) {
        float *x = cts_floats(cols, 2.0f);
        memset(q, 0, 2 * padded);
        if (planes == 2)
            bn_kernels_quantise16(cts->oracle, x, NULL, cols, 1e-5f, q, q + padded, &scales[2 * i]);
        else
            cts->oracle->quantise(x, NULL, cols, 1e-5f, q, &scales[i]);
        memcpy((int8_t *)span.buffer->host + (size_t)i * planes * padded, q, planes * padded);
        free(x);
    }
    free(q);
    return span;
}

// The device's own product of a matrix of the op.
static float *product(struct cts *cts, const struct bn_op *qkv, int m, const struct bn_span *slot)
{
    struct bn_op op = {.kind = BN_OP_MATMUL, .rows = ROWS, .cols = qkv->cols, .in = qkv->in, .in2 = qkv->in2};
    op.planes = qkv->planes;
    op.w[0] = qkv->w[m];
    op.out = cts_buffer(cts, (size_t)ROWS * op.w[0].rows * sizeof(float), NULL);
    float *values = malloc(op.out.size);
    cts_run(cts, &op, slot);
    memcpy(values, op.out.buffer->host, op.out.size);
    cts_free(&op.out);
    return values;
}

// The device's own products, which other cases look at, and then what BN_OP_APPEND does.
static void qkv_of(struct cts *cts, const enum bn_layout *layouts, uint32_t planes, bool norms,
                   enum bn_rope_order order)
{
    enum { COLS = 448 };
    static const uint32_t w_rows[3] = {HEADS * DIM, KV_HEADS * DIM, KV_HEADS * DIM};
    struct heads h = {.q = NULL};
    struct bn_row_scale scales[2 * ROWS];
    struct bn_span slot = cts_slot(cts, ROWS, NULL, positions);
    make_heads(cts, &h, norms, order);
    h.op.kind = BN_OP_QKV;
    h.op.cols = COLS;
    h.op.planes = planes;
    h.op.in = quantised_rows(cts, COLS, planes, scales);
    h.op.in2 = cts_buffer(cts, ROWS * planes * sizeof(scales[0]), scales);
    for (int m = 0; m < 3; m++)
        h.op.w[m] = random_weight(cts, layouts[m], w_rows[m], COLS);
    h.q = product(cts, &h.op, 0, &slot);
    h.k = product(cts, &h.op, 1, &slot);
    h.v = product(cts, &h.op, 2, &slot);
    cts_run(cts, &h.op, &slot);
    check_heads(cts, &h, &slot);
    for (int m = 0; m < 3; m++) {
        cts_free(&h.op.w[m].data);
        if (h.op.w[m].scales.buffer)
            cts_free(&h.op.w[m].scales);
    }
    cts_free(&slot);
    cts_free(&h.op.in);
    cts_free(&h.op.in2);
    free_heads(&h);
}

static void qkv(struct cts *cts)
{
    static const enum bn_layout sets[][3] = {
        {BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_A},
        {BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A_ROW},
        {BN_LAYOUT_I2S_A_G64, BN_LAYOUT_I2S_A_G128, BN_LAYOUT_I2S_A},
    };
    for (int way = 0; way < 3 * 8; way++) {
        const enum bn_layout *set = sets[way / 8];
        uint32_t planes = 1 + way % 2;
        bool norms = way / 2 % 2, there = true;
        for (int m = 0; m < 3; m++)
            there = there && bn_device_supports(cts->device, BN_OP_QKV, set[m]);
        if (there && (planes == 1 || with(cts, BN_OP_WITH_PLANES)) && (!norms || with(cts, BN_OP_WITH_HEAD_NORM)))
            qkv_of(cts, set, planes, norms, way / 4 % 2 ? BN_ROPE_PAIRS : BN_ROPE_HALVES);
    }
}

const struct cts_case cts_family_cases[] = {
    {"quantise16", quantise16}, {"norm_rows", norm_rows}, {"activate", activate}, {"rotate", rotate},
    {"append", append},         {"family_qkv", qkv},      {NULL, NULL},
};
