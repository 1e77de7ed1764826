#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_ATTENTION: a workgroup per row and head walks over the row's KV pages with a running maximum. With SPLITS each has SPLITS
// workgroups, which share the pages, and what comes out are parts, for attention_join.comp.
#include "common.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint HEAD_DIM = 16;
layout(constant_id = 2) const uint SPLITS = 1;
const uint PART = HEAD_DIM + 4; // floats: maximum, denominator, two unused, totals
const uint WORDS = HEAD_DIM / 2, MINE = (WORDS + THREADS - 1) / THREADS;

layout(push_constant, std430) uniform Push
{
    Words slot;
    Floats q, out_;
    Quads kv;
    Words kv_words; // the same memory
    uint op, heads, kv_heads, layer;
    uint page_quads, window;
    float scale;
} p;

shared vec4 s_q[HEAD_DIM / 4];
shared float s_p[64];

// Sixteen partial sums, as everywhere.
float score(uint at)
{
    vec4 s0 = vec4(0), s1 = vec4(0), s2 = vec4(0), s3 = vec4(0);
    for (uint i = 0; i < HEAD_DIM / 16; i++) {
        uvec4 a = p.kv.q[at + 2 * i], b = p.kv.q[at + 2 * i + 1];
        s0 = fma(s_q[4 * i], vec4(unpackHalf2x16(a.x), unpackHalf2x16(a.y)), s0);
        s1 = fma(s_q[4 * i + 1], vec4(unpackHalf2x16(a.z), unpackHalf2x16(a.w)), s1);
        s2 = fma(s_q[4 * i + 2], vec4(unpackHalf2x16(b.x), unpackHalf2x16(b.y)), s2);
        s3 = fma(s_q[4 * i + 3], vec4(unpackHalf2x16(b.z), unpackHalf2x16(b.w)), s3);
    }
    vec4 s = (s0 + s2) + (s1 + s3);
    return ((s.x + s.z) + (s.y + s.w)) * p.scale;
}

void attend(uint row, uint head, uint split)
{
    uint n = row_position(p.slot, row) + 1, kv_head = head / (p.heads / p.kv_heads);
    uint q_at = (row * p.heads + head) * HEAD_DIM, part_at = ((row * p.heads + head) * SPLITS + split) * PART;
    barrier();
    for (uint i = thread(); i < HEAD_DIM; i += THREADS)
        s_q[i / 4][i % 4] = p.q.f[q_at + i];
    barrier();
    vec2 total[MINE];
    for (uint m = 0; m < MINE; m++)
        total[m] = vec2(0);
    float most = uintBitsToFloat(0xff800000u), denominator = 0.0;
    uint begin = p.window != 0 && n > p.window ? n - p.window : 0;
    uint first = begin / 64, end = (n + 63) / 64;
    if (SPLITS > 1) {
        uint each = (end - first + SPLITS - 1) / SPLITS;
        first += split * each;
        end = min(first + each, end);
    }
    for (uint block = first; block < end; block++) {
        uint page = row_page(p.slot, row, block) * p.page_quads, count = min(n - block * 64, 64);
        uint skip = max(begin, block * 64) - block * 64;
        uint k_at = page + (p.layer * 2 * p.kv_heads + kv_head) * 64 * (HEAD_DIM / 8);
        uint v_at = k_at + p.kv_heads * 64 * (HEAD_DIM / 8);
        float block_most = most;
        for (uint i = skip + thread(); i < count; i += THREADS) {
            float s = score(k_at + i * (HEAD_DIM / 8));
            s_p[i] = s;
            block_most = max(block_most, s);
        }
        block_most = reduce_max(block_most);
        float shrink = block_most == most ? 1.0 : exp_own(most - block_most), sum = 0.0;
        most = block_most;
        for (uint i = skip + thread(); i < count; i += THREADS) {
            float e = exp_own(s_p[i] - most);
            s_p[i] = e;
            sum += e;
        }
        denominator = denominator * shrink + reduce_add(sum);
        barrier(); // every s_p is seen by all
        for (uint m = 0; m < MINE; m++) {
            uint word = thread() + m * THREADS;
            if (word >= WORDS)
                break;
            vec2 part = vec2(0);
            for (uint i = skip; i < count; i++) {
                uint v = p.kv_words.w[v_at * 4 + i * WORDS + word];
                part = fma(vec2(s_p[i]), unpackHalf2x16(v), part);
            }
            total[m] = total[m] * shrink + part;
        }
        barrier();
    }
    for (uint m = 0; m < MINE; m++) {
        uint word = thread() + m * THREADS;
        if (word >= WORDS)
            break;
        if (SPLITS > 1) {
            p.out_.f[part_at + 4 + 2 * word] = total[m].x;
            p.out_.f[part_at + 5 + 2 * word] = total[m].y;
            continue;
        }
        p.out_.f[q_at + 2 * word] = total[m].x / denominator;
        p.out_.f[q_at + 2 * word + 1] = total[m].y / denominator;
    }
    if (SPLITS > 1 && thread() == 0) {
        p.out_.f[part_at] = most;
        p.out_.f[part_at + 1] = denominator;
    }
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    for (uint row = gl_WorkGroupID.y; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.y)
        for (uint i = gl_WorkGroupID.x; i < p.heads * SPLITS; i += gl_NumWorkGroups.x)
            attend(row, i / SPLITS, i % SPLITS);
}
