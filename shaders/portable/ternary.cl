// Ternary products: BN_OP_MATMUL, BN_OP_GATE_UP, BN_OP_QKV, with FUSED the norm and quantisation before them, and with TILED for
// many rows of activations, MATRIX by instructions for matrices of int8. Weights are I2_S 128/32: the quad `half` of a block of 32 bytes
// holds, in plane k of its bytes from the top down, the columns 32 k + 16 half .. + 15.
//
// LANES work-items share four weight rows and split their columns. Which rows: four in a row (matmul, k and v in pairs
// order), two of gate and the same two of up, or those of two RoPE pairs with their neighbours, which share words of the KV pool.
#include "common.h"
#include "reduce.h"
#include "activate.h"
#include "rope.h"

#define LANES ((uint)C1)
#define MODE ((uint)C2)
#define BATCH C5 // rows of activations that a group takes at a time
#define GROUPS (THREADS / LANES)
#ifdef C3 // the shape is known: columns in whole blocks of 128, and those that count
#define SHAPE
#define COLS ((uint)C3)
#define FEATURES ((uint)C4)
#define SHARED_QUADS (C3 / 16)
#else
#define SHAPE , uint cols, uint features
#define COLS cols
#define FEATURES features
#define SHARED_QUADS (MOST_SHARED_COLS / 16)
#endif

#ifdef FUSED
#include "quantise.h"
#define ACTIVATIONS LOCAL
#else
#define ACTIVATIONS GLOBAL
#endif
DEFINE_SUM_LANES(sum_lanes, int)

struct ternary {
    struct place place; // its KV pool is what is added, for matmul
    GLOBAL float *out;
    GLOBAL const uint4 *w[3];
    float scale[3];
    uint rows, flags;
};

// Four weight rows: rows 0, 1 are of matrix a, rows 2, 3 of matrix b.
struct rows {
    uint a, b;
    uint4 r;
};

// Groups of four rows.
FUNCTION uint n_groups(const struct ternary *t)
{
    if (MODE == MODE_QKV)
        return (t->place.heads + 2 * t->place.kv_heads) * t->place.head_dim / 4;
    return MODE == MODE_GATE_UP ? (t->rows + 1) / 2 : (t->rows + 3) / 4;
}

FUNCTION struct rows locate(const struct ternary *t, uint g)
{
    uint end = t->rows - 1;
    struct rows at = {0, 0, (uint4)(0)};
    if (MODE == MODE_MATMUL) {
        at.r = (uint4)(least(g * 4, end), least(g * 4 + 1, end), least(g * 4 + 2, end), least(g * 4 + 3, end));
    } else if (MODE == MODE_GATE_UP) {
        at.b = 1;
        at.r.x = at.r.z = least(g * 2, end);
        at.r.y = at.r.w = least(g * 2 + 1, end);
    } else {
        const struct place *p = &t->place;
        uint quarter = p->head_dim / 4, head = g / quarter;
        uint first_k = p->heads, first_v = p->heads + p->kv_heads;
        at.a = at.b = head < first_k ? 0 : head < first_v ? 1 : 2;
        head -= head < first_k ? 0 : head < first_v ? first_k : first_v;
        at.r = rope_group(p, g % quarter) + head * p->head_dim;
    }
    return at;
}

FUNCTION GLOBAL const uint4 *matrix(const struct ternary *t, uint which)
{
    return which == 0 ? t->w[0] : which == 1 ? t->w[1] : t->w[2];
}

FUNCTION float scale_of(const struct ternary *t, uint which)
{
    return which == 0 ? t->scale[0] : which == 1 ? t->scale[1] : t->scale[2];
}

// Products of the four rows with BATCH rows of activations from `row` on; weights are read and unpacked once for all of them.
#if defined(WIDE) && defined(__AVX2__)
// On a CPU: a block of 128 columns at a time, which is a vector of 32 bytes. Sums of four products of pairs fit int16.
typedef char bytes32 __attribute__((ext_vector_type(32)));
typedef bytes32 loose32 __attribute__((aligned(16)));

INLINE int8 block_dot(bytes32 c0, bytes32 c1, bytes32 c2, bytes32 c3, ACTIVATIONS const loose32 *x, int8 sum)
{
    short16 pairs = as_short16(__builtin_ia32_pmaddubsw256(c0, x[0])) + as_short16(__builtin_ia32_pmaddubsw256(c1, x[1])) +
                    as_short16(__builtin_ia32_pmaddubsw256(c2, x[2])) + as_short16(__builtin_ia32_pmaddubsw256(c3, x[3]));
    return sum + as_int8(__builtin_ia32_pmaddwd256(pairs, (short16)(1)));
}

FUNCTION int sum8(int8 v)
{
    int4 s = v.lo + v.hi;
    return (s.x + s.z) + (s.y + s.w);
}

INLINE void accumulate(const struct ternary *t, const struct rows *at, ACTIVATIONS const uint4 *x, uint row, uint end,
                       uint cols, int4 *acc)
{
    GLOBAL const uint4 *a = matrix(t, at->a), *b = matrix(t, at->b);
    GLOBAL const loose32 *w[4] = {
        (GLOBAL const loose32 *)(a + at->r.x * (cols / 64)), (GLOBAL const loose32 *)(a + at->r.y * (cols / 64)),
        (GLOBAL const loose32 *)(b + at->r.z * (cols / 64)), (GLOBAL const loose32 *)(b + at->r.w * (cols / 64))};
    int8 sums[BATCH][4];
    for (uint n = 0; n < BATCH; n++)
        sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = (int8)(0);
    for (uint i = thread() % LANES; i < cols / 128; i += LANES)
#pragma unroll
        for (uint r = 0; r < 4; r++) {
            uint8 codes = as_uint8(w[r][i]);
            bytes32 c0 = __builtin_astype(codes >> 6 & 0x03030303u, bytes32);
            bytes32 c1 = __builtin_astype(codes >> 4 & 0x03030303u, bytes32);
            bytes32 c2 = __builtin_astype(codes >> 2 & 0x03030303u, bytes32);
            bytes32 c3 = __builtin_astype(codes & 0x03030303u, bytes32);
#pragma unroll
            for (uint n = 0; n < BATCH; n++)
                sums[n][r] = block_dot(c0, c1, c2, c3,
                                       (ACTIVATIONS const loose32 *)(x + least(row + n, end) * (cols / 16)) + 4 * i,
                                       sums[n][r]);
        }
    for (uint n = 0; n < BATCH; n++)
        acc[n] = (int4)(sum8(sums[n][0]), sum8(sums[n][1]), sum8(sums[n][2]), sum8(sums[n][3]));
}
#else
FUNCTION int dot16(uint4 x, uint4 code, int sum)
{
    sum = dot4(x.x, code.x, sum);
    sum = dot4(x.y, code.y, sum);
    sum = dot4(x.z, code.z, sum);
    return dot4(x.w, code.w, sum);
}

INLINE void accumulate(const struct ternary *t, const struct rows *at, ACTIVATIONS const uint4 *x, uint row, uint end,
                       uint cols, int4 *acc)
{
    GLOBAL const uint4 *a = matrix(t, at->a), *b = matrix(t, at->b);
    GLOBAL const uint4 *row0 = a + at->r.x * (cols / 64), *row1 = a + at->r.y * (cols / 64);
    GLOBAL const uint4 *row2 = b + at->r.z * (cols / 64), *row3 = b + at->r.w * (cols / 64);
    for (uint n = 0; n < BATCH; n++)
        acc[n] = (int4)(0);
    for (uint i = thread() % LANES; i < cols / 64; i += LANES) {
        uint4 w0 = row0[i], w1 = row1[i], w2 = row2[i], w3 = row3[i];
        uint x_at = (i >> 1) * 8 + (i & 1);
#pragma unroll
        for (uint k = 0; k < 4; k++) {
            uint shift = 6 - 2 * k;
            uint4 c0 = w0 >> shift & 0x03030303u, c1 = w1 >> shift & 0x03030303u;
            uint4 c2 = w2 >> shift & 0x03030303u, c3 = w3 >> shift & 0x03030303u;
#pragma unroll
            for (uint n = 0; n < BATCH; n++) {
                uint4 v = x[least(row + n, end) * (cols / 16) + x_at + 2 * k];
                acc[n].x = dot16(v, c0, acc[n].x);
                acc[n].y = dot16(v, c1, acc[n].y);
                acc[n].z = dot16(v, c2, acc[n].z);
                acc[n].w = dot16(v, c3, acc[n].w);
            }
        }
    }
}
#endif

FUNCTION void finish_matmul(const struct ternary *t, uint g, uint row, float4 v)
{
    const float value[4] = {v.x, v.y, v.z, v.w};
    for (uint i = 0; i < 4 && g * 4 + i < t->rows; i++) {
        uint at = row * t->rows + g * 4 + i;
        t->out[at] = (t->flags & FLAG_ADD) != 0 ? value[i] + t->place.kv[at] : value[i];
    }
}

FUNCTION void finish_gate_up(const struct ternary *t, uint g, uint row, float4 v)
{
    t->out[row * t->rows + g * 2] = activated(t->flags, v.x) * v.z;
    if (g * 2 + 1 < t->rows)
        t->out[row * t->rows + g * 2 + 1] = activated(t->flags, v.y) * v.w;
}

FUNCTION void finish_qkv(const struct ternary *t, const struct rows *at, uint row, float4 v)
{
    const struct place *p = &t->place;
    uint head = at->r.x / p->head_dim, low = at->r.x % p->head_dim, high = at->r.z % p->head_dim;
    if (at->a != 2)
        v = rotate_pairs(p, v, row, low);
    if (at->a != 0) {
        store_kv(p, at->a - 1, head, row, low, high, v);
        return;
    }
    GLOBAL float *out = t->out + row * p->heads * p->head_dim;
    out[at->r.x] = v.x;
    out[at->r.y] = v.y;
    out[at->r.z] = v.z;
    out[at->r.w] = v.w;
}

FUNCTION void finish(const struct ternary *t, const struct rows *at, uint g, uint row, int4 acc, float row_scale,
                   int row_sum)
{
    float factor_a = divide(scale_of(t, at->a), row_scale);
    float factor_b = MODE == MODE_GATE_UP ? divide(scale_of(t, at->b), row_scale) : factor_a;
    float4 v = convert(acc - row_sum, float4) * (float4)(factor_a, factor_a, factor_b, factor_b);
    if (MODE == MODE_MATMUL)
        finish_matmul(t, g, row, v);
    else if (MODE == MODE_GATE_UP)
        finish_gate_up(t, g, row, v);
    else
        finish_qkv(t, at, row, v);
}

#ifdef TILED
// A group makes a tile: THREADS / 8 groups of weight rows, 8 BATCH rows of activations, of which a work-item finishes one group
// and BATCH rows, 8 apart. 128 columns at a time go through the group's memory, the weights unpacked to a byte each; rows there
// are longer than that, so that what work-items read together is in different banks: one word each of sixteen rows, or, of matrices,
// four words each of eight.
#define TILE_GROUPS (C0 / 8)
#define TILE_ROWS (8 * BATCH)
#ifdef MATRIX
#define STRIDE 36
#else
#define STRIDE 33
#endif

// Half a block of a weight row.
INLINE void store_weights(uint4 quad, LOCAL uint *to)
{
#pragma unroll
    for (uint k = 0; k < 4; k++) {
        uint4 codes = quad >> (6 - 2 * k) & 0x03030303u;
        to[8 * k] = codes.x;
        to[8 * k + 1] = codes.y;
        to[8 * k + 2] = codes.z;
        to[8 * k + 3] = codes.w;
    }
}

// The rows of activations: each work-item has some quads of them.
#define QUADS (TILE_ROWS * 8 / C0)
INLINE void load_rows(GLOBAL const uint4 *x, uint first, uint last, uint cols, uint4 *quads)
{
#pragma unroll
    for (uint n = 0; n < QUADS; n++) {
        uint i = thread() + n * THREADS;
        quads[n] = x[least(first + i / 8, last) * (cols / 16) + i % 8];
    }
}

INLINE void store_rows(const uint4 *quads, LOCAL uint *s_x)
{
#pragma unroll
    for (uint n = 0; n < QUADS; n++) {
        uint i = thread() + n * THREADS;
        LOCAL uint *to = s_x + i / 8 * STRIDE + i % 8 * 4;
        to[0] = quads[n].x;
        to[1] = quads[n].y;
        to[2] = quads[n].z;
        to[3] = quads[n].w;
    }
}

#ifdef MATRIX
#include "matrix.h"
#define SUBGROUPS (THREADS / MATRIX_SIZE)
#define ACROSS (TILE_ROWS / MATRIX_N) // what lies beside each other in a strip of 16 weight rows
#define MINE ((C0 / 32 + C0 / MATRIX_SIZE - 1) / (C0 / MATRIX_SIZE)) // of the strips, a subgroup's
#define SUMS_STRIDE (4 * TILE_GROUPS + 1)

typedef int SUMS[MINE][ACROSS][D_SUMS];

INLINE void clear(SUMS d)
{
#pragma unroll
    for (uint m = 0; m < MINE; m++)
#pragma unroll
        for (uint n = 0; n < ACROSS; n++)
#pragma unroll
            for (uint i = 0; i < D_SUMS; i++)
                d[m][n][i] = 0;
}

// Adds the products of the 128 columns that are in the group's memory.
INLINE void add_block(LOCAL const uint *s_w, LOCAL const uint *s_x, SUMS d)
{
    uint lane = thread() % MATRIX_SIZE;
#pragma unroll
    for (uint column = 0; column < 32; column += MATRIX_K / 4)
#pragma unroll
        for (uint m = 0; m < MINE; m++) {
            LOCAL const uint *strip = s_w + (thread() / MATRIX_SIZE + m * SUBGROUPS) * 16 * STRIDE + column;
            uint a[A_WORDS], b[B_WORDS];
#pragma unroll
            for (uint i = 0; i < A_WORDS; i++)
                a[i] = strip[A_ROW(lane, i) * STRIDE + A_WORD(lane, i)];
#pragma unroll
            for (uint n = 0; n < ACROSS; n++) {
#pragma unroll
                for (uint i = 0; i < B_WORDS; i++)
                    b[i] = s_x[(n * MATRIX_N + B_COL(lane, i)) * STRIDE + column + B_WORD(lane, i)];
                multiply(a, b, d[m][n]);
            }
        }
}

// Puts the sums where the weights were, one row of activations after the other.
INLINE void share(LOCAL uint *s_w, SUMS d)
{
    uint lane = thread() % MATRIX_SIZE;
    meet(); // the last block is done
#pragma unroll
    for (uint m = 0; m < MINE; m++)
#pragma unroll
        for (uint n = 0; n < ACROSS; n++)
#pragma unroll
            for (uint i = 0; i < D_SUMS; i++)
                s_w[(n * MATRIX_N + D_COL(lane, i)) * SUMS_STRIDE + (thread() / MATRIX_SIZE + m * SUBGROUPS) * 16 +
                    D_ROW(lane, i)] = (uint)d[m][n][i];
    meet();
}

INLINE int4 shared_sum(LOCAL const uint *s_w, uint n)
{
    s_w += (thread() / TILE_GROUPS + 8 * n) * SUMS_STRIDE + thread() % TILE_GROUPS;
    return (int4)((int)s_w[0], (int)s_w[TILE_GROUPS], (int)s_w[2 * TILE_GROUPS], (int)s_w[3 * TILE_GROUPS]);
}
#define SUM(s_w, sums, n) shared_sum(s_w, n)
#else
typedef int4 SUMS[BATCH];
#define share(s_w, sums)
#define SUM(s_w, sums, n) sums[n]

INLINE void clear(SUMS acc)
{
#pragma unroll
    for (uint n = 0; n < BATCH; n++)
        acc[n] = (int4)(0);
}

INLINE void add_block(LOCAL const uint *s_w, LOCAL const uint *s_x, SUMS acc)
{
    s_w += thread() % TILE_GROUPS * STRIDE;
    s_x += thread() / TILE_GROUPS * STRIDE;
    for (uint i = 0; i < 32; i++) {
        uint w0 = s_w[i], w1 = s_w[TILE_GROUPS * STRIDE + i];
        uint w2 = s_w[2 * TILE_GROUPS * STRIDE + i], w3 = s_w[3 * TILE_GROUPS * STRIDE + i];
#pragma unroll
        for (uint n = 0; n < BATCH; n++) {
            uint x = s_x[8 * n * STRIDE + i];
            acc[n].x = dot4(x, w0, acc[n].x);
            acc[n].y = dot4(x, w1, acc[n].y);
            acc[n].z = dot4(x, w2, acc[n].z);
            acc[n].w = dot4(x, w3, acc[n].w);
        }
    }
}
#endif

INLINE void make_tile(const struct ternary *t, LOCAL uint *s_w, LOCAL uint *s_x, GLOBAL const uint4 *x,
                      GLOBAL const uint *scales, uint tile, uint first, uint last, uint cols)
{
    uint which = thread() / 2 % 4, half_block = thread() % 2, mine = thread() % TILE_GROUPS, row = thread() / TILE_GROUPS;
    uint loads = thread() / 8, groups = n_groups(t);
    struct rows at = locate(t, least(tile * TILE_GROUPS + loads, groups - 1));
    uint r = which == 0 ? at.r.x : which == 1 ? at.r.y : which == 2 ? at.r.z : at.r.w;
    GLOBAL const uint4 *w = matrix(t, which < 2 ? at.a : at.b) + r * (cols / 64) + half_block;
    LOCAL uint *to = s_w + (which * TILE_GROUPS + loads) * STRIDE + 4 * half_block;
    SUMS sums;
    clear(sums);
    uint4 quad = *w, quads[QUADS];
    load_rows(x, first, last, cols, quads);
    for (uint block = 1; block <= cols / 128; block++) {
        meet(); // the block before is done
        store_weights(quad, to);
        store_rows(quads, s_x);
        meet();
        if (block < cols / 128) { // the next one comes while this is multiplied
            quad = w[2 * block];
            load_rows(x + 8 * block, first, last, cols, quads);
        }
        add_block(s_w, s_x, sums);
    }
    share(s_w, sums);
    uint g = tile * TILE_GROUPS + mine;
    at = locate(t, least(g, groups - 1));
#pragma unroll
    for (uint n = 0; n < BATCH; n++) { // else the sums would lie in memory
        uint to_row = first + row + 8 * n;
        if (g < groups && to_row <= last)
            finish(t, &at, g, to_row, SUM(s_w, sums, n), as_float(scales[to_row * 2]), (int)scales[to_row * 2 + 1]);
    }
}
#endif

#ifdef FUSED
#define INPUT SPAN(float4, x), SPAN(float4, norm)
#define NAME ternary_fused
#else
#define INPUT SPAN(uint4, x), SPAN(uint, scales) // int8 [rows][COLS], bn_row_scale [rows]
#if !defined(TILED)
#define NAME ternary
#elif !defined(NAME)
#define NAME ternary_tiled
#endif
#endif

KERNEL NAME(SPAN(uint, slot), INPUT, SPAN(uint4, w0), SPAN(uint4, w1), SPAN(uint4, w2), SPAN(float, out),
            SPAN(float, add_kv), SPAN(uint, rope), uint op, uint rows, uint flags, float scale0, float scale1,
            float scale2, uint packed_heads, uint packed_place, uint kv_page_words, float eps SHAPE)
{
#ifndef TILED
    LOCAL uint s[SHARED_WORDS];
#endif
    OPEN(uint, slot);
    OPEN(uint4, w0);
    OPEN(uint4, w1);
    OPEN(uint4, w2);
    OPEN(float, out);
    OPEN(float, add_kv);
    OPEN(uint, rope);
    if (skips(slot, op))
        return;
    const struct ternary t = {.place =
                                  place_of(slot, rope, add_kv, op, packed_heads, packed_place, kv_page_words),
                              .out = out,
                              .w = {w0, w1, w2},
                              .scale = {scale0, scale1, scale2},
                              .rows = rows,
                              .flags = flags};
    uint n_rows = slot[SLOT_N_ROWS];
    if (n_rows == 0)
        return;
#ifdef TILED
    LOCAL uint s_w[4 * TILE_GROUPS * STRIDE], s_x[TILE_ROWS * STRIDE];
    OPEN(uint4, x);
    OPEN(uint, scales);
    for (uint first = group_y() * TILE_ROWS; first < n_rows; first += groups_y() * TILE_ROWS)
        for (uint tile = group_x(); tile * TILE_GROUPS < n_groups(&t); tile += groups_x())
            make_tile(&t, s_w, s_x, x, scales, tile, first, n_rows - 1, COLS);
#else
    uint lane = thread() % LANES, groups = n_groups(&t);
#ifdef FUSED
    LOCAL uint4 s_x[SHARED_QUADS];
    OPEN(float4, x);
    OPEN(float4, norm);
    struct row_input in = {x, norm, (flags & FLAG_NORM) != 0, 0.0f, 0.0f};
    if (!scale_row(s, &in, FEATURES, eps, 127.0f)) {
        report_not_finite(slot, op);
        return;
    }
    int row_sum = 0;
    for (uint i = thread(); i < COLS / 4; i += THREADS) {
        int4 q = i < FEATURES / 4 ? quantised(&in, i, 127.0f) : (int4)(0);
        ((LOCAL uint *)s_x)[i] = pack_int8(q);
        row_sum += sum_of(q);
    }
    row_sum = reduce_add_int(s, row_sum);
    meet();
#define X s_x
#define ROW_SCALE(row) in.scale
#define ROW_SUM(row) row_sum
#else
    OPEN(uint4, x);
    OPEN(uint, scales);
#define X x
#define ROW_SCALE(row) as_float(scales[(row) * 2])
#define ROW_SUM(row) ((int)scales[(row) * 2 + 1])
#endif
    for (uint row = group_y() * BATCH; row < n_rows; row += groups_y() * BATCH)
        for (uint tile = group_x(); tile * GROUPS < groups; tile += groups_x()) {
            uint g = tile * GROUPS + thread() / LANES;
            struct rows at = locate(&t, least(g, groups - 1));
            int4 acc[BATCH];
            accumulate(&t, &at, X, row, n_rows - 1, COLS, acc);
            for (uint n = 0; n < BATCH; n++) {
                int4 sums = (int4)(sum_lanes(s, acc[n].x, LANES), sum_lanes(s, acc[n].y, LANES),
                                   sum_lanes(s, acc[n].z, LANES), sum_lanes(s, acc[n].w, LANES));
                if (lane == 0 && g < groups && row + n < n_rows)
                    finish(&t, &at, g, row + n, sums, ROW_SCALE(row + n), ROW_SUM(row + n));
            }
        }
#endif
}
