// Scores of int8 rows of K with queries of 16 bits, in vectors of 256 bits, for all levels: exact sums, so their order is free.
// VPDPWSSD instead of VPMADDWD and VPADDD is no faster.
#ifndef BN_CPU_X86_SCORES256_H
#define BN_CPU_X86_SCORES256_H

#include "cpu/x86/sum256.h"

// Eight scores: those of `heads` heads, 1, 2 or 4, with the 8 / heads positions from `position` on. Positions past the last
// are rows of the same page; their scores, within the rounded length, are overwritten or ignored later. `units` has the
// eight in the order of the sums: the positions of a head, then those of the next.
INLINE void int8_scores8(const struct bn_attend *a, uint32_t position, int16_t (*q)[MAX_HEAD_DIM], __m256 units,
                         float *const *scores, const size_t heads)
{
    const size_t dim = a->head_dim, positions = 8 / heads;
    const uint8_t *k = attend_row(a, a->k_offset, position);
    const uint32_t later = position + K_AHEAD < a->n_positions ? position + K_AHEAD : 0;
    const char *ahead = attend_ahead(a, a->k_offset, later);
    _mm_prefetch((const char *)attend_step(a, a->k_offset, later), _MM_HINT_T1);
    _mm_prefetch((const char *)attend_step(a, a->v_offset, later), _MM_HINT_T1);
    for (size_t i = 0; i < positions * dim; i += 64)
        _mm_prefetch(ahead + i, _MM_HINT_T1);
    __m256i sum[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        sum[i] = _mm256_setzero_si256();
    for (size_t d = 0; d < dim; d += 16) {
        __m256i x[4];
#pragma GCC unroll 4
        for (size_t j = 0; j < heads; j++)
            x[j] = _mm256_loadu_si256((const __m256i *)(q[j] + d));
#pragma GCC unroll 8
        for (size_t i = 0; i < positions; i++) {
            __m256i row = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(k + i * dim + d)));
#pragma GCC unroll 4
            for (size_t j = 0; j < heads; j++)
                sum[j * positions + i] = _mm256_add_epi32(sum[j * positions + i], _mm256_madd_epi16(row, x[j]));
        }
    }
    const float *steps = attend_step(a, a->k_offset, position);
    __m256 step = heads == 1   ? _mm256_loadu_ps(steps)
                  : heads == 2 ? _mm256_broadcast_ps((const __m128 *)(const void *)steps)
                               : _mm256_castpd_ps(_mm256_broadcast_sd((const double *)(const void *)steps));
    float eight[8];
    _mm256_storeu_ps(eight, _mm256_mul_ps(_mm256_cvtepi32_ps(sums8(sum)), _mm256_mul_ps(step, units)));
#pragma GCC unroll 4
    for (size_t j = 0; j < heads; j++)
        memcpy(scores[j] + position, eight + j * positions, positions * sizeof *eight);
}

// The scores of `heads` heads from h on with all positions.
INLINE void int8_scores(const struct bn_attend *a, size_t h, const size_t heads)
{
    int16_t q[4][MAX_HEAD_DIM];
    float units[8], *scores[4];
    for (size_t j = 0; j < heads; j++) {
        float unit = attend_query(a, h + j, q[j]);
        for (size_t i = 0; i < 8 / heads; i++)
            units[j * (8 / heads) + i] = unit;
        scores[j] = attend_scores(a, h + j);
    }
    for (uint32_t i = 0; i < a->n_positions; i += (uint32_t)(8 / heads))
        int8_scores8(a, i, q, _mm256_loadu_ps(units), scores, heads);
}

#endif
