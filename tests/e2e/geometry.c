// The geometry of the published 2B-4T through engine and device: a file with its header and no weights, which takes no room
// on the disk, decodes. All logits are zero.
#include "convert/synthetic.h"

#include "tests/e2e/harness.h"

#include <fcntl.h>
#include <unistd.h>

static void check_logits(const float *logits, size_t n)
{
    size_t other = 0;
    for (size_t i = 0; i < n; i++)
        other += logits[i] != 0;
    CHECK(other == 0, "%zu logits are not zero", other);
}

int main(void)
{
    char path[] = "/tmp/bitnet-geometry-XXXXXX";
    struct bn_runtime *runtime;
    int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    close(fd);
    MUST(bn_runtime_create(NULL, &runtime, &error));
    const struct bn_synthetic config = {.size = "2b4t", .no_weights = true};
    enum bn_result result = bn_synthetic_write(runtime, path, &config, &error);
    bn_runtime_destroy(runtime);
    fd = open(path, O_RDONLY);
    unlink(path); // whatever happens now, nothing is left
    if (result != BN_OK || fd < 0)
        die(__FILE__, __LINE__, &error);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct rig rig = rig_open(&(struct rig_options){.model = path, .engine = {.n_ctx = 128, .n_batch = 2}});
    close(fd);
    const struct bn_model_info *info = bn_model_get_info(rig.model);
    CHECK(info->n_layer == 30 && info->n_vocab == 128256, "%u layers, %u tokens", info->n_layer, info->n_vocab);
    struct bn_session *session;
    MUST(bn_session_create(rig.engine, NULL, &session, &error));
    static const int32_t prompt[] = {128000, 9906, 128255};
    struct bn_step_item item = {.session = session, .tokens = prompt, .n_tokens = 2, .n_logits = 1};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    check_logits(item.logits, rig.n_vocab);
    item = (struct bn_step_item){.session = session, .tokens = prompt + 2, .n_tokens = 1, .n_logits = 1};
    MUST(bn_engine_step(rig.engine, &item, 1, &error));
    check_logits(item.logits, rig.n_vocab);
    CHECK(bn_session_length(session) == 3, "%zu positions", bn_session_length(session));
    bn_session_destroy(session);
    rig_close(&rig);
    return finish();
}
