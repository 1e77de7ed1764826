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

// Expressions, of such a word or of a vector of two.
#define BN_TRITS_OF(codes) ((((codes) | BN_EIGHT(0x80)) - BN_EIGHT(1)) ^ BN_EIGHT(0x80))
#define BN_CODES_OF(trits) ((((trits) ^ BN_EIGHT(0x80)) + BN_EIGHT(1)) & BN_EIGHT(3))
#define BN_CODE_3(word) ((word) & (word) >> 1 & BN_EIGHT(0x55)) // both bits of any code

typedef uint64_t bn_two __attribute__((vector_size(16))); // what every machine has

static inline bn_two bn_load_two(const void *from)
{
    bn_two words;
    memcpy(&words, from, sizeof(words));
    return words;
}

static inline void bn_store_two(void *to, bn_two words)
{
    memcpy(to, &words, sizeof(words));
}

// Blocks of 4 * quarter columns in `quarter` bytes, a multiple of 16: byte j holds columns j, quarter + j, ..., whose codes begin at
// bit `first`, and go up or down. The result is not 0 if an unused code is met.
static inline uint64_t bn_quarters_unpack(const uint8_t *data, unsigned quarter, int first, int step, int8_t *trits)
{
    bn_two bad = {0};
    for (unsigned j = 0; j < quarter; j += 16) {
        bn_two words = bn_load_two(data + j);
        bad |= BN_CODE_3(words);
        for (int l = 0; l < 4; l++) {
            bn_two codes = words >> (first + l * step) & BN_EIGHT(3);
            bn_store_two(trits + (unsigned)l * quarter + j, BN_TRITS_OF(codes));
        }
    }
    return bad[0] | bad[1];
}

static inline void bn_quarters_pack(const int8_t *trits, unsigned quarter, int first, int step, uint8_t *data)
{
    for (unsigned j = 0; j < quarter; j += 16) {
        bn_two words = {0};
        for (int l = 0; l < 4; l++) {
            bn_two part = bn_load_two(trits + (unsigned)l * quarter + j);
            words |= BN_CODES_OF(part) << (first + l * step);
        }
        bn_store_two(data + j, words);
    }
}

// Columns that have their bits at `shift` in a byte each; the same result, and the other bits of the bytes stay.
static inline uint64_t bn_field_unpack(const uint8_t *data, uint64_t cols, int shift, int8_t *trits)
{
    bn_two bad = {0};
    uint64_t c = 0, other = 0;
    for (; c + 16 <= cols; c += 16) {
        bn_two codes = bn_load_two(data + c) >> shift & BN_EIGHT(3);
        bad |= BN_CODE_3(codes);
        bn_store_two(trits + c, BN_TRITS_OF(codes));
    }
    for (; c < cols; c++) {
        unsigned code = data[c] >> shift & 3;
        other |= code == 3;
        trits[c] = (int8_t)(code - 1);
    }
    return other | bad[0] | bad[1];
}

static inline void bn_field_pack(const int8_t *trits, uint64_t cols, int shift, uint8_t *data)
{
    uint64_t c = 0, others = ~(BN_EIGHT(3) << shift);
    for (; c + 16 <= cols; c += 16) {
        bn_two part = bn_load_two(trits + c);
        bn_store_two(data + c, (bn_load_two(data + c) & others) | BN_CODES_OF(part) << shift);
    }
    for (; c < cols; c++)
        data[c] = (uint8_t)((data[c] & ~(3 << shift)) | (trits[c] + 1) << shift);
}

#endif
