// THE table of weight layouts. A layout is one row here, one enumerator of enum bn_layout at the same place, and its
// functions in one file of this folder (docs/add-a-layout.md).
//
// BN_LAYOUT_ROW(id, name, kind, reach, group, home of scales, block_cols, block_rows, block_bytes, functions and flags)
BN_LAYOUT_ROW(F32, "f32", FLOAT, NONE, 0, NONE, 1, 1, 4, .widen = bn_f32_widen)
BN_LAYOUT_ROW(F16, "f16", FLOAT, NONE, 0, NONE, 1, 1, 2, .widen = bn_f16_widen)
BN_LAYOUT_ROW(BF16, "bf16", FLOAT, NONE, 0, NONE, 1, 1, 2, .widen = bn_bf16_widen)
#define I2S_A .unpack = bn_i2s_a_unpack, .pack = bn_i2s_a_pack, .padded = true
BN_LAYOUT_ROW(I2S_A, "i2_s 128/32", TERNARY, TENSOR, 0, NONE, 128, 1, 32, I2S_A)
BN_LAYOUT_ROW(I2S_B, "i2_s 64/16", TERNARY, TENSOR, 0, NONE, 64, 1, 16, .unpack = bn_i2s_b_unpack,
              .pack = bn_i2s_b_pack)
BN_LAYOUT_ROW(I2S_C, "i2_s 1x4", TERNARY, TENSOR, 0, NONE, 1, 4, 1, .unpack = bn_i2s_c_unpack, .pack = bn_i2s_c_pack)
BN_LAYOUT_ROW(I2S_A_ROW, "i2_s 128/32 row", TERNARY, ROW, 0, APART, 128, 1, 32, I2S_A)
BN_LAYOUT_ROW(I2S_A_G256, "i2_s 128/32 g256", TERNARY, GROUP, 256, APART, 128, 1, 32, I2S_A)
BN_LAYOUT_ROW(I2S_A_G128, "i2_s 128/32 g128", TERNARY, GROUP, 128, APART, 128, 1, 32, I2S_A)
BN_LAYOUT_ROW(I2S_A_G64, "i2_s 128/32 g64", TERNARY, GROUP, 64, APART, 128, 1, 32, I2S_A)
#undef I2S_A
BN_LAYOUT_ROW(BASE3, "base-3 320/64", TERNARY, TENSOR, 0, NONE, 320, 1, 64, .unpack = bn_base3_unpack,
              .pack = bn_base3_pack, .padded = true)
