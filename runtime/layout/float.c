// F32, F16 and BF16, little-endian. Row r starts at element r * cols; rows need no alignment.
#include <assert.h>
#include <string.h>

#include "runtime/layout/formats.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are read in place, and files are little-endian");

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

float bn_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 31;
    uint32_t fraction = h & 0x3ff;
    if (exponent == 31)
        return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent == 0) { // zero or subnormal: fraction * 2^-24, exact in f32
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of(sign | bits_of(magnitude));
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t bn_f32_to_f16(float f)
{
    uint32_t bits = bits_of(f);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) // NaN, made quiet, with the top of its payload
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) // 65520 and more round to infinity
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { // below 2^-14: the unit is 2^-24, and so is that of 0.5f's f32
        uint32_t rounded = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
        return (uint16_t)(sign | rounded);
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfff + odd) >> 13));
}

float bn_bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t bn_f32_to_bf16(float f)
{
    uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffff) > 0x7f800000) // NaN, made quiet
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void bn_f32_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    memcpy(out, data + r * cols * sizeof(float), cols * sizeof(float));
}

// Heads of hundreds of millions of halves are widened when they are opened: as bn_f16_to_f32, without branches, so that
// compilers use vectors. The product takes the exponent from one bias to the other, and is exact.
enum { TOGETHER = 16 };

static void widen_together(const uint8_t *restrict data, float *restrict out)
{
    uint16_t h[TOGETHER];
    memcpy(h, data, sizeof(h));
    for (int i = 0; i < TOGETHER; i++) {
        uint32_t magnitude = (uint32_t)(h[i] & 0x7fff) << 13;
        uint32_t bits = bits_of(float_of(magnitude) * 0x1p112f);
        bits |= magnitude >= 0x0f800000 ? 0x7f800000u : 0; // infinity and NaN
        out[i] = float_of(bits | (uint32_t)(h[i] & 0x8000) << 16);
    }
}

void bn_f16_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    uint64_t c = 0;
    data += r * cols * 2;
    for (; c + TOGETHER <= cols; c += TOGETHER)
        widen_together(data + 2 * c, out + c);
    for (; c < cols; c++)
        out[c] = bn_f16_to_f32((uint16_t)(data[2 * c] | data[2 * c + 1] << 8));
}

void bn_bf16_widen(const uint8_t *data, uint64_t cols, uint64_t r, float *out)
{
    data += r * cols * 2;
    uint64_t c = 0;
    for (; c + TOGETHER <= cols; c += TOGETHER) {
        uint16_t h[TOGETHER];
        uint32_t bits[TOGETHER];
        memcpy(h, data + 2 * c, sizeof(h));
        for (int i = 0; i < TOGETHER; i++)
            bits[i] = (uint32_t)h[i] << 16;
        memcpy(out + c, bits, sizeof(bits));
    }
    for (; c < cols; c++)
        out[c] = bn_bf16_to_f32((uint16_t)(data[2 * c] | data[2 * c + 1] << 8));
}

void bn_f32_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    memcpy(data + r * cols * sizeof(float), in, cols * sizeof(float));
}

void bn_f16_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    data += r * cols * 2;
    for (uint64_t c = 0; c < cols; c++) {
        uint16_t h = bn_f32_to_f16(in[c]);
        memcpy(data + 2 * c, &h, sizeof(h));
    }
}

void bn_bf16_narrow(const float *in, uint64_t cols, uint64_t r, uint8_t *data)
{
    data += r * cols * 2;
    for (uint64_t c = 0; c < cols; c++) {
        uint16_t h = bn_f32_to_bf16(in[c]);
        memcpy(data + 2 * c, &h, sizeof(h));
    }
}
