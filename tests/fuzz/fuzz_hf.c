// config.json and tokenizer.json, with a zero byte between them: whatever they say, reading them gives a typed error, or keys
// from which a vocabulary can be tried.
#include <bitnet/bitnet.h>

#include "input.h"
#include "runtime/base/runtime.h"
#include "runtime/model/hf_impl.h"

static struct bn_runtime *runtime;

static void check_error(enum bn_result result, const struct bn_error *error)
{
    require(result == BN_OK ||
            (result == error->code && error->message[0] && result != BN_ERR_INTERNAL && result != BN_ERR_ARGUMENT));
}

// The keys are a GGUF file of no tensors, which is sound whatever the vocabulary is.
static void use_keys(struct bn_key_blob *blob)
{
    struct bn_gguf gguf;
    struct bn_error error = {0};
    require(bn_key_blob_end(blob, &error) == BN_OK);
    require(bn_gguf_init(&gguf, &runtime->host, "fuzz", blob->data, blob->bytes, &error) == BN_OK);
    bn_gguf_finish(&gguf);
    struct bn_model *model;
    struct bn_model_options options;
    BN_INIT(options);
    options.vocab_only = true;
    enum bn_result result = bn_model_open_memory(runtime, blob->data, blob->bytes, "fuzz", &options, &model, &error);
    check_error(result, &error);
    if (result == BN_OK)
        bn_model_destroy(model);
}

static enum bn_result read_tokenizer(const struct bn_hf_config *config, struct bn_str text, struct bn_key_blob *blob,
                                     struct bn_error *error)
{
    struct bn_json json, none = {.file = "none", .err = error};
    enum bn_result result = bn_json_init(&json, "tokenizer.json", text, error);
    if (result != BN_OK)
        return result;
    result = bn_hf_read_tokenizer(config, &runtime->host, &json, &none, (struct bn_str){0}, blob);
    bn_json_finish(&json);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!runtime)
        require(bn_runtime_create(NULL, &runtime, NULL) == BN_OK);
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    const struct bn_str first = {(const char *)data, n}, second = {(const char *)data + n + 1, zero ? size - n - 1 : 0};
    struct bn_error error = {0};
    struct bn_json json;
    enum bn_result result = bn_json_init(&json, "config.json", first, &error);
    check_error(result, &error);
    if (result != BN_OK)
        return 0;
    struct bn_hf_config config = {0};
    struct bn_key_blob blob;
    bn_key_blob_begin(&blob, &runtime->host);
    result = bn_hf_read_config(&config, &runtime->host, &json, &blob);
    bn_json_finish(&json);
    check_error(result, &error);
    if (result == BN_OK && zero) {
        result = read_tokenizer(&config, second, &blob, &error);
        check_error(result, &error);
        if (result == BN_OK)
            use_keys(&blob);
    }
    bn_key_blob_finish(&blob);
    bn_hf_config_finish(&config);
    return 0;
}
