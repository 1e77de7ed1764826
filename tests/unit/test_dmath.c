// exp, log, pow, sine and cosine in double: errors against long double, and the same bits on every machine.
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/dmath.h"

enum { STEPS = 200000 };

static uint64_t state;

// 0 <= uniform() < 1, the same on every machine.
static double uniform(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double between(double low, double high)
{
    return low + (high - low) * uniform();
}

struct worst {
    double ulps, x, y;
    uint64_t hash;
};

static void take(struct worst *w, double got, long double exact, double x, double y)
{
    uint64_t bits;
    memcpy(&bits, &got, sizeof bits);
    w->hash = (w->hash ^ bits) * 0x100000001b3u;
    int e;
    frexpl(exact, &e);
    long double unit = ldexpl(1, (e < DBL_MIN_EXP ? DBL_MIN_EXP : e) - DBL_MANT_DIG);
    double ulps = (double)(fabsl(got - exact) / unit);
    if (!(ulps <= w->ulps))
        *w = (struct worst){ulps, x, y, w->hash};
}

// Is long double better than double here? If not, the C library's double is the measure, off by a unit itself.
static bool can_measure(void)
{
    return LDBL_MANT_DIG > DBL_MANT_DIG;
}

// The hash changes only if the functions change for someone's results.
static void check_worst(const struct worst *w, double bound, uint64_t hash)
{
    ck_assert_msg(w->ulps <= bound + !can_measure(), "%.3f units at (%a, %a)", w->ulps, w->x, w->y);
    ck_assert_msg(w->hash == hash, "hash 0x%016llx", (unsigned long long)w->hash);
}

START_TEST(exp_error)
{
    struct worst w = {0};
    for (int i = 0; i < STEPS; i++) {
        double x = i % 2 ? between(-745, 709.7) : between(-1, 1);
        take(&w, bn_dexp(x), expl(x), x, 0);
    }
    check_worst(&w, 1, 0xc42db6b18b1e0626);
    ck_assert(bn_dexp(0) == 1);
    ck_assert(bn_dexp(1000) == INFINITY && bn_dexp(-1000) == 0 && isnan(bn_dexp(NAN)));
    ck_assert(bn_dexp(INFINITY) == INFINITY && bn_dexp(-INFINITY) == 0);
}
END_TEST

START_TEST(log_error)
{
    struct worst w = {0};
    for (int i = 0; i < STEPS; i++) {
        double x = between(0.5, 2);
        if (i % 3 == 1)
            x = 1 + between(-1e-6, 1e-6);
        else if (i % 3 == 2)
            x = ldexp(x, (int)between(-1073, 1023));
        take(&w, bn_dlog(x), logl(x), x, 0);
    }
    check_worst(&w, 1, 0x8603b06237211701);
    ck_assert(bn_dlog(1) == 0 && bn_dlog(0) == -INFINITY && bn_dlog(INFINITY) == INFINITY);
    ck_assert(isnan(bn_dlog(-1)) && isnan(bn_dlog(NAN)));
}
END_TEST

START_TEST(pow_error)
{
    struct worst small = {0}, wide = {0};
    for (int i = 0; i < STEPS; i++) {
        double x = between(1e4, 1e6), y = between(-1, 1); // as for RoPE: |y log x| <= 14
        take(&small, bn_dpow(x, y), powl(x, y), x, y);
        x = between(0.7, 1.5), y = between(-1700, 1700);
        take(&wide, bn_dpow(x, y), powl(x, y), x, y);
    }
    check_worst(&small, 1, 0x6c5d481daf623b70);
    check_worst(&wide, 2, 0xd76b3a8c865346e8);
    ck_assert(bn_dpow(2, 10) == 1024 && bn_dpow(2, -1074) == 0x1p-1074 && bn_dpow(10, 0) == 1 &&
              bn_dpow(1, 1e300) == 1);
    ck_assert(bn_dpow(2, 1e300) == INFINITY && bn_dpow(2, -1e300) == 0 && bn_dpow(1e-3, INFINITY) == 0);
    ck_assert(isnan(bn_dpow(2, NAN)) && isnan(bn_dpow(NAN, 2)));
}
END_TEST

START_TEST(sincos_error)
{
    struct worst sine = {0}, cosine = {0};
    for (int i = 0; i < STEPS; i++) {
        double x = between(-0x1p26, 0x1p26), s, c;
        if (i % 3 == 1) { // an angle of RoPE: a position times a frequency
            x = floor(between(0, 131072));
            x *= between(0, 1);
        } else if (i % 3 == 2) { // next to a multiple of pi / 2
            x = floor(between(1, 0x1p25)) * 0x1.921fb54442d18p+0;
        }
        bn_dsincos(x, &s, &c);
        take(&sine, s, sinl(x), x, 0);
        take(&cosine, c, cosl(x), x, 0);
    }
    check_worst(&sine, 1, 0x49657a1e9d5a5682);
    check_worst(&cosine, 1, 0xf615d02d5b78f3da);
    double s, c;
    bn_dsincos(0, &s, &c);
    ck_assert(s == 0 && c == 1);
    bn_dsincos(NAN, &s, &c);
    ck_assert(isnan(s) && isnan(c));
}
END_TEST

// The tests draw the same numbers in any order, forked or not.
static void reset(void)
{
    state = 0;
}

int main(void)
{
    Suite *suite = suite_create("dmath");
    TCase *tests = tcase_create("dmath");
    tcase_add_checked_fixture(tests, reset, NULL);
    tcase_add_test(tests, exp_error);
    tcase_add_test(tests, log_error);
    tcase_add_test(tests, pow_error);
    tcase_add_test(tests, sincos_error);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
