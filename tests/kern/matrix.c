// Ternary products and what follows them: dequantise and gate.
#include "kern.h"

#define U 0x1p-24 // unit roundoff of float

// Code of one column, by the description of the layout.
static int code_at(const uint8_t *row, size_t column)
{
    size_t in_block = column % 128;
    return row[column / 128 * 32 + in_block % 32] >> (6 - 2 * (in_block / 32)) & 3;
}

static void ternary_case(struct kern *t, size_t rows, size_t cols, size_t n_rows, uint32_t codes, uint32_t kind)
{
    size_t q_stride = cols + 32 * random_below(t, 4), acc_stride = rows + random_below(t, 5);
    size_t shift = random_below(t, 2); // weights may lie at any address
    struct area w = area_new(rows * cols / 4 + shift), q = area_new(q_stride * n_rows);
    struct area want = area_new(4 * acc_stride * n_rows), got = area_new(want.size);
    struct bn_row_scale *scales = calloc(n_rows, sizeof *scales);
    if (!scales)
        abort();
    fill_codes(t, w.data + shift, rows * cols / 4, codes);
    fill_q8(t, (int8_t *)q.data, q_stride * n_rows, kind);
    for (size_t i = 0; i < n_rows; i++) {
        scales[i].scale = 1;
        for (size_t j = 0; j < cols; j++)
            scales[i].sum += ((int8_t *)q.data)[i * q_stride + j];
    }
    t->oracle->ternary(w.data + shift, rows, cols, (int8_t *)q.data, q_stride, scales, n_rows,
                       (int32_t *)(void *)want.data, acc_stride);
    t->k->ternary(w.data + shift, rows, cols, (int8_t *)q.data, q_stride, scales, n_rows, (int32_t *)(void *)got.data,
                  acc_stride);
    for (size_t i = 0; t->reference && i < n_rows; i++)
        for (size_t r = 0; r < rows; r++) {
            int64_t sum = 0;
            for (size_t j = 0; j < cols; j++)
                sum += (int64_t)(code_at(w.data + shift + r * cols / 4, j) - 1) * ((int8_t *)q.data)[i * q_stride + j];
            int32_t acc;
            memcpy(&acc, want.data + 4 * (i * acc_stride + r), 4);
            CHECK(t, acc == sum, "row %zu x %zu: %d, exactly %lld", r, i, acc, (long long)sum);
        }
    free(scales);
    area_free(w);
    area_free(q);
    compare(t, want, got, "ternary");
}

// The same weights in base 3: a byte is a fraction of 256, rounded up, with the codes of five columns as its digits. A level
// without such a kernel, which then never sees the layout, is given the oracle's.
static void base3_case(struct kern *t, size_t rows, size_t cols, size_t n_rows, uint32_t codes, uint32_t kind)
{
    size_t q_stride = cols + 32 * random_below(t, 4), acc_stride = rows + random_below(t, 5);
    size_t stride = (cols + 319) / 320 * 64, shift = random_below(t, 2);
    struct area two_bits = area_new(rows * cols / 4), w = area_new(rows * stride + shift),
                q = area_new(q_stride * n_rows);
    struct area want = area_new(4 * acc_stride * n_rows), got = area_new(want.size);
    struct bn_row_scale *scales = calloc(n_rows, sizeof *scales);
    if (!scales)
        abort();
    fill_codes(t, two_bits.data, two_bits.size, codes);
    fill_q8(t, (int8_t *)q.data, q_stride * n_rows, kind);
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < cols; j++)
            scales[i].sum += ((int8_t *)q.data)[i * q_stride + j];
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < stride; i++) {
            unsigned value = 0;
            for (size_t d = 0; d < 5; d++) {
                size_t column = i / 64 * 320 + 64 * d + i % 64;
                value = 3 * value + (column < cols ? (unsigned)code_at(two_bits.data + r * cols / 4, column) : 1);
            }
            w.data[shift + r * stride + i] = (uint8_t)((256 * value + 242) / 243);
        }
    t->oracle->ternary(two_bits.data, rows, cols, (int8_t *)q.data, q_stride, scales, n_rows,
                       (int32_t *)(void *)want.data, acc_stride);
    const struct bn_kernels *k = t->k->ternary_base3 ? t->k : t->oracle;
    k->ternary_base3(w.data + shift, rows, cols, (int8_t *)q.data, q_stride, scales, n_rows,
                     (int32_t *)(void *)got.data, acc_stride);
    free(scales);
    area_free(two_bits);
    area_free(w);
    area_free(q);
    compare(t, want, got, "ternary_base3");
}

void test_base3(struct kern *t)
{
    static const size_t cols[] = {128, 256, 320 * 2, 384, 1024, 1152, 2560, 3200, 6912, 14336};
    for (uint32_t c = 0; c < 360; c++)
        base3_case(t, 1 + random_below(t, 13), cols[c % 10], 1 + c / 10 % 12, c / 4 % 4, c % 4);
    for (uint32_t c = 0; c < 8; c++) // past the tiles of many rows
        base3_case(t, 60 + c, 2560 + 128 * c, 9 + 8 * c, c / 4, c % 4);
    for (uint32_t c = 0; c < 16; c++) // the largest sums: those that are taken apart, and the most that are not
        base3_case(t, 2, c % 2 ? 1 << 20 : 1 << 18, 1 + c / 12, c / 2 % 4, c % 4);
}

// Codes that a loaded model never has must do no harm; their sums are not promised.
static void ternary_code_3(struct kern *t)
{
    enum { ROWS = 5, COLS = 2560, N = 6 };
    struct area w = area_new(ROWS * COLS / 4), q = area_new(N * COLS), acc = area_new(4 * N * ROWS);
    memset(w.data, 0xff, w.size);
    fill_q8(t, (int8_t *)q.data, q.size, 2);
    const struct bn_row_scale scales[N] = {{0}};
    t->k->ternary(w.data, ROWS, COLS, (int8_t *)q.data, COLS, scales, N, (int32_t *)(void *)acc.data, ROWS);
    t->cases++;
    CHECK(t, area_intact(acc), "code 3: wrote out of bounds");
    area_free(w);
    area_free(q);
    area_free(acc);
}

void test_ternary(struct kern *t)
{
    static const size_t cols[] = {128, 256, 384, 1024, 1152, 2560, 3200, 6912, 8640 / 128 * 128, 14336};
    for (uint32_t c = 0; c < 360; c++)
        ternary_case(t, 1 + random_below(t, 13), cols[c < 160 ? c % 10 : c % 6], 1 + c % 9, c / 4 % 4, c % 4);
    for (uint32_t c = 0; c < 40; c++) { // many activation rows, as in prompts
        size_t n_rows = 10 + random_below(t, 90);
        ternary_case(t, 1 + random_below(t, 70), cols[c % 6], n_rows, c / 4 % 4, c % 4);
    }
    ternary_code_3(t);
    ternary_case(t, 300, 1920, 5, 0, 0); // past the tile of rows
    for (uint32_t c = 0; c < 16; c++)    // K of 2^20: the largest sums
        ternary_case(t, 2, 1 << 20, 1 + c / 15, c / 4, c % 4);
}

static void fill_scan(struct kern *t, struct area a, uint32_t kind)
{
    for (size_t i = 0; i < a.size; i++) {
        uint32_t r = random_below(t, 255);
        int8_t v = (int8_t)(kind == 0 ? (int)r - 127 : kind == 1 ? 127 : kind == 2 ? -127 : r & 1 ? 127 : -127);
        memcpy(a.data + i, &v, 1);
    }
}

static void scan_case(struct kern *t, size_t rows, size_t cols, size_t n, uint32_t weights, uint32_t planes)
{
    struct area w = area_new(rows * cols), q = area_new(n * cols);
    struct area want = area_new(4 * n * rows), got = area_new(4 * n * rows);
    fill_scan(t, w, weights);
    fill_scan(t, q, planes);
    const int8_t *x = (int8_t *)q.data;
    int32_t *out = (int32_t *)(void *)want.data, *other = (int32_t *)(void *)got.data;
    t->oracle->scan((int8_t *)w.data, rows, cols, x, n, out, rows);
    t->k->scan((int8_t *)w.data, rows, cols, x, n, other, rows);
    for (size_t i = 0; t->reference && i < n * rows; i++) {
        int64_t sum = 0;
        for (size_t j = 0; j < cols; j++)
            sum += (int64_t)((int8_t *)w.data)[i % rows * cols + j] * x[i / rows * cols + j];
        CHECK(t, out[i] == sum, "row %zu: %d, exactly %lld", i, out[i], (long long)sum);
    }
    area_free(w);
    area_free(q);
    compare(t, want, got, "scan");
}

void test_scan(struct kern *t)
{
    for (uint32_t c = 0; c < 67; c++) // every number of rows, columns that are no multiple of anything
        scan_case(t, 1 + c, c % 3 ? 32 * (1 + random_below(t, 12)) : 1 + random_below(t, 400), 2, c / 4 % 4, c % 4);
    for (uint32_t c = 0; c < 40; c++)
        scan_case(t, 1 + c % 9, c % 2 ? 2560 : 16 * (1 + random_below(t, 200)), 2, c / 4 % 4, c % 4);
    for (uint32_t c = 0; c < 40; c++) // planes of several outputs
        scan_case(t, 1 + c % 13, 1 + random_below(t, 300), 2 + c % 8 * 2, c / 4 % 4, c % 4);
    for (uint32_t c = 0; c < 16; c++) // the largest sums
        scan_case(t, 5, 1 << 17, 2, c / 4, c % 4);
}

static int32_t random_acc(struct kern *t, uint32_t kind)
{
    uint32_t r = (uint32_t)random_next(t);
    return kind == 0   ? (int32_t)(r % 200001) - 100000
           : kind == 1 ? (int32_t)r >> random_below(t, 32)
                       : (int32_t)(r % 3) - 1;
}

static const float factors[] = {1.0f, 3.7e-4f, 0x1.fffffep-11f, 1e-42f, 1e28f, 0.0f, 0x1.8p-23f};
#define N_FACTORS (sizeof factors / sizeof factors[0])

void test_dequantise(struct kern *t)
{
    for (uint32_t c = 0; c < 300; c++) {
        size_t n = c < 70 ? c + 1 : 1 + random_below(t, 3000);
        float factor = factors[c % N_FACTORS];
        struct area acc = area_new(4 * n), add = area_new(4 * n), want = area_new(4 * n), got = area_new(4 * n);
        for (size_t i = 0; i < n; i++)
            memcpy(acc.data + 4 * i, &(int32_t){random_acc(t, c % 3)}, 4);
        fill_floats(t, (float *)(void *)add.data, n, (enum fill)(c % FILL_COUNT));
        bool residual = c % 2, in_place = c % 4 == 3;
        const float *a = residual ? (float *)(void *)add.data : NULL;
        if (in_place) {
            memcpy(want.data, add.data, 4 * n);
            memcpy(got.data, add.data, 4 * n);
        }
        const int32_t *in = (int32_t *)(void *)acc.data;
        t->oracle->dequantise(in, n, factor, in_place ? (float *)(void *)want.data : a, (float *)(void *)want.data);
        t->k->dequantise(in, n, factor, in_place ? (float *)(void *)got.data : a, (float *)(void *)got.data);
        for (size_t i = 0; t->reference && i < n; i++) {
            // Products and sums of two floats, rounded from double, are what float gives.
            float y, p = (float)((double)(float)in[i] * factor);
            memcpy(&y, want.data + 4 * i, 4);
            CHECK(t, y == (residual ? (float)((double)p + a[i]) : p), "%zu: %d gives %a", i, in[i], y);
        }
        area_free(acc);
        area_free(add);
        compare(t, want, got, "dequantise");
    }
}

static void check_gate(struct kern *t, int32_t g, int32_t u, float gf, float uf, enum bn_op_activation act, float y)
{
    double gate = (float)((double)(float)g * gf), up = (float)((double)(float)u * uf);
    if (act == BN_OP_RELU2) {
        float r = gate > 0 ? (float)gate : 0;
        CHECK(t, y == (float)((double)(float)((double)r * r) * up), "relu^2(%a) * %a gives %a", gate, up, y);
        return;
    }
    // exp: below one unit, 2 U; sum, quotient, product: U each; one more for products of errors. Below -87 the
    // exponential is clamped, and the result is below |gate| e^-87.
    double exact = gate / (1 + exp(-gate)) * up;
    double bound = fabs(exact) * 6 * U + fabs(gate * up) * (gate < -87 ? 1e-37 : 0) + 0x1p-148 * (1 + fabs(up));
    CHECK(t, fabs(y - exact) <= bound, "silu(%a) * %a gives %a, exactly %a", gate, up, y, exact);
}

// A factor of NaN reaches the output.
static void gate_not_finite(struct kern *t)
{
    int32_t acc[11];
    float out[11];
    for (int32_t i = 0; i < 11; i++)
        acc[i] = i - 5;
    for (int c = 0; c < 4; c++) {
        t->k->gate(acc, acc, 11, c & 1 ? NAN : 1, c & 1 ? 1 : NAN, c & 2 ? BN_OP_RELU2 : BN_OP_SILU, out);
        t->cases++;
        for (int i = 0; i < 11; i++)
            CHECK(t, isnan(out[i]), "hides NaN: %a", out[i]);
    }
}

void test_gate(struct kern *t)
{
    gate_not_finite(t);
    static const float gf[] = {1e-4f, 3.3e-3f, 1e-6f, 7e-2f}, uf[] = {1e-3f, 1.0f, 4.7e-5f};
    for (uint32_t c = 0; c < 400; c++) {
        size_t n = c < 70 ? c + 1 : 1 + random_below(t, 3000);
        enum bn_op_activation act = c % 2 ? BN_OP_RELU2 : BN_OP_SILU;
        struct area in = area_new(8 * n), want = area_new(4 * n), got = area_new(4 * n);
        int32_t *g = (int32_t *)(void *)in.data, *u = g + n;
        for (size_t i = 0; i < n; i++) {
            g[i] = random_acc(t, c / 2 % 3);
            u[i] = random_acc(t, c / 6 % 3);
        }
        t->oracle->gate(g, u, n, gf[c % 4], uf[c % 3], act, (float *)(void *)want.data);
        t->k->gate(g, u, n, gf[c % 4], uf[c % 3], act, (float *)(void *)got.data);
        for (size_t i = 0; t->reference && i < n; i++) {
            float y;
            memcpy(&y, want.data + 4 * i, 4);
            check_gate(t, g[i], u[i], gf[c % 4], uf[c % 3], act, y);
        }
        area_free(in);
        compare(t, want, got, act == BN_OP_RELU2 ? "relu^2" : "silu");
    }
}
