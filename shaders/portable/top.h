// What the kernels of BN_OP_TOP share (docs/numerics.md, "The head").
#define TOP_PARAMETERS                                                                                                 \
    SPAN(uint, slot), SPAN(uint, temporary), SPAN(float, in), SPAN(uint4, copy), SPAN(float, info), SPAN(uint, tops),  \
        SPAN(uint4, w), uint op, uint rows, uint cols, uint top_words

// Where the output's header is, its planes, the scanned products.
FUNCTION uint output_at(uint o, uint rows, uint cols)
{
    return o * (TOP_HEADER + cols / 2 + (rows + 3) / 4 * 4);
}

FUNCTION uint planes_at(uint o, uint rows, uint cols)
{
    return output_at(o, rows, cols) + TOP_HEADER;
}

FUNCTION uint products_at(uint o, uint rows, uint cols)
{
    return planes_at(o, rows, cols) + cols / 2;
}

FUNCTION uint n_outputs(GLOBAL const uint *slot)
{
    return slot[SLOT_TOP] == 0 ? 0 : slot[SLOT_N_OUTPUTS];
}
