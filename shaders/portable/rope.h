// RoPE, and the append to the KV pool.
struct place {
    GLOBAL uint *slot;
    GLOBAL const uint *rope;
    GLOBAL float *kv;
    uint op, heads, kv_heads, head_dim, layer, kv_page_words;
    bool pairs; // the order of RoPE
};

// packed_heads: heads | kv_heads << 16. packed_place: head_dim | rope order << 15 | layer << 16.
FUNCTION struct place place_of(GLOBAL uint *slot, GLOBAL const uint *rope, GLOBAL float *kv, uint op, uint packed_heads,
                             uint packed_place, uint kv_page_words)
{
    struct place p = {slot,
                      rope,
                      kv,
                      op,
                      packed_heads & 0xffffu,
                      packed_heads >> 16,
                      packed_place & 0x7fffu,
                      packed_place >> 16,
                      kv_page_words,
                      (packed_place & 0x8000u) != 0};
    return p;
}

// Four elements of a head that are turned together and share words of the KV pool: the j-th such group.
FUNCTION uint4 rope_group(const struct place *p, uint j)
{
    uint half_dim = p->head_dim / 2;
    return p->pairs ? 4 * j + (uint4)(0, 1, 2, 3) : 2 * j + (uint4)(0, 1, half_dim, half_dim + 1);
}

// The pairs (x, z), (y, w) in halves order, (x, y), (z, w) in pairs order, turned by the angles at the position.
FUNCTION float4 rotate_pairs(const struct place *p, float4 v, uint row, uint within)
{
    uint at = row_position(p->slot, row) * p->head_dim + (p->pairs ? within : 2 * within);
    float c0 = as_float(p->rope[at]), s0 = as_float(p->rope[at + 1]);
    float c1 = as_float(p->rope[at + 2]), s1 = as_float(p->rope[at + 3]);
    if (p->pairs)
        v = v.xzyw;
    float4 turned = (float4)(v.x * c0 - v.z * s0, v.y * c1 - v.w * s1, v.x * s0 + v.z * c0, v.y * s1 + v.w * c1);
    return p->pairs ? turned.xzyw : turned;
}

FUNCTION void store_kv(const struct place *p, uint which, uint head, uint row, uint low, uint high, float4 v)
{
    uint position = row_position(p->slot, row), rows = (p->layer * 2 + which) * p->kv_heads + head;
    uint at =
        row_page(p->slot, row, position / 64) * p->kv_page_words + (rows * 64 + position % 64) * (p->head_dim / 2);
    uint4 h = (uint4)(half_bits(v.x), half_bits(v.y), half_bits(v.z), half_bits(v.w));
    p->kv[at + low / 2] = as_float(h.x | h.y << 16);
    p->kv[at + high / 2] = as_float(h.z | h.w << 16);
    if ((h.x & 0x7c00u) == 0x7c00u || (h.y & 0x7c00u) == 0x7c00u || (h.z & 0x7c00u) == 0x7c00u ||
        (h.w & 0x7c00u) == 0x7c00u)
        report_not_finite(p->slot, p->op);
}
