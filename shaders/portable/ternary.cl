// Ternary products: BN_OP_MATMUL, BN_OP_GATE_UP, BN_OP_QKV, and with FUSED the norm and quantisation before them. Weights are
// I2_S 128/32: the quad `half` of a block of 32 bytes holds, in plane k of its bytes from the top down, the columns
// 32 k + 16 half .. + 15.
//
// LANES work-items share four weight rows and split their columns. Which rows: four in a row (matmul, k and v in pairs
// order), two of gate and the same two of up, or those of two RoPE pairs with their neighbours, which share words of the KV pool.
#include "common.h"
#include "reduce.h"

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
DEFINE_QUANTISE(quantise_row, LOCAL)
#define ACTIVATIONS LOCAL
#else
#define ACTIVATIONS GLOBAL
#endif
DEFINE_SUM_LANES(sum_lanes, int)

struct ternary {
    GLOBAL uint *slot;
    GLOBAL const uint *rope;
    GLOBAL float *out;
    GLOBAL float *add_kv; // matmul: residual; qkv: KV pool
    GLOBAL const uint4 *w[3];
    float scale[3];
    uint op, rows, flags;
    uint heads, kv_heads, head_dim, layer, kv_page_words;
    bool rope_pairs;
};

// Four weight rows: rows 0, 1 are of matrix a, rows 2, 3 of matrix b.
struct rows {
    uint a, b;
    uint4 r;
};

// Groups of four rows.
static uint n_groups(const struct ternary *t)
{
    if (MODE == MODE_QKV)
        return (t->heads + 2 * t->kv_heads) * t->head_dim / 4;
    return MODE == MODE_GATE_UP ? (t->rows + 1) / 2 : (t->rows + 3) / 4;
}

static struct rows locate(const struct ternary *t, uint g)
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
        uint quarter = t->head_dim / 4, head = g / quarter, j = g % quarter;
        uint first_k = t->heads, first_v = t->heads + t->kv_heads;
        at.a = at.b = head < first_k ? 0 : head < first_v ? 1 : 2;
        head -= head < first_k ? 0 : head < first_v ? first_k : first_v;
        at.r = t->rope_pairs ? 4 * j + (uint4)(0, 1, 2, 3) : 2 * j + (uint4)(0, 1, 2 * quarter, 2 * quarter + 1);
        at.r += head * t->head_dim;
    }
    return at;
}

static GLOBAL const uint4 *matrix(const struct ternary *t, uint which)
{
    return which == 0 ? t->w[0] : which == 1 ? t->w[1] : t->w[2];
}

static float scale_of(const struct ternary *t, uint which)
{
    return which == 0 ? t->scale[0] : which == 1 ? t->scale[1] : t->scale[2];
}

static int dot16(uint4 x, uint4 code, int sum)
{
    sum = dot4(x.x, code.x, sum);
    sum = dot4(x.y, code.y, sum);
    sum = dot4(x.z, code.z, sum);
    return dot4(x.w, code.w, sum);
}

// Products of the four rows with BATCH rows of activations from `row` on; weights are read and unpacked once for all of them.
static void accumulate(const struct ternary *t, const struct rows *at, ACTIVATIONS const uint4 *x, uint row, uint end,
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

static float relu2(float g)
{
    float r = g > 0.0f ? g : 0.0f;
    return r * r;
}

static float silu(float g)
{
    return g / (1.0f + exp_own(-g));
}

// The pairs (x, z), (y, w) in halves order, (x, y), (z, w) in pairs order, turned by the angles at the position.
static float4 rotate_pairs(const struct ternary *t, float4 v, uint row, uint within)
{
    uint at = row_position(t->slot, row) * t->head_dim + (t->rope_pairs ? within : 2 * within);
    float c0 = as_float(t->rope[at]), s0 = as_float(t->rope[at + 1]);
    float c1 = as_float(t->rope[at + 2]), s1 = as_float(t->rope[at + 3]);
    if (t->rope_pairs)
        v = v.xzyw;
    float4 turned = (float4)(v.x * c0 - v.z * s0, v.y * c1 - v.w * s1, v.x * s0 + v.z * c0, v.y * s1 + v.w * c1);
    return t->rope_pairs ? turned.xzyw : turned;
}

static void store_kv(const struct ternary *t, uint which, uint head, uint row, uint low, uint high, float4 v)
{
    uint position = row_position(t->slot, row);
    uint rows = (t->layer * 2 + which) * t->kv_heads + head;
    uint at =
        row_page(t->slot, row, position / 64) * t->kv_page_words + (rows * 64 + position % 64) * (t->head_dim / 2);
    uint4 h = (uint4)(half_bits(v.x), half_bits(v.y), half_bits(v.z), half_bits(v.w));
    t->add_kv[at + low / 2] = as_float(h.x | h.y << 16);
    t->add_kv[at + high / 2] = as_float(h.z | h.w << 16);
    if ((h.x & 0x7c00u) == 0x7c00u || (h.y & 0x7c00u) == 0x7c00u || (h.z & 0x7c00u) == 0x7c00u ||
        (h.w & 0x7c00u) == 0x7c00u)
        report_not_finite(t->slot, t->op);
}

static void finish_matmul(const struct ternary *t, uint g, uint row, float4 v)
{
    const float value[4] = {v.x, v.y, v.z, v.w};
    for (uint i = 0; i < 4 && g * 4 + i < t->rows; i++) {
        uint at = row * t->rows + g * 4 + i;
        t->out[at] = (t->flags & FLAG_ADD) != 0 ? value[i] + t->add_kv[at] : value[i];
    }
}

static void finish_gate_up(const struct ternary *t, uint g, uint row, float4 v)
{
    bool with_silu = (t->flags & FLAG_SILU) != 0;
    t->out[row * t->rows + g * 2] = (with_silu ? silu(v.x) : relu2(v.x)) * v.z;
    if (g * 2 + 1 < t->rows)
        t->out[row * t->rows + g * 2 + 1] = (with_silu ? silu(v.y) : relu2(v.y)) * v.w;
}

static void finish_qkv(const struct ternary *t, const struct rows *at, uint row, float4 v)
{
    uint head = at->r.x / t->head_dim, low = at->r.x % t->head_dim, high = at->r.z % t->head_dim;
    if (at->a != 2)
        v = rotate_pairs(t, v, row, low);
    if (at->a != 0) {
        store_kv(t, at->a - 1, head, row, low, high, v);
        return;
    }
    GLOBAL float *out = t->out + row * t->heads * t->head_dim;
    out[at->r.x] = v.x;
    out[at->r.y] = v.y;
    out[at->r.z] = v.z;
    out[at->r.w] = v.w;
}

static void finish(const struct ternary *t, const struct rows *at, uint g, uint row, int4 acc, float row_scale,
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

#ifdef FUSED
#define INPUT SPAN(float4, x), SPAN(float4, norm)
#define NAME ternary_fused
#else
#define INPUT SPAN(uint4, x), SPAN(uint, scales) // int8 [rows][COLS], bn_row_scale [rows]
#define NAME ternary
#endif

// packed_heads: heads | kv_heads << 16. packed_place: head_dim | rope order << 15 | layer << 16.
KERNEL NAME(SPAN(uint, slot), INPUT, SPAN(uint4, w0), SPAN(uint4, w1), SPAN(uint4, w2), SPAN(float, out),
            SPAN(float, add_kv), SPAN(uint, rope), uint op, uint rows, uint flags, float scale0, float scale1,
            float scale2, uint packed_heads, uint packed_place, uint kv_page_words, float eps SHAPE)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(uint4, w0);
    OPEN(uint4, w1);
    OPEN(uint4, w2);
    OPEN(float, out);
    OPEN(float, add_kv);
    OPEN(uint, rope);
    if (skips(slot, op))
        return;
    const struct ternary t = {.slot = slot,
                              .rope = rope,
                              .out = out,
                              .add_kv = add_kv,
                              .w = {w0, w1, w2},
                              .scale = {scale0, scale1, scale2},
                              .op = op,
                              .rows = rows,
                              .flags = flags,
                              .heads = packed_heads & 0xffffu,
                              .kv_heads = packed_heads >> 16,
                              .head_dim = packed_place & 0x7fffu,
                              .layer = packed_place >> 16,
                              .kv_page_words = kv_page_words,
                              .rope_pairs = (packed_place & 0x8000u) != 0};
    uint n_rows = slot[SLOT_N_ROWS], lane = thread() % LANES, groups = n_groups(&t);
    if (n_rows == 0)
        return;
#ifdef FUSED
    LOCAL uint4 s_x[SHARED_QUADS];
    OPEN(float4, x);
    OPEN(float4, norm);
    struct row_input in = {x, norm, (flags & FLAG_NORM) != 0, 0.0f};
    float row_scale;
    int row_sum;
    if (!quantise_row(s, &in, FEATURES, COLS, eps, (LOCAL uint *)s_x, &row_scale, &row_sum)) {
        report_not_finite(slot, op);
        return;
    }
    meet();
#define X s_x
#define ROW_SCALE(row) row_scale
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
}
