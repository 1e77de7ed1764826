// Recorded commands of the CPU driver: ops unrolled into phases.
#ifndef BN_DEVICES_CPU_COMMAND_H
#define BN_DEVICES_CPU_COMMAND_H

#include <bitnet/driver.h>

#include "cpu/kernels.h"
#include "devices/cpu/team.h"

// A part of an op that needs no barrier inside.
struct phase {
    // Items begin .. end - 1 of the phase. Any split gives the same bits.
    void (*run)(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
    uint32_t (*items)(const struct phase *phase); // may depend on the slot
    uint32_t chunk;                               // most items a worker takes at once; 0: an equal share
    size_t scratch;                               // bytes a worker needs
    const struct bn_op *op;
    uint32_t op_index;
    bool first;         // of its op
    uint64_t row_bytes; // what a row of the replay makes it read, about
    const struct bn_kernels *kernels;
    uint32_t workers; // of the team
    struct bn_slot *slot;
    float *temporary;              // f32 memory of the command between the phases of an op
    struct bn_op_profile *profile; // where its time is added; NULL: nowhere
};

struct command {
    struct bn_command base;
    struct bn_op *ops;
    struct phase *phases;
    size_t n_phases;
    float *temporary;
    struct bn_slot *slot;
};

// How an op runs: its phases in order.
struct phase_row {
    void (*run)(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
    uint32_t (*items)(const struct phase *phase);
    uint32_t chunk;
};
enum { MOST_PHASES = 5 };

// The phases of one op, at most MOST_PHASES: appended to `phases`, the number returned. Fills in run, items, chunk, scratch.
size_t bn_cpu_phases(const struct bn_op *op, struct phase *phases);

// f32 values that the op's phases hand over to each other.
size_t bn_cpu_temporary(const struct bn_op *op);

// Whether the phase, as the slot has it now, is large enough for the whole team.
bool bn_cpu_worth_sharing(const struct phase *phase);

// A NaN or infinity was met: recorded in the slot, the first op wins.
void bn_cpu_not_finite(const struct phase *phase);
// Looks for them.
void bn_cpu_check_logits(const struct phase *phase, const float *logits, uint32_t n);

// The int32 products of `n` weight rows from `first` with all rows of the replay: acc [n_rows][acc_stride]. Planes are rows to
// the kernel; their sums fit an int32 when they are put together (docs/numerics.md, "Two planes").
void bn_cpu_multiply(const struct phase *phase, const struct bn_weight *w, uint32_t first, uint32_t n, int32_t *acc,
                     uint32_t acc_stride);

// scaled.c: tiles of matrices whose scales reach rows or groups. Rows first .. first + n - 1 of a matrix; scratch has a row of
// `stride` values for each row of the replay and plane, and matrix.
struct bn_cpu_tile {
    uint32_t first, n, stride;
};
void bn_cpu_scaled_matmul(const struct phase *phase, const struct bn_weight *w, const struct bn_cpu_tile *tile,
                          const float *add, float *out, float *values);
void bn_cpu_scaled_gate(const struct phase *phase, const struct bn_cpu_tile *tile, float *gates, float *ups);
// Sums of both planes, at the place of those of the first: acc [rows][planes][stride] to [rows][stride].
void bn_cpu_join_planes(const struct bn_op *op, uint32_t rows, uint32_t n, size_t stride, int32_t *acc);
// What the sums of row r are divided by.
float bn_cpu_row_scale(const struct phase *phase, uint32_t r);

// As many items as the replay has rows.
uint32_t bn_cpu_rows(const struct phase *phase);
// The end of BN_OP_QKV for row r: q, k and v are f32 of its heads; q and k are changed in place.
void bn_cpu_append_row(const struct phase *phase, uint32_t r, float *q, float *k, const float *v);

// apart.c: ops of models whose layers are not those of BitNet b1.58.
void bn_cpu_quantise16(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_norm_rows(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_rotate(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_append(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_activate(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);

// table.c: rows of an embedding or a head, of any layout.
enum { BN_CPU_TABLE_ROWS = 64 };
struct bn_cpu_table {
    enum bn_layout layout; // one that kernels read
    const void *data;
};
// Bytes of scratch that bn_cpu_table_rows needs.
size_t bn_cpu_table_scratch(const struct bn_op *op);
// Rows first .. first + n - 1, at most BN_CPU_TABLE_ROWS of them: as they are, or in scratch.
struct bn_cpu_table bn_cpu_table_rows(const struct phase *phase, const struct bn_weight *w, uint32_t first, uint32_t n,
                                      float *scratch);
// Row r as f32 [cols].
void bn_cpu_table_row(const struct phase *phase, const struct bn_weight *w, uint32_t r, float *out);

// top.c: the phases of BN_OP_TOP.
void bn_cpu_top_quantise(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_top_scan(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_top_select(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_top_rescore(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
void bn_cpu_top_all(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end);
uint32_t bn_cpu_top_outputs(const struct phase *phase);
uint32_t bn_cpu_top_scan_items(const struct phase *phase);
uint32_t bn_cpu_top_rescore_items(const struct phase *phase);
uint32_t bn_cpu_top_all_items(const struct phase *phase);
size_t bn_cpu_top_scratch(const struct bn_op *op);
size_t bn_cpu_top_temporary(const struct bn_op *op);

#endif
