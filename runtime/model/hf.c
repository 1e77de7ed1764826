#include "runtime/model/hf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/layout/layout.h"
#include "runtime/model/hf_impl.h"
#include "runtime/model/safetensors.h"

#define MAX_CONFIG (1u << 20)
#define MAX_TOKENIZER (256u << 20)
#define MAX_INDEX (64u << 20)
#define MAX_SHARDS 4096u
#define MAX_VECTOR (1u << 18) // elements of a norm; wider ones are no model that is run
#define VECTOR_ALIGNMENT 64

struct folder {
    const struct bn_host *host;
    struct bn_error *err;
    struct bn_folder dir;
    struct bn_hf_config config;
    struct bn_key_blob blob; // keys, then norms and what else is made at load, as f32
    struct bn_file *files;   // [n_shards]
    struct bn_safetensors *headers;
    size_t n_shards, n_opened;
    struct bn_gguf_tensor *tensors;
    bool input_norms;
    bool *in_blob; // [n_tensors]: offset is within the blob; else within the file of `shard`
    uint32_t *shard;
    size_t n_tensors, n_most;
    char *names; // [n_most][BN_HF_NAME_BYTES]
};

// One of the folder's JSON files. A file that need not be there leaves json->root NULL. `path` is for json->file.
static enum bn_result read_json(struct folder *f, const char *name, bool required, size_t most, struct bn_json *json,
                                char path[256])
{
    char *text;
    size_t bytes;
    *json = (struct bn_json){.file = path, .err = f->err};
    snprintf(path, 256, "%s", f->dir.name);
    size_t n = strlen(path);
    snprintf(path + n, 256 - n, "/%s", name);
    enum bn_result result = bn_folder_read(&f->dir, f->host, name, required, most, &text, &bytes, f->err);
    if (result == BN_OK && text)
        result = bn_json_init(json, path, (struct bn_str){text, bytes}, f->err);
    bn_free(f->host, text);
    return result;
}

static enum bn_result read_config(struct folder *f)
{
    struct bn_json json = {0}, more = {0};
    char path[256], other[256];
    enum bn_result result = read_json(f, "config.json", true, MAX_CONFIG, &json, path);
    if (result == BN_OK)
        result = bn_hf_read_config(&f->config, f->host, &json, &f->blob);
    if (result == BN_OK)
        result = read_json(f, "generation_config.json", false, MAX_CONFIG, &more, other);
    if (result == BN_OK && more.root)
        result = bn_hf_read_ids(&f->config, &more);
    if (result == BN_OK && more.root)
        result = bn_hf_read_sampling(&more, &f->blob);
    bn_json_finish(&json);
    bn_json_finish(&more);
    if (result != BN_OK)
        return result;
    const char *slash = strrchr(f->dir.name, '/');
    const char *name = slash ? slash + 1 : f->dir.name;
    bn_key_str(&f->blob, "general.name", (struct bn_str){name, strlen(name)});
    return BN_OK;
}

// What sentence-transformers say, if they do: the vector is the last token's.
static enum bn_result check_pooling(struct folder *f, const char *sub)
{
    struct folder inner = {.host = f->host, .err = f->err};
    struct bn_json json = {0};
    char path[256];
    const char *mode;
    json_t *value;
    bool last = false;
    enum bn_result result = bn_folder_open_in(&inner.dir, &f->dir, sub, f->err);
    if (result != BN_OK)
        return result;
    result = read_json(&inner, "config.json", true, MAX_CONFIG, &json, path);
    json_object_foreach(json.root, mode, value)
    {
        bool is_last = strcmp(mode, "pooling_mode_lasttoken") == 0;
        if (strncmp(mode, "pooling_mode_", 13) == 0 && json_is_true(value) && !is_last && result == BN_OK)
            result = bn_json_fail(&json, BN_ERR_UNSUPPORTED, mode, "is not supported, only the last token is");
        last |= is_last && json_is_true(value);
    }
    if (result == BN_OK && !last)
        result = bn_json_fail(&json, BN_ERR_UNSUPPORTED, "pooling_mode_lasttoken", "only the last token is supported");
    bn_json_finish(&json);
    bn_folder_close(&inner.dir);
    return result;
}

static enum bn_result read_pooling(struct folder *f)
{
    static const char file[] = "modules.json", sub[] = "1_Pooling";
    char *text;
    size_t bytes;
    enum bn_result result = bn_folder_read(&f->dir, f->host, file, false, MAX_CONFIG, &text, &bytes, f->err);
    bool pools = text && memmem(text, bytes, "Pooling", 7), known = text && memmem(text, bytes, sub, sizeof(sub) - 1);
    bn_free(f->host, text);
    if (result != BN_OK || !pools)
        return result;
    if (!known)
        return bn_fail_at(f->err, BN_ERR_UNSUPPORTED, f->dir.name, file, UINT64_MAX,
                          "the folder of the pooling is not %s", sub);
    return check_pooling(f, sub);
}

// tokenizer.json, or where there is none tokenizer.model.
static enum bn_result read_vocabulary(struct folder *f)
{
    struct bn_json json = {0}, more = {0}, added = {0};
    char path[256], other[256], third[256], *chat = NULL, *model = NULL;
    size_t bytes = 0, model_bytes = 0;
    enum bn_result result = read_json(f, "tokenizer.json", false, MAX_TOKENIZER, &json, path);
    if (result == BN_OK && !json.root)
        result =
            bn_folder_read(&f->dir, f->host, "tokenizer.model", false, MAX_TOKENIZER, &model, &model_bytes, f->err);
    if (result == BN_OK && !json.root && !model)
        result = bn_fail_at(f->err, BN_ERR_IO, f->dir.name, NULL, UINT64_MAX,
                            "has neither tokenizer.json nor tokenizer.model");
    if (result == BN_OK)
        result = read_json(f, "tokenizer_config.json", false, MAX_TOKENIZER, &more, other);
    if (result == BN_OK && model)
        result = read_json(f, "added_tokens.json", false, MAX_TOKENIZER, &added, third);
    if (result == BN_OK)
        result = bn_folder_read(&f->dir, f->host, "chat_template.jinja", false, MAX_CONFIG, &chat, &bytes, f->err);
    const struct bn_str template = {chat, bytes};
    if (result == BN_OK && json.root)
        result = bn_hf_read_tokenizer(&f->config, f->host, &json, &more, template, &f->blob);
    else if (result == BN_OK)
        result = bn_hf_read_sentencepiece(&f->config, f->host, "tokenizer.model", (struct bn_str){model, model_bytes},
                                          &more, &added, template, &f->blob, f->err);
    bn_free(f->host, chat);
    bn_free(f->host, model);
    bn_json_finish(&json);
    bn_json_finish(&more);
    bn_json_finish(&added);
    return result;
}

static enum bn_result open_shard(struct folder *f, const char *name)
{
    struct bn_file *file = &f->files[f->n_shards];
    enum bn_result result = bn_folder_file(&f->dir, name, true, file, f->err);
    if (result != BN_OK)
        return result;
    f->n_shards++; // to be closed from now on
    uint8_t first[8] = {0};
    uint64_t bytes;
    if (file->size >= sizeof(first))
        result = bn_file_read(file, 0, first, sizeof(first), f->err);
    if (result == BN_OK)
        result = bn_safetensors_header(file->name, first, file->size, &bytes, f->err);
    if (result != BN_OK)
        return result;
    char *text = bn_alloc(f->host, (size_t)bytes);
    if (!text)
        return bn_fail_memory(f->err, bytes, "a header");
    result = bn_file_read(file, sizeof(first), text, (size_t)bytes, f->err);
    if (result == BN_OK)
        result = bn_safetensors_init(&f->headers[f->n_shards - 1], f->host, file->name,
                                     (struct bn_str){text, (size_t)bytes}, file->size, f->err);
    bn_free(f->host, text);
    return result;
}

static enum bn_result reserve_shards(struct folder *f, size_t n)
{
    f->files = bn_alloc_array(f->host, n, sizeof(*f->files));
    f->headers = bn_alloc_array(f->host, n, sizeof(*f->headers));
    return f->files && f->headers ? BN_OK : bn_fail_memory(f->err, n * sizeof(*f->files), "the shards");
}

static bool is_new(const struct folder *f, const char *name)
{
    for (size_t i = 0; i < f->n_shards; i++) {
        const char *slash = strrchr(f->files[i].name, '/');
        if (strcmp(slash ? slash + 1 : f->files[i].name, name) == 0)
            return false;
    }
    return true;
}

// The files that the index names, in its order. Which tensor lies where, the files' own headers say.
static enum bn_result open_indexed(struct folder *f, const struct bn_json *index)
{
    json_t *map, *value;
    const char *name;
    enum bn_result result = bn_json_object(index, index->root, "weight_map", true, &map);
    if (result == BN_OK && json_object_size(map) > BN_SAFETENSORS_MAX_TENSORS)
        result = bn_json_fail(index, BN_ERR_MODEL, "weight_map", "more than %u tensors", BN_SAFETENSORS_MAX_TENSORS);
    if (result == BN_OK)
        result = reserve_shards(f, MAX_SHARDS);
    if (result != BN_OK)
        return result;
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value) || json_string_length(value) > 200)
            return bn_json_fail(index, BN_ERR_MODEL, name, "expected the name of a file");
        if (!is_new(f, json_string_value(value)))
            continue;
        if (f->n_shards == MAX_SHARDS)
            return bn_json_fail(index, BN_ERR_MODEL, name, "more than %u files", MAX_SHARDS);
        result = open_shard(f, json_string_value(value));
        if (result != BN_OK)
            return result;
    }
    return BN_OK;
}

// Every tensor of the index must be in a file, and no other: a download that was cut short lacks some.
static enum bn_result check_index(const struct folder *f, const struct bn_json *index)
{
    size_t n = 0;
    for (size_t s = 0; s < f->n_shards; s++)
        n += f->headers[s].n_tensors;
    const json_t *map = json_object_get(index->root, "weight_map");
    if (json_object_size(map) != n)
        return bn_json_fail(index, BN_ERR_MODEL, "weight_map", "%zu tensors, but the files have %zu",
                            json_object_size(map), n);
    return BN_OK;
}

static enum bn_result open_shards(struct folder *f)
{
    struct bn_json index = {0};
    char path[256];
    enum bn_result result = read_json(f, "model.safetensors.index.json", false, MAX_INDEX, &index, path);
    if (result == BN_OK && index.root) {
        result = open_indexed(f, &index);
        if (result == BN_OK)
            result = check_index(f, &index);
    } else if (result == BN_OK) {
        result = reserve_shards(f, 1);
        if (result == BN_OK)
            result = open_shard(f, "model.safetensors");
    }
    bn_json_finish(&index);
    return result;
}

static const struct bn_safetensor *find_tensor(const struct folder *f, const char *name, size_t *shard)
{
    for (size_t s = 0; s < f->n_shards; s++) {
        const struct bn_safetensor *found = bn_safetensors_find(&f->headers[s], name);
        *shard = s;
        if (found)
            return found;
    }
    return NULL;
}

static enum bn_result fail(const struct folder *f, enum bn_result code, size_t shard, const struct bn_safetensor *st,
                           const char *message)
{
    return bn_fail_at(f->err, code, f->files[shard].name, st->name.data, st->offset, "%s", message);
}

static float read_element(enum bn_safetensors_dtype dtype, const uint8_t *at)
{
    uint16_t half;
    float value;
    memcpy(&half, at, sizeof(half));
    if (dtype == BN_ST_F16)
        return bn_f16_to_f32(half);
    if (dtype == BN_ST_BF16)
        return bn_bf16_to_f32(half);
    memcpy(&value, at, sizeof(value));
    return value;
}

static size_t element_bytes(enum bn_safetensors_dtype dtype)
{
    return dtype == BN_ST_F32 ? 4 : dtype == BN_ST_F16 || dtype == BN_ST_BF16 ? 2 : 0;
}

// A vector of floats, widened, to f32 [st->elements].
static enum bn_result read_floats(const struct folder *f, size_t shard, const struct bn_safetensor *st, float *to)
{
    uint8_t block[4096];
    size_t bytes = element_bytes(st->dtype);
    if (bytes == 0)
        return fail(f, BN_ERR_UNSUPPORTED, shard, st, "only F32, F16 and BF16 are for this tensor");
    for (uint64_t done = 0; done < st->elements;) {
        size_t n = sizeof(block) / bytes;
        n = st->elements - done < n ? (size_t)(st->elements - done) : n;
        enum bn_result result = bn_file_read(&f->files[shard], st->offset + done * bytes, block, n * bytes, f->err);
        if (result != BN_OK)
            return result;
        for (size_t i = 0; i < n; i++)
            to[done + i] = read_element(st->dtype, block + i * bytes);
        done += n;
    }
    return BN_OK;
}

static struct bn_gguf_tensor *add_tensor(struct folder *f, const char *name)
{
    char *text = f->names + f->n_tensors * BN_HF_NAME_BYTES;
    struct bn_gguf_tensor *tensor = &f->tensors[f->n_tensors++];
    snprintf(text, BN_HF_NAME_BYTES, "%s", name);
    *tensor = (struct bn_gguf_tensor){
        .name = {text, strlen(text)}, .n_dims = 1, .dims = {1, 1, 1, 1}, .scale = 1, .elements = 1};
    return tensor;
}

// A vector made at load: f32 in the blob. Its values are to be written to *values at once.
static enum bn_result add_vector(struct folder *f, const char *name, size_t n, float **values)
{
    size_t at = bn_key_blob_room(&f->blob, n * sizeof(float), VECTOR_ALIGNMENT);
    if (at == 0)
        return bn_fail_memory(f->err, n * sizeof(float), "the norms");
    f->in_blob[f->n_tensors] = true;
    struct bn_gguf_tensor *tensor = add_tensor(f, name);
    tensor->dims[0] = tensor->elements = n;
    tensor->type = BN_GGUF_TENSOR_F32;
    tensor->offset = at;
    tensor->room = n * sizeof(float);
    *values = (float *)(void *)(f->blob.data + at);
    return BN_OK;
}

static enum bn_result add_norm(struct folder *f, size_t shard, const struct bn_safetensor *st, const char *name)
{
    float *values;
    if (st->elements > MAX_VECTOR)
        return fail(f, BN_ERR_UNSUPPORTED, shard, st, "a vector of more than 262144 elements");
    enum bn_result result = add_vector(f, name, (size_t)st->elements, &values);
    if (result == BN_OK)
        result = read_floats(f, shard, st, values);
    bool of_input = bn_hf_is_input_norm(name);
    f->input_norms |= of_input;
    for (uint64_t i = 0; result == BN_OK && f->config.family->norms_less_one && !of_input && i < st->elements; i++)
        values[i] += 1;
    return result;
}

// The scale beside a packed matrix, as a factor of its trits.
static enum bn_result read_scale(const struct folder *f, size_t shard, const struct bn_safetensor *st, float *scale)
{
    char name[256];
    size_t found_in;
    snprintf(name, sizeof(name), "%s_scale", st->name.data);
    const struct bn_safetensor *found = find_tensor(f, name, &found_in);
    if (!found)
        return fail(f, BN_ERR_MODEL, shard, st, "a packed matrix without its weight_scale");
    if (found->elements != 1)
        return fail(f, BN_ERR_UNSUPPORTED, found_in, found, "more than one scale for a matrix");
    enum bn_result result = read_floats(f, found_in, found, scale);
    if (result == BN_OK && f->config.weights == BN_HF_PACKED_INVERSE)
        *scale = 1 / *scale;
    if (result == BN_OK && !isfinite(*scale))
        result = fail(f, BN_ERR_MODEL, found_in, found, "the scale is not finite");
    return result;
}

static enum bn_result add_matrix(struct folder *f, size_t shard, const struct bn_safetensor *st, const char *name)
{
    static const uint32_t types[] = {
        [BN_ST_F32] = BN_GGUF_TENSOR_F32,
        [BN_ST_F16] = BN_GGUF_TENSOR_F16,
        [BN_ST_BF16] = BN_GGUF_TENSOR_BF16,
        [BN_ST_U8] = BN_GGUF_TENSOR_HF,
    };
    if (st->dtype == BN_ST_OTHER)
        return fail(f, BN_ERR_UNSUPPORTED, shard, st, "only F32, F16, BF16 and packed U8 are for matrices");
    bool packed = st->dtype == BN_ST_U8;
    float scale = 1;
    if (packed && f->config.weights != BN_HF_PACKED && f->config.weights != BN_HF_PACKED_INVERSE)
        return fail(f, BN_ERR_UNSUPPORTED, shard, st,
                    "a packed matrix, but quantization_config of config.json does not say that there are any");
    enum bn_result result = packed ? read_scale(f, shard, st, &scale) : BN_OK;
    if (result != BN_OK)
        return result;
    f->shard[f->n_tensors] = (uint32_t)shard;
    struct bn_gguf_tensor *tensor = add_tensor(f, name);
    tensor->n_dims = 2;
    tensor->dims[0] = st->dims[1];
    tensor->dims[1] = st->dims[0] * (packed ? 4 : 1);
    tensor->elements = st->elements * (packed ? 4 : 1);
    tensor->type = types[st->dtype];
    tensor->offset = st->offset;
    tensor->room = st->bytes;
    tensor->scale = scale;
    return BN_OK;
}

static bool ends_with(struct bn_str name, const char *end)
{
    size_t n = strlen(end);
    return name.bytes >= n && memcmp(name.data + name.bytes - n, end, n) == 0;
}

static enum bn_result take_tensor(struct folder *f, size_t shard, const struct bn_safetensor *st)
{
    char name[BN_HF_NAME_BYTES];
    bool scale = ends_with(st->name, ".weight_scale");
    // A tied head is the embedding, whatever the file has beside it.
    bool spare = f->config.tied == 1 && bn_str_is(st->name, "lm_head.weight");
    if (scale || spare || bn_hf_is_derived(st->name.data))
        return BN_OK;
    if (!bn_hf_tensor_name(f->config.family, st->name.data, name))
        return fail(f, BN_ERR_UNSUPPORTED, shard, st, "a tensor that models of this class do not have");
    if (st->n_dims == 1)
        return add_norm(f, shard, st, name);
    if (st->n_dims == 2)
        return add_matrix(f, shard, st, name);
    return fail(f, BN_ERR_UNSUPPORTED, shard, st, "neither a vector nor a matrix");
}

// Only what a packed matrix has taken may be left over.
static enum bn_result check_scale(struct folder *f, size_t shard, const struct bn_safetensor *st)
{
    char name[256];
    size_t n = st->name.bytes - strlen("_scale"), found_in;
    if (!ends_with(st->name, ".weight_scale") || n >= sizeof(name))
        return BN_OK;
    memcpy(name, st->name.data, n);
    name[n] = '\0';
    const struct bn_safetensor *matrix = find_tensor(f, name, &found_in);
    if (!matrix || matrix->dtype != BN_ST_U8)
        return fail(f, BN_ERR_UNSUPPORTED, shard, st, "a scale of no packed matrix");
    return BN_OK;
}

static enum bn_result take_tensors(struct folder *f)
{
    for (size_t s = 0; s < f->n_shards; s++)
        f->n_most += f->headers[s].n_tensors;
    f->n_most++; // RoPE's frequencies
    f->tensors = bn_alloc_array(f->host, f->n_most, sizeof(*f->tensors));
    f->names = bn_alloc_array(f->host, f->n_most, BN_HF_NAME_BYTES);
    f->in_blob = bn_alloc_array(f->host, f->n_most, sizeof(*f->in_blob));
    f->shard = bn_alloc_array(f->host, f->n_most, sizeof(*f->shard));
    if (!f->tensors || !f->names || !f->in_blob || !f->shard)
        return bn_fail_memory(f->err, f->n_most * sizeof(*f->tensors), "the list of tensors");
    for (size_t s = 0; s < f->n_shards; s++) {
        for (size_t i = 0; i < f->headers[s].n_tensors; i++) {
            enum bn_result result = take_tensor(f, s, &f->headers[s].tensors[i]);
            if (result == BN_OK)
                result = check_scale(f, s, &f->headers[s].tensors[i]);
            if (result != BN_OK)
                return result;
        }
    }
    if (!f->config.frequencies)
        return BN_OK;
    float *values;
    enum bn_result result = add_vector(f, "rope_freqs.weight", f->config.head_dim / 2, &values);
    if (result == BN_OK)
        memcpy(values, f->config.frequencies, f->config.head_dim / 2 * sizeof(float));
    return result;
}

// The view: keys and vectors from the blob, matrices from the files, in one stretch of addresses.
static enum bn_result make_view(struct folder *f, struct bn_file_map *map, struct bn_gguf *gguf)
{
    struct bn_gguf_part *parts = bn_alloc_array(f->host, f->n_shards, sizeof(*parts));
    uint64_t *starts = bn_alloc_array(f->host, f->n_shards, sizeof(*starts));
    enum bn_result result = parts && starts ? bn_key_blob_end(&f->blob, f->err)
                                            : bn_fail_memory(f->err, f->n_shards * sizeof(*parts), "the shards");
    if (result == BN_OK)
        result = bn_file_map_join(map, f->dir.name, f->blob.data, f->blob.bytes, f->files, f->n_shards, starts, f->err);
    if (result == BN_OK) {
        result = bn_gguf_init(gguf, f->host, map->name, map->data, map->size, f->err);
        if (result != BN_OK)
            bn_file_map_close(map);
    }
    for (size_t i = 0; i < f->n_shards && result == BN_OK; i++) {
        parts[i].start = starts[i];
        snprintf(parts[i].name, sizeof(parts[i].name), "%s", f->files[i].name);
    }
    for (size_t i = 0; i < f->n_tensors && result == BN_OK; i++) {
        f->tensors[i].offset += f->in_blob[i] ? 0 : starts[f->shard[i]];
        f->tensors[i].described_at = f->tensors[i].offset;
    }
    bn_free(f->host, starts);
    if (result != BN_OK) {
        bn_free(f->host, parts);
        return result;
    }
    result =
        bn_gguf_set_tensors(gguf, f->tensors, (uint32_t)f->n_tensors, f->names, parts, (uint32_t)f->n_shards, f->err);
    f->tensors = NULL; // they are the view's
    f->names = NULL;
    if (result != BN_OK) {
        bn_gguf_finish(gguf);
        bn_file_map_close(map);
    }
    return result;
}

static void finish(struct folder *f)
{
    for (size_t i = 0; i < f->n_shards; i++) {
        bn_safetensors_finish(&f->headers[i]);
        bn_file_close(&f->files[i]);
    }
    bn_free(f->host, f->files);
    bn_free(f->host, f->headers);
    bn_free(f->host, f->tensors);
    bn_free(f->host, f->names);
    bn_free(f->host, f->in_blob);
    bn_free(f->host, f->shard);
    bn_key_blob_finish(&f->blob);
    bn_hf_config_finish(&f->config);
    bn_folder_close(&f->dir);
}

enum bn_result bn_hf_open(const struct bn_host *host, const char *path, bool vocab_only, struct bn_file_map *map,
                          struct bn_gguf *gguf, struct bn_error *err)
{
    struct folder f = {.host = host, .err = err};
    enum bn_result result = bn_folder_open(&f.dir, path, err);
    if (result != BN_OK)
        return result;
    bn_key_blob_begin(&f.blob, host);
    result = read_config(&f);
    if (result == BN_OK && f.config.family->embeds)
        result = read_pooling(&f);
    if (result == BN_OK)
        result = read_vocabulary(&f);
    if (result == BN_OK && !vocab_only)
        result = open_shards(&f);
    if (result == BN_OK)
        result = take_tensors(&f);
    if (result == BN_OK)
        result = make_view(&f, map, gguf);
    if (result == BN_OK) {
        gguf->master = f.config.weights != BN_HF_PLAIN || f.input_norms;
        gguf->halves = true;
    }
    finish(&f);
    return result;
}
