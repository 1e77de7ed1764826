// Norm, quantisation and scaling against vectors that the official engine computed with the published 2B-4T, at every
// instruction set level of this machine (tests/data/2b4t/README.md).
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"

// Outputs are integer sums times weight_scale / s, rounded to f32: how far from an integer they may seem.
#define INTEGER_BOUND 1.2e-3
// The engine adds squares in another order.
#define NORM_BOUND 1e-6
#define MAX_ISAS 8

struct published {
    uint32_t cases, n_embd, n_q, n_kv;
    float eps, scales[3];
};

static uint8_t *file;
static struct published published;
static const float *norm_weight;
static struct bn_isa isas[MAX_ISAS];
static size_t n_isas;

struct vectors {
    uint32_t token;
    const uint16_t *embedding;
    const float *normed;
    const float *outputs[3];
    uint32_t n[3];
};

static struct vectors vectors_of(uint32_t number)
{
    size_t head = sizeof(published) + 4 * published.n_embd;
    size_t each = 4 + 2 * published.n_embd + 4 * (published.n_embd + published.n_q + 2 * published.n_kv);
    const uint8_t *at = file + head + number * each;
    struct vectors v = {.n = {published.n_q, published.n_kv, published.n_kv}};
    memcpy(&v.token, at, 4);
    v.embedding = (const uint16_t *)(const void *)(at + 4);
    v.normed = (const float *)(const void *)(at + 4 + 2 * published.n_embd);
    v.outputs[0] = v.normed + published.n_embd;
    v.outputs[1] = v.outputs[0] + published.n_q;
    v.outputs[2] = v.outputs[1] + published.n_kv;
    return v;
}

static double scale_of(const struct vectors *v)
{
    float most = 0;
    for (uint32_t i = 0; i < published.n_embd; i++)
        most = fmaxf(most, fabsf(v->normed[i]));
    ck_assert(most > 1e-5f);
    return 127.0 / (double)most;
}

// What the file itself says: with the activation rule as stated, every output is an integer.
START_TEST(outputs_are_integer_sums)
{
    struct vectors v = vectors_of((uint32_t)_i);
    double s = scale_of(&v);
    for (int k = 0; k < 3; k++) {
        uint32_t zeros = 0;
        for (uint32_t i = 0; i < v.n[k]; i++) {
            double sum = (double)v.outputs[k][i] * s / (double)published.scales[k];
            ck_assert_msg(fabs(sum - nearbyint(sum)) < INTEGER_BOUND, "token %u, part %d, row %u: %.6f", v.token, k, i,
                          sum);
            ck_assert(fabs(sum) <= 127.0 * published.n_embd);
            zeros += nearbyint(sum) == 0;
        }
        ck_assert_uint_lt(zeros, v.n[k] / 10); // not integers because they vanish
    }
}
END_TEST

START_TEST(kernels_agree)
{
    struct vectors v = vectors_of((uint32_t)_i);
    uint32_t n = published.n_embd;
    float *x = aligned_alloc(64, 4 * n), *normed = aligned_alloc(64, 4 * n);
    int8_t *q = aligned_alloc(64, n);
    double s = scale_of(&v);
    for (size_t level = 0; level < n_isas; level++) {
        const struct bn_kernels *kernels = isas[level].kernels;
        if (!isas[level].usable)
            continue;
        kernels->widen(BN_LAYOUT_F16, v.embedding, n, x);
        ck_assert(kernels->norm(x, norm_weight, n, published.eps, normed));
        struct bn_row_scale scale;
        ck_assert(kernels->quantise(x, norm_weight, n, published.eps, q, &scale));
        ck_assert(fabs((double)scale.scale / s - 1) < NORM_BOUND);
        int32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            double expected = (double)v.normed[i];
            ck_assert_msg(fabs((double)normed[i] - expected) <= NORM_BOUND * fabs(expected), "%s, token %u: %.9g, %.9g",
                          isas[level].name, v.token, (double)normed[i], expected);
            ck_assert_int_eq(q[i], (int)nearbyint(expected * s));
            sum += q[i];
        }
        ck_assert_int_eq(sum, scale.sum);
        for (int k = 0; k < 3; k++) {
            float factor = published.scales[k] / scale.scale;
            for (uint32_t i = 0; i < v.n[k]; i++) {
                double expected = (double)v.outputs[k][i];
                int32_t acc = (int32_t)nearbyint(expected * s / (double)published.scales[k]);
                float out;
                kernels->dequantise(&acc, 1, factor, NULL, &out);
                ck_assert_msg(fabs((double)out - expected) <= NORM_BOUND * fabs(expected), "%s, token %u: %.9g, %.9g",
                              isas[level].name, v.token, (double)out, expected);
            }
        }
    }
    free(x);
    free(normed);
    free(q);
}
END_TEST

static bool load(void)
{
    char path[4096];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/2b4t/layer_vectors.bin", data ? data : "tests/data");
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return false;
    }
    size_t capacity = 1 << 20;
    file = aligned_alloc(64, capacity);
    size_t n = file ? fread(file, 1, capacity, in) : 0;
    fclose(in);
    if (n < sizeof(published))
        return false;
    memcpy(&published, file, sizeof(published));
    norm_weight = (const float *)(const void *)(file + sizeof(published));
    size_t floats = published.n_embd + published.cases * (published.n_embd + published.n_q + 2 * published.n_kv);
    return published.n_embd == 2560 && published.cases == 8 &&
           n == sizeof(published) + 4 * floats + published.cases * (4 + 2 * published.n_embd);
}

int main(void)
{
    n_isas = bn_isa_list(isas, MAX_ISAS);
    for (size_t i = 0; i < n_isas; i++)
        isas[i].usable = bn_isa_permit(&isas[i]);
    if (n_isas == 0 || !load())
        return 99;
    TCase *tcase = tcase_create("published");
    tcase_add_loop_test(tcase, outputs_are_integer_sums, 0, (int)published.cases);
    tcase_add_loop_test(tcase, kernels_agree, 0, (int)published.cases);
    Suite *suite = suite_create("published");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file);
    return failed == 0 ? 0 : 1;
}
