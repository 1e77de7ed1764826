// Tests of the CPU kernels. A family runs its cases on one level: the scalar level is checked against independent
// references and against the hash of its results on every other machine, the other levels byte for byte against it.
#ifndef KERN_H
#define KERN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"

struct kern {
    const struct bn_kernels *oracle, *k;
    bool reference; // k is the oracle
    const char *family;
    uint64_t random;
    uint64_t hash; // of the oracle's results
    size_t cases, failures;
};

// Memory with guards on both sides, filled with a pattern.
struct area {
    uint8_t *data;
    size_t size;
};

struct area area_new(size_t size);
bool area_intact(struct area a); // nothing was written beside it
void area_free(struct area a);

uint64_t random_next(struct kern *t);
uint32_t random_below(struct kern *t, uint32_t n);

enum fill { FILL_UNIT, FILL_WIDE, FILL_FINITE, FILL_TINY, FILL_TIES, FILL_HUGE, FILL_EQUAL, FILL_COUNT };
extern const char *const fill_names[FILL_COUNT];

void fill_floats(struct kern *t, float *x, size_t n, enum fill fill);
void fill_halves(struct kern *t, uint16_t *h, size_t n, enum fill fill);
void fill_q8(struct kern *t, int8_t *q, size_t n, uint32_t kind); // kinds 0 .. 3
void fill_codes(struct kern *t, uint8_t *w, size_t n, uint32_t kind);

// Counts a failure and says what, for the first few.
#define CHECK(t, condition, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition) && (t)->failures++ < 5) {                                                                     \
            printf("%s %s case %zu: ", (t)->family, (t)->k->name, (t)->cases);                                         \
            printf(__VA_ARGS__);                                                                                       \
            printf(" (%s:%d)\n", __FILE__, __LINE__);                                                                  \
        }                                                                                                              \
    } while (0)

// Ends a case: `want` is what the oracle wrote, `got` what the level under test wrote; frees both.
void compare(struct kern *t, struct area want, struct area got, const char *what);

// The canonical sum of products written down a second time.
float canonical_dot(const float *a, const float *b, size_t n);

double half_value(uint16_t h);

void test_widen(struct kern *t);
void test_narrow(struct kern *t);
void test_exp(struct kern *t);
void test_quantise(struct kern *t);
void test_norm(struct kern *t);
void test_dot(struct kern *t);
void test_ternary(struct kern *t);
void test_base3(struct kern *t);
void test_groups(struct kern *t);
void test_values(struct kern *t);
void test_scan(struct kern *t);
void test_dequantise(struct kern *t);
void test_gate(struct kern *t);
void test_rope(struct kern *t);
void test_attend(struct kern *t);
void test_window(struct kern *t);
void test_attend8(struct kern *t);
void test_quantise16(struct kern *t);
void test_activate(struct kern *t);
void test_gelu(struct kern *t);

int bench(const struct bn_isa *levels, size_t n, const char *only);

#endif
