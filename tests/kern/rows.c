// Kernels over rows of floats: widen, narrow, quantise, norm, dot; and the exponential.
#include "cpu/common.h"
#include "kern.h"

#define U 0x1p-24 // unit roundoff of float

static const size_t lengths[] = {128, 256, 384, 640, 1024, 1920, 2560, 6912, 8640, 14336};
#define N_LENGTHS (sizeof lengths / sizeof lengths[0])

void test_widen(struct kern *t)
{
    static const enum bn_layout layouts[] = {BN_LAYOUT_F32, BN_LAYOUT_F16, BN_LAYOUT_BF16};
    for (size_t l = 0; l < 3; l++)
        for (size_t c = 0; c < 2 + N_LENGTHS; c++) {
            // All 65536 patterns, once shifted by an odd number of bytes, then the lengths.
            size_t n = c < 2 ? 65536 : lengths[c - 2], width = l == 0 ? 4 : 2, shift = c == 1;
            struct area in = area_new(n * width + shift), want = area_new(4 * n), got = area_new(4 * n);
            uint8_t *data = in.data + shift;
            if (l == 0)
                for (size_t i = 0; i < n; i++) {
                    uint32_t bits = (uint32_t)random_next(t);
                    memcpy(data + 4 * i, &bits, 4);
                }
            else
                for (size_t i = 0; i < n; i++)
                    memcpy(data + 2 * i, &(uint16_t){(uint16_t)(c < 2 ? i : random_next(t))}, 2);
            t->oracle->widen(layouts[l], data, n, (float *)(void *)want.data);
            t->k->widen(layouts[l], data, n, (float *)(void *)got.data);
            for (size_t i = 0; t->reference && i < n; i++) {
                float f;
                uint16_t h;
                memcpy(&f, want.data + 4 * i, 4);
                memcpy(&h, data + width * i, 2);
                if (l == 0)
                    CHECK(t, memcmp(data + 4 * i, want.data + 4 * i, 4) == 0, "f32 %zu", i);
                else if (l == 1)
                    CHECK(t, (isnan(f) && isnan(half_value(h))) || f == half_value(h), "f16 %04x gives %a", h, f);
                else
                    CHECK(t, (float_bits(f) >> 16) == h && (float_bits(f) & 0xffff) == 0, "bf16 %04x", h);
            }
            area_free(in);
            compare(t, want, got, "widen");
        }
}

// Nearest half, ties to even, by the definition.
static double nearest_half(double v)
{
    if (v == 0 || isinf(v))
        return v;
    int e;
    frexp(v, &e);
    double unit = ldexp(1, (e - 1 < -14 ? -14 : e - 1) - 10), r = rint(v / unit) * unit;
    return fabs(r) > 65504 ? copysign(INFINITY, v) : r;
}

static void narrow_case(struct kern *t, const float *in, size_t n)
{
    struct area want = area_new(2 * n), got = area_new(2 * n);
    t->oracle->narrow_f16(in, n, (uint16_t *)(void *)want.data);
    t->k->narrow_f16(in, n, (uint16_t *)(void *)got.data);
    for (size_t i = 0; t->reference && i < n; i++) {
        uint16_t h;
        memcpy(&h, want.data + 2 * i, 2);
        double v = half_value(h), w = nearest_half(in[i]);
        CHECK(t, isnan(in[i]) ? isnan(v) : v == w && !signbit(v) == !signbit(w), "%a gives %04x", in[i], h);
    }
    compare(t, want, got, "narrow");
}

void test_narrow(struct kern *t)
{
    // The midpoints of all neighbours, and the floats on both sides of each: 6 floats for each half.
    struct area in = area_new(4 * 6 * 65536);
    float *x = (float *)(void *)in.data;
    for (uint32_t h = 0; h < 65536; h++) {
        float a = (float)half_value((uint16_t)h), b = (float)half_value((uint16_t)(h + 1));
        float middle = isfinite(a) && isfinite(b) ? (a + b) / 2 : isfinite(a) ? copysignf(65520, a) : a;
        float six[6] = {a,      nextafterf(a, 1e9f),      nextafterf(a, -1e9f),
                        middle, nextafterf(middle, 1e9f), nextafterf(middle, -1e9f)};
        memcpy(x + 6 * h, six, sizeof six);
        if (isnan(a))
            for (size_t i = 0; i < 6; i++) {
                uint32_t bits = (uint32_t)random_next(t) | 0x7f800001u;
                memcpy(x + 6 * h + i, &bits, 4);
            }
    }
    narrow_case(t, x, 6 * 65536);
    for (size_t n = 1; n < 40; n++) {
        fill_floats(t, x, n, n % FILL_COUNT);
        narrow_case(t, x, n);
    }
    area_free(in);
}

// The exponential of softmax and SiLU as the levels inline it; 1 unit in the last place over its range.
void test_exp(struct kern *t)
{
    enum { STEP = 1009 };
    double worst = 0;
    struct area want = area_new(4), got = area_new(4);
    for (uint32_t sign = 0; sign < 2; sign++) {
        uint32_t last = float_bits(sign ? -EXP_LOW : EXP_HIGH);
        for (uint32_t bits = 0; bits <= last; bits += STEP) {
            float x = bits_float(bits | sign << 31), y = exp_f32(x);
            int e;
            double exact = exp((double)x);
            frexp(exact, &e);
            double error = fabs(y - exact) / ldexp(1, e - 24);
            worst = error > worst ? error : worst;
            t->hash = (t->hash ^ float_bits(y)) * 0x100000001b3u;
        }
    }
    CHECK(t, worst < 1, "worst error %.3f units", worst);
    CHECK(t, exp_f32(0) == 1 && exp_f32(-0.0f) == 1, "exp(0)");
    CHECK(t, exp_f32(nextafterf(EXP_LOW, -INFINITY)) == 0 && exp_f32(-INFINITY) == 0, "below the range");
    CHECK(t, exp_f32(INFINITY) == exp_f32(EXP_HIGH) && isfinite(exp_f32(EXP_HIGH)), "above the range");
    CHECK(t, isnan(exp_f32(NAN)) && isnan(exp_f32(bits_float(0x7fc00001))), "NaN");
    compare(t, want, got, "exp");
}

// With y = (x inv) norm in float, what any order of exact operations may differ by, relative: half of what the sum of
// squares is off (n / 16 steps and the tree of 4, each one rounding), its division, sum, root, inverse, two products.
static double norm_bound(size_t n)
{
    return ((double)n / 16 + 4) / 2 * U + 7 * U;
}

static double exact_inverse(const float *x, size_t n, float eps)
{
    double ss = 0;
    for (size_t i = 0; i < n; i++)
        ss += (double)x[i] * x[i];
    return 1 / sqrt(ss / (double)n + eps);
}

// Exact with or without norm: every step is one IEEE operation, done here in double and rounded once, which gives the
// same for products, quotients and roots of floats.
static void check_quantise(struct kern *t, const float *x, const float *norm, size_t n, float eps, const int8_t *q,
                           struct bn_row_scale scale)
{
    float inv = 0, max = 0;
    if (norm) {
        float mean = (float)((double)canonical_dot(x, x, n) / (double)n);
        inv = (float)(1.0 / (double)(float)sqrt((double)(mean + eps)));
    }
    int64_t sum = 0;
    double exact = norm ? exact_inverse(x, n, eps) : 1;
    for (size_t i = 0; i < n; i++) {
        float y = norm ? (float)((double)(float)((double)x[i] * inv) * norm[i]) : x[i];
        max = fmaxf(max, fabsf(y));
    }
    CHECK(t, scale.scale == (float)(127.0 / (double)fmaxf(max, 1e-5f)), "scale %a", scale.scale);
    for (size_t i = 0; i < n; i++) {
        float y = norm ? (float)((double)(float)((double)x[i] * inv) * norm[i]) : x[i];
        double v = rint((double)(float)((double)y * scale.scale));
        CHECK(t, q[i] == (v < -128 ? -128 : v > 127 ? 127 : v), "q[%zu] = %d for %a", i, q[i], y);
        double free = (norm ? x[i] * exact * norm[i] : x[i]) * scale.scale;
        CHECK(t, fabs(q[i] - free) <= 0.5 + 128 * (norm_bound(n) + 2 * U) + 1e-30, "q[%zu] = %d, exactly %f", i, q[i],
              free);
        sum += q[i];
    }
    CHECK(t, sum == scale.sum, "sum %d, not %lld", scale.sum, (long long)sum);
}

static void quantise_case(struct kern *t, const float *x, const float *norm, size_t n, float eps)
{
    struct area want = area_new(n + sizeof(struct bn_row_scale)), got = area_new(want.size);
    int8_t *q = (int8_t *)want.data, *p = (int8_t *)got.data;
    struct bn_row_scale s = {0}, g = {0};
    bool a = t->oracle->quantise(x, norm, n, eps, q, &s), b = t->k->quantise(x, norm, n, eps, p, &g);
    CHECK(t, a && b, "finite rows were refused");
    memcpy(want.data + n, &s, sizeof s);
    memcpy(got.data + n, &g, sizeof g);
    if (t->reference)
        check_quantise(t, x, norm, n, eps, q, s);
    compare(t, want, got, norm ? "norm and quantise" : "quantise");
}

// Every kernel that promises so must see NaN, infinity and overflow at any place.
static void refuse_case(struct kern *t, float *x, float *norm, size_t n, float bad)
{
    struct area q = area_new(n), out = area_new(4 * n);
    struct bn_row_scale s;
    size_t at = random_below(t, (uint32_t)n);
    float *where[2] = {&x[at], &norm[at]};
    for (size_t i = 0; i < 2; i++) {
        float old = *where[i];
        *where[i] = bad;
        if (i == 0)
            CHECK(t, !t->k->quantise(x, NULL, n, 1e-5f, (int8_t *)q.data, &s) || isfinite(bad), "accepts %f", bad);
        CHECK(t, !t->k->quantise(x, norm, n, 1e-5f, (int8_t *)q.data, &s), "accepts %f with norm", bad);
        CHECK(t, !t->k->norm(x, norm, n, 1e-5f, (float *)(void *)out.data), "norm accepts %f", bad);
        *where[i] = old;
    }
    t->cases++;
    CHECK(t, area_intact(q) && area_intact(out), "wrote out of bounds");
    area_free(q);
    area_free(out);
}

static void refuse_cases(struct kern *t)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 3e38f}; // the square of 3e38 overflows
    float x[640], norm[640];
    for (size_t c = 0; c < 200; c++) {
        size_t n = 128 * (1 + random_below(t, 5));
        fill_floats(t, x, n, FILL_UNIT);
        for (size_t i = 0; i < n; i++)
            norm[i] = 3; // times the largest element that RMSNorm leaves, 3e38 overflows
        x[0] = x[n - 1] = 1;
        refuse_case(t, x, norm, n, bad[c % 4]);
        x[random_below(t, (uint32_t)n)] = 3e38f;
        int8_t q[640];
        struct bn_row_scale s;
        CHECK(t, !t->k->quantise(x, norm, n, 1e-5f, q, &s), "accepts an overflow");
        CHECK(t, !t->k->norm(x, norm, n, 1e-5f, x), "norm accepts an overflow");
    }
    // Zeros with an epsilon of 0: 0 * infinity.
    int8_t q[128];
    struct bn_row_scale s;
    memset(x, 0, sizeof x);
    CHECK(t, !t->k->quantise(x, norm, 128, 0, q, &s), "accepts 0 / 0");
    CHECK(t, !t->k->norm(x, norm, 128, 0, x), "norm accepts 0 / 0");
}

void test_quantise(struct kern *t)
{
    static const float eps[] = {1e-5f, 1e-6f, 1e-3f};
    for (size_t c = 0; c < 4 * N_LENGTHS * FILL_COUNT; c++) {
        size_t n = lengths[c % N_LENGTHS];
        enum fill fill = (enum fill)(c / N_LENGTHS % FILL_COUNT);
        struct area in = area_new(8 * n);
        float *x = (float *)(void *)in.data, *norm = x + n;
        fill_floats(t, x, n, fill);
        fill_floats(t, norm, n, c % 3 ? FILL_UNIT : FILL_WIDE);
        quantise_case(t, x, NULL, n, 0);
        if (fill != FILL_FINITE)
            quantise_case(t, x, norm, n, eps[c % 3]);
        area_free(in);
    }
    refuse_cases(t);
    for (size_t c = 0; c < 12; c++) { // rows that do not fill their last block of weights
        static const size_t odd[] = {64, 192, 320, 8640};
        size_t n = odd[c % 4];
        struct area in = area_new(8 * n);
        float *x = (float *)(void *)in.data, *norm = x + n;
        fill_floats(t, x, n, c % 3 ? FILL_UNIT : FILL_TIES);
        fill_floats(t, norm, n, FILL_UNIT);
        quantise_case(t, x, c % 2 ? norm : NULL, n, 1e-5f);
        area_free(in);
    }
}

void test_norm(struct kern *t)
{
    for (size_t c = 0; c < 4 * N_LENGTHS * FILL_COUNT; c++) {
        size_t n = lengths[c % N_LENGTHS] - 16 * (c % 5);
        enum fill fill = (enum fill)(c / N_LENGTHS % FILL_COUNT);
        if (fill == FILL_FINITE)
            continue;
        struct area in = area_new(8 * n), want = area_new(4 * n), got = area_new(4 * n);
        float *x = (float *)(void *)in.data, *norm = x + n;
        fill_floats(t, x, n, fill);
        fill_floats(t, norm, n, c % 3 ? FILL_UNIT : FILL_WIDE);
        bool a = t->oracle->norm(x, norm, n, 1e-5f, (float *)(void *)want.data);
        bool b = t->k->norm(x, norm, n, 1e-5f, (float *)(void *)got.data);
        CHECK(t, a && b, "a finite row was refused");
        double inv = exact_inverse(x, n, 1e-5f);
        for (size_t i = 0; t->reference && i < n; i++) {
            float y;
            memcpy(&y, want.data + 4 * i, 4);
            double exact = x[i] * inv * norm[i];
            // A denormal on the way loses up to half of 2^-149, times norm.
            double bound = fabs(exact) * norm_bound(n) + 0x1p-149 * (1 + fabs(norm[i]));
            CHECK(t, fabs(y - exact) <= bound, "%zu of %zu: %a, exactly %a", i, n, y, exact);
        }
        area_free(in);
        compare(t, want, got, fill_names[fill]);
    }
}

static void dot_case(struct kern *t, enum bn_layout layout, size_t rows, size_t cols, enum fill fill)
{
    size_t width = layout == BN_LAYOUT_F32 ? 4 : 2, n = rows * cols;
    struct area w = area_new(width * n), xs = area_new(4 * cols), want = area_new(4 * rows), got = area_new(4 * rows);
    float *x = (float *)(void *)xs.data;
    fill_floats(t, x, cols, fill == FILL_FINITE ? FILL_WIDE : fill);
    if (layout == BN_LAYOUT_F32)
        fill_floats(t, (float *)(void *)w.data, n, fill == FILL_FINITE ? FILL_WIDE : fill);
    else if (layout == BN_LAYOUT_F16)
        fill_halves(t, (uint16_t *)(void *)w.data, n, fill);
    else
        for (size_t i = 0; i < n; i++) {
            float f;
            fill_floats(t, &f, 1, fill == FILL_FINITE ? FILL_WIDE : fill);
            memcpy(w.data + 2 * i, &(uint16_t){(uint16_t)(float_bits(f) >> 16)}, 2);
        }
    t->oracle->dot(layout, w.data, rows, cols, x, (float *)(void *)want.data);
    t->k->dot(layout, w.data, rows, cols, x, (float *)(void *)got.data);
    float *row = malloc(cols * sizeof *row);
    for (size_t r = 0; t->reference && row && r < rows; r++) {
        double exact = 0, magnitude = 0;
        for (size_t i = 0; i < cols; i++) {
            uint32_t bits = 0;
            memcpy(&bits, w.data + width * (r * cols + i), width);
            row[i] = layout == BN_LAYOUT_F32   ? bits_float(bits)
                     : layout == BN_LAYOUT_F16 ? (float)half_value((uint16_t)bits)
                                               : bits_float(bits << 16);
            exact += (double)row[i] * x[i];
            magnitude += fabs((double)row[i] * x[i]);
        }
        float y;
        memcpy(&y, want.data + 4 * r, 4);
        CHECK(t, y == canonical_dot(row, x, cols), "row %zu is not the canonical sum", r);
        double bound = ((double)cols / 16 + 4) * U * magnitude + (double)cols * 0x1p-149;
        CHECK(t, fabs(y - exact) <= bound, "row %zu: %a, exactly %a", r, y, exact);
    }
    free(row);
    area_free(w);
    area_free(xs);
    compare(t, want, got, fill_names[fill]);
}

void test_dot(struct kern *t)
{
    static const enum bn_layout layouts[] = {BN_LAYOUT_F32, BN_LAYOUT_F16, BN_LAYOUT_BF16};
    for (size_t l = 0; l < 3; l++)
        for (size_t c = 0; c < 70; c++) {
            size_t cols = c < 8 ? 16 * (c + 1) : 16 * (1 + random_below(t, c < 60 ? 40 : 560));
            dot_case(t, layouts[l], 1 + c % 9, cols, (enum fill)(c % FILL_COUNT));
        }
}
