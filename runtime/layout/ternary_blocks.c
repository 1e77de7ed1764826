// Blocks of trits with an f16 scale: TQ1_0 and TQ2_0 of ggml, Q2_0 in blocks of 64 (ggml) and 128 (Prism, who also call
// it PQ2_0), Prism's PTQ1_0. Blocks run on through the rows (docs/layouts.md).
#include "runtime/layout/blocks.h"

enum { TQ_COLS = 256, Q2_COLS = 64, PQ_COLS = 128 };
enum { TQ1_BYTES = 54, TQ2_BYTES = 66, Q2_BYTES = 18, PQ2_BYTES = 34, PTQ1_BYTES = 28 };

// In base 3 a byte holds five trits, or four, the first one as its most significant digit. A run of `bytes` bytes holds the
// first digits of all of them, then the second ones, and so on.
struct run {
    unsigned bytes, digits;
};
#define LOW_HALVES 0x00ff00ff00ff00ffu
static const struct run tq1_runs[] = {{32, 5}, {16, 5}, {4, 4}, {0, 0}};
static const struct run ptq1_runs[] = {{16, 5}, {8, 5}, {2, 4}, {0, 0}};

// Eight bytes at a time, or as many as the run has, as numbers of 16 bits.
static void unpack_runs(const struct run *run, const uint8_t *data, int8_t *trits)
{
    for (; run->bytes; data += run->bytes, trits += run->bytes * run->digits, run++) {
        for (unsigned m = 0; m < run->bytes; m += 8) {
            unsigned width = run->bytes - m < 8 ? run->bytes - m : 8;
            uint64_t word = 0, even, odd;
            memcpy(&word, data + m, width);
            even = word & LOW_HALVES;
            odd = word >> 8 & LOW_HALVES;
            for (unsigned n = 0; n < run->digits; n++) {
                even = (even & LOW_HALVES) * 3;
                odd = (odd & LOW_HALVES) * 3;
                uint64_t eight = bn_trits_of((even >> 8 & LOW_HALVES) | (odd & ~LOW_HALVES));
                memcpy(trits + n * run->bytes + m, &eight, width);
            }
        }
    }
}

static void pack_runs(const struct run *run, const int8_t *trits, uint8_t *data)
{
    for (; run->bytes; trits += run->bytes * run->digits, data += run->bytes, run++) {
        for (unsigned m = 0; m < run->bytes; m += 8) {
            unsigned width = run->bytes - m < 8 ? run->bytes - m : 8;
            uint64_t numbers = 0;
            for (unsigned n = 0; n < 5; n++) {
                uint64_t eight = BN_EIGHT(0xff); // codes of 0
                if (n < run->digits)
                    memcpy(&eight, trits + n * run->bytes + m, width);
                numbers = numbers * 3 + bn_codes_of(eight); // at most 242 in each byte
            }
            for (unsigned i = 0; i < width; i++)
                data[m + i] = bn_base3_byte((unsigned)(numbers >> 8 * i & 0xff));
        }
    }
}

static bool tq1_unpack(const uint8_t *block, int8_t *trits)
{
    unpack_runs(tq1_runs, block, trits);
    return true;
}

static void tq1_pack(const int8_t *trits, uint8_t *block)
{
    pack_runs(tq1_runs, trits, block);
}

static bool ptq1_unpack(const uint8_t *block, int8_t *trits)
{
    unpack_runs(ptq1_runs, block, trits);
    return true;
}

static void ptq1_pack(const int8_t *trits, uint8_t *block)
{
    pack_runs(ptq1_runs, trits, block);
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
        bad |= bn_code_3(word);
        word = (word | word << 12) & 0x000f000f000f000fu;
        word = (word | word << 6) & BN_EIGHT(3);
        bn_store_eight(trits + j, bn_trits_of(word));
    }
    return bad == 0;
}

static void q2_pack(const int8_t *trits, unsigned cols, uint8_t *codes)
{
    for (unsigned j = 0; j < cols; j += 8) {
        uint64_t word = bn_codes_of(bn_load_eight(trits + j));
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
