// CPU kernels: pure functions. No allocation, no messages, no threads, no globals, no system. One table of them per
// instruction set level; cpu/scalar.c is the oracle, and every level gives its bits exactly (docs/numerics.md).
#ifndef BN_CPU_KERNELS_H
#define BN_CPU_KERNELS_H

#include <bitnet/op.h>

// Attention of one row for the `group` query heads that share one KV head.
struct bn_attend {
    const float *q; // [group][head_dim], rotated
    float *out;     // [group][head_dim]
    float *scores;  // scratch, [group][n_positions rounded up to 64]
    const uint8_t *pool;
    const uint32_t *pages; // entry i holds positions 64 i .. 64 i + 63
    uint64_t page_bytes;
    uint64_t k_offset, v_offset; // byte offsets within a page of this layer's and head's rows, and steps behind them
    enum bn_kv_type kv_type;
    uint32_t n_positions;     // attended: 0 .. n_positions - 1; at least 1
    uint32_t group, head_dim; // head_dim: a multiple of 16, at most 512
    float scale;              // 1 / sqrt(head_dim)
    uint32_t skip;            // the first positions, fewer than n_positions, are not attended after all
};

// A ternary product whose scales reach groups of columns: out[i][r] = sum16 over the groups g of a row of the pairs
// (sum over the group's columns of trit(w row r) * q row i, scales[r][g]); the integers are exact (docs/numerics.md).
struct bn_groups {
    const uint8_t *w;     // rows of BN_LAYOUT_I2S_A, one every cols / 4 bytes
    size_t rows, cols;    // padded to blocks
    size_t group, groups; // 64, 128 or 256 columns; how many of a row have a scale; the last one may be cut short
    const float *scales;  // [rows][groups]
    const int8_t *q;      // [n_rows], one every q_stride bytes
    size_t q_stride, n_rows;
    float *out; // [n_rows], one every out_stride elements
    size_t out_stride;
};

// Shapes: `n` of quantised rows is a multiple of 64, `cols` of ternary weights of 128, those of float rows of 16.
// Rows of q8 are 32-byte aligned.
struct bn_kernels {
    const char *name;

    // f32 [n] of float weights.
    void (*widen)(enum bn_layout layout, const void *in, size_t n, float *out);

    // q, *scale = int8 of RMSNorm(x) * norm, or of x itself without norm. False if not finite; q is then undefined.
    bool (*quantise)(const float *x, const float *norm, size_t n, float eps, int8_t *q, struct bn_row_scale *scale);

    // out = RMSNorm(x) * norm; out may be x. False if not finite.
    bool (*norm)(const float *x, const float *norm, size_t n, float eps, float *out);

    // acc[i][r] = sum over cols of trit(w row r) * q row i, for `rows` weight rows from `w` (BN_LAYOUT_I2S_A, a row every
    // cols / 4 bytes) and `n_rows` activation rows, `q_stride` bytes apart; acc rows are acc_stride elements apart.
    void (*ternary)(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                    const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride);

    // The same with rows of BN_LAYOUT_BASE3, one every 64 bytes for each 320 columns. NULL where it would not pay.
    void (*ternary_base3)(const uint8_t *w, size_t rows, size_t cols, const int8_t *q, size_t q_stride,
                          const struct bn_row_scale *scales, size_t n_rows, int32_t *acc, size_t acc_stride);

    // NULL: bn_kernels_groups has one in plain C.
    void (*ternary_groups)(const struct bn_groups *args);

    // out[i] = (float)acc[i] * factor, plus add[i] if add is not NULL. add may be out.
    void (*dequantise)(const int32_t *acc, size_t n, float factor, const float *add, float *out);

    // out[i] = activation(gate[i] * gate_factor) * (up[i] * up_factor).
    void (*gate)(const int32_t *gate, const int32_t *up, size_t n, float gate_factor, float up_factor,
                 enum bn_op_activation activation, float *out);

    // Rotates `heads` heads in place; table: [head_dim / 2][2] cosine, sine of this position.
    void (*rope)(float *x, size_t heads, size_t head_dim, const float *table, enum bn_rope_order order);

    // f16 [n], rounded to nearest even.
    void (*narrow_f16)(const float *in, size_t n, uint16_t *out);

    void (*attend)(const struct bn_attend *args);

    // out[r] = dot(w row r, x) in the canonical order, for `rows` rows of float weights.
    void (*dot)(enum bn_layout layout, const void *w, size_t rows, size_t cols, const float *x, float *out);

    // out[i * out_stride + r] = dot(w row r, q + i * cols): integers, for `rows` rows of int8 in -127 .. 127 and n planes of
    // activations one after the other, in the same range; n is even, cols at most 2^17.
    void (*scan)(const int8_t *w, size_t rows, size_t cols, const int8_t *q, size_t n, int32_t *out, size_t out_stride);

    // As quantise, two planes of n int8; a value is 256 high + low. scales [2]: of equal scale.
    // NULL: bn_kernels_quantise16 has one in plain C.
    bool (*quantise16)(const float *x, const float *norm, size_t n, float eps, int8_t *high, int8_t *low,
                       struct bn_row_scale *scales);

    // out[i] = activation(gate[i]) * up[i]; out may be either. NULL: bn_kernels_activate has one in plain C.
    void (*activate)(const float *gate, const float *up, size_t n, enum bn_op_activation activation, float *out);
};

// One instruction set level; rows of cpu/isa.inl, from oldest to newest.
struct bn_isa {
    const char *name;
    const struct bn_kernels *kernels;
    bool usable; // on this machine: CPUID and what the operating system saves
};

// All levels compiled in for this architecture, scalar first. Writes at most `capacity`, returns the number.
size_t bn_isa_list(struct bn_isa *list, size_t capacity);

// The level by name, or the newest usable one for NULL. NULL if unknown; check `usable` and ask bn_isa_permit before calling
// its kernels.
const struct bn_isa *bn_isa_find(struct bn_isa *list, size_t n, const char *name);

// Asks the system for what a usable level needs that it gives on request only, for the whole process and for good: the tiles
// of AMX. False if the level is not usable or the system refuses, as under some sandboxes; its kernels must not be called then.
bool bn_isa_permit(const struct bn_isa *isa);

// k->ternary_groups, or the one in plain C.
void (*bn_kernels_groups(const struct bn_kernels *k))(const struct bn_groups *args);
bool bn_kernels_quantise16(const struct bn_kernels *k, const float *x, const float *norm, size_t n, float eps,
                           int8_t *high, int8_t *low, struct bn_row_scale *scales);
void bn_kernels_activate(const struct bn_kernels *k, const float *gate, const float *up, size_t n,
                         enum bn_op_activation activation, float *out);

// What follows products that are floats already, in plain C: at most one call for each row of activations and tile of
// weights. out[i] = values[i] * factor, plus add[i] if add is not NULL; add may be out, and out may be values.
void bn_scale_values(const float *values, size_t n, float factor, const float *add, float *out);
// out[i] = activation(gate[i] * gate_factor) * (up[i] * up_factor).
void bn_gate_values(const float *gate, const float *up, size_t n, float gate_factor, float up_factor,
                    enum bn_op_activation activation, float *out);

// What the CPU calls itself; "unknown CPU" if it does not say. `name` holds 64 bytes.
void bn_cpu_name(char *name);

#endif
