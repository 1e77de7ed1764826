// The ternary layouts of ik_llama.cpp: a scale in front of each row, then blocks of 64 columns. IQ1_BN has 13 bytes a
// block, in base 3; IQ2_BN two bits a column; IQ2_BN_R4 the same with four rows side by side.
#include "runtime/layout/blocks.h"

enum { COLS = 64, IQ1_BYTES = 13, IQ2_BYTES = 16, ROWS = 4 };

static uint64_t iq1_row(uint64_t cols)
{
    return 2 + cols / COLS * IQ1_BYTES;
}

static uint64_t iq2_row(uint64_t cols)
{
    return sizeof(float) + cols / COLS * IQ2_BYTES;
}

uint64_t bn_iq1_bn_bytes(uint64_t rows, uint64_t cols)
{
    return bn_rows_bytes(rows, 2, cols / COLS, IQ1_BYTES);
}

uint64_t bn_iq2_bn_bytes(uint64_t rows, uint64_t cols)
{
    return bn_rows_bytes(rows, sizeof(float), cols / COLS, IQ2_BYTES);
}

// Sixteen columns: three bytes of five, the first as the least significant digit; the sixteenth ones of a block share its last
// byte, likewise.
bool bn_iq1_bn_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    for (uint64_t r = r0; r < r1; r++) {
        const uint8_t *block = data + r * iq1_row(cols) + 2;
        for (uint64_t b = 0; b < cols / COLS; b++, block += IQ1_BYTES)
            for (unsigned sixteen = 0; sixteen < 4; sixteen++) {
                for (unsigned k = 0; k < 3; k++)
                    for (unsigned n = 0; n < 5; n++)
                        *trits++ = bn_base3_digit(block[3 * sixteen + k], 4 - n);
                *trits++ = bn_base3_digit(block[12], 4 - sixteen);
            }
    }
    return true;
}

static unsigned number_of(const int8_t *trits, unsigned step, unsigned n)
{
    unsigned number = 0;
    while (n-- > 0)
        number = 3 * number + (unsigned)(trits[n * step] + 1);
    return number;
}

void bn_iq1_bn_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++) {
        uint8_t *block = data + r * iq1_row(cols) + 2;
        for (uint64_t b = 0; b < cols / COLS; b++, block += IQ1_BYTES, trits += COLS) {
            for (unsigned i = 0; i < 12; i++)
                block[i] = bn_base3_byte(number_of(trits + i / 3 * 16 + i % 3 * 5, 1, 5));
            block[12] = bn_base3_byte(number_of(trits + 15, 16, 4));
        }
    }
}

float bn_iq1_bn_scale_at(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g)
{
    return bn_load_f16(data + r * iq1_row(cols));
}

void bn_iq1_bn_set_scale(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale)
{
    bn_store_f16(data + r * iq1_row(cols), scale);
}

// Bits 2l of byte j are column 16 l + j.
bool bn_iq2_bn_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    uint64_t bad = 0;
    for (uint64_t r = r0; r < r1; r++) {
        const uint8_t *block = data + r * iq2_row(cols) + sizeof(float);
        for (uint64_t b = 0; b < cols / COLS; b++, block += IQ2_BYTES, trits += COLS)
            bad |= bn_quarters_unpack(block, IQ2_BYTES, 0, 2, trits);
    }
    return bad == 0;
}

void bn_iq2_bn_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++) {
        uint8_t *block = data + r * iq2_row(cols) + sizeof(float);
        for (uint64_t b = 0; b < cols / COLS; b++, block += IQ2_BYTES, trits += COLS)
            bn_quarters_pack(trits, IQ2_BYTES, 0, 2, block);
    }
}

float bn_iq2_bn_scale_at(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g)
{
    float scale;
    memcpy(&scale, data + r * iq2_row(cols), sizeof(scale));
    return scale;
}

void bn_iq2_bn_set_scale(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale)
{
    memcpy(data + r * iq2_row(cols), &scale, sizeof(scale));
}

// Four rows: their scales, then 64 bytes a block. Bits 2s of byte 16 l + 4 k + i are column 16 l + 4 s + i of row k.
static uint64_t r4_codes(uint64_t cols, uint64_t r)
{
    return r / ROWS * ROWS * iq2_row(cols) + ROWS * sizeof(float) + r % ROWS * 4;
}

bool bn_iq2_bn_r4_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    uint64_t bad = 0;
    for (uint64_t r = r0; r < r1; r++) {
        const uint8_t *codes = data + r4_codes(cols, r);
        for (uint64_t c = 0; c < cols; c += 16, codes += 16, trits += 16) {
            uint32_t four;
            memcpy(&four, codes, sizeof(four));
            uint64_t word = four | (uint64_t)four << 30; // its upper half is the fours' next codes
            bad |= BN_CODE_3(four);
            bn_store_eight(trits, BN_TRITS_OF(word & BN_EIGHT(3)));
            bn_store_eight(trits + 8, BN_TRITS_OF(word >> 4 & BN_EIGHT(3)));
        }
    }
    return bad == 0;
}

void bn_iq2_bn_r4_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++) {
        uint8_t *codes = data + r4_codes(cols, r);
        for (uint64_t c = 0; c < cols; c += 16, codes += 16, trits += 16) {
            uint64_t word = BN_CODES_OF(bn_load_eight(trits)) | BN_CODES_OF(bn_load_eight(trits + 8)) << 4;
            uint32_t four = (uint32_t)(word | word >> 30);
            memcpy(codes, &four, sizeof(four));
        }
    }
}

static uint64_t r4_scale(uint64_t cols, uint64_t r)
{
    return r / ROWS * ROWS * iq2_row(cols) + r % ROWS * sizeof(float);
}

float bn_iq2_bn_r4_scale_at(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g)
{
    float scale;
    memcpy(&scale, data + r4_scale(cols, r), sizeof(scale));
    return scale;
}

void bn_iq2_bn_r4_set_scale(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale)
{
    memcpy(data + r4_scale(cols, r), &scale, sizeof(scale));
}
