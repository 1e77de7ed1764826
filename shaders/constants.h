// Numbers that the kernels, in every language, share with the code that starts them: macros only, valid in C, OpenCL C and GLSL.
#ifndef BN_SHADERS_CONSTANTS_H
#define BN_SHADERS_CONSTANTS_H

// struct bn_slot in words.
#define SLOT_N_ROWS 0u
#define SLOT_N_OUTPUTS 2u
#define SLOT_N_COPIES 3u
#define SLOT_ROW_AT 4u
#define SLOT_SEQ_AT 5u
#define SLOT_PAGE_AT 6u
#define SLOT_OUTPUT_AT 7u
#define SLOT_COPY_AT 8u
#define SLOT_FIRST_OUTPUT 9u
#define SLOT_STATUS 10u
#define SLOT_STATUS_OP 11u
#define SLOT_TOP 12u
#define SLOT_SKIP 13u
#define SLOT_PROGRESS 14u
#define SLOT_REPORT 15u

#define STATUS_NOT_FINITE 2u // enum bn_slot_status

// Layouts of float weights.
#define LAYOUT_F32 0u
#define LAYOUT_F16 1u
#define LAYOUT_BF16 2u

// What the kernel `ternary` does, and its flags.
#define MODE_MATMUL 0u
#define MODE_GATE_UP 1u
#define MODE_QKV 2u
#define FLAG_ADD 1u
#define FLAG_SILU 2u
#define FLAG_NORM 4u
#define FLAG_GELU 8u

// The temporary memory of the kernels `top_*`, for each output: a header of words (the scale of the planes, the norm of the
// state and that of what the planes miss), two int8 planes, the scanned products.
#define TOP_UNIT 0u
#define TOP_NORM 1u
#define TOP_ERROR 2u
#define TOP_HEADER 16u
#define TOP_MOST 4096u // BN_TOP_MOST

// Flags of the kernel `hadamard`.
#define ROTATE_BEFORE 1u
#define ROTATE_AFTER 2u
#define ROTATE_OUTPUTS 4u

// Most columns of what a kernel quantises itself where its shape is not known when it is compiled, and most of a head.
#define MOST_SHARED_COLS 16384u
#define MOST_HEAD_DIM 256u
#define MOST_SHARED_BLOCK 4096u // of the kernel `hadamard`

#endif
