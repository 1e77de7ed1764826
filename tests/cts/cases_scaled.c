// Ternary matrices whose scales reach rows or groups, columns that do not fill their last block, and activations in two planes. A
// device need not run these; if it does, integers are exact, and sums of groups those of the canonical order or close to them.
#include <math.h>

#include "runtime/layout/layout.h"
#include "tests/cts/cts.h"

enum { FEW = 3, MANY = 35 }; // rows of activations; devices may have another kernel for many

static const enum bn_layout layouts[] = {BN_LAYOUT_I2S_A,      BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A_G256,
                                         BN_LAYOUT_I2S_A_G128, BN_LAYOUT_I2S_A_G64, BN_LAYOUT_BASE3};
enum { N_LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

// Quantised rows and a matrix, with the products that the scalar kernels make of them: f32 [rows][n], each without the scales
// of the rows and of the tensor.
struct product {
    uint32_t rows, planes;
    struct bn_span q, row_scales;
    struct bn_row_scale scales[2 * MANY]; // [rows][planes]
    struct bn_weight w;
    uint8_t *codes; // of w, in order A
    float *values;
};

static void quantise_rows(struct cts *cts, struct product *p, uint32_t cols)
{
    uint32_t padded = bn_padded_cols(cols);
    size_t bytes = (size_t)p->rows * p->planes * padded;
    int8_t *q = aligned_alloc(64, bytes), *row = q;
    memset(q, 0, bytes);
    for (uint32_t i = 0; i < p->rows; i++, row += p->planes * padded) {
        float *x = cts_floats(cols, 1.0f);
        struct bn_row_scale *scales = &p->scales[i * p->planes];
        if (p->planes == 2)
            bn_kernels_quantise16(cts->oracle, x, NULL, cols, 1e-5f, row, row + padded, scales);
        else
            cts->oracle->quantise(x, NULL, cols, 1e-5f, row, scales);
        free(x);
    }
    p->q = cts_buffer(cts, bytes, q);
    p->row_scales = cts_buffer(cts, p->rows * p->planes * sizeof(p->scales[0]), p->scales);
    free(q);
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
    uint32_t n = p->w.rows, padded = bn_padded_cols(p->w.cols), wide = p->rows * p->planes;
    const float *scales = p->w.scales.buffer ? p->w.scales.buffer->host : NULL;
    struct bn_groups args = {.w = p->codes,
                             .rows = n,
                             .cols = padded,
                             .group = info->group,
                             .groups = bn_layout_scales(info->layout, p->w.cols),
                             .scales = scales,
                             .q = p->q.buffer->host,
                             .q_stride = padded,
                             .n_rows = wide,
                             .out_stride = n};
    p->values = args.out = malloc((size_t)wide * n * sizeof(float));
    if (info->reach == BN_SCALE_GROUP) {
        bn_kernels_groups(cts->oracle)(&args);
        for (uint32_t i = 0; i < p->rows * n && p->planes == 2; i++)
            p->values[i] = fmaf(256.0f, p->values[i / n * 2 * n + i % n], p->values[(i / n * 2 + 1) * n + i % n]);
        return;
    }
    int32_t *acc = malloc((size_t)wide * n * sizeof(*acc));
    cts->oracle->ternary(args.w, n, padded, args.q, padded, p->scales, wide, acc, n);
    for (uint32_t i = 0; i < p->rows * n && p->planes == 2; i++)
        acc[i] = 256 * acc[i / n * 2 * n + i % n] + acc[(i / n * 2 + 1) * n + i % n];
    for (uint32_t i = 0; i < p->rows * n; i++)
        p->values[i] = scales ? (float)acc[i] * scales[i % n] + 0.0f : (float)acc[i];
    free(acc);
}

// What a row is divided by.
static float row_scale(const struct product *p, uint32_t row)
{
    return p->scales[row * p->planes].scale;
}

static struct product make_product(struct cts *cts, enum bn_layout layout, uint32_t n, uint32_t cols, uint32_t rows,
                                   uint32_t planes)
{
    struct product p = {.rows = rows, .planes = planes};
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

static void matmul_of(struct cts *cts, uint32_t planes)
{
    static const uint32_t shapes[][3] = {
        {33, 256, FEW}, {4, 2560, FEW}, {70, 192, FEW}, {5, 8640, FEW}, {70, 320, MANY}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
        for (int l = 0; l < N_LAYOUTS; l++) {
            if (!bn_device_supports(cts->device, BN_OP_MATMUL, layouts[l]))
                continue;
            uint32_t n = shapes[s][0], cols = shapes[s][1], rows = shapes[s][2];
            struct product p = make_product(cts, layouts[l], n, cols, rows, planes);
            float *want = calloc((size_t)rows * n, sizeof(*want));
            for (uint32_t i = 0; i < rows * n; i++)
                want[i] = (float)(cts_random() % 100) / 10.0f;
            struct bn_span slot = cts_slot(cts, rows, NULL, NULL), out = cts_buffer(cts, (size_t)rows * n * 4, want);
            struct bn_op op = {.kind = BN_OP_MATMUL, .rows = rows, .cols = cols, .in = p.q, .in2 = p.row_scales};
            op.planes = planes;
            op.in3 = op.out = out;
            op.w[0] = p.w;
            for (uint32_t i = 0; i < rows; i++)
                bn_scale_values(p.values + i * n, n, p.w.scale / row_scale(&p, i), want + i * n, want + i * n);
            if (run(cts, &op, &slot))
                cts_compare(cts, bn_layout_name(layouts[l]), &out, want, (size_t)rows * n);
            free(want);
            cts_free(&slot);
            cts_free(&out);
            free_product(&p);
        }
}

// Gate and up in all pairs of layouts: a file may have both.
static void gate_up_of(struct cts *cts, uint32_t planes)
{
    enum { N = 70, COLS = 512 };
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    for (int pair = 0; pair < N_LAYOUTS * N_LAYOUTS; pair++) {
        enum bn_layout a = layouts[pair / N_LAYOUTS], b = layouts[pair % N_LAYOUTS];
        if (!bn_device_supports(cts->device, BN_OP_GATE_UP, a) || !bn_device_supports(cts->device, BN_OP_GATE_UP, b))
            continue;
        uint32_t rows = pair % 2 ? FEW : MANY;
        struct product gate = make_product(cts, a, N, COLS, rows, planes), up = gate;
        make_matrix(cts, &up, b, N, COLS);
        multiply(cts, &up);
        struct bn_span slot = cts_slot(cts, rows, NULL, NULL), out = cts_buffer(cts, rows * N * 4, NULL);
        struct bn_op op = {.kind = BN_OP_GATE_UP, .rows = rows, .cols = COLS, .in = gate.q, .in2 = gate.row_scales};
        op.planes = planes;
        op.out = out;
        op.activation = (enum bn_op_activation)(1 + pair % (caps.op_options & BN_OP_WITH_GELU ? 3 : 2));
        op.w[0] = gate.w;
        op.w[1] = up.w;
        float want[MANY * N];
        for (uint32_t i = 0; i < rows; i++)
            bn_gate_values(gate.values + i * N, up.values + i * N, N, gate.w.scale / row_scale(&gate, i),
                           up.w.scale / row_scale(&gate, i), op.activation, want + i * N);
        if (run(cts, &op, &slot))
            cts_compare(cts, bn_layout_name(b), &out, want, rows * N);
        cts_free(&slot);
        cts_free(&out);
        cts_free(&up.w.data);
        cts_free(&up.w.scales);
        free(up.codes);
        free(up.values);
        free_product(&gate);
    }
}

static void matmul(struct cts *cts)
{
    matmul_of(cts, 1);
}

static void gate_up(struct cts *cts)
{
    gate_up_of(cts, 1);
}

static void planes(struct cts *cts)
{
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    if (!(caps.op_options & BN_OP_WITH_PLANES))
        return;
    matmul_of(cts, 2);
    gate_up_of(cts, 2);
}

const struct cts_case cts_scaled_cases[] = {
    {"scaled_matmul", matmul},
    {"scaled_gate", gate_up},
    {"planes", planes},
    {NULL, NULL},
};
