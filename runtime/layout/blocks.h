// What layouts in blocks share.
#ifndef BN_LAYOUT_BLOCKS_H
#define BN_LAYOUT_BLOCKS_H

#include <string.h>

#include "runtime/layout/formats.h"

static inline float bn_load_f16(const uint8_t *data)
{
    return bn_f16_to_f32((uint16_t)(data[0] | data[1] << 8));
}

static inline void bn_store_f16(uint8_t *data, float value)
{
    uint16_t h = bn_f32_to_f16(value);
    data[0] = (uint8_t)h;
    data[1] = (uint8_t)(h >> 8);
}

// Rows of `head` bytes and `blocks` blocks; 0 if the product overflows.
static inline uint64_t bn_rows_bytes(uint64_t rows, uint64_t head, uint64_t blocks, uint64_t block_bytes)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(blocks, block_bytes, &bytes) || __builtin_add_overflow(bytes, head, &bytes) ||
        __builtin_mul_overflow(bytes, rows, &bytes))
        return 0;
    return bytes;
}

// A number of five ternary digits as a fraction of 256: its digits come out of the top by multiplying.
static inline uint8_t bn_base3_byte(unsigned number)
{
    return (uint8_t)((number * 256 + 242) / 243);
}

// Digit n from the most significant on, as a trit. Any byte has one: there are no unused codes.
static inline int8_t bn_base3_digit(uint8_t byte, unsigned n)
{
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    uint8_t rest = (uint8_t)(byte * powers[n]);
    return (int8_t)((rest * 3 >> 8) - 1);
}

#endif
