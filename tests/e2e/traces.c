// Traces from C: a ring that keeps the last events, and calls that are wrong.
#include "tests/e2e/harness.h"

enum { EVENTS = 100 };

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    CHECK(file && text && fread(text, 1, (1 << 20) - 1, file) > 0, "%s cannot be read", path);
    if (file)
        fclose(file);
    return text;
}

int main(void)
{
    struct rig rig = rig_open(&(struct rig_options){.threads = 1, .engine = {.n_ctx = 64}});
    struct bn_trace *trace;
    struct bn_session *session;
    char path[] = "/tmp/bitnet-trace-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0, "no file");
    CHECK(bn_trace_create(rig.runtime, "/no/such/folder/trace.json", 0, &trace, &error) == BN_ERR_IO && !trace &&
              error.native && strstr(error.file, "trace.json"),
          "a folder that is not there");
    CHECK(bn_trace_create(rig.runtime, path, (size_t)1 << 40, &trace, &error) == BN_ERR_ARGUMENT, "too many events");
    CHECK(bn_trace_create(rig.runtime, NULL, 0, &trace, &error) == BN_ERR_ARGUMENT, "no path");
    MUST(bn_trace_create(rig.runtime, path, EVENTS, &trace, &error));
    bn_engine_set_trace(rig.engine, trace);
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    int32_t token = 428;
    struct bn_step_item item = {.session = session, .tokens = &token, .n_tokens = 1, .n_logits = 1};
    for (int i = 0; i < 30; i++) { // step, batch, submit, wait, submission: the device was not opened to trace its ops
        MUST(bn_engine_step(rig.engine, &item, 1, &error));
        MUST(bn_session_sample(session, item.logits, &token, &error));
    }
    bn_engine_set_trace(rig.engine, NULL);
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    MUST(bn_trace_write(trace, &error));
    CHECK(bn_trace_write(trace, &error) == BN_ERR_ARGUMENT, "written twice");
    bn_trace_destroy(trace);
    bn_trace_destroy(NULL);
    char *text = read_file(path);
    CHECK(count(text, "\"ph\":\"X\"") == EVENTS, "%zu events", count(text, "\"ph\":\"X\""));
    CHECK(strstr(text, "\"dropped_events\":80}"), "30 steps are 180 events");
    CHECK(count(text, "\"name\":\"sample\"") >= 16 && count(text, "\"estimated\":1") >= 16, "the last steps");
    free(text);

    struct bn_queue *queue;
    struct bn_op_span span;
    size_t n;
    MUST(bn_queue_open(rig.device, &queue, &error));
    CHECK(bn_queue_take_spans(queue, &span, 1, &n, &error) == BN_ERR_UNSUPPORTED && n == 0, "spans of no trace");
    CHECK(bn_queue_take_spans(NULL, &span, 1, &n, &error) == BN_ERR_ARGUMENT, "no queue");
    bn_queue_close(queue);

    MUST(bn_trace_create(rig.runtime, "/dev/full", 0, &trace, &error));
    CHECK(bn_trace_write(trace, &error) == BN_ERR_IO && error.native, "a full disk");
    bn_trace_destroy(trace);
    MUST(bn_trace_create(rig.runtime, path, 1, &trace, &error)); // never written
    bn_trace_destroy(trace);
    remove(path);
    bn_session_destroy(session);
    rig_close(&rig);
    return finish();
}
