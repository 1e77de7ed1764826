// The functions of layouts.inl: one group per file of this folder. Contracts: struct bn_layout_info.
#ifndef BN_LAYOUT_FORMATS_H
#define BN_LAYOUT_FORMATS_H

#include "runtime/layout/layout.h"

#define BN_DECLARE_TRITS(name)                                                                                         \
    bool bn_##name##_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1,               \
                            int8_t *trits);                                                                            \
    void bn_##name##_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);
#define BN_DECLARE_SCALES(name)                                                                                        \
    float bn_##name##_scale_at(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g);             \
    void bn_##name##_set_scale(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale);
#define BN_DECLARE_FLOATS(name)                                                                                        \
    void bn_##name##_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out);                                \
    void bn_##name##_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data);

// float.c
BN_DECLARE_FLOATS(f32)
BN_DECLARE_FLOATS(f16)
BN_DECLARE_FLOATS(bf16)

// float_blocks.c
BN_DECLARE_FLOATS(q8_0)
BN_DECLARE_FLOATS(q5_0)
BN_DECLARE_FLOATS(q4_0)
void bn_q6_k_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out);

// i2s.c
BN_DECLARE_TRITS(i2s_a)
BN_DECLARE_TRITS(i2s_b)
BN_DECLARE_TRITS(i2s_c)

// base3.c
uint64_t bn_base3_bytes(uint64_t rows, uint64_t cols);
BN_DECLARE_TRITS(base3)

// ternary_blocks.c
BN_DECLARE_TRITS(tq1)
BN_DECLARE_SCALES(tq1)
BN_DECLARE_TRITS(tq2)
BN_DECLARE_SCALES(tq2)
BN_DECLARE_TRITS(q2_64)
BN_DECLARE_SCALES(q2_64)
BN_DECLARE_TRITS(q2_128)
BN_DECLARE_SCALES(q2_128)
BN_DECLARE_TRITS(ptq1)
BN_DECLARE_SCALES(ptq1)

// iq_bn.c
uint64_t bn_iq1_bn_bytes(uint64_t rows, uint64_t cols);
BN_DECLARE_TRITS(iq1_bn)
BN_DECLARE_SCALES(iq1_bn)
uint64_t bn_iq2_bn_bytes(uint64_t rows, uint64_t cols);
BN_DECLARE_TRITS(iq2_bn)
BN_DECLARE_SCALES(iq2_bn)
BN_DECLARE_TRITS(iq2_bn_r4)
BN_DECLARE_SCALES(iq2_bn_r4)

// tl.c
uint64_t bn_tl1_bytes(uint64_t rows, uint64_t cols);
BN_DECLARE_TRITS(tl1)
uint64_t bn_tl2_bytes(uint64_t rows, uint64_t cols);
BN_DECLARE_TRITS(tl2)

// packed.c
BN_DECLARE_TRITS(packed)

#endif
