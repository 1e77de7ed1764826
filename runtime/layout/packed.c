// Hugging Face's packed uint8 [rows / 4][cols]: bits 2i of byte (r, c) are row i * rows / 4 + r of column c.
#include "runtime/layout/blocks.h"

bool bn_packed_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    uint64_t bad = 0;
    for (uint64_t r = r0; r < r1; r++, trits += cols)
        bad |= bn_field_unpack(data + r % (rows / 4) * cols, cols, 2 * (int)(r / (rows / 4)), trits);
    return bad == 0;
}

void bn_packed_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    for (uint64_t r = r0; r < r1; r++, trits += cols)
        bn_field_pack(trits, cols, 2 * (int)(r / (rows / 4)), data + r % (rows / 4) * cols);
}
