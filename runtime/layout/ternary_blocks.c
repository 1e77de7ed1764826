// Blocks of trits with an f16 scale: TQ1_0 and TQ2_0 of ggml, Q2_0 in blocks of 64 (ggml) and 128 (Prism, who also call
// it PQ2_0), Prism's PTQ1_0. Blocks run on through the rows (docs/layouts.md).
#include "runtime/layout/blocks.h"

enum { TQ_COLS = 256, Q2_COLS = 64, PQ_COLS = 128 };
enum { TQ1_BYTES = 54, TQ2_BYTES = 66, Q2_BYTES = 18, PQ2_BYTES = 34, PTQ1_BYTES = 28 };
#define LOW_HALVES 0x00ff00ff00ff00ffu

// In base 3 a byte holds five trits, or four, the first one as its most significant digit. A run of `bytes` bytes holds the
// first digits of all of them, then the second ones, and so on. Sixteen bytes at a time, or as many as the run has, as numbers of 16 bits;
// inline, so that compilers know the figures.
static inline void unpack_run(unsigned bytes, unsigned n_digits, const uint8_t *data, int8_t *trits)
{
    const unsigned width = bytes < 16 ? bytes : 16;
    for (unsigned m = 0; m < bytes; m += width) {
        bn_two words = {0}, even, odd;
        memcpy(&words, data + m, width);
        even = words;
        odd = words >> 8;
        for (unsigned n = 0; n < n_digits; n++) {
            even &= LOW_HALVES;
            odd &= LOW_HALVES;
            even += even + even;
            odd += odd + odd;
            bn_two codes = (even >> 8 & LOW_HALVES) | (odd & ~LOW_HALVES);
            codes = BN_TRITS_OF(codes);
            memcpy(trits + n * bytes + m, &codes, width);
        }
    }
}

typedef uint16_t halves __attribute__((vector_size(16)));

// bn_base3_byte: the number and, rounded up, 13 / 243 of it; 7 / 128 of it is that or one less.
static inline halves bytes_of(halves numbers)
{
    halves part = numbers * 7 >> 7;
    return numbers + part - (halves)(part * 243 < numbers * 13); // true is -1
}

static inline void pack_run(unsigned bytes, unsigned n_digits, const int8_t *trits, uint8_t *data)
{
    const unsigned width = bytes < 16 ? bytes : 16;
    for (unsigned m = 0; m < bytes; m += width) {
        bn_two numbers = {0};
        for (unsigned n = 0; n < 5; n++) {
            bn_two digits = {BN_EIGHT(0xff), BN_EIGHT(0xff)}; // whose codes are 0
            if (n < n_digits)
                memcpy(&digits, trits + n * bytes + m, width);
            numbers = numbers + numbers + numbers + BN_CODES_OF(digits); // at most 242 in each byte
        }
        halves even = bytes_of((halves)(numbers & LOW_HALVES));
        halves odd = bytes_of((halves)(numbers >> 8 & LOW_HALVES));
        even |= odd << 8;
        memcpy(data + m, &even, width);
    }
}

static bool tq1_unpack(const uint8_t *block, int8_t *trits)
{
    unpack_run(32, 5, block, trits);
    unpack_run(16, 5, block + 32, trits + 160);
    unpack_run(4, 4, block + 48, trits + 240);
    return true;
}

static void tq1_pack(const int8_t *trits, uint8_t *block)
{
    pack_run(32, 5, trits, block);
    pack_run(16, 5, trits + 160, block + 32);
    pack_run(4, 4, trits + 240, block + 48);
}

static bool ptq1_unpack(const uint8_t *block, int8_t *trits)
{
    unpack_run(16, 5, block, trits);
    unpack_run(8, 5, block + 16, trits + 80);
    unpack_run(2, 4, block + 24, trits + 120);
    return true;
}

static void ptq1_pack(const int8_t *trits, uint8_t *block)
{
    pack_run(16, 5, trits, block);
    pack_run(8, 5, trits + 80, block + 16);
    pack_run(2, 4, trits + 120, block + 24);
}

// Two halves of 128: bits 2l of byte m are column 32 l + m.
static bool tq2_unpack(const uint8_t *block, int8_t *trits)
{
    return (bn_quarters_unpack(block, 32, 0, 2, trits) | bn_quarters_unpack(block + 32, 32, 0, 2, trits + 128)) == 0;
}

static void tq2_pack(const int8_t *trits, uint8_t *block)
{
    bn_quarters_pack(trits, 32, 0, 2, block);
    bn_quarters_pack(trits + 128, 32, 0, 2, block + 32);
}

// The scale first; then four columns a byte, the first in the bottom bits: two bytes are spread over eight, and gathered.
static bool q2_unpack(const uint8_t *codes, unsigned cols, int8_t *trits)
{
    uint64_t bad = 0;
    for (unsigned j = 0; j < cols; j += 8) {
        uint64_t word = codes[j / 4] | (uint64_t)codes[j / 4 + 1] << 32;
        bad |= BN_CODE_3(word);
        word = (word | word << 12) & 0x000f000f000f000fu;
        word = (word | word << 6) & BN_EIGHT(3);
        bn_store_eight(trits + j, BN_TRITS_OF(word));
    }
    return bad == 0;
}

static void q2_pack(const int8_t *trits, unsigned cols, uint8_t *codes)
{
    for (unsigned j = 0; j < cols; j += 8) {
        uint64_t word = BN_CODES_OF(bn_load_eight(trits + j));
        word = (word | word >> 6) & 0x000f000f000f000fu;
        word |= word >> 12;
        codes[j / 4] = (uint8_t)word;
        codes[j / 4 + 1] = (uint8_t)(word >> 32);
    }
}

static bool q2_64_unpack(const uint8_t *block, int8_t *trits)
{
    return q2_unpack(block + 2, Q2_COLS, trits);
}

static void q2_64_pack(const int8_t *trits, uint8_t *block)
{
    q2_pack(trits, Q2_COLS, block + 2);
}

static bool q2_128_unpack(const uint8_t *block, int8_t *trits)
{
    return q2_unpack(block + 2, PQ_COLS, trits);
}

static void q2_128_pack(const int8_t *trits, uint8_t *block)
{
    q2_pack(trits, PQ_COLS, block + 2);
}

// The functions of the table, from those of one block.
#define BLOCKS(name, block_cols, block_bytes, scale_at_byte)                                                           \
    bool bn_##name##_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1,               \
                            int8_t *trits)                                                                             \
    {                                                                                                                  \
        bool sound = true;                                                                                             \
        data += r0 * (cols / (block_cols)) * (block_bytes);                                                            \
        for (uint64_t n = (r1 - r0) * (cols / (block_cols)); n > 0; n--, data += (block_bytes), trits += (block_cols)) \
            sound = name##_unpack(data, trits) && sound;                                                               \
        return sound;                                                                                                  \
    }                                                                                                                  \
    void bn_##name##_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)  \
    {                                                                                                                  \
        data += r0 * (cols / (block_cols)) * (block_bytes);                                                            \
        for (uint64_t n = (r1 - r0) * (cols / (block_cols)); n > 0; n--, data += (block_bytes), trits += (block_cols)) \
            name##_pack(trits, data);                                                                                  \
    }                                                                                                                  \
    float bn_##name##_scale_at(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g)              \
    {                                                                                                                  \
        return bn_load_f16(data + (r * (cols / (block_cols)) + g) * (block_bytes) + (scale_at_byte));                  \
    }                                                                                                                  \
    void bn_##name##_set_scale(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale)       \
    {                                                                                                                  \
        bn_store_f16(data + (r * (cols / (block_cols)) + g) * (block_bytes) + (scale_at_byte), scale);                 \
    }

BLOCKS(tq1, TQ_COLS, TQ1_BYTES, TQ1_BYTES - 2)
BLOCKS(tq2, TQ_COLS, TQ2_BYTES, TQ2_BYTES - 2)
BLOCKS(q2_64, Q2_COLS, Q2_BYTES, 0)
BLOCKS(q2_128, PQ_COLS, PQ2_BYTES, 0)
BLOCKS(ptq1, PQ_COLS, PTQ1_BYTES, PTQ1_BYTES - 2)
