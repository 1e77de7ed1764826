// Ops, weight layouts and the state slot: the vocabulary that the planner, the drivers and the low level of the API
// share. Everything here is plain data.
#ifndef BITNET_OP_H
#define BITNET_OP_H

#include <bitnet/device.h>

#ifdef __cplusplus
extern "C" {
#endif

// How a weight matrix [rows][cols] lies in memory. runtime/layout/layouts.inl has one row per layout, docs/layouts.md
// the pictures. Codes of ternary layouts: -1 -> 0, 0 -> 1, +1 -> 2.
enum bn_layout {
    BN_LAYOUT_F32,
    BN_LAYOUT_F16,
    BN_LAYOUT_BF16,
    BN_LAYOUT_I2S_A, // "128/32": 32 bytes per 128 columns; byte j holds columns j, 32+j, 64+j, 96+j from the top bits down
    BN_LAYOUT_I2S_B, // "64/16": 16 bytes per 64 columns, likewise j, 16+j, 32+j, 48+j
    BN_LAYOUT_I2S_C, // "1x4": byte (r/4)*cols + c holds rows r..r+3 of column c, the first in the top bits
    // The codes of I2S_A, with scales apart (struct bn_weight): one per row, or one per 256, 128 or 64 columns of a row.
    BN_LAYOUT_I2S_A_ROW,
    BN_LAYOUT_I2S_A_G256,
    BN_LAYOUT_I2S_A_G128,
    BN_LAYOUT_I2S_A_G64,
    // 1.6 bits: 64 bytes per 320 columns of a row; byte j holds columns j, 64+j, ... 256+j as a fraction of 256 in base 3, the
    // first digit that of column j. The last block of a row is filled up with zeros.
    BN_LAYOUT_BASE3,
    // Of files: a scale per 256 (TQ1_0, TQ2_0), 64 (Q2_0) or 128 columns (PQ2_0, PTQ1_0), or per row (IQ...).
    BN_LAYOUT_TQ1_0,
    BN_LAYOUT_TQ2_0,
    BN_LAYOUT_Q2_0,
    BN_LAYOUT_PQ2_0,
    BN_LAYOUT_PTQ1_0,
    BN_LAYOUT_IQ1_BN,
    BN_LAYOUT_IQ2_BN,
    BN_LAYOUT_IQ2_BN_R4,
    BN_LAYOUT_TL1,
    BN_LAYOUT_TL2,
    BN_LAYOUT_PACKED, // Hugging Face's uint8: bits 2i of byte (r, c) hold row i * rows / 4 + r
    // Quantised floats, of embeddings and heads.
    BN_LAYOUT_Q8_0,
    BN_LAYOUT_Q6_K,
    BN_LAYOUT_Q5_0,
    BN_LAYOUT_Q4_0,
    BN_LAYOUT_COUNT,
};

// Memory of a device. The fields may be read, and what `host` points to may be written while no submission uses it;
// host is NULL if the host cannot reach the device's memory. Drivers extend the struct.
struct bn_buffer {
    struct bn_device *device;
    uint64_t size;
    void *host;
    uint32_t users; // the library's: the owner and the commands that use it
};

// A range of a buffer: `size` bytes from byte `offset` on. An op that does not use an operand leaves its buffer NULL.
struct bn_span {
    struct bn_buffer *buffer;
    uint64_t offset;
    uint64_t size;
};

// A weight matrix; out of `cols` features it makes `rows`.
struct bn_weight {
    struct bn_span data; // bn_layout_bytes bytes
    enum bn_layout layout;
    uint32_t rows, cols;
    float scale;           // of the tensor; multiplies those of `scales`; 1 for float layouts
    struct bn_span scales; // f32 [rows][bn_layout_scales]; empty if that is 0
};

// Int8 rows and rows of I2S_A are this many bytes and codes long, for matrices of `cols` columns: whole blocks. What is
// behind the columns is 0, in trits too.
static inline uint32_t bn_padded_cols(uint32_t cols)
{
    return (cols + 127) / 128 * 128;
}

// All activations are row-major. R is the number of rows of the replay, slot.n_rows, at most op.rows; O is
// slot.n_outputs. "q8" is a pair: int8 [R][bn_padded_cols(cols)] and one bn_row_scale per row; with op.planes = 2, "q16":
// int8 [R][2][bn_padded_cols(cols)], the high plane of a row first, and bn_row_scale [R][2]; a value is 256 high + low, and what
// a row is divided by is the first one's scale. NaN or infinity in what is quantised,
// normed or stored in the KV pool, or in a logit, sets the slot's status to BN_SLOT_NOT_FINITE.
enum bn_op_kind {
    // out f32 [R][cols] = row slot.row[r].token of w[0], times op.scale unless that is 0.
    BN_OP_EMBED,
    // out, out2 = q8 of RMSNorm(in f32 [R][cols]) * norm; without norm, q8 of in itself.
    BN_OP_QUANTISE,
    // out f32 [R][w[0].rows] = w[0] * in, plus in3 (f32, same shape, may be the same memory as out) if present.
    BN_OP_MATMUL,
    // q, k, v = w[0..2] * in; RMSNorm of each head of q with norm and of k with norm2, if they are present; RoPE on q and k
    // at slot.row[r].position; out f32 [R][heads * head_dim] = q; k and v are rounded to the type of the KV pool and stored in
    // it; none may leave the range of f16 there.
    BN_OP_QKV,
    // out f32 [R][heads * head_dim]: softmax(q k^T / sqrt(head_dim)) v over positions 0..slot.row[r].position, the last
    // op.window of them if that is not 0.
    BN_OP_ATTENTION,
    // out f32 [R][w[0].rows] = activation(w[0] * in) * (w[1] * in).
    BN_OP_GATE_UP,
    // out f32 [O][cols] = RMSNorm(row slot.output[o] of in) * norm.
    BN_OP_NORM,
    // out f32 [slot.first_output + o][w[0].rows] = w[0] * row o of in (f32 [O][cols]). Nothing if slot.top is not 0.
    BN_OP_HEAD,
    // Only if slot.top is not 0; op.rows is at most BN_TOP_OUTPUTS. out bn_top [slot.first_output + o] = every row of w[0]
    // whose product with row o of in may be among the slot.top largest, with the very value that BN_OP_HEAD gives. in2 int8
    // [w[0].rows][cols] and in3 bn_scan_row [w[0].rows] are the scan copy of w[0]. If there are more than BN_TOP_MOST, n is
    // 0 and the logits go to out2, laid out as BN_OP_HEAD does.
    BN_OP_TOP,
    // KV pool: page slot.copy[i].from is copied to slot.copy[i].to.
    BN_OP_KV_COPY,
    // out = in, byte for byte.
    BN_OP_COPY,
    // As BN_OP_QUANTISE, q16.
    BN_OP_QUANTISE16,
    // out f32 [R][cols] = RMSNorm(in) * norm, plus in3 if present. out may be the memory of in or in3.
    BN_OP_NORM_ROWS,
    // What BN_OP_QKV does after its products: in f32 [R][heads * head_dim] = q, in2 = k, in3 = v (f32 [R][kv_heads *
    // head_dim]); out as there, may be the memory of in. k is changed in place.
    BN_OP_APPEND,
    // out f32 [R][cols] = activation(in) * in2. out may be the memory of either.
    BN_OP_ACTIVATE,
    // BN_OP_QUANTISE of in f32 [R][cols] with norm, or without, and then BN_OP_MATMUL, BN_OP_QKV or BN_OP_GATE_UP of the result,
    // which is not kept. For devices to which a kernel more is dearer than a norm more; out must not overlap in.
    BN_OP_NORM_MATMUL,
    BN_OP_NORM_QKV,
    BN_OP_NORM_GATE_UP,
    // out f32 [R][cols] = H(in * norm) * norm2, H being the Walsh-Hadamard transform of every op.block columns, divided by the
    // root of op.block; norm and norm2 f32 [cols] may be absent. With op.of_outputs [O] instead of [R]. out may be the memory
    // of in.
    BN_OP_ROTATE,
    BN_OP_COUNT,
};

// Of the gate: max(x, 0)^2, x / (1 + exp(-x)), or GELU with the tanh approximation.
enum bn_op_activation { BN_OP_RELU2 = 1, BN_OP_SILU = 2, BN_OP_GELU = 3 };
// Which two features of a head RoPE turns together: i and i + head_dim/2 (NEOX), or 2i and 2i + 1.
enum bn_rope_order { BN_ROPE_HALVES, BN_ROPE_PAIRS };

// The KV pool is an array of pages. A page holds BN_PAGE_POSITIONS positions of every layer:
// [layer][0 = K, 1 = V][kv_head], each of them BN_PAGE_POSITIONS rows of head_dim elements of the pool's type. This is the
// canonical form too, in which pages leave a device. The type is part of what a page says: nothing converts it.
#define BN_PAGE_POSITIONS 64

// Types of K and V. INT8 is for devices with BN_OP_WITH_INT8_KV.
enum bn_kv_type {
    BN_KV_F16,  // [position][head_dim]
    BN_KV_INT8, // int8 [position][head_dim], then f32 [position]: an element is its int8 times the step of its row
};

// One op. Operands and weights that its kind does not name stay empty; of the rest it reads what its kind needs.
struct bn_op {
    enum bn_op_kind kind;
    uint32_t rows;                          // most rows of a replay
    uint32_t cols;                          // features of `in`
    struct bn_span in, in2, in3, out, out2; // a q8 pair is in and in2, or out and out2
    struct bn_span norm, norm2;             // f32 [cols]; of heads: f32 [head_dim]
    struct bn_weight w[3];                  // q, k, v; gate, up; or one
    struct bn_span kv;                      // KV pool of kv_type, see bn_kv_page_bytes
    struct bn_span rope;                    // f32 [positions][head_dim / 2][2]: cosine, sine
    float eps;                              // of the norm
    enum bn_op_activation activation;
    enum bn_rope_order rope_order;
    uint32_t layer;                               // whose K and V in the pool, of n_layers
    uint32_t heads, kv_heads, head_dim, n_layers; // geometry, of the ops with a KV pool
    uint32_t positions;                           // most positions of a sequence
    uint32_t planes;                              // of the quantised activations; 0 and 1: one
    uint32_t window;                              // of attention; 0: everything
    float scale;                                  // of BN_OP_EMBED; 0: none
    enum bn_kv_type kv_type;                      // of the ops with a KV pool
    uint32_t block;                               // of BN_OP_ROTATE: a power of 2 that divides cols
    bool of_outputs;                              // of BN_OP_ROTATE
};

// What an op asks for beyond its kind; a device says in bn_caps.op_options which of them it runs.
enum bn_op_option {
    BN_OP_WITH_PLANES = 1,
    BN_OP_WITH_WINDOW = 2,
    BN_OP_WITH_HEAD_NORM = 4,
    BN_OP_WITH_GELU = 8,
    BN_OP_WITH_SCALE = 16,
    BN_OP_WITH_INT8_KV = 32
};

// Planes of the quantised activations that the op gives or takes: 1 or 2.
static inline uint32_t bn_op_planes(const struct bn_op *op)
{
    return op->planes == 2 ? 2 : 1;
}

// The scale of a row of int8 activations: real value = q / scale. `sum` is the sum of the row's q, for kernels
// that multiply by code instead of by trit.
struct bn_row_scale {
    float scale;
    int32_t sum;
};

// The state slot: what changes from step to step. It starts with this header; the arrays follow at the byte offsets
// given, in memory that host and device both see. A slot belongs to the device from submit to its timeline value.
struct bn_slot {
    uint32_t n_rows, n_seqs, n_outputs, n_copies;         // entries of the arrays that count in this step
    uint32_t row_at, seq_at, page_at, output_at, copy_at; // byte offsets from the slot's start
    uint32_t first_output;                                // row of the logits buffer that output 0 goes to
    uint32_t status;                                      // written by the device: enum bn_slot_status
    uint32_t status_op;                                   // written by the device: the op that set status
    uint32_t top;                                         // most likely candidates wanted of each output; 0: all logits
    uint32_t skip;                                        // the driver's: ops do nothing if it is not 0
    uint32_t progress;                                    // the driver's: the op that started last
    uint32_t report;                                      // the driver's: where its own copy of the slot names this one
};

// How a run ended: completely, by bn_submission.stop, or with NaN or infinity in what status_op computed.
enum bn_slot_status { BN_SLOT_OK, BN_SLOT_STOPPED, BN_SLOT_NOT_FINITE };

// A row of the batch.
struct bn_slot_row {
    uint32_t token, position, seq, adapter; // seq indexes the slot's seqs; adapter is 0 for now
};

// A sequence that rows belong to.
struct bn_slot_seq {
    uint32_t first_page, n_pages; // a run of the slot's page table, entry i holds positions 64 i ..
};

// A page to be copied before a sequence writes to it.
struct bn_slot_copy {
    uint32_t from, to; // page numbers
};

// The scan copy of a row w of the head: int8 q, with q * scale close to w (docs/numerics.md, "The head").
struct bn_scan_row {
    float scale;
    float error; // at least the Euclidean norm of w - q * scale
    float norm;  // at least the Euclidean norm of q * scale
};

// From this size on a head is scanned, unless the engine's configuration says something else.
#define BN_SCAN_FROM (16u << 20)

// Bytes of the scan copy of a head.
static inline uint64_t bn_scan_bytes(uint32_t rows, uint32_t cols)
{
    return (uint64_t)rows * (cols + sizeof(struct bn_scan_row));
}

// A token and its logit.
struct bn_candidate {
    float logit;
    int32_t id; // the token
};

// Most outputs of one BN_OP_TOP, and most candidates of one output.
enum { BN_TOP_OUTPUTS = 8, BN_TOP_MOST = 4096 };

// What BN_OP_TOP finds for one output.
struct bn_top {
    uint32_t n;                                  // candidates; 0: too many, see the logits
    uint32_t rescored;                           // rows of the head whose exact product was computed
    struct bn_candidate candidates[BN_TOP_MOST]; // ascending ids
};

// How many entries the arrays of a slot have at most: rows, seqs, entries of the page table (pages), outputs, copies.
struct bn_slot_limits {
    uint32_t rows, seqs, pages, outputs, copies;
};

// Bytes of an element of K or V in its row.
static inline uint64_t bn_kv_element_bytes(enum bn_kv_type type)
{
    return type == BN_KV_INT8 ? 1 : 2;
}

// Bytes of the rows of one head in a page: its K or its V of one layer.
static inline uint64_t bn_kv_head_bytes(uint32_t head_dim, enum bn_kv_type type)
{
    return BN_PAGE_POSITIONS * (head_dim * bn_kv_element_bytes(type) + (type == BN_KV_INT8 ? sizeof(float) : 0));
}

// Sizes, for checks: bytes of one KV page of a model.
static inline uint64_t bn_kv_page_bytes(uint32_t n_layers, uint32_t kv_heads, uint32_t head_dim, enum bn_kv_type type)
{
    return (uint64_t)n_layers * 2 * kv_heads * bn_kv_head_bytes(head_dim, type);
}

// Byte offset of a K (which = 0) or V (which = 1) row within its page.
static inline uint64_t bn_kv_row_offset(uint32_t layer, uint32_t which, uint32_t head, uint32_t position,
                                        uint32_t kv_heads, uint32_t head_dim, enum bn_kv_type type)
{
    uint64_t before = (uint64_t)(layer * 2 + which) * kv_heads + head;
    return before * bn_kv_head_bytes(head_dim, type) +
           position % BN_PAGE_POSITIONS * head_dim * bn_kv_element_bytes(type);
}

// Byte offset of the steps, f32 [BN_PAGE_POSITIONS], behind int8 rows that start at byte `rows`.
static inline uint64_t bn_kv_steps_offset(uint64_t rows, uint32_t head_dim)
{
    return rows + (uint64_t)BN_PAGE_POSITIONS * head_dim;
}

#ifdef __cplusplus
}
#endif
#endif
