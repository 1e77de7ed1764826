// BN_OP_APPEND, and what follows the products of BN_OP_QKV where the kernel `ternary` does not do it: norms of heads, RoPE, the
// KV pool. A group per row and head; heads of q, then of k, then of v.
#include "common.h"
#include "reduce.h"
#include "rms.h"
#include "rope.h"

KERNEL append(SPAN(uint, slot), SPAN(float4, q), SPAN(float4, k), SPAN(float4, v), SPAN(float, out), SPAN(float, kv),
              SPAN(float4, q_norm), SPAN(float4, k_norm), SPAN(uint, rope), uint op, uint packed_heads,
              uint packed_place, uint kv_page_words, uint has_norm, float eps)
{
    LOCAL uint s[SHARED_WORDS];
    LOCAL float4 s_head[512 / 4];
    LOCAL float *element = (LOCAL float *)s_head;
    OPEN(uint, slot);
    OPEN(float4, q);
    OPEN(float4, k);
    OPEN(float4, v);
    OPEN(float, out);
    OPEN(float, kv);
    OPEN(float4, q_norm);
    OPEN(float4, k_norm);
    OPEN(uint, rope);
    if (skips(slot, op))
        return;
    const struct place p = place_of(slot, rope, kv, op, packed_heads, packed_place, kv_page_words);
    uint quads = p.head_dim / 4;
    for (uint row = group_y(); row < slot[SLOT_N_ROWS]; row += groups_y())
        for (uint all = group_x(); all < p.heads + 2 * p.kv_heads; all += groups_x()) {
            uint which = all < p.heads ? 0 : all < p.heads + p.kv_heads ? 1 : 2;
            uint head = all - (which == 0 ? 0 : which == 1 ? p.heads : p.heads + p.kv_heads);
            uint first = (row * (which == 0 ? p.heads : p.kv_heads) + head) * quads;
            GLOBAL const float4 *from = (which == 0 ? q : which == 1 ? k : v) + first;
            GLOBAL const float4 *norm = which == 0 ? q_norm : k_norm;
            bool norms = has_norm != 0 && which < 2;
            float inverse = norms ? inverse_rms(s, from, p.head_dim, eps) : 1.0f;
            bool bad = not_finite(inverse);
            meet(); // the head before is done
            for (uint i = thread(); i < quads; i += THREADS) {
                float4 x = norms ? normed(from[i], norm[i], inverse) : from[i];
                bad = bad || (norms && (not_finite(x.x) || not_finite(x.y) || not_finite(x.z) || not_finite(x.w)));
                s_head[i] = x;
            }
            if (bad)
                report_not_finite(slot, op);
            meet();
            for (uint j = thread(); j < quads; j += THREADS) {
                uint4 at = rope_group(&p, j);
                float4 x = (float4)(element[at.x], element[at.y], element[at.z], element[at.w]);
                if (which != 2)
                    x = rotate_pairs(&p, x, row, at.x);
                if (which != 0) {
                    store_kv(&p, which - 1, head, row, at.x, at.z, x);
                    continue;
                }
                GLOBAL float *to = out + first * 4;
                to[at.x] = x.x;
                to[at.y] = x.y;
                to[at.z] = x.z;
                to[at.w] = x.w;
            }
        }
}
