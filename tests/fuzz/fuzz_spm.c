// tokenizer.model: whatever the message says, reading it gives a typed error, or keys from which a vocabulary can be tried.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!runtime)
        require(bn_runtime_create(NULL, &runtime, NULL) == BN_OK);
    struct bn_error error = {0};
    struct bn_key_blob blob;
    const struct bn_hf_config config = {.n_vocab = 700, .bos = -1, .eos = -1, .eot = -1, .pad = -1};
    const struct bn_json none = {.file = "none", .err = &error};
    bn_key_blob_begin(&blob, &runtime->host);
    bn_key_str(&blob, "general.architecture", (struct bn_str){"llama", 5});
    enum bn_result result =
        bn_hf_read_sentencepiece(&config, &runtime->host, "tokenizer.model", (struct bn_str){(const char *)data, size},
                                 &none, &none, (struct bn_str){0}, &blob, &error);
    check_error(result, &error);
    struct bn_model *model;
    struct bn_model_options options;
    BN_INIT(options);
    options.vocab_only = true;
    if (result == BN_OK) {
        require(bn_key_blob_end(&blob, &error) == BN_OK);
        result = bn_model_open_memory(runtime, blob.data, blob.bytes, "fuzz", &options, &model, &error);
        check_error(result, &error);
        if (result == BN_OK)
            bn_model_destroy(model);
    }
    bn_key_blob_finish(&blob);
    return 0;
}
