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
static const struct run tq1_runs[] = {{32, 5}, {16, 5}, {4, 4}, {0, 0}};
static const struct run ptq1_runs[] = {{16, 5}, {8, 5}, {2, 4}, {0, 0}};

static void unpack_runs(const struct run *run, const uint8_t *data, int8_t *trits)
{
    for (; run->bytes; data += run->bytes, run++)
        for (unsigned n = 0; n < run->digits; n++)
            for (unsigned m = 0; m < run->bytes; m++)
                *trits++ = bn_base3_digit(data[m], n);
}

static void pack_runs(const struct run *run, const int8_t *trits, uint8_t *data)
{
    for (; run->bytes; trits += run->bytes * run->digits, data += run->bytes, run++)
        for (unsigned m = 0; m < run->bytes; m++) {
            unsigned number = 0;
            for (unsigned n = 0; n < 5; n++)
                number = 3 * number + (n < run->digits ? (unsigned)(trits[n * run->bytes + m] + 1) : 0);
            data[m] = bn_base3_byte(number);
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
    unsigned bad = 0;
    for (unsigned half = 0; half < 2; half++, block += 32, trits += 128)
        for (unsigned m = 0; m < 32; m++) {
            bad |= block[m] & block[m] >> 1 & 0x55;
            for (unsigned l = 0; l < 4; l++)
                trits[32 * l + m] = (int8_t)((block[m] >> 2 * l & 3) - 1);
        }
    return bad == 0;
}

static void tq2_pack(const int8_t *trits, uint8_t *block)
{
    for (unsigned half = 0; half < 2; half++, block += 32, trits += 128)
        for (unsigned m = 0; m < 32; m++) {
            block[m] = 0;
            for (unsigned l = 0; l < 4; l++)
                block[m] |= (uint8_t)((trits[32 * l + m] + 1) << 2 * l);
        }
}

// The scale first; then four columns a byte, the first in the bottom bits.
static bool q2_unpack(const uint8_t *codes, unsigned cols, int8_t *trits)
{
    unsigned bad = 0;
    for (unsigned j = 0; j < cols; j++) {
        unsigned code = codes[j / 4] >> 2 * (j % 4) & 3;
        bad |= code == 3;
        trits[j] = (int8_t)(code - 1);
    }
    return bad == 0;
}

static void q2_pack(const int8_t *trits, unsigned cols, uint8_t *codes)
{
    for (unsigned j = 0; j < cols; j += 4)
        codes[j / 4] =
            (uint8_t)((trits[j] + 1) | (trits[j + 1] + 1) << 2 | (trits[j + 2] + 1) << 4 | (trits[j + 3] + 1) << 6);
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
