#include "convert/source.h"

#include <string.h>

#include "runtime/base/runtime.h"
#include "runtime/model/load.h"

enum bn_result bn_source_open(struct bn_source *source, struct bn_runtime *runtime, const char *path,
                              const struct bn_model_options *options, struct bn_error *err)
{
    struct bn_model_options defaults;
    BN_INIT(defaults);
    memset(source, 0, sizeof(*source));
    enum bn_result result = bn_checkpoint_open(&source->checkpoint, &runtime->host, path, false, err);
    if (result != BN_OK)
        return result;
    source->host = &runtime->host;
    result = bn_load_checkpoint(runtime, &source->checkpoint, options ? options : &defaults, &source->model, err);
    if (result != BN_OK)
        bn_source_close(source);
    return result;
}

enum bn_result bn_source_open_raw(struct bn_source *source, struct bn_runtime *runtime, const char *path,
                                  struct bn_error *err)
{
    memset(source, 0, sizeof(*source));
    enum bn_result result = bn_checkpoint_open(&source->checkpoint, &runtime->host, path, false, err);
    if (result == BN_OK)
        source->host = &runtime->host;
    return result;
}

void bn_source_close(struct bn_source *source)
{
    if (!source->host)
        return;
    bn_checkpoint_close(&source->checkpoint);
    bn_model_destroy(source->model);
    memset(source, 0, sizeof(*source));
}

enum bn_source_kind bn_source_kind_of(const struct bn_source *source, const struct bn_tensor *tensor)
{
    if (tensor == source->model->token_embd || tensor == source->model->output)
        return BN_SOURCE_EMBEDDING;
    return tensor->rows == 1 ? BN_SOURCE_VECTOR : BN_SOURCE_LINEAR;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

bool bn_source_is_permuted(const struct bn_source *source, const struct bn_tensor *tensor)
{
    const struct bn_gguf *gguf = &source->checkpoint.gguf;
    return gguf->halves && source->model->gguf_rope_order == BN_ROPE_PAIRS &&
           (ends_with(tensor->name, ".attn_q.weight") || ends_with(tensor->name, ".attn_k.weight"));
}

uint32_t bn_source_row(const struct bn_source *source, uint32_t r)
{
    uint32_t size = source->model->info.head_dim, in_head = r % size;
    return r - in_head + in_head % 2 * (size / 2) + in_head / 2;
}

const struct bn_tensor *bn_source_find(const struct bn_source *source, const char *name)
{
    for (size_t i = 0; i < source->model->n_tensors; i++)
        if (strcmp(source->model->tensors[i].name, name) == 0)
            return &source->model->tensors[i];
    return NULL;
}
