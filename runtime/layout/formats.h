// The functions of layouts.inl: one group per file of this folder. Contracts: struct bn_layout_info.
#ifndef BN_LAYOUT_FORMATS_H
#define BN_LAYOUT_FORMATS_H

#include "runtime/layout/layout.h"

// float.c
void bn_f32_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out);
void bn_f16_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out);
void bn_bf16_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out);

// i2s.c
bool bn_i2s_a_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
bool bn_i2s_b_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
bool bn_i2s_c_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
void bn_i2s_a_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);
void bn_i2s_b_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);
void bn_i2s_c_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);
bool bn_base3_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
void bn_base3_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);

#endif
