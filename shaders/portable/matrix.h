// Products of matrices of int8 by a subgroup, as the instructions of devices make them: D = A B + D, exact in int32. A has 16 rows,
// here of weights, B MATRIX_N columns, here rows of activations; they share MATRIX_K columns, four to a word. Which of the
// elements a work-item holds depends on the instruction: word i of A is word A_WORD of row A_ROW, word i of B is word B_WORD of
// column B_COL, sum i is that of row D_ROW and column D_COL. `l` is the work-item's place in the subgroup. INSTRUCTION is a number
// for tests, where they are played.
#if defined(IMMA_16) // PTX ISA, "mma.m16n8k32": compute capability 8.0
enum { INSTRUCTION = 0, MATRIX_SIZE = 32, MATRIX_N = 8, MATRIX_K = 32, A_WORDS = 4, B_WORDS = 2, D_SUMS = 4 };
#define A_ROW(l, i) ((l) / 4 + 8 * ((i) & 1))
#define A_WORD(l, i) ((l) % 4 + 4 * ((i) >> 1))
#define B_COL(l, i) ((l) / 4)
#define B_WORD(l, i) ((l) % 4 + 4 * (i))
#define D_ROW(l, i) ((l) / 4 + 8 * ((i) >> 1))
#define D_COL(l, i) ((l) % 4 * 2 + ((i) & 1))

#elif defined(IMMA_8) // "mma.m8n8k16", twice: compute capability 7.5
enum { INSTRUCTION = 1, MATRIX_SIZE = 32, MATRIX_N = 8, MATRIX_K = 16, A_WORDS = 2, B_WORDS = 1, D_SUMS = 4 };
#define A_ROW(l, i) ((l) / 4 + 8 * (i))
#define A_WORD(l, i) ((l) % 4)
#define B_COL(l, i) ((l) / 4)
#define B_WORD(l, i) ((l) % 4)
#define D_ROW(l, i) ((l) / 4 + 8 * ((i) >> 1))
#define D_COL(l, i) ((l) % 4 * 2 + ((i) & 1))

#elif defined(WMMA_11) // RDNA 3: both halves of the subgroup hold all of A and B
enum { INSTRUCTION = 2, MATRIX_SIZE = 32, MATRIX_N = 16, MATRIX_K = 16, A_WORDS = 4, B_WORDS = 4, D_SUMS = 8 };
#define A_ROW(l, i) ((l) % 16)
#define A_WORD(l, i) (i)
#define B_COL(l, i) ((l) % 16)
#define B_WORD(l, i) (i)
#define D_ROW(l, i) (2 * (i) + (l) / 16)
#define D_COL(l, i) ((l) % 16)

#elif defined(WMMA_12) // RDNA 4
enum { INSTRUCTION = 3, MATRIX_SIZE = 32, MATRIX_N = 16, MATRIX_K = 16, A_WORDS = 2, B_WORDS = 2, D_SUMS = 8 };
#define A_ROW(l, i) ((l) % 16)
#define A_WORD(l, i) (2 * ((l) / 16) + (i))
#define B_COL(l, i) ((l) % 16)
#define B_WORD(l, i) (2 * ((l) / 16) + (i))
#define D_ROW(l, i) (8 * ((l) / 16) + (i))
#define D_COL(l, i) ((l) % 16)

#elif defined(MFMA_16) || defined(MFMA_32) // CDNA 2; CDNA 3 has twice as many columns
#ifdef MFMA_16
enum { INSTRUCTION = 4, MATRIX_SIZE = 64, MATRIX_N = 16, MATRIX_K = 16, A_WORDS = 1, B_WORDS = 1, D_SUMS = 4 };
#else
enum { INSTRUCTION = 5, MATRIX_SIZE = 64, MATRIX_N = 16, MATRIX_K = 32, A_WORDS = 2, B_WORDS = 2, D_SUMS = 4 };
#endif
#define A_ROW(l, i) ((l) % 16)
#define A_WORD(l, i) (A_WORDS * ((l) / 16) + (i))
#define B_COL(l, i) ((l) % 16)
#define B_WORD(l, i) (B_WORDS * ((l) / 16) + (i))
#define D_ROW(l, i) (4 * ((l) / 16) + (i))
#define D_COL(l, i) ((l) % 16)
#endif

#if defined(SERIAL)
// Plays the instruction: all work-items of all subgroups call it together.
void bn_serial_multiply(int instruction, const uint *a, const uint *b, int *d);
#define multiply(a, b, d) bn_serial_multiply(INSTRUCTION, a, b, d)
#elif defined(IMMA_16)
INLINE void multiply(const uint *a, const uint *b, int *d)
{
    __asm__ volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#elif defined(IMMA_8)
INLINE void multiply(const uint *a, const uint *b, int *d)
{
    __asm__ volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                     : "+r"(d[0]), "+r"(d[1])
                     : "r"(a[0]), "r"(b[0]));
    __asm__ volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                     : "+r"(d[2]), "+r"(d[3])
                     : "r"(a[1]), "r"(b[0]));
}
#else
INLINE void multiply(const uint *a, const uint *b, int *d)
{
#if defined(WMMA_11)
    int4 a4 = (int4)((int)a[0], (int)a[1], (int)a[2], (int)a[3]), b4 = (int4)((int)b[0], (int)b[1], (int)b[2], (int)b[3]);
    int8 sums = (int8)(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    sums = __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32(true, a4, true, b4, sums, false);
#elif defined(WMMA_12)
    int2 a2 = (int2)((int)a[0], (int)a[1]), b2 = (int2)((int)b[0], (int)b[1]);
    int8 sums = (int8)(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    sums = __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32_gfx12(true, a2, true, b2, sums, false);
#elif defined(MFMA_16)
    int4 sums = (int4)(d[0], d[1], d[2], d[3]);
    sums = __builtin_amdgcn_mfma_i32_16x16x16i8((int)a[0], (int)b[0], sums, 0, 0, 0);
#else
    int4 sums = (int4)(d[0], d[1], d[2], d[3]);
    sums = __builtin_amdgcn_mfma_i32_16x16x32_i8((long)((ulong)a[1] << 32 | a[0]), (long)((ulong)b[1] << 32 | b[0]), sums, 0,
                                                 0, 0);
#endif
#pragma unroll
    for (uint i = 0; i < D_SUMS; i++)
        d[i] = sums[i];
}
#endif
