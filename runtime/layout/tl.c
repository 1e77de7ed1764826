// TL1 and TL2 of bitnet.cpp: weights in the order in which one kernel, generated for one shape, looks them up. The order is
// known for the shapes of the preset kernels only (docs/layouts.md).
#include "runtime/layout/blocks.h"

enum { TL1_COMPUTE = 256, TL2_COMPUTE = 192, TL2_BM = 32, TWO_COLS = 32, TWO_BY = 4 };

// How a matrix of m rows and k columns is cut: into tiles of BM x BK, those into BM / bm strips of bm rows.
struct cut {
    uint32_t m, k, BM, BK, bm;
};
static const struct cut tl1_cuts[] = {
    {1536, 4096, 256, 128, 32},  {1536, 1536, 128, 64, 64},   {4096, 1536, 256, 128, 32}, // bitnet_b1_58-large
    {3200, 8640, 160, 64, 32},   {3200, 3200, 320, 128, 64},  {8640, 3200, 320, 64, 32},  // bitnet_b1_58-3B
    {14336, 4096, 256, 128, 64}, {4096, 14336, 256, 128, 32}, {1024, 4096, 128, 64, 64},  // Llama3-8B-1.58
    {4096, 4096, 128, 64, 32},
};
static const struct cut tl2_cuts[] = {
    {1536, 4096, 256, 96, 32},  {1536, 1536, 128, 192, 32}, {4096, 1536, 256, 96, 32}, // bitnet_b1_58-large
    {3200, 8640, 160, 96, 32},  {3200, 3200, 320, 96, 32},  {8640, 3200, 320, 96, 32}, // bitnet_b1_58-3B
    {14336, 4096, 256, 96, 32}, {4096, 14336, 128, 96, 32}, {1024, 4096, 256, 96, 32}, // Llama3-8B-1.58
    {4096, 4096, 128, 96, 32},
};

static const struct cut *find(const struct cut *cuts, size_t n, uint64_t rows, uint64_t cols)
{
    for (size_t i = 0; i < n; i++)
        if (cuts[i].m == rows && cuts[i].k == cols)
            return &cuts[i];
    return NULL;
}

#define TL1(rows, cols) find(tl1_cuts, sizeof(tl1_cuts) / sizeof(tl1_cuts[0]), rows, cols)
#define TL2(rows, cols) find(tl2_cuts, sizeof(tl2_cuts) / sizeof(tl2_cuts[0]), rows, cols)

// Some trits of a row with one place: which byte, and how far up. Every walk below calls it for all places of row r.
struct place {
    uint64_t byte;
    unsigned shift;
};
typedef bool visit_fn(void *data, struct place place, int8_t *trits);

// Pairs as nibbles 3a + b + 4.
static bool get_pair(void *data, struct place at, int8_t *trits)
{
    unsigned code = ((const uint8_t *)data)[at.byte] >> at.shift & 15;
    trits[0] = (int8_t)(code / 3 - 1);
    trits[1] = (int8_t)(code % 3 - 1);
    return code < 9;
}

static void put_nibble(uint8_t *byte, unsigned shift, unsigned code)
{
    *byte = (uint8_t)((*byte & ~(15u << shift)) | code << shift);
}

static bool put_pair(void *data, struct place at, int8_t *trits)
{
    put_nibble((uint8_t *)data + at.byte, at.shift, (unsigned)(3 * trits[0] + trits[1] + 4));
    return true;
}

uint64_t bn_tl1_bytes(uint64_t rows, uint64_t cols)
{
    return TL1(rows, cols) ? rows * cols / 4 : 0;
}

// Strips: by = 256 / bm columns at a time, sixteen rows of four columns side by side, the first pair in the top bits.
static bool tl1_walk(const struct cut *cut, uint64_t r, int8_t *trits, visit_fn *visit, void *data)
{
    uint64_t by = TL1_COMPUTE / cut->bm, strips = cut->BM / cut->bm, steps = cut->BK / by, tiles = cut->k / cut->BK;
    uint64_t tile_row = r / cut->BM, strip = r % cut->BM / cut->bm, sixteen = r % cut->bm / 16;
    bool sound = true;
    for (uint64_t tile = 0; tile < tiles; tile++)
        for (uint64_t step = 0; step < steps; step++) {
            uint64_t block = (((tile_row * tiles + tile) * strips + strip) * steps + step) * (cut->bm / 16) + sixteen;
            for (uint64_t four = 0; four < by / 4; four++, trits += 4) {
                uint64_t byte = (block * (by / 4) + four) * 16 + r % 16;
                sound = visit(data, (struct place){byte, 4}, trits) && sound;
                sound = visit(data, (struct place){byte, 0}, trits + 2) && sound;
            }
        }
    return sound;
}

bool bn_tl1_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    union {
        const uint8_t *in;
        void *out;
    } bytes = {data}; // get_pair only reads
    bool sound = true;
    for (uint64_t r = r0; r < r1; r++, trits += cols)
        sound = tl1_walk(TL1(rows, cols), r, trits, get_pair, bytes.out) && sound;
    return sound;
}

void bn_tl1_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    union {
        const int8_t *in;
        int8_t *out;
    } source = {trits}; // put_pair only reads
    for (uint64_t r = r0; r < r1; r++, source.in += cols)
        (void)!tl1_walk(TL1(rows, cols), r, source.out, put_pair, data);
}

// TL2: as many columns as are whole tiles in threes, the rest in pairs. First the nibbles of all threes, |9a + 3b + c|, then
// their signs, then the pairs.
struct tl2 {
    uint64_t three, two;       // columns
    uint64_t signs_at, two_at; // bytes
    uint8_t *data;
};

static struct tl2 tl2_parts(const struct cut *cut, uint8_t *data)
{
    uint64_t three = cut->k / cut->BK * cut->BK;
    return (struct tl2){.three = three,
                        .two = cut->k - three,
                        .signs_at = cut->m * three / 6,
                        .two_at = cut->m * three / 24 * 5,
                        .data = data};
}

// The converter's size, which is more than it fills.
uint64_t bn_tl2_bytes(uint64_t rows, uint64_t cols)
{
    return TL2(rows, cols) ? (cols - 256) * rows / 3 * 5 / 8 + 256 * rows / 2 * 4 / 8 : 0;
}

// Of 32 rows, the second and the third eight change places.
static uint64_t swapped(uint64_t row)
{
    uint64_t eight = row / 8;
    return (eight == 1 ? 2 : eight == 2 ? 1 : eight) * 8 + row % 8;
}

static bool get_three(struct tl2 *tl2, uint64_t byte, unsigned shift, uint64_t sign_byte, unsigned sign_bit,
                      int8_t *trits)
{
    int number = tl2->data[byte] >> shift & 15;
    bool sound = number < 14;
    if (tl2->data[tl2->signs_at + sign_byte] >> sign_bit & 1)
        number = -number;
    number = number + 13; // base 3, digits 0 to 2
    trits[0] = (int8_t)(number / 9 - 1);
    trits[1] = (int8_t)(number / 3 % 3 - 1);
    trits[2] = (int8_t)(number % 3 - 1);
    return sound;
}

static bool put_three(struct tl2 *tl2, uint64_t byte, unsigned shift, uint64_t sign_byte, unsigned sign_bit,
                      int8_t *trits)
{
    int number = 9 * trits[0] + 3 * trits[1] + trits[2];
    uint8_t *signs = tl2->data + tl2->signs_at + sign_byte;
    put_nibble(tl2->data + byte, shift, (unsigned)(number < 0 ? -number : number));
    *signs = (uint8_t)((*signs & ~(1u << sign_bit)) | (unsigned)(number < 0) << sign_bit);
    return true;
}

typedef bool three_fn(struct tl2 *tl2, uint64_t byte, unsigned shift, uint64_t sign_byte, unsigned sign_bit,
                      int8_t *trits);

// The signs of eight threes of 32 rows are sixteen words of 16 bits: bit 15 - (2 * three + row / 16) of word row % 16.
static bool walk_threes(const struct cut *cut, struct tl2 *tl2, uint64_t r, int8_t *trits, three_fn *visit)
{
    uint64_t by = TL2_COMPUTE / TL2_BM, strips = cut->BM / TL2_BM, steps = cut->BK / by, tiles = cut->k / cut->BK;
    uint64_t tile_row = r / cut->BM, strip = r % cut->BM / TL2_BM, row = r % TL2_BM;
    bool sound = true;
    for (uint64_t tile = 0; tile < tiles; tile++)
        for (uint64_t three = 0; three < cut->BK / 3; three++, trits += 3) {
            uint64_t block = (tile_row * tiles + tile) * strips + strip;
            uint64_t byte = (block * steps + three / 2) * TL2_BM + swapped(row);
            unsigned bit = 15 - (unsigned)(2 * (three % 8) + row / 16);
            uint64_t word = (block * (steps / 4) + three / 8) * 16 + row % 16;
            sound = visit(tl2, byte, three % 2 ? 0 : 4, 2 * word + bit / 8, bit % 8, trits) && sound;
        }
    return sound;
}

static bool walk_pairs(const struct cut *cut, struct tl2 *tl2, uint64_t r, int8_t *trits, visit_fn *visit)
{
    uint64_t strips = cut->BM / TL2_BM, steps = TWO_COLS / TWO_BY, tiles = tl2->two / TWO_COLS;
    uint64_t tile_row = r / cut->BM, strip = r % cut->BM / TL2_BM, row = r % TL2_BM;
    bool sound = true;
    for (uint64_t pair = 0; pair < tl2->two / 2; pair++, trits += 2) {
        uint64_t tile = pair / (TWO_COLS / 2), step = pair % (TWO_COLS / 2) / 2;
        uint64_t byte = (((tile_row * tiles + tile) * strips + strip) * steps + step) * TL2_BM + swapped(row);
        sound = visit(tl2->data + tl2->two_at, (struct place){byte, pair % 2 ? 0 : 4}, trits) && sound;
    }
    return sound;
}

bool bn_tl2_unpack(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } bytes = {data}; // get_three and get_pair only read
    const struct cut *cut = TL2(rows, cols);
    struct tl2 tl2 = tl2_parts(cut, bytes.out);
    bool sound = true;
    for (uint64_t r = r0; r < r1; r++, trits += cols) {
        sound = walk_threes(cut, &tl2, r, trits, get_three) && sound;
        sound = walk_pairs(cut, &tl2, r, trits + tl2.three, get_pair) && sound;
    }
    return sound;
}

void bn_tl2_pack(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data)
{
    union {
        const int8_t *in;
        int8_t *out;
    } source = {trits}; // put_three and put_pair only read
    const struct cut *cut = TL2(rows, cols);
    struct tl2 tl2 = tl2_parts(cut, data);
    if (r0 == 0) // what the size has beyond the weights
        memset(data + tl2.two_at + rows * tl2.two / 4, 0, bn_tl2_bytes(rows, cols) - tl2.two_at - rows * tl2.two / 4);
    for (uint64_t r = r0; r < r1; r++, source.in += cols) {
        (void)!walk_threes(cut, &tl2, r, source.out, put_three);
        (void)!walk_pairs(cut, &tl2, r, source.out + tl2.three, put_pair);
    }
}
