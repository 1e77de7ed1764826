// Files with the scan copy of their head: read in place or copied, the same candidates as without it; one that is not the head's is
// left alone, with a warning, and gives them all the same.
#include "tests/e2e/harness.h"

#include <unistd.h>

#include "convert/convert.h"
#include "convert/synthetic.h"
#include "runtime/engine/engine_impl.h"
#include "runtime/graph/scan.h"
#include "runtime/model/gguf.h"

enum { TOKENS = 20, TOP = 10 };

// Candidates after each of some tokens.
struct answer {
    struct bn_top tops[TOKENS];
};

struct file {
    uint8_t *data;
    size_t bytes;
};

static unsigned warnings;

static void count_warnings(void *user, enum bn_log_level level, const char *message)
{
    warnings += level <= BN_LOG_WARNING;
}

static struct file read_file(const char *path)
{
    struct file file = {aligned_alloc(64, 8 << 20), 0};
    FILE *stream = fopen(path, "rb");
    if (!stream || !file.data)
        abort();
    file.bytes = fread(file.data, 1, 8 << 20, stream);
    fclose(stream);
    unlink(path);
    return file;
}

static void ask(struct bn_engine *engine, struct answer *answer)
{
    struct bn_session *session;
    MUST(bn_session_create(engine, NULL, &session, &error));
    for (int32_t i = 0; i < TOKENS; i++) {
        int32_t token = i * 23;
        struct bn_step_item item = {.session = session, .tokens = &token, .n_tokens = 1, .n_logits = 1, .n_top = TOP};
        MUST(bn_engine_step(engine, &item, 1, &error));
        CHECK(item.top, "no candidates: the head was not scanned");
        if (item.top)
            answer->tops[i] = *item.top;
    }
    bn_session_destroy(session);
}

// `stored`: the copy of the file is to be used, in place if `load` is MAP.
static void open_and_ask(struct bn_runtime *runtime, const struct file *file, enum bn_load_mode load, bool stored,
                         const char *what, struct answer *answer)
{
    struct bn_model *model;
    struct bn_device *device;
    struct bn_engine *engine;
    struct bn_engine_config config;
    BN_INIT(config);
    config.head = BN_HEAD_SCAN;
    config.load = load;
    warnings = 0;
    MUST(bn_model_open_memory(runtime, file->data, file->bytes, "packed.gguf", NULL, &model, &error));
    MUST(bn_device_open(runtime, "cpu", NULL, &device, &error));
    MUST(bn_engine_create(runtime, model, device, &config, &engine, &error));
    CHECK(engine->scan.rows.buffer, "%s: there is no scan copy", what);
    CHECK(!engine->scan.buffer == (stored && load == BN_LOAD_MAP), "%s: in place or not", what);
    CHECK(warnings == (model->scan_rows && !stored), "%s: %u warnings", what, warnings);
    memset(answer, 0, sizeof(*answer));
    ask(engine, answer);
    bn_engine_destroy(engine);
    bn_device_close(device);
    bn_model_destroy(model);
}

static void damage(struct bn_runtime *runtime, const struct file *file, const struct answer *right)
{
    struct bn_model *model;
    MUST(bn_model_open_memory(runtime, file->data, file->bytes, "packed.gguf", NULL, &model, &error));
    uint32_t cols = model->info.n_embd, blocks = cols / BN_SCAN_BLOCK;
    uint8_t *q = file->data + (model->scan_rows - model->map.data);
    uint8_t *info = file->data + (model->scan_info - model->map.data);
    uint8_t *head = file->data + model->output->offset;
    bn_model_destroy(model);
    const uint32_t row = 5;
    const float wrong[] = {-1, (float)1e38, 0};
    const struct {
        const char *what;
        uint8_t *at;
        float value; // in place of the four bytes there; 0: the lowest bit of the first one is flipped
    } cases[] = {
        {"a row's block", q + row * cols + row % blocks * BN_SCAN_BLOCK + 3, 0},
        {"a whole row's other block", q + 64 * cols + (64 % blocks + 1) % blocks * BN_SCAN_BLOCK, 0},
        {"a whole row's error", info + 128 * sizeof(struct bn_scan_row) + 4, 0},
        {"another row's error", info + row * sizeof(struct bn_scan_row) + 4, wrong[0]},
        {"a norm", info + row * sizeof(struct bn_scan_row) + 8, wrong[1]},
        {"a scale", info + row * sizeof(struct bn_scan_row), wrong[0]},
    };
    struct answer answer;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t kept[4];
        memcpy(kept, cases[i].at, sizeof(kept));
        if (cases[i].value != 0)
            memcpy(cases[i].at, &cases[i].value, sizeof(kept));
        else
            cases[i].at[0] ^= 1;
        open_and_ask(runtime, file, i % 2 ? BN_LOAD_COPY : BN_LOAD_MAP, false, cases[i].what, &answer);
        CHECK(memcmp(&answer, right, sizeof(answer)) == 0, "%s: other candidates", cases[i].what);
        memcpy(cases[i].at, kept, sizeof(kept));
    }
    // Another head: of each row, the block that is compared.
    for (uint32_t r = 0; r < 512; r++)
        head[((size_t)r * cols + r % blocks * BN_SCAN_BLOCK) * 2 + 1] ^= 0x80;
    open_and_ask(runtime, file, BN_LOAD_MAP, false, "another head", &answer);
    CHECK(memcmp(&answer, right, sizeof(answer)) != 0, "another head, and the same candidates");
}

// A name of the list of tensors is spoilt, so that one of the two is missing.
static void missing(struct bn_runtime *runtime, const struct file *file, const char *name)
{
    struct bn_model *model = NULL;
    size_t n = strlen(name);
    for (size_t at = 0; at + n < file->bytes; at++)
        if (memcmp(file->data + at, name, n) == 0 && file->data[at - 8] == n) {
            file->data[at] ^= 0x20;
            enum bn_result result =
                bn_model_open_memory(runtime, file->data, file->bytes, "packed.gguf", NULL, &model, &error);
            CHECK(result == BN_ERR_MODEL && strcmp(error.subject, name) == 0, "%s is not missed: %s, %s", name,
                  bn_result_name(result), error.subject);
            file->data[at] ^= 0x20;
            bn_model_destroy(model);
            return;
        }
    CHECK(false, "no tensor %s", name);
}

int main(void)
{
    char plain[] = "/tmp/bitnet-packed-XXXXXX", packed[64];
    struct bn_runtime *runtime;
    struct bn_runtime_config log;
    struct bn_converted done;
    BN_INIT(log);
    log.log = count_warnings;
    int fd = mkstemp(plain);
    if (fd < 0)
        return 1;
    close(fd);
    snprintf(packed, sizeof(packed), "%s.gguf", plain);
    MUST(bn_runtime_create(&log, &runtime, &error));
    MUST(bn_synthetic_write(runtime, plain, &(struct bn_synthetic){.size = "tiny"}, &error));
    struct bn_conversion conversion = {.matrices = "i2_s", .order = BN_I2S_A, .scan_from = 1};
    MUST(bn_convert(runtime, plain, packed, &conversion, &done, &error));
    struct file a = read_file(plain), b = read_file(packed);
    struct answer right, answer;
    open_and_ask(runtime, &a, BN_LOAD_MAP, false, "no copy in the file", &right);
    open_and_ask(runtime, &b, BN_LOAD_MAP, true, "in place", &answer);
    CHECK(memcmp(&answer, &right, sizeof(answer)) == 0, "in place: other candidates");
    open_and_ask(runtime, &b, BN_LOAD_COPY, true, "copied", &answer);
    CHECK(memcmp(&answer, &right, sizeof(answer)) == 0, "copied: other candidates");
    missing(runtime, &b, BN_GGUF_SCAN_ROWS);
    missing(runtime, &b, BN_GGUF_SCAN_INFO);
    damage(runtime, &b, &right);
    free(a.data);
    free(b.data);
    bn_runtime_destroy(runtime);
    return finish();
}
