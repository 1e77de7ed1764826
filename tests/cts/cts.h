// The conformance suite of devices: what every driver must do, seen through the front doors.
#ifndef TESTS_CTS_CTS_H
#define TESTS_CTS_CTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"
#include "runtime/base/runtime.h"
#include <bitnet/driver.h>

struct cts {
    struct bn_runtime *runtime;
    struct bn_device *device;
    char selector[40]; // opens the same device again
    struct bn_queue *queue;
    uint64_t submitted;
    const struct bn_kernels *oracle; // scalar kernels
    bool exact;                      // floats must be the oracle's bits, not only close
    unsigned failures;               // of the case under way
    bool quiet;                      // a known exception: its details are not printed
    struct bn_error error;
};

struct cts_case {
    const char *name;
    void (*run)(struct cts *cts);
};

// Each ends with a NULL name.
extern const struct cts_case cts_device_cases[], cts_op_cases[], cts_scaled_cases[], cts_fused_cases[],
    cts_family_cases[], cts_row_cases[];

#define CTS_CHECK(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (!(condition) && ++cts->failures && !cts->quiet) {                                                          \
            printf("    %s:%d: ", __FILE__, __LINE__);                                                                 \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)
#define CTS_MUST(call) cts_must(cts, call, __FILE__, __LINE__)

// Counts a failure with the error's text unless result is BN_OK.
bool cts_must(struct cts *cts, enum bn_result result, const char *file, int line);

// A buffer of `bytes`, with `data` copied in unless NULL, as a span.
struct bn_span cts_buffer(struct cts *cts, size_t bytes, const void *data);
void cts_free(struct bn_span *span);

// A slot for up to `rows` rows of one sequence whose pages are 0, 1, 2 ... `positions` gives each row's position.
struct bn_span cts_slot(struct cts *cts, uint32_t rows, const uint32_t *tokens, const uint32_t *positions);
struct bn_slot *cts_slot_header(const struct bn_span *slot);

// Records one op, runs it and waits.
bool cts_run(struct cts *cts, const struct bn_op *op, const struct bn_span *slot);
bool cts_submit(struct cts *cts, struct bn_command *command, const uint32_t *stop, uint32_t stop_at);
bool cts_wait(struct cts *cts);

uint32_t cts_random(void);

// As many, between -scale and scale. Ownership: the caller's, free.
float *cts_floats(size_t n, float scale);

// Counts a failure if floats are not those expected: their bits where the device promises bits, else closely.
void cts_compare(struct cts *cts, const char *what, const struct bn_span *span, const float *expected, size_t n);

#endif
