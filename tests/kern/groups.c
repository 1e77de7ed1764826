// Products whose scales reach groups of columns, and what follows them.
#include "kern.h"

static int code_at(const uint8_t *row, size_t column)
{
    size_t in_block = column % 128;
    return row[column / 128 * 32 + in_block % 32] >> (6 - 2 * (in_block / 32)) & 3;
}

// The definition, a second time: the groups' sums as floats, then the canonical dot product with the scales.
static float by_definition(const struct bn_groups *a, size_t r, size_t i, float *sums, float *scales)
{
    size_t padded = (a->groups + 15) / 16 * 16;
    memset(sums, 0, padded * sizeof *sums);
    memset(scales, 0, padded * sizeof *scales);
    for (size_t c = 0; c < a->cols && c / a->group < a->groups; c++)
        sums[c / a->group] += (float)((code_at(a->w + r * a->cols / 4, c) - 1) * a->q[i * a->q_stride + c]); // exact
    memcpy(scales, a->scales + r * a->groups, a->groups * sizeof *scales);
    return canonical_dot(sums, scales, padded);
}

static void check_groups(struct kern *t, const struct bn_groups *a)
{
    float *sums = calloc(2 * a->cols, sizeof *sums);
    if (!sums)
        abort();
    for (size_t r = 0; r < a->rows; r++)
        for (size_t i = 0; i < a->n_rows; i++) {
            float want = by_definition(a, r, i, sums, sums + a->cols), got = a->out[i * a->out_stride + r];
            CHECK(t, memcmp(&want, &got, sizeof got) == 0, "row %zu x %zu: %a, exactly %a", r, i, got, want);
        }
    free(sums);
}

static void groups_case(struct kern *t, size_t group, size_t rows, size_t cols, size_t n_rows, uint32_t codes,
                        enum fill fill)
{
    size_t groups = (cols + group - 1) / group - (group == 64 && rows % 2), q_stride = cols + 32 * random_below(t, 4);
    size_t out_stride = rows + random_below(t, 5), shift = random_below(t, 2);
    struct area w = area_new(rows * cols / 4 + shift), q = area_new(q_stride * n_rows);
    struct area scales = area_new(4 * rows * groups), want = area_new(4 * out_stride * n_rows);
    struct area got = area_new(want.size);
    fill_codes(t, w.data + shift, rows * cols / 4, codes);
    fill_q8(t, (int8_t *)q.data, q_stride * n_rows, codes % 2 ? 3 : random_below(t, 4));
    fill_floats(t, (float *)(void *)scales.data, rows * groups, fill);
    struct bn_groups a = {.w = w.data + shift,
                          .rows = rows,
                          .cols = cols,
                          .group = group,
                          .groups = groups,
                          .scales = (float *)(void *)scales.data,
                          .q = (int8_t *)q.data,
                          .q_stride = q_stride,
                          .n_rows = n_rows,
                          .out = (float *)(void *)got.data,
                          .out_stride = out_stride};
    bn_kernels_groups(t->k)(&a);
    a.out = (float *)(void *)want.data;
    bn_kernels_groups(t->oracle)(&a);
    if (t->reference)
        check_groups(t, &a);
    area_free(w);
    area_free(q);
    area_free(scales);
    compare(t, want, got, "groups");
}

void test_groups(struct kern *t)
{
    static const size_t cols[] = {128, 256, 384, 1024, 1152, 2560, 3200, 4096, 6912, 8704};
    static const enum fill fills[] = {FILL_UNIT, FILL_TINY, FILL_WIDE, FILL_EQUAL};
    for (uint32_t c = 0; c < 240; c++)
        groups_case(t, 64u << c % 3, 1 + random_below(t, 13), cols[c % (c < 120 ? 10 : 5)], 1 + c % 9, c / 4 % 4,
                    fills[c % 4]);
    for (uint32_t c = 0; c < 3; c++)
        groups_case(t, 64u << c, 70, 2560, 3, 0, FILL_UNIT);
}

// The kernels of every level say what these must be: with products that are integers they give the same.
void test_values(struct kern *t)
{
    for (uint32_t c = 0; c < 60; c++) {
        size_t n = 1 + random_below(t, 100);
        enum bn_op_activation act = c % 2 ? BN_OP_RELU2 : BN_OP_SILU;
        struct area in = area_new(12 * n), values = area_new(8 * n), want = area_new(8 * n), got = area_new(8 * n);
        int32_t *acc = (int32_t *)(void *)in.data;
        float *add = (float *)(acc + 2 * n), *v = (float *)(void *)values.data;
        float *w = (float *)(void *)want.data, *g = (float *)(void *)got.data;
        for (size_t i = 0; i < 2 * n; i++) {
            int32_t wide = (int32_t)random_next(t);
            acc[i] = wide >> random_below(t, 32);
            v[i] = (float)acc[i];
        }
        fill_floats(t, add, n, FILL_WIDE);
        t->oracle->dequantise(acc, n, 1e-3f, c % 3 ? add : NULL, w);
        bn_scale_values(v, n, 1e-3f, c % 3 ? add : NULL, g);
        t->oracle->gate(acc, acc + n, n, 1e-4f, 1e-3f, act, w + n);
        bn_gate_values(v, v + n, n, 1e-4f, 1e-3f, act, g + n);
        area_free(in);
        area_free(values);
        compare(t, want, got, "values");
    }
}
