// exp, log, pow, sine and cosine in double that give the same bits on every machine: only IEEE + - * / and fixed
// polynomials, no libm. For tables and sampling, not for inner loops. docs/numerics.md has the error bounds.
#ifndef BN_BASE_DMATH_H
#define BN_BASE_DMATH_H

double bn_dexp(double x);
double bn_dlog(double x);                                // x > 0
double bn_dpow(double x, double y);                      // x > 0
void bn_dsincos(double x, double *sine, double *cosine); // |x| <= 2^26

#endif
