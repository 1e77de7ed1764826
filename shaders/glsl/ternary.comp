#version 460
#extension GL_GOOGLE_include_directive : require
// Ternary products: BN_OP_MATMUL, BN_OP_GATE_UP, BN_OP_QKV, with FUSED the norm and quantisation before them, and with TILED for many
// rows of activations (COOPMAT: by cooperative matrices). Weights are I2_S 128/32: the quad `half` of a
// block of 32 bytes holds, in plane k of its bytes from the top down, the columns 32 k + 16 half .. + 15.
//
// LANES invocations share four weight rows and split their columns. Which rows: four in a row (matmul, k and v in pairs
// order), two of gate and the same two of up, or those of two RoPE pairs with their neighbours, which share words of the KV pool.
#include "common.glsl"
#include "dot.glsl"
#include "reduce.glsl"
#include "activate.glsl"

layout(constant_id = 1) const uint LANES = 8; // a power of two, at most THREADS
layout(constant_id = 2) const uint MODE = 0;  // MATMUL, GATE_UP, QKV
layout(constant_id = 3) const uint COLS = 128;     // whole blocks of 128
layout(constant_id = 4) const uint FEATURES = 128; // columns that count
layout(constant_id = 5) const uint BATCH = 1;      // rows of activations that a workgroup takes at a time
const uint MATMUL = 0, GATE_UP = 1, QKV = 2;
const uint GROUPS = THREADS / LANES;
const uint HAS_ADD = 1, HAS_NORM = 4; // flags; and those of the activation

layout(push_constant, std430) uniform Push
{
    Words slot;
#ifdef FUSED
    Vectors x, norm;
#else
    Quads x;      // int8 [rows][COLS]
    Words scales; // bn_row_scale [rows]
#endif
    Quads w[3];
    Floats out_;
    Floats add_kv; // matmul: residual; qkv: KV pool
    Words rope;
    uint op, rows, flags;
    float scale[3];
    uint packed_heads; // qkv: heads | kv_heads << 16
    uint packed_place; // qkv: head_dim | rope order << 15 | layer << 16
    uint kv_page_words;
    float eps;
} p;

#ifdef FUSED
shared uvec4 s_x[COLS / 16];
#include "quantise.glsl"
#define X(row, i) s_x[i]
float x_scale;
int x_sum;
#define ROW_SCALE(row) x_scale
#define ROW_SUM(row) x_sum

// The row for all invocations of the workgroup. False: not finite.
bool quantise_row()
{
    Row r = Row(p.x, p.norm, (p.flags & HAS_NORM) != 0, 0, 0.0, 0.0);
    bool finite = scale_row(r, FEATURES, p.eps, 127.0);
    int mine = 0;
    for (uint i = thread(); i < COLS / 4 && finite; i += THREADS) {
        ivec4 q = i < FEATURES / 4 ? quantised(r, i, 127.0) : ivec4(0);
        s_x[i / 4][i % 4] = pack_int8(q);
        mine += sum_of(q);
    }
    x_scale = r.scale;
    x_sum = reduce_add(mine);
    barrier();
    return finite;
}
#else
#define X(row, i) p.x.q[(row) * (COLS / 16) + (i)]
#define ROW_SCALE(row) uintBitsToFloat(p.scales.w[(row) * 2])
#define ROW_SUM(row) int(p.scales.w[(row) * 2 + 1])
#endif

#define KV_POOL p.add_kv
#include "rope.glsl"
#ifndef TILED
#include "lanes.glsl"
#endif

// Groups of four rows.
uint n_groups()
{
    if (MODE == QKV)
        return (heads() + 2 * kv_heads()) * head_dim() / 4;
    return MODE == GATE_UP ? (p.rows + 1) / 2 : (p.rows + 3) / 4;
}

// Rows of group g: of which matrices, and where. Rows 0, 1 are of matrix m.x, rows 2, 3 of m.y.
void locate(uint g, out uvec2 m, out uvec4 r)
{
    if (MODE == MATMUL) {
        m = uvec2(0);
        r = min(g * 4 + uvec4(0, 1, 2, 3), uvec4(p.rows - 1));
    } else if (MODE == GATE_UP) {
        m = uvec2(0, 1);
        r = min(g * 2 + uvec4(0, 1, 0, 1), uvec4(p.rows - 1));
    } else {
        uint quarter = head_dim() / 4, head = g / quarter, j = g % quarter;
        uint first_k = heads(), first_v = heads() + kv_heads();
        m = uvec2(head < first_k ? 0 : head < first_v ? 1 : 2);
        head -= head < first_k ? 0 : head < first_v ? first_k : first_v;
        r = head * head_dim() + rope_group(j);
    }
}

#ifndef TILED
// Products of the four rows with BATCH rows of activations from `row` on; weights are read and unpacked once for all of them.
void accumulate(Quads a, Quads b, uvec4 at, uint row, uint last, uint lane, out ivec4 acc[BATCH])
{
    for (uint n = 0; n < BATCH; n++)
        acc[n] = ivec4(0);
    for (uint i = lane; i < COLS / 64; i += LANES) {
        uvec4 w0 = a.q[at.x + i], w1 = a.q[at.y + i], w2 = b.q[at.z + i], w3 = b.q[at.w + i];
        uint x_at = (i >> 1) * 8 + (i & 1);
        [[unroll]] for (int k = 0; k < 4; k++)
        {
            int shift = 6 - 2 * k;
            uvec4 c0 = w0 >> shift & 0x03030303u, c1 = w1 >> shift & 0x03030303u;
            uvec4 c2 = w2 >> shift & 0x03030303u, c3 = w3 >> shift & 0x03030303u;
            for (uint n = 0; n < BATCH; n++) {
                uvec4 x = X(min(row + n, last), x_at + 2 * k);
                [[unroll]] for (int c = 0; c < 4; c++)
                    acc[n] += ivec4(DOT4(x[c], c0[c]), DOT4(x[c], c1[c]), DOT4(x[c], c2[c]), DOT4(x[c], c3[c]));
            }
        }
    }
}

#endif

void finish(uint g, uvec2 m, uvec4 r, uint row, ivec4 acc)
{
    float row_scale = ROW_SCALE(row);
    acc -= ROW_SUM(row);
    float factor_a = divide(p.scale[m.x], row_scale);
    float factor_b = MODE == GATE_UP ? divide(p.scale[m.y], row_scale) : factor_a;
    precise vec4 v = vec4(acc) * vec4(factor_a, factor_a, factor_b, factor_b);
    if (MODE == MATMUL) {
        for (uint i = 0; i < 4 && g * 4 + i < p.rows; i++) {
            uint at = row * p.rows + g * 4 + i;
            precise float sum = v[i];
            if ((p.flags & HAS_ADD) != 0)
                sum = v[i] + p.add_kv.f[at];
            p.out_.f[at] = sum;
        }
    } else if (MODE == GATE_UP) {
        for (uint i = 0; i < 2 && g * 2 + i < p.rows; i++) {
            precise float gated = activated(p.flags, v[i]) * v[i + 2];
            p.out_.f[row * p.rows + g * 2 + i] = gated;
        }
    } else {
        uint head = r.x / head_dim(), low = r.x % head_dim(), high = r.z % head_dim();
        if (m.x != 2)
            v = rotate(v, row, low);
        if (m.x != 0) {
            store_kv(m.x - 1, head, row, low, high, v);
            return;
        }
        uint at = row * heads() * head_dim();
        p.out_.f[at + r.x] = v.x;
        p.out_.f[at + r.y] = v.y;
        p.out_.f[at + r.z] = v.z;
        p.out_.f[at + r.w] = v.w;
    }
}

#ifdef TILED
#define TILE_PLANES 1
#define TILE_CODES(codes) (codes)
#include "tile.glsl"
#ifdef COOPMAT
#include "matrices.glsl"
#else
#define clear_parts()
#define share_parts()
#define SUMS(n) acc[n]
#endif

void make_tile(uint tile, uint first, uint last)
{
    uint which = thread() / 2 % 4, half_block = thread() % 2, mine = thread() % TILE_GROUPS, row = thread() / TILE_GROUPS;
    uint loads = thread() / 8, to = (which * TILE_GROUPS + loads) * STRIDE + QUAD * half_block;
    uvec2 m;
    uvec4 r;
    ivec4 acc[BATCH];
    for (uint n = 0; n < BATCH; n++)
        acc[n] = ivec4(0);
    locate(min(tile * TILE_GROUPS + loads, n_groups() - 1), m, r);
    Quads w = p.w[which < 2 ? m.x : m.y];
    uint at = r[which] * (COLS / 64) + half_block;
    clear_parts();
    for (uint block = 0; block < COLS / 128; block++) {
        barrier(); // the block before is done
        load_weights(w, at + 2 * block, to);
        load_rows(first, last, block, COLS / 16);
        barrier();
#ifdef COOPMAT
        add_block();
#else
        for (uint i = 0; i < 32; i++) {
            uvec4 c = tile_codes(mine, i);
            [[unroll]] for (uint n = 0; n < BATCH; n++)
            {
                uint x = s_x[(row + 8 * n) * STRIDE + i];
                acc[n] += ivec4(DOT4(x, c.x), DOT4(x, c.y), DOT4(x, c.z), DOT4(x, c.w));
            }
        }
#endif
    }
    share_parts();
    uint g = tile * TILE_GROUPS + mine;
    locate(min(g, n_groups() - 1), m, r);
    for (uint n = 0; n < BATCH; n++)
        if (g < n_groups() && first + row + 8 * n <= last)
            finish(g, m, r, first + row + 8 * n, SUMS(n));
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
void main()
{
    if (skips(p.slot, p.op))
        return;
    uint n_rows = p.slot.w[N_ROWS], lane = thread() % LANES;
#ifdef FUSED
    if (n_rows == 0)
        return;
    if (!quantise_row()) {
        report_not_finite(p.slot, p.op);
        return;
    }
#endif
    for (uint row = gl_WorkGroupID.y * BATCH; row < n_rows; row += gl_NumWorkGroups.y * BATCH)
        for (uint tile = gl_WorkGroupID.x; tile * GROUPS < n_groups(); tile += gl_NumWorkGroups.x) {
            uint g = tile * GROUPS + thread() / LANES;
            uvec2 m;
            uvec4 r;
            ivec4 acc[BATCH];
            locate(min(g, n_groups() - 1), m, r);
            accumulate(p.w[m.x], p.w[m.y], r * (COLS / 64), row, n_rows - 1, lane, acc);
            for (uint n = 0; n < BATCH; n++) {
                ivec4 sums = sum_lanes(acc[n]);
                if (lane == 0 && g < n_groups() && row + n < n_rows)
                    finish(g, m, r, row + n, sums);
            }
        }
}
#endif
