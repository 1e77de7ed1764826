// Instructions for matrices of int8, by our own reading of who holds what in NVIDIA's PTX ISA (the fragments of mma.m8n8k16 and
// mma.m16n8k32 for .s8), AMD's instruction set manuals of RDNA 3, RDNA 4, CDNA 2 and CDNA 3. The kernels say the same from the
// other end (shaders/portable/matrix.h: which element a work-item's word is), so a mistake on either side gives other sums.
#include "fake/groups.h"

enum { MOST_ITEMS = 256, MOST_LANES = 64, MOST_WORDS = 4, MOST_SUMS = 8, ROWS = 16, MOST_K = 32 };

// Where an element is: in which work-item of the subgroup, in which of its words or sums, and of a word in which byte.
struct holder {
    int lane, word, byte;
};

struct instruction {
    int subgroup, n, k, words_a, words_b, sums;
    int copies;                         // work-items that hold the same of A and B
    struct holder (*a)(int row, int k); // of 16 rows
    struct holder (*b)(int k, int column);
    struct holder (*d)(int row, int column);
};

// m16n8k32: groupID = lane / 4. Of A, elements 0-3 and 8-11 are in row groupID, the others 8 rows below; 0-7 are in columns from
// 4 (lane % 4) on, 8-15 16 columns to the right.
static struct holder a_imma16(int row, int k)
{
    int lane = row % 8 * 4 + k % 16 / 4, element = k % 4 + (row >= 8 ? 4 : 0) + (k >= 16 ? 8 : 0);
    return (struct holder){lane, element / 4, element % 4};
}

static struct holder b_imma16(int k, int column)
{
    int element = k % 4 + (k >= 16 ? 4 : 0);
    return (struct holder){column * 4 + k % 16 / 4, element / 4, element % 4};
}

static struct holder d_imma(int row, int column)
{
    return (struct holder){row % 8 * 4 + column / 2, column % 2 + (row >= 8 ? 2 : 0), 0};
}

// m8n8k16, for the upper and for the lower eight rows.
static struct holder a_imma8(int row, int k)
{
    return (struct holder){row % 8 * 4 + k / 4, row / 8, k % 4};
}

static struct holder b_imma8(int k, int column)
{
    return (struct holder){column * 4 + k / 4, 0, k % 4};
}

// RDNA 3: lane l and lane l + 16 hold row, or column, l; VGPR v has the elements 4 v .. 4 v + 3. D: VGPR v is row 2 v in lanes 0-15,
// row 2 v + 1 in lanes 16-31.
static struct holder a_wmma11(int row, int k)
{
    return (struct holder){row, k / 4, k % 4};
}

static struct holder b_wmma11(int k, int column)
{
    return (struct holder){column, k / 4, k % 4};
}

static struct holder d_wmma11(int row, int column)
{
    return (struct holder){column + (row % 2 ? 16 : 0), row / 2, 0};
}

// RDNA 4: lanes 16-31 hold the second half of the columns of A, and of the rows of B and D.
static struct holder a_wmma12(int row, int k)
{
    return (struct holder){row + (k >= 8 ? 16 : 0), k % 8 / 4, k % 4};
}

static struct holder b_wmma12(int k, int column)
{
    return a_wmma12(column, k);
}

static struct holder d_wmma12(int row, int column)
{
    return (struct holder){column + (row >= 8 ? 16 : 0), row % 8, 0};
}

// CDNA: four groups of 16 lanes, each with a quarter of the columns of A; D: four rows to each.
static struct holder a_mfma16(int row, int k)
{
    return (struct holder){row + 16 * (k / 4), 0, k % 4};
}

static struct holder b_mfma16(int k, int column)
{
    return a_mfma16(column, k);
}

static struct holder a_mfma32(int row, int k)
{
    return (struct holder){row + 16 * (k / 8), k % 8 / 4, k % 4};
}

static struct holder b_mfma32(int k, int column)
{
    return a_mfma32(column, k);
}

static struct holder d_mfma(int row, int column)
{
    return (struct holder){column + 16 * (row / 4), row % 4, 0};
}

static const struct instruction instructions[] = {
    {32, 8, 32, 4, 2, 4, 1, a_imma16, b_imma16, d_imma},    {32, 8, 16, 2, 1, 4, 1, a_imma8, b_imma8, d_imma},
    {32, 16, 16, 4, 4, 8, 2, a_wmma11, b_wmma11, d_wmma11}, {32, 16, 16, 2, 2, 8, 1, a_wmma12, b_wmma12, d_wmma12},
    {64, 16, 16, 1, 1, 4, 1, a_mfma16, b_mfma16, d_mfma},   {64, 16, 32, 2, 2, 4, 1, a_mfma32, b_mfma32, d_mfma},
};

// The same the other way round: the place in A, B or D of each byte or sum that a work-item has.
struct places {
    int made;
    uint16_t a[MOST_LANES][MOST_WORDS][4], b[MOST_LANES][MOST_WORDS][4]; // row * MOST_K + k, column * MOST_K + k
    uint8_t row[MOST_LANES][MOST_SUMS], column[MOST_LANES][MOST_SUMS];
};

static void make(const struct instruction *op, struct places *places)
{
    for (int copy = 0; copy < op->copies; copy++)
        for (int k = 0; k < op->k; k++) {
            for (int row = 0; row < ROWS; row++) {
                struct holder at = op->a(row, k);
                places->a[at.lane + copy * ROWS][at.word][at.byte] = (uint16_t)(row * MOST_K + k);
            }
            for (int column = 0; column < op->n; column++) {
                struct holder at = op->b(k, column);
                places->b[at.lane + copy * ROWS][at.word][at.byte] = (uint16_t)(column * MOST_K + k);
            }
        }
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < op->n; column++) {
            struct holder at = op->d(row, column);
            places->row[at.lane][at.word] = (uint8_t)row;
            places->column[at.lane][at.word] = (uint8_t)column;
        }
    places->made = 1;
}

void bn_serial_multiply(int which, const uint32_t *a, const uint32_t *b, int *d)
{
    static struct places all[sizeof instructions / sizeof *instructions];
    static int8_t left[MOST_ITEMS / 32][ROWS * MOST_K], right[MOST_ITEMS / 32][ROWS * MOST_K]; // of each subgroup
    const struct instruction *op = &instructions[which];
    struct places *places = &all[which];
    if (!places->made)
        make(op, places);
    uint32_t me = bn_serial_thread(), subgroup = me / (uint32_t)op->subgroup, lane = me % (uint32_t)op->subgroup;
    for (int byte = 0; byte < 4; byte++) {
        for (int i = 0; i < op->words_a; i++)
            left[subgroup][places->a[lane][i][byte]] = (int8_t)(a[i] >> (8 * byte));
        for (int i = 0; i < op->words_b; i++)
            right[subgroup][places->b[lane][i][byte]] = (int8_t)(b[i] >> (8 * byte));
    }
    bn_serial_meet(); // all have come with theirs
    for (int i = 0; i < op->sums; i++) {
        const int8_t *row = left[subgroup] + places->row[lane][i] * MOST_K;
        const int8_t *column = right[subgroup] + places->column[lane][i] * MOST_K;
        for (int k = 0; k < op->k; k++)
            d[i] += row[k] * column[k];
    }
    bn_serial_meet(); // and have seen those of the others
}
