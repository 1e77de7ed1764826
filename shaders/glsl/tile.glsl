// Tiles of products in shared memory, for ternary.comp and ternary_scaled.comp, which define BATCH, TILE_PLANES, the int8 rows of a
// row of activations, and TILE_CODES, what becomes of four codes in bytes. A workgroup makes a tile: THREADS / 8 groups of four weight rows, 8 BATCH rows of
// activations, of which an invocation has one group and BATCH rows, 8 apart. 128 columns at a time go through shared memory, the
// weights unpacked to a byte each; rows there are a word longer than that, so that neighbours are in different banks.
const uint TILE_GROUPS = THREADS / 8, TILE_ROWS = 8 * BATCH;
#ifndef COOPMAT
const uint QUAD = 4, STRIDE = 33;
shared uint s_w[4 * TILE_GROUPS * STRIDE], s_x[TILE_ROWS * TILE_PLANES * STRIDE];

// Each invocation loads 16 bytes of weights: half a block of a row.
void load_weights(Quads w, uint at, uint to)
{
    uvec4 quad = w.q[at];
    for (uint k = 0; k < 4; k++)
        for (uint c = 0; c < 4; c++)
            s_w[to + 8 * k + c] = TILE_CODES(quad[c] >> (6 - 2 * k) & 0x03030303u);
}

// A block of the int8 rows from `first` on; each has so many quads.
void load_rows(uint first, uint last, uint block, uint quads)
{
    for (uint i = thread(); i < TILE_ROWS * TILE_PLANES * 8; i += THREADS) {
        uvec4 quad = p.x.q[min(first + i / 8, last) * quads + 8 * block + i % 8];
        for (uint c = 0; c < 4; c++)
            s_x[i / 8 * STRIDE + 4 * (i % 8) + c] = quad[c];
    }
}

// Four columns of the four rows of a group.
uvec4 tile_codes(uint group, uint column)
{
    uint from = group * STRIDE + column;
    return uvec4(s_w[from], s_w[from + TILE_GROUPS * STRIDE], s_w[from + 2 * TILE_GROUPS * STRIDE],
                 s_w[from + 3 * TILE_GROUPS * STRIDE]);
}
#endif
