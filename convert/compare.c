#include "convert/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/text/tokenizer.h"

struct pair {
    const struct bn_source *a, *b;
    struct bn_difference *difference;
    struct bn_error *err;
};

static bool differ(const struct pair *pair, const char *what, const char *text)
{
    snprintf(pair->difference->what, sizeof(pair->difference->what), "%s", what);
    snprintf(pair->difference->text, sizeof(pair->difference->text), "%s", text);
    return true;
}

#define FIGURE(name)                                                                                                   \
    if (a->name != b->name) {                                                                                          \
        snprintf(text, sizeof(text), "%g and %g", (double)a->name, (double)b->name);                                   \
        return differ(pair, #name, text);                                                                              \
    }
static bool figures_differ(const struct pair *pair)
{
    const struct bn_model_info *a = &pair->a->model->info, *b = &pair->b->model->info;
    char text[160];
    FIGURE(n_vocab)
    FIGURE(n_embd)
    FIGURE(n_layer)
    FIGURE(n_head)
    FIGURE(n_head_kv)
    FIGURE(head_dim)
    FIGURE(n_ff)
    FIGURE(n_ctx_train)
    FIGURE(rope_theta)
    FIGURE(norm_eps)
    if (strcmp(a->architecture, b->architecture) != 0) {
        snprintf(text, sizeof(text), "%s and %s", a->architecture, b->architecture);
        return differ(pair, "architecture", text);
    }
    return a->activation != b->activation && differ(pair, "activation", "is another");
}
#undef FIGURE

static bool tokens_differ(const struct pair *pair)
{
    const struct bn_tokenizer *a = pair->a->model->tokenizer, *b = pair->b->model->tokenizer;
    uint32_t n = bn_tokenizer_get_info(a)->n_vocab;
    for (uint32_t i = 0; i < n; i++) {
        size_t n_a, n_b;
        const char *text_a = bn_token_bytes(a, (int32_t)i, &n_a), *text_b = bn_token_bytes(b, (int32_t)i, &n_b);
        if (n_a != n_b || memcmp(text_a, text_b, n_a) != 0) {
            char what[32];
            snprintf(what, sizeof(what), "token %" PRIu32, i);
            return differ(pair, what, "is another text");
        }
    }
    return false;
}

// A matrix with the values that it is run with: one that is to be quantised is, into `room`.
static enum bn_result as_run(const struct pair *pair, const struct bn_source *source, const struct bn_tensor *tensor,
                             uint8_t **room, float **scales, struct bn_matrix *matrix)
{
    *matrix = bn_tensor_matrix(tensor);
    bool to_quantise =
        bn_source_kind_of(source, tensor) == BN_SOURCE_LINEAR && bn_layout_get(tensor->layout)->kind == BN_LAYOUT_FLOAT;
    if (!to_quantise)
        return BN_OK;
    enum bn_layout layout = tensor->as;
    size_t bytes = (size_t)bn_layout_bytes(layout, tensor->rows, tensor->cols);
    size_t n_scales = (size_t)(tensor->rows * bn_layout_scales(layout, tensor->cols));
    *room = bn_alloc(source->host, bytes);
    *scales = bn_alloc_array(source->host, n_scales, sizeof(float));
    if (!*room || !*scales)
        return bn_fail_memory(pair->err, bytes, "a matrix");
    struct bn_repacked to = {.layout = layout, .data = *room, .scales = n_scales ? *scales : NULL};
    enum bn_result result = bn_repack(source->host, matrix, &to, BN_REPACK_EXACT, pair->err);
    *matrix = (struct bn_matrix){layout,
                                 tensor->rows,
                                 tensor->cols,
                                 *room,
                                 n_scales ? *scales : NULL,
                                 tensor->rule != 0 ? tensor->scale : to.scale};
    return result;
}

static enum bn_result compare_rows(const struct pair *pair, const struct bn_tensor *a, const struct bn_tensor *b,
                                   const struct bn_matrix *in_a, const struct bn_matrix *in_b, bool *same)
{
    bool moved_a = bn_source_is_permuted(pair->a, a), moved_b = bn_source_is_permuted(pair->b, b);
    float *rows = bn_alloc_array(pair->a->host, 2 * (size_t)a->cols, sizeof(*rows));
    if (!rows)
        return bn_fail_memory(pair->err, 2 * a->cols * sizeof(*rows), "rows of weights");
    *same = true;
    for (uint32_t r = 0; r < a->rows && *same; r++) {
        bn_matrix_widen(in_a, moved_a ? bn_source_row(pair->a, r) : r, rows);
        bn_matrix_widen(in_b, moved_b ? bn_source_row(pair->b, r) : r, rows + a->cols);
        for (uint32_t c = 0; c < a->cols && *same; c++)
            *same = rows[c] == rows[a->cols + c] || (rows[c] != rows[c] && rows[a->cols + c] != rows[a->cols + c]);
        if (!*same) {
            char text[160];
            snprintf(text, sizeof(text), "row %" PRIu32 " differs", r);
            differ(pair, a->name, text);
        }
    }
    bn_free(pair->a->host, rows);
    return BN_OK;
}

static enum bn_result compare_tensor(const struct pair *pair, const struct bn_tensor *a, bool *same)
{
    const struct bn_tensor *b = bn_source_find(pair->b, a->name);
    *same = b && a->rows == b->rows && a->cols == b->cols;
    if (!*same) {
        differ(pair, a->name, b ? "has another shape" : "is in the first only");
        return BN_OK;
    }
    uint8_t *rooms[2] = {NULL, NULL};
    float *scales[2] = {NULL, NULL};
    struct bn_matrix in_a, in_b;
    enum bn_result result = as_run(pair, pair->a, a, &rooms[0], &scales[0], &in_a);
    if (result == BN_OK)
        result = as_run(pair, pair->b, b, &rooms[1], &scales[1], &in_b);
    if (result == BN_OK)
        result = compare_rows(pair, a, b, &in_a, &in_b, same);
    for (int i = 0; i < 2; i++) {
        bn_free(pair->a->host, rooms[i]);
        bn_free(pair->a->host, scales[i]);
    }
    return result;
}

bool bn_compare(const struct bn_source *a, const struct bn_source *b, size_t *at, struct bn_difference *difference,
                enum bn_result *result, struct bn_error *err)
{
    const struct pair pair = {a, b, difference, err};
    size_t n_a = a->model->n_tensors, n_b = b->model->n_tensors;
    *result = BN_OK;
    if (*at == 0 && (*at)++ == 0 && figures_differ(&pair)) {
        *at = 2 + n_a + n_b; // nothing else can be compared
        return true;
    }
    if (*at == 1 && (*at)++ == 1 && tokens_differ(&pair))
        return true;
    for (; *at < 2 + n_a + n_b;) {
        size_t i = (*at)++ - 2;
        bool same = true;
        if (i < n_a)
            *result = compare_tensor(&pair, &a->model->tensors[i], &same);
        else if (!bn_source_find(a, b->model->tensors[i - n_a].name))
            same = !differ(&pair, b->model->tensors[i - n_a].name, "is in the second only");
        if (*result != BN_OK || !same)
            return *result == BN_OK;
    }
    return false;
}
