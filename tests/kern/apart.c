// Kernels that only some families of models need: two planes of activations, GELU, activations of floats.
#include "cpu/common.h"
#include "kern.h"

#define U 0x1p-24 // unit roundoff of float

// Both planes are within int8, and 256 high + low is the nearest integer to y * scale, which two roundings of y may have moved.
static void check_planes(struct kern *t, const float *x, size_t n, const int8_t *q, const struct bn_row_scale *scales)
{
    double most = 0;
    int64_t sums[2] = {0};
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    double scale = 32639 / fmax(most, (double)1e-5f);
    CHECK(t, scales[0].scale == scales[1].scale && fabs(scales[0].scale / scale - 1) < 2 * U, "scale %a, not %a",
          scales[0].scale, scale);
    for (size_t i = 0; i < n; i++) {
        double value = 256.0 * q[i] + q[n + i], exact = x[i] * (double)scales[0].scale;
        CHECK(t, fabs(value - exact) <= 0.5 + 32639 * U && fabs(value) <= 32639, "%zu: %a, exactly %a", i, value,
              exact);
        sums[0] += q[i];
        sums[1] += q[n + i];
    }
    CHECK(t, scales[0].sum == sums[0] && scales[1].sum == sums[1], "sums of the planes");
}

static void planes_case(struct kern *t, const float *x, const float *norm, size_t n)
{
    size_t scales = 2 * sizeof(struct bn_row_scale);
    struct area want = area_new(2 * n + scales), got = area_new(2 * n + scales);
    const struct bn_kernels *k[] = {t->oracle, t->k};
    struct area *out[] = {&want, &got};
    for (int i = 0; i < 2; i++) {
        int8_t *q = (int8_t *)out[i]->data;
        CHECK(t, bn_kernels_quantise16(k[i], x, norm, n, 1e-5f, q, q + n, (struct bn_row_scale *)(void *)(q + 2 * n)),
              "a finite row was refused");
    }
    if (t->reference && !norm)
        check_planes(t, x, n, (const int8_t *)want.data,
                     (const struct bn_row_scale *)(const void *)(want.data + 2 * n));
    compare(t, want, got, norm ? "normed" : "planes");
}

void test_quantise16(struct kern *t)
{
    static const size_t lengths[] = {64, 128, 320, 1024, 2560, 8640};
    for (size_t c = 0; c < 6 * FILL_COUNT; c++) {
        size_t n = lengths[c % 6];
        enum fill fill = (enum fill)(c / 6);
        struct area in = area_new(8 * n);
        float *x = (float *)(void *)in.data, *norm = x + n;
        fill_floats(t, x, n, fill);
        fill_floats(t, norm, n, FILL_UNIT);
        planes_case(t, x, NULL, n);
        if (fill != FILL_FINITE)
            planes_case(t, x, norm, n);
        int8_t q[2 * 8640];
        struct bn_row_scale scales[2];
        for (int bad = 0; bad < 2; bad++) {
            x[random_below(t, (uint32_t)n)] = bad ? NAN : INFINITY;
            CHECK(t, !bn_kernels_quantise16(t->k, x, c % 2 ? norm : NULL, n, 1e-5f, q, q + n, scales), "not finite");
        }
        area_free(in);
    }
}

// The exponential is below one unit, 2 U, of its argument, which is off by 4 U t: e^t is off by that, relative. Quotient and
// products: U each.
static void check_activated(struct kern *t, float x, float up, enum bn_op_activation activation, float y)
{
    double a = x, exact = a > 0 ? a * a * up : 0, slope = 0;
    if (activation != BN_OP_RELU2) {
        double inner = activation == BN_OP_GELU ? 1.5957691216057308 * (a + 0.044715 * a * a * a) : a;
        exact = a / (1 + exp(-inner)) * up;
        slope = activation == BN_OP_GELU ? 4 * fabs(inner) : 0;
    }
    double bound = fabs(exact) * (8 + slope) * U + fabs(a * up) * 1e-37 + 0x1p-148 * (1 + fabs(up));
    CHECK(t, fabs(y - exact) <= bound, "activation %d of %a, %a gives %a, exactly %a", activation, x, up, y, exact);
}

void test_activate(struct kern *t)
{
    for (uint32_t c = 0; c < 240; c++) {
        size_t n = c < 70 ? c + 1 : 1 + random_below(t, 1000);
        enum bn_op_activation activation = (enum bn_op_activation)(BN_OP_RELU2 + c % 3);
        struct area in = area_new(8 * n), want = area_new(4 * n), got = area_new(4 * n);
        float *x = (float *)(void *)in.data, *up = x + n;
        fill_floats(t, x, n, FILL_UNIT);
        fill_floats(t, up, n, c % 2 ? FILL_UNIT : FILL_WIDE);
        for (size_t i = 0; i < n; i++)
            x[i] *= (float)(1 << c % 7);
        bn_kernels_activate(t->oracle, x, up, n, activation, (float *)(void *)want.data);
        bn_kernels_activate(t->k, x, up, n, activation, (float *)(void *)got.data);
        for (size_t i = 0; t->reference && i < n; i++)
            check_activated(t, x[i], up[i], activation, ((float *)(void *)want.data)[i]);
        area_free(in);
        compare(t, want, got, "activate");
    }
    float bad[3] = {NAN, 1, NAN}, one[3] = {1, NAN, NAN}, out[3];
    for (int activation = BN_OP_RELU2; activation <= BN_OP_GELU; activation++) {
        bn_kernels_activate(t->k, bad, one, 3, (enum bn_op_activation)activation, out);
        for (int i = 0; i < 3; i++)
            CHECK(t, isnan(out[i]), "hides NaN: %a", out[i]);
    }
}

// The gate of integers, with GELU: what activate makes of the products.
void test_gelu(struct kern *t)
{
    for (uint32_t c = 0; c < 80; c++) {
        size_t n = c < 40 ? c + 1 : 1 + random_below(t, 1000);
        struct area in = area_new(8 * n), want = area_new(4 * n), got = area_new(4 * n);
        int32_t *g = (int32_t *)(void *)in.data, *up = g + n;
        for (size_t i = 0; i < 2 * n; i++)
            g[i] = (int32_t)random_below(t, 200000) - 100000;
        float *expected = (float *)(void *)want.data;
        for (size_t i = 0; i < n; i++) {
            float x = (float)g[i] * 1e-4f, u = (float)up[i] * 3e-5f;
            bn_kernels_activate(t->oracle, &x, &u, 1, BN_OP_GELU, &expected[i]);
        }
        t->k->gate(g, up, n, 1e-4f, 3e-5f, BN_OP_GELU, (float *)(void *)got.data);
        area_free(in);
        compare(t, want, got, "gelu");
    }
}
