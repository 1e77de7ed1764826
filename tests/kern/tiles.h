// A model of AMX's tiles in C, for machines without: compiled into avx512vnni.c in place of the instructions, so that the code around
// them runs. What the processor would refuse ends the program.
#ifndef TILES_H
#define TILES_H

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TILES = 8, MODEL_ROWS = 16, MODEL_BYTES = 64 };

static struct {
    _Bool configured;
    uint8_t rows[TILES];
    uint16_t bytes[TILES];
    uint8_t data[TILES][MODEL_ROWS][MODEL_BYTES];
} tiles;

static inline void model_loadconfig(const void *config)
{
    const uint8_t *c = config;
    memset(&tiles, 0, sizeof tiles);
    if (c[0] != 1 || c[1] != 0)
        abort();
    for (int i = 2; i < 16; i++)
        if (c[i])
            abort();
    for (int i = 0; i < 16; i++) {
        uint16_t bytes;
        memcpy(&bytes, c + 16 + 2 * i, 2);
        if (bytes > MODEL_BYTES || c[48 + i] > MODEL_ROWS || !bytes != !c[48 + i] || (i >= TILES && bytes))
            abort();
        if (i < TILES) {
            tiles.bytes[i] = bytes;
            tiles.rows[i] = c[48 + i];
        }
    }
    tiles.configured = 1;
}

static inline void model_check(int tile)
{
    if (!tiles.configured || !tiles.rows[tile])
        abort();
}

static inline void model_load(int tile, const void *base, long stride)
{
    model_check(tile);
    memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
    for (int r = 0; r < tiles.rows[tile]; r++)
        memcpy(tiles.data[tile][r], (const uint8_t *)base + r * stride, tiles.bytes[tile]);
}

static inline void model_store(int tile, void *base, long stride)
{
    model_check(tile);
    for (int r = 0; r < tiles.rows[tile]; r++)
        memcpy((uint8_t *)base + r * stride, tiles.data[tile][r], tiles.bytes[tile]);
}

// c += a * b, signed bytes, four at a time.
static inline void model_multiply(int c, int a, int b)
{
    model_check(a);
    model_check(b);
    model_check(c);
    if (tiles.rows[c] != tiles.rows[a] || tiles.bytes[c] != tiles.bytes[b] || tiles.bytes[a] != 4 * tiles.rows[b] ||
        tiles.bytes[c] % 4)
        abort();
    for (int m = 0; m < tiles.rows[c]; m++)
        for (int n = 0; n < tiles.bytes[c] / 4; n++) {
            uint32_t sum;
            memcpy(&sum, &tiles.data[c][m][4 * n], 4);
            for (int k = 0; k < tiles.bytes[a]; k++)
                sum += (uint32_t)((int8_t)tiles.data[a][m][k] * (int8_t)tiles.data[b][k / 4][4 * n + k % 4]);
            memcpy(&tiles.data[c][m][4 * n], &sum, 4);
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig(config) model_loadconfig(config)
#define _tile_release() (tiles.configured = 0)
#define _tile_loadd(tile, base, stride) model_load(tile, base, (long)(stride))
#define _tile_stored(tile, base, stride) model_store(tile, base, (long)(stride))
#define _tile_dpbssd(c, a, b) model_multiply(c, a, b)

#endif
