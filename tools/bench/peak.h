// int8 multiply-accumulates in registers, one function for each kind of instruction: `rounds` times a loop, the number
// of multiply-accumulates is returned.
#ifndef TOOLS_BENCH_PEAK_H
#define TOOLS_BENCH_PEAK_H

#include <stdint.h>

double peak_maddubs_256(uint64_t rounds);
double peak_dpbusd_512(uint64_t rounds);

#endif
