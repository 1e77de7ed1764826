// THE table of weight layouts. A layout is one row here, one enumerator of enum bn_layout at the same place, and its
// functions in one file of this folder (docs/add-a-layout.md).
//
// BN_LAYOUT_ROW(id, name, kind, reach, block_cols, block_rows, block_bytes, unpack, pack, widen)
BN_LAYOUT_ROW(F32, "f32", FLOAT, NONE, 1, 1, 4, NULL, NULL, bn_f32_widen)
BN_LAYOUT_ROW(F16, "f16", FLOAT, NONE, 1, 1, 2, NULL, NULL, bn_f16_widen)
BN_LAYOUT_ROW(BF16, "bf16", FLOAT, NONE, 1, 1, 2, NULL, NULL, bn_bf16_widen)
BN_LAYOUT_ROW(I2S_A, "i2_s 128/32", TERNARY, TENSOR, 128, 1, 32, bn_i2s_a_unpack, bn_i2s_a_pack, NULL)
BN_LAYOUT_ROW(I2S_B, "i2_s 64/16", TERNARY, TENSOR, 64, 1, 16, bn_i2s_b_unpack, bn_i2s_b_pack, NULL)
BN_LAYOUT_ROW(I2S_C, "i2_s 1x4", TERNARY, TENSOR, 1, 4, 1, bn_i2s_c_unpack, bn_i2s_c_pack, NULL)
