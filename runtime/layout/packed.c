// Hugging Face's packed uint8 [rows / 4][cols]: bits 2i of byte (r, c) are row i * rows / 4 + r of column c.
#include "runtime/layout/formats.h"

bool bn_packed_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    unsigned bad = 0;
    for (uint64_t r = r0; r < r1; r++, trits += cols) {
        const uint8_t *bytes = data + r % (rows / 4) * cols;
        unsigned shift = 2 * (unsigned)(r / (rows / 4));
        for (uint64_t c = 0; c < cols; c++) {
            unsigned code = bytes[c] >> shift & 3;
            bad |= code == 3;
            trits[c] = (int8_t)(code - 1);
        }
    }
    return bad == 0;
}

void bn_packed_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++, trits += cols) {
        uint8_t *bytes = data + r % (rows / 4) * cols;
        unsigned shift = 2 * (unsigned)(r / (rows / 4));
        for (uint64_t c = 0; c < cols; c++)
            bytes[c] = (uint8_t)((bytes[c] & ~(3u << shift)) | (unsigned)(trits[c] + 1) << shift);
    }
}
