// BN_LAYOUT_BASE3: five columns in a byte. Their codes are the digits v of a number below 3^5, and the byte is the fraction
// v / 243 of 256, rounded up: multiplying by 3 then pushes one digit after the other out at the top.
#include "runtime/layout/blocks.h"

enum { COLS = 320, BYTES = 64, DIGITS = 5, VALUES = 243 };

// Of a row: of as many columns as the activations have, bn_padded_cols.
static uint64_t blocks(uint64_t cols)
{
    uint64_t padded = (cols + 127) / 128 * 128;
    return padded / COLS + (padded % COLS != 0);
}

uint64_t bn_base3_bytes(uint64_t rows, uint64_t cols)
{
    return bn_rows_bytes(rows, 0, blocks(cols), BYTES);
}

static void pack_block(const int8_t *trits, uint8_t *data)
{
    uint8_t v[BYTES] = {0};
    for (int d = 0; d < DIGITS; d++)
        for (int j = 0; j < BYTES; j++) // inside, so that compilers make vectors of it
            v[j] = (uint8_t)(3 * v[j] + trits[d * BYTES + j] + 1);
    for (int j = 0; j < BYTES; j++)
        data[j] = (uint8_t)((uint16_t)(v[j] * 256 + (VALUES - 1)) / VALUES);
}

// Bytes that no number has are found: they would not come back.
static bool unpack_block(const uint8_t *data, int8_t *trits)
{
    uint8_t again[BYTES];
    uint16_t u[BYTES];
    for (int j = 0; j < BYTES; j++)
        u[j] = data[j];
    for (int d = 0; d < DIGITS; d++)
        for (int j = 0; j < BYTES; j++) {
            u[j] = (uint16_t)((u[j] & 255) * 3);
            trits[d * BYTES + j] = (int8_t)((u[j] >> 8) - 1);
        }
    pack_block(trits, again);
    return memcmp(again, data, BYTES) == 0;
}

bool bn_base3_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    bool sound = true;
    data += r0 * blocks(cols) * BYTES;
    for (uint64_t r = r0; r < r1; r++)
        for (uint64_t b = 0, c = 0; b < blocks(cols); b++, c += COLS, data += BYTES) {
            int8_t block[COLS];
            uint64_t n = c >= cols ? 0 : cols - c < COLS ? cols - c : COLS;
            sound = unpack_block(data, block) && sound;
            if (n > 0)
                memcpy(trits + (r - r0) * cols + c, block, n);
        }
    return sound;
}

void bn_base3_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    data += r0 * blocks(cols) * BYTES;
    for (uint64_t r = r0; r < r1; r++)
        for (uint64_t b = 0, c = 0; b < blocks(cols); b++, c += COLS, data += BYTES) {
            int8_t block[COLS] = {0};
            uint64_t n = c >= cols ? 0 : cols - c < COLS ? cols - c : COLS;
            if (n > 0)
                memcpy(block, trits + (r - r0) * cols + c, n);
            pack_block(block, data);
        }
}
