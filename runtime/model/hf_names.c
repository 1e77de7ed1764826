#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/hf_impl.h"

// Of a layer, without ".weight". `post`: the name in families with norms behind attention and feed-forward, if it differs.
static const struct {
    const char *name, *gguf, *post;
} layer_names[] = {
    {"input_layernorm", "attn_norm", NULL},
    {"self_attn.q_proj", "attn_q", NULL},
    {"self_attn.k_proj", "attn_k", NULL},
    {"self_attn.v_proj", "attn_v", NULL},
    {"self_attn.o_proj", "attn_output", NULL},
    {"self_attn.q_proj.norm", "attn_q_norm_in", NULL}, // of embedding models, as the other norms of inputs
    {"self_attn.k_proj.norm", "attn_k_norm_in", NULL},
    {"self_attn.v_proj.norm", "attn_v_norm_in", NULL},
    {"self_attn.o_proj.norm", "attn_output_norm_in", NULL},
    {"mlp.gate_proj.norm", "ffn_gate_norm_in", NULL},
    {"mlp.up_proj.norm", "ffn_up_norm_in", NULL},
    {"mlp.down_proj.norm", "ffn_down_norm_in", NULL},
    {"self_attn.q_norm", "attn_q_norm", NULL},
    {"self_attn.k_norm", "attn_k_norm", NULL},
    {"self_attn.attn_sub_norm", "attn_sub_norm", NULL},
    {"self_attn.inner_attn_ln", "attn_sub_norm", NULL}, // 1bitLLM
    {"post_attention_layernorm", "ffn_norm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm", NULL},
    {"post_feedforward_layernorm", "post_ffw_norm", NULL},
    {"mlp.gate_proj", "ffn_gate", NULL},
    {"mlp.up_proj", "ffn_up", NULL},
    {"mlp.down_proj", "ffn_down", NULL},
    {"mlp.ffn_sub_norm", "ffn_sub_norm", NULL},
    {"mlp.ffn_layernorm", "ffn_sub_norm", NULL}, // 1bitLLM
};

static const struct {
    const char *name, *gguf;
} model_names[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"lm_head", "output"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// name is STEM.weight.
static bool is_weight_of(const char *name, const char *stem)
{
    size_t n = strlen(stem);
    return strncmp(name, stem, n) == 0 && strcmp(name + n, ".weight") == 0;
}

static const char *skip(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

// Behind "layers.N.", with N as no other text would say it.
static const char *skip_layer(const char *name, uint32_t *layer)
{
    const char *digits = skip(name, "layers.");
    if (!digits)
        return NULL;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 6 || (n > 1 && digits[0] == '0') || digits[n] != '.')
        return NULL;
    *layer = (uint32_t)strtoul(digits, NULL, 10);
    return digits + n + 1;
}

bool bn_hf_is_input_norm(const char *gguf)
{
    return strstr(gguf, "_norm_in") != NULL;
}

bool bn_hf_tensor_name(const struct bn_hf_family *family, const char *name, char to[BN_HF_NAME_BYTES])
{
    uint32_t layer = 0;
    const char *inner = skip(name, "model.");
    inner = inner ? inner : name;
    for (size_t i = 0; i < COUNT(model_names); i++) {
        if (is_weight_of(inner, model_names[i].name)) {
            snprintf(to, BN_HF_NAME_BYTES, "%s.weight", model_names[i].gguf);
            return true;
        }
    }
    inner = skip_layer(inner, &layer);
    for (size_t i = 0; inner && i < COUNT(layer_names); i++) {
        if (is_weight_of(inner, layer_names[i].name)) {
            if (bn_hf_is_input_norm(layer_names[i].gguf) && !family->embeds)
                return false;
            const char *gguf = family->post_norms && layer_names[i].post ? layer_names[i].post : layer_names[i].gguf;
            snprintf(to, BN_HF_NAME_BYTES, "blk.%" PRIu32 ".%s.weight", layer, gguf);
            return true;
        }
    }
    return false;
}

bool bn_hf_checkpoint_name(const struct bn_hf_family *family, const char *gguf, char *to, size_t bytes)
{
    const char *prefix = family->embeds ? "" : "model.", *found = NULL, *layer = skip(gguf, "blk.");
    for (size_t i = 0; i < COUNT(model_names) && !layer; i++) {
        bool head = strcmp(model_names[i].name, "lm_head") == 0;
        if (is_weight_of(gguf, model_names[i].gguf) && !(head && family->embeds)) {
            snprintf(to, bytes, "%s%s.weight", head ? "" : prefix, model_names[i].name);
            return true;
        }
    }
    size_t digits = layer ? strspn(layer, "0123456789") : 0;
    if (digits == 0 || digits > 6 || layer[digits] != '.')
        return false;
    // Of several names the first, but the last of 1bitLLM's.
    bool last = strcmp(family->class_name, "BitnetForCausalLM") == 0;
    for (size_t i = 0; i < COUNT(layer_names); i++) {
        const char *name = family->post_norms && layer_names[i].post ? layer_names[i].post : layer_names[i].gguf;
        if (is_weight_of(layer + digits + 1, name) && (last || !found))
            found = layer_names[i].name;
    }
    if (found)
        snprintf(to, bytes, "%slayers.%.*s.%s.weight", prefix, (int)digits, layer, found);
    return found != NULL;
}

bool bn_hf_is_derived(const char *name)
{
    uint32_t layer;
    const char *inner = skip(name, "model.");
    inner = skip_layer(inner ? inner : name, &layer);
    return inner && strcmp(inner, "self_attn.rotary_emb.inv_freq") == 0;
}
