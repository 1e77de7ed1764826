// ggml's quantised floats, for embeddings and heads. The values are those of ggml's dequantize_row_*; all are exact in f32.
#include <math.h>

#include "runtime/layout/blocks.h"

enum { COLS = 32, HALF = 16, K_COLS = 256 };
enum { Q8_BYTES = 34, Q5_BYTES = 22, Q4_BYTES = 18, Q6_K_BYTES = 210 };

void bn_q8_0_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    data += r * (cols / COLS) * Q8_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q8_BYTES, out += COLS) {
        float d = bn_load_f16(data);
        for (unsigned j = 0; j < COLS; j++)
            out[j] = (float)(int8_t)data[2 + j] * d;
    }
}

void bn_q4_0_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    data += r * (cols / COLS) * Q4_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q4_BYTES, out += COLS) {
        float d = bn_load_f16(data);
        for (unsigned j = 0; j < HALF; j++) {
            out[j] = (float)((data[2 + j] & 15) - 8) * d;
            out[HALF + j] = (float)((data[2 + j] >> 4) - 8) * d;
        }
    }
}

// The fifth bit of column j is bit j of the word after the scale.
void bn_q5_0_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    data += r * (cols / COLS) * Q5_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q5_BYTES, out += COLS) {
        float d = bn_load_f16(data);
        uint32_t high;
        memcpy(&high, data + 2, sizeof(high));
        for (unsigned j = 0; j < HALF; j++) {
            int low = (int)((data[6 + j] & 15) | (high >> j & 1) << 4);
            int second = (int)(data[6 + j] >> 4 | (high >> (HALF + j) & 1) << 4);
            out[j] = (float)(low - 16) * d;
            out[HALF + j] = (float)(second - 16) * d;
        }
    }
}

// Two halves of 128 columns: their low four bits in 64 bytes, the high two in 32, a scale for every sixteen of them.
void bn_q6_k_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    data += r * (cols / K_COLS) * Q6_K_BYTES;
    for (uint64_t b = 0; b < cols / K_COLS; b++, data += Q6_K_BYTES) {
        float d = bn_load_f16(data + 208);
        for (unsigned half = 0; half < 2; half++, out += 128) {
            const uint8_t *low = data + 64 * half, *high = data + 128 + 32 * half, *scales = data + 192 + 8 * half;
            for (unsigned j = 0; j < 128; j++) {
                unsigned nibble = low[j % 64] >> 4 * (j / 64) & 15, top = high[j % 32] >> 2 * (j / 32) & 3;
                out[j] = d * (float)(int8_t)scales[j / 16] * (float)((int)(nibble | top << 4) - 32);
            }
        }
    }
}

void bn_q8_0_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    data += r * (cols / COLS) * Q8_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q8_BYTES, in += COLS) {
        float most = 0;
        for (unsigned j = 0; j < COLS; j++)
            most = fabsf(in[j]) > most ? fabsf(in[j]) : most;
        float d = most / 127, inverse = d > 0 ? 1 / d : 0;
        bn_store_f16(data, d);
        for (unsigned j = 0; j < COLS; j++)
            data[2 + j] = (uint8_t)(int8_t)roundf(in[j] * inverse);
    }
}

// Steps of d = m / -half, m being the first value of the largest magnitude; d is what the caller stores.
static float steps(const float *in, unsigned half, uint8_t *q)
{
    float most = 0;
    for (unsigned j = 0; j < COLS; j++)
        most = fabsf(in[j]) > fabsf(most) ? in[j] : most;
    float d = most / -(float)half, inverse = d != 0 ? 1 / d : 0;
    for (unsigned j = 0; j < COLS; j++) {
        float scaled = in[j] * inverse;
        int step = (int)(scaled + ((float)half + 0.5f));
        q[j] = (uint8_t)(step < 0 ? 0 : step > (int)(2 * half - 1) ? (int)(2 * half - 1) : step);
    }
    return d;
}

void bn_q4_0_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    data += r * (cols / COLS) * Q4_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q4_BYTES, in += COLS) {
        uint8_t q[COLS];
        bn_store_f16(data, steps(in, 8, q));
        for (unsigned j = 0; j < HALF; j++)
            data[2 + j] = (uint8_t)(q[j] | q[HALF + j] << 4);
    }
}

void bn_q5_0_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    data += r * (cols / COLS) * Q5_BYTES;
    for (uint64_t b = 0; b < cols / COLS; b++, data += Q5_BYTES, in += COLS) {
        uint8_t q[COLS];
        bn_store_f16(data, steps(in, 16, q));
        uint32_t high = 0;
        for (unsigned j = 0; j < COLS; j++)
            high |= (uint32_t)(q[j] >> 4) << j;
        memcpy(data + 2, &high, sizeof(high));
        for (unsigned j = 0; j < HALF; j++)
            data[6 + j] = (uint8_t)((q[j] & 15) | (q[HALF + j] & 15) << 4);
    }
}
