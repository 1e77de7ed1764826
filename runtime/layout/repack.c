#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"
#include "runtime/layout/layout.h"

// Rows unpacked at a time: a multiple of every layout's block_rows, few enough to stay in the cache.
#define STRIPE BN_REPACK_ROWS

struct repacker {
    const struct bn_matrix *from;
    struct bn_repacked *to;
    const struct bn_layout_info *in, *out;
    enum bn_repack_loss loss;
    uint64_t r0, r1; // rows of `from` that become rows 0 .. r1 - r0 - 1
    float *row;      // [2][cols], of layouts of floats
    int8_t *trits;   // [STRIPE][cols]
    struct bn_repack_sum sum;
    float checked; // a scale, and whether it can be kept
    bool exact;
    struct bn_error *err;
};

// What becomes one scale: columns from .. end - 1 of a row.
struct unit {
    float scale, first;
    bool any, differ;
    double sum, n;
};

// The lowest bit of a trit says whether it is 0.
static uint64_t count_weights(const int8_t *trits, uint64_t n)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t i = 0, weights = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, trits + i, sizeof(word));
        weights += (word & ones) * ones >> 56;
    }
    for (; i < n; i++)
        weights += trits[i] != 0;
    return weights;
}

// Adds the columns of the row's group g, from .. end - 1, whose trits are given. A scale of 0 makes them 0.
static void add_group(const struct repacker *rp, struct unit *unit, uint64_t r, uint64_t g, int8_t *trits, uint64_t n)
{
    float scale = bn_matrix_scale(rp->from, r, g);
    uint64_t weights = count_weights(trits, n);
    if (scale == 0)
        memset(trits, 0, n);
    if (unit->first == 0)
        unit->first = scale;
    if (scale == 0 || weights == 0)
        return;
    unit->differ = unit->differ || (unit->any && scale != unit->scale);
    unit->any = true;
    unit->scale = scale;
    unit->sum += (double)scale * (double)weights;
    unit->n += (double)weights;
}

// The scale of columns from .. end - 1 of row r.
static struct unit gather(const struct repacker *rp, uint64_t r, int8_t *trits, uint64_t from, uint64_t end)
{
    struct unit unit = {.scale = 0};
    if (rp->in->reach == BN_SCALE_TENSOR) // 1, whatever the weights are
        return (struct unit){.scale = 1, .first = 1, .any = true};
    uint64_t reach = rp->in->reach == BN_SCALE_GROUP ? rp->in->group : rp->from->cols;
    for (uint64_t c = from; c < end;) {
        uint64_t g = c / reach, stop = (g + 1) * reach < end ? (g + 1) * reach : end;
        add_group(rp, &unit, r, g, trits + c, stop - c);
        c = stop;
    }
    return unit;
}

static enum bn_result refuse(const struct repacker *rp, uint64_t r, const char *why)
{
    return bn_fail(rp->err, BN_ERR_UNSUPPORTED, "the scales of %s cannot be kept as %s: in row %" PRIu64 " %s",
                   rp->in->name, rp->out->name, r, why);
}

static enum bn_result write_scale(struct repacker *rp, uint64_t r, uint64_t g, const struct unit *unit)
{
    const struct bn_matrix *from = rp->from;
    float outer = rp->in->kind == BN_LAYOUT_FLOAT ? 1 : from->scale;
    float scale = unit->any ? unit->scale : unit->first;
    if (unit->differ && rp->loss == BN_REPACK_EXACT)
        return refuse(rp, r, "several become one");
    if (unit->differ)
        scale = (float)(unit->sum / unit->n);
    if (rp->out->home == BN_HOME_APART) { // the tensor's scale stays apart, too
        rp->to->scales[(r - rp->r0) * bn_layout_groups(rp->out, from->cols) + g] = scale;
        return BN_OK;
    }
    float product = scale * outer;
    if (scale != rp->checked) { // else the one of the group before
        rp->exact = fmaf(scale, outer, -product) == 0 &&
                    (rp->out->home != BN_HOME_F16 || bn_f16_to_f32(bn_f32_to_f16(product)) == product);
        rp->checked = scale;
    }
    if (!rp->exact && rp->loss == BN_REPACK_EXACT)
        return refuse(rp, r, "one would be rounded");
    if (!isfinite(product) || (rp->out->home == BN_HOME_F16 && fabsf(product) > 65504))
        return refuse(rp, r, "one is too large");
    rp->out->set_scale(rp->to->data, rp->r1 - rp->r0, from->cols, r - rp->r0, g, product);
    return BN_OK;
}

// False if scales that differ may not.
static bool join(struct bn_repack_sum *whole, const struct bn_repack_sum *next, enum bn_repack_loss loss)
{
    if (next->any && whole->any && next->common != whole->common && loss == BN_REPACK_EXACT)
        return false;
    if (next->any || (!whole->any && whole->common == 0))
        whole->common = next->common;
    whole->any = whole->any || next->any;
    whole->sum += next->sum;
    whole->n += next->n;
    return true;
}

// Scales of row r, whose trits are given.
static enum bn_result convert_row(struct repacker *rp, uint64_t r, int8_t *trits)
{
    uint64_t cols = rp->from->cols;
    if (rp->in->reach == BN_SCALE_TENSOR && rp->out->reach == BN_SCALE_TENSOR) {
        rp->sum.common = 1; // nothing to look at: the quick way of most models
        return BN_OK;
    }
    if (rp->out->reach == BN_SCALE_TENSOR) {
        struct unit unit = gather(rp, r, trits, 0, cols);
        struct bn_repack_sum next = {unit.sum, unit.n, unit.any ? unit.scale : unit.first, unit.any};
        if (unit.differ && rp->loss == BN_REPACK_EXACT)
            return refuse(rp, r, "they differ");
        return join(&rp->sum, &next, rp->loss) ? BN_OK : refuse(rp, r, "they differ");
    }
    uint64_t reach = rp->out->reach == BN_SCALE_GROUP ? rp->out->group : cols;
    for (uint64_t g = 0; g * reach < cols; g++) {
        uint64_t end = (g + 1) * reach < cols ? (g + 1) * reach : cols;
        struct unit unit = gather(rp, r, trits, g * reach, end);
        enum bn_result result = write_scale(rp, r, g, &unit);
        if (result != BN_OK)
            return result;
    }
    return BN_OK;
}

// To nearest, halves to even, within -1 .. 1.
static int8_t round_one(float steps)
{
    return (int8_t)((steps > 0.5f) - (steps < -0.5f));
}

typedef float sums __attribute__((vector_size(16)));
typedef int32_t lanes __attribute__((vector_size(16)));

static void round_sixteen(const float *weights, float inverse, int8_t *restrict trits)
{
    int32_t rounded[16];
    for (int i = 0; i < 16; i += 4) {
        sums steps;
        memcpy(&steps, weights + i, sizeof(steps));
        steps *= inverse;
        lanes four = (steps < -0.5f) - (steps > 0.5f); // true is -1
        memcpy(rounded + i, &four, sizeof(four));
    }
    for (int i = 0; i < 16; i++)
        trits[i] = (int8_t)rounded[i];
}

// The trits of floats, by the scale of the tensor: as BitNet's weights are quantised in training.
static void round_row(const struct repacker *rp, int8_t *trits)
{
    float inverse = rp->from->scale != 0 ? 1.0f / rp->from->scale : 0;
    uint64_t c = 0, cols = rp->from->cols;
    for (; c + 16 <= cols; c += 16)
        round_sixteen(rp->row + c, inverse, trits + c);
    for (; c < cols; c++)
        trits[c] = round_one(rp->row[c] * inverse);
}

// The trits and the scale of columns that are 0 or of one magnitude.
static enum bn_result split_group(struct repacker *rp, uint64_t r, uint64_t g, const float *weights, uint64_t n,
                                  int8_t *trits)
{
    struct unit unit = {.any = false};
    for (uint64_t c = 0; c < n; c++) {
        float magnitude = fabsf(weights[c]);
        if (magnitude != 0 && unit.any && magnitude != unit.scale)
            return refuse(rp, r, "the weights of a group are not ternary");
        if (magnitude != 0)
            unit = (struct unit){.any = true, .scale = magnitude, .first = magnitude};
        trits[c] = (int8_t)((weights[c] > 0) - (weights[c] < 0));
    }
    return write_scale(rp, r, g, &unit);
}

// Row r of floats to trits, with its scales.
static enum bn_result convert_floats(struct repacker *rp, uint64_t r, int8_t *trits)
{
    uint64_t cols = rp->from->cols, reach = rp->out->reach == BN_SCALE_GROUP ? rp->out->group : cols;
    bn_matrix_widen(rp->from, r, rp->row);
    if (rp->out->reach == BN_SCALE_TENSOR) {
        round_row(rp, trits);
        return BN_OK;
    }
    enum bn_result result = BN_OK;
    for (uint64_t g = 0; g * reach < cols && result == BN_OK; g++) {
        uint64_t n = cols - g * reach < reach ? cols - g * reach : reach;
        result = split_group(rp, r, g, rp->row + g * reach, n, trits + g * reach);
    }
    return result;
}

static enum bn_result unused_code(const struct bn_layout_info *info, uint64_t r0, uint64_t r1, struct bn_error *err)
{
    if (info->plus_two)
        return bn_fail(err, BN_ERR_UNSUPPORTED,
                       "a weight in rows %" PRIu64 " to %" PRIu64 " is +2 times its scale, which is not ternary", r0,
                       r1 - 1);
    return bn_fail(err, BN_ERR_MODEL, "a weight in rows %" PRIu64 " to %" PRIu64 " has an unused code", r0, r1 - 1);
}

static enum bn_result convert(struct repacker *rp)
{
    uint64_t rows = rp->from->rows, cols = rp->from->cols;
    for (uint64_t r0 = rp->r0; r0 < rp->r1; r0 += STRIPE) {
        uint64_t r1 = rp->r1 - r0 < STRIPE ? rp->r1 : r0 + STRIPE;
        if (rp->in->unpack && !rp->in->unpack(rp->from->data, rows, cols, r0, r1, rp->trits))
            return unused_code(rp->in, r0, r1, rp->err);
        for (uint64_t r = r0; r < r1; r++) {
            int8_t *trits = rp->trits + (r - r0) * cols;
            enum bn_result result = rp->in->unpack ? convert_row(rp, r, trits) : convert_floats(rp, r, trits);
            if (result != BN_OK)
                return result;
        }
        rp->out->pack(rp->trits, rp->r1 - rp->r0, cols, r0 - rp->r0, r1 - rp->r0, rp->to->data);
    }
    return BN_OK;
}

// Any layout to one of floats.
static enum bn_result widen(struct repacker *rp)
{
    uint64_t cols = rp->from->cols;
    float *back = rp->row + cols;
    for (uint64_t r = rp->r0; r < rp->r1; r++) {
        bn_matrix_widen(rp->from, r, rp->row);
        rp->out->narrow(rp->row, cols, r - rp->r0, rp->to->data);
        if (rp->loss != BN_REPACK_EXACT)
            continue;
        rp->out->widen(rp->to->data, cols, r - rp->r0, back);
        if (memcmp(rp->row, back, cols * sizeof(*back)) != 0)
            return bn_fail(rp->err, BN_ERR_UNSUPPORTED, "%s cannot hold the weights of row %" PRIu64 " exactly",
                           rp->out->name, r);
    }
    return BN_OK;
}

static enum bn_result check(const struct repacker *rp)
{
    const struct bn_matrix *from = rp->from;
    if (rp->out->kind == BN_LAYOUT_FLOAT && !rp->out->narrow)
        return bn_fail(rp->err, BN_ERR_UNSUPPORTED, "%s is not written, only read", rp->out->name);
    if (!bn_layout_bytes(from->layout, from->rows, from->cols) ||
        !bn_layout_bytes(rp->to->layout, rp->r1 - rp->r0, from->cols))
        return bn_fail(rp->err, BN_ERR_UNSUPPORTED,
                       "a matrix of %" PRIu64 " rows and %" PRIu64 " columns cannot be repacked from %s to %s",
                       from->rows, from->cols, rp->in->name, rp->out->name);
    return BN_OK;
}

// The scale of the result.
static float tensor_scale(const struct repacker *rp)
{
    const struct bn_repack_sum *sum = &rp->sum;
    if (rp->out->kind == BN_LAYOUT_FLOAT)
        return 1;
    if (rp->in->kind == BN_LAYOUT_FLOAT)
        return rp->from->scale;
    if (rp->out->reach == BN_SCALE_TENSOR)
        return (rp->loss == BN_REPACK_LOSSY && sum->n > 0 ? (float)(sum->sum / sum->n) : sum->common) * rp->from->scale;
    return rp->out->home == BN_HOME_APART ? rp->from->scale : 1;
}

size_t bn_repack_memory(uint64_t cols)
{
    return (size_t)cols * (2 * sizeof(float) + STRIPE);
}

enum bn_result bn_repack_rows(const struct bn_matrix *from, uint64_t r0, uint64_t r1, struct bn_repacked *to,
                              enum bn_repack_loss loss, void *memory, struct bn_error *err)
{
    struct repacker rp = {.from = from, .to = to, .loss = loss, .r0 = r0, .r1 = r1, .row = memory, .err = err};
    rp.checked = NAN;
    rp.trits = (int8_t *)(rp.row + 2 * from->cols);
    rp.in = bn_layout_get(from->layout);
    rp.out = bn_layout_get(to->layout);
    if (!rp.in || !rp.out)
        return bn_fail(err, BN_ERR_ARGUMENT, "unknown layout");
    enum bn_result result = check(&rp);
    if (result == BN_OK)
        result = rp.out->kind == BN_LAYOUT_FLOAT ? widen(&rp) : convert(&rp);
    to->sum = rp.sum;
    to->scale = tensor_scale(&rp);
    return result;
}

enum bn_result bn_repack_join(const struct bn_matrix *from, struct bn_repacked *whole, const struct bn_repacked *next,
                              enum bn_repack_loss loss, struct bn_error *err)
{
    struct repacker rp = {.from = from, .to = whole, .loss = loss, .err = err};
    rp.in = bn_layout_get(from->layout);
    rp.out = bn_layout_get(whole->layout);
    if (!join(&whole->sum, &next->sum, loss))
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the scales of %s cannot be kept as %s: they differ", rp.in->name,
                       rp.out->name);
    rp.sum = whole->sum;
    whole->scale = tensor_scale(&rp);
    return BN_OK;
}

enum bn_result bn_repack(const struct bn_host *host, const struct bn_matrix *from, struct bn_repacked *to,
                         enum bn_repack_loss loss, struct bn_error *err)
{
    void *memory = bn_alloc_array(host, from->cols, bn_repack_memory(1));
    if (!memory)
        return bn_fail_memory(err, bn_repack_memory(from->cols), "repacking weights");
    enum bn_result result = bn_repack_rows(from, 0, from->rows, to, loss, memory, err);
    bn_free(host, memory);
    return result;
}

enum bn_result bn_check_codes(const struct bn_host *host, const struct bn_matrix *matrix, struct bn_error *err)
{
    const struct bn_layout_info *info = bn_layout_get(matrix->layout);
    int8_t *trits = bn_alloc_array(host, STRIPE, matrix->cols);
    if (!trits)
        return bn_fail_memory(err, STRIPE * matrix->cols, "checking weights");
    enum bn_result result = BN_OK;
    for (uint64_t r0 = 0; r0 < matrix->rows && result == BN_OK; r0 += STRIPE) {
        uint64_t r1 = matrix->rows - r0 < STRIPE ? matrix->rows : r0 + STRIPE;
        if (!info->unpack(matrix->data, matrix->rows, matrix->cols, r0, r1, trits))
            result = unused_code(info, r0, r1, err);
    }
    bn_free(host, trits);
    return result;
}
