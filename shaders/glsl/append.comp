#version 460
#extension GL_GOOGLE_include_directive : require
// BN_OP_APPEND, and what follows the products of BN_OP_QKV where the ternary shader does not do it: norms of heads, RoPE, the KV
// pool. A workgroup per row and head; heads of q, then of k, then of v.
#include "common.glsl"
#include "reduce.glsl"
#include "rms.glsl"

layout(push_constant, std430) uniform Push
{
    Words slot;
    Vectors q, k, v;
    Vectors out_;
    Floats kv;
    Vectors q_norm, k_norm;
    Words rope;
    uint op;
    uint packed_heads; // as in ternary.comp
    uint packed_place;
    uint kv_page_words;
    uint has_norm;
    float eps;
} p;

#define KV_POOL p.kv
#include "rope.glsl"

shared vec4 s_head[512 / 4];

void append(uint row, uint which, uint head)
{
    uint quads = head_dim() / 4, first = (row * (which == 0 ? heads() : kv_heads()) + head) * quads;
    Vectors from = which == 0 ? p.q : which == 1 ? p.k : p.v;
    bool norms = p.has_norm != 0 && which < 2;
    float inverse = 1.0;
    if (norms)
        inverse = inverse_rms(from, first, head_dim(), p.eps);
    bool bad = not_finite(inverse);
    barrier(); // the head before is done
    for (uint i = thread(); i < quads; i += THREADS) {
        vec4 x = from.v[first + i];
        if (norms) {
            x = which == 0 ? normed(x, p.q_norm.v[i], inverse) : normed(x, p.k_norm.v[i], inverse);
            bad = bad || not_finite(x.x) || not_finite(x.y) || not_finite(x.z) || not_finite(x.w);
        }
        s_head[i] = x;
    }
    if (bad)
        report_not_finite(p.slot, p.op);
    barrier();
    for (uint j = thread(); j < quads; j += THREADS) {
        uvec4 at = rope_group(j);
        vec4 x = vec4(s_head[at.x / 4][at.x % 4], s_head[at.y / 4][at.y % 4], s_head[at.z / 4][at.z % 4],
                      s_head[at.w / 4][at.w % 4]);
        if (which != 2)
            x = rotate(x, row, at.x);
        if (which != 0) {
            store_kv(which - 1, head, row, at.x, at.z, x);
            continue;
        }
        for (uint e = 0; e < 4; e++)
            p.out_.v[first + at[e] / 4][at[e] % 4] = x[e];
    }
}

void main()
{
    if (skips(p.slot, p.op))
        return;
    uint all = heads() + 2 * kv_heads();
    for (uint row = gl_WorkGroupID.y; row < p.slot.w[N_ROWS]; row += gl_NumWorkGroups.y)
        for (uint head = gl_WorkGroupID.x; head < all; head += gl_NumWorkGroups.x) {
            uint which = head < heads() ? 0 : head < heads() + kv_heads() ? 1 : 2;
            append(row, which, head - (which == 0 ? 0 : which == 1 ? heads() : heads() + kv_heads()));
        }
}
