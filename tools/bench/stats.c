#include "bench/bench.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

double bench_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double stats_mean(const double *samples, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += samples[i];
    return n ? sum / (double)n : NAN;
}

double stats_stdev(const double *samples, size_t n)
{
    double mean = stats_mean(samples, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (samples[i] - mean) * (samples[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stats_quantile(double *samples, size_t n, double q)
{
    if (n == 0)
        return NAN;
    qsort(samples, n, sizeof *samples, compare);
    size_t rank = (size_t)ceil(q * (double)n);
    if (q == 0.5 && n % 2 == 0)
        return (samples[n / 2 - 1] + samples[n / 2]) / 2;
    return samples[rank ? rank - 1 : 0];
}
