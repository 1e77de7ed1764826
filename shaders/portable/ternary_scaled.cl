// Ternary products of the families that ternary.cl does not know: scales of rows or groups of columns, activations in two
// planes, and the products of BN_OP_QKV without what follows them, which is append.cl's. Weights and work-items are as there;
// a work-item takes whole blocks of 128 columns, so that the sums of halves of them are exact before a group's scale.
#include "common.h"
#include "reduce.h"
#include "activate.h"

#define LANES ((uint)C1)
#define BATCH C2
#define PLANES C3
#define GROUPED C4 // a matrix has scales that reach groups of columns
#define GROUPS (THREADS / LANES)

DEFINE_SUM_LANES(sum_lanes_int, int)
DEFINE_SUM_LANES(sum_lanes_float, float)

struct scaled {
    GLOBAL const uint4 *x;     // int8 [rows][PLANES][cols]
    GLOBAL const uint *scales; // bn_row_scale [rows][PLANES]
    GLOBAL const uint4 *w[3];
    GLOBAL const float *w_scales[3]; // [rows of w][1, or groups]
    GLOBAL float *out[3];            // matmul: the second is what is added
    uint rows, more_rows;            // of w[0]; of w[1] and w[2] for QKV
    uint features, cols, flags, mode;
    float scale[3];
};

// Four weight rows: rows 0, 1 are of matrix a, rows 2, 3 of matrix b.
struct rows {
    uint a, b;
    uint4 r;
};

#define CHOOSE(list, which) ((which) == 0 ? (list)[0] : (which) == 1 ? (list)[1] : (list)[2])

// What a scale of matrix m reaches: 0 all of it, 1 a row, or so many columns.
FUNCTION uint reach(const struct scaled *t, uint m)
{
    uint code = t->flags >> (8 + 4 * m) & 15u;
    return code < 2 ? code : 16u << code;
}

FUNCTION uint n_groups(const struct scaled *t)
{
    if (t->mode == MODE_QKV)
        return t->rows / 4 + 2 * (t->more_rows / 4);
    return t->mode == MODE_GATE_UP ? (t->rows + 1) / 2 : (t->rows + 3) / 4;
}

FUNCTION struct rows locate(const struct scaled *t, uint g)
{
    struct rows at = {0, 0, (uint4)(0)};
    uint end = t->rows - 1;
    if (t->mode == MODE_GATE_UP) {
        at.b = 1;
        at.r.x = at.r.z = least(g * 2, end);
        at.r.y = at.r.w = least(g * 2 + 1, end);
        return at;
    }
    if (t->mode == MODE_QKV && g >= t->rows / 4) {
        g -= t->rows / 4;
        at.a = at.b = g < t->more_rows / 4 ? 1 : 2;
        g -= at.a == 1 ? 0 : t->more_rows / 4;
        end = t->more_rows - 1;
    }
    at.r = (uint4)(least(g * 4, end), least(g * 4 + 1, end), least(g * 4 + 2, end), least(g * 4 + 3, end));
    return at;
}

// The scale of half a block in a row of matrix m; 1 where scales do not reach groups.
FUNCTION float group_scale(const struct scaled *t, uint m, uint r, uint half_block)
{
    uint columns = reach(t, m);
    if (columns <= 1)
        return 1.0f;
    uint groups = (t->features + columns - 1) / columns;
    return CHOOSE(t->w_scales, m)[r * groups + least(half_block * 64 / columns, groups - 1)];
}

FUNCTION float4 group_scales(const struct scaled *t, const struct rows *at, uint half_block)
{
    return (float4)(group_scale(t, at->a, at->r.x, half_block), group_scale(t, at->a, at->r.y, half_block),
                    group_scale(t, at->b, at->r.z, half_block), group_scale(t, at->b, at->r.w, half_block));
}

FUNCTION int dot16(uint4 x, uint4 code, int sum)
{
    sum = dot4(x.x, code.x, sum);
    sum = dot4(x.y, code.y, sum);
    sum = dot4(x.z, code.z, sum);
    return dot4(x.w, code.w, sum);
}

// Sixteen columns of the four rows; with groups, of the trits, which are the codes - 1.
FUNCTION int4 dot_plane(uint4 x, const uint4 *w, uint shift, int4 sums)
{
    const uint4 mask = (uint4)(0x03030303u);
    sums.x = dot16(x, w[0] >> shift & mask, sums.x);
    sums.y = dot16(x, w[1] >> shift & mask, sums.y);
    sums.z = dot16(x, w[2] >> shift & mask, sums.z);
    sums.w = dot16(x, w[3] >> shift & mask, sums.w);
    return GROUPED ? sums - dot16(x, (uint4)(0x01010101u), 0) : sums;
}

// Sums of the rows' integers; where there are groups, of their floats. Loops over them are unrolled, so that they can be registers:
// clang leaves the loops in PTX otherwise, and with them the sums in memory.
FUNCTION void accumulate(const struct scaled *t, const struct rows *at, uint row, uint end, int4 *acc, float4 *values)
{
    GLOBAL const uint4 *a = CHOOSE(t->w, at->a), *b = CHOOSE(t->w, at->b);
#pragma unroll
    for (uint n = 0; n < BATCH * PLANES; n++) {
        acc[n] = (int4)(0);
        values[n] = (float4)(0.0f);
    }
    for (uint block = thread() % LANES; block < t->cols / 128; block += LANES) {
        uint4 from = at->r * (t->cols / 64) + 2 * block;
        const uint4 w[2][4] = {{a[from.x], a[from.y], b[from.z], b[from.w]},
                               {a[from.x + 1], a[from.y + 1], b[from.z + 1], b[from.w + 1]}};
        float4 first = (float4)(1.0f), second = first;
        if (GROUPED) {
            first = group_scales(t, at, 2 * block);
            second = group_scales(t, at, 2 * block + 1);
        }
#pragma unroll
        for (uint n = 0; n < BATCH * PLANES; n++) {
            uint x_row = least(row + n / PLANES, end) * PLANES + n % PLANES;
            GLOBAL const uint4 *x = t->x + x_row * (t->cols / 16) + block * 8;
            int4 low = (int4)(0), high = low;
            for (uint j = 0; j < 2; j++) {
                low = dot_plane(x[j], w[j], 6, low);
                low = dot_plane(x[2 + j], w[j], 4, low);
                high = dot_plane(x[4 + j], w[j], 2, high);
                high = dot_plane(x[6 + j], w[j], 0, high);
            }
            if (GROUPED)
                values[n] = fma4(convert(high, float4), second, fma4(convert(low, float4), first, values[n]));
            else
                acc[n] += low + high;
        }
    }
}

// Times the scales of rows, + 0 as in the canonical sum of one pair.
FUNCTION float4 scaled_rows(const struct scaled *t, const struct rows *at, float4 v)
{
    GLOBAL const float *a = CHOOSE(t->w_scales, at->a), *b = CHOOSE(t->w_scales, at->b);
    if (reach(t, at->a) == 1)
        v.xy = v.xy * (float2)(a[at->r.x], a[at->r.y]) + 0.0f;
    if (reach(t, at->b) == 1)
        v.zw = v.zw * (float2)(b[at->r.z], b[at->r.w]) + 0.0f;
    return v;
}

FUNCTION void finish(const struct scaled *t, const struct rows *at, uint g, uint row, float4 sums)
{
    float row_scale = as_float(t->scales[row * PLANES * 2]);
    float factor_a = divide(CHOOSE(t->scale, at->a), row_scale);
    float factor_b = t->mode == MODE_GATE_UP ? divide(t->scale[1], row_scale) : factor_a;
    float4 v = scaled_rows(t, at, sums) * (float4)(factor_a, factor_a, factor_b, factor_b);
    if (t->mode == MODE_GATE_UP) {
        t->out[0][row * t->rows + g * 2] = activated(t->flags, v.x) * v.z;
        if (g * 2 + 1 < t->rows)
            t->out[0][row * t->rows + g * 2 + 1] = activated(t->flags, v.y) * v.w;
        return;
    }
    const float value[4] = {v.x, v.y, v.z, v.w};
    uint n = at->a == 0 ? t->rows : t->more_rows;
    GLOBAL float *out = CHOOSE(t->out, at->a);
    bool adds = t->mode == MODE_MATMUL && (t->flags & FLAG_ADD) != 0;
    for (uint i = 0; i < 4 && at->r.x + i < n; i++) {
        uint to = row * n + at->r.x + i;
        out[to] = adds ? value[i] + t->out[1][to] : value[i];
    }
}

INLINE int4 sum_rows_int(LOCAL uint *s, int4 v)
{
    return (int4)(sum_lanes_int(s, v.x, LANES), sum_lanes_int(s, v.y, LANES), sum_lanes_int(s, v.z, LANES),
                  sum_lanes_int(s, v.w, LANES));
}

INLINE float4 sum_rows_float(LOCAL uint *s, float4 v)
{
    return (float4)(sum_lanes_float(s, v.x, LANES), sum_lanes_float(s, v.y, LANES), sum_lanes_float(s, v.z, LANES),
                    sum_lanes_float(s, v.w, LANES));
}

// The rows' values, from the sums of the lanes; the planes meet as integers where they are.
INLINE float4 joined(const struct scaled *t, LOCAL uint *s, uint row, const int4 *acc, const float4 *values)
{
    if (GROUPED) {
        float4 high = sum_rows_float(s, values[0]);
        return PLANES == 1 ? high : fma4((float4)(256.0f), high, sum_rows_float(s, values[PLANES - 1]));
    }
    GLOBAL const uint *scales = t->scales + row * PLANES * 2;
    int4 high = sum_rows_int(s, acc[0]) - (int)scales[1];
    if (PLANES == 2)
        high = 256 * high + (sum_rows_int(s, acc[PLANES - 1]) - (int)scales[PLANES * 2 - 1]);
    return convert(high, float4);
}

KERNEL ternary_scaled(SPAN(uint, slot), SPAN(uint4, x), SPAN(uint, scales), SPAN(uint4, w0), SPAN(uint4, w1),
                      SPAN(uint4, w2), SPAN(float, w_scales0), SPAN(float, w_scales1), SPAN(float, w_scales2),
                      SPAN(float, out0), SPAN(float, out1), SPAN(float, out2), uint op, uint rows, uint more_rows,
                      uint features, uint flags, float scale0, float scale1, float scale2)
{
    LOCAL uint s[SHARED_WORDS];
    OPEN(uint, slot);
    OPEN(uint4, x);
    OPEN(uint, scales);
    OPEN(uint4, w0);
    OPEN(uint4, w1);
    OPEN(uint4, w2);
    OPEN(float, w_scales0);
    OPEN(float, w_scales1);
    OPEN(float, w_scales2);
    OPEN(float, out0);
    OPEN(float, out1);
    OPEN(float, out2);
    if (skips(slot, op))
        return;
    const struct scaled t = {.x = x,
                             .scales = scales,
                             .w = {w0, w1, w2},
                             .w_scales = {w_scales0, w_scales1, w_scales2},
                             .out = {out0, out1, out2},
                             .rows = rows,
                             .more_rows = more_rows,
                             .features = features,
                             .cols = (features + 127) / 128 * 128,
                             .flags = flags,
                             .mode = flags >> 4 & 3u,
                             .scale = {scale0, scale1, scale2}};
    uint n_rows = slot[SLOT_N_ROWS], lane = thread() % LANES, groups = n_groups(&t);
    for (uint row = group_y() * BATCH; row < n_rows; row += groups_y() * BATCH)
        for (uint tile = group_x(); tile * GROUPS < groups; tile += groups_x()) {
            uint g = tile * GROUPS + thread() / LANES;
            struct rows at = locate(&t, least(g, groups - 1));
            int4 acc[BATCH * PLANES];
            float4 values[BATCH * PLANES];
            accumulate(&t, &at, row, n_rows - 1, acc, values);
#pragma unroll
            for (uint n = 0; n < BATCH; n++) {
                float4 v = joined(&t, s, least(row + n, n_rows - 1), acc + n * PLANES, values + n * PLANES);
                if (lane == 0 && g < groups && row + n < n_rows)
                    finish(&t, &at, g, row + n, v);
            }
        }
}
