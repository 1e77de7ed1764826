// Layouts against definitions written a second time here, one bit pair at a time.
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

static uint64_t state = 1;

static uint32_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void random_trits(int8_t *trits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        trits[i] = (int8_t)(next_random() % 3) - 1;
}

// Where the weight (r, c) lies: which byte, and how far its two bits are from the bottom.
static void place(enum bn_layout layout, size_t cols, size_t r, size_t c, size_t *byte, int *shift)
{
    size_t n = r * cols + c;
    switch (layout) {
    case BN_LAYOUT_I2S_A: {
        static const int shifts[] = {6, 4, 2, 0};
        *byte = n / 128 * 32 + n % 32;
        *shift = shifts[n % 128 / 32];
        break;
    }
    case BN_LAYOUT_I2S_B: {
        static const int shifts[] = {6, 4, 2, 0};
        *byte = n / 64 * 16 + n % 16;
        *shift = shifts[n % 64 / 16];
        break;
    }
    default:
        *byte = r / 4 * cols + c;
        *shift = r % 4 == 0 ? 6 : r % 4 == 1 ? 4 : r % 4 == 2 ? 2 : 0;
        break;
    }
}

static const struct {
    size_t rows, cols;
} shapes[] = {{4, 128}, {8, 256}, {20, 384}, {64, 128}, {36, 2560}};
static const enum bn_layout ternary[] = {BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_B, BN_LAYOUT_I2S_C};

// Of matrices with one scale.
static enum bn_result repack(const struct bn_host *host, enum bn_layout from, const uint8_t *source, enum bn_layout to,
                             uint8_t *target, uint64_t rows, uint64_t cols, struct bn_error *err)
{
    struct bn_repacked result = {.layout = to, .data = target};
    enum bn_result code =
        bn_repack(host, &(struct bn_matrix){from, rows, cols, source, NULL, 0.7f}, &result, BN_REPACK_EXACT, err);
    ck_assert(code != BN_OK || result.scale == 0.7f);
    return code;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(pack_and_unpack_follow_the_definition)
{
    for (size_t s = 0; s < COUNT(shapes); s++) {
        size_t rows = shapes[s].rows, cols = shapes[s].cols, n = rows * cols;
        int8_t *trits = malloc(n), *back = malloc(n);
        uint8_t *data = malloc(n / 4), *expected = malloc(n / 4);
        for (size_t l = 0; l < COUNT(ternary); l++) {
            const struct bn_layout_info *info = bn_layout_get(ternary[l]);
            ck_assert_uint_eq(bn_layout_bytes(ternary[l], rows, cols), n / 4);
            random_trits(trits, n);
            memset(expected, 0, n / 4);
            for (size_t i = 0; i < n; i++) {
                size_t byte;
                int shift;
                place(ternary[l], cols, i / cols, i % cols, &byte, &shift);
                ck_assert_uint_lt(byte, n / 4);
                expected[byte] |= (uint8_t)((trits[i] == -1 ? 0 : trits[i] == 0 ? 1 : 2) << shift);
            }
            info->pack(trits, rows, cols, 0, rows, data);
            ck_assert_mem_eq(data, expected, n / 4);
            for (size_t r0 = 0; r0 < rows; r0 += 3) { // ranges that do not start at blocks of rows
                size_t r1 = r0 + 5 < rows ? r0 + 5 : rows;
                memset(back, 0x55, n);
                ck_assert(info->unpack(data, rows, cols, r0, r1, back));
                ck_assert_mem_eq(back, trits + r0 * cols, (r1 - r0) * cols);
                if ((r1 - r0) * cols < n)
                    ck_assert_int_eq(back[(r1 - r0) * cols], 0x55);
            }
        }
        free(trits);
        free(back);
        free(data);
        free(expected);
    }
}
END_TEST

START_TEST(repack_round_trips)
{
    struct bn_host host;
    bn_host_init(&host, NULL);
    for (size_t s = 0; s < COUNT(shapes); s++) {
        size_t rows = shapes[s].rows, cols = shapes[s].cols, n = rows * cols;
        int8_t *trits = malloc(n);
        uint8_t *a = malloc(n / 4), *b = malloc(n / 4), *expected = malloc(n / 4);
        random_trits(trits, n);
        for (size_t from = 0; from < COUNT(ternary); from++) {
            for (size_t to = 0; to < COUNT(ternary); to++) {
                struct bn_error err = {0};
                bn_layout_get(ternary[from])->pack(trits, rows, cols, 0, rows, a);
                bn_layout_get(ternary[to])->pack(trits, rows, cols, 0, rows, expected);
                memset(b, 0xee, n / 4);
                ck_assert_int_eq(repack(&host, ternary[from], a, ternary[to], b, rows, cols, &err), BN_OK);
                ck_assert_mem_eq(b, expected, n / 4);
            }
        }
        free(trits);
        free(a);
        free(b);
        free(expected);
    }
}
END_TEST

START_TEST(an_unused_code_is_found_anywhere)
{
    struct bn_host host;
    bn_host_init(&host, NULL);
    enum { rows = 20, cols = 128, n = rows * cols };
    int8_t trits[n];
    uint8_t data[n / 4], target[n / 4];
    random_trits(trits, n);
    for (size_t l = 0; l < COUNT(ternary); l++) {
        for (size_t i = 0; i < n; i += 7) {
            size_t byte;
            int shift;
            bn_layout_get(ternary[l])->pack(trits, rows, cols, 0, rows, data);
            place(ternary[l], cols, i / cols, i % cols, &byte, &shift);
            data[byte] |= (uint8_t)(3 << shift);
            struct bn_error err = {0};
            enum bn_layout to = ternary[(l + 1) % COUNT(ternary)];
            ck_assert_int_eq(repack(&host, ternary[l], data, to, target, rows, cols, &err), BN_ERR_MODEL);
            ck_assert_int_eq(err.code, BN_ERR_MODEL);
            int8_t back[n];
            size_t r = i / cols;
            ck_assert(!bn_layout_get(ternary[l])->unpack(data, rows, cols, r, r + 1, back));
            if (ternary[l] == BN_LAYOUT_I2S_C) // the other rows of the byte are sound
                ck_assert(bn_layout_get(ternary[l])->unpack(data, rows, cols, r ^ 1, (r ^ 1) + 1, back));
        }
    }
}
END_TEST

// The byte, at every place of buffers of every length up to several strides, and not what is beyond.
START_TEST(the_first_unused_code_is_found)
{
    uint8_t data[300];
    for (size_t n = 0; n < 260; n++) {
        memset(data, 0xaa, n);
        memset(data + n, 0xff, sizeof(data) - n);
        ck_assert_uint_eq(bn_i2s_find_code_3(data, n), n);
        for (size_t at = 0; at < n; at++) {
            data[at] = (uint8_t)(0x2a | 3u << at % 4 * 2);
            ck_assert_uint_eq(bn_i2s_find_code_3(data, n), at);
            data[at] = 0x99;
        }
    }
}
END_TEST

START_TEST(shapes_a_layout_cannot_hold)
{
    struct bn_host host;
    bn_host_init(&host, NULL);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_I2S_A, 4, 64), 128); // padded
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_I2S_B, 4, 64), 64);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_I2S_B, 4, 32), 0);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_I2S_C, 6, 128), 0);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_F16, 3, 5), 30);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_F32, 3, 5), 60);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_F32, UINT64_C(1) << 33, UINT64_C(1) << 33), 0);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_F32, UINT64_C(1) << 31, UINT64_C(1) << 31), 0);
    ck_assert_uint_eq(bn_layout_bytes(BN_LAYOUT_COUNT, 4, 128), 0);
    ck_assert_ptr_null(bn_layout_get(BN_LAYOUT_COUNT));
    ck_assert_ptr_null(bn_layout_get((enum bn_layout) - 1));
    uint8_t data[1024] = {0}, target[1024];
    struct bn_error err = {0};
    ck_assert_int_eq(repack(&host, BN_LAYOUT_I2S_A, data, BN_LAYOUT_I2S_C, target, 6, 128, &err), BN_ERR_UNSUPPORTED);
    ck_assert_int_eq(repack(&host, BN_LAYOUT_I2S_A, data, BN_LAYOUT_Q6_K, target, 4, 256, &err), BN_ERR_UNSUPPORTED);
    ck_assert_int_eq(repack(&host, BN_LAYOUT_I2S_A, data, BN_LAYOUT_TQ2_0, target, 4, 128, &err), BN_ERR_UNSUPPORTED);
}
END_TEST

// The value of a half by the definition in IEEE 754, in double.
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 0x3ff;
    double sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return exponent ? sign * ldexp(1024 + fraction, exponent - 25) : sign * ldexp(fraction, -24);
}

START_TEST(every_half_widens_exactly_and_comes_back)
{
    for (uint32_t h = 0; h <= 0xffff; h++) {
        float f = bn_f16_to_f32((uint16_t)h);
        double expected = half_value((uint16_t)h);
        if (isnan(expected)) {
            ck_assert(isnan(f));
            ck_assert(isnan(bn_f16_to_f32(bn_f32_to_f16(f))));
            ck_assert_uint_eq(bn_f32_to_f16(f) & 0x8000, h & 0x8000);
            continue;
        }
        ck_assert((double)f == expected);
        ck_assert(!signbit(f) == !signbit(expected));
        ck_assert_uint_eq(bn_f32_to_f16(f), h);
    }
}
END_TEST

// Between neighbours lo < hi: just below the middle, the middle (to the even one), just above it.
START_TEST(narrowing_rounds_to_nearest_even)
{
    for (uint16_t lo = 0; lo < 0x7c00; lo++) {
        uint16_t hi = lo + 1;
        double b = hi == 0x7c00 ? 65536.0 : half_value(hi); // infinity's place
        float middle = (float)((half_value(lo) + b) / 2);   // exact in f32
        uint16_t even = lo & 1 ? hi : lo;
        for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
            float s = sign ? -1.0f : 1.0f;
            ck_assert_uint_eq(bn_f32_to_f16(s * middle), sign | even);
            ck_assert_uint_eq(bn_f32_to_f16(s * nextafterf(middle, 0)), sign | lo);
            ck_assert_uint_eq(bn_f32_to_f16(s * nextafterf(middle, INFINITY)), sign | hi);
        }
    }
    ck_assert_uint_eq(bn_f32_to_f16(3.4e38f), 0x7c00);
    ck_assert_uint_eq(bn_f32_to_f16(-INFINITY), 0xfc00);
    ck_assert_uint_eq(bn_f32_to_f16(1e-45f), 0);
    ck_assert_uint_eq(bn_f32_to_f16(-0.0f), 0x8000);
}
END_TEST

START_TEST(bf16_is_the_top_of_f32)
{
    for (uint32_t h = 0; h <= 0xffff; h++) {
        uint32_t bits = h << 16, got;
        float f = bn_bf16_to_f32((uint16_t)h);
        memcpy(&got, &f, 4);
        if ((bits & 0x7fffffff) > 0x7f800000)
            ck_assert(isnan(f));
        else
            ck_assert_uint_eq(got, bits);
    }
}
END_TEST

START_TEST(widening_takes_the_right_row)
{
    enum { rows = 3, cols = 37 };
    static uint8_t data[rows * cols * 4 + 1];
    for (int offset = 0; offset < 2; offset++) { // rows need no alignment
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)(next_random() & 0x3f); // small exponents: no NaN
        for (size_t r = 0; r < rows; r++) {
            float out[cols];
            const uint8_t *at = data + offset;
            bn_layout_get(BN_LAYOUT_F16)->widen(at, cols, r, out);
            for (size_t c = 0; c < cols; c++) {
                const uint8_t *p = at + 2 * (r * cols + c);
                ck_assert((double)out[c] == half_value((uint16_t)(p[0] + 256 * p[1])));
            }
            bn_layout_get(BN_LAYOUT_BF16)->widen(at, cols, r, out);
            for (size_t c = 0; c < cols; c++) {
                const uint8_t *p = at + 2 * (r * cols + c);
                uint8_t wide[4] = {0, 0, p[0], p[1]};
                ck_assert_mem_eq(&out[c], wide, 4);
            }
            bn_layout_get(BN_LAYOUT_F32)->widen(at, cols, r, out);
            ck_assert_mem_eq(out, at + 4 * r * cols, sizeof(out));
        }
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("layout");
    tcase_add_test(tcase, pack_and_unpack_follow_the_definition);
    tcase_add_test(tcase, repack_round_trips);
    tcase_add_test(tcase, an_unused_code_is_found_anywhere);
    tcase_add_test(tcase, the_first_unused_code_is_found);
    tcase_add_test(tcase, shapes_a_layout_cannot_hold);
    tcase_add_test(tcase, every_half_widens_exactly_and_comes_back);
    tcase_add_test(tcase, narrowing_rounds_to_nearest_even);
    tcase_add_test(tcase, bf16_is_the_top_of_f32);
    tcase_add_test(tcase, widening_takes_the_right_row);
    tcase_set_timeout(tcase, 120);
    Suite *suite = suite_create("layout");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
