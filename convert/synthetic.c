#include "convert/synthetic.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/gguf_write.h"
#include "convert/random.h"
#include "convert/synthetic_vocab.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/layout/layout.h"

#define NAME_BYTES 48
#define I2S_TAIL 32
#define STRIPE 16      // rows made at a time
#define EMBD_RMS 0.05f // gives logits a deviation of 0.05 * sqrt(features), 2.5 for 2B-4T
#define HALVES 4096    // different values of an embedding

static const char default_architecture[] = "bitnet-b1.58";

static const char chat_template[] =
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ 'Human: ' + message['content'] + '\\n\\nBITNETAssistant: ' + eos_token }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}";

static const struct bn_size sizes[] = {
#define BN_SIZE(...) {__VA_ARGS__},
#include "convert/sizes.inl"
#undef BN_SIZE
};

// What differs between the families; arch.inl says how they are read.
static const struct shape {
    const char *name;
    bool own_head, scales;
} architectures[] = {
    {default_architecture, false, false},
    {"bitnet-25", true, false},
    {"bitnet", false, true},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct bn_size *bn_sizes(size_t *n)
{
    *n = COUNT(sizes);
    return sizes;
}

enum kind { EMBEDDING, NORM, LINEAR, SCALE };

struct item {
    char name[NAME_BYTES];
    enum kind kind;
    uint32_t rows, cols;
    uint64_t bytes;
};

struct maker {
    const struct bn_host *host;
    const struct bn_synthetic *config;
    const struct bn_size *size;
    struct bn_size own; // the size with the layers that were asked for
    const struct shape *shape;
    enum bn_layout layout;
    struct bn_made_vocab vocab;
    struct item *items;
    size_t n_items;
    struct bn_gguf_write writer;
    struct bn_error *err;
    uint8_t codes[81];       // the bytes of four trits
    uint16_t halves[HALVES]; // evenly spaced, of deviation EMBD_RMS
    uint8_t *stripe;         // in order A, or a row of the embedding
    uint8_t *repacked;
};

// The values of a matrix are those of the stream of its place in the file.
static uint64_t stream_of(const struct maker *maker, const struct item *item)
{
    return bn_random(maker->config->seed, (uint64_t)(item - maker->items));
}

static void add_item(struct maker *maker, const char *name, enum kind kind, uint32_t rows, uint32_t cols)
{
    struct item *item = &maker->items[maker->n_items++];
    snprintf(item->name, sizeof(item->name), "%s", name);
    item->kind = kind;
    item->rows = rows;
    item->cols = cols;
    uint64_t n = (uint64_t)rows * cols;
    item->bytes = kind == EMBEDDING ? n * 2 : kind == LINEAR ? n / 4 + I2S_TAIL : n * 4;
}

static void add_layer(struct maker *maker, uint32_t layer)
{
    const struct bn_size *size = maker->size;
    uint32_t kv = size->embd / size->heads * size->kv_heads;
    const struct {
        const char *name;
        enum kind kind;
        uint32_t rows, cols;
    } tensors[] = {
        // as the published file has them
        {"attn_norm", NORM, 1, size->embd},
        {"ffn_down", LINEAR, size->embd, size->ff},
        {"ffn_sub_norm", NORM, 1, size->ff},
        {"ffn_gate", LINEAR, size->ff, size->embd},
        {"ffn_up", LINEAR, size->ff, size->embd},
        {"ffn_norm", NORM, 1, size->embd},
        {"attn_sub_norm", NORM, 1, size->embd},
        {"attn_k", LINEAR, kv, size->embd},
        {"attn_output", LINEAR, size->embd, size->embd},
        {"attn_q", LINEAR, size->embd, size->embd},
        {"attn_v", LINEAR, kv, size->embd},
    };
    for (size_t i = 0; i < COUNT(tensors); i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s.weight", layer, tensors[i].name);
        add_item(maker, name, tensors[i].kind, tensors[i].rows, tensors[i].cols);
        if (!maker->shape->scales || tensors[i].kind != LINEAR)
            continue;
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s.scale", layer, tensors[i].name);
        add_item(maker, name, SCALE, 1, 1);
    }
}

// Layers in the order of their numbers as text, as the published file has them: 0, 1, 10, 11, ..., 2, 20, ...
static void add_layers(struct maker *maker, uint32_t number)
{
    if (number >= maker->size->layers)
        return;
    add_layer(maker, number);
    for (uint32_t digit = 0; digit < 10 && number > 0; digit++)
        add_layers(maker, number * 10 + digit);
}

static enum bn_result list_items(struct maker *maker)
{
    const struct bn_size *size = maker->size;
    size_t most = 3 + (size_t)size->layers * 18;
    maker->items = bn_alloc_array(maker->host, most, sizeof(*maker->items));
    if (!maker->items)
        return bn_fail_memory(maker->err, most * sizeof(*maker->items), "the list of tensors");
    add_item(maker, "token_embd.weight", EMBEDDING, size->vocab, size->embd);
    for (uint32_t first = 0; first < 10; first++)
        add_layers(maker, first);
    add_item(maker, "output_norm.weight", NORM, 1, size->embd);
    if (maker->shape->own_head)
        add_item(maker, "output.weight", EMBEDDING, size->vocab, size->embd);
    return BN_OK;
}

static const char *key(const struct maker *maker, const char *name, char *text)
{
    snprintf(text, 96, "%s.%s", maker->shape->name, name);
    return text;
}

static void write_geometry(struct maker *maker)
{
    struct bn_gguf_write *writer = &maker->writer;
    const struct bn_size *size = maker->size;
    char text[96];
    bn_gguf_write_str(writer, "general.architecture", maker->shape->name);
    bool published = strcmp(size->name, "2b4t") == 0;
    bn_gguf_write_str(writer, "general.name", published ? "bitnet2b" : size->name);
    bn_gguf_write_u32(writer, key(maker, "vocab_size", text), size->vocab);
    bn_gguf_write_u32(writer, key(maker, "context_length", text), size->ctx);
    bn_gguf_write_u32(writer, key(maker, "embedding_length", text), size->embd);
    bn_gguf_write_u32(writer, key(maker, "block_count", text), size->layers);
    bn_gguf_write_u32(writer, key(maker, "feed_forward_length", text), size->ff);
    bn_gguf_write_u32(writer, key(maker, "rope.dimension_count", text), size->embd / size->heads);
    bn_gguf_write_u32(writer, key(maker, "attention.head_count", text), size->heads);
    bn_gguf_write_u32(writer, key(maker, "attention.head_count_kv", text), size->kv_heads);
    bn_gguf_write_bool(writer, "tokenizer.ggml.add_bos_token", true);
    bn_gguf_write_f32(writer, key(maker, "attention.layer_norm_rms_epsilon", text), 1e-5f);
    bn_gguf_write_f32(writer, key(maker, "rope.freq_base", text), size->theta);
    bn_gguf_write_u32(writer, "general.file_type", 40);
}

static void write_string(void *user, const char *text, size_t bytes)
{
    bn_gguf_write_array_str(user, text, bytes);
}

static void write_vocabulary(struct maker *maker)
{
    struct bn_gguf_write *writer = &maker->writer;
    const struct bn_made_vocab *vocab = &maker->vocab;
    uint32_t n = maker->size->vocab;
    bn_gguf_write_str(writer, "tokenizer.ggml.model", "gpt2");
    bn_gguf_write_array(writer, "tokenizer.ggml.tokens", BN_GGUF_STRING, n);
    bn_emit_vocab(vocab, &(struct bn_vocab_sink){.token = write_string, .user = writer});
    bn_gguf_write_array(writer, "tokenizer.ggml.scores", BN_GGUF_F32, n);
    for (uint32_t i = 0; i < n; i++)
        bn_gguf_write_array_u32(writer, 0);
    bn_gguf_write_array(writer, "tokenizer.ggml.token_type", BN_GGUF_I32, n);
    for (uint32_t i = 0; i < n; i++)
        bn_gguf_write_array_u32(writer, i < vocab->plain ? 1 : 3);
    bn_gguf_write_array(writer, "tokenizer.ggml.merges", BN_GGUF_STRING, vocab->merges);
    bn_emit_vocab(vocab, &(struct bn_vocab_sink){.merge = write_string, .user = writer});
    bn_gguf_write_u32(writer, "tokenizer.ggml.bos_token_id", vocab->plain);
    bn_gguf_write_u32(writer, "tokenizer.ggml.eos_token_id", vocab->plain + 1);
    bn_gguf_write_u32(writer, "tokenizer.ggml.padding_token_id", vocab->plain + 1);
    bn_gguf_write_str(writer, "tokenizer.chat_template", chat_template);
    bn_gguf_write_u32(writer, "general.quantization_version", 2);
}

static void write_list(struct maker *maker)
{
    static const uint32_t types[] = {
        [EMBEDDING] = BN_GGUF_TENSOR_F16,
        [NORM] = BN_GGUF_TENSOR_F32,
        [LINEAR] = BN_GGUF_TENSOR_I2S,
        [SCALE] = BN_GGUF_TENSOR_F32,
    };
    if (maker->config->order == BN_I2S_B)
        bn_gguf_write_str(&maker->writer, "bitnet.i2s_layout", "64/16");
    else if (maker->config->order == BN_I2S_C)
        bn_gguf_write_str(&maker->writer, "bitnet.i2s_layout", "1x4");
    for (size_t i = 0; i < maker->n_items; i++) {
        const struct item *item = &maker->items[i];
        bool vector = item->kind == NORM || item->kind == SCALE;
        bn_gguf_write_tensor(&maker->writer, item->name, item->cols, vector ? 0 : item->rows, types[item->kind],
                             item->bytes);
    }
}

// Tables of the bytes and half floats that random numbers choose from.
static void make_tables(struct maker *maker)
{
    for (unsigned i = 0; i < 81; i++)
        maker->codes[i] = (uint8_t)(i / 27 << 6 | i / 9 % 3 << 4 | i / 3 % 3 << 2 | i % 3);
    float most = EMBD_RMS * sqrtf(3);
    for (unsigned i = 0; i < HALVES; i++)
        maker->halves[i] = bn_f32_to_f16(most * (2 * ((float)i + 0.5f) / HALVES - 1));
}

static bool report(struct maker *maker)
{
    const struct bn_synthetic *config = maker->config;
    if (maker->writer.result != BN_OK)
        return false;
    uint64_t total = maker->writer.data_at + maker->writer.data_bytes;
    if (!config->progress || config->progress(config->user, maker->writer.at, total))
        return true;
    maker->writer.result = bn_fail(maker->err, BN_ERR_CANCELLED, "interrupted");
    return false;
}

static void write_floats(struct maker *maker, const struct item *item)
{
    uint64_t stream = stream_of(maker, item);
    for (uint32_t i = 0; i < item->cols; i++) {
        float value = 0.5f + bn_random_unit(stream, i);
        bn_gguf_write_data(&maker->writer, &value, sizeof(value));
    }
}

static void write_embedding(struct maker *maker, const struct item *item)
{
    uint64_t stream = stream_of(maker, item);
    uint16_t row[4];
    uint32_t quarters = item->cols / 4;
    for (uint32_t r = 0; r < item->rows && (r % 1024 || report(maker)); r++) {
        for (uint32_t c = 0; c < quarters; c++) {
            uint64_t bits = bn_random(stream, (uint64_t)r * quarters + c);
            for (unsigned k = 0; k < 4; k++)
                row[k] = maker->halves[bits >> (16 * k) & (HALVES - 1)];
            memcpy(maker->stripe + c * sizeof(row), row, sizeof(row));
        }
        bn_gguf_write_data(&maker->writer, maker->stripe, (size_t)item->cols * 2);
    }
}

// Outputs of a matrix have about the deviation of its inputs. Scales differ, so that no two can be confused unnoticed.
static float scale_of(const struct item *item, uint64_t stream)
{
    return sqrtf(1.5f / (float)item->cols) * (0.75f + 0.5f * bn_random_unit(stream, UINT64_MAX / 2));
}

static void write_linear(struct maker *maker, const struct item *item)
{
    uint64_t stream = stream_of(maker, item);
    for (uint32_t r = 0; r < item->rows && (r % 1024 || report(maker)); r += STRIPE) {
        uint32_t rows = item->rows - r < STRIPE ? item->rows - r : STRIPE;
        size_t bytes = (size_t)rows * item->cols / 4;
        uint64_t at = (uint64_t)r * item->cols / 16;
        for (size_t i = 0; i < bytes / 4; i++) {
            uint64_t bits = bn_random(stream, at + i);
            for (unsigned k = 0; k < 4; k++)
                maker->stripe[4 * i + k] = maker->codes[((bits >> (16 * k) & 0xffff) * 81) >> 16];
        }
        const uint8_t *data = maker->stripe;
        if (maker->layout != BN_LAYOUT_I2S_A) {
            const struct bn_matrix from = {BN_LAYOUT_I2S_A, rows, item->cols, maker->stripe, NULL, 1};
            struct bn_repacked to = {.layout = maker->layout, .data = maker->repacked};
            enum bn_result result = bn_repack(maker->host, &from, &to, BN_REPACK_EXACT, maker->err);
            if (result != BN_OK) {
                maker->writer.result = result;
                return;
            }
            data = maker->repacked;
        }
        bn_gguf_write_data(&maker->writer, data, bytes);
    }
    uint8_t tail[I2S_TAIL] = {0};
    float scale = scale_of(item, stream);
    memcpy(tail, &scale, sizeof(scale));
    bn_gguf_write_data(&maker->writer, tail, sizeof(tail));
}

static void write_weights(struct maker *maker)
{
    for (size_t i = 0; i < maker->n_items && maker->writer.result == BN_OK; i++) {
        const struct item *item = &maker->items[i];
        if (item->kind == EMBEDDING)
            write_embedding(maker, item);
        else if (item->kind == LINEAR)
            write_linear(maker, item);
        else
            write_floats(maker, item);
    }
}

static enum bn_result write_file(struct maker *maker, const char *path)
{
    enum bn_result result = bn_gguf_write_begin(&maker->writer, maker->host, path, maker->err);
    if (result != BN_OK)
        return result;
    write_geometry(maker);
    write_vocabulary(maker);
    write_list(maker);
    if (maker->config->no_weights)
        bn_gguf_write_hole(&maker->writer);
    else
        write_weights(maker);
    return bn_gguf_write_end(&maker->writer, true);
}

static enum bn_result choose(struct maker *maker)
{
    static const enum bn_layout layouts[] = {BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_B, BN_LAYOUT_I2S_C};
    const struct bn_synthetic *config = maker->config;
    const char *architecture = config->architecture ? config->architecture : default_architecture;
    for (size_t i = 0; i < COUNT(sizes); i++)
        maker->size = strcmp(sizes[i].name, config->size) == 0 ? &sizes[i] : maker->size;
    for (size_t i = 0; i < COUNT(architectures); i++)
        maker->shape = strcmp(architectures[i].name, architecture) == 0 ? &architectures[i] : maker->shape;
    if (!maker->size)
        return bn_fail(maker->err, BN_ERR_ARGUMENT, "no size is called \"%s\"", config->size);
    if (!maker->shape)
        return bn_fail(maker->err, BN_ERR_ARGUMENT, "no synthetic model is made of the architecture \"%s\"",
                       architecture);
    if (strcmp(maker->size->name, "2b4t") == 0 && maker->shape != &architectures[0])
        return bn_fail(maker->err, BN_ERR_ARGUMENT, "the published 2B-4T is of the architecture \"%s\"",
                       architectures[0].name);
    if ((unsigned)config->order >= COUNT(layouts))
        return bn_fail(maker->err, BN_ERR_ARGUMENT, "unknown order of I2_S");
    maker->layout = layouts[config->order];
    maker->own = *maker->size;
    maker->own.layers = config->layers ? config->layers : maker->own.layers;
    maker->size = &maker->own;
    if (!bn_make_vocab(maker->size, &maker->vocab))
        return bn_fail(maker->err, BN_ERR_INTERNAL, "no vocabulary can be made for this size");
    return BN_OK;
}

enum bn_result bn_synthetic_write(struct bn_runtime *runtime, const char *path, const struct bn_synthetic *config,
                                  struct bn_error *err)
{
    const struct bn_host *host = &runtime->host;
    struct maker *maker = bn_alloc(host, sizeof(*maker));
    if (!maker)
        return bn_fail_memory(err, sizeof(*maker), "a synthetic model");
    maker->host = host;
    maker->config = config;
    maker->err = err;
    make_tables(maker);
    enum bn_result result = choose(maker);
    if (result == BN_OK)
        result = list_items(maker);
    if (result == BN_OK) {
        size_t cols = maker->size->ff > maker->size->embd ? maker->size->ff : maker->size->embd;
        size_t bytes = cols * STRIPE / 4;
        maker->stripe = bn_alloc(host, bytes);
        maker->repacked = bn_alloc(host, bytes);
        if (!maker->stripe || !maker->repacked)
            result = bn_fail_memory(err, 2 * bytes, "a synthetic model");
    }
    if (result == BN_OK)
        result = write_file(maker, path);
    bn_free(host, maker->stripe);
    bn_free(host, maker->repacked);
    bn_free(host, maker->items);
    bn_free(host, maker);
    return result;
}
