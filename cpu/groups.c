// Weights whose scales reach groups of columns, in plain C: the oracle of ternary_groups, and what levels without use.
#include "common.h"

// The trits of a group, 32 columns at a time: their codes share bytes, and a shift.
static int32_t group_sum(const uint8_t *row, size_t from, size_t end, const int8_t *q)
{
    int32_t sum = 0;
    for (size_t c = from; c < end; c += BLOCK_BYTES) {
        const uint8_t *bytes = row + c / BLOCK_COLS * BLOCK_BYTES;
        unsigned shift = 6 - 2 * (unsigned)(c % BLOCK_COLS / BLOCK_BYTES);
        for (size_t j = 0; j < BLOCK_BYTES; j++)
            sum += ((bytes[j] >> shift & 3) - 1) * q[c + j];
    }
    return sum;
}

static void ternary_groups(const struct bn_groups *a)
{
    size_t padded = (a->groups + SUMS - 1) / SUMS * SUMS;
    for (size_t r = 0; r < a->rows; r++)
        for (size_t i = 0; i < a->n_rows; i++) {
            float s[SUMS] = {0};
            for (size_t g = 0; g < padded; g++) {
                size_t from = g * a->group, end = a->cols - from < a->group ? a->cols : from + a->group;
                bool there = g < a->groups;
                int32_t sum = there ? group_sum(a->w + r * a->cols / 4, from, end, a->q + i * a->q_stride) : 0;
                s[g % SUMS] = fmaf((float)sum, there ? a->scales[r * a->groups + g] : 0.0f, s[g % SUMS]);
            }
            a->out[i * a->out_stride + r] = sum_tree(s);
        }
}

void (*bn_kernels_groups(const struct bn_kernels *k))(const struct bn_groups *args)
{
    return k->ternary_groups ? k->ternary_groups : ternary_groups;
}

void bn_scale_values(const float *values, size_t n, float factor, const float *add, float *out)
{
    for (size_t i = 0; i < n; i++) {
        float v = values[i] * factor;
        out[i] = add ? v + add[i] : v;
    }
}

void bn_gate_values(const float *gate, const float *up, size_t n, float gate_factor, float up_factor,
                    enum bn_op_activation activation, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate_value(gate[i] * gate_factor, up[i] * up_factor, activation);
}
