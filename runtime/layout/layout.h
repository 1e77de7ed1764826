// Weight layouts: how matrices lie in memory. layouts.inl is THE table; a layout is one row there and one file here.
#ifndef BN_LAYOUT_LAYOUT_H
#define BN_LAYOUT_LAYOUT_H

#include <bitnet/compute.h>

enum bn_layout_class { BN_LAYOUT_FLOAT, BN_LAYOUT_TERNARY };
// What one scale reaches: nothing has any, the tensor, a row, `group` columns of a row.
enum bn_scale_reach { BN_SCALE_NONE, BN_SCALE_TENSOR, BN_SCALE_ROW, BN_SCALE_GROUP };
// Where the scales of rows and groups are: there are none, in an array of f32 apart from the data, or within the data.
enum bn_scale_home { BN_HOME_NONE, BN_HOME_APART, BN_HOME_F32, BN_HOME_F16 };

struct bn_layout_info {
    enum bn_layout layout;
    const char *name; // "i2_s 128/32"
    enum bn_layout_class kind;
    enum bn_scale_reach reach;
    uint32_t group; // columns that a scale reaches; 0 unless the reach is a group
    enum bn_scale_home home;
    uint32_t block_cols;  // cols must be a multiple, unless padded
    uint32_t block_rows;  // rows must be a multiple
    uint32_t block_bytes; // bytes of block_cols x block_rows elements
    bool padded;          // the last block of a row is filled up with zeros
    bool plus_two;        // the code that is unused here means +2 to others
    // If not a matter of blocks only: bytes of a matrix whose rows and columns are whole blocks, 0 if it cannot be held.
    uint64_t (*bytes)(uint64_t rows, uint64_t cols);
    // Ternary: trits -1, 0, +1 of rows r0 .. r1-1 to int8 [r1-r0][cols]; false if an unused code is met.
    bool (*unpack)(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, int8_t *trits);
    // Ternary: the inverse, of rows r0 .. r1-1 of a matrix; both are multiples of block_rows. Leaves scales alone.
    void (*pack)(const int8_t *trits, uint64_t rows, uint64_t cols, uint64_t r0, uint64_t r1, uint8_t *data);
    // Scales within the data: that of row r, group g; and setting it, rounded if the home is f16.
    float (*scale_at)(const uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g);
    void (*set_scale)(uint8_t *data, uint64_t rows, uint64_t cols, uint64_t r, uint64_t g, float scale);
    // Float: row r to f32 [cols], and from it, rounded; narrow is NULL if this layout is not written.
    void (*widen)(const uint8_t *data, uint64_t cols, uint64_t r, float *out);
    void (*narrow)(const float *in, uint64_t cols, uint64_t r, uint8_t *data);
};

// NULL outside the table.
const struct bn_layout_info *bn_layout_get(enum bn_layout layout);

// Whether any matrix in layout `from` can be kept in `to` with its scales as they are.
bool bn_layout_keeps(enum bn_layout from, enum bn_layout to);

// Scales of a row, wherever they are; 1 if one reaches the row or the tensor, or if there is none.
uint64_t bn_layout_groups(const struct bn_layout_info *info, uint64_t cols);

// A matrix in memory. A weight is its trit times the scale of its group or row, if any, times `scale`.
struct bn_matrix {
    enum bn_layout layout;
    uint64_t rows, cols;
    const uint8_t *data; // bn_layout_bytes bytes
    const float *scales; // those apart: [rows][bn_layout_scales]
    float scale;
};

// The scale of a row's group g; 1 for layouts whose reach is the tensor.
float bn_matrix_scale(const struct bn_matrix *matrix, uint64_t r, uint64_t g);

// Row r of any layout to f32 [cols]: floats exactly (or by the formula of their layout), trits times (scale * scale).
void bn_matrix_widen(const struct bn_matrix *matrix, uint64_t r, float *out);

// What the scales of rows and groups are like.
struct bn_scales {
    bool finite; // all of them
    bool one;    // those that are not 0 are equal, to
    float scale; // this one; 0 if all are 0
};
struct bn_scales bn_matrix_scales(const struct bn_matrix *matrix);

// Where bn_repack writes, and the scale of the result.
struct bn_repacked {
    enum bn_layout layout;
    uint8_t *data; // bn_layout_bytes bytes
    float *scales; // [rows][bn_layout_scales]; NULL if that is 0
    float scale;   // written
    // Of the scales that become the tensor's one: for bn_repack_join.
    struct bn_repack_sum {
        double sum, n; // of the scales of weights that are not 0, and how many those are
        float common;  // the one so far
        bool any;      // weights that are not 0 were met
    } sum;
};
// Whether scales may change: to the nearest f16, or, where several become one, to their mean over the weights that are not 0.
enum bn_repack_loss { BN_REPACK_EXACT, BN_REPACK_LOSSY };

// Any ternary layout to any other, through int8 trits and scales, a few rows at a time. Weights whose scale is 0 become
// trits 0; scales of weights that are all 0 do not count.
// Any layout to a float one that has `narrow`, exactly, or rounded if that is asked for.
// A float layout to a ternary one: to those with one scale by the rule of training, trit = round(weight / scale) within -1 .. 1,
// the scale being from->scale (bn_survey_floats); to the others only if each group's weights are 0 or of one magnitude.
// Errors: BN_ERR_UNSUPPORTED (shape or class; scales that `to` cannot keep), BN_ERR_MODEL (an unused code), BN_ERR_NO_MEMORY.
struct bn_host;
enum bn_result bn_repack(const struct bn_host *host, const struct bn_matrix *from, struct bn_repacked *to,
                         enum bn_repack_loss loss, struct bn_error *err);

// The same in parts: rows r0 .. r1 - 1 of `from`, multiples of BN_REPACK_ROWS unless they are its end, become a matrix of their own at
// `to`; not into TL1, TL2 and PACKED, whose rows are not apart. Several threads may do parts of one matrix. `memory` has
// bn_repack_memory bytes, aligned for floats.
#define BN_REPACK_ROWS 16u
size_t bn_repack_memory(uint64_t cols);
enum bn_result bn_repack_rows(const struct bn_matrix *from, uint64_t r0, uint64_t r1, struct bn_repacked *to,
                              enum bn_repack_loss loss, void *memory, struct bn_error *err);
// Joins the part `next`, of the rows that follow, to `whole`, which was the first one: its scale becomes that of both.
// Errors: BN_ERR_UNSUPPORTED (their scales differ).
enum bn_result bn_repack_join(const struct bn_matrix *from, struct bn_repacked *whole, const struct bn_repacked *next,
                              enum bn_repack_loss loss, struct bn_error *err);

// What a matrix of floats is to a ternary one.
struct bn_float_survey {
    bool finite;
    enum bn_layout as; // the layout of order A that holds it exactly; BN_LAYOUT_COUNT: none, so it is a master
    float scale; // of the tensor: its magnitude, if that is one; of a master the mean magnitude, at least 1e-5; else 1
};
// Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_survey_floats(const struct bn_host *host, const struct bn_matrix *matrix,
                                struct bn_float_survey *survey, struct bn_error *err);

// Whether every trit of a ternary matrix has a code that is in use.
// Errors: BN_ERR_MODEL, BN_ERR_UNSUPPORTED (+2), BN_ERR_NO_MEMORY.
enum bn_result bn_check_codes(const struct bn_host *host, const struct bn_matrix *matrix, struct bn_error *err);

// I2_S in any byte order: the first of `bytes` bytes that holds the unused code 3, or `bytes` if none does.
uint64_t bn_i2s_find_code_3(const uint8_t *data, uint64_t bytes);

// A row of the scan copy of a head: q and *info from w [n], n a multiple of BN_SCAN_BLOCK. False if a value is not finite, or the row
// is too large or too small.
#define BN_SCAN_BLOCK 16
bool bn_scan_quantise(const float *w, size_t n, int8_t *q, struct bn_scan_row *info);
// Whether a block of a row, BN_SCAN_BLOCK elements, is stored as that would do it.
bool bn_scan_fits(const float *w, const int8_t *q, float scale);

// Half precision, exact and round-to-nearest-even; NaN stays NaN.
float bn_f16_to_f32(uint16_t h);
uint16_t bn_f32_to_f16(float f);
float bn_bf16_to_f32(uint16_t h);
uint16_t bn_f32_to_bf16(float f);

#endif
