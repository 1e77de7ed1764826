// Sound files: what is read from them, and the ways to open them.
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include <bitnet/bitnet.h>

#include "gguf_build.h"
#include "runtime/model/model_impl.h"
#include "tests/without.h"

static struct bn_runtime *runtime;
static struct build *b;

// Opens what is in b; *data must be freed after the model.
static struct bn_model *open_built(const struct bn_model_options *options, uint8_t **data)
{
    size_t size;
    *data = build_file(b, &size);
    struct bn_error err = {0};
    struct bn_model *model;
    enum bn_result result = bn_model_open_memory(runtime, *data, size, "built", options, &model, &err);
    ck_assert_msg(result == BN_OK, "%s: %s: %s", bn_result_name(result), err.subject, err.message);
    return model;
}

static char *model_path(const char *name)
{
    static char path[4096];
    const char *folder = getenv("BITNET_TEST_MODELS");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "models", name);
    return path;
}

static void check_stories(struct bn_model *model)
{
    const struct bn_model_info *info = bn_model_get_info(model);
    ck_assert_str_eq(info->architecture, "bitnet-b1.58");
    ck_assert_str_eq(info->name, "stories");
    ck_assert_int_eq(info->activation, BN_ACTIVATION_RELU2);
    ck_assert_uint_eq(info->n_vocab, 2048);
    ck_assert_uint_eq(info->n_embd, 256);
    ck_assert_uint_eq(info->n_layer, 5);
    ck_assert_uint_eq(info->n_head, 4);
    ck_assert_uint_eq(info->n_head_kv, 2);
    ck_assert_uint_eq(info->head_dim, 64);
    ck_assert_uint_eq(info->n_ff, 768);
    ck_assert_uint_eq(info->n_ctx_train, 1024);
    ck_assert(info->rope_theta == 10000.0f && info->norm_eps == 1e-5f);
    // 2048 x 256 + 256 + 5 x (256 x (256 + 128 + 128 + 256 + 3 x 768) + 3 x 256 + 768)
    ck_assert_uint_eq(info->n_params, 4464384);
    ck_assert_uint_eq(info->bytes, 2048 * 256 * 2 + 256 * 4 + 5 * (256 * 3072 / 4 + 7 * 32 + 6 * 256 * 4));
    ck_assert_uint_eq(info->token_bytes, 512 + 2048 * 256 * 2 + 256 * 4 + 5 * (256 * 3072 / 4 + 6 * 256 * 4));
    ck_assert_ptr_eq(model->output, model->token_embd);
    ck_assert_uint_eq(model->token_embd->offset, 64256);
    ck_assert_int_eq(model->token_embd->layout, BN_LAYOUT_F16);
    ck_assert_int_eq(model->layers[4].ffn_down->layout, BN_LAYOUT_I2S_A);
    ck_assert_uint_eq(model->layers[4].ffn_down->rows, 256);
    ck_assert_uint_eq(model->layers[4].ffn_down->cols, 768);
    ck_assert_str_eq(model->layers[4].ffn_down->name, "blk.4.ffn_down.weight");
    ck_assert(model->layers[4].ffn_down->scale > 0);
    ck_assert_int_eq(bn_tokenizer_get_info(bn_model_get_tokenizer(model))->bos, 2032);
}

START_TEST(stories_by_path_descriptor_and_memory)
{
    struct bn_error err = {0};
    struct bn_model *model;
    ck_assert_msg(bn_model_open(runtime, model_path("stories.gguf"), NULL, &model, &err) == BN_OK, "%s", err.message);
    check_stories(model);
    size_t size = (size_t)model->map.size;
    void *copy = NULL;
    ck_assert_int_eq(posix_memalign(&copy, 64, size), 0);
    memcpy(copy, model->map.data, size);
    bn_model_destroy(model);
    ck_assert_int_eq(bn_model_open_memory(runtime, copy, size, NULL, NULL, &model, &err), BN_OK);
    check_stories(model);
    ck_assert_ptr_eq(model->map.data, copy);
    bn_model_destroy(model);
    free(copy);
    int fd = open(model_path("stories.gguf"), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bn_model_open_fd(runtime, fd, "stories", NULL, &model, &err), BN_OK);
    close(fd);
    check_stories(model);
    bn_model_destroy(model);
}
END_TEST

START_TEST(vocabulary_only)
{
    struct bn_model_options options;
    struct bn_error err = {0};
    struct bn_model *model;
    uint8_t *data;
    BN_INIT(options);
    options.vocab_only = true;
    ck_assert_int_eq(bn_model_open(runtime, model_path("stories.gguf"), &options, &model, &err), BN_OK);
    ck_assert_uint_eq(bn_model_get_info(model)->n_vocab, 2048);
    ck_assert_uint_eq(bn_model_get_info(model)->n_layer, 0);
    ck_assert_int_eq(bn_model_get_info(model)->activation, 0);
    bn_model_destroy(model);
    build_model(b, "another-family"); // neither it nor its keys matter now
    b->t = 0;
    model = open_built(&options, &data);
    ck_assert_str_eq(bn_model_get_info(model)->architecture, "another-family");
    ck_assert_uint_eq(bn_model_get_info(model)->n_vocab, 8);
    bn_model_destroy(model);
    free(data);
    drop_key(b, "general.architecture");
    drop_key(b, "general.name");
    model = open_built(&options, &data);
    ck_assert_str_eq(bn_model_get_info(model)->architecture, "");
    ck_assert_str_eq(bn_model_get_info(model)->name, "");
    bn_model_destroy(model);
    free(data);
}
END_TEST

START_TEST(numbers_of_any_width_and_keys_that_change_nothing)
{
    uint8_t *data;
    double eps = 0.001;
    build_model(b, "bitnet-b1.58");
    b->alignment = 64;
    set_u32(b, "general.alignment", 64);
    bytes_u64(&build_key(b, "bitnet-b1.58.block_count", U64)->value, 1);
    bytes_add(&build_key(b, "bitnet-b1.58.attention.head_count", I8)->value, "\2", 1);
    bytes_add(&build_key(b, "bitnet-b1.58.attention.head_count_kv", U16)->value, "\1\0", 2);
    bytes_add(&build_key(b, "bitnet-b1.58.attention.layer_norm_rms_epsilon", F64)->value, &eps, 8);
    set_str(b, "bitnet-b1.58.rope.scaling.type", "linear");
    set_f32(b, "bitnet-b1.58.rope.scaling.factor", 1);
    set_u32(b, "bitnet-b1.58.expert_count", 0);
    set_u32(b, "bitnet-b1.58.attention.key_length", 64);
    set_u32(b, "bitnet-b1.58.attention.value_length", 64);
    set_bool(b, "bitnet-b1.58.attention.causal", 1);
    set_str(b, "general.license", "mit\x1b[31m");
    set_str(b, "general.name", "red\x1b[31m");
    set_array(b, "tokenizer.ggml.something", F64, 0);
    drop_key(b, "bitnet-b1.58.rope.freq_base");
    drop_key(b, "bitnet-b1.58.rope.dimension_count");
    drop_key(b, "bitnet-b1.58.vocab_size");
    struct bn_model *model = open_built(NULL, &data);
    const struct bn_model_info *info = bn_model_get_info(model);
    ck_assert_str_eq(info->name, "red?[31m");
    ck_assert_uint_eq(info->n_head, 2);
    ck_assert_uint_eq(info->n_head_kv, 1);
    ck_assert(info->norm_eps == 0.001f && info->rope_theta == 10000.0f);
    ck_assert_uint_eq(model->rope_dim, 64);
    ck_assert_int_eq(model->rope_order, BN_ROPE_HALVES);
    for (size_t i = 0; i < model->n_tensors; i++)
        ck_assert_uint_eq((uintptr_t)model->tensors[i].data % 64, 0);
    bn_model_destroy(model);
    free(data);
    drop_key(b, "bitnet-b1.58.attention.head_count_kv"); // then as many as heads: the shapes of k and v are wrong
    size_t size;
    data = build_file(b, &size);
    struct bn_error err = {0};
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_ERR_MODEL);
    ck_assert_str_eq(err.message, "expected the shape 128x128, found 128x64");
    free(data);
}
END_TEST

static void expect_activation(const struct bn_model_options *options, enum bn_activation activation)
{
    uint8_t *data;
    struct bn_model *model = open_built(options, &data);
    ck_assert_int_eq(bn_model_get_info(model)->activation, activation);
    ck_assert_int_eq(model->activation, activation == BN_ACTIVATION_SILU ? BN_OP_SILU : BN_OP_RELU2);
    bn_model_destroy(model);
    free(data);
}

START_TEST(option_then_key_then_family_choose_the_activation)
{
    struct bn_model_options options;
    BN_INIT(options);
    build_model(b, "bitnet-b1.58");
    expect_activation(NULL, BN_ACTIVATION_RELU2);
    set_str(b, "bitnet-b1.58.hidden_activation", "silu");
    expect_activation(NULL, BN_ACTIVATION_SILU);
    options.activation = BN_ACTIVATION_RELU2;
    expect_activation(&options, BN_ACTIVATION_RELU2);
    set_str(b, "bitnet-b1.58.hidden_activation", "gelu"); // the option overrules what we could not run
    expect_activation(&options, BN_ACTIVATION_RELU2);
    build_model(b, "bitnet");
    expect_activation(NULL, BN_ACTIVATION_SILU);
    expect_activation(&options, BN_ACTIVATION_RELU2);
    set_str(b, "bitnet.hidden_activation", "relu2");
    expect_activation(NULL, BN_ACTIVATION_RELU2);
}
END_TEST

// 2B-4T as converters write it that know only "bitnet": told by its vocabulary and depth.
START_TEST(the_2b_4t_among_bitnet_models)
{
    static const char *const matrices[] = {"ffn_down",    "ffn_gate", "ffn_up", "attn_k",
                                           "attn_output", "attn_q",   "attn_v"};
    static const char *const norms[] = {"attn_norm", "ffn_norm", "attn_sub_norm", "ffn_sub_norm"};
    static const struct {
        uint32_t vocab, layers;
        enum bn_activation activation;
    } kinds[] = {
        {128256, 30, BN_ACTIVATION_RELU2},
        {128256, 29, BN_ACTIVATION_SILU},
        {128255, 30, BN_ACTIVATION_SILU},
    };
    for (size_t k = 0; k < 3; k++) {
        build_model(b, "bitnet");
        tensor_of(b, "token_embd.weight")->dims[1] = kinds[k].vocab;
        tensor_of(b, "token_embd.weight")->bytes = data_bytes(T_F16, 128 * kinds[k].vocab);
        struct build_key *tokens = build_key(b, "tokenizer.ggml.tokens", ARR);
        bytes_u32(&tokens->value, STR);
        bytes_u64(&tokens->value, kinds[k].vocab);
        tokens->zeros = 8 * kinds[k].vocab; // all of them empty
        set_u32(b, "bitnet.vocab_size", kinds[k].vocab);
        set_u32(b, "bitnet.block_count", kinds[k].layers);
        drop_key(b, "tokenizer.ggml.token_type");
        drop_key(b, "tokenizer.ggml.merges");
        for (uint32_t layer = 1; layer < kinds[k].layers; layer++) {
            char name[64], first[64];
            for (size_t i = 0; i < 11; i++) {
                const char *part = i < 7 ? matrices[i] : norms[i - 7];
                snprintf(first, sizeof(first), "blk.0.%s.weight", part);
                snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, part);
                struct build_tensor like = *tensor_of(b, first);
                add_tensor(b, name, like.type, like.dims[0], like.n_dims == 2 ? like.dims[1] : 0);
            }
        }
        expect_activation(NULL, kinds[k].activation);
    }
}
END_TEST

static void expect_layout(enum bn_i2s_order order, enum bn_layout layout)
{
    struct bn_model_options options;
    uint8_t *data;
    BN_INIT(options);
    options.i2s_order = order;
    struct bn_model *model = open_built(&options, &data);
    ck_assert_int_eq(model->layers[0].attn_k->layout, layout);
    bn_model_destroy(model);
    free(data);
}

START_TEST(option_then_key_choose_the_byte_order)
{
    build_model(b, "bitnet-b1.58");
    expect_layout(BN_I2S_AUTO, BN_LAYOUT_I2S_A);
    expect_layout(BN_I2S_B, BN_LAYOUT_I2S_B);
    expect_layout(BN_I2S_C, BN_LAYOUT_I2S_C);
    set_str(b, "bitnet.i2s_layout", "1x4");
    expect_layout(BN_I2S_AUTO, BN_LAYOUT_I2S_C);
    expect_layout(BN_I2S_A, BN_LAYOUT_I2S_A);
    set_str(b, "bitnet.i2s_layout", "64/16");
    expect_layout(BN_I2S_AUTO, BN_LAYOUT_I2S_B);
    set_str(b, "bitnet.i2s_layout", "128/32");
    expect_layout(BN_I2S_AUTO, BN_LAYOUT_I2S_A);
}
END_TEST

START_TEST(a_scale_tensor_multiplies)
{
    uint8_t *data;
    build_model(b, "bitnet");
    tensor_of(b, "blk.0.attn_q.weight")->scale = 3;
    tensor_of(b, "blk.0.attn_k.weight")->scale = 5;
    add_tensor(b, "blk.0.attn_q.scale", T_F32, 1, 0)->n_dims = 0; // a scalar, as some converters write it
    add_tensor(b, "blk.0.attn_v.scale", T_F32, 1, 0);
    size_t size;
    data = build_file(b, &size);
    float factors[2] = {0.5f, 0.25f}; // the last tensors: of 4 bytes each, 32 apart
    memcpy(data + size - 36, &factors[0], 4);
    memcpy(data + size - 4, &factors[1], 4);
    struct bn_model *model;
    struct bn_error err = {0};
    ck_assert_msg(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err) == BN_OK, "%s", err.message);
    ck_assert(model->layers[0].attn_q->scale == 1.5f);
    ck_assert(model->layers[0].attn_k->scale == 5);
    ck_assert(model->layers[0].attn_v->scale == 0.25f);
    bn_model_destroy(model);
    float infinite = INFINITY;
    memcpy(data + size - 4, &infinite, 4);
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_ERR_MODEL);
    ck_assert_str_eq(err.subject, "blk.0.attn_v.scale");
    free(data);
}
END_TEST

// Floats: the rule of training, or what is ternary already; a scale tensor multiplies and does not change the rounding.
// Gemma's vocabulary as bitnet.cpp's converter of embeddings writes it.
START_TEST(gemma_under_another_name)
{
    static const char *const tokens[] = {"<bos>", "\u2581", "a", "b", "ab", "\u2581ab", "<0x63>", "  "};
    static const char *const merges[] = {"a b", "\u2581 ab"};
    static const int32_t types[] = {3, 1, 1, 1, 1, 1, 1, 4}, wanted[] = {4, 5, 7, 4, 6, 1, 2};
    struct bn_model_options options;
    struct bn_error err = {0};
    int32_t ids[16];
    size_t count;
    uint8_t *data;
    BN_INIT(options);
    options.vocab_only = true;
    build_model(b, "gemma3");
    b->t = 0;
    set_strings(b, "tokenizer.ggml.tokens", tokens, 8);
    set_strings(b, "tokenizer.ggml.merges", merges, 2);
    bytes_add(set_array(b, "tokenizer.ggml.token_type", I32, 8), types, sizeof(types));
    set_str(b, "tokenizer.ggml.pre", "default");
    set_u32(b, "tokenizer.ggml.bos_token_id", 0);
    struct bn_model *model = open_built(&options, &data);
    ck_assert_str_eq(bn_tokenizer_get_info(bn_model_get_tokenizer(model))->model, "llama");
    ck_assert_int_eq(bn_tokenize(bn_model_get_tokenizer(model), "ab ab  abc a", 12, 0, ids, 16, &count, &err), BN_OK);
    ck_assert_uint_eq(count, 7);
    ck_assert_mem_eq(ids, wanted, sizeof(wanted));
    bn_model_destroy(model);
    free(data);
}
END_TEST

START_TEST(masters_become_ternary)
{
    enum { K = 128, ROWS = 64 };
    uint8_t *data;
    size_t size;
    struct bn_model *model;
    struct bn_error err = {0};
    build_model(b, "bitnet");
    struct build_tensor *k = tensor_of(b, "blk.0.attn_k.weight");
    k->type = T_F32;
    k->bytes = 4 * K * ROWS;
    add_tensor(b, "blk.0.attn_k.scale", T_F32, 1, 0);
    data = build_file(b, &size);
    float *weights = NULL, factor = 4;
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_OK);
    union {
        const uint8_t *in;
        uint8_t *out;
    } place = {model->layers[0].attn_k->data};
    bn_model_destroy(model);
    weights = (float *)(void *)place.out;
    memcpy(data + size - 4, &factor, 4);
    for (int i = 0; i < K * ROWS; i++)
        weights[i] = (i % 3 - 1) * 0.5f;
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_OK);
    const struct bn_tensor *tensor = model->layers[0].attn_k;
    ck_assert(tensor->scale == 2 && tensor->rule == 0.5f && tensor->as == BN_LAYOUT_I2S_A);
    ck_assert(bn_tensor_matrix(tensor).scale == 0.5f);
    bn_model_destroy(model);
    for (int i = 0; i < K * ROWS; i++)
        weights[i] = i % 2 ? 0.25f : 0.75f;
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_OK);
    tensor = model->layers[0].attn_k;
    ck_assert(tensor->scale == 2 && tensor->rule == 0.5f && tensor->as == BN_LAYOUT_I2S_A); // the mean
    bn_model_destroy(model);
    for (int i = 0; i < K * ROWS; i++)
        weights[i] = i / K + 1;
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_OK);
    tensor = model->layers[0].attn_k;
    ck_assert(tensor->scale == 4 && tensor->rule == 1 && tensor->as == BN_LAYOUT_I2S_A_ROW);
    bn_model_destroy(model);
    free(data);
}
END_TEST

// 128 x 64 weights in 42: Q2_0 has 2304 bytes, PQ2_0 2176; with another tensor of that number, only one fits both.
START_TEST(sizes_choose_among_layouts_of_one_number)
{
    uint8_t *data;
    static const char *const names[] = {"blk.0.attn_k.weight", "blk.0.attn_v.weight"};
    for (int prism = 0; prism < 2; prism++) {
        build_model(b, "bitnet-b1.58");
        for (int i = 0; i < 2; i++) {
            struct build_tensor *tensor = tensor_of(b, names[i]);
            tensor->type = T_Q2_0;
            tensor->bytes = data_bytes(prism ? T_PQ2_0 : T_Q2_0, 128 * 64);
        }
        struct bn_model *model = open_built(NULL, &data);
        ck_assert_int_eq(model->layers[0].attn_k->layout, prism ? BN_LAYOUT_PQ2_0 : BN_LAYOUT_Q2_0);
        ck_assert_int_eq(model->layers[0].attn_v->layout, prism ? BN_LAYOUT_PQ2_0 : BN_LAYOUT_Q2_0);
        ck_assert_int_eq(model->layers[0].attn_v->as, BN_LAYOUT_I2S_A); // scales of 0 are all the same
        bn_model_destroy(model);
        free(data);
    }
}
END_TEST

// bitnet_b1_58-large: 1536 features, 4096 between gate and down, 16 heads.
START_TEST(lookup_tables_of_known_shapes)
{
    static const struct {
        const char *name;
        uint64_t cols, rows;
    } shapes[] = {{"attn_q", 1536, 1536},      {"attn_k", 1536, 1536}, {"attn_v", 1536, 1536},
                  {"attn_output", 1536, 1536}, {"ffn_up", 1536, 4096}, {"ffn_gate", 1536, 4096},
                  {"ffn_down", 4096, 1536}};
    static const char *const norms[] = {"blk.0.attn_norm.weight", "blk.0.attn_sub_norm.weight", "blk.0.ffn_norm.weight",
                                        "output_norm.weight", "blk.0.ffn_sub_norm.weight"};
    for (uint32_t type = 38; type <= 39; type++) {
        enum bn_layout layout = type == 38 ? BN_LAYOUT_TL1 : BN_LAYOUT_TL2;
        build_model(b, "bitnet");
        set_u32(b, "bitnet.embedding_length", 1536);
        set_u32(b, "bitnet.feed_forward_length", 4096);
        set_u32(b, "bitnet.attention.head_count", 16);
        set_u32(b, "bitnet.attention.head_count_kv", 16);
        set_u32(b, "bitnet.rope.dimension_count", 96);
        tensor_of(b, "token_embd.weight")->dims[0] = 1536;
        tensor_of(b, "token_embd.weight")->bytes = 1536 * 8 * 2;
        for (size_t i = 0; i < 5; i++) {
            struct build_tensor *norm = tensor_of(b, norms[i]);
            norm->dims[0] = i == 4 ? 4096 : 1536;
            norm->bytes = norm->dims[0] * 4;
        }
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
            char name[64];
            snprintf(name, sizeof(name), "blk.0.%s.weight", shapes[i].name);
            struct build_tensor *tensor = tensor_of(b, name);
            tensor->type = type;
            tensor->dims[0] = shapes[i].cols;
            tensor->dims[1] = shapes[i].rows;
            tensor->bytes = bn_layout_bytes(layout, shapes[i].rows, shapes[i].cols);
            snprintf(name, sizeof(name), "blk.0.%s.weight_scale", shapes[i].name);
            add_tensor(b, name, T_F32, 1, 0)->n_dims = 0;
        }
        uint8_t *data;
        size_t size;
        struct bn_model *model = open_built(NULL, &data);
        ck_assert_int_eq(model->layers[0].ffn_down->layout, layout);
        ck_assert(model->layers[0].attn_q->scale == 0);
        bn_model_destroy(model);
        free(data);
        drop_tensor(b, "blk.0.ffn_up.weight_scale");
        data = build_file(b, &size);
        struct bn_error err = {0};
        ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_ERR_MODEL);
        ck_assert_str_eq(err.subject, "blk.0.ffn_up.weight_scale");
        free(data);
    }
}
END_TEST

START_TEST(heads_of_their_own)
{
    uint8_t *data;
    size_t size;
    struct bn_model *model;
    struct bn_error err = {0};
    build_model(b, "bitnet-25");
    data = build_file(b, &size);
    ck_assert_int_eq(bn_model_open_memory(runtime, data, size, NULL, NULL, &model, &err), BN_ERR_MODEL);
    ck_assert_str_eq(err.subject, "output.weight");
    free(data);
    static const char *const architectures[] = {"bitnet-25", "bitnet-b1.58", "bitnet"};
    static const uint32_t types[] = {T_F16, T_F32, T_BF16};
    static const enum bn_layout layouts[] = {BN_LAYOUT_F16, BN_LAYOUT_F32, BN_LAYOUT_BF16};
    for (size_t i = 0; i < 3; i++) {
        build_model(b, architectures[i]);
        add_tensor(b, "output.weight", types[i], 128, 8);
        model = open_built(NULL, &data);
        ck_assert_ptr_ne(model->output, model->token_embd);
        ck_assert_int_eq(model->output->layout, layouts[i]);
        ck_assert_uint_eq(model->output->rows, 8);
        ck_assert_uint_eq(bn_model_get_info(model)->token_bytes,
                          model->info.bytes - model->token_embd->bytes / 8 * 7 - 7 * 32);
        bn_model_destroy(model);
        free(data);
    }
}
END_TEST

// A host that gives out `left` pieces of memory and counts those not given back.
static long left, live;

static void *counted_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    if (left-- <= 0 || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    live++;
    return memory;
}

static void counted_free(void *user, void *memory)
{
    live--;
    free(memory);
}

START_TEST(every_allocation_may_fail)
{
    const struct bn_allocator allocator = {counted_alloc, counted_free, NULL};
    struct bn_runtime_config config;
    struct bn_runtime *limited;
    BN_INIT(config);
    config.allocator = &allocator;
    left = 1;
    ck_assert_int_eq(bn_runtime_create(&config, &limited, NULL), BN_OK);
    build_model(b, "bitnet-b1.58");
    size_t size;
    uint8_t *data = build_file(b, &size);
    bool opened = false;
    for (long n = 0; n < 200 && !opened; n++) {
        struct bn_model *model;
        struct bn_error err = {0};
        left = n;
        enum bn_result result = bn_model_open_memory(limited, data, size, NULL, NULL, &model, &err);
        opened = result == BN_OK;
        ck_assert_msg(opened || result == BN_ERR_NO_MEMORY, "%ld: %s", n, bn_result_name(result));
        ck_assert_int_eq(opened, model != NULL);
        bn_model_destroy(model);
        ck_assert_int_eq(live, 1); // the runtime
    }
    ck_assert(opened);
    bn_runtime_destroy(limited);
    ck_assert_int_eq(live, 0);
    free(data);
}
END_TEST

int main(void)
{
    if (without_pcre2())
        return 77;
    b = calloc(1, sizeof(*b));
    if (!b || bn_runtime_create(NULL, &runtime, NULL) != BN_OK)
        return 99;
    TCase *tcase = tcase_create("model");
    tcase_add_test(tcase, stories_by_path_descriptor_and_memory);
    tcase_add_test(tcase, vocabulary_only);
    tcase_add_test(tcase, numbers_of_any_width_and_keys_that_change_nothing);
    tcase_add_test(tcase, option_then_key_then_family_choose_the_activation);
    tcase_add_test(tcase, the_2b_4t_among_bitnet_models);
    tcase_add_test(tcase, option_then_key_choose_the_byte_order);
    tcase_add_test(tcase, a_scale_tensor_multiplies);
    tcase_add_test(tcase, gemma_under_another_name);
    tcase_add_test(tcase, masters_become_ternary);
    tcase_add_test(tcase, sizes_choose_among_layouts_of_one_number);
    tcase_add_test(tcase, lookup_tables_of_known_shapes);
    tcase_add_test(tcase, heads_of_their_own);
    tcase_add_test(tcase, every_allocation_may_fail);
    Suite *suite = suite_create("model");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    bn_runtime_destroy(runtime);
    free(b);
    return failed == 0 ? 0 : 1;
}
