// Continues a text: generate MODEL.gguf "Once upon a time"
#include <bitnet/bitnet.h>
#include <stdio.h>
#include <string.h>

static bool print(void *stream, const struct bn_generated *made)
{
    return fwrite(made->text, 1, made->bytes, stream) == made->bytes && fflush(stream) == 0;
}

int main(int argc, char **argv)
{
    struct bn_runtime *runtime = NULL;
    struct bn_model *model = NULL;
    struct bn_device *device = NULL;
    struct bn_engine *engine = NULL;
    struct bn_session *session = NULL;
    struct bn_error err = {.message = "usage: generate MODEL TEXT, of at most 256 tokens"};
    int32_t ids[256];
    struct bn_generate_options options = {.size = sizeof options, .prompt = ids, .on_token = print, .user = stdout};
    bool ok = argc == 3 && !bn_runtime_create(NULL, &runtime, &err);
    ok = ok && !bn_model_open(runtime, argv[1], NULL, &model, &err);
    ok = ok && !bn_device_open(runtime, NULL, NULL, &device, &err);
    ok = ok && !bn_engine_create(runtime, model, device, NULL, &engine, &err);
    ok = ok && !bn_session_create(engine, NULL, &session, &err);
    ok = ok && !bn_tokenize(bn_model_get_tokenizer(model), argv[2], strlen(argv[2]), BN_TOKENIZE_BOS, ids, 256,
                            &options.n_prompt, &err);
    ok = ok && options.n_prompt <= 256 && !bn_generate(session, &options, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s %s\n", err.file, err.message);
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    bn_device_close(device);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    return ok ? 0 : 1;
}
