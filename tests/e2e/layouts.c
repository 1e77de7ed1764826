// The default model in every layout that a file may have: the same scales and trits give the same logits, bit for bit, whichever
// way they came. Files are made here: the keys of the default model, and tensors of other types.
//
// layouts [DEVICE]: on another device, every third layout, and logits close to each other: sums over columns in another layout may be
// in another order.
#include "tests/e2e/harness.h"

#include <math.h>

#include "runtime/base/host.h"
#include "runtime/layout/layout.h"
#include "runtime/model/gguf.h"

enum { ALIGN = 32, TAIL = 32, TOKENS = 24, MOST_BYTES = 32 << 20 };

// What a file's ternary matrices and its embedding are stored as.
struct kind {
    enum bn_layout layout;
    uint32_t type;   // of GGUF
    const char *key; // value of bitnet.i2s_layout; NULL: none
};

static const struct kind i2s = {BN_LAYOUT_I2S_A, 36, NULL};
static const struct kind ternary[] = {
    {BN_LAYOUT_I2S_B, 36, "64/16"}, {BN_LAYOUT_I2S_C, 36, "1x4"},     {BN_LAYOUT_TQ1_0, 34, NULL},
    {BN_LAYOUT_TQ2_0, 35, NULL},    {BN_LAYOUT_Q2_0, 42, NULL},       {BN_LAYOUT_PQ2_0, 42, NULL},
    {BN_LAYOUT_PQ2_0, 142, NULL},   {BN_LAYOUT_PTQ1_0, 143, NULL},    {BN_LAYOUT_IQ1_BN, 134, NULL},
    {BN_LAYOUT_IQ2_BN, 135, NULL},  {BN_LAYOUT_IQ2_BN_R4, 335, NULL}, {BN_LAYOUT_F32, 0, NULL},
    {BN_LAYOUT_F16, 1, NULL},       {BN_LAYOUT_BF16, 30, NULL},
};
static const struct kind tables[] = {
    {BN_LAYOUT_F32, 0, NULL},      {BN_LAYOUT_BF16, 30, NULL},    {BN_LAYOUT_Q8_0, 8, NULL},
    {BN_LAYOUT_Q5_0, 6, NULL},     {BN_LAYOUT_Q4_0, 2, NULL},     {BN_LAYOUT_TQ1_0, 34, NULL},
    {BN_LAYOUT_TQ2_0, 35, NULL},   {BN_LAYOUT_Q2_0, 42, NULL},    {BN_LAYOUT_PTQ1_0, 143, NULL},
    {BN_LAYOUT_IQ1_BN, 134, NULL}, {BN_LAYOUT_IQ2_BN, 135, NULL}, {BN_LAYOUT_I2S_A, 36, NULL},
};
static size_t step = 1; // of these, and 3 on other devices than the CPU
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct maker {
    struct bn_host host;
    struct bn_gguf gguf;
    uint8_t *source, *out;
    size_t source_bytes, n;
    struct kind linear, table;
    bool widened;   // the embedding as F32, of what it is as `table`
    uint32_t group; // columns with a scale of their own; 0: the tensor has one; ~0: each row
};

static void put(struct maker *maker, const void *data, size_t bytes)
{
    if (maker->n + bytes > MOST_BYTES)
        abort();
    if (data)
        memcpy(maker->out + maker->n, data, bytes);
    else
        memset(maker->out + maker->n, 0, bytes);
    maker->n += bytes;
}

static void put_u32(struct maker *maker, uint32_t value)
{
    put(maker, &value, sizeof(value));
}

static void put_u64(struct maker *maker, uint64_t value)
{
    put(maker, &value, sizeof(value));
}

static void pad(struct maker *maker)
{
    put(maker, NULL, (ALIGN - maker->n % ALIGN) % ALIGN);
}

static const struct kind *kind_of(const struct maker *maker, const struct bn_gguf_tensor *tensor)
{
    static const struct kind f32 = {BN_LAYOUT_F32, 0, NULL};
    if (tensor->type == BN_GGUF_TENSOR_I2S)
        return &maker->linear;
    if (tensor->type == BN_GGUF_TENSOR_F16)
        return maker->widened ? &f32 : &maker->table;
    return &f32;
}

static uint64_t bytes_of(const struct kind *kind, const struct bn_gguf_tensor *tensor)
{
    uint64_t bytes = bn_layout_bytes(kind->layout, tensor->dims[1], tensor->dims[0]);
    return bytes + (kind->type == BN_GGUF_TENSOR_I2S ? TAIL : 0);
}

// Exact in f16 and bf16.
static float scale_of(const struct maker *maker, float of_tensor, uint64_t r, uint64_t c)
{
    uint64_t i = maker->group == UINT32_MAX ? r : maker->group ? r * 31 + c / maker->group : 0;
    float scale = ldexpf(roundf(ldexpf(of_tensor, 12)), -12);
    if (scale == 0)
        scale = 0x1p-12f;
    uint32_t bits;
    memcpy(&bits, &scale, sizeof(bits));
    bits &= 0xffff0000;
    memcpy(&scale, &bits, sizeof(bits));
    return ldexpf(scale, (int)(i * 7 % 3) - 1);
}

// The tensor's trits with scales of the maker's choice, as floats.
static float *floats_of(const struct maker *maker, const struct bn_gguf_tensor *tensor)
{
    uint64_t cols = tensor->dims[0], rows = tensor->dims[1];
    struct bn_matrix matrix = {BN_LAYOUT_I2S_A, rows, cols, maker->source + tensor->offset, NULL, 1};
    float scale, *floats = malloc(rows * cols * sizeof(*floats));
    memcpy(&scale, matrix.data + rows * cols / 4, sizeof(scale));
    for (uint64_t r = 0; r < rows; r++) {
        bn_matrix_widen(&matrix, r, floats + r * cols);
        for (uint64_t c = 0; c < cols; c++)
            floats[r * cols + c] *= scale_of(maker, scale, r, c);
    }
    return floats;
}

static void repack(struct maker *maker, const struct bn_matrix *from, const struct kind *kind, enum bn_repack_loss loss)
{
    struct bn_repacked to = {.layout = kind->layout, .data = maker->out + maker->n};
    MUST(bn_repack(&maker->host, from, &to, loss, &error));
    maker->n += bn_layout_bytes(kind->layout, from->rows, from->cols);
    if (kind->type != BN_GGUF_TENSOR_I2S)
        return;
    put(maker, &to.scale, sizeof(to.scale));
    put(maker, NULL, TAIL - sizeof(to.scale));
}

static void put_linear(struct maker *maker, const struct bn_gguf_tensor *tensor)
{
    float *floats = floats_of(maker, tensor);
    struct bn_matrix matrix = {BN_LAYOUT_F32, tensor->dims[1], tensor->dims[0], (const uint8_t *)floats, NULL, 1};
    struct bn_float_survey survey;
    MUST(bn_survey_floats(&maker->host, &matrix, &survey, &error));
    matrix.scale = maker->group ? 1 : survey.scale;
    repack(maker, &matrix, &maker->linear, BN_REPACK_EXACT);
    free(floats);
}

// Through I2_S if the layout is ternary: an embedding that makes no sense, but is one.
static void put_table(struct maker *maker, const struct bn_gguf_tensor *tensor)
{
    uint64_t cols = tensor->dims[0], rows = tensor->dims[1], n = rows * cols;
    const struct bn_layout_info *info = bn_layout_get(maker->table.layout);
    struct bn_matrix f16 = {BN_LAYOUT_F16, rows, cols, maker->source + tensor->offset, NULL, 0x1p-5f};
    size_t at = maker->n;
    uint8_t *trits = calloc(1, n);
    struct bn_repacked to = {.layout = BN_LAYOUT_I2S_A, .data = trits};
    if (info->kind == BN_LAYOUT_TERNARY) {
        MUST(bn_repack(&maker->host, &f16, &to, BN_REPACK_EXACT, &error));
        f16 = (struct bn_matrix){BN_LAYOUT_I2S_A, rows, cols, trits, NULL, to.scale};
    }
    repack(maker, &f16, &maker->table, BN_REPACK_LOSSY);
    if (maker->widened) { // back to floats
        uint8_t *stored = malloc(maker->n - at);
        memcpy(stored, maker->out + at, maker->n - at);
        struct bn_matrix matrix = {info->layout, rows, cols, stored, NULL, 1};
        if (maker->table.type == BN_GGUF_TENSOR_I2S)
            matrix.scale = f16.scale;
        maker->n = at;
        repack(maker, &matrix, &(struct kind){BN_LAYOUT_F32, 0, NULL}, BN_REPACK_EXACT);
        free(stored);
    }
    free(trits);
}

// The file, aligned. The caller frees.
static uint8_t *make_file(struct maker *maker, size_t *bytes)
{
    const struct bn_gguf *gguf = &maker->gguf;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, MOST_BYTES) != 0)
        abort();
    maker->out = memory;
    maker->n = 0;
    put(maker, "GGUF\3\0\0\0", 8);
    put_u64(maker, gguf->n_tensors);
    put_u64(maker, gguf->n_keys + (maker->linear.key != NULL));
    put(maker, maker->source + 24, gguf->tensors[0].described_at - 24); // the keys
    if (maker->linear.key) {
        put_u64(maker, strlen("bitnet.i2s_layout"));
        put(maker, "bitnet.i2s_layout", strlen("bitnet.i2s_layout"));
        put_u32(maker, BN_GGUF_STRING);
        put_u64(maker, strlen(maker->linear.key));
        put(maker, maker->linear.key, strlen(maker->linear.key));
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *tensor = &gguf->tensors[i];
        put_u64(maker, tensor->name.bytes);
        put(maker, tensor->name.data, tensor->name.bytes);
        put_u32(maker, tensor->n_dims);
        put(maker, tensor->dims, tensor->n_dims * sizeof(tensor->dims[0]));
        put_u32(maker, kind_of(maker, tensor)->type);
        put_u64(maker, at);
        at += (bytes_of(kind_of(maker, tensor), tensor) + ALIGN - 1) / ALIGN * ALIGN;
    }
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *tensor = &gguf->tensors[i];
        pad(maker);
        if (tensor->type == BN_GGUF_TENSOR_I2S)
            put_linear(maker, tensor);
        else if (tensor->type == BN_GGUF_TENSOR_F16)
            put_table(maker, tensor);
        else
            put(maker, maker->source + tensor->offset, tensor->elements * sizeof(float));
    }
    pad(maker);
    *bytes = maker->n;
    return memory;
}

// The logits at the last of some positions, which the caller frees; *head says how many candidates stood for them, if that was
// asked for.
static float *logits_of(struct maker *maker, struct bn_device *device, bool scan)
{
    size_t bytes;
    uint8_t *file = make_file(maker, &bytes);
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_engine *engine;
    struct bn_session *session;
    MUST(bn_runtime_create(NULL, &runtime, &error));
    MUST(bn_model_open_memory(runtime, file, bytes, "made", NULL, &model, &error));
    struct bn_engine_config config = {.size = sizeof(config), .n_ctx = 128, .n_batch = 16};
    config.head = scan ? BN_HEAD_SCAN : BN_HEAD_FULL;
    MUST(bn_engine_create(runtime, model, device, &config, &engine, &error));
    MUST(bn_session_create(engine, NULL, &session, &error));
    int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = i * 131 % 2000;
    struct bn_step_item item = {.session = session, .tokens = tokens, .n_tokens = TOKENS, .n_logits = 1};
    item.n_top = scan ? 5 : 0;
    MUST(bn_engine_step(engine, &item, 1, &error));
    size_t n = bn_model_get_info(model)->n_vocab;
    float *logits = calloc(n, sizeof(*logits));
    if (item.logits)
        memcpy(logits, item.logits, n * sizeof(*logits));
    for (uint32_t i = 0; item.top && i < item.top->n; i++)
        logits[item.top->candidates[i].id] = item.top->candidates[i].logit;
    CHECK(scan || item.logits, "no logits");
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    free(file);
    return logits;
}

enum { VOCAB = 2048 };

static void compare(const char *what, const struct kind *kind, const float *want, const float *got, bool candidates)
{
    size_t differ = 0, compared = 0;
    double most = 0, worst = 0;
    for (size_t i = 0; i < VOCAB; i++) {
        if (candidates && got[i] == 0)
            continue;
        compared++;
        differ += memcmp(&want[i], &got[i], sizeof(float)) != 0;
        most = fmax(most, fabs((double)want[i]));
        worst = fmax(worst, fabs((double)want[i] - (double)got[i]));
    }
    if (step > 1 && worst <= 1e-5 * most)
        differ = 0;
    CHECK(differ == 0 && compared >= 5 && most > 0, "%s as %s (%u): %zu of %zu logits differ", what,
          bn_layout_name(kind->layout), kind->type, differ, compared);
}

// Layouts whose scales reach at least as little as `group`: all the same.
static void check_linear(struct maker *maker, struct bn_device *device, uint32_t group)
{
    float *want = NULL;
    maker->group = group;
    maker->table = (struct kind){BN_LAYOUT_F16, 1, NULL};
    if (group == 0) {
        maker->linear = i2s;
        want = logits_of(maker, device, false);
    }
    for (size_t i = 0; i < COUNT(ternary); i += step) {
        const struct bn_layout_info *info = bn_layout_get(ternary[i].layout);
        bool of_row = info->reach == BN_SCALE_ROW;
        bool fits =
            info->kind == BN_LAYOUT_FLOAT || group == 0 || (group == UINT32_MAX && of_row) || info->group == group;
        if (!fits)
            continue;
        maker->linear = ternary[i];
        float *got = logits_of(maker, device, false);
        if (want)
            compare(group ? "groups" : "one scale", &ternary[i], want, got, false);
        else
            want = got;
        if (want != got)
            free(got);
    }
    free(want);
}

// An embedding and head of other types: the same as its values in F32.
static void check_tables(struct maker *maker, struct bn_device *device)
{
    maker->group = 0;
    maker->linear = i2s;
    for (size_t i = step > 1; i < COUNT(tables); i += step) {
        maker->table = tables[i];
        maker->widened = true;
        float *want = logits_of(maker, device, false);
        maker->widened = false;
        float *got = logits_of(maker, device, false), *scanned = logits_of(maker, device, true);
        compare("embedding", &tables[i], want, got, false);
        compare("scanned embedding", &tables[i], want, scanned, true);
        free(want);
        free(got);
        free(scanned);
    }
}

static void load(struct maker *maker)
{
    char path[4096];
    const char *models = getenv("BITNET_TEST_MODELS");
    snprintf(path, sizeof(path), "%s/stories.gguf", models ? models : "models");
    FILE *file = fopen(path, "rb");
    void *memory = NULL;
    if (!file || posix_memalign(&memory, 64, MOST_BYTES) != 0) {
        perror(path);
        exit(1);
    }
    maker->source = memory;
    maker->source_bytes = fread(maker->source, 1, MOST_BYTES, file);
    fclose(file);
    bn_host_init(&maker->host, NULL);
    MUST(bn_gguf_init(&maker->gguf, &maker->host, path, maker->source, maker->source_bytes, &error));
}

int main(int argc, char **argv)
{
    static struct maker maker;
    struct bn_runtime *runtime;
    struct bn_device *device;
    load(&maker);
    MUST(bn_runtime_create(NULL, &runtime, &error));
    enum bn_result there = bn_device_open(runtime, argc > 1 ? argv[1] : "cpu", NULL, &device, &error);
    if (there == BN_ERR_UNAVAILABLE || there == BN_ERR_NOT_FOUND) {
        printf("%s: %s\n", argv[1], error.message);
        return 77;
    }
    MUST(there);
    step = argc > 1 ? 3 : 1;
    static const uint32_t groups[] = {0, UINT32_MAX, 256, 128, 64};
    for (size_t i = 0; i < COUNT(groups); i++)
        check_linear(&maker, device, groups[i]);
    check_tables(&maker, device);
    bn_device_close(device);
    bn_runtime_destroy(runtime);
    bn_gguf_finish(&maker.gguf);
    free(maker.source);
    return finish();
}
