#include "dmath.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "double expressions must be evaluated in double");

#define LOG2E 0x1.71547652b82fep+0
#define LN2_HI 0x1.62e42fefa38p-1 // 42 bits: its product with an exponent is exact
#define LN2_LO 0x1.ef35793c7673p-45
#define TWO_THIRDS (2.0 / 3)
#define TWO_THIRDS_LO 0x1.5555555555555p-55
#define SQRT2 0x1.6a09e667f3bcdp+0

#define TWO_OVER_PI 0x1.45f306dc9c883p-1
static const double half_pi[4] = {0x1.921fb54p+0, 0x1.10b461p-30, 0x1.a62633p-58, 0x1.45c06e0e68948p-86};

// A number as an unevaluated sum; |lo| is at most half a unit of hi after normalising.
struct pair {
    double hi, lo;
};

static struct pair two_sum(double a, double b)
{
    double s = a + b, t = s - a;
    return (struct pair){s, (a - (s - t)) + (b - t)};
}

// Of the upper 26 bits and the rest.
static struct pair halves(double a)
{
    double t = a * 134217729.0; // 2^27 + 1
    double hi = t - (t - a);
    return (struct pair){hi, a - hi};
}

static struct pair two_product(double a, double b)
{
    double p = a * b;
    struct pair x = halves(a), y = halves(b);
    return (struct pair){p, ((x.hi * y.hi - p) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo};
}

// |x| < 2^51
static double round_even(double x)
{
    return (x + 0x1.8p52) - 0x1.8p52;
}

static double power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

// Horner's rule; c[0] is the highest coefficient.
static double polynomial(const double *c, int n, double x)
{
    double p = c[0];
    for (int i = 1; i < n; i++)
        p = p * x + c[i];
    return p;
}

// e^(x.hi + x.lo)
static double exp_pair(struct pair x)
{
    static const double c[] = {1.0 / 87178291200, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                               1.0 / 362880,      1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,
                               1.0 / 24,          1.0 / 6,          1.0 / 2};
    if (isnan(x.hi))
        return x.hi;
    if (x.hi > 710)
        return INFINITY;
    if (x.hi < -746)
        return 0;
    double k = round_even(x.hi * LOG2E);
    double a = x.hi - k * LN2_HI, b = k * LN2_LO - x.lo;
    double r = a - b, rest = (a - r) - b;
    double p = polynomial(c, sizeof c / sizeof c[0], r);
    double y = 1 + (r + (r * r * p + (rest + rest * r)));
    int n = (int)k, half = n / 2;
    return y * power_of_two(half) * power_of_two(n - half);
}

// log x for 0 < x < infinity. With x = 2^e m, f = m - 1 and s = f / (2 + f): log m = 2 s + 2/3 s^3 + s^5 (2/5 + ...).
// The cubic term is kept in two parts, for the powers that multiply its error.
static struct pair log_pair(double x)
{
    static const double c[] = {2.0 / 25, 2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15,
                               2.0 / 13, 2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5};
    int e = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        e = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    e += (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | 1023ull << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > SQRT2) {
        m /= 2;
        e++;
    }
    double f = m - 1;
    struct pair d = two_sum(m, 1);
    double s = f / d.hi;
    struct pair back = two_product(s, d.hi);
    double s_lo = (((f - back.hi) - back.lo) - s * d.lo) / d.hi;
    struct pair square = two_product(s, s);
    square.lo += 2 * s * s_lo;
    struct pair cube = two_product(s, square.hi);
    cube.lo += s * square.lo + s_lo * square.hi;
    struct pair third = two_product(cube.hi, TWO_THIRDS);
    third.lo += cube.hi * TWO_THIRDS_LO + cube.lo * TWO_THIRDS;
    double z = square.hi;
    double tail = third.lo + cube.hi * (z * polynomial(c, sizeof c / sizeof c[0], z));

    struct pair sum = two_sum(e * LN2_HI, 2 * s);
    struct pair next = two_sum(sum.hi, third.hi);
    return two_sum(next.hi, next.lo + (sum.lo + ((tail + 2 * s_lo) + e * LN2_LO)));
}

double bn_dexp(double x)
{
    return exp_pair((struct pair){x, 0});
}

double bn_dlog(double x)
{
    if (!(x > 0))
        return x == 0 ? -INFINITY : NAN;
    if (x > DBL_MAX)
        return x;
    struct pair l = log_pair(x);
    return l.hi + l.lo;
}

double bn_dpow(double x, double y)
{
    if (x == 1 || y == 0)
        return 1;
    if (!(x > 0) || x > DBL_MAX)
        return exp_pair((struct pair){y * bn_dlog(x), 0});
    struct pair l = log_pair(x);
    double rough = l.hi * y;
    if (!(rough > -1000 && rough < 1000)) // the exact product could overflow on its way
        return exp_pair((struct pair){rough, 0});
    struct pair p = two_product(l.hi, y);
    return exp_pair(two_sum(p.hi, p.lo + l.lo * y));
}

void bn_dsincos(double x, double *sine, double *cosine)
{
    static const double cs[] = {1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
                                1.0 / 362880,          -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
    static const double cc[] = {-1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
                                -1.0 / 3628800,          1.0 / 40320,          -1.0 / 720,         1.0 / 24};
    *sine = *cosine = NAN;
    if (!(x >= -0x1p26 && x <= 0x1p26))
        return;
    double n = round_even(x * TWO_OVER_PI);
    struct pair r = {x - n * half_pi[0], 0};
    for (int i = 1; i < 4; i++) {
        struct pair s = two_sum(r.hi, -(n * half_pi[i]));
        r = (struct pair){s.hi, r.lo + s.lo};
    }
    r = two_sum(r.hi, r.lo);

    double z = r.hi * r.hi, half = z / 2, w = 1 - half;
    double s = r.hi + (r.hi * (z * polynomial(cs, sizeof cs / sizeof cs[0], z)) + r.lo * w);
    double c = w + (((1 - w) - half) + (z * (z * polynomial(cc, sizeof cc / sizeof cc[0], z)) - r.hi * r.lo));
    int64_t quadrant = (int64_t)n & 3;
    *sine = quadrant & 1 ? c : s;
    *cosine = quadrant & 1 ? s : c;
    if (quadrant & 2)
        *sine = -*sine;
    if (quadrant == 1 || quadrant == 2)
        *cosine = -*cosine;
}
