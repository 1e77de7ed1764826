// Matrices of floats that are ternary, or were trained to be.
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/base/thread.h"
#include "runtime/layout/layout.h"

#define LEAST_MEAN 1e-5f         // as in training: below it all weights are 0
#define WORTH_THREADS (1u << 20) // weights

// From narrow to wide: 64, 128 and 256 columns, a row, the tensor.
enum { STEPS = 5, GROUP = 64 };
static const enum bn_layout layouts[STEPS] = {BN_LAYOUT_I2S_A_G64, BN_LAYOUT_I2S_A_G128, BN_LAYOUT_I2S_A_G256,
                                              BN_LAYOUT_I2S_A_ROW, BN_LAYOUT_I2S_A};

// Of a row: what its groups are like, so that rows may be looked at on any thread, in any order.
struct row_survey {
    double sum;
    float magnitude; // of the row, if that is one; 0: all of it is 0
    bool fits[STEPS - 1], finite;
};

struct survey {
    const struct bn_matrix *matrix;
    struct row_survey *rows;
    const struct bn_host *host;
    _Atomic bool no_memory;
};

enum { LANES = 16 };

// What a group of weights is like: its largest magnitude, the sum of magnitudes, and whether those that are not 0 are the same.
struct group {
    float most;
    double sum;
    bool one, finite;
};

typedef int32_t lanes __attribute__((vector_size(16)));
typedef float sums __attribute__((vector_size(16)));

// Sums of a lane are of four weights: below 2^-22 of them is lost.
static struct group survey_group(const float *weights, uint64_t n)
{
    lanes magnitudes[GROUP / 4] = {0}, most = {0}, other = {0};
    sums sum[LANES / 4] = {0};
    struct group group = {.one = true};
    memcpy(magnitudes, weights, n * sizeof(*weights));
    for (int i = 0; i < GROUP / 4; i++) {
        magnitudes[i] &= 0x7fffffff;
        lanes more = magnitudes[i] > most;
        most = (magnitudes[i] & more) | (most & ~more);
        sum[i % (LANES / 4)] += (sums)magnitudes[i];
    }
    int32_t largest = most[0];
    for (int i = 1; i < 4; i++)
        largest = most[i] > largest ? most[i] : largest;
    for (int i = 0; i < GROUP / 4; i++)
        other |= (magnitudes[i] != 0) & (magnitudes[i] != largest);
    for (int i = 0; i < LANES; i++)
        group.sum += (double)sum[i / 4][i % 4];
    group.one = !(other[0] | other[1] | other[2] | other[3]);
    memcpy(&group.most, &largest, sizeof(group.most));
    group.finite = largest < 0x7f800000;
    return group;
}

static void survey_row(const float *row, uint64_t cols, struct row_survey *result)
{
    float magnitude[STEPS - 1] = {0};
    *result = (struct row_survey){.fits = {true, true, true, true}, .finite = true};
    for (uint64_t c = 0; c < cols; c += GROUP) {
        struct group group = survey_group(row + c, cols - c < GROUP ? cols - c : GROUP);
        result->sum += group.sum;
        result->finite = result->finite && group.finite;
        for (int s = 0; s < STEPS - 1; s++) {
            if (s < 3 && c % (GROUP << s) == 0)
                magnitude[s] = 0;
            float other = magnitude[s];
            result->fits[s] = result->fits[s] && group.one && (group.most == 0 || other == 0 || group.most == other);
            magnitude[s] = group.most != 0 ? group.most : other;
        }
    }
    result->magnitude = magnitude[STEPS - 2];
}

static void survey_rows(void *context, uint64_t begin, uint64_t end)
{
    struct survey *survey = context;
    float *row = bn_alloc_array(survey->host, survey->matrix->cols, sizeof(*row));
    if (!row)
        survey->no_memory = true;
    for (uint64_t r = begin; row && r < end; r++) {
        bn_matrix_widen(survey->matrix, r, row);
        survey_row(row, survey->matrix->cols, &survey->rows[r]);
    }
    bn_free(survey->host, row);
}

// What the rows are together, which does not depend on the threads.
static struct bn_float_survey join(const struct survey *survey)
{
    const struct bn_matrix *matrix = survey->matrix;
    struct bn_float_survey result = {.finite = true, .as = BN_LAYOUT_COUNT, .scale = 1};
    bool fits[STEPS] = {true, true, true, true, true};
    float magnitude = 0;
    double sum = 0;
    for (uint64_t r = 0; r < matrix->rows; r++) {
        const struct row_survey *row = &survey->rows[r];
        bool same = row->magnitude == 0 || magnitude == 0 || row->magnitude == magnitude;
        for (int s = 0; s < STEPS - 1; s++)
            fits[s] = fits[s] && row->fits[s];
        fits[STEPS - 1] = fits[STEPS - 1] && row->fits[STEPS - 2] && same;
        magnitude = row->magnitude != 0 ? row->magnitude : magnitude;
        result.finite = result.finite && row->finite;
        sum += row->sum;
    }
    for (int s = 0; s < STEPS; s++)
        if (fits[s])
            result.as = layouts[s];
    if (result.as == BN_LAYOUT_I2S_A)
        result.scale = magnitude;
    else if (result.as == BN_LAYOUT_COUNT)
        result.scale = (float)(sum / ((double)matrix->rows * (double)matrix->cols));
    if (result.as == BN_LAYOUT_COUNT && result.scale < LEAST_MEAN)
        result.scale = LEAST_MEAN;
    return result;
}

enum bn_result bn_survey_floats(const struct bn_host *host, const struct bn_matrix *matrix,
                                struct bn_float_survey *result, struct bn_error *err)
{
    struct survey survey = {.matrix = matrix, .host = host};
    survey.rows = bn_alloc_array(host, matrix->rows, sizeof(*survey.rows));
    if (!survey.rows)
        return bn_fail_memory(err, matrix->rows * sizeof(*survey.rows), "a survey of weights");
    if (matrix->rows * matrix->cols >= WORTH_THREADS)
        bn_parallel(matrix->rows, survey_rows, &survey);
    else
        survey_rows(&survey, 0, matrix->rows);
    if (!survey.no_memory)
        *result = join(&survey);
    bn_free(host, survey.rows);
    return survey.no_memory ? bn_fail_memory(err, matrix->cols * sizeof(float), "a row of weights") : BN_OK;
}
