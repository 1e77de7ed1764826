// Included by ternary.comp: the products of a tile with cooperative matrices of int8, which add in int32: the same integers.
// Weights are A, row by row; rows of activations are the columns of B. The driver (devices/vulkan/matrices.c) chooses a shape that
// the device offers and that divides the tile.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require

layout(constant_id = 6) const uint M = 16; // of weights
layout(constant_id = 7) const uint N = 16; // of rows
layout(constant_id = 8) const uint K = 16; // of columns
layout(constant_id = 9) const uint SUBGROUP_SIZE = 32;

const uint SUBGROUPS = THREADS / SUBGROUP_SIZE;
const uint DOWN = 4 * TILE_GROUPS / M, PARTS = DOWN * (TILE_ROWS / N);
const uint MINE = (PARTS + SUBGROUPS - 1) / SUBGROUPS; // parts of the tile that a subgroup makes, SUBGROUPS apart

// In quads of words, for matrices lie at whole 16 bytes; rows are a quad longer than 128 columns or the sums of the tile.
const uint QUAD = 1, STRIDE = 9, SUMS_STRIDE = TILE_GROUPS + 1;
shared uvec4 s_w[4 * TILE_GROUPS * STRIDE], s_x[TILE_ROWS * STRIDE];

void load_weights(Quads w, uint at, uint to)
{
    uvec4 quad = w.q[at];
    for (uint k = 0; k < 4; k++)
        s_w[to + 2 * k] = quad >> (6 - 2 * k) & 0x03030303u;
}

void load_rows(uint first, uint last, uint block, uint quads)
{
    for (uint i = thread(); i < TILE_ROWS * 8; i += THREADS)
        s_x[i / 8 * STRIDE + i % 8] = p.x.q[min(first + i / 8, last) * quads + 8 * block + i % 8];
}

coopmat<int, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> parts[MINE];

void clear_parts()
{
    [[unroll]] for (uint i = 0; i < MINE; i++)
        parts[i] = coopmat<int, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0);
}

// Adds the products of the 128 columns that are in shared memory.
void add_block()
{
    [[unroll]] for (uint i = 0; i < MINE; i++)
    {
        uint part = gl_SubgroupID + SUBGROUPS * i;
        if (part >= PARTS)
            break;
        for (uint column = 0; column < 128; column += K) {
            coopmat<int8_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> a;
            coopmat<int8_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> b;
            coopMatLoad(a, s_w, part % DOWN * M * STRIDE + column / 16, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
            coopMatLoad(b, s_x, part / DOWN * N * STRIDE + column / 16, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
            parts[i] = coopMatMulAdd(a, b, parts[i]);
        }
    }
}

// Puts the sums where the weights were, a row of activations after the other.
void share_parts()
{
    barrier(); // the last block is done
    [[unroll]] for (uint i = 0; i < MINE; i++)
    {
        uint part = gl_SubgroupID + SUBGROUPS * i;
        if (part < PARTS)
            coopMatStore(parts[i], s_w, part / DOWN * N * SUMS_STRIDE + part % DOWN * (M / 4), SUMS_STRIDE,
                         gl_CooperativeMatrixLayoutColumnMajor);
    }
    barrier();
}

// A sum of a weight row and a row of activations of the tile.
int shared_sum(uint weights, uint row)
{
    return int(s_w[row * SUMS_STRIDE + weights / 4][weights % 4]);
}

#define SUMS(n)                                                                                                        \
    ivec4(shared_sum(mine, row + 8 * (n)), shared_sum(mine + TILE_GROUPS, row + 8 * (n)),                              \
          shared_sum(mine + 2 * TILE_GROUPS, row + 8 * (n)), shared_sum(mine + 3 * TILE_GROUPS, row + 8 * (n)))
