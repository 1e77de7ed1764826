// Memory, queues, timelines, commands: no arithmetic.
#include "runtime/base/clock.h"
#include "tests/cts/cts.h"

static void buffers(struct cts *cts)
{
    struct bn_span a = cts_buffer(cts, 100000, NULL);
    const uint8_t *bytes = a.buffer->host;
    size_t zero = 0;
    while (bytes && zero < a.size && bytes[zero] == 0)
        zero++;
    CTS_CHECK(zero == a.size, "a new buffer is not zero at byte %zu", zero);
    cts_free(&a);
    struct bn_buffer *none;
    CTS_CHECK(bn_buffer_create(cts->device, 0, &none, &cts->error) == BN_ERR_ARGUMENT && !none, "0 bytes");
    struct bn_caps caps;
    bn_device_get_caps(cts->device, &caps);
    CTS_CHECK(bn_buffer_create(cts->device, caps.max_buffer + 1, &none, &cts->error) == BN_ERR_DEVICE_MEMORY && !none,
              "more than max_buffer gives %s", bn_result_name(cts->error.code));
    if (caps.import_align == 0)
        return;
    static _Alignas(4096) uint8_t memory[8192];
    struct bn_buffer *imported;
    if (CTS_MUST(bn_buffer_import(cts->device, memory, sizeof(memory), &imported, &cts->error))) {
        CTS_CHECK(imported->size == sizeof(memory), "imported size");
        bn_buffer_destroy(imported);
    }
    if (caps.import_align > 1)
        CTS_CHECK(bn_buffer_import(cts->device, memory + 1, 4096, &none, &cts->error) == BN_ERR_UNSUPPORTED,
                  "misaligned import");
}

// A buffer of 64 bytes that starts with the text.
static struct bn_span text_buffer(struct cts *cts, const char *text)
{
    char bytes[64] = "";
    snprintf(bytes, sizeof(bytes), "%s", text);
    return cts_buffer(cts, sizeof(bytes), bytes);
}

static struct bn_command *record_copy(struct cts *cts, const struct bn_span *from, const struct bn_span *to,
                                      const struct bn_span *slot)
{
    struct bn_op op = {.kind = BN_OP_COPY, .rows = 1, .in = *from, .out = *to};
    struct bn_command *command = NULL;
    CTS_MUST(bn_command_record(cts->device, &op, 1, slot, &command, &cts->error));
    return command;
}

// An operand of more than 128 MiB, the most that Vulkan lets every device bind; and more memory than there is. Of Vulkan only: it
// takes long, and others have other limits.
static void large(struct cts *cts)
{
    enum { COLS = 4096, ROWS = (130 << 20) / (COLS * 4) };
    const struct bn_device_info *info = bn_device_get_info(cts->device);
    uint32_t tokens[2] = {ROWS - 1, 1};
    if (strcmp(info->driver, "vulkan") != 0)
        return;
    struct bn_span slot = cts_slot(cts, 2, tokens, NULL), out = cts_buffer(cts, 2 * COLS * 4, NULL);
    struct bn_op op = {.kind = BN_OP_EMBED, .rows = 2, .cols = COLS, .out = out};
    op.w[0] = (struct bn_weight){.layout = BN_LAYOUT_F32, .rows = ROWS, .cols = COLS, .scale = 1};
    op.w[0].data = cts_buffer(cts, (size_t)ROWS * COLS * 4, NULL);
    float *expected = calloc(2 * COLS, sizeof(*expected)), *values = cts_floats(COLS, 1.0f);
    memcpy((float *)op.w[0].data.buffer->host + (size_t)(ROWS - 1) * COLS, values, COLS * sizeof(*values));
    memcpy(expected, values, COLS * sizeof(*values));
    cts_run(cts, &op, &slot);
    cts_compare(cts, "the last row of a large operand", &out, expected, 2 * COLS);
    // The operand lies in that memory, too. Devices may give less at once than they have.
    struct bn_buffer *buffer = NULL;
    struct bn_caps caps = {0};
    bn_device_get_caps(cts->device, &caps);
    uint64_t bytes = info->memory_total - (64 << 20);
    if (caps.max_buffer >= bytes) {
        enum bn_result result = bn_buffer_create_local(cts->device, bytes, &buffer, &cts->error);
        CTS_CHECK(result == BN_ERR_DEVICE_MEMORY, "more than all memory: %s", bn_result_name(result));
        CTS_CHECK(strstr(cts->error.message, " MiB are needed, ") && strstr(cts->error.message, " MiB are free"),
                  "more than all memory: %s", cts->error.message);
    }
    cts_free(&slot);
    cts_free(&out);
    cts_free(&op.w[0].data);
    free(expected);
    free(values);
}

// Memory that the host need not reach: zero, then what was written to it, as the device sees it.
static void local(struct cts *cts)
{
    enum { BYTES = 9 << 20 }; // more than an upload takes at once
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), out = cts_buffer(cts, BYTES, NULL), span = {NULL, 0, BYTES};
    uint8_t *data = malloc(BYTES), *got = out.buffer->host;
    for (size_t i = 0; i < BYTES; i++)
        data[i] = got[i] = (uint8_t)(i / 5 + i / 4096);
    if (CTS_MUST(bn_buffer_create_local(cts->device, BYTES, &span.buffer, &cts->error))) {
        struct bn_op op = {.kind = BN_OP_COPY, .rows = 1, .in = span, .out = out};
        cts_run(cts, &op, &slot);
        size_t wrong = 0;
        for (size_t i = 0; i < BYTES; i++)
            wrong += got[i] != 0;
        CTS_CHECK(wrong == 0, "%zu bytes of a new local buffer are not zero", wrong);
        CTS_MUST(bn_buffer_write(cts->device, span.buffer, 8, data, BYTES - 12, &cts->error));
        cts_run(cts, &op, &slot);
        wrong = got[BYTES - 4] != 0 || got[7] != 0;
        for (size_t i = 0; i < BYTES - 12; i++)
            wrong += got[8 + i] != data[i];
        CTS_CHECK(wrong == 0, "%zu bytes are not what was written", wrong);
        CTS_CHECK(bn_buffer_write(cts->device, span.buffer, 8, data, BYTES, &cts->error) == BN_ERR_ARGUMENT,
                  "bytes beyond the end");
        CTS_CHECK(bn_buffer_write(cts->device, span.buffer, 2, data, 4, &cts->error) == BN_ERR_ARGUMENT, "half a word");
        cts_free(&span);
    }
    free(data);
    cts_free(&out);
    cts_free(&slot);
}

// Copies in a chain: each reads what the one before wrote.
static void order(struct cts *cts)
{
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)cts_random();
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), spans[4];
    struct bn_command *commands[3];
    for (int i = 0; i < 4; i++)
        spans[i] = cts_buffer(cts, sizeof(data), i == 0 ? data : NULL);
    for (int i = 0; i < 3; i++)
        commands[i] = record_copy(cts, &spans[i], &spans[i + 1], &slot);
    for (int i = 0; i < 3; i++)
        cts_submit(cts, commands[i], NULL, 0);
    cts_wait(cts);
    CTS_CHECK(memcmp(spans[3].buffer->host, data, sizeof(data)) == 0, "the chain's end differs from its start");
    for (int i = 0; i < 3; i++)
        bn_command_destroy(commands[i]);
    for (int i = 0; i < 4; i++)
        cts_free(&spans[i]);
    cts_free(&slot);
}

// More submissions than the queue holds: BUSY at most, nothing lost, the timeline only grows.
static void timeline(struct cts *cts)
{
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), a = text_buffer(cts, "timeline"), b = cts_buffer(cts, 64, NULL);
    struct bn_command *command = record_copy(cts, &a, &b, &slot);
    uint64_t last = cts->submitted, value = 0, busy = 0, target = cts->submitted + 1000;
    while (cts->submitted < target && cts->failures == 0) {
        struct bn_submission submission = {command, cts->submitted + 1, NULL, 0};
        enum bn_result result = bn_queue_submit(cts->queue, &submission, &cts->error);
        if (result == BN_ERR_BUSY) {
            busy++;
            CTS_MUST(bn_queue_wait(cts->queue, last + 1, UINT64_MAX, &cts->error));
        } else if (CTS_MUST(result)) {
            cts->submitted++;
        }
        CTS_MUST(bn_queue_poll(cts->queue, &value, &cts->error));
        CTS_CHECK(value >= last && value <= cts->submitted, "the timeline went from %llu to %llu",
                  (unsigned long long)last, (unsigned long long)value);
        last = value;
    }
    cts_wait(cts);
    struct bn_caps caps;
    bn_device_get_caps(cts->device, &caps);
    CTS_MUST(bn_queue_poll(cts->queue, &value, &cts->error));
    CTS_CHECK(value == cts->submitted, "the timeline ends at %llu", (unsigned long long)value);
    CTS_CHECK(memcmp(b.buffer->host, "timeline", 8) == 0, "the copy did not happen");
    bn_command_destroy(command);
    cts_free(&a);
    cts_free(&b);
    cts_free(&slot);
}

// Two queues of one device have timelines of their own.
static void queues(struct cts *cts)
{
    struct bn_queue *second;
    if (!CTS_MUST(bn_queue_open(cts->device, &second, &cts->error)))
        return;
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), a = text_buffer(cts, "one"), b = cts_buffer(cts, 64, NULL);
    struct bn_command *command = record_copy(cts, &a, &b, &slot);
    struct bn_submission submission = {command, 5, NULL, 0};
    uint64_t value = 1;
    CTS_MUST(bn_queue_poll(second, &value, &cts->error));
    CTS_CHECK(value == 0, "a new timeline starts at 0");
    CTS_MUST(bn_queue_submit(second, &submission, &cts->error));
    CTS_MUST(bn_queue_wait(second, 5, UINT64_MAX, &cts->error));
    CTS_CHECK(memcmp(b.buffer->host, "one", 3) == 0, "the copy did not happen");
    bn_queue_close(second);
    bn_command_destroy(command);
    cts_free(&a);
    cts_free(&b);
    cts_free(&slot);
}

// A wait whose value nobody submits ends at its deadline, if the device works by itself.
static void deadline(struct cts *cts)
{
    enum bn_result result = bn_queue_wait(cts->queue, cts->submitted + 1, 5000000, &cts->error);
    CTS_CHECK(result == BN_ERR_TIMEOUT, "a wait for nothing gives %s", bn_result_name(result));
}

// A command that was told to stop does nothing more, says so, and the timeline goes on.
static void stop(struct cts *cts)
{
    uint32_t word = 7;
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), a = text_buffer(cts, "stop"), b = cts_buffer(cts, 64, NULL);
    struct bn_command *command = record_copy(cts, &a, &b, &slot);
    cts_submit(cts, command, &word, 7);
    cts_wait(cts);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_STOPPED, "status is %u", cts_slot_header(&slot)->status);
    CTS_CHECK(((uint8_t *)b.buffer->host)[0] == 0, "a stopped command wrote");
    cts_submit(cts, command, &word, 8);
    cts_wait(cts);
    CTS_CHECK(cts_slot_header(&slot)->status == BN_SLOT_OK, "status is %u", cts_slot_header(&slot)->status);
    CTS_CHECK(memcmp(b.buffer->host, "stop", 4) == 0, "a command that was not stopped did nothing");
    bn_command_destroy(command);
    cts_free(&a);
    cts_free(&b);
    cts_free(&slot);
}

static void kv_copy(struct cts *cts)
{
    enum { LAYERS = 2, HEADS = 1, DIM = 16, PAGES = 4 };
    size_t bytes = bn_kv_page_bytes(LAYERS, HEADS, DIM, BN_KV_F16);
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), pool = cts_buffer(cts, bytes * PAGES, NULL);
    uint8_t *pages = pool.buffer->host;
    for (size_t i = 0; i < bytes * PAGES; i++)
        pages[i] = (uint8_t)(i / bytes * 10 + i % 7);
    struct bn_slot *header = cts_slot_header(&slot);
    struct bn_slot_copy *copies = (void *)((uint8_t *)header + header->copy_at);
    copies[0] = (struct bn_slot_copy){0, 2};
    copies[1] = (struct bn_slot_copy){1, 3};
    header->n_copies = 2;
    struct bn_op op = {.kind = BN_OP_KV_COPY,
                       .rows = 1,
                       .kv = pool,
                       .heads = 1,
                       .kv_heads = HEADS,
                       .head_dim = DIM,
                       .n_layers = LAYERS,
                       .positions = 256};
    cts_run(cts, &op, &slot);
    CTS_CHECK(memcmp(pages, pages + 2 * bytes, 2 * bytes) == 0, "the pages differ");
    // A type of the pool that the device does not have is refused by name, and so is one that nobody has.
    struct bn_caps caps = {0};
    struct bn_command *command;
    bn_device_get_caps(cts->device, &caps);
    for (op.kv_type = BN_KV_INT8; op.kv_type <= BN_KV_INT8 + 1; op.kv_type++) {
        enum bn_result result = bn_command_record(cts->device, &op, 1, &slot, &command, &cts->error);
        bool has = op.kv_type == BN_KV_INT8 && (caps.op_options & BN_OP_WITH_INT8_KV);
        enum bn_result wanted = has ? BN_OK : op.kv_type == BN_KV_INT8 ? BN_ERR_UNSUPPORTED : BN_ERR_ARGUMENT;
        CTS_CHECK(result == wanted && (has || strstr(cts->error.subject, "kv_type")), "KV type %d gives %s",
                  (int)op.kv_type, bn_result_name(result));
        bn_command_destroy(command);
    }
    cts_free(&pool);
    cts_free(&slot);
}

// Ops that the front door must refuse: each differs from a good one in one thing.
static void misuse(struct cts *cts)
{
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), in = cts_buffer(cts, 4 * 256, NULL),
                   out = cts_buffer(cts, 4 * 256, NULL), norm = cts_buffer(cts, 256, NULL);
    const struct bn_op good = {.kind = BN_OP_NORM, .rows = 4, .cols = 64, .in = in, .out = out, .norm = norm};
    struct bn_command *command;
    if (CTS_MUST(bn_command_record(cts->device, &good, 1, &slot, &command, &cts->error)))
        bn_command_destroy(command);
    struct bn_op bad[11];
    for (int i = 0; i < 11; i++)
        bad[i] = good;
    bad[0].kind = BN_OP_COUNT;
    bad[1].rows = 0;
    bad[2].cols = 65;
    bad[3].rows = 5; // larger than the buffers
    bad[4].in.buffer = NULL;
    bad[5].out.offset = 4; // beyond the end
    bad[6].in.size = UINT64_MAX - 8;
    bad[7].in2 = in; // this op has no such operand
    bad[8].norm.size = 8;
    bad[9].w[0].data = in; // nor weights
    bad[10].cols = 0;
    for (int i = 0; i < 11; i++) {
        enum bn_result result = bn_command_record(cts->device, &bad[i], 1, &slot, &command, &cts->error);
        CTS_CHECK(result == BN_ERR_ARGUMENT && !command, "bad op %d gives %s", i, bn_result_name(result));
        CTS_CHECK(cts->error.subject[0], "bad op %d: no subject", i);
    }
    struct bn_span no_slot = {0};
    CTS_CHECK(bn_command_record(cts->device, &good, 1, &no_slot, &command, &cts->error) == BN_ERR_ARGUMENT,
              "a command without slot");
    cts_free(&slot);
    cts_free(&in);
    cts_free(&out);
    cts_free(&norm);
}

// A destroyed buffer cannot be recorded; one that a command uses lives on until the command is gone.
static void lifetimes(struct cts *cts)
{
    struct bn_span slot = cts_slot(cts, 0, NULL, NULL), a = text_buffer(cts, "alive"), b = cts_buffer(cts, 64, NULL);
    struct bn_command *command = record_copy(cts, &a, &b, &slot), *none;
    struct bn_buffer *source = a.buffer;
    bn_buffer_destroy(source);
    struct bn_op op = {.kind = BN_OP_COPY, .rows = 1, .in = a, .out = b};
    CTS_CHECK(bn_command_record(cts->device, &op, 1, &slot, &none, &cts->error) == BN_ERR_ARGUMENT && !none,
              "a destroyed buffer was recorded");
    cts_submit(cts, command, NULL, 0);
    cts_wait(cts);
    CTS_CHECK(memcmp(b.buffer->host, "alive", 5) == 0, "the command lost its buffer");
    bn_command_destroy(command);

    struct bn_device *other;
    struct bn_buffer *foreign;
    if (!CTS_MUST(bn_device_open(cts->runtime, cts->selector, NULL, &other, &cts->error)))
        return;
    CTS_MUST(bn_buffer_create(other, 64, &foreign, &cts->error));
    op.in = (struct bn_span){foreign, 0, 64};
    CTS_CHECK(bn_command_record(cts->device, &op, 1, &slot, &none, &cts->error) == BN_ERR_ARGUMENT && !none,
              "another device's buffer was recorded");
    op.in = b;
    CTS_MUST(bn_command_record(cts->device, &op, 1, &slot, &command, &cts->error));
    struct bn_queue *queue;
    CTS_MUST(bn_queue_open(other, &queue, &cts->error));
    struct bn_submission submission = {command, 1, NULL, 0};
    CTS_CHECK(bn_queue_submit(queue, &submission, &cts->error) == BN_ERR_ARGUMENT, "another device's command");
    submission.signal = cts->submitted;
    CTS_CHECK(bn_queue_submit(cts->queue, &submission, &cts->error) == BN_ERR_ARGUMENT, "a signal that does not grow");
    bn_queue_close(queue);
    bn_command_destroy(command);
    bn_buffer_destroy(foreign);
    bn_device_close(other);
    cts_free(&b);
    cts_free(&slot);
}

// Where the time goes: only if asked for, and then with figures that do not contradict each other.
static void profile(struct cts *cts)
{
    struct bn_op_profile list[2];
    size_t n = 9;
    CTS_CHECK(bn_device_get_profile(cts->device, list, 2, &n, &cts->error) == BN_ERR_UNSUPPORTED && n == 0,
              "a profile that nobody asked for");
    struct cts own = {.runtime = cts->runtime, .quiet = cts->quiet};
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = 2;
    options.profile = true;
    if (!CTS_MUST(bn_device_open(cts->runtime, cts->selector, &options, &own.device, &cts->error)))
        return;
    if (bn_device_get_profile(own.device, NULL, 0, &n, &cts->error) != BN_ERR_UNSUPPORTED &&
        CTS_MUST(bn_queue_open(own.device, &own.queue, &cts->error))) {
        enum { COLS = 16384 }; // large enough to be shared by the team
        struct bn_span slot = cts_slot(&own, 4, NULL, NULL), in = cts_buffer(&own, 4 * 4 * COLS, NULL),
                       out = cts_buffer(&own, 4 * COLS, NULL), scales = cts_buffer(&own, 4 * 8, NULL);
        struct bn_op op = {.kind = BN_OP_QUANTISE, .rows = 4, .cols = COLS, .in = in, .out = out, .out2 = scales};
        for (int i = 0; i < 3; i++)
            cts_run(&own, &op, &slot);
        CTS_MUST(bn_device_get_profile(own.device, list, 2, &n, &cts->error));
        CTS_CHECK(n == 1 && list[0].kind == BN_OP_QUANTISE && list[0].cols == COLS && list[0].runs == 3, "%zu entries",
                  n);
        CTS_CHECK(list[0].barriers == 3 && list[0].alone_ns == 0, "%llu barriers",
                  (unsigned long long)list[0].barriers);
        CTS_CHECK(list[0].work_ns > 0 && list[0].work_ns <= 2 * list[0].ns, "%llu ns of work in %llu ns",
                  (unsigned long long)list[0].work_ns, (unsigned long long)list[0].ns);
        cts_free(&slot);
        cts_free(&in);
        cts_free(&out);
        cts_free(&scales);
        bn_queue_close(own.queue);
    }
    cts->failures += own.failures;
    bn_device_close(own.device);
}

const struct cts_case cts_device_cases[] = {
    {"buffers", buffers},     {"local", local},       {"large", large}, {"order", order},     {"timeline", timeline},
    {"queues", queues},       {"deadline", deadline}, {"stop", stop},   {"kv_copy", kv_copy}, {"misuse", misuse},
    {"lifetimes", lifetimes}, {"profile", profile},   {NULL, NULL},
};
