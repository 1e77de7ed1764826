// Repacking: scales that reach tensors, rows and groups are kept, or the change is refused.
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

static struct bn_host host;
static uint64_t state = 7;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

// A matrix with memory of its own.
struct owned {
    struct bn_matrix m;
    uint8_t *data;
    float *scales;
};

static struct owned new_matrix(enum bn_layout layout, uint64_t rows, uint64_t cols, float scale)
{
    struct owned o = {.m = {layout, rows, cols, NULL, NULL, scale}};
    uint64_t bytes = bn_layout_bytes(layout, rows, cols), scales = rows * bn_layout_scales(layout, cols);
    ck_assert_uint_ne(bytes, 0);
    o.m.data = o.data = calloc(1, bytes);
    o.m.scales = o.scales = scales ? calloc(scales, sizeof(float)) : NULL;
    return o;
}

static void free_matrix(struct owned *o)
{
    free(o->data);
    free(o->scales);
}

static int8_t *random_trits(size_t n)
{
    int8_t *trits = malloc(n);
    for (size_t i = 0; i < n; i++)
        trits[i] = (int8_t)(next_random() % 3) - 1;
    return trits;
}

static enum bn_result repack(const struct owned *from, enum bn_layout layout, enum bn_repack_loss loss,
                             struct owned *to)
{
    struct bn_error err = {0};
    *to = new_matrix(layout, from->m.rows, from->m.cols, 0);
    struct bn_repacked out = {.layout = layout, .data = to->data, .scales = to->scales};
    enum bn_result result = bn_repack(&host, &from->m, &out, loss, &err);
    ck_assert_int_eq(err.code, result);
    to->m.scale = out.scale;
    return result;
}

static void expect_refusal(const struct owned *from, enum bn_layout layout)
{
    struct owned to;
    ck_assert_int_eq(repack(from, layout, BN_REPACK_EXACT, &to), BN_ERR_UNSUPPORTED);
    free_matrix(&to);
}

// Every weight of both, as floats, is the same.
static void expect_same(const struct owned *a, const struct owned *b)
{
    float *x = malloc(a->m.cols * sizeof(*x)), *y = malloc(a->m.cols * sizeof(*y));
    for (uint64_t r = 0; r < a->m.rows; r++) {
        bn_matrix_widen(&a->m, r, x);
        bn_matrix_widen(&b->m, r, y);
        for (uint64_t c = 0; c < a->m.cols; c++)
            ck_assert(x[c] == y[c]);
    }
    free(x);
    free(y);
}

static const enum bn_layout apart[] = {BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A_G256, BN_LAYOUT_I2S_A_G128,
                                       BN_LAYOUT_I2S_A_G64};
enum { N_APART = sizeof(apart) / sizeof(apart[0]) };

static const struct {
    uint64_t rows, cols;
} shapes[] = {{1, 64}, {5, 200}, {17, 8640}, {33, 256}, {16, 1}, {3, 513}};
enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

START_TEST(one_scale_fits_every_layout_and_comes_back)
{
    uint64_t rows = shapes[_i].rows, cols = shapes[_i].cols;
    struct owned a = new_matrix(BN_LAYOUT_I2S_A, rows, cols, 0.37f), b, back;
    int8_t *trits = random_trits(rows * cols);
    bn_layout_get(a.m.layout)->pack(trits, rows, cols, 0, rows, a.data);
    for (int l = 0; l < N_APART; l++) {
        ck_assert_int_eq(repack(&a, apart[l], BN_REPACK_EXACT, &b), BN_OK);
        expect_same(&a, &b);
        ck_assert(bn_matrix_scales(&b.m).one && bn_matrix_scales(&b.m).scale == 1);
        ck_assert_int_eq(repack(&b, BN_LAYOUT_I2S_A, BN_REPACK_EXACT, &back), BN_OK);
        ck_assert(back.m.scale == 0.37f);
        ck_assert_mem_eq(back.data, a.data, bn_layout_bytes(BN_LAYOUT_I2S_A, rows, cols));
        free_matrix(&b);
        free_matrix(&back);
    }
    free(trits);
    free_matrix(&a);
}
END_TEST

START_TEST(scales_that_differ_go_to_narrower_reaches_only)
{
    enum { ROWS = 7, COLS = 640 };
    for (int l = 0; l < N_APART; l++) {
        struct owned a = new_matrix(apart[l], ROWS, COLS, 0.5f), b, back;
        int8_t *trits = random_trits(ROWS * COLS);
        bn_layout_get(a.m.layout)->pack(trits, ROWS, COLS, 0, ROWS, a.data);
        for (size_t i = 0; i < ROWS * bn_layout_scales(apart[l], COLS); i++)
            a.scales[i] = (float)(1 + i % 10) * (i % 3 ? 0.1f : -0.2f);
        ck_assert(!bn_matrix_scales(&a.m).one);
        expect_refusal(&a, BN_LAYOUT_I2S_A);
        for (int to = 0; to < N_APART; to++) {
            ck_assert_int_eq(bn_layout_keeps(apart[l], apart[to]), to >= l);
            if (to < l) {
                expect_refusal(&a, apart[to]);
                continue;
            }
            ck_assert_int_eq(repack(&a, apart[to], BN_REPACK_EXACT, &b), BN_OK);
            expect_same(&a, &b);
            ck_assert_int_eq(repack(&b, apart[l], BN_REPACK_EXACT, &back), BN_OK);
            expect_same(&a, &back);
            ck_assert_mem_eq(a.scales, back.scales, ROWS * bn_layout_scales(apart[l], COLS) * sizeof(float));
            free_matrix(&b);
            free_matrix(&back);
        }
        free(trits);
        free_matrix(&a);
    }
}
END_TEST

// Groups of 64: 1 and 3 with as many weights, one whose scale is 0, one without weights.
START_TEST(what_is_nothing_has_any_scale)
{
    enum { COLS = 256 };
    struct owned a = new_matrix(BN_LAYOUT_I2S_A_G64, 1, COLS, 1), b;
    int8_t trits[COLS];
    for (int c = 0; c < COLS; c++)
        trits[c] = (int8_t)(c / 64 == 3 ? 0 : c % 2 ? 1 : -1);
    bn_layout_get(a.m.layout)->pack(trits, 1, COLS, 0, 1, a.data);
    memcpy(a.scales, (float[]){2, 2, 0, 9}, 16);
    ck_assert_int_eq(repack(&a, BN_LAYOUT_I2S_A, BN_REPACK_EXACT, &b), BN_OK);
    ck_assert(b.m.scale == 2);
    expect_same(&a, &b);
    free_matrix(&b);
    a.scales[1] = 4;
    expect_refusal(&a, BN_LAYOUT_I2S_A);
    ck_assert_int_eq(repack(&a, BN_LAYOUT_I2S_A, BN_REPACK_LOSSY, &b), BN_OK);
    ck_assert(b.m.scale == 3);
    free_matrix(&b);
    ck_assert_int_eq(repack(&a, BN_LAYOUT_I2S_A_G128, BN_REPACK_LOSSY, &b), BN_OK);
    ck_assert(b.scales[0] == 3);
    free_matrix(&b);
    free_matrix(&a);
}
END_TEST

START_TEST(scales_that_are_not_finite_are_seen)
{
    struct owned a = new_matrix(BN_LAYOUT_I2S_A_G64, 3, 128, 1);
    ck_assert(bn_matrix_scales(&a.m).finite && bn_matrix_scales(&a.m).one);
    a.scales[4] = NAN;
    ck_assert(!bn_matrix_scales(&a.m).finite);
    a.scales[4] = 0;
    a.m.scale = INFINITY;
    ck_assert(!bn_matrix_scales(&a.m).finite);
    free_matrix(&a);
}
END_TEST

// A matrix in two parts, one of them of two stripes, is the matrix in one: data, scales and scale.
START_TEST(parts_are_the_whole)
{
    enum { ROWS = 52, COLS = 1280, CUT = 32 };
    struct bn_error err = {0};
    void *memory = malloc(bn_repack_memory(COLS));
    int8_t *trits = random_trits((size_t)ROWS * COLS);
    memset(trits + CUT * COLS, 0, (size_t)(ROWS - CUT) * COLS); // whose scale says nothing
    for (int in = 0; in < BN_LAYOUT_COUNT; in++) {
        const struct bn_layout_info *info = bn_layout_get((enum bn_layout)in);
        if (info->kind != BN_LAYOUT_TERNARY || !bn_layout_bytes(info->layout, ROWS, COLS))
            continue;
        struct owned from = new_matrix(info->layout, ROWS, COLS, 0.5f);
        info->pack(trits, ROWS, COLS, 0, ROWS, from.data);
        for (uint64_t r = 0; r < ROWS && info->home != BN_HOME_NONE; r++)
            for (uint64_t g = 0; g < bn_layout_groups(info, COLS); g++) {
                float scale = r < CUT ? 0.25f : 0.75f;
                if (info->set_scale)
                    info->set_scale(from.data, ROWS, COLS, r, g, scale);
                else
                    from.scales[r * bn_layout_groups(info, COLS) + g] = scale;
            }
        for (int out = 0; out < BN_LAYOUT_COUNT; out++) {
            const struct bn_layout_info *to = bn_layout_get((enum bn_layout)out);
            struct owned whole;
            if (out == BN_LAYOUT_PACKED || out == BN_LAYOUT_TL1 || out == BN_LAYOUT_TL2 ||
                !bn_layout_bytes(to->layout, CUT, COLS) || !bn_layout_bytes(to->layout, ROWS, COLS) ||
                !(repack(&from, to->layout, BN_REPACK_EXACT, &whole) == BN_OK || (free_matrix(&whole), false)))
                continue;
            struct owned first = new_matrix(to->layout, ROWS, COLS, 0);
            uint64_t per_row = bn_layout_scales(to->layout, COLS), cut = bn_layout_bytes(to->layout, CUT, COLS);
            struct bn_repacked a = {.layout = to->layout, .data = first.data, .scales = first.scales};
            struct bn_repacked b = {.layout = to->layout,
                                    .data = first.data + cut,
                                    .scales = first.scales ? first.scales + CUT * per_row : NULL};
            ck_assert_int_eq(bn_repack_rows(&from.m, 0, CUT, &a, BN_REPACK_EXACT, memory, &err), BN_OK);
            ck_assert_int_eq(bn_repack_rows(&from.m, CUT, ROWS, &b, BN_REPACK_EXACT, memory, &err), BN_OK);
            ck_assert_int_eq(bn_repack_join(&from.m, &a, &b, BN_REPACK_EXACT, &err), BN_OK);
            ck_assert_msg(a.scale == whole.m.scale, "%s to %s: %g, not %g", info->name, to->name, (double)a.scale,
                          (double)whole.m.scale);
            ck_assert_mem_eq(first.data, whole.data, bn_layout_bytes(to->layout, ROWS, COLS));
            if (per_row)
                ck_assert_mem_eq(first.scales, whole.scales, ROWS * per_row * sizeof(float));
            free_matrix(&first);
            free_matrix(&whole);
        }
        free_matrix(&from);
    }
    free(trits);
    free(memory);
}
END_TEST

// Scales that differ between parts.
START_TEST(parts_that_differ_are_refused)
{
    struct owned from = new_matrix(BN_LAYOUT_IQ2_BN, 32, 64, 1), to = new_matrix(BN_LAYOUT_I2S_B, 32, 64, 1);
    int8_t *trits = malloc(32 * 64);
    void *memory = malloc(bn_repack_memory(64));
    struct bn_error err = {0};
    memset(trits, 1, 32 * 64);
    bn_layout_get(BN_LAYOUT_IQ2_BN)->pack(trits, 32, 64, 0, 32, from.data);
    for (uint64_t r = 0; r < 32; r++)
        bn_layout_get(BN_LAYOUT_IQ2_BN)->set_scale(from.data, 32, 64, r, 0, r < 16 ? 1 : 3);
    for (int loss = BN_REPACK_EXACT; loss <= BN_REPACK_LOSSY; loss++) {
        struct bn_repacked a = {.layout = BN_LAYOUT_I2S_B, .data = to.data}, b = a;
        ck_assert_int_eq(bn_repack_rows(&from.m, 0, 16, &a, (enum bn_repack_loss)loss, memory, &err), BN_OK);
        ck_assert_int_eq(bn_repack_rows(&from.m, 16, 32, &b, (enum bn_repack_loss)loss, memory, &err), BN_OK);
        ck_assert_int_eq(bn_repack_join(&from.m, &a, &b, (enum bn_repack_loss)loss, &err),
                         loss == BN_REPACK_LOSSY ? BN_OK : BN_ERR_UNSUPPORTED);
        ck_assert(loss == BN_REPACK_EXACT || a.scale == 2);
    }
    free(memory);
    free(trits);
    free_matrix(&from);
    free_matrix(&to);
}
END_TEST

int main(void)
{
    bn_host_init(&host, NULL);
    TCase *tcase = tcase_create("repack");
    tcase_add_loop_test(tcase, one_scale_fits_every_layout_and_comes_back, 0, N_SHAPES);
    tcase_add_test(tcase, scales_that_differ_go_to_narrower_reaches_only);
    tcase_add_test(tcase, what_is_nothing_has_any_scale);
    tcase_add_test(tcase, scales_that_are_not_finite_are_seen);
    tcase_add_test(tcase, parts_are_the_whole);
    tcase_add_test(tcase, parts_that_differ_are_refused);
    Suite *suite = suite_create("repack");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
