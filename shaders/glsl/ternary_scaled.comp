#version 460
#extension GL_GOOGLE_include_directive : require
// Ternary products of the families that ternary.comp does not know: scales of rows or groups of columns, activations in two
// planes, and the products of BN_OP_QKV without what follows them, which is append.comp's. Weights and invocations are as there;
// an invocation takes whole blocks of 128 columns, so that the sums of halves of them are exact before a group's scale. With TILED
// for many rows of activations.
#include "common.glsl"
#include "dot.glsl"
#include "reduce.glsl"
#include "activate.glsl"

layout(constant_id = 1) const uint LANES = 8; // a power of two, at most THREADS
layout(constant_id = 2) const uint BATCH = 1;
layout(constant_id = 3) const uint PLANES = 1;
layout(constant_id = 4) const uint GROUPED = 0; // a matrix has scales that reach groups of columns
const uint MATMUL = 0, GATE_UP = 1, THREE = 2; // modes, the last of three matrices with three results
const uint GROUPS = THREADS / LANES, WIDE = BATCH * PLANES; // rows of int8 that an invocation has
const uint HAS_ADD = 1; // flags; and those of the activation; the mode in bits 4 and 5, the reaches of scales from 8 on

layout(push_constant, std430) uniform Push
{
    Words slot;
    Quads x;      // int8 [rows][PLANES][cols()]
    Words scales; // bn_row_scale [rows][PLANES]
    Quads w[3];
    Floats w_scales[3]; // [rows of w][1, or groups]
    Floats out_[3];     // matmul: the second is what is added
    uint op;
    uint rows, more_rows; // of w[0]; of w[1] and w[2] in mode THREE
    uint features, flags;
    float scale[3];
} p;

uint mode()
{
    return p.flags >> 4 & 3u;
}

uint cols()
{
    return (p.features + 127) / 128 * 128;
}

#ifdef TILED
#define TILE_PLANES PLANES
#define TILE_CODES(codes) ((codes) + 0x7f7f7f7fu ^ 0x80808080u) // less 1 each: the trits, so that no sum of the row is needed
#include "tile.glsl"
#else
#include "lanes.glsl"
#endif

// What a scale of matrix m reaches: 0 all of it, 1 a row, or so many columns.
uint reach(uint m)
{
    uint code = p.flags >> (8 + 4 * m) & 15u;
    return code < 2 ? code : 16u << code;
}

uint n_groups()
{
    if (mode() == THREE)
        return p.rows / 4 + 2 * (p.more_rows / 4);
    return mode() == GATE_UP ? (p.rows + 1) / 2 : (p.rows + 3) / 4;
}

// As in ternary.comp: rows 0, 1 are of matrix m.x, rows 2, 3 of m.y.
void locate(uint g, out uvec2 m, out uvec4 r)
{
    m = uvec2(0);
    if (mode() == GATE_UP) {
        m = uvec2(0, 1);
        r = min(g * 2 + uvec4(0, 1, 0, 1), uvec4(p.rows - 1));
        return;
    }
    if (mode() == THREE && g >= p.rows / 4) {
        g -= p.rows / 4;
        m = uvec2(g < p.more_rows / 4 ? 1 : 2);
        g -= m.x == 1 ? 0 : p.more_rows / 4;
    }
    r = min(g * 4 + uvec4(0, 1, 2, 3), uvec4(m.x == 0 ? p.rows - 1 : p.more_rows - 1));
}

// The scale of half a block in a row of matrix m; 1 where scales do not reach groups.
float group_scale(uint m, uint r, uint half_block)
{
    uint columns = reach(m), groups = (p.features + columns - 1) / max(columns, 1);
    return columns > 1 ? p.w_scales[m].f[r * groups + min(half_block * 64 / columns, groups - 1)] : 1.0;
}

vec4 group_scales(uvec2 m, uvec4 r, uint half_block)
{
    return vec4(group_scale(m.x, r.x, half_block), group_scale(m.x, r.y, half_block), group_scale(m.y, r.z, half_block),
                group_scale(m.y, r.w, half_block));
}

// Sums of the rows' integers; where there are groups, of their floats.
ivec4 acc[WIDE];
vec4 values[WIDE];

#ifndef TILED
void accumulate(uvec2 m, uvec4 r, uint row, uint last, uint lane)
{
    Quads a = p.w[m.x], b = p.w[m.y];
    for (uint n = 0; n < WIDE; n++) {
        acc[n] = ivec4(0);
        values[n] = vec4(0);
    }
    for (uint block = lane; block < cols() / 128; block += LANES) {
        uvec4 at = r * (cols() / 64) + 2 * block;
        uvec4 w0[2] = {a.q[at.x], a.q[at.x + 1]}, w1[2] = {a.q[at.y], a.q[at.y + 1]};
        uvec4 w2[2] = {b.q[at.z], b.q[at.z + 1]}, w3[2] = {b.q[at.w], b.q[at.w + 1]};
        vec4 first = vec4(1), second = vec4(1);
        if (GROUPED != 0) {
            first = group_scales(m, r, 2 * block);
            second = group_scales(m, r, 2 * block + 1);
        }
        for (uint n = 0; n < WIDE; n++) {
            uint x_at = (min(row + n / PLANES, last) * PLANES + n % PLANES) * (cols() / 16) + block * 8;
            ivec4 part[2] = {ivec4(0), ivec4(0)};
            for (int k = 0; k < 4; k++)
                for (int j = 0; j < 2; j++) {
                    int shift = 6 - 2 * k;
                    uvec4 x = p.x.q[x_at + 2 * k + j];
                    uvec4 c0 = w0[j] >> shift & 0x03030303u, c1 = w1[j] >> shift & 0x03030303u;
                    uvec4 c2 = w2[j] >> shift & 0x03030303u, c3 = w3[j] >> shift & 0x03030303u;
                    [[unroll]] for (int c = 0; c < 4; c++)
                    {
                        part[k / 2] +=
                            ivec4(DOT4(x[c], c0[c]), DOT4(x[c], c1[c]), DOT4(x[c], c2[c]), DOT4(x[c], c3[c]));
                        if (GROUPED != 0) // codes are the trits + 1
                            part[k / 2] -= DOT8(x[c], 0x01010101u);
                    }
                }
            if (GROUPED != 0)
                values[n] = fma(vec4(part[1]), second, fma(vec4(part[0]), first, values[n]));
            else
                acc[n] += part[0] + part[1];
        }
    }
}
#endif

float row_scale(uint row)
{
    return uintBitsToFloat(p.scales.w[row * PLANES * 2]);
}

int row_sum(uint row, uint plane)
{
    return int(p.scales.w[(row * PLANES + plane) * 2 + 1]);
}

// Times the scales of rows, + 0 as in the canonical sum of one pair.
vec4 scaled_rows(uvec2 m, uvec4 r, vec4 sums)
{
    precise vec4 v = sums;
    if (reach(m.x) == 1)
        v.xy = sums.xy * vec2(p.w_scales[m.x].f[r.x], p.w_scales[m.x].f[r.y]) + 0.0;
    if (reach(m.y) == 1)
        v.zw = sums.zw * vec2(p.w_scales[m.y].f[r.z], p.w_scales[m.y].f[r.w]) + 0.0;
    return v;
}

void finish(uint g, uvec2 m, uvec4 r, uint row, vec4 sums)
{
    float factor_a = divide(p.scale[m.x], row_scale(row));
    float factor_b = mode() == GATE_UP ? divide(p.scale[m.y], row_scale(row)) : factor_a;
    precise vec4 v = scaled_rows(m, r, sums) * vec4(factor_a, factor_a, factor_b, factor_b);
    if (mode() == GATE_UP) {
        for (uint i = 0; i < 2 && g * 2 + i < p.rows; i++) {
            precise float gated = activated(p.flags, v[i]) * v[i + 2];
            p.out_[0].f[row * p.rows + g * 2 + i] = gated;
        }
        return;
    }
    uint n = m.x == 0 ? p.rows : p.more_rows;
    for (uint i = 0; i < 4 && r.x + i < n; i++) {
        uint at = row * n + r.x + i;
        precise float sum = v[i];
        if (mode() == MATMUL && (p.flags & HAS_ADD) != 0)
            sum = v[i] + p.out_[1].f[at];
        p.out_[m.x].f[at] = sum;
    }
}

#ifdef TILED
// Adds the products of the block's half that is in shared memory.
void add_half(uvec2 m, uvec4 r, uint mine, uint row, uint half_block)
{
    ivec4 part[WIDE];
    for (uint n = 0; n < WIDE; n++)
        part[n] = ivec4(0);
    for (uint i = half_block % 2 * 16; i < half_block % 2 * 16 + 16; i++) {
        uvec4 w = tile_codes(mine, i);
        [[unroll]] for (uint n = 0; n < WIDE; n++)
        {
            uint x = s_x[((row + 8 * (n / PLANES)) * PLANES + n % PLANES) * STRIDE + i];
            part[n] += ivec4(DOT8(x, w.x), DOT8(x, w.y), DOT8(x, w.z), DOT8(x, w.w));
        }
    }
    vec4 scales = GROUPED != 0 ? group_scales(m, r, half_block) : vec4(1);
    for (uint n = 0; n < WIDE; n++) {
        if (GROUPED != 0)
            values[n] = fma(vec4(part[n]), scales, values[n]);
        else
            acc[n] += part[n];
    }
}

// The values of a row; the planes meet as integers where they are.
vec4 joined(uint n)
{
    uint low = n * PLANES + PLANES - 1;
    if (GROUPED != 0)
        return PLANES == 1 ? values[n] : fma(vec4(256.0), values[n * PLANES], values[low]);
    return vec4(PLANES == 1 ? acc[n] : 256 * acc[n * PLANES] + acc[low]);
}

void make_tile(uint tile, uint first, uint last)
{
    uint which = thread() / 2 % 4, half_block = thread() % 2, mine = thread() % TILE_GROUPS, row = thread() / TILE_GROUPS;
    uint loads = thread() / 8, to = (which * TILE_GROUPS + loads) * STRIDE + QUAD * half_block, quads = cols() / 16;
    uvec2 m;
    uvec4 r;
    for (uint n = 0; n < WIDE; n++) {
        acc[n] = ivec4(0);
        values[n] = vec4(0);
    }
    locate(min(tile * TILE_GROUPS + loads, n_groups() - 1), m, r);
    Quads w = p.w[which < 2 ? m.x : m.y];
    uint at = r[which] * (quads / 4) + half_block, g = tile * TILE_GROUPS + mine;
    locate(min(g, n_groups() - 1), m, r);
    for (uint block = 0; block < quads / 8; block++) {
        barrier(); // the block before is done
        load_weights(w, at + 2 * block, to);
        load_rows(first * PLANES, (last + 1) * PLANES - 1, block, quads);
        barrier();
        add_half(m, r, mine, row, 2 * block);
        add_half(m, r, mine, row, 2 * block + 1);
    }
    for (uint n = 0; n < BATCH; n++)
        if (g < n_groups() && first + row + 8 * n <= last)
            finish(g, m, r, first + row + 8 * n, joined(n));
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint n_rows = p.slot.w[N_ROWS];
    for (uint first = gl_WorkGroupID.y * TILE_ROWS; first < n_rows; first += gl_NumWorkGroups.y * TILE_ROWS)
        for (uint tile = gl_WorkGroupID.x; tile * TILE_GROUPS < n_groups(); tile += gl_NumWorkGroups.x)
            make_tile(tile, first, n_rows - 1);
}
#else
// The rows' values, from the sums of the lanes; the planes meet as integers where they are.
vec4 joined(uint row, uint n)
{
    if (GROUPED != 0) {
        vec4 high = sum_lanes(values[n * PLANES]);
        return PLANES == 1 ? high : fma(vec4(256.0), high, sum_lanes(values[n * PLANES + PLANES - 1]));
    }
    ivec4 high = sum_lanes(acc[n * PLANES]) - row_sum(row, 0);
    return vec4(PLANES == 1 ? high : 256 * high + (sum_lanes(acc[n * PLANES + PLANES - 1]) - row_sum(row, PLANES - 1)));
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint n_rows = p.slot.w[N_ROWS], lane = thread() % LANES;
    for (uint row = gl_WorkGroupID.y * BATCH; row < n_rows; row += gl_NumWorkGroups.y * BATCH)
        for (uint tile = gl_WorkGroupID.x; tile * GROUPS < n_groups(); tile += gl_NumWorkGroups.x) {
            uint g = tile * GROUPS + thread() / LANES;
            uvec2 m;
            uvec4 r;
            locate(min(g, n_groups() - 1), m, r);
            accumulate(m, r, row, n_rows - 1, lane);
            for (uint n = 0; n < BATCH; n++) {
                vec4 v = joined(min(row + n, n_rows - 1), n);
                if (lane == 0 && g < n_groups() && row + n < n_rows)
                    finish(g, m, r, row + n, v);
            }
        }
}
#endif
