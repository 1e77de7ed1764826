// How positions are turned, and how far a row sees.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "runtime/base/fail.h"
#include "runtime/model/load.h"

static enum bn_result read_scaling(struct bn_load *load, struct bn_rope *rope)
{
    static const struct {
        const char *name;
        enum bn_rope_scaling scaling;
    } scalings[] = {{"none", BN_ROPE_UNSCALED}, {"linear", BN_ROPE_LINEAR}, {"yarn", BN_ROPE_YARN}};
    char text[BN_KEY_BYTES];
    struct bn_str name = {0};
    enum bn_result result =
        bn_gguf_get_str(load->gguf, bn_load_key(load, "rope.scaling.type", text), false, &name, load->err);
    if (result != BN_OK || !name.data)
        return result;
    for (size_t i = 0; i < sizeof(scalings) / sizeof(scalings[0]); i++) {
        if (bn_str_is(name, scalings[i].name)) {
            rope->scaling = scalings[i].scaling;
            return BN_OK;
        }
    }
    return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "rope.scaling.type",
                            "is not supported, only none, linear and yarn are");
}

static enum bn_result read_figures(struct bn_load *load, struct bn_rope *rope)
{
    float yarn_factor = 1;
    const struct {
        const char *name;
        float *value;
        float least;
    } figures[] = {
        {"rope.scaling.factor", &rope->factor, 1},
        {"rope.scaling.attn_factor", &rope->attention_factor, 0x1p-10f},
        {"rope.scaling.yarn_attn_factor", &yarn_factor, 0x1p-10f},
        {"rope.scaling.yarn_beta_fast", &rope->beta_fast, 0x1p-10f},
        {"rope.scaling.yarn_beta_slow", &rope->beta_slow, 0x1p-10f},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        char text[BN_KEY_BYTES], message[64];
        enum bn_result result =
            bn_gguf_get_f32(load->gguf, bn_load_key(load, figures[i].name, text), false, figures[i].value, load->err);
        if (result != BN_OK)
            return result;
        snprintf(message, sizeof(message), "expected a number from %g to 65536", (double)figures[i].least);
        if (!(*figures[i].value >= figures[i].least && *figures[i].value <= 65536))
            return bn_load_fail_key(load, BN_ERR_MODEL, figures[i].name, message);
    }
    rope->attention_factor *= yarn_factor;
    char text[BN_KEY_BYTES];
    rope->n_ctx_original = load->model->info.n_ctx_train;
    return bn_gguf_get_u32(load->gguf, bn_load_key(load, "rope.scaling.original_context_length", text), false,
                           &rope->n_ctx_original, load->err);
}

// What the figures must be to each other. Without a scaling there must be no factor, or the file means one that is not named.
static enum bn_result check_rope(struct bn_load *load, struct bn_rope *rope)
{
    if (rope->scaling == BN_ROPE_UNSCALED && (rope->factor != 1 || rope->attention_factor != 1))
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "rope.scaling.factor",
                                "is not supported without rope.scaling.type, only 1 is");
    if (rope->scaling == BN_ROPE_LINEAR && rope->attention_factor != 1)
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "rope.scaling.attn_factor",
                                "is not supported with linear scaling, only 1 is");
    if (rope->scaling == BN_ROPE_YARN && (rope->n_ctx_original == 0 || rope->beta_fast <= rope->beta_slow))
        return bn_load_fail_key(load, BN_ERR_MODEL, "rope.scaling.type",
                                "yarn needs an original context, and a beta_fast above beta_slow");
    if (rope->scaling == BN_ROPE_LINEAR && rope->factor == 1)
        rope->scaling = BN_ROPE_UNSCALED; // converters write it
    return BN_OK;
}

static enum bn_result read_window(struct bn_load *load)
{
    struct bn_model *model = load->model;
    char text[BN_KEY_BYTES];
    model->period = load->family->period;
    enum bn_result result = bn_gguf_get_u32(load->gguf, bn_load_key(load, "attention.sliding_window", text), false,
                                            &model->window, load->err);
    if (result == BN_OK)
        result = bn_gguf_get_u32(load->gguf, bn_load_key(load, "attention.sliding_window_pattern", text), false,
                                 &model->period, load->err);
    if (result != BN_OK || model->window == 0)
        return result;
    if (load->family->period == 0)
        return bn_load_fail_key(load, BN_ERR_UNSUPPORTED, "attention.sliding_window", "is not supported, only 0 is");
    if (model->period == 0)
        return bn_load_fail_key(load, BN_ERR_MODEL, "attention.sliding_window_pattern", "expected a number above 0");
    model->local_rope.theta = load->family->local_theta ? load->family->local_theta : model->rope.theta;
    result = bn_gguf_get_f32(load->gguf, bn_load_key(load, "rope.freq_base_swa", text), false, &model->local_rope.theta,
                             load->err);
    if (result == BN_OK && !(isfinite(model->local_rope.theta) && model->local_rope.theta >= 1))
        return bn_load_fail_key(load, BN_ERR_MODEL, "rope.freq_base_swa", "expected a finite number of at least 1");
    return result;
}

enum bn_result bn_load_rope(struct bn_load *load)
{
    struct bn_model *model = load->model;
    struct bn_rope *rope = &model->rope;
    *rope = (struct bn_rope){
        .theta = model->info.rope_theta, .factor = 1, .attention_factor = 1, .beta_fast = 32, .beta_slow = 1};
    model->local_rope = *rope;
    enum bn_result result = read_scaling(load, rope);
    if (result == BN_OK)
        result = read_figures(load, rope);
    if (result == BN_OK)
        result = check_rope(load, rope);
    return result == BN_OK ? read_window(load) : result;
}
