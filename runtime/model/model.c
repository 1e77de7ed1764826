#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/model/checkpoint.h"
#include "runtime/model/load.h"
#include "runtime/text/tokenizer.h"

#define MEMORY_ALIGNMENT 64

// A terminated copy that may be printed.
static enum bn_result copy_text(struct bn_load *load, const char *key, const char **out)
{
    struct bn_str str = {0};
    enum bn_result result = bn_gguf_get_str(load->gguf, key, false, &str, load->err);
    if (result != BN_OK)
        return result;
    char *text = bn_strdup(load->model->host, str.data, str.bytes);
    if (!text)
        return bn_fail_memory(load->err, str.bytes, "a string of the model");
    bn_make_printable(text);
    *out = text;
    return BN_OK;
}

static enum bn_result load_gguf(struct bn_load *load)
{
    struct bn_model_info *info = &load->model->info;
    info->size = sizeof(*info);
    enum bn_result result = copy_text(load, "general.architecture", &info->architecture);
    if (result == BN_OK)
        result = copy_text(load, "general.name", &info->name);
    if (result == BN_OK)
        result = bn_load_sampling(load);
    if (result == BN_OK && !load->options.vocab_only)
        result = bn_load_geometry(load);
    if (result == BN_OK)
        result = bn_load_vocabulary(load);
    if (result == BN_OK && !load->options.vocab_only)
        result = bn_load_tensors(load);
    return result;
}

static enum bn_result check_options(const struct bn_model_options *given, struct bn_model_options *options,
                                    struct bn_error *err)
{
    memset(options, 0, sizeof(*options));
    if (!given)
        return BN_OK;
    if (given->size < sizeof(given->size))
        return bn_fail(err, BN_ERR_ARGUMENT, "size of the options is not set; use BN_INIT");
    memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
    if ((unsigned)options->i2s_order > BN_I2S_C)
        return bn_fail(err, BN_ERR_ARGUMENT, "i2s_order has the unknown value %d", (int)options->i2s_order);
    if ((unsigned)options->activation > BN_ACTIVATION_GELU)
        return bn_fail(err, BN_ERR_ARGUMENT, "activation has the unknown value %d", (int)options->activation);
    if (options->activation_planes > 2)
        return bn_fail(err, BN_ERR_ARGUMENT, "activation_planes is %u; 0, 1 and 2 are known",
                       options->activation_planes);
    return BN_OK;
}

enum bn_result bn_load_checkpoint(struct bn_runtime *runtime, struct bn_checkpoint *checkpoint,
                                  const struct bn_model_options *options, struct bn_model **out, struct bn_error *err)
{
    struct bn_model *model = bn_alloc(&runtime->host, sizeof(*model));
    *out = NULL;
    if (!model)
        return bn_fail_memory(err, sizeof(*model), "a model");
    model->host = &runtime->host;
    model->map = checkpoint->map;
    checkpoint->map.mapped = false; // its view goes on, for as long as the model lives
    if (!options->vocab_only)
        bn_file_map_advise(&model->map);
    struct bn_load load = {.model = model, .gguf = &checkpoint->gguf, .options = *options, .err = err};
    enum bn_result result = load_gguf(&load);
    if (result != BN_OK)
        bn_model_destroy(model);
    else
        *out = model;
    return result;
}

// The same, and the checkpoint is closed.
static enum bn_result load_and_close(struct bn_runtime *runtime, struct bn_checkpoint *checkpoint,
                                     const struct bn_model_options *options, struct bn_model **out,
                                     struct bn_error *err)
{
    enum bn_result result = bn_load_checkpoint(runtime, checkpoint, options, out, err);
    bn_checkpoint_close(checkpoint);
    return result;
}

static enum bn_result open_map(struct bn_runtime *runtime, struct bn_file_map *map,
                               const struct bn_model_options *options, struct bn_model **out, struct bn_error *err)
{
    struct bn_checkpoint checkpoint;
    enum bn_result result = bn_checkpoint_from_map(&checkpoint, &runtime->host, map, err);
    return result == BN_OK ? load_and_close(runtime, &checkpoint, options, out, err) : result;
}

// What all three ways in have in common.
static enum bn_result begin(struct bn_runtime *runtime, const struct bn_model_options *given,
                            struct bn_model_options *options, struct bn_model **out, struct bn_error *err)
{
    if (!out)
        return bn_fail(err, BN_ERR_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!runtime)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime is NULL");
    return check_options(given, options, err);
}

enum bn_result bn_model_open(struct bn_runtime *runtime, const char *path, const struct bn_model_options *options,
                             struct bn_model **out, struct bn_error *err)
{
    struct bn_model_options checked;
    struct bn_checkpoint checkpoint;
    enum bn_result result = begin(runtime, options, &checked, out, err);
    if (result == BN_OK && !path)
        result = bn_fail(err, BN_ERR_ARGUMENT, "path is NULL");
    if (result == BN_OK)
        result = bn_checkpoint_open(&checkpoint, &runtime->host, path, checked.vocab_only, err);
    return result == BN_OK ? load_and_close(runtime, &checkpoint, &checked, out, err) : result;
}

enum bn_result bn_model_open_fd(struct bn_runtime *runtime, int fd, const char *name,
                                const struct bn_model_options *options, struct bn_model **out, struct bn_error *err)
{
    struct bn_model_options checked;
    struct bn_file_map map;
    enum bn_result result = begin(runtime, options, &checked, out, err);
    if (result == BN_OK)
        result = bn_file_map_open_fd(&map, fd, name, err);
    return result == BN_OK ? open_map(runtime, &map, &checked, out, err) : result;
}

enum bn_result bn_model_open_memory(struct bn_runtime *runtime, const void *data, size_t bytes, const char *name,
                                    const struct bn_model_options *options, struct bn_model **out, struct bn_error *err)
{
    struct bn_model_options checked;
    enum bn_result result = begin(runtime, options, &checked, out, err);
    if (result != BN_OK)
        return result;
    if (!data || (uintptr_t)data % MEMORY_ALIGNMENT)
        return bn_fail(err, BN_ERR_ARGUMENT, "the memory of a model must be aligned to %d bytes", MEMORY_ALIGNMENT);
    struct bn_file_map map = {.data = data, .size = bytes};
    snprintf(map.name, sizeof(map.name), "%s", name ? name : "(memory)");
    return open_map(runtime, &map, &checked, out, err);
}

static void free_text(struct bn_model *model, const char *text)
{
    union {
        const char *in;
        void *out;
    } memory = {text};
    bn_free(model->host, memory.out);
}

void bn_model_destroy(struct bn_model *model)
{
    if (!model)
        return;
    bn_tokenizer_destroy(model->tokenizer);
    free_text(model, model->info.architecture);
    free_text(model, model->info.name);
    bn_free(model->host, model->tensors);
    bn_free(model->host, model->names);
    bn_free(model->host, model->layers);
    bn_free(model->host, model->widened);
    bn_free(model->host, model->hadamard.values);
    bn_file_map_close(&model->map);
    bn_free(model->host, model);
}

const struct bn_model_info *bn_model_get_info(const struct bn_model *model)
{
    return &model->info;
}

const struct bn_tokenizer *bn_model_get_tokenizer(const struct bn_model *model)
{
    return model->tokenizer;
}
