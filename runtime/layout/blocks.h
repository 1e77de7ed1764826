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

// Eight columns in a word, one a byte: codes of two bits to trits and back, without vectors of any machine.
#define BN_EIGHT(byte) (0x0101010101010101u * (byte))

static inline uint64_t bn_load_eight(const void *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof(word));
    return word;
}

static inline void bn_store_eight(void *to, uint64_t word)
{
    memcpy(to, &word, sizeof(word));
}

static inline uint64_t bn_trits_of(uint64_t codes)
{
    return ((codes | BN_EIGHT(0x80)) - BN_EIGHT(1)) ^ BN_EIGHT(0x80);
}

static inline uint64_t bn_codes_of(uint64_t trits)
{
    return ((trits ^ BN_EIGHT(0x80)) + BN_EIGHT(1)) & BN_EIGHT(3);
}

// Both bits of any code.
static inline uint64_t bn_code_3(uint64_t word)
{
    return word & word >> 1 & BN_EIGHT(0x55);
}

// Blocks of 4 * quarter columns in `quarter` bytes, a multiple of 8: byte j holds columns j, quarter + j, ..., whose codes begin at
// bit `first`, and go up or down. The result is not 0 if an unused code is met.
static inline uint64_t bn_quarters_unpack(const uint8_t *data, unsigned quarter, int first, int step, int8_t *trits)
{
    uint64_t bad = 0;
    for (unsigned j = 0; j < quarter; j += 8) {
        uint64_t word = bn_load_eight(data + j);
        bad |= bn_code_3(word);
        for (int l = 0; l < 4; l++)
            bn_store_eight(trits + (unsigned)l * quarter + j, bn_trits_of(word >> (first + l * step) & BN_EIGHT(3)));
    }
    return bad;
}

static inline void bn_quarters_pack(const int8_t *trits, unsigned quarter, int first, int step, uint8_t *data)
{
    for (unsigned j = 0; j < quarter; j += 8) {
        uint64_t word = 0;
        for (int l = 0; l < 4; l++)
            word |= bn_codes_of(bn_load_eight(trits + (unsigned)l * quarter + j)) << (first + l * step);
        bn_store_eight(data + j, word);
    }
}

// Columns that have their bits at `shift` in a byte each; the same result, and the other bits of the bytes stay.
static inline uint64_t bn_field_unpack(const uint8_t *data, uint64_t cols, unsigned shift, int8_t *trits)
{
    uint64_t bad = 0, c = 0;
    for (; c + 8 <= cols; c += 8) {
        uint64_t codes = bn_load_eight(data + c) >> shift & BN_EIGHT(3);
        bad |= bn_code_3(codes);
        bn_store_eight(trits + c, bn_trits_of(codes));
    }
    for (; c < cols; c++) {
        unsigned code = data[c] >> shift & 3;
        bad |= code == 3;
        trits[c] = (int8_t)(code - 1);
    }
    return bad;
}

static inline void bn_field_pack(const int8_t *trits, uint64_t cols, unsigned shift, uint8_t *data)
{
    uint64_t c = 0, others = ~(BN_EIGHT(3) << shift);
    for (; c + 8 <= cols; c += 8)
        bn_store_eight(data + c, (bn_load_eight(data + c) & others) | bn_codes_of(bn_load_eight(trits + c)) << shift);
    for (; c < cols; c++)
        data[c] = (uint8_t)((data[c] & ~(3u << shift)) | (unsigned)(trits[c] + 1) << shift);
}

#endif
