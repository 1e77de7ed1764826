// Time and counters of this process.
#ifndef BN_BASE_CLOCK_H
#define BN_BASE_CLOCK_H

#include <stdint.h>

// Nanoseconds of CLOCK_MONOTONIC, through the vDSO.
uint64_t bn_clock_ns(void);

// CPUs this process may use: the scheduler's affinity, limited by the cgroup's CPU quota (v2 and v1), at least 1.
uint32_t bn_cpu_count(void);

// Physical memory of the machine or the cgroup's limit, and what is available of it; 0: unknown.
void bn_memory_info(uint64_t *total, uint64_t *available);

#endif
