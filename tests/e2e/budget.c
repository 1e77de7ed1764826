// Submissions stay short, whatever the speed of a device: chunks of a prompt become smaller until they take no longer than a watchdog
// allows, and larger again on a device that is fast. The null device plays one that takes some time for each row.
#include "tests/e2e/harness.h"

#include "runtime/base/clock.h"
#include <bitnet/driver.h>

enum { BATCH = 64, PROMPT = 300, MOST_COMMANDS = 32, MOST_CHUNKS = 1024 };
static const uint64_t BUDGET_NS = 100000000; // of a submission

static struct {
    const struct bn_driver *inner;
    struct bn_driver driver;
    uint64_t row_ns, busy_until;
    struct {
        const struct bn_command *command;
        const struct bn_slot *slot;
    } commands[MOST_COMMANDS];
    size_t n_commands;
    uint32_t chunks[MOST_CHUNKS]; // rows of each submission
    uint64_t done_at[MOST_CHUNKS];
    size_t n_chunks;
} slow;

static enum bn_result slow_record(struct bn_device *device, const struct bn_op *ops, size_t n_ops,
                                  const struct bn_span *slot, struct bn_command **out, struct bn_error *err)
{
    enum bn_result result = slow.inner->record(device, ops, n_ops, slot, out, err);
    if (result == BN_OK && slow.n_commands < MOST_COMMANDS) {
        slow.commands[slow.n_commands].command = *out;
        slow.commands[slow.n_commands++].slot = (const void *)((const uint8_t *)slot->buffer->host + slot->offset);
    }
    return result;
}

static enum bn_result slow_submit(struct bn_queue *queue, const struct bn_submission *submission, struct bn_error *err)
{
    uint64_t now = bn_clock_ns();
    size_t i = 0;
    while (i < slow.n_commands && slow.commands[i].command != submission->command)
        i++;
    if (i == slow.n_commands || slow.n_chunks == MOST_CHUNKS)
        abort();
    slow.busy_until = (slow.busy_until > now ? slow.busy_until : now) + slow.commands[i].slot->n_rows * slow.row_ns;
    slow.chunks[slow.n_chunks] = slow.commands[i].slot->n_rows;
    slow.done_at[slow.n_chunks++] = slow.busy_until;
    return slow.inner->submit(queue, submission, err);
}

// Signals count from 1, so the value is the number of submissions that are over.
static enum bn_result slow_poll(struct bn_queue *queue, uint64_t *value, struct bn_error *err)
{
    uint64_t now = bn_clock_ns();
    enum bn_result result = slow.inner->poll(queue, value, err);
    while (*value > 0 && slow.done_at[*value - 1] > now)
        --*value;
    return result;
}

static void prompt(struct rig *rig, uint64_t row_ns)
{
    int32_t tokens[PROMPT];
    struct bn_session *session;
    for (int i = 0; i < PROMPT; i++)
        tokens[i] = i % 500;
    slow.row_ns = row_ns;
    MUST(bn_session_create(rig->engine, NULL, &session, &error));
    struct bn_step_item item = {.session = session, .tokens = tokens, .n_tokens = PROMPT, .n_logits = 1};
    MUST(bn_engine_step(rig->engine, &item, 1, &error));
    bn_session_destroy(session);
}

// Of chunks from `first` on, how long the longest keeps the device busy.
static uint64_t longest(size_t first)
{
    uint64_t most = 0;
    for (size_t i = first; i < slow.n_chunks; i++)
        most = slow.chunks[i] * slow.row_ns > most ? slow.chunks[i] * slow.row_ns : most;
    return most;
}

int main(void)
{
    struct rig_options options = {.device = "null", .engine = {.n_batch = BATCH, .n_outputs = 1, .n_ctx = 512}};
    struct rig rig = rig_open(&options);
    bn_engine_destroy(rig.engine); // which has the null device's own driver
    slow.inner = rig.device->driver;
    slow.driver = *slow.inner;
    slow.driver.record = slow_record;
    slow.driver.submit = slow_submit;
    slow.driver.poll = slow_poll;
    rig.device->driver = &slow.driver;
    options.engine.size = sizeof(options.engine);
    MUST(bn_engine_create(rig.runtime, rig.model, rig.device, &options.engine, &rig.engine, &error));

    // The first chunks are too long, for nobody knows the device yet: two, since one is filled while another runs. None after them.
    prompt(&rig, 2500000);
    CHECK(slow.chunks[0] == BATCH, "the first chunk has %u rows", slow.chunks[0]);
    CHECK(slow.n_chunks > 4 && longest(3) <= BUDGET_NS, "%zu chunks, the longest of %" PRIu64 " ms", slow.n_chunks,
          longest(3) / 1000000);
    // Four times slower: halved and halved again.
    size_t before = slow.n_chunks;
    prompt(&rig, 10000000);
    CHECK(slow.n_chunks > before + 8 && longest(before + 8) <= BUDGET_NS, "the longest chunk takes %" PRIu64 " ms",
          longest(before + 8) / 1000000);
    // A fast one gets whole batches again; on a machine that is busy with other things it takes some more prompts.
    uint32_t most = 0;
    for (int i = 0; i < 20 && most < BATCH; i++) {
        before = slow.n_chunks;
        prompt(&rig, 10000);
        for (size_t c = before; c < slow.n_chunks; c++)
            most = slow.chunks[c] > most ? slow.chunks[c] : most;
    }
    CHECK(most == BATCH, "chunks grow to %u rows only", most);
    printf("%zu submissions\n", slow.n_chunks);
    bn_engine_destroy(rig.engine);
    rig.engine = NULL;
    rig.device->driver = slow.inner;
    rig_close(&rig);
    return finish();
}
