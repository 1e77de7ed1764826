// Matrices of floats that are ternary, or were trained to be.
#include <math.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

#define LEAST_MEAN 1e-5f // as in training: below it all weights are 0

// From narrow to wide: 64, 128 and 256 columns, a row, the tensor.
enum { STEPS = 5, GROUP = 64 };
static const enum bn_layout layouts[STEPS] = {BN_LAYOUT_I2S_A_G64, BN_LAYOUT_I2S_A_G128, BN_LAYOUT_I2S_A_G256,
                                              BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A};

struct survey {
    bool fits[STEPS];       // so far, the weights within each reach are 0 or of one magnitude
    float magnitude[STEPS]; // of what is under way; 0: all of it was 0
    double sum;
    bool finite;
};

static void add_group(struct survey *survey, const float *weights, uint64_t n)
{
    float magnitude = 0, sum = 0;
    bool one = true;
    for (uint64_t i = 0; i < n; i++) {
        float a = fabsf(weights[i]);
        survey->finite = survey->finite && a <= 3.4028235e38f;
        one = one && (a == 0 || magnitude == 0 || a == magnitude);
        magnitude = a != 0 ? a : magnitude;
        sum += a; // 64 of them: below 2^-18 of the sum is lost
    }
    survey->sum += sum;
    for (int s = 0; s < STEPS; s++) {
        float *other = &survey->magnitude[s];
        survey->fits[s] = survey->fits[s] && one && (magnitude == 0 || *other == 0 || magnitude == *other);
        *other = magnitude != 0 ? magnitude : *other;
    }
}

static void add_row(struct survey *survey, const float *row, uint64_t cols)
{
    for (uint64_t c = 0; c < cols; c += GROUP) {
        for (int s = 0; s < 3; s++)
            if (c % (GROUP << s) == 0)
                survey->magnitude[s] = 0;
        add_group(survey, row + c, cols - c < GROUP ? cols - c : GROUP);
    }
    survey->magnitude[3] = 0;
}

enum bn_result bn_survey_floats(const struct bn_host *host, const struct bn_matrix *matrix,
                                struct bn_float_survey *result, struct bn_error *err)
{
    float *row = bn_alloc_array(host, matrix->cols, sizeof(*row));
    if (!row)
        return bn_fail_memory(err, matrix->cols * sizeof(*row), "a row of weights");
    struct survey survey = {.fits = {true, true, true, true, true}, .finite = true};
    for (uint64_t r = 0; r < matrix->rows; r++) {
        bn_matrix_widen(matrix, r, row);
        add_row(&survey, row, matrix->cols);
    }
    bn_free(host, row);
    *result = (struct bn_float_survey){.finite = survey.finite, .as = BN_LAYOUT_COUNT, .scale = 1};
    for (int s = 0; s < STEPS; s++)
        if (survey.fits[s])
            result->as = layouts[s];
    if (result->as == BN_LAYOUT_I2S_A)
        result->scale = survey.magnitude[STEPS - 1];
    else if (result->as == BN_LAYOUT_COUNT)
        result->scale = (float)(survey.sum / ((double)matrix->rows * (double)matrix->cols));
    if (result->as == BN_LAYOUT_COUNT && result->scale < LEAST_MEAN)
        result->scale = LEAST_MEAN;
    return BN_OK;
}
