// The read loops of each vector width; see loops_impl.h.
#ifndef TOOLS_BENCH_LOOPS_H
#define TOOLS_BENCH_LOOPS_H

#include <stddef.h>
#include <stdint.h>

uint64_t read_sequential_16(const void *data, size_t bytes);
uint64_t read_ahead_16(const void *data, size_t bytes);
uint64_t read_streams_16(const void *data, size_t bytes);
uint64_t read_sequential_32(const void *data, size_t bytes);
uint64_t read_ahead_32(const void *data, size_t bytes);
uint64_t read_streams_32(const void *data, size_t bytes);
uint64_t read_sequential_64(const void *data, size_t bytes);
uint64_t read_ahead_64(const void *data, size_t bytes);
uint64_t read_streams_64(const void *data, size_t bytes);

#endif
