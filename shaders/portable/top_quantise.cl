// BN_OP_TOP, first: the hidden state in two planes of seven bits and a sign. A group per output.
#include "common.h"
#include "reduce.h"
#include "top.h"

DEFINE_REDUCE(reduce_add, float, ADD, as_uint, as_float)
DEFINE_REDUCE(reduce_max, float, most_float, as_uint, as_float)

KERNEL top_quantise(TOP_PARAMETERS)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(uint, temporary);
    OPEN(float, in);
    if (skips(slot, op))
        return;
    for (uint o = group_x(); o < n_outputs(slot); o += groups_x()) {
        GLOBAL const float *x = in + o * cols;
        float highest = 0.0f;
        for (uint i = thread(); i < cols; i += THREADS)
            highest = most_float(highest, magnitude(x[i]));
        highest = reduce_max(s, highest);
        float unit = highest > 1e-30f ? highest / 127.0f : 1.0f, squares = 0.0f;
        GLOBAL uint *planes = temporary + planes_at(o, rows, cols);
        for (uint word = thread(); word < cols / 4; word += THREADS) {
            uint high = 0, low = 0;
            for (uint b = 0; b < 4; b++) {
                float steps = x[word * 4 + b] / unit, whole = clamp_float(round_even(steps), -127.0f, 127.0f);
                float rest = clamp_float(round_even((steps - whole) * 254.0f), -127.0f, 127.0f);
                squares += steps * steps;
                high |= ((uint)(int)whole & 0xffu) << b * 8;
                low |= ((uint)(int)rest & 0xffu) << b * 8;
            }
            planes[word] = high;
            planes[cols / 4 + word] = low;
        }
        squares = reduce_add(s, squares);
        if (thread() != 0)
            continue;
        // Rounded up: 2^-9 covers the float sum of squares, 2^-5 the division of a device that is 2.5 units off.
        float root = sqrt1((float)cols);
        GLOBAL uint *header = temporary + output_at(o, rows, cols);
        header[TOP_UNIT] = as_uint(unit);
        header[TOP_NORM] = as_uint(most_float(unit * sqrt1(squares) * (1.0f + 1.0f / 512.0f), root * 1e-30f));
        header[TOP_ERROR] = as_uint(root * unit / 508.0f * (1.0f + 1.0f / 32.0f));
    }
}
