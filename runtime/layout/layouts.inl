// THE table of weight layouts. A layout is one row here, one enumerator of enum bn_layout at the same place, and its
// functions in one file of this folder (docs/add-a-layout.md).
//
// BN_LAYOUT_ROW(id, name, kind, reach, group, home of scales, block_cols, block_rows, block_bytes, functions and flags)
#define FLOATS(name) .widen = bn_##name##_widen, .narrow = bn_##name##_narrow
#define TRITS(name) .unpack = bn_##name##_unpack, .pack = bn_##name##_pack
#define SCALES(name) TRITS(name), .scale_at = bn_##name##_scale_at, .set_scale = bn_##name##_set_scale
BN_LAYOUT_ROW(F32, "f32", FLOAT, NONE, 0, NONE, 1, 1, 4, FLOATS(f32))
BN_LAYOUT_ROW(F16, "f16", FLOAT, NONE, 0, NONE, 1, 1, 2, FLOATS(f16))
BN_LAYOUT_ROW(BF16, "bf16", FLOAT, NONE, 0, NONE, 1, 1, 2, FLOATS(bf16))
BN_LAYOUT_ROW(I2S_A, "i2_s 128/32", TERNARY, TENSOR, 0, NONE, 128, 1, 32, TRITS(i2s_a), .padded = true)
BN_LAYOUT_ROW(I2S_B, "i2_s 64/16", TERNARY, TENSOR, 0, NONE, 64, 1, 16, TRITS(i2s_b))
BN_LAYOUT_ROW(I2S_C, "i2_s 1x4", TERNARY, TENSOR, 0, NONE, 1, 4, 1, TRITS(i2s_c))
BN_LAYOUT_ROW(I2S_A_ROW, "i2_s 128/32 row", TERNARY, ROW, 0, APART, 128, 1, 32, TRITS(i2s_a), .padded = true)
BN_LAYOUT_ROW(I2S_A_G256, "i2_s 128/32 g256", TERNARY, GROUP, 256, APART, 128, 1, 32, TRITS(i2s_a), .padded = true)
BN_LAYOUT_ROW(I2S_A_G128, "i2_s 128/32 g128", TERNARY, GROUP, 128, APART, 128, 1, 32, TRITS(i2s_a), .padded = true)
BN_LAYOUT_ROW(I2S_A_G64, "i2_s 128/32 g64", TERNARY, GROUP, 64, APART, 128, 1, 32, TRITS(i2s_a), .padded = true)
BN_LAYOUT_ROW(BASE3, "base-3 320/64", TERNARY, TENSOR, 0, NONE, 320, 1, 64, TRITS(base3), .padded = true,
              .bytes = bn_base3_bytes)
BN_LAYOUT_ROW(TQ1_0, "tq1_0", TERNARY, GROUP, 256, F16, 256, 1, 54, SCALES(tq1))
BN_LAYOUT_ROW(TQ2_0, "tq2_0", TERNARY, GROUP, 256, F16, 256, 1, 66, SCALES(tq2))
BN_LAYOUT_ROW(Q2_0, "q2_0", TERNARY, GROUP, 64, F16, 64, 1, 18, SCALES(q2_64), .plus_two = true)
BN_LAYOUT_ROW(PQ2_0, "pq2_0", TERNARY, GROUP, 128, F16, 128, 1, 34, SCALES(q2_128), .plus_two = true)
BN_LAYOUT_ROW(PTQ1_0, "ptq1_0", TERNARY, GROUP, 128, F16, 128, 1, 28, SCALES(ptq1))
BN_LAYOUT_ROW(IQ1_BN, "iq1_bn", TERNARY, ROW, 0, F16, 64, 1, 13, SCALES(iq1_bn), .bytes = bn_iq1_bn_bytes)
BN_LAYOUT_ROW(IQ2_BN, "iq2_bn", TERNARY, ROW, 0, F32, 64, 1, 16, SCALES(iq2_bn), .bytes = bn_iq2_bn_bytes)
BN_LAYOUT_ROW(IQ2_BN_R4, "iq2_bn_r4", TERNARY, ROW, 0, F32, 64, 4, 64, SCALES(iq2_bn_r4), .bytes = bn_iq2_bn_bytes)
BN_LAYOUT_ROW(TL1, "tl1", TERNARY, TENSOR, 0, NONE, 1, 1, 1, TRITS(tl1), .bytes = bn_tl1_bytes)
BN_LAYOUT_ROW(TL2, "tl2", TERNARY, TENSOR, 0, NONE, 1, 1, 1, TRITS(tl2), .bytes = bn_tl2_bytes)
BN_LAYOUT_ROW(PACKED, "packed", TERNARY, TENSOR, 0, NONE, 1, 4, 1, TRITS(packed))
BN_LAYOUT_ROW(Q8_0, "q8_0", FLOAT, NONE, 0, NONE, 32, 1, 34, FLOATS(q8_0))
BN_LAYOUT_ROW(Q6_K, "q6_k", FLOAT, NONE, 0, NONE, 256, 1, 210, .widen = bn_q6_k_widen)
BN_LAYOUT_ROW(Q5_0, "q5_0", FLOAT, NONE, 0, NONE, 32, 1, 22, FLOATS(q5_0))
BN_LAYOUT_ROW(Q4_0, "q4_0", FLOAT, NONE, 0, NONE, 32, 1, 18, FLOATS(q4_0))
#undef FLOATS
#undef TRITS
#undef SCALES
