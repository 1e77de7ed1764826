#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_TOP, first: the hidden state in two planes of seven bits and a sign. A workgroup per output.
#include "common.glsl"
#include "reduce.glsl"
#include "top.glsl"

float element(uint o, uint i)
{
    return uintBitsToFloat(p.in_.w[o * p.cols + i]);
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint o = gl_WorkGroupID.x; o < n_outputs(); o += gl_NumWorkGroups.x) {
        float most = 0.0;
        for (uint i = thread(); i < p.cols; i += THREADS)
            most = max(most, abs(element(o, i)));
        most = reduce_max(most);
        float unit = most > 1e-30 ? most / 127.0 : 1.0, squares = 0.0;
        for (uint word = thread(); word < p.cols / 4; word += THREADS) {
            uint high = 0, low = 0;
            for (uint b = 0; b < 4; b++) {
                float steps = element(o, word * 4 + b) / unit, whole = clamp(roundEven(steps), -127.0, 127.0);
                float rest = clamp(roundEven((steps - whole) * 254.0), -127.0, 127.0);
                squares += steps * steps;
                high = bitfieldInsert(high, uint(int(whole)), int(b) * 8, 8);
                low = bitfieldInsert(low, uint(int(rest)), int(b) * 8, 8);
            }
            p.temporary.w[planes_at(o) + word] = high;
            p.temporary.w[planes_at(o) + p.cols / 4 + word] = low;
        }
        squares = reduce_add(squares);
        if (thread() != 0)
            continue;
        // Rounded up: 2^-9 covers the float sum of squares, 2^-5 the division of a device that is 2.5 units off.
        float root = sqrt(float(p.cols));
        p.temporary.w[output_at(o) + UNIT] = floatBitsToUint(unit);
        p.temporary.w[output_at(o) + NORM] =
            floatBitsToUint(max(unit * sqrt(squares) * (1.0 + 1.0 / 512.0), root * 1e-30));
        p.temporary.w[output_at(o) + ERROR] = floatBitsToUint(root * unit / 508.0 * (1.0 + 1.0 / 32.0));
    }
}
