// BN_OP_ATTENTION: a group per row and head walks over the row's KV pages with a running maximum. With SPLITS each has SPLITS
// groups, which share the pages, and what comes out are parts, for attention_join.cl.
#include "common.h"
#include "reduce.h"

#ifdef C1 // the size of a head is known, and how many groups share one
#define SHAPE
#define HEAD_DIM ((uint)C1)
#define SPLITS ((uint)C2)
#define MOST_DIM C1
#else
#define SHAPE , uint head_dim, uint splits
#define HEAD_DIM head_dim
#define SPLITS splits
#define MOST_DIM MOST_HEAD_DIM
#endif
#define PART (HEAD_DIM + 4) // floats: maximum, denominator, two unused, totals
#define MINE ((MOST_DIM / 2 + C0 - 1) / C0) // words of a head that a work-item sums

DEFINE_REDUCE(reduce_add, float, ADD, as_uint, as_float)
DEFINE_REDUCE(reduce_max, float, most_float, as_uint, as_float)

// Sixteen partial sums, as everywhere.
INLINE float score(LOCAL const float4 *q, GLOBAL const uint4 *k, uint head_dim)
{
    float4 s0 = (float4)(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (uint i = 0; i < head_dim / 16; i++) {
        uint4 a = k[2 * i], b = k[2 * i + 1];
        s0 = fma4(q[4 * i], widen(a.xy, LAYOUT_F16), s0);
        s1 = fma4(q[4 * i + 1], widen(a.zw, LAYOUT_F16), s1);
        s2 = fma4(q[4 * i + 2], widen(b.xy, LAYOUT_F16), s2);
        s3 = fma4(q[4 * i + 3], widen(b.zw, LAYOUT_F16), s3);
    }
    float4 s = (s0 + s2) + (s1 + s3);
    return (s.x + s.z) + (s.y + s.w);
}

KERNEL attention(SPAN(uint, slot), SPAN(float, q), SPAN(float, out), SPAN(uint4, kv), SPAN(uint, kv_words), uint op,
                 uint heads, uint kv_heads, uint layer, uint page_quads, uint window, float scale SHAPE)
{
    LOCAL uint s[SHARED_WORDS];
    LOCAL float4 s_q[MOST_DIM / 4];
    LOCAL float s_p[64];
    OPEN(uint, slot);
    OPEN(float, q);
    OPEN(float, out);
    OPEN(uint4, kv);
    OPEN(uint, kv_words);
    if (skips(slot, op))
        return;
    for (uint row = group_y(); row < slot[SLOT_N_ROWS]; row += groups_y())
        for (uint share = group_x(); share < heads * SPLITS; share += groups_x()) {
            uint head = share / SPLITS, split = share % SPLITS;
            uint n = row_position(slot, row) + 1, kv_head = head / (heads / kv_heads), words = HEAD_DIM / 2;
            uint q_at = (row * heads + head) * HEAD_DIM;
            meet();
            for (uint i = thread(); i < HEAD_DIM; i += THREADS)
                ((LOCAL float *)s_q)[i] = q[q_at + i];
            meet();
            float2 total[MINE];
            for (uint m = 0; m < MINE; m++)
                total[m] = (float2)(0.0f);
            float highest = as_float(0xff800000u), denominator = 0.0f;
            uint begin = window != 0 && n > window ? n - window : 0;
            uint first = begin / 64, end = (n + 63) / 64;
            if (SPLITS > 1) {
                uint each = (end - first + SPLITS - 1) / SPLITS;
                first += split * each;
                end = least(first + each, end);
            }
            for (uint block = first; block < end; block++) {
                uint page = row_page(slot, row, block) * page_quads, count = least(n - block * 64, 64);
                uint skip = begin > block * 64 ? begin - block * 64 : 0;
                uint k_at = page + (layer * 2 * kv_heads + kv_head) * 64 * (HEAD_DIM / 8);
                uint v_at = (k_at + kv_heads * 64 * (HEAD_DIM / 8)) * 4;
                float block_highest = highest;
                for (uint i = skip + thread(); i < count; i += THREADS) {
                    float p = score(s_q, kv + k_at + i * (HEAD_DIM / 8), HEAD_DIM) * scale;
                    s_p[i] = p;
                    block_highest = most_float(p, block_highest);
                }
                block_highest = reduce_max(s, block_highest);
                float shrink = block_highest == highest ? 1.0f : exp_own(highest - block_highest), sum = 0.0f;
                highest = block_highest;
                for (uint i = skip + thread(); i < count; i += THREADS) {
                    float e = exp_own(s_p[i] - highest);
                    s_p[i] = e;
                    sum += e;
                }
                denominator = denominator * shrink + reduce_add(s, sum); // after which every s_p is seen by all
                for (uint m = 0, word = thread(); m < MINE && word < words; m++, word += THREADS) {
                    float2 part = (float2)(0.0f);
                    for (uint i = skip; i < count; i++)
                        part = fma2((float2)(s_p[i]), halves(kv_words[v_at + i * words + word]), part);
                    total[m] = total[m] * shrink + part;
                }
                meet();
            }
            if (SPLITS > 1) {
                GLOBAL float *part = out + ((row * heads + head) * SPLITS + split) * PART;
                for (uint m = 0, word = thread(); m < MINE && word < words; m++, word += THREADS) {
                    part[4 + 2 * word] = total[m].x;
                    part[5 + 2 * word] = total[m].y;
                }
                if (thread() == 0) {
                    part[0] = highest;
                    part[1] = denominator;
                }
                continue;
            }
            for (uint m = 0, word = thread(); m < MINE && word < words; m++, word += THREADS) {
                out[q_at + 2 * word] = total[m].x / denominator;
                out[q_at + 2 * word + 1] = total[m].y / denominator;
            }
        }
}
