// Products whose scales reach groups of columns, in vectors of 256 bits, for every level with AVX2. Sixteen groups at a time: the
// exact sum of each lies in a vector of its own, sixteen of those become two of the groups' sums, and these are multiplied with
// the scales into the sixteen partial sums of the row.
#ifndef BN_CPU_X86_GROUPS256_H
#define BN_CPU_X86_GROUPS256_H

#include "cpu/x86/sum256.h"

#define GROUP_ROWS 32 // rows of weights that the activations of sixteen groups pass over

// Codes c0, c1 with 32 activations each: sixteen lanes of int16. A pair of products is at most 2 * 2 * 128, so these are at most
// 1024, and those of 256 columns 4096. VPDPBUSD, which needs no int16, was slower.
INLINE __m256i group_planes(__m256i c0, const int8_t *q0, __m256i c1, const int8_t *q1)
{
    return _mm256_add_epi16(_mm256_maddubs_epi16(c0, _mm256_loadu_si256((const __m256i *)q0)),
                            _mm256_maddubs_epi16(c1, _mm256_loadu_si256((const __m256i *)q1)));
}

// A block of 128 columns: the lanes of its first 64 columns, and of its last.
INLINE void group_block(const uint8_t *w, const int8_t *q, __m256i *first, __m256i *last)
{
    const __m256i three = _mm256_set1_epi8(3);
    __m256i bits = _mm256_loadu_si256((const __m256i *)w);
    *first = group_planes(_mm256_and_si256(_mm256_srli_epi16(bits, 6), three), q,
                          _mm256_and_si256(_mm256_srli_epi16(bits, 4), three), q + 32);
    *last = group_planes(_mm256_and_si256(_mm256_srli_epi16(bits, 2), three), q + 64, _mm256_and_si256(bits, three),
                         q + 96);
}

// The lanes of sixteen groups, as int32; `step` is the bytes from a block of codes to the next one. Blocks from the end on are
// zeros.
INLINE void group_lanes(const uint8_t *w, size_t step, const int8_t *q, size_t blocks, size_t group, __m256i *lanes)
{
    const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi16(1);
    size_t per = group == 64 ? 8 : group == 128 ? 16 : 32; // blocks of sixteen groups
    __m256i before = zero;
#pragma GCC unroll 4
    for (size_t b = 0; b < per; b++) {
        __m256i first = zero, last = zero;
        if (b < blocks)
            group_block(w + b * step, q + b * BLOCK_COLS, &first, &last);
        __m256i both = _mm256_add_epi16(first, last);
        if (group == 64) {
            lanes[2 * b] = _mm256_madd_epi16(first, ones);
            lanes[2 * b + 1] = _mm256_madd_epi16(last, ones);
        } else if (group == 128) {
            lanes[b] = _mm256_madd_epi16(both, ones);
        } else if (b % 2) {
            lanes[b / 2] = _mm256_madd_epi16(_mm256_add_epi16(before, both), ones);
        } else {
            before = both;
        }
    }
}

// Of one activation row and up to GROUP_ROWS rows of weights: groups from .. from + n - 1, at most sixteen, added to the rows'
// partial sums.
INLINE void add_groups(const struct bn_groups *a, size_t row, size_t rows, const int8_t *q, size_t from, size_t n,
                       float (*sums)[SUMS], const size_t group)
{
    uint8_t ones[BLOCK_BYTES];
    memset(ones, 0x55, sizeof ones); // codes 1: the sums of q themselves
    const size_t stride = a->cols / 4, first = from * group, left = a->cols - first;
    const size_t columns = n * group < left ? n * group : left;
    const size_t blocks = (columns + BLOCK_COLS - 1) / BLOCK_COLS;
    __m256i lanes[16];
    group_lanes(ones, 0, q + first, blocks, group, lanes);
    const __m256i low = sums8(lanes), high = sums8(lanes + 8);
    for (size_t r = 0; r < rows; r++) {
        const float *scales = a->scales + (row + r) * a->groups + from;
        float padded[SUMS] = {0};
        if (n < SUMS) {
            memcpy(padded, scales, n * sizeof *scales);
            scales = padded;
        }
        group_lanes(a->w + (row + r) * stride + first / 4, BLOCK_BYTES, q + first, blocks, group, lanes);
        __m256 s0 = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums8(lanes), low));
        __m256 s1 = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums8(lanes + 8), high));
        _mm256_storeu_ps(sums[r], _mm256_fmadd_ps(s0, _mm256_loadu_ps(scales), _mm256_loadu_ps(sums[r])));
        _mm256_storeu_ps(sums[r] + 8, _mm256_fmadd_ps(s1, _mm256_loadu_ps(scales + 8), _mm256_loadu_ps(sums[r] + 8)));
    }
}

INLINE void groups_of(const struct bn_groups *a, const size_t group)
{
    for (size_t row = 0; row < a->rows; row += GROUP_ROWS) {
        size_t rows = a->rows - row < GROUP_ROWS ? a->rows - row : GROUP_ROWS;
        for (size_t i = 0; i < a->n_rows; i++) {
            float sums[GROUP_ROWS][SUMS] = {{0}};
            for (size_t from = 0; from < a->groups; from += SUMS) {
                size_t n = a->groups - from < SUMS ? a->groups - from : SUMS;
                add_groups(a, row, rows, a->q + i * a->q_stride, from, n, sums, group);
            }
            for (size_t r = 0; r < rows; r++)
                a->out[i * a->out_stride + row + r] = sum_tree(sums[r]);
        }
    }
}

static void ternary_groups(const struct bn_groups *a)
{
    if (a->group == 64)
        groups_of(a, 64);
    else if (a->group == 128)
        groups_of(a, 128);
    else
        groups_of(a, 256);
}

#endif
