// Layouts against bytes that other programs made (tests/gen/layouts_golden.py).
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

enum { ROWS = 8, COLS = 768, MOST = 1 << 16 };

static uint8_t golden[MOST];
static size_t golden_bytes;
static struct bn_host host;

static void load(void)
{
    char path[1024];
    const char *folder = getenv("BITNET_TEST_DATA");
    snprintf(path, sizeof(path), "%s/layouts.bin", folder ? folder : "tests/data");
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    golden_bytes = fread(golden, 1, MOST, file);
    fclose(file);
    ck_assert(golden_bytes > 0 && golden_bytes < MOST);
}

// The record of that name.
static const uint8_t *record(const char *name, uint32_t *bytes)
{
    for (size_t at = 0; at + 20 <= golden_bytes; at += 20 + *bytes) {
        memcpy(bytes, golden + at + 16, 4);
        ck_assert_uint_le(at + 20 + *bytes, golden_bytes);
        if (strncmp((const char *)golden + at, name, 16) == 0)
            return golden + at + 20;
    }
    ck_abort_msg("no record %s", name);
    return NULL;
}

static uint32_t mixed(uint32_t i)
{
    uint32_t x = i * 2654435761u;
    x ^= x >> 15;
    return x * 2246822519u >> 16;
}

static int8_t *make_trits(uint64_t n)
{
    int8_t *trits = malloc(n);
    for (uint64_t i = 0; i < n; i++)
        trits[i] = (int8_t)(mixed((uint32_t)i + 1) % 3) - 1;
    return trits;
}

static float make_scale(uint64_t i, bool positive)
{
    float scale = (float)(1 + i * 7 % 13) / 16;
    return i % 5 == 4 && !positive ? -scale : scale;
}

static const struct {
    enum bn_layout layout;
    bool positive; // made by an encoder that takes the magnitude
} ternary[] = {
    {BN_LAYOUT_TQ1_0, true}, {BN_LAYOUT_TQ2_0, true},   {BN_LAYOUT_Q2_0},
    {BN_LAYOUT_PQ2_0},       {BN_LAYOUT_PTQ1_0, false}, {BN_LAYOUT_IQ1_BN, false},
    {BN_LAYOUT_IQ2_BN},      {BN_LAYOUT_IQ2_BN_R4},     {BN_LAYOUT_PACKED, false},
};
enum { N_TERNARY = sizeof(ternary) / sizeof(ternary[0]) };

START_TEST(ternary_layouts_have_the_bytes_of_others)
{
    const struct bn_layout_info *info = bn_layout_get(ternary[_i].layout);
    uint32_t bytes;
    const uint8_t *want = record(info->name, &bytes);
    ck_assert_uint_eq(bytes, bn_layout_bytes(info->layout, ROWS, COLS));
    int8_t *trits = make_trits(ROWS * COLS), *back = malloc(ROWS * COLS);
    uint8_t *got = malloc(bytes);
    memset(got, 0xee, bytes);
    for (uint64_t r = 0; r < ROWS; r += info->block_rows)
        info->pack(trits + r * COLS, ROWS, COLS, r, r + info->block_rows, got);
    uint64_t groups = bn_layout_groups(info, COLS);
    for (uint64_t i = 0; info->set_scale && i < ROWS * groups; i++)
        info->set_scale(got, ROWS, COLS, i / groups, i % groups, make_scale(i, ternary[_i].positive));
    ck_assert_mem_eq(got, want, bytes);
    for (uint64_t r0 = 0; r0 < ROWS; r0++) {
        ck_assert(info->unpack(want, ROWS, COLS, r0, ROWS, back));
        ck_assert_mem_eq(back, trits + r0 * COLS, (ROWS - r0) * COLS);
    }
    for (uint64_t i = 0; info->scale_at && i < ROWS * groups; i++)
        ck_assert(info->scale_at(want, ROWS, COLS, i / groups, i % groups) == make_scale(i, ternary[_i].positive));
    free(trits);
    free(back);
    free(got);
}
END_TEST

START_TEST(quantised_floats_have_the_bytes_of_others)
{
    static const enum bn_layout layouts[] = {BN_LAYOUT_Q8_0, BN_LAYOUT_Q5_0, BN_LAYOUT_Q4_0, BN_LAYOUT_Q6_K};
    const struct bn_layout_info *info = bn_layout_get(layouts[_i]);
    uint64_t rows = 2, cols = info->layout == BN_LAYOUT_Q6_K ? 512 : 256;
    char name[16];
    uint32_t bytes, wide;
    const uint8_t *want = record(info->name, &bytes);
    snprintf(name, sizeof(name), "%s.f32", info->name);
    const uint8_t *floats = record(name, &wide);
    ck_assert_uint_eq(bytes, bn_layout_bytes(info->layout, rows, cols));
    ck_assert_uint_eq(wide, rows * cols * 4);
    for (uint64_t r = 0; r < rows; r++) {
        float row[512];
        info->widen(want, cols, r, row);
        ck_assert_mem_eq(row, floats + r * cols * 4, cols * 4);
        if (!info->narrow)
            continue;
        uint8_t got[1024];
        for (uint64_t c = 0; c < cols; c++)
            row[c] = (float)mixed((uint32_t)(r * cols + c) + 77) / 32768 - 1;
        info->narrow(row, cols, r, got);
        ck_assert_mem_eq(got + r * bytes / rows, want + r * bytes / rows, bytes / rows);
    }
}
END_TEST

static uint32_t crc32_of(const uint8_t *data, uint64_t n)
{
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    uint32_t crc = 0xffffffff;
    for (uint64_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
    return ~crc;
}

START_TEST(lookup_tables_have_the_bytes_of_the_converter)
{
    uint32_t bytes, at[4];
    const uint8_t *cases = record("tl", &bytes);
    ck_assert_uint_gt(bytes / 16, (uint32_t)_i);
    memcpy(at, cases + 16 * _i, sizeof(at));
    uint64_t rows = at[0], cols = at[1] & 0x7fffffff;
    const struct bn_layout_info *info = bn_layout_get(at[1] >> 31 ? BN_LAYOUT_TL2 : BN_LAYOUT_TL1);
    ck_assert_uint_eq(bn_layout_bytes(info->layout, rows, cols), at[2]);
    int8_t *trits = make_trits(rows * cols), *back = malloc(17 * cols);
    uint8_t *data = malloc(at[2]);
    memset(data, 0xee, at[2]);
    for (uint64_t r = 0; r < rows; r += 16)
        info->pack(trits + r * cols, rows, cols, r, r + 16, data);
    ck_assert_uint_eq(crc32_of(data, at[2]), at[3]);
    for (uint64_t r = 0; r + 17 <= rows; r += rows / 7) {
        ck_assert(info->unpack(data, rows, cols, r, r + 17, back));
        ck_assert_mem_eq(back, trits + r * cols, 17 * cols);
    }
    free(trits);
    free(back);
    free(data);
}
END_TEST

START_TEST(unknown_lookup_tables_have_no_size)
{
    static const uint64_t shapes[][2] = {{2560, 2560}, {640, 2560}, {6912, 2560}, {1536, 4608}, {0, 0}, {1, 1536}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_TL1, shapes[i][0], shapes[i][1]), 0);
        ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_TL2, shapes[i][0], shapes[i][1]), 0);
    }
}
END_TEST

// All layouts of files to all others, through the same weights, at their odd sizes.
START_TEST(every_layout_becomes_every_other)
{
    enum { N = BN_LAYOUT_COUNT };
    const struct bn_layout_info *in = bn_layout_get((enum bn_layout)_i);
    if (in->kind != BN_LAYOUT_TERNARY || in->layout == BN_LAYOUT_TL1 || in->layout == BN_LAYOUT_TL2)
        return;
    uint64_t rows = 12, cols = 256 * 3;
    struct bn_error err = {0};
    int8_t *trits = make_trits(rows * cols);
    uint8_t *a = calloc(1, rows * cols * 4), *b = calloc(1, rows * cols * 4), *c = calloc(1, rows * cols * 4);
    float *apart = calloc(rows * cols, sizeof(float)), *other = calloc(rows * cols, sizeof(float));
    ck_assert_int_eq(bn_layout_pack(in->layout, trits, rows, cols, a, &err), BN_OK);
    for (uint64_t i = 0; i < rows * bn_layout_groups(in, cols); i++)
        apart[i] = 1;
    struct bn_matrix from = {in->layout, rows, cols, a, apart, 0.5f};
    for (int to = 0; to < N; to++) {
        const struct bn_layout_info *out = bn_layout_get((enum bn_layout)to);
        if (to == BN_LAYOUT_TL1 || to == BN_LAYOUT_TL2 || (out->kind == BN_LAYOUT_FLOAT && to > BN_LAYOUT_BF16))
            continue;
        struct bn_repacked there = {.layout = out->layout, .data = b, .scales = other};
        enum bn_result result = bn_repack(&host, &from, &there, BN_REPACK_EXACT, &err);
        ck_assert_msg(result == BN_OK, "%s to %s: %s", in->name, out->name, err.message);
        float x[768], y[768];
        struct bn_matrix got = {out->layout, rows, cols, b, other, there.scale};
        for (uint64_t r = 0; r < rows; r++) {
            bn_matrix_widen(&from, r, x);
            bn_matrix_widen(&got, r, y);
            ck_assert_mem_eq(x, y, sizeof(x));
            ck_assert(x[r] == 0.5f * trits[r * cols + r]);
        }
        if (out->kind == BN_LAYOUT_FLOAT)
            continue;
        struct bn_repacked back = {.layout = in->layout, .data = c, .scales = other};
        float *kept = malloc(rows * cols * sizeof(float)); // the scales of `got` are needed until it was read
        memcpy(kept, other, rows * cols * sizeof(float));
        got.scales = kept;
        ck_assert_int_eq(bn_repack(&host, &got, &back, BN_REPACK_EXACT, &err), BN_OK);
        int8_t *again = malloc(rows * cols);
        ck_assert(in->unpack(c, rows, cols, 0, rows, again));
        ck_assert_mem_eq(again, trits, rows * cols);
        free(again);
        free(kept);
    }
    free(trits);
    free(a);
    free(b);
    free(c);
    free(apart);
    free(other);
}
END_TEST

START_TEST(scales_that_no_half_holds_are_refused_or_rounded)
{
    enum { N = 256 };
    int8_t trits[N];
    uint8_t data[N / 4], block[66];
    struct bn_error err = {0};
    memset(trits, 1, N);
    ck_assert_int_eq(bn_layout_pack(BN_LAYOUT_I2S_A, trits, 1, N, data, &err), BN_OK);
    struct bn_matrix from = {BN_LAYOUT_I2S_A, 1, N, data, NULL, 0.1f};
    struct bn_repacked to = {.layout = BN_LAYOUT_TQ2_0, .data = block};
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_EXACT, &err), BN_ERR_UNSUPPORTED);
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_LOSSY, &err), BN_OK);
    ck_assert(bn_layout_get(to.layout)->scale_at(block, 1, N, 0, 0) == bn_f16_to_f32(bn_f32_to_f16(0.1f)));
    from.scale = 1e6f;
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_LOSSY, &err), BN_ERR_UNSUPPORTED);
    to.layout = BN_LAYOUT_IQ2_BN; // f32
    uint8_t row[4 + N / 4];
    to.data = row;
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_EXACT, &err), BN_OK);
    ck_assert(bn_layout_get(to.layout)->scale_at(row, 1, N, 0, 0) == 1e6f);
}
END_TEST

START_TEST(plus_two_is_not_ternary)
{
    uint8_t block[34] = {0, 0x3c};
    memset(block + 2, 0x55, 32);
    struct bn_matrix matrix = {BN_LAYOUT_PQ2_0, 1, 128, block, NULL, 1};
    struct bn_error err = {0};
    ck_assert_int_eq(bn_check_codes(&host, &matrix, &err), BN_OK);
    block[20] |= 3 << 4;
    ck_assert_int_eq(bn_check_codes(&host, &matrix, &err), BN_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "+2"));
}
END_TEST

static struct bn_float_survey survey_of(const float *weights, uint64_t rows, uint64_t cols)
{
    struct bn_float_survey survey;
    struct bn_matrix matrix = {BN_LAYOUT_F32, rows, cols, (const uint8_t *)weights, NULL, 1};
    ck_assert_int_eq(bn_survey_floats(&host, &matrix, &survey, NULL), BN_OK);
    return survey;
}

START_TEST(floats_tell_whether_they_are_ternary)
{
    enum { R = 3, C = 320 };
    static const struct {
        enum bn_layout as;
        unsigned reach; // columns of one magnitude; 0: a row
    } cases[] = {
        {BN_LAYOUT_I2S_A_G64, 64}, {BN_LAYOUT_I2S_A_G128, 128}, {BN_LAYOUT_I2S_A_G256, 256}, {BN_LAYOUT_I2S_A_ROW, 0}};
    float w[R * C], back[C];
    int8_t *trits = make_trits(R * C);
    struct bn_error err = {0};
    for (size_t i = 0; i < 4; i++) {
        for (unsigned k = 0; k < R * C; k++)
            w[k] = trits[k] * (cases[i].reach ? 0.3f + (float)(k % C / cases[i].reach) : 0.3f + (float)(k / C));
        struct bn_float_survey survey = survey_of(w, R, C);
        ck_assert(survey.finite);
        ck_assert_int_eq(survey.as, cases[i].as);
        uint8_t data[R * 96];
        float scales[R * 5];
        struct bn_matrix from = {BN_LAYOUT_F32, R, C, (const uint8_t *)w, NULL, survey.scale};
        struct bn_repacked to = {.layout = cases[i].as, .data = data, .scales = scales};
        ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_EXACT, &err), BN_OK);
        struct bn_matrix got = {to.layout, R, C, data, scales, to.scale};
        for (uint64_t r = 0; r < R; r++) {
            bn_matrix_widen(&got, r, back);
            for (unsigned c = 0; c < C; c++)
                ck_assert(back[c] == w[r * C + c]);
        }
    }
    for (unsigned k = 0; k < R * C; k++)
        w[k] = 0.7f * trits[k];
    ck_assert_int_eq(survey_of(w, R, C).as, BN_LAYOUT_I2S_A);
    ck_assert(survey_of(w, R, C).scale == 0.7f);
    w[5] = NAN;
    ck_assert(!survey_of(w, R, C).finite);
    free(trits);
}
END_TEST

// trit = round(w / mean |w|) within -1 .. 1, halves to even.
START_TEST(masters_are_quantised_as_in_training)
{
    enum { R = 5, C = 200 };
    float w[R * C];
    double sum = 0;
    for (unsigned i = 0; i < R * C; i++)
        sum += fabsf(w[i] = ((float)mixed(i) / 65536 - 0.5f) * 0.1f);
    struct bn_float_survey survey = survey_of(w, R, C);
    ck_assert_int_eq(survey.as, BN_LAYOUT_COUNT);
    float mean = (float)(sum / (R * C)), inverse = 1 / survey.scale;
    ck_assert(fabsf(survey.scale - mean) <= mean * 0x1p-20f);
    uint8_t data[R * 64];
    int8_t trits[R * C];
    struct bn_error err = {0};
    struct bn_matrix from = {BN_LAYOUT_F32, R, C, (const uint8_t *)w, NULL, survey.scale};
    struct bn_repacked to = {.layout = BN_LAYOUT_I2S_A, .data = data};
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_EXACT, &err), BN_OK);
    ck_assert(to.scale == survey.scale);
    ck_assert(bn_layout_get(to.layout)->unpack(data, R, C, 0, R, trits));
    int counts[3] = {0};
    for (unsigned i = 0; i < R * C; i++) {
        float q = nearbyintf(w[i] * inverse);
        ck_assert_int_eq(trits[i], q > 1 ? 1 : q < -1 ? -1 : (int)q);
        counts[trits[i] + 1]++;
    }
    ck_assert(counts[0] > 100 && counts[1] > 100 && counts[2] > 100);
    to.layout = BN_LAYOUT_I2S_A_ROW; // no rule for rows
    float scales[R];
    to.scales = scales;
    ck_assert_int_eq(bn_repack(&host, &from, &to, BN_REPACK_EXACT, &err), BN_ERR_UNSUPPORTED);
    for (unsigned i = 0; i < R * C; i++)
        w[i] *= 1e-7f;
    ck_assert(survey_of(w, R, C).scale == 1e-5f);
}
END_TEST

int main(void)
{
    bn_host_init(&host, NULL);
    TCase *tcase = tcase_create("golden layouts");
    tcase_add_unchecked_fixture(tcase, load, NULL);
    tcase_add_loop_test(tcase, ternary_layouts_have_the_bytes_of_others, 0, N_TERNARY);
    tcase_add_loop_test(tcase, quantised_floats_have_the_bytes_of_others, 0, 4);
    tcase_add_loop_test(tcase, lookup_tables_have_the_bytes_of_the_converter, 0, 14);
    tcase_add_test(tcase, unknown_lookup_tables_have_no_size);
    tcase_add_loop_test(tcase, every_layout_becomes_every_other, 0, BN_LAYOUT_COUNT);
    tcase_add_test(tcase, scales_that_no_half_holds_are_refused_or_rounded);
    tcase_add_test(tcase, plus_two_is_not_ternary);
    tcase_add_test(tcase, floats_tell_whether_they_are_ternary);
    tcase_add_test(tcase, masters_are_quantised_as_in_training);
    tcase_set_timeout(tcase, 120);
    Suite *suite = suite_create("golden layouts");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
