// The head without most of its bytes: a scan of an int8 copy gives every row's product with a bound of its error; rows that
// cannot be among the `top` largest are left out, the others get their exact product. docs/numerics.md, "The head", proves
// that none is missed.
#include <float.h>
#include <math.h>

#include "devices/common/host_buffer.h"
#include "devices/cpu/command.h"

enum { TILE = BN_CPU_TABLE_ROWS, RESCORE = 8, HEADER = 16, BLOCK = 16 };

// What the phases hand over: this of each output, then the two int8 planes of each hidden state, then the least and the largest
// that the product of each row can be.
struct output {
    float unit;  // hidden state = (high + low / 254) * unit, nearly
    float norm;  // at least its Euclidean norm
    float error; // at least the Euclidean norm of what the planes miss
    bool beyond; // a row's product may not be finite
};
_Static_assert(sizeof(struct output) <= HEADER * sizeof(float), "the header's place");

#define HOST(span) bn_span_host(&phase->op->span)

// Floats that hold the planes of all outputs.
static size_t plane_floats(const struct bn_op *op)
{
    return ((size_t)op->rows * 2 * op->cols + sizeof(float) - 1) / sizeof(float);
}

static struct output *output_of(const struct phase *phase, uint32_t o)
{
    return (struct output *)(void *)(phase->temporary + (size_t)o * HEADER);
}

static int8_t *planes_of(const struct phase *phase, uint32_t o)
{
    return (int8_t *)(phase->temporary + (size_t)phase->op->rows * HEADER) + (size_t)o * 2 * phase->op->cols;
}

// Rows of bounds are whole blocks; those past the end are never read.
static size_t bound_floats(const struct bn_op *op)
{
    return ((size_t)op->w[0].rows + BLOCK - 1) / BLOCK * BLOCK;
}

static float *least_of(const struct phase *phase, uint32_t o)
{
    const struct bn_op *op = phase->op;
    return phase->temporary + (size_t)op->rows * HEADER + plane_floats(op) + (size_t)o * 2 * bound_floats(op);
}

static float *largest_of(const struct phase *phase, uint32_t o)
{
    return least_of(phase, o) + bound_floats(phase->op);
}

static struct bn_top *top_of(const struct phase *phase, uint32_t o)
{
    return (struct bn_top *)HOST(out) + phase->slot->first_output + o;
}

size_t bn_cpu_top_temporary(const struct bn_op *op)
{
    return (size_t)op->rows * (HEADER + 2 * bound_floats(op)) + plane_floats(op);
}

size_t bn_cpu_top_scratch(const struct bn_op *op)
{
    size_t heap = BN_TOP_MOST * sizeof(float), sums = (size_t)op->rows * 2 * TILE * sizeof(int32_t);
    size_t table = bn_cpu_table_scratch(op), most = heap > sums ? heap : sums;
    return table > most ? table : most;
}

uint32_t bn_cpu_top_outputs(const struct phase *phase)
{
    return phase->slot->top ? phase->slot->n_outputs : 0;
}

uint32_t bn_cpu_top_scan_items(const struct phase *phase)
{
    return bn_cpu_top_outputs(phase) ? (phase->op->w[0].rows + TILE - 1) / TILE : 0;
}

uint32_t bn_cpu_top_rescore_items(const struct phase *phase)
{
    return bn_cpu_top_outputs(phase) * (BN_TOP_MOST / RESCORE);
}

uint32_t bn_cpu_top_all_items(const struct phase *phase)
{
    for (uint32_t o = 0; o < bn_cpu_top_outputs(phase); o++)
        if (top_of(phase, o)->n == 0)
            return (phase->op->w[0].rows + TILE - 1) / TILE;
    return 0;
}

// Also for NaN, of a state that was found not finite before: -127.
static int8_t seven_bits(float value)
{
    return value >= 127 ? 127 : value > -127 ? (int8_t)value : -127;
}

// Two planes of seven bits and a sign: 1/508 of a step of the first is the most that is missed of an element.
void bn_cpu_top_quantise(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    uint32_t cols = phase->op->cols;
    for (uint32_t o = begin; o < end; o++) {
        const float *x = (const float *)HOST(in) + (size_t)o * cols;
        int8_t *high = planes_of(phase, o), *low = high + cols;
        float most = 0;
        double squares = 0;
        for (uint32_t i = 0; i < cols; i++) {
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
            squares += (double)x[i] * x[i];
        }
        struct output *output = output_of(phase, o);
        output->unit = most > 1e-30f ? most / 127.0f : 1.0f; // a tiny state: planes of zeros, and a bound that says so
        output->norm = (float)(sqrt(squares) * (1 + 0x1p-20));
        output->error = (float)(sqrt((double)cols) * output->unit / 508 * (1 + 0x1p-10));
        output->beyond = false;
        for (uint32_t i = 0; i < cols; i++) {
            float steps = x[i] / output->unit, whole = rintf(steps), rest = rintf((steps - whole) * 254.0f);
            high[i] = seven_bits(whole);
            low[i] = seven_bits(rest);
        }
    }
}

// How far the exact product of a row can be from the scanned one: what the copy misses times the hidden state, what the planes
// miss times the copy, and the rounding of both float sums.
static float bound(const struct bn_scan_row *row, const struct output *output, float rounding)
{
    float missed = row->error * output->norm + row->norm * output->error;
    return missed * (1 + 0x1p-10f) + (row->norm + row->error) * output->norm * rounding;
}

void bn_cpu_top_scan(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const int8_t *copy = HOST(in2);
    const struct bn_scan_row *info = HOST(in3);
    uint32_t outputs = phase->slot->n_outputs;
    int32_t *sums = (int32_t *)worker->scratch;
    float rounding = ((float)op->cols / 16 + 64) * 0x1p-24f;
    for (uint32_t tile = begin; tile < end; tile++) {
        uint32_t first = tile * TILE, n = op->w[0].rows - first < TILE ? op->w[0].rows - first : TILE;
        phase->kernels->scan(copy + (size_t)first * op->cols, n, op->cols, planes_of(phase, 0), 2 * (size_t)outputs,
                             sums, TILE);
        for (uint32_t o = 0; o < outputs; o++) {
            struct output *output = output_of(phase, o);
            float *least = least_of(phase, o) + first, *largest = largest_of(phase, o) + first;
            const int32_t *high = sums + (size_t)o * 2 * TILE, *low = high + TILE;
            bool finite = true;
            for (uint32_t r = 0; r < n; r++) {
                const struct bn_scan_row *row = &info[first + r];
                float product = ((float)high[r] + (float)low[r] * (1.0f / 254)) * (row->scale * output->unit);
                float reach = bound(row, output, rounding);
                finite = finite && fabsf(product) + reach <= FLT_MAX;
                least[r] = product - reach;
                largest[r] = product + reach;
            }
            if (!finite)
                __atomic_store_n(&output->beyond, true, __ATOMIC_RELAXED);
        }
    }
}

// Whether one of a block's values is above the limit; without branches, so that compilers use vectors.
static bool any_above(const float *block, float limit)
{
    uint32_t above = 0;
    for (int i = 0; i < BLOCK; i++)
        above |= block[i] >= limit;
    return above;
}

static void sift_down(float *heap, uint32_t n, uint32_t at)
{
    float moved = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= moved)
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

// The top-th largest of the rows' least possible products. Most blocks have none that matters.
static float threshold(const struct phase *phase, uint32_t o, float *heap)
{
    const float *least = least_of(phase, o);
    uint32_t rows = phase->op->w[0].rows, top = phase->slot->top, n = 0;
    top = top < rows ? top : rows;
    top = top < BN_TOP_MOST ? top : BN_TOP_MOST;
    for (uint32_t first = 0; first < rows; first += BLOCK) {
        uint32_t end = rows - first < BLOCK ? rows : first + BLOCK;
        if (n == top && end - first == BLOCK && !any_above(least + first, heap[0]))
            continue;
        for (uint32_t r = first; r < end; r++) {
            if (n < top) {
                heap[n++] = least[r];
                if (n == top)
                    for (uint32_t i = n / 2; i-- > 0;)
                        sift_down(heap, n, i);
            } else if (least[r] > heap[0]) {
                heap[0] = least[r];
                sift_down(heap, n, 0);
            }
        }
    }
    return heap[0];
}

void bn_cpu_top_select(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    uint32_t rows = phase->op->w[0].rows;
    for (uint32_t o = begin; o < end; o++) {
        const float *largest = largest_of(phase, o);
        struct bn_top *top = top_of(phase, o);
        float least = threshold(phase, o, (float *)worker->scratch);
        uint32_t n = 0;
        for (uint32_t first = 0; first < rows; first += BLOCK) {
            uint32_t last = rows - first < BLOCK ? rows : first + BLOCK;
            if (last - first == BLOCK && !any_above(largest + first, least))
                continue;
            for (uint32_t r = first; r < last; r++) {
                if (largest[r] < least)
                    continue;
                if (n < BN_TOP_MOST)
                    top->candidates[n].id = (int32_t)r;
                n++;
            }
        }
        top->n = phase->slot->top > BN_TOP_MOST || n > BN_TOP_MOST || output_of(phase, o)->beyond ? 0 : n;
        top->rescored = top->n ? n : rows;
    }
}

void bn_cpu_top_rescore(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    for (uint32_t item = begin; item < end; item++) {
        uint32_t o = item / (BN_TOP_MOST / RESCORE), first = item % (BN_TOP_MOST / RESCORE) * RESCORE;
        struct bn_top *top = top_of(phase, o);
        const float *x = (const float *)HOST(in) + (size_t)o * op->cols;
        for (uint32_t i = first; i < top->n && i < first + RESCORE; i++) {
            struct bn_cpu_table row =
                bn_cpu_table_rows(phase, &op->w[0], (uint32_t)top->candidates[i].id, 1, (float *)worker->scratch);
            phase->kernels->dot(row.layout, row.data, 1, op->cols, x, &top->candidates[i].logit);
            bn_cpu_check_logits(phase, &top->candidates[i].logit, 1);
        }
    }
}

// Too many candidates: all logits of those outputs.
void bn_cpu_top_all(const struct phase *phase, const struct worker *worker, uint32_t begin, uint32_t end)
{
    const struct bn_op *op = phase->op;
    const struct bn_weight *w = &op->w[0];
    for (uint32_t tile = begin; tile < end; tile++) {
        uint32_t first = tile * TILE, n = w->rows - first < TILE ? w->rows - first : TILE;
        struct bn_cpu_table rows = bn_cpu_table_rows(phase, w, first, n, (float *)worker->scratch);
        for (uint32_t o = 0; o < phase->slot->n_outputs; o++) {
            float *logits = (float *)HOST(out2) + (size_t)(phase->slot->first_output + o) * w->rows + first;
            if (top_of(phase, o)->n > 0)
                continue;
            phase->kernels->dot(rows.layout, rows.data, n, op->cols, (const float *)HOST(in) + (size_t)o * op->cols,
                                logits);
            bn_cpu_check_logits(phase, logits, n);
        }
    }
}
