#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_TOP, third: which rows may be among the best. A workgroup per output.
#include "common.glsl"
#include "reduce.glsl"
#include "top.glsl"

shared uint s_counts[256];
shared uint s_prefix, s_rank;
shared uint s_before[THREADS];

// How far the exact product of a row can be from the scanned one.
float bound(uint o, uint row)
{
    float error = uintBitsToFloat(p.info.w[row * 3 + 1]), norm = uintBitsToFloat(p.info.w[row * 3 + 2]);
    float state = temporary_float(output_at(o) + NORM);
    float missed = error * state + norm * temporary_float(output_at(o) + ERROR);
    return missed * (1.0 + 1.0 / 1024.0) + (norm + error) * state * ((float(p.cols) / 16.0 + 64.0) * 5.9604645e-8);
}

float product(uint o, uint row)
{
    return temporary_float(products_at(o) + row);
}

// Unsigned integers in the order of the floats.
uint ordered(float x)
{
    uint bits = floatBitsToUint(x);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float unordered(uint key)
{
    return uintBitsToFloat((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

// The k-th largest of the rows' least possible products, a byte of it at a time from the top.
float threshold(uint o, uint k)
{
    if (thread() == 0) {
        s_prefix = 0;
        s_rank = k;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (uint i = thread(); i < 256; i += THREADS)
            s_counts[i] = 0;
        barrier();
        uint prefix = s_prefix;
        for (uint row = thread(); row < p.rows; row += THREADS) {
            uint key = ordered(product(o, row) - bound(o, row));
            if (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8))
                atomicAdd(s_counts[key >> shift & 255u], 1);
        }
        barrier();
        if (thread() == 0) {
            uint digit = 255, rank = s_rank;
            while (digit > 0 && s_counts[digit] < rank)
                rank -= s_counts[digit--];
            s_rank = rank;
            s_prefix = prefix | digit << shift;
        }
        barrier();
    }
    return unordered(s_prefix);
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint o = gl_WorkGroupID.x; o < n_outputs(); o += gl_NumWorkGroups.x) {
        uint top = p.slot.w[TOP];
        float least = threshold(o, min(min(top, p.rows), MOST_CANDIDATES));
        // Each invocation takes rows that follow each other, so that the candidates are in the order of the ids.
        uint share = (p.rows + THREADS - 1) / THREADS, begin = min(thread() * share, p.rows);
        uint end = min(begin + share, p.rows), mine = 0, bad = 0;
        for (uint row = begin; row < end; row++) {
            float value = product(o, row), reach = bound(o, row);
            mine += value + reach < least ? 0 : 1;
            bad |= not_finite(abs(value) + reach) ? 1 : 0;
        }
        s_before[thread()] = mine;
        bad = reduce_max(bad);
        barrier();
        uint before = 0, all = 0;
        for (uint i = 0; i < THREADS; i++) {
            before += i < thread() ? s_before[i] : 0;
            all += s_before[i];
        }
        barrier();
        bool few = top <= MOST_CANDIDATES && all <= MOST_CANDIDATES && bad == 0;
        uint at = (p.slot.w[FIRST_OUTPUT] + o) * p.top_words;
        if (thread() == 0) {
            p.tops.w[at] = few ? all : 0;
            p.tops.w[at + 1] = few ? all : p.rows;
        }
        for (uint row = begin; few && row < end; row++)
            if (!(product(o, row) + bound(o, row) < least))
                p.tops.w[at + 3 + 2 * before++] = row;
    }
}
