// Products of several activation rows in tiles of AMX, over the packed weights of avx512vnni.c, which includes this where it
// is compiled for AMX. The system must have been asked for the tiles: bn_isa_permit.
#ifndef BN_CPU_X86_AMX_H
#define BN_CPU_X86_AMX_H

// A tile has sixteen rows of 64 bytes. Up to 32 rows of activations, in tiles A, meet 32 rows of weights, in tiles B, 64
// columns at a time; the sums are int32. A row of B is four columns of sixteen rows of weights, as codes 0, 1, 2. Two planes
// of a block are 64 columns in their order, since plane p of its bytes is columns 32 p .. 32 p + 31.
#define TILE_ROWS 16
#define TILE_BYTES 64

// Numbers of tiles; macros, as gcc makes the names of registers from them.
#define SUM00 0 // A0 * B0
#define SUM01 1 // A0 * B1
#define SUM10 2
#define SUM11 3
#define A0 4
#define A1 5
#define B0 6
#define B1 7

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

struct tile_codes {
    __m512i rows[2 * CHUNK][2][TILE_ROWS]; // [half of a block][sixteen rows of weights]
};

// gcc's tile loads and configuration do not say which memory they read.
INLINE void written(const void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

// The lines at `ahead` are fetched for the next rows of weights.
static void tile_unpack(const struct packed *packed, size_t blocks, const char *ahead, struct tile_codes *codes)
{
    const __m512i three = _mm512_set1_epi8(3);
    for (size_t b = 0; b < blocks; b++)
        for (size_t group = 0; group < 2; group++)
            for (size_t word = 0; word < 8; word++, ahead += 64) {
                __m512i v = packed->rows[8 * b + word][group];
                _mm_prefetch(ahead, _MM_HINT_T1);
#pragma GCC unroll 4
                for (unsigned plane = 0; plane < 4; plane++)
                    codes->rows[2 * b + plane / 2][group][plane % 2 * 8 + word] =
                        _mm512_and_si512(_mm512_srli_epi16(v, 6 - 2 * plane), three);
            }
}

// For up to 32 rows of activations and of weights; a tile that is not needed has one row.
static void tile_configure(size_t n, size_t weights)
{
    const uint8_t a0 = n < TILE_ROWS ? (uint8_t)n : TILE_ROWS, a1 = n > TILE_ROWS ? (uint8_t)(n - TILE_ROWS) : 1;
    const uint16_t b0 = (uint16_t)(4 * (weights < TILE_ROWS ? weights : TILE_ROWS));
    const uint16_t b1 = (uint16_t)(4 * (weights > TILE_ROWS ? weights - TILE_ROWS : 1));
    const struct tile_config config = {
        .palette = 1,
        .row_bytes = {b0, b1, b0, b1, TILE_BYTES, TILE_BYTES, b0, b1},
        .rows = {a0, a0, a1, a1, a0, a1, TILE_ROWS, TILE_ROWS},
    };
    written(&config);
    _tile_loadconfig(&config);
}

struct tile_task {
    const struct tile_codes *codes;
    size_t halves; // of blocks
    const int8_t *q;
    size_t q_stride;
    const int32_t *from, *from_next; // what to add to, and that of the second sixteen rows of weights
    size_t from_stride;
    int32_t *acc;
    size_t acc_stride;
};

INLINE void tile_multiply(const struct tile_task *t, const bool two_a, const bool two_b)
{
    const size_t from_stride = t->from_stride, acc_stride = t->acc_stride;
    _tile_loadd(SUM00, t->from, 4 * from_stride);
    if (two_b)
        _tile_loadd(SUM01, t->from_next, 4 * from_stride);
    if (two_a)
        _tile_loadd(SUM10, t->from + TILE_ROWS * from_stride, 4 * from_stride);
    if (two_a && two_b)
        _tile_loadd(SUM11, t->from_next + TILE_ROWS * from_stride, 4 * from_stride);
    for (size_t half = 0; half < t->halves; half++) {
        const int8_t *q = t->q + half * TILE_BYTES;
        _tile_loadd(B0, t->codes->rows[half][0], 64);
        _tile_loadd(A0, q, t->q_stride);
        _tile_dpbssd(SUM00, A0, B0);
        if (two_b) {
            _tile_loadd(B1, t->codes->rows[half][1], 64);
            _tile_dpbssd(SUM01, A0, B1);
        }
        if (two_a) {
            _tile_loadd(A1, q + TILE_ROWS * t->q_stride, t->q_stride);
            _tile_dpbssd(SUM10, A1, B0);
        }
        if (two_a && two_b)
            _tile_dpbssd(SUM11, A1, B1);
    }
    _tile_stored(SUM00, t->acc, 4 * acc_stride);
    if (two_b)
        _tile_stored(SUM01, t->acc + TILE_ROWS, 4 * acc_stride);
    if (two_a)
        _tile_stored(SUM10, t->acc + TILE_ROWS * acc_stride, 4 * acc_stride);
    if (two_a && two_b)
        _tile_stored(SUM11, t->acc + TILE_ROWS * acc_stride + TILE_ROWS, 4 * acc_stride);
}

static void tile_any(const struct tile_task *task, bool two_a, bool two_b)
{
    if (two_a && two_b)
        tile_multiply(task, true, true);
    else if (two_a)
        tile_multiply(task, true, false);
    else if (two_b)
        tile_multiply(task, false, true);
    else
        tile_multiply(task, false, false);
}

// multiply_tile by tiles.
static void multiply_by_tiles(const uint8_t *w, size_t rows, size_t blocks, const int8_t *q, size_t q_stride,
                              const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride,
                              bool first)
{
    const size_t stride = blocks * BLOCK_BYTES;
    size_t configured = 0;
    struct packed packed;
    struct tile_codes codes;
    __m512i start[2 * TILE_ROWS]; // what makes the codes -1, 0, +1
    for (size_t b = 0; b < blocks; b += CHUNK) {
        size_t chunk = blocks - b < CHUNK ? blocks - b : CHUNK;
        bool starts = first && b == 0;
        pack(w + b * BLOCK_BYTES, stride, rows, chunk, &packed);
        tile_unpack(&packed, chunk, beyond(w, rows * stride + b * rows * BLOCK_BYTES), &codes);
        for (size_t i = 0, n; i < n_rows; i += n) {
            n = n_rows - i < 2 * TILE_ROWS ? n_rows - i : 2 * TILE_ROWS;
            if (n != configured)
                tile_configure(n, rows);
            configured = n;
            for (size_t j = 0; starts && j < n; j++)
                start[j] = _mm512_set1_epi32(-scales[i + j].sum);
            int32_t *to = acc + i * acc_stride;
            const int32_t *zero = (const int32_t *)start;
            written(start);
            tile_any(&(struct tile_task){.codes = &codes,
                                         .halves = 2 * chunk,
                                         .q = q + i * q_stride + b * BLOCK_COLS,
                                         .q_stride = q_stride,
                                         .from = starts ? zero : to,
                                         .from_next = starts ? zero : to + TILE_ROWS,
                                         .from_stride = starts ? TILE_ROWS : acc_stride,
                                         .acc = to,
                                         .acc_stride = acc_stride},
                     n > TILE_ROWS, rows > TILE_ROWS);
        }
    }
    _tile_release();
}

#endif
