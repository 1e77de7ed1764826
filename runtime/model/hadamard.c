// Prism's rotation of features, version 1: which matrices were folded, and by what. A key of it that is not known is refused,
// since a model whose features are not rotated as its weights were gives fluent nonsense.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/model/load.h"

#define PREFIX "prism.hadamard."
#define MOST_BLOCK 65536u

static const char *const known_keys[] = {
    PREFIX "version",       PREFIX "transform",    PREFIX "axis",
    PREFIX "block_size",    PREFIX "sign_mode",    PREFIX "sign_widths",
    PREFIX "sign_values",   PREFIX "weight_names", PREFIX "inverse_weight_names",
    PREFIX "gdn_v_grouped", // of layers with linear attention, which no family here has
};

static enum bn_result fail(struct bn_load *load, enum bn_result code, const char *name, const char *message)
{
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, name);
    struct bn_str subject = {name, strlen(name)};
    return bn_gguf_fail(load->gguf, code, &subject, key ? key->offset : UINT64_MAX, load->err, "%s", message);
}

static enum bn_result check_keys(struct bn_load *load, bool *any)
{
    for (uint32_t i = 0; i < load->gguf->n_keys; i++) {
        const struct bn_gguf_key *key = &load->gguf->keys[i];
        bool known = !bn_str_starts(key->name, PREFIX);
        *any |= !known;
        for (size_t k = 0; k < sizeof(known_keys) / sizeof(known_keys[0]) && !known; k++)
            known = bn_str_is(key->name, known_keys[k]);
        if (!known)
            return bn_gguf_fail(load->gguf, BN_ERR_UNSUPPORTED, &key->name, key->offset, load->err,
                                "an unknown key of Prism's rotation, which may change what the model computes");
    }
    return BN_OK;
}

static enum bn_result must_be(struct bn_load *load, const char *name, const char *wanted)
{
    struct bn_str value = {0};
    char message[160];
    enum bn_result result = bn_gguf_get_str(load->gguf, name, true, &value, load->err);
    snprintf(message, sizeof(message), "is not supported, only %s is", wanted);
    return result != BN_OK || bn_str_is(value, wanted) ? result : fail(load, BN_ERR_UNSUPPORTED, name, message);
}

static enum bn_result read_transform(struct bn_load *load)
{
    struct bn_hadamard *hadamard = &load->model->hadamard;
    uint32_t version = 0, block = 0;
    enum bn_result result = bn_gguf_get_u32(load->gguf, PREFIX "version", true, &version, load->err);
    if (result == BN_OK && version != 1)
        result = fail(load, BN_ERR_UNSUPPORTED, PREFIX "version", "is not supported, only version 1 is");
    if (result == BN_OK)
        result = must_be(load, PREFIX "transform", "normalized-sylvester-walsh-hadamard");
    if (result == BN_OK)
        result = must_be(load, PREFIX "axis", "input-last-dimension");
    if (result == BN_OK)
        result = bn_gguf_get_u32(load->gguf, PREFIX "block_size", true, &block, load->err);
    if (result == BN_OK && (block < 2 || block > MOST_BLOCK || (block & (block - 1))))
        result = fail(load, BN_ERR_MODEL, PREFIX "block_size", "expected a power of 2 from 2 to 65536");
    hadamard->block = block;
    return result;
}

// The values of all widths, one after the other.
static enum bn_result read_signs(struct bn_load *load)
{
    struct bn_hadamard *hadamard = &load->model->hadamard;
    const struct bn_gguf_key *widths, *values;
    uint64_t at = 0;
    enum bn_result result = bn_gguf_get_integers(load->gguf, PREFIX "sign_widths", true, &widths, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_integers(load->gguf, PREFIX "sign_values", true, &values, load->err);
    if (result != BN_OK)
        return result;
    if (widths->count > BN_MOST_SIGNS)
        return fail(load, BN_ERR_UNSUPPORTED, PREFIX "sign_widths", "more widths than models of this family have");
    hadamard->values = bn_alloc_array(load->model->host, values->count, sizeof(float));
    if (!hadamard->values)
        return bn_fail_memory(load->err, values->count * sizeof(float), "the signs");
    for (uint64_t i = 0; i < values->count; i++) {
        int64_t sign = bn_gguf_integer_at(values, i);
        if (sign != 1 && sign != -1)
            return fail(load, BN_ERR_MODEL, PREFIX "sign_values", "a sign is neither 1 nor -1");
        hadamard->values[i] = (float)sign;
    }
    for (uint64_t i = 0; i < widths->count; i++) {
        int64_t width = bn_gguf_integer_at(widths, i);
        if (width < 1 || (uint64_t)width > values->count - at)
            return fail(load, BN_ERR_MODEL, PREFIX "sign_widths", "do not sum to the number of sign_values");
        hadamard->signs[hadamard->n_signs++] = (struct bn_tensor){
            .name = PREFIX "sign_values",
            .data = (const uint8_t *)(hadamard->values + at),
            .bytes = (uint64_t)width * sizeof(float),
            .offset = values->offset,
            .rows = 1,
            .cols = (uint32_t)width,
            .layout = BN_LAYOUT_F32,
            .as = BN_LAYOUT_F32,
            .scale = 1,
            .widened = true,
        };
        at += (uint64_t)width;
    }
    return at == values->count
               ? BN_OK
               : fail(load, BN_ERR_MODEL, PREFIX "sign_widths", "do not sum to the number of sign_values");
}

static enum bn_result read_sign_mode(struct bn_load *load)
{
    struct bn_str mode = {0};
    enum bn_result result = bn_gguf_get_str(load->gguf, PREFIX "sign_mode", true, &mode, load->err);
    if (result != BN_OK || bn_str_is(mode, "identity"))
        return result;
    return bn_str_is(mode, "explicit")
               ? read_signs(load)
               : fail(load, BN_ERR_UNSUPPORTED, PREFIX "sign_mode", "is not known: identity and explicit are");
}

static bool is_matrix(const struct bn_model *model, const struct bn_tensor *tensor)
{
    return tensor->rows > 1 || tensor == model->token_embd || tensor == model->output;
}

// Marks the tensors of a list. Those of inverse_weight_names can be nothing but the embedding.
static enum bn_result mark(struct bn_load *load, const char *name, bool inverse)
{
    struct bn_model *model = load->model;
    const struct bn_gguf_key *key;
    enum bn_result result = bn_gguf_get_array(load->gguf, name, !inverse, BN_GGUF_STRING, &key, load->err);
    if (!key)
        return result;
    if (key->count > model->n_tensors)
        return fail(load, BN_ERR_MODEL, name, "more names than the model has tensors");
    const uint8_t *at = key->data;
    for (uint64_t i = 0; i < key->count; i++) {
        struct bn_str wanted = bn_gguf_next_str(&at);
        struct bn_tensor *found = NULL;
        for (size_t t = 0; t < model->n_tensors && !found; t++)
            found = bn_str_is(wanted, model->tensors[t].name) ? &model->tensors[t] : NULL;
        bool right = found && is_matrix(model, found) &&
                     (inverse ? found == model->token_embd : found != model->token_embd || found == model->output);
        char text[64], message[160];
        snprintf(message, sizeof(message), "%s is no matrix that can be so used",
                 bn_str_text(wanted, text, sizeof(text)));
        if (!right)
            return fail(load, BN_ERR_UNSUPPORTED, name, message);
        found->folded |= !inverse;
        found->latent |= inverse;
    }
    return BN_OK;
}

static enum bn_result fail_tensor(struct bn_load *load, const struct bn_tensor *tensor, const char *message)
{
    return bn_fail_at(load->err, BN_ERR_UNSUPPORTED, load->gguf->file, tensor->name, tensor->offset, "%s", message);
}

// A folded matrix needs whole blocks and signs for its columns.
static enum bn_result check_widths(struct bn_load *load)
{
    const struct bn_model *model = load->model;
    const struct bn_hadamard *hadamard = &model->hadamard;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const struct bn_tensor *tensor = &model->tensors[i];
        if (!tensor->folded && !tensor->latent)
            continue;
        if (tensor->cols % hadamard->block)
            return fail_tensor(load, tensor, "its columns are not a multiple of prism.hadamard.block_size");
        if (hadamard->n_signs && !bn_hadamard_signs(hadamard, tensor->cols))
            return fail_tensor(load, tensor, "prism.hadamard.sign_widths has no signs for its columns");
    }
    return BN_OK;
}

// Matrices that multiply the same features are folded alike.
static enum bn_result check_inputs(struct bn_load *load)
{
    const struct bn_model *model = load->model;
    for (uint32_t i = 0; i < model->info.n_layer; i++) {
        const struct bn_layer *layer = &model->layers[i];
        const struct bn_tensor *const pairs[][2] = {
            {layer->attn_q, layer->attn_k}, {layer->attn_q, layer->attn_v}, {layer->ffn_gate, layer->ffn_up}};
        for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
            if (pairs[p][0]->folded != pairs[p][1]->folded)
                return fail_tensor(load, pairs[p][1], "is folded, or is not, unlike what multiplies the same features");
    }
    if (model->output == model->token_embd && model->output->latent && !model->output->folded)
        return fail_tensor(load, model->output, "is the head too, and nothing says whether that is folded");
    if (load->parts & (BN_PART_INPUT_NORM | BN_PART_SUB_NORM))
        return fail(load, BN_ERR_UNSUPPORTED, PREFIX "version", "is not supported for models with these norms");
    return BN_OK;
}

enum bn_result bn_load_hadamard(struct bn_load *load)
{
    bool any = false;
    enum bn_result result = check_keys(load, &any);
    if (result != BN_OK || !any)
        return result;
    result = read_transform(load);
    if (result == BN_OK)
        result = read_sign_mode(load);
    if (result == BN_OK)
        result = mark(load, PREFIX "weight_names", false);
    if (result == BN_OK)
        result = mark(load, PREFIX "inverse_weight_names", true);
    if (result == BN_OK)
        result = check_widths(load);
    return result == BN_OK ? check_inputs(load) : result;
}
