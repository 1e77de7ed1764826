// The low level without a model: one ternary matrix times one quantised row, on any device.
//   cc matmul.c $(pkg-config --cflags --libs bitnet) && ./a.out [DEVICE]
#include <bitnet/bitnet.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 4, COLS = 128 };

static struct bn_error err;

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s: %s %s\n", what, bn_result_name(err.code), err.subject, err.message);
    return 1;
}

// A buffer of `bytes` as an operand.
static int make(struct bn_device *device, uint64_t bytes, struct bn_span *span)
{
    *span = (struct bn_span){NULL, 0, bytes};
    return bn_buffer_create(device, bytes, &span->buffer, &err);
}

int main(int argc, char **argv)
{
    struct bn_runtime *runtime;
    struct bn_device *device;
    if (bn_runtime_create(NULL, &runtime, &err) != BN_OK)
        return failed("runtime");
    if (bn_device_open(runtime, argc > 1 ? argv[1] : NULL, NULL, &device, &err) != BN_OK)
        return failed("device");

    // Row r of the matrix is +1 in its first 2r columns, -1 in the rest; the scale is 0.5.
    int8_t trits[ROWS * COLS];
    for (int i = 0; i < ROWS * COLS; i++)
        trits[i] = i % COLS < 2 * (i / COLS) ? 1 : -1;
    struct bn_op op = {.kind = BN_OP_MATMUL, .rows = 1, .cols = COLS};
    op.w[0] = (struct bn_weight){.rows = ROWS, .cols = COLS, .scale = 0.5f};
    if (bn_device_preferred_layout(device, op.kind, BN_LAYOUT_I2S_A, &op.w[0].layout, &err) != BN_OK)
        return failed("layout");

    struct bn_slot_limits limits = {.rows = 1, .seqs = 1, .pages = 1, .outputs = 1, .copies = 1};
    struct bn_span slot;
    if (make(device, bn_layout_bytes(op.w[0].layout, ROWS, COLS), &op.w[0].data) || make(device, COLS, &op.in) ||
        make(device, sizeof(struct bn_row_scale), &op.in2) || make(device, ROWS * sizeof(float), &op.out) ||
        make(device, bn_slot_bytes(&limits), &slot))
        return failed("buffer");
    if (bn_layout_pack(op.w[0].layout, trits, ROWS, COLS, op.w[0].data.buffer->host, &err) != BN_OK)
        return failed("pack");

    // One row of activations, all 3 / 2: q = 3, scale = 2, and the sum that kernels may use.
    memset(op.in.buffer->host, 3, COLS);
    *(struct bn_row_scale *)op.in2.buffer->host = (struct bn_row_scale){.scale = 2.0f, .sum = 3 * COLS};

    struct bn_command *command;
    struct bn_queue *queue;
    if (bn_command_record(device, &op, 1, &slot, &command, &err) != BN_OK)
        return failed("record");
    if (bn_queue_open(device, &queue, &err) != BN_OK)
        return failed("queue");
    struct bn_slot *header = slot.buffer->host;
    bn_slot_init(header, &limits);
    header->n_rows = 1;
    struct bn_submission submission = {.command = command, .signal = 1};
    if (bn_queue_submit(queue, &submission, &err) != BN_OK || bn_queue_wait(queue, 1, UINT64_MAX, &err) != BN_OK)
        return failed("run");

    // (4 r - 128) * 3 / 2 * 0.5
    for (int r = 0; r < ROWS; r++)
        printf("%g\n", (double)((float *)op.out.buffer->host)[r]);

    bn_queue_close(queue);
    bn_command_destroy(command);
    bn_buffer_destroy(op.w[0].data.buffer);
    bn_buffer_destroy(op.in.buffer);
    bn_buffer_destroy(op.in2.buffer);
    bn_buffer_destroy(op.out.buffer);
    bn_buffer_destroy(slot.buffer);
    bn_device_close(device);
    bn_runtime_destroy(runtime);
    return 0;
}
