// Weight layouts: how matrices lie in memory. layouts.inl is THE table; a layout is one row there and one file here.
#ifndef BN_LAYOUT_LAYOUT_H
#define BN_LAYOUT_LAYOUT_H

#include <bitnet/compute.h>

enum bn_layout_class { BN_LAYOUT_FLOAT, BN_LAYOUT_TERNARY };
enum bn_scale_reach { BN_SCALE_NONE, BN_SCALE_TENSOR }; // rows and groups come with their layouts

struct bn_layout_info {
    enum bn_layout layout;
    const char *name; // "i2_s 128/32"
    enum bn_layout_class kind;
    enum bn_scale_reach reach;
    uint32_t block_cols;  // cols must be a multiple
    uint32_t block_rows;  // rows must be a multiple
    uint32_t block_bytes; // bytes of block_cols x block_rows elements
    // Ternary: trits -1, 0, +1 of rows r0 .. r1-1 to int8 [r1-r0][cols]; false if a code 3 is met.
    bool (*unpack)(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
    // Ternary: the inverse, whole matrix.
    void (*pack)(const int8_t *trits, uint64_t rows, uint64_t cols, uint8_t *data);
    // Float: row r to f32 [cols].
    void (*widen)(const uint8_t *data, uint64_t cols, uint64_t r, float *out);
};

// NULL outside the table.
const struct bn_layout_info *bn_layout_get(enum bn_layout layout);

// Any ternary layout to any other, through int8 trits, a few rows at a time. `from` must hold bn_layout_bytes bytes.
// Errors: BN_ERR_UNSUPPORTED (shape or class), BN_ERR_MODEL (an unused code), BN_ERR_NO_MEMORY.
struct bn_host;
enum bn_result bn_repack(const struct bn_host *host, enum bn_layout from, const uint8_t *source, enum bn_layout to,
                         uint8_t *target, uint64_t rows, uint64_t cols, struct bn_error *err);

// I2_S in any byte order: the first of `bytes` bytes that holds the unused code 3, or `bytes` if none does.
uint64_t bn_i2s_find_code_3(const uint8_t *data, uint64_t bytes);

// Half precision, exact and round-to-nearest-even; NaN stays NaN.
float bn_f16_to_f32(uint16_t h);
uint16_t bn_f32_to_f16(float f);
float bn_bf16_to_f32(uint16_t h);

#endif
