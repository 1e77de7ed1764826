// dispatches DEVICE MOST: how many kernels a layer costs when a token is decoded: those of models that differ in their number of
// layers alone, less each other.
#include <unistd.h>

#include "convert/synthetic.h"
#include "tests/e2e/harness.h"

static uint64_t count(const char *device, const char *path, uint32_t layers)
{
    struct bn_runtime *runtime;
    MUST(bn_runtime_create(NULL, &runtime, &error));
    MUST(bn_synthetic_write(runtime, path, &(struct bn_synthetic){.size = "tiny", .layers = layers}, &error));
    bn_runtime_destroy(runtime);
    struct rig_options options = {.model = path, .device = device, .engine = {.n_ctx = 64, .head = BN_HEAD_FULL}};
    struct rig rig = rig_open(&options);
    CHECK(bn_model_get_info(rig.model)->n_layer == layers, "%u layers", bn_model_get_info(rig.model)->n_layer);
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    static const int32_t tokens[] = {3, 4, 5};
    struct bn_device_status before, after;
    for (size_t i = 0; i < 3; i++) { // the last one counts: everything was recorded before
        struct bn_step_item item = {.session = session, .tokens = &tokens[i], .n_tokens = 1, .n_logits = 1};
        bn_device_get_status(rig.device, &before);
        MUST(bn_engine_step(rig.engine, &item, 1, &error));
        bn_device_get_status(rig.device, &after);
    }
    bn_session_destroy(session);
    rig_close(&rig);
    return after.dispatches - before.dispatches;
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/bitnet-dispatches-XXXXXX";
    int fd = mkstemp(path);
    if (argc != 3 || fd < 0)
        return 2;
    close(fd);
    uint64_t most = strtoull(argv[2], NULL, 10), last = 0;
    for (uint32_t layers = 1; layers <= 3; layers++) {
        uint64_t n = count(argv[1], path, layers);
        printf("%s: %u layers, %" PRIu64 " dispatches per token\n", argv[1], layers, n);
        CHECK(n > last, "no more than with a layer less");
        CHECK(layers == 1 || n - last <= most, "a layer takes %" PRIu64, n - last);
        last = n;
    }
    unlink(path);
    return finish();
}
