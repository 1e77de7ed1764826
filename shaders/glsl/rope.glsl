// RoPE, and the append to the KV pool. Who includes this has a push block p with slot, rope, op, packed_heads, packed_place
// and kv_page_words, and KV_POOL, which is Floats.
uint heads()
{
    return p.packed_heads & 0xffffu;
}

uint kv_heads()
{
    return p.packed_heads >> 16;
}

uint head_dim()
{
    return p.packed_place & 0x7fffu;
}

bool rope_pairs()
{
    return (p.packed_place & 0x8000u) != 0;
}

// Four elements of a head that are turned together and share words of the KV pool: the j-th such group.
uvec4 rope_group(uint j)
{
    return rope_pairs() ? 4 * j + uvec4(0, 1, 2, 3) : 2 * j + uvec4(0, 1, head_dim() / 2, head_dim() / 2 + 1);
}

// The pairs (x, z), (y, w) in halves order, (x, y), (z, w) in pairs order, turned by the angles at the position.
vec4 rotate(vec4 v, uint row, uint within)
{
    uint at = row_position(p.slot, row) * head_dim() + (rope_pairs() ? within : 2 * within);
    float c0 = uintBitsToFloat(p.rope.w[at]), s0 = uintBitsToFloat(p.rope.w[at + 1]);
    float c1 = uintBitsToFloat(p.rope.w[at + 2]), s1 = uintBitsToFloat(p.rope.w[at + 3]);
    if (rope_pairs())
        v = v.xzyw;
    precise vec2 first = v.xy * vec2(c0, c1) - v.zw * vec2(s0, s1);
    precise vec2 second = v.xy * vec2(s0, s1) + v.zw * vec2(c0, c1);
    return rope_pairs() ? vec4(first.x, second.x, first.y, second.y) : vec4(first, second);
}

void store_kv(uint which, uint head, uint row, uint low, uint high, vec4 v)
{
    uint position = row_position(p.slot, row);
    uint rows = ((p.packed_place >> 16) * 2 + which) * kv_heads() + head;
    uint at = row_page(p.slot, row, position / 64) * p.kv_page_words + (rows * 64 + position % 64) * (head_dim() / 2);
    uvec4 h = uvec4(half_bits(v.x), half_bits(v.y), half_bits(v.z), half_bits(v.w));
    KV_POOL.f[at + low / 2] = uintBitsToFloat(h.x | h.y << 16);
    KV_POOL.f[at + high / 2] = uintBitsToFloat(h.z | h.w << 16);
    if (any(equal(h & 0x7c00u, uvec4(0x7c00u))))
        report_not_finite(p.slot, p.op);
}
