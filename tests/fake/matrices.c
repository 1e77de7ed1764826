// The kernels for matrices of int8, with their instructions played by matrix.c, against the plain kernel: the same bits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/groups.h"
#include "shaders/constants.h"

enum { COLS = 384, WEIGHTS = 150, ROWS = 43, SLOT_WORDS = 16 };

static uint32_t slot[SLOT_WORDS] = {ROWS}, scales[ROWS][2];
static int8_t x[ROWS][COLS] __attribute__((aligned(16)));
static uint8_t weights[WEIGHTS][COLS / 4] __attribute__((aligned(16)));
static float out[ROWS][WEIGHTS], expected[ROWS][WEIGHTS];

static const struct fake_kernel *find(const char *name)
{
    for (const struct fake_kernel *kernel = fake_kernels; kernel->name; kernel++)
        if (strcmp(kernel->name, name) == 0)
            return kernel;
    return NULL;
}

static const char *run(const char *name, uint32_t groups_x, uint32_t groups_y, uint32_t items)
{
    const struct fake_kernel *kernel = find(name);
    void *pointers[9] = {slot, x, scales, weights, NULL, NULL, out, NULL, NULL};
    uint32_t op = 0, rows = WEIGHTS, none = 0, cols = COLS;
    float scale = 0.75f;
    void *parameters[21];
    int n = 0;
    for (; n < 9; n++)
        parameters[n] = &pointers[n];
    void *words[] = {&op, &rows, &none, &scale, &scale, &scale, &none, &none, &none, &none, &cols, &cols};
    memcpy(parameters + n, words, sizeof words);
    memset(out, 0, sizeof out);
    return !kernel ? "there is no such kernel" : fake_run(kernel, parameters, groups_x, groups_y, items);
}

int main(void)
{
    static const char *const names[] = {"ternary_tiled_0",  "ternary_imma16_0", "ternary_imma8_0", "ternary_wmma11_0",
                                        "ternary_wmma12_0", "ternary_mfma16_0", "ternary_mfma32_0"};
    uint32_t random = 1;
    int failures = 0;
    for (size_t i = 0; i < sizeof weights; i++) { // codes 0, 1, 2
        random = random * 1664525u + 1013904223u;
        uint32_t quarter = random >> 8;
        ((uint8_t *)weights)[i] =
            (uint8_t)(quarter % 3 | quarter / 3 % 3 << 2 | quarter / 9 % 3 << 4 | quarter / 27 % 3 << 6);
    }
    for (int row = 0; row < ROWS; row++) {
        int sum = 0;
        for (int i = 0; i < COLS; i++) {
            random = random * 1664525u + 1013904223u;
            x[row][i] = row == 0 ? -128 : (int8_t)(random >> 24);
            sum += x[row][i];
        }
        float scale = 3.5f + (float)row;
        memcpy(&scales[row][0], &scale, sizeof scale);
        memcpy(&scales[row][1], &sum, sizeof sum);
    }
    const char *wrong = run("ternary_0_4", 3, 4, 64);
    memcpy(expected, out, sizeof out);
    if (wrong) {
        printf("ternary_0_4: %s\n", wrong);
        return 1;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        wrong = run(names[i], 2, 1, 128);
        if (!wrong && memcmp(expected, out, sizeof out) != 0)
            wrong = "other sums";
        failures += wrong != NULL;
        printf("%s: %s\n", names[i], wrong ? wrong : "the same bits");
    }
    return failures > 0;
}
