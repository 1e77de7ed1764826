// I2_S: two bits per weight, -1 -> 0, 0 -> 1, +1 -> 2, in three byte orders (docs/layouts.md).
#include "runtime/layout/blocks.h"

// Both bits of any of the four codes of a byte.
static inline unsigned code_3(unsigned byte)
{
    return byte & byte >> 1 & 0x55;
}

uint64_t bn_i2s_find_code_3(const uint8_t *data, uint64_t bytes)
{
    uint64_t at = 0, words[8];
    for (; bytes - at >= sizeof(words); at += sizeof(words)) { // as fast as memory
        uint64_t bad = 0;
        memcpy(words, data + at, sizeof(words));
        for (int i = 0; i < 8; i++)
            bad |= words[i] & words[i] >> 1;
        if (bad & 0x5555555555555555u)
            break;
    }
    while (at < bytes && !code_3(data[at]))
        at++;
    return at;
}

// A and B: blocks of 4 * quarter columns in `quarter` bytes; byte j holds columns j, quarter + j, ... from the top bits
// down. Rows are whole blocks, so a matrix is one run of them.
static inline bool unpack_blocks(const uint8_t *data, uint64_t n, unsigned quarter, int8_t *trits)
{
    uint64_t bad = 0;
    for (uint64_t at = 0; at < n; at += 4 * quarter, data += quarter, trits += 4 * quarter)
        bad |= bn_quarters_unpack(data, quarter, 6, -2, trits);
    return bad == 0;
}

static inline void pack_blocks(const int8_t *trits, uint64_t n, unsigned quarter, uint8_t *data)
{
    for (uint64_t at = 0; at < n; at += 4 * quarter, data += quarter, trits += 4 * quarter)
        bn_quarters_pack(trits, quarter, 6, -2, data);
}

// Rows of A end in a whole block, whose columns beyond the last are zeros.
#define A_COLS 128

bool bn_i2s_a_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    uint64_t whole = cols / A_COLS * A_COLS, stride = (cols + A_COLS - 1) / A_COLS * (A_COLS / 4);
    data += r0 * stride;
    if (whole == cols)
        return unpack_blocks(data, (r1 - r0) * cols, 32, trits);
    bool sound = true;
    for (uint64_t r = r0; r < r1; r++, data += stride, trits += cols) {
        int8_t last[A_COLS];
        sound = unpack_blocks(data, whole, 32, trits) && sound;
        sound = unpack_blocks(data + whole / 4, A_COLS, 32, last) && sound;
        memcpy(trits + whole, last, cols - whole);
    }
    return sound;
}

bool bn_i2s_b_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    return unpack_blocks(data + r0 * cols / 4, (r1 - r0) * cols, 16, trits);
}

void bn_i2s_a_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    uint64_t whole = cols / A_COLS * A_COLS, stride = (cols + A_COLS - 1) / A_COLS * (A_COLS / 4);
    data += r0 * stride;
    if (whole == cols) {
        pack_blocks(trits, (r1 - r0) * cols, 32, data);
        return;
    }
    for (uint64_t r = r0; r < r1; r++, data += stride, trits += cols) {
        int8_t last[A_COLS] = {0};
        memcpy(last, trits + whole, cols - whole);
        pack_blocks(trits, whole, 32, data);
        pack_blocks(last, A_COLS, 32, data + whole / 4);
    }
}

void bn_i2s_b_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    pack_blocks(trits, (r1 - r0) * cols, 16, data + r0 * cols / 4);
}

// C: byte (r / 4) * cols + c holds rows r .. r + 3 of column c, the first in the top bits.
bool bn_i2s_c_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    uint64_t bad = 0;
    for (uint64_t r = r0; r < r1; r++, trits += cols)
        bad |= bn_field_unpack(data + r / 4 * cols, cols, 6 - 2 * (int)(r % 4), trits);
    return bad == 0;
}

void bn_i2s_c_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++, trits += cols)
        bn_field_pack(trits, cols, 6 - 2 * (int)(r % 4), data + r / 4 * cols);
}
