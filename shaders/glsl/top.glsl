// What the shaders of BN_OP_TOP share (docs/numerics.md, "The head"). For each output the temporary memory holds a header of
// 16 words, the two int8 planes of the hidden state, and the scanned product of every row.
layout(push_constant, std430) uniform Push
{
    Words slot;
    Words temporary;
    Words in_; // f32 [outputs][cols]
    Quads copy; // int8 [rows][cols]
    Words info; // bn_scan_row [rows]: scale, error, norm
    Words tops;
    Quads w;
    uint op, rows, cols, top_words;
} p;

const uint UNIT = 0, NORM = 1, ERROR = 2, HEADER = 16, MOST_CANDIDATES = 4096;

uint output_at(uint o)
{
    return o * (HEADER + p.cols / 2 + (p.rows + 3) / 4 * 4);
}

uint planes_at(uint o)
{
    return output_at(o) + HEADER;
}

uint products_at(uint o)
{
    return planes_at(o) + p.cols / 2;
}

float temporary_float(uint at)
{
    return uintBitsToFloat(p.temporary.w[at]);
}

uint n_outputs()
{
    return p.slot.w[TOP] == 0 ? 0 : p.slot.w[N_OUTPUTS];
}
