// Synthetic models: 2b4t has the published header, small ones load, and seed, order and family do what they say.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bitnet/bitnet.h>

#include "convert/gguf_write.h"
#include "convert/synthetic.h"
#include "runtime/base/file_map.h"
#include "runtime/base/runtime.h"
#include "runtime/layout/layout.h"
#include "runtime/model/gguf.h"
#include "runtime/model/model_impl.h"
#include "tests/without.h"

static struct bn_runtime *runtime;
static char folder[] = "/tmp/bitnet-test-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[2][4096];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static void make(const char *name, const struct bn_synthetic *config)
{
    struct bn_error err = {0};
    enum bn_result result = bn_synthetic_write(runtime, path_of(name), config, &err);
    ck_assert_msg(result == BN_OK, "%s: %s", err.file, err.message);
}

static struct bn_model *open_model(const char *name)
{
    struct bn_error err = {0};
    struct bn_model *model;
    enum bn_result result = bn_model_open(runtime, path_of(name), NULL, &model, &err);
    ck_assert_msg(result == BN_OK, "%s: %s", err.subject, err.message);
    return model;
}

// ---- the listing of header.txt, which another program made of the published file

static const char *listed_type(enum bn_gguf_type type)
{
    switch (type) {
    case BN_GGUF_U32:
        return "GGUF_METADATA_VALUE_TYPE_UINT32";
    case BN_GGUF_I32:
        return "GGUF_METADATA_VALUE_TYPE_INT32";
    case BN_GGUF_F32:
        return "GGUF_METADATA_VALUE_TYPE_FLOAT32";
    case BN_GGUF_BOOL:
        return "GGUF_METADATA_VALUE_TYPE_BOOL";
    case BN_GGUF_STRING:
        return "GGUF_METADATA_VALUE_TYPE_STRING";
    default:
        return "?";
    }
}

// One value; the program printed the two bytes of "Ġ" as one "G". Returns what follows it.
static const uint8_t *list_value(FILE *out, enum bn_gguf_type type, const uint8_t *at)
{
    uint32_t bits;
    float real;
    switch (type) {
    case BN_GGUF_STRING: {
        struct bn_str str = bn_gguf_next_str(&at);
        for (size_t i = 0; i < str.bytes; i++) {
            bool space = i + 1 < str.bytes && memcmp(str.data + i, "\xc4\xa0", 2) == 0;
            fputc(space ? 'G' : str.data[i], out);
            i += space;
        }
        return at;
    }
    case BN_GGUF_BOOL:
        fputs(*at ? "True" : "False", out);
        return at + 1;
    case BN_GGUF_F32:
        memcpy(&real, at, 4);
        fprintf(out, (double)real == (double)(int)real ? "%.0f" : "%.0E", (double)real);
        return at + 4;
    default:
        memcpy(&bits, at, 4);
        fprintf(out, "%u", bits);
        return at + 4;
    }
}

static void list_key(FILE *out, const struct bn_gguf_key *key)
{
    const uint8_t *at = key->data;
    fprintf(out, "  - %.*s [", (int)key->name.bytes, key->name.data);
    if (key->type != BN_GGUF_ARRAY) {
        fprintf(out, "%s] = ", listed_type(key->type));
        list_value(out, key->type, at);
    } else {
        fprintf(out, "Array<%s>] = [", listed_type(key->element));
        for (int i = 0; i < 8; i++) {
            at = list_value(out, key->element, at);
            fputs(", ", out);
        }
        fputs("...]", out);
    }
    fputc('\n', out);
}

static void list_tensor(FILE *out, const struct bn_gguf *gguf, const struct bn_gguf_tensor *tensor)
{
    static const uint64_t element[] = {4, 2};
    uint64_t bytes = tensor->type < 2 ? tensor->elements * element[tensor->type] : tensor->elements / 4 + 32;
    fprintf(out, "  - %.*s [", (int)tensor->name.bytes, tensor->name.data);
    if (tensor->type < 2)
        fprintf(out, "GGML_TYPE_%s", tensor->type ? "F16" : "F32");
    else
        fprintf(out, "%u", tensor->type);
    fprintf(out, "] dims=%llu", (unsigned long long)tensor->dims[0]);
    for (uint32_t d = 1; d < tensor->n_dims; d++)
        fprintf(out, "x%llu", (unsigned long long)tensor->dims[d]);
    fprintf(out, " offset=%llu size=%llu\n", (unsigned long long)(tensor->offset - gguf->data_offset),
            (unsigned long long)bytes);
}

static char *list_file(const struct bn_gguf *gguf)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ck_assert_ptr_nonnull(out);
    fprintf(out, "Version: %u\nMetadata count: %u\nTensor count: %u\nData start offset: %llu\n\nMetadata\n",
            gguf->version, gguf->n_keys, gguf->n_tensors, (unsigned long long)gguf->data_offset);
    for (uint32_t i = 0; i < gguf->n_keys; i++)
        list_key(out, &gguf->keys[i]);
    fputs("\nTensors\n", out);
    for (uint32_t i = 0; i < gguf->n_tensors; i++)
        list_tensor(out, gguf, &gguf->tensors[i]);
    fclose(out);
    return text;
}

static void compare_with_published(const char *path)
{
    struct bn_file_map map;
    struct bn_gguf gguf;
    struct bn_error err = {0};
    ck_assert_int_eq(bn_file_map_open(&map, path, &err), BN_OK);
    ck_assert_msg(bn_gguf_init(&gguf, &runtime->host, path, map.data, map.size, &err) == BN_OK, "%s", err.message);
    char *listing = list_file(&gguf), *rest = listing, expected[8192];
    const char *data = getenv("BITNET_TEST_DATA");
    snprintf(expected, sizeof(expected), "%s/2b4t/header.txt", data ? data : "tests/data");
    FILE *file = fopen(expected, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(expected, sizeof(expected), file)); // the name of the published file
    int lines = 0;
    while (fgets(expected, sizeof(expected), file)) {
        size_t n = strcspn(rest, "\n");
        ck_assert_msg(strlen(expected) > n && memcmp(rest, expected, n) == 0 && expected[n] == '\n',
                      "expected %sfound    %.*s", expected, (int)n, rest);
        rest += n + (rest[n] == '\n');
        lines++;
    }
    ck_assert_str_eq(rest, "");
    ck_assert_int_gt(lines, 360);
    ck_assert_uint_eq(map.size, 1187801280);
    ck_assert_uint_eq(bn_gguf_find(&gguf, "tokenizer.ggml.tokens")->count, 128256);
    ck_assert_uint_eq(bn_gguf_find(&gguf, "tokenizer.ggml.merges")->count, 280147);
    fclose(file);
    free(listing);
    bn_gguf_finish(&gguf);
    bn_file_map_close(&map);
}

// Any bytes come back from the made-up vocabulary, and words of its own are one token.
static void round_trip(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, size_t most)
{
    static int32_t ids[4096];
    struct bn_error err = {0};
    size_t n, at = 0;
    ck_assert_msg(bn_tokenize(tokenizer, text, bytes, 0, ids, 4096, &n, &err) == BN_OK, "%s", err.message);
    ck_assert_uint_le(n, most);
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *piece = bn_token_bytes(tokenizer, ids[i], &length);
        ck_assert_uint_le(at + length, bytes);
        ck_assert_mem_eq(piece, text + at, length);
        at += length;
    }
    ck_assert_uint_eq(at, bytes);
}

START_TEST(the_published_header_line_for_line)
{
    make("2b4t.gguf", &(struct bn_synthetic){.size = "2b4t", .no_weights = true});
    compare_with_published(path_of("2b4t.gguf"));
    struct stat st;
    ck_assert_int_eq(stat(path_of("2b4t.gguf"), &st), 0);
    ck_assert_int_lt(st.st_blocks, 65536); // weights are a hole
    struct bn_model *model = open_model("2b4t.gguf");
    ck_assert_uint_eq(bn_model_get_info(model)->n_params, 2412820480);
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(model);
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(tokenizer);
    ck_assert_int_eq(info->bos, 128000);
    ck_assert_int_eq(info->eos, 128001);
    ck_assert_int_eq(info->eot, 128009);
    ck_assert_str_eq(info->pre, "llama-bpe");
    char text[1024];
    for (int i = 0; i < 1024; i++)
        text[i] = (char)(i * 7 + i / 256);
    round_trip(tokenizer, text, sizeof(text), 1024);
    round_trip(tokenizer, "The old dog, the new garden: 12345!", 35, 30);
    round_trip(tokenizer, "domguslokrergib", 15, 1); // a word of five syllables
    round_trip(tokenizer, "        ", 8, 1);
    bn_model_destroy(model);
    unlink(path_of("2b4t.gguf"));
}
END_TEST

static int8_t *trits_of(const struct bn_tensor *tensor)
{
    int8_t *trits = malloc((size_t)tensor->rows * tensor->cols);
    ck_assert(bn_layout_get(tensor->layout)->unpack(tensor->data, tensor->rows, tensor->cols, 0, tensor->rows, trits));
    return trits;
}

static const char *const families[] = {"bitnet-b1.58", "bitnet-25", "bitnet"};

START_TEST(families_and_orders)
{
    const char *family = families[_i];
    struct bn_model *models[4];
    static const enum bn_layout layouts[] = {BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_A, BN_LAYOUT_I2S_B, BN_LAYOUT_I2S_C};
    for (unsigned order = 0; order < 4; order++) {
        make("tiny.gguf", &(struct bn_synthetic){"tiny", family, (enum bn_i2s_order)order, .seed = 5});
        models[order] = open_model("tiny.gguf");
        ck_assert_int_eq(models[order]->layers[1].ffn_down->layout, layouts[order]);
    }
    const struct bn_model_info *info = bn_model_get_info(models[0]);
    ck_assert_str_eq(info->architecture, family);
    ck_assert_int_eq(info->activation, strcmp(family, "bitnet") ? BN_ACTIVATION_RELU2 : BN_ACTIVATION_SILU);
    ck_assert_int_eq(models[0]->output == models[0]->token_embd, strcmp(family, "bitnet-25") != 0);
    round_trip(bn_model_get_tokenizer(models[0]), "\xff\0 caf\xc3\xa9", 8, 8);
    for (size_t t = 0; t < models[0]->n_tensors; t++) {
        const struct bn_tensor *a = &models[0]->tensors[t];
        bool ternary = bn_layout_get(a->layout)->kind == BN_LAYOUT_TERNARY;
        int8_t *trits = ternary ? trits_of(a) : NULL;
        for (unsigned order = 1; order < 4; order++) {
            const struct bn_tensor *other = &models[order]->tensors[t];
            ck_assert(a->scale == other->scale);
            int8_t *same = ternary ? trits_of(other) : NULL;
            ck_assert_mem_eq(ternary ? (const void *)trits : a->data, ternary ? (const void *)same : other->data,
                             ternary ? (size_t)a->rows * a->cols : a->bytes);
            if (ternary && order > 1)
                ck_assert_mem_ne(a->data, other->data, a->bytes);
            free(same);
        }
        free(trits);
    }
    for (unsigned order = 0; order < 4; order++)
        bn_model_destroy(models[order]);
    unlink(path_of("tiny.gguf"));
}
END_TEST

START_TEST(weights_are_random_and_depend_on_the_seed_only)
{
    make("a.gguf", &(struct bn_synthetic){.size = "tiny", .seed = 1});
    make("b.gguf", &(struct bn_synthetic){.size = "tiny", .seed = 1});
    make("c.gguf", &(struct bn_synthetic){.size = "tiny", .seed = 2});
    struct bn_model *a = open_model("a.gguf"), *b = open_model("b.gguf"), *c = open_model("c.gguf");
    ck_assert_uint_eq(a->map.size, b->map.size);
    ck_assert_mem_eq(a->map.data, b->map.data, a->map.size);
    for (size_t t = 0; t < a->n_tensors; t++)
        ck_assert_mem_ne(a->tensors[t].data, c->tensors[t].data, a->tensors[t].bytes);
    const struct bn_tensor *down = a->layers[1].ffn_down;
    int8_t *trits = trits_of(down);
    size_t n = (size_t)down->rows * down->cols, count[3] = {0};
    for (size_t i = 0; i < n; i++)
        count[trits[i] + 1]++;
    for (int k = 0; k < 3; k++) // a third each, within five deviations
        ck_assert_msg(count[k] > n / 3 - 525 && count[k] < n / 3 + 525, "%zu of %zu", count[k], n);
    free(trits);
    ck_assert(a->layers[0].attn_q->scale != a->layers[0].attn_k->scale);
    double square = 0;
    float row[128];
    for (uint32_t r = 0; r < 512; r++) {
        bn_layout_get(BN_LAYOUT_F16)->widen(a->token_embd->data, 128, r, row);
        for (int i = 0; i < 128; i++)
            square += (double)row[i] * row[i];
    }
    square /= 512 * 128;
    ck_assert(square > 0.0024 && square < 0.0026); // 0.05 squared
    bn_model_destroy(a);
    bn_model_destroy(b);
    bn_model_destroy(c);
    unlink(path_of("a.gguf"));
    unlink(path_of("b.gguf"));
    unlink(path_of("c.gguf"));
}
END_TEST

static bool stop_at_once(void *user, uint64_t done, uint64_t total)
{
    return false;
}

START_TEST(nothing_is_left_of_a_failure)
{
    struct bn_error err = {0};
    struct bn_synthetic config = {.size = "tiny", .progress = stop_at_once};
    ck_assert_int_eq(bn_synthetic_write(runtime, path_of("x"), &config, &err), BN_ERR_CANCELLED);
    config = (struct bn_synthetic){.size = "huge"};
    ck_assert_int_eq(bn_synthetic_write(runtime, path_of("x"), &config, &err), BN_ERR_ARGUMENT);
    config = (struct bn_synthetic){.size = "2b4t", .architecture = "bitnet"};
    ck_assert_int_eq(bn_synthetic_write(runtime, path_of("x"), &config, &err), BN_ERR_ARGUMENT);
    config = (struct bn_synthetic){.size = "tiny", .architecture = "llama"};
    ck_assert_int_eq(bn_synthetic_write(runtime, path_of("x"), &config, &err), BN_ERR_ARGUMENT);
    config = (struct bn_synthetic){.size = "tiny"};
    ck_assert_int_eq(bn_synthetic_write(runtime, path_of("missing/x"), &config, &err), BN_ERR_IO);
    ck_assert_int_ne(err.native, 0);
    ck_assert_int_eq(rmdir(folder), 0); // it is empty
    ck_assert_ptr_nonnull(mkdtemp(strcpy(folder, "/tmp/bitnet-test-XXXXXX")));
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
    const struct bn_synthetic config = {.size = "tiny", .order = BN_I2S_C};
    struct bn_runtime_config runtime_config;
    struct bn_runtime *limited;
    BN_INIT(runtime_config);
    runtime_config.allocator = &allocator;
    left = 1;
    ck_assert_int_eq(bn_runtime_create(&runtime_config, &limited, NULL), BN_OK);
    for (long n = 0; n < 40; n++) { // the later ones are of bn_repack
        left = n;
        ck_assert_int_eq(bn_synthetic_write(limited, path_of("x"), &config, NULL), BN_ERR_NO_MEMORY);
        ck_assert_int_eq(live, 1); // the runtime
    }
    left = 100000;
    ck_assert_int_eq(bn_synthetic_write(limited, path_of("x"), &config, NULL), BN_OK);
    bn_runtime_destroy(limited);
    ck_assert_int_eq(live, 0);
    ck_assert_int_eq(unlink(path_of("x")), 0);
}
END_TEST

// Each misuse leaves no file.
START_TEST(the_writer_checks_what_was_announced)
{
    for (int misuse = 0; misuse < 7; misuse++) {
        struct bn_gguf_write writer;
        struct bn_error err = {0};
        ck_assert_int_eq(bn_gguf_write_begin(&writer, &runtime->host, path_of("w"), &err), BN_OK);
        bn_gguf_write_array(&writer, "general.x", BN_GGUF_U32, 2);
        bn_gguf_write_array_u32(&writer, 1);
        if (misuse != 0)
            bn_gguf_write_array_u32(&writer, 2);
        if (misuse == 1)
            bn_gguf_write_array_u32(&writer, 3);
        bn_gguf_write_tensor(&writer, "t", 8, 0, BN_GGUF_TENSOR_F32, 32);
        if (misuse == 2)
            bn_gguf_write_u32(&writer, "general.y", 1);
        float data[9] = {0};
        bn_gguf_write_data(&writer, data, misuse == 3 ? 28 : misuse == 4 ? 36 : 32);
        if (misuse == 5)
            bn_gguf_write_tensor(&writer, "u", 8, 0, BN_GGUF_TENSOR_F32, 32);
        enum bn_result result = bn_gguf_write_end(&writer, true);
        ck_assert_msg(result == (misuse == 6 ? BN_OK : BN_ERR_ARGUMENT), "%d: %s", misuse, bn_result_name(result));
        ck_assert_int_eq(access(path_of("w"), F_OK), misuse == 6 ? 0 : -1);
    }
    unlink(path_of("w"));
}
END_TEST

int main(void)
{
    if (without_pcre2())
        return 77;
    if (!mkdtemp(folder) || bn_runtime_create(NULL, &runtime, NULL) != BN_OK)
        return 99;
    TCase *tcase = tcase_create("convert");
    tcase_add_test(tcase, the_published_header_line_for_line);
    tcase_add_loop_test(tcase, families_and_orders, 0, 3);
    tcase_add_test(tcase, weights_are_random_and_depend_on_the_seed_only);
    tcase_add_test(tcase, nothing_is_left_of_a_failure);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, the_writer_checks_what_was_announced);
    Suite *suite = suite_create("convert");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    bn_runtime_destroy(runtime);
    rmdir(folder);
    return failed == 0 ? 0 : 1;
}
