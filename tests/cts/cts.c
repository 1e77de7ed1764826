// cts --device=NAME [CASE...]: runs the conformance suite on a device. Exit 0: all as expected; 1: not; 77: no such device here.
#include "tests/cts/cts.h"

#include <math.h>

// Known exceptions, each with its reason. A case listed here must fail; if it passes, the list is out of date.
static const struct {
    const char *driver, *name, *reason;
} exceptions[] = {
#define NO_ARITHMETIC(name)                                                                                            \
    {                                                                                                                  \
        "null", name, "the null device has no arithmetic"                                                              \
    }
    NO_ARITHMETIC("embed"),
    NO_ARITHMETIC("quantise"),
    NO_ARITHMETIC("matmul"),
    NO_ARITHMETIC("qkv"),
    NO_ARITHMETIC("attention"),
    NO_ARITHMETIC("gate_up"),
    NO_ARITHMETIC("norm"),
    NO_ARITHMETIC("top"),
    NO_ARITHMETIC("head"),
    NO_ARITHMETIC("not_finite"),
    NO_ARITHMETIC("scaled_matmul"),
    NO_ARITHMETIC("scaled_gate"),
    NO_ARITHMETIC("planes"),
    NO_ARITHMETIC("quantise16"),
    NO_ARITHMETIC("norm_rows"),
    NO_ARITHMETIC("rotate"),
    NO_ARITHMETIC("append"),
    NO_ARITHMETIC("activate"),
    NO_ARITHMETIC("family_qkv"),
    NO_ARITHMETIC("fused"),
    {"ivpu", "open", "a prototype: it tells what is there and runs nothing"},
    {"amdxdna", "open", "a prototype: it tells what is there and runs nothing"},
};

bool cts_must(struct cts *cts, enum bn_result result, const char *file, int line)
{
    if (result == BN_OK)
        return true;
    cts->failures++;
    printf("    %s:%d: %s: %s: %s\n", file, line, bn_result_name(cts->error.code), cts->error.subject,
           cts->error.message);
    return false;
}

uint32_t cts_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13; // xorshift64 (Marsaglia 2003)
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

float *cts_floats(size_t n, float scale)
{
    float *values = malloc(n * sizeof(*values));
    for (size_t i = 0; i < n; i++)
        values[i] = ((float)(cts_random() % 20001) / 10000.0f - 1.0f) * scale;
    return values;
}

void cts_compare(struct cts *cts, const char *what, const struct bn_span *span, const float *expected, size_t n)
{
    const float *got = (const float *)(const void *)((const uint8_t *)span->buffer->host + span->offset);
    size_t differ = 0;
    for (size_t i = 0; i < n; i++)
        differ += cts->exact ? memcmp(&got[i], &expected[i], sizeof(*got)) != 0
                             : !(fabsf(got[i] - expected[i]) <= 1e-5f * (1.0f + fabsf(expected[i])));
    CTS_CHECK(differ == 0, "%s: %zu of %zu values differ", what, differ, n);
}

struct bn_span cts_buffer(struct cts *cts, size_t bytes, const void *data)
{
    struct bn_span span = {NULL, 0, bytes};
    if (CTS_MUST(bn_buffer_create(cts->device, bytes, &span.buffer, &cts->error)) && data)
        memcpy(span.buffer->host, data, bytes);
    return span;
}

void cts_free(struct bn_span *span)
{
    bn_buffer_destroy(span->buffer);
    span->buffer = NULL;
}

struct bn_slot *cts_slot_header(const struct bn_span *slot)
{
    return slot->buffer->host;
}

struct bn_span cts_slot(struct cts *cts, uint32_t rows, const uint32_t *tokens, const uint32_t *positions)
{
    enum { PAGES = 64, ROW_AT = 64, MAX_ROWS = 160 };
    uint32_t seq_at = ROW_AT + MAX_ROWS * (uint32_t)sizeof(struct bn_slot_row), page_at = seq_at + 64;
    uint32_t output_at = page_at + PAGES * 4, copy_at = output_at + MAX_ROWS * 4;
    struct bn_span span = cts_buffer(cts, copy_at + 1024, NULL);
    uint8_t *base = span.buffer->host;
    *(struct bn_slot *)(void *)base = (struct bn_slot){.n_rows = rows,
                                                       .n_seqs = 1,
                                                       .row_at = ROW_AT,
                                                       .seq_at = seq_at,
                                                       .page_at = page_at,
                                                       .output_at = output_at,
                                                       .copy_at = copy_at};
    for (uint32_t i = 0; i < rows; i++)
        ((struct bn_slot_row *)(void *)(base + ROW_AT))[i] =
            (struct bn_slot_row){tokens ? tokens[i] : 0, positions ? positions[i] : i, 0, 0};
    *(struct bn_slot_seq *)(void *)(base + seq_at) = (struct bn_slot_seq){0, PAGES};
    for (uint32_t i = 0; i < PAGES; i++)
        ((uint32_t *)(void *)(base + page_at))[i] = i;
    return span;
}

bool cts_submit(struct cts *cts, struct bn_command *command, const uint32_t *stop, uint32_t stop_at)
{
    struct bn_submission submission = {command, cts->submitted + 1, stop, stop_at};
    if (!CTS_MUST(bn_queue_submit(cts->queue, &submission, &cts->error)))
        return false;
    cts->submitted++;
    return true;
}

bool cts_wait(struct cts *cts)
{
    return CTS_MUST(bn_queue_wait(cts->queue, cts->submitted, UINT64_MAX, &cts->error));
}

bool cts_run(struct cts *cts, const struct bn_op *op, const struct bn_span *slot)
{
    struct bn_command *command;
    if (!CTS_MUST(bn_command_record(cts->device, op, 1, slot, &command, &cts->error)))
        return false;
    bool ok = cts_submit(cts, command, NULL, 0) && cts_wait(cts);
    bn_command_destroy(command);
    return ok;
}

static const char *exception_of(const char *driver, const char *name)
{
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
        if (strcmp(exceptions[i].driver, driver) == 0 && strcmp(exceptions[i].name, name) == 0)
            return exceptions[i].reason;
    return NULL;
}

static bool run_case(struct cts *cts, const struct cts_case *c)
{
    const char *reason = exception_of(cts->device->info.driver, c->name);
    cts->failures = 0;
    cts->quiet = reason != NULL;
    c->run(cts);
    bool passed = cts->failures == 0;
    if (reason)
        printf("%-12s %s (%s)\n", c->name, passed ? "PASSES UNEXPECTEDLY" : "expected failure", reason);
    else
        printf("%-12s %s\n", c->name, passed ? "ok" : "FAILED");
    return passed != (reason != NULL);
}

static bool wanted(const char *name, char **names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    const char *selector = "cpu";
    int first = 1;
    if (argc > 1 && strncmp(argv[1], "--device=", 9) == 0)
        selector = argv[first++] + 9;
    struct cts cts = {.oracle = NULL};
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = strcmp(selector, "cpu") == 0 ? 3 : 0;
    if (bn_runtime_create(NULL, &cts.runtime, &cts.error) != BN_OK)
        return 1;
    enum bn_result result = bn_device_open(cts.runtime, selector, &options, &cts.device, &cts.error);
    if (result != BN_OK) {
        printf("%s: %s: %s\n", bn_result_name(result), selector, cts.error.message);
        bn_runtime_destroy(cts.runtime);
        if (result == BN_ERR_UNSUPPORTED && exception_of(selector, "open")) {
            printf("%-12s expected failure (%s)\n", "open", exception_of(selector, "open"));
            return 0;
        }
        return result == BN_ERR_UNAVAILABLE || result == BN_ERR_NOT_FOUND ? 77 : 1;
    }
    if (bn_queue_open(cts.device, &cts.queue, &cts.error) != BN_OK)
        return 1;
    struct bn_isa isas[16];
    cts.oracle = bn_isa_find(isas, bn_isa_list(isas, 16), "scalar")->kernels;
    cts.exact = strcmp(cts.device->info.driver, "cpu") == 0; // docs/numerics.md promises its bits, and no other's
    snprintf(cts.selector, sizeof(cts.selector), "%s/%s", cts.device->info.id, cts.device->info.driver);
    unsigned run = 0, wrong = 0;
    const struct cts_case *const lists[] = {cts_device_cases, cts_op_cases,     cts_scaled_cases,
                                            cts_fused_cases,  cts_family_cases, cts_row_cases};
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
        for (const struct cts_case *c = lists[l]; c->name; c++)
            if (wanted(c->name, argv + first, argc - first)) {
                run++;
                wrong += !run_case(&cts, c);
            }
    bn_queue_close(cts.queue);
    bn_device_close(cts.device);
    bn_runtime_destroy(cts.runtime);
    printf("%s: %u cases, %u not as expected\n", selector, run, wrong);
    return run == 0 || wrong > 0;
}
