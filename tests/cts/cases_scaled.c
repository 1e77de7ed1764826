// Ternary matrices whose scales reach rows or groups, and columns that do not fill their last block. A device need not run
// these; if it does, integers are exact and sums of groups in the canonical order.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum { ROWS = 3 };

static const enum bn_layout layouts[] = {BN_LAYOUT_I2S_A,      BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A_G256,
                                         BN_LAYOUT_I2S_A_G128, BN_LAYOUT_I2S_A_G64, BN_LAYOUT_BASE3};
enum { N_LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

// Quantised rows and a matrix, with the products that the scalar kernels make of them: f32 [ROWS][n], each without the scales
// of the rows and of the tensor.
struct product {
    struct bn_span q, row_scales;
    struct bn_row_scale scales[ROWS];
    struct bn_weight w;
    uint8_t *codes; // of w, in order A
    float *values;
};

static void quantise_rows(struct cts *cts, struct product *p, uint32_t cols)
{
    uint32_t padded = bn_padded_cols(cols);
    int8_t *q = aligned_alloc(64, (size_t)ROWS * padded);
    float *x = malloc(cols * sizeof(*x));
    memset(q, 0, (size_t)ROWS * padded);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t c = 0; c < cols; c++)
            x[c] = (float)(cts_random() % 2001) / 1000.0f - 1.0f;
        cts->oracle->quantise(x, NULL, cols, 1e-5f, q + i * padded, &p->scales[i]);
    }
    p->q = cts_buffer(cts, (size_t)ROWS * padded, q);
    p->row_scales = cts_buffer(cts, sizeof(p->scales), p->scales);
    free(q);
    free(x);
}

static void make_matrix(struct cts *cts, struct product *p, enum bn_layout layout, uint32_t n, uint32_t cols)
{
    uint64_t bytes = bn_layout_bytes(layout, n, cols), scales = bn_layout_scales(layout, cols);
    int8_t *trits = malloc((size_t)n * cols);
    for (size_t i = 0; i < (size_t)n * cols; i++)
        trits[i] = (int8_t)(cts_random() % 3) - 1;
    p->w = (struct bn_weight){.layout = layout, .rows = n, .cols = cols, .scale = 0.4f};
    p->w.data = cts_buffer(cts, bytes, NULL);
    bn_layout_get(layout)->pack(trits, n, cols, 0, n, p->w.data.buffer->host);
    p->codes = malloc(bn_layout_bytes(BN_LAYOUT_I2S_A, n, cols));
    bn_layout_get(BN_LAYOUT_I2S_A)->pack(trits, n, cols, 0, n, p->codes);
    if (scales)
        p->w.scales = cts_buffer(cts, n * scales * sizeof(float), NULL);
    for (uint64_t i = 0; i < n * scales; i++)
        ((float *)p->w.scales.buffer->host)[i] = (float)(cts_random() % 1000) / 500.0f - 0.7f;
    free(trits);
}

static void multiply(struct cts *cts, struct product *p)
{
    const struct bn_layout_info *info = bn_layout_get(p->w.layout);
    uint32_t n = p->w.rows, padded = bn_padded_cols(p->w.cols);
    const float *scales = p->w.scales.buffer ? p->w.scales.buffer->host : NULL;
    struct bn_groups args = {.w = p->codes,
                             .rows = n,
                             .cols = padded,
                             .group = info->group,
                             .groups = bn_layout_scales(info->layout, p->w.cols),
                             .scales = scales,
                             .q = p->q.buffer->host,
                             .q_stride = padded,
                             .n_rows = ROWS,
                             .out_stride = n};
    p->values = args.out = malloc((size_t)ROWS * n * sizeof(float));
    if (info->reach == BN_SCALE_GROUP) {
        bn_kernels_groups(cts->oracle)(&args);
        return;
    }
    int32_t *acc = malloc((size_t)ROWS * n * sizeof(*acc));
    cts->oracle->ternary(args.w, n, padded, args.q, padded, p->scales, ROWS, acc, n);
    for (uint32_t i = 0; i < ROWS * n; i++)
        p->values[i] = scales ? (float)acc[i] * scales[i % n] + 0.0f : (float)acc[i];
    free(acc);
}

static struct product make_product(struct cts *cts, enum bn_layout layout, uint32_t n, uint32_t cols)
{
    struct product p = {.values = NULL};
    quantise_rows(cts, &p, cols);
    make_matrix(cts, &p, layout, n, cols);
    multiply(cts, &p);
    return p;
}

static void free_product(struct product *p)
{
    cts_free(&p->q);
    cts_free(&p->row_scales);
    cts_free(&p->w.data);
    cts_free(&p->w.scales);
    free(p->codes);
    free(p->values);
}

// False if the device refuses the shape, which it may if columns do not fill blocks.
static bool run(struct cts *cts, const struct bn_op *op, const struct bn_span *slot)
{
    struct bn_command *command;
    enum bn_result result = bn_command_record(cts->device, op, 1, slot, &command, &cts->error);
    if (result == BN_ERR_UNSUPPORTED && op->cols % 128)
        return false;
    if (!CTS_MUST(result))
        return false;
    bool ok = cts_submit(cts, command, NULL, 0) && cts_wait(cts);
    bn_command_destroy(command);
    return ok;
}

static void compare(struct cts *cts, const char *what, const struct bn_span *out, const float *want, size_t n)
{
    const float *got = out->buffer->host;
    size_t differ = 0;
    for (size_t i = 0; i < n; i++)
        differ += cts->exact ? memcmp(&got[i], &want[i], sizeof(*got)) != 0
                             : !(fabsf(got[i] - want[i]) <= 1e-5f * (1.0f + fabsf(want[i])));
    CTS_CHECK(differ == 0, "%s: %zu of %zu values differ", what, differ, n);
}

static void matmul(struct cts *cts)
{
    static const uint32_t shapes[][2] = {{33, 256}, {4, 2560}, {70, 192}, {5, 8640}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
        for (int l = 0; l < N_LAYOUTS; l++) {
            if (!bn_device_supports(cts->device, BN_OP_MATMUL, layouts[l]))
                continue;
            uint32_t n = shapes[s][0], cols = shapes[s][1];
            struct product p = make_product(cts, layouts[l], n, cols);
            float *want = calloc((size_t)ROWS * n, sizeof(*want));
            for (uint32_t i = 0; i < ROWS * n; i++)
                want[i] = (float)(cts_random() % 100) / 10.0f;
            struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL), out = cts_buffer(cts, (size_t)ROWS * n * 4, want);
            struct bn_op op = {.kind = BN_OP_MATMUL, .rows = ROWS, .cols = cols, .in = p.q, .in2 = p.row_scales};
            op.in3 = op.out = out;
            op.w[0] = p.w;
            for (uint32_t i = 0; i < ROWS; i++)
                bn_scale_values(p.values + i * n, n, p.w.scale / p.scales[i].scale, want + i * n, want + i * n);
            if (run(cts, &op, &slot))
                compare(cts, bn_layout_name(layouts[l]), &out, want, (size_t)ROWS * n);
            free(want);
            cts_free(&slot);
            cts_free(&out);
            free_product(&p);
        }
}

// Gate and up in all pairs of layouts: a file may have both.
static void gate_up(struct cts *cts)
{
    enum { N = 70, COLS = 512 };
    for (int pair = 0; pair < N_LAYOUTS * N_LAYOUTS; pair++) {
        enum bn_layout a = layouts[pair / N_LAYOUTS], b = layouts[pair % N_LAYOUTS];
        if (!bn_device_supports(cts->device, BN_OP_GATE_UP, a) || !bn_device_supports(cts->device, BN_OP_GATE_UP, b))
            continue;
        struct product gate = make_product(cts, a, N, COLS), up = gate;
        make_matrix(cts, &up, b, N, COLS);
        multiply(cts, &up);
        struct bn_span slot = cts_slot(cts, ROWS, NULL, NULL), out = cts_buffer(cts, ROWS * N * 4, NULL);
        struct bn_op op = {.kind = BN_OP_GATE_UP, .rows = ROWS, .cols = COLS, .in = gate.q, .in2 = gate.row_scales};
        op.out = out;
        op.activation = pair % 2 ? BN_OP_SILU : BN_OP_RELU2;
        op.w[0] = gate.w;
        op.w[1] = up.w;
        float want[ROWS * N];
        for (uint32_t i = 0; i < ROWS; i++)
            bn_gate_values(gate.values + i * N, up.values + i * N, N, gate.w.scale / gate.scales[i].scale,
                           up.w.scale / gate.scales[i].scale, op.activation, want + i * N);
        if (run(cts, &op, &slot))
            compare(cts, bn_layout_name(b), &out, want, ROWS * N);
        cts_free(&slot);
        cts_free(&out);
        cts_free(&up.w.data);
        cts_free(&up.w.scales);
        free(up.codes);
        free(up.values);
        free_product(&gate);
    }
}

const struct cts_case cts_scaled_cases[] = {
    {"scaled_matmul", matmul},
    {"scaled_gate", gate_up},
    {NULL, NULL},
};
