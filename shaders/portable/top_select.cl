// BN_OP_TOP, third: which rows may be among the best. A group per output.
#include "common.h"
#include "reduce.h"
#include "top.h"

DEFINE_REDUCE(reduce_max_uint, uint, most, (uint), (uint))

// An output: its scanned products, what bounds their distance from the exact ones.
struct output {
    GLOBAL const uint *products;
    GLOBAL const float *info;
    float norm, error;
    uint rows, cols;
};

// How far the exact product of a row can be from the scanned one.
FUNCTION float bound(const struct output *o, uint row)
{
    float error = o->info[row * 3 + 1], norm = o->info[row * 3 + 2];
    float missed = error * o->norm + norm * o->error;
    return missed * (1.0f + 1.0f / 1024.0f) +
           (norm + error) * o->norm * (((float)o->cols / 16.0f + 64.0f) * 5.9604645e-8f);
}

FUNCTION float product(const struct output *o, uint row)
{
    return as_float(o->products[row]);
}

// Unsigned integers in the order of the floats.
FUNCTION uint ordered(float x)
{
    uint bits = as_uint(x);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

FUNCTION float unordered(uint key)
{
    return as_float((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

// The k-th largest of the rows' least possible products, a byte of it at a time from the top. counts: of 256 digits, then the
// digits found so far and the rank that is left.
INLINE float threshold(LOCAL uint *counts, const struct output *o, uint k)
{
    LOCAL uint *found = counts + 256, *rank_left = counts + 257;
    if (thread() == 0) {
        *found = 0;
        *rank_left = k;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (uint i = thread(); i < 256; i += THREADS)
            counts[i] = 0;
        meet();
        uint prefix = *found;
        for (uint row = thread(); row < o->rows; row += THREADS) {
            uint key = ordered(product(o, row) - bound(o, row));
            if (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8))
                count_one((volatile LOCAL uint *)&counts[key >> shift & 255u]);
        }
        meet();
        if (thread() == 0) {
            uint digit = 255, rank = *rank_left;
            while (digit > 0 && counts[digit] < rank)
                rank -= counts[digit--];
            *rank_left = rank;
            *found = prefix | digit << shift;
        }
        meet();
    }
    return unordered(*found);
}

KERNEL top_select(TOP_PARAMETERS)
{
    LOCAL uint s[SHARED_WORDS], s_counts[258], s_before[C0];
    OPEN(uint, slot);
    OPEN(uint, temporary);
    OPEN(float, info);
    OPEN(uint, tops);
    if (skips(slot, op))
        return;
    for (uint o = group_x(); o < n_outputs(slot); o += groups_x()) {
        GLOBAL const uint *header = temporary + output_at(o, rows, cols);
        const struct output output = {temporary + products_at(o, rows, cols), info, as_float(header[TOP_NORM]),
                                      as_float(header[TOP_ERROR]), rows, cols};
        uint top = slot[SLOT_TOP];
        float lowest = threshold(s_counts, &output, least(least(top, rows), TOP_MOST));
        // Each work-item takes rows that follow each other, so that the candidates are in the order of the ids.
        uint share = (rows + THREADS - 1) / THREADS, begin = least(thread() * share, rows);
        uint end = least(begin + share, rows), mine = 0, bad = 0;
        for (uint row = begin; row < end; row++) {
            float value = product(&output, row), reach = bound(&output, row);
            mine += value + reach < lowest ? 0 : 1;
            bad |= not_finite(magnitude(value) + reach) ? 1 : 0;
        }
        s_before[thread()] = mine;
        bad = reduce_max_uint(s, bad);
        meet();
        uint before = 0, all = 0;
        for (uint i = 0; i < THREADS; i++) {
            before += i < thread() ? s_before[i] : 0;
            all += s_before[i];
        }
        meet();
        bool few = top <= TOP_MOST && all <= TOP_MOST && bad == 0;
        uint at = (slot[SLOT_FIRST_OUTPUT] + o) * top_words;
        if (thread() == 0) {
            tops[at] = few ? all : 0;
            tops[at + 1] = few ? all : rows;
        }
        for (uint row = begin; few && row < end; row++)
            if (!(product(&output, row) + bound(&output, row) < lowest))
                tops[at + 3 + 2 * before++] = row;
    }
}
