// A model file from memory: whatever the bytes, opening it gives a typed error, or a model that an engine can run. The input is
// the start of the file, up to the tensors' data, which is zeros.
#include <bitnet/bitnet.h>

#include "input.h"

enum { ALIGN = 64, TAIL = 256 << 10 };

static struct bn_runtime *runtime;
static struct bn_device *device;
static size_t allocated, most = SIZE_MAX;

// A file cannot ask for much more memory than it has itself.
static void *short_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    require(bytes <= most - allocated);
    if (posix_memalign(&memory, align > ALIGN ? align : ALIGN, bytes + ALIGN) != 0)
        return NULL;
    memcpy(memory, &bytes, sizeof(bytes));
    allocated += bytes;
    return (uint8_t *)memory + ALIGN;
}

static void short_free(void *user, void *memory)
{
    uint8_t *block = (uint8_t *)memory - ALIGN;
    size_t bytes;
    memcpy(&bytes, block, sizeof(bytes));
    allocated -= bytes;
    free(block);
}

static void start(void)
{
    static const struct bn_allocator allocator = {short_alloc, short_free, NULL};
    struct bn_runtime_config config;
    struct bn_device_options options;
    BN_INIT(config);
    BN_INIT(options);
    config.allocator = &allocator;
    options.threads = 1; // this one
    require(bn_runtime_create(&config, &runtime, NULL) == BN_OK);
    require(bn_device_open(runtime, "cpu", &options, &device, NULL) == BN_OK);
}

static void check_error(enum bn_result result, const struct bn_error *error)
{
    if (result == BN_OK)
        return;
    require(result == error->code && result != BN_ERR_INTERNAL && result != BN_ERR_ARGUMENT && error->message[0] &&
            memchr(error->message, 0, sizeof(error->message)));
}

static void run(struct bn_model *model)
{
    struct bn_engine *engine;
    struct bn_session *session;
    struct bn_engine_config config;
    struct bn_error error = {0};
    BN_INIT(config);
    config.n_ctx = bn_model_get_info(model)->n_ctx_train < 64 ? 0 : 64;
    config.n_batch = 2;
    enum bn_result result = bn_engine_create(runtime, model, device, &config, &engine, &error);
    check_error(result, &error);
    if (result != BN_OK)
        return;
    if (bn_session_create(engine, NULL, &session, NULL) == BN_OK) {
        const int32_t tokens[3] = {0};
        struct bn_step_item item = {.session = session, .tokens = tokens, .n_tokens = 3, .n_logits = 1};
        check_error(bn_engine_step(engine, &item, 1, &error), &error);
        bn_session_destroy(session);
    }
    bn_engine_destroy(engine);
}

static void use_tokenizer(const struct bn_tokenizer *tokenizer)
{
    int32_t ids[256];
    size_t count;
    struct bn_error error = {0};
    static const char text[] = "Once upon a time <|eot_id|> 123\n\xff";
    enum bn_result result =
        bn_tokenize(tokenizer, text, sizeof(text), BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL, ids, 256, &count, &error);
    check_error(result, &error);
    for (size_t i = 0; result == BN_OK && i < count && i < 256; i++) {
        size_t bytes;
        require(bn_token_bytes(tokenizer, ids[i], &bytes) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!runtime)
        start();
    size_t total = (size + TAIL + ALIGN - 1) / ALIGN * ALIGN;
    uint8_t *file = aligned_alloc(ALIGN, total);
    if (!file)
        return 0;
    memset(file, 0, total);
    if (size)
        memcpy(file, data, size);
    most = allocated + 4 * total + (16 << 20);
    for (int vocab_only = 0; vocab_only < 2; vocab_only++) {
        struct bn_model *model;
        struct bn_error error = {0};
        struct bn_model_options options;
        BN_INIT(options);
        options.vocab_only = vocab_only;
        enum bn_result result = bn_model_open_memory(runtime, file, total, "fuzz", &options, &model, &error);
        check_error(result, &error);
        require(result == BN_OK || (strcmp(error.file, "fuzz") == 0 && (error.subject[0] || error.offset <= total)));
        if (result != BN_OK)
            continue;
        use_tokenizer(bn_model_get_tokenizer(model));
        if (!vocab_only)
            run(model);
        bn_model_destroy(model);
    }
    free(file);
    return 0;
}
