// Damaged and unsupported files: one change each to a sound one, and the code and place that must be reported.
#include <math.h>

#include <bitnet/bitnet.h>

#include "gguf_build.h"
#include "tests/without.h"

#define P "prism.hadamard."

static struct bn_runtime *runtime;
static struct build *b;

static enum bn_result open_bytes(const uint8_t *data, size_t size, struct bn_error *err)
{
    struct bn_model *model;
    enum bn_result result = bn_model_open_memory(runtime, data, size, "damaged.gguf", NULL, &model, err);
    ck_assert_msg((result == BN_OK) == (model != NULL), "a model and a failure");
    bn_model_destroy(model);
    return result;
}

static struct build_key *key(const char *name)
{
    for (size_t i = 0; i < b->k; i++) {
        if (strcmp(b->keys[i].name, name) == 0)
            return &b->keys[i];
    }
    ck_abort_msg("no key %s", name);
    return NULL;
}

static struct build_tensor *tensor(const char *name)
{
    return tensor_of(b, name);
}

static void set_dims(const char *name, uint32_t n, uint64_t d0, uint64_t d1)
{
    struct build_tensor *t = tensor(name);
    t->n_dims = n;
    t->dims[0] = d0;
    t->dims[1] = d1;
    t->dims[2] = t->dims[3] = t->dims[4] = 1;
}

static void retype(const char *name, uint32_t type)
{
    struct build_tensor *t = tensor(name);
    t->type = type;
    t->bytes = data_bytes(type, t->dims[0] * t->dims[1]);
}

static void set_integers(const char *name, const int32_t *values, size_t n)
{
    bytes_add(set_array(b, name, I32, n), values, n * sizeof(*values));
}

static void set_names(const char *name, const char *value)
{
    set_strings(b, name, &value, value[0] != 0);
}

// The keys of Prism's rotation, as they should be: one matrix is folded.
static void rotate(const char *folded)
{
    int32_t signs[128 + 256];
    for (int i = 0; i < 128 + 256; i++)
        signs[i] = i % 3 ? 1 : -1;
    set_u32(b, P "version", 1);
    set_u32(b, P "block_size", 64);
    set_str(b, P "transform", "normalized-sylvester-walsh-hadamard");
    set_str(b, P "axis", "input-last-dimension");
    set_str(b, P "sign_mode", "explicit");
    set_integers(P "sign_widths", (const int32_t[]){128, 256}, 2);
    set_integers(P "sign_values", signs, 128 + 256);
    set_names(P "weight_names", folded);
    set_names(P "inverse_weight_names", "token_embd.weight");
}

#define A "bitnet-b1.58."
#define Q "blk.0.attn_q.weight"
#define DOWN "blk.0.ffn_down.weight"

// name, code, part of the subject ("" if only the offset can say where), part of the message, the change
#define CASES(X)                                                                                                       \
    X(magic, MODEL, "", "not a GGUF file", memcpy(b->magic, "GGML", 4))                                                \
    X(magic_big_endian, UNSUPPORTED, "", "big-endian", memcpy(b->magic, "FUGG", 4))                                    \
    X(version_0, UNSUPPORTED, "", "version 0", b->version = 0)                                                         \
    X(version_1, UNSUPPORTED, "", "version 1", b->version = 1)                                                         \
    X(version_4, UNSUPPORTED, "", "version 4", b->version = 4)                                                         \
    X(version_big_endian, UNSUPPORTED, "", "big-endian", b->version = 0x03000000)                                      \
    X(tensors_2_63, MODEL, "", "tensors", b->n_tensors = UINT64_C(1) << 63)                                            \
    X(tensors_many, MODEL, "", "tensors", b->n_tensors = 65537)                                                        \
    X(tensors_one_more, MODEL, "", "", b->n_tensors = b->t + 1)                                                        \
    X(keys_all_ones, MODEL, "", "keys", b->n_keys = UINT64_MAX - 1)                                                    \
    X(keys_many, MODEL, "", "keys", b->n_keys = 65537)                                                                 \
    X(keys_one_more, MODEL, "", "", b->n_keys = b->k + 1)                                                              \
    X(keys_one_less, MODEL, "", "", b->n_keys = b->k - 1)                                                              \
    X(key_empty, MODEL, "", "0 bytes", key("general.name")->name[0] = '\0')                                            \
    X(key_endless, MODEL, "", "file ends", key("general.name")->name_bytes = UINT64_MAX - 7)                           \
    X(key_control, MODEL, "general?name", "printable", key("general.name")->name[7] = '\x1b')                          \
    X(key_twice, MODEL, "general.name", "twice", b->keys[2] = *key("general.name"))                                    \
    X(type_unknown, MODEL, "general.name", "type 13", key("general.name")->type = 13)                                  \
    X(array_of_arrays, MODEL, "general.x", "arrays of arrays", set_array(b, "general.x", ARR, 0))                      \
    X(array_type, MODEL, "general.x", "type 77", set_array(b, "general.x", 77, 0))                                     \
    X(array_overflow, MODEL, "general.x", "does not fit", set_array(b, "general.x", U64, UINT64_C(1) << 61))           \
    X(array_too_long, MODEL, "general.x", "does not fit", set_array(b, "general.x", U8, 1 << 20))                      \
    X(strings_endless, MODEL, "general.x", "does not fit", set_array(b, "general.x", STR, UINT64_C(1) << 62))          \
    X(string_of_array, MODEL, "general.x", "file ends",                                                                \
      bytes_u64(set_array(b, "general.x", STR, 1), UINT64_C(1) << 63))                                                 \
    X(string_endless, MODEL, "general.x", "file ends", bytes_u64(&build_key(b, "general.x", STR)->value, UINT64_MAX))  \
    X(bool_two, MODEL, "add_bos_token", "bool", set_bool(b, "tokenizer.ggml.add_bos_token", 2))                        \
    X(bool_of_array, MODEL, "general.x", "bool", bytes_add(set_array(b, "general.x", BOOL, 3), "\0\1\7", 3))           \
    X(alignment_0, MODEL, "general.alignment", "power of two", set_u32(b, "general.alignment", 0))                     \
    X(alignment_4, MODEL, "general.alignment", "power of two", set_u32(b, "general.alignment", 4))                     \
    X(alignment_48, MODEL, "general.alignment", "power of two", set_u32(b, "general.alignment", 48))                   \
    X(alignment_huge, MODEL, "general.alignment", "power of two", set_u32(b, "general.alignment", 1u << 31))           \
    X(alignment_text, MODEL, "general.alignment", "string", set_str(b, "general.alignment", "32"))                     \
    X(name_empty, MODEL, "", "0 bytes", tensor(Q)->name[0] = '\0')                                                     \
    X(name_long, MODEL, "", "65 bytes", (memset(tensor(Q)->name, 'x', 65)))                                            \
    X(name_twice, MODEL, Q, "twice", strcpy(tensor("blk.0.attn_output.weight")->name, Q))                              \
    X(dims_5, MODEL, Q, "5 dimensions", tensor(Q)->n_dims = 5)                                                         \
    X(dims_many, MODEL, Q, "dimensions", tensor(Q)->n_dims = 0xffffffff)                                               \
    X(dim_0, MODEL, Q, "is 0", set_dims(Q, 2, 0, 128))                                                                 \
    X(dims_overflow, MODEL, Q, "overflow", set_dims(Q, 2, UINT64_C(1) << 40, UINT64_C(1) << 40))                       \
    X(dims_negative, MODEL, Q, "overflow", set_dims(Q, 1, UINT64_MAX, 1))                                              \
    X(offset_odd, MODEL, Q, "multiple of 32", tensor(Q)->offset = 33)                                                  \
    X(offset_beyond, MODEL, Q, "beyond", tensor(Q)->offset = 1 << 20)                                                  \
    X(offset_overflow, MODEL, Q, "beyond", tensor(Q)->offset = UINT64_MAX - 31)                                        \
    X(offset_shared, MODEL, "", "same place", tensor(Q)->offset = 0)                                                   \
    X(overlap_float, MODEL, "attn_norm", "do not fit", tensor("blk.0.attn_norm.weight")->bytes = 32)                   \
    X(overlap_ternary, MODEL, Q, "room for 2048", tensor(Q)->bytes = 2048)                                             \
    X(end_missing, MODEL, "attn_v", "I2_S of this shape", tensor("blk.0.attn_v.weight")->bytes -= 1)                   \
    X(other_type_36, UNSUPPORTED, Q, "I2_S of this shape", tensor(Q)->bytes = 128 * 128 / 32 * 18)                     \
    X(architecture_missing, MODEL, "general.architecture", "missing", drop_key(b, "general.architecture"))             \
    X(architecture_number, MODEL, "general.architecture", "u32", set_u32(b, "general.architecture", 1))                \
    X(architecture_falcon, UNSUPPORTED, "general.architecture", "\"falcon\" is not one of those known: bitnet-b1.58",  \
      set_str(b, "general.architecture", "falcon"))                                                                    \
    X(layers_missing, MODEL, A "block_count", "missing", drop_key(b, A "block_count"))                                 \
    X(layers_0, MODEL, A "block_count", "1 to 1024", set_u32(b, A "block_count", 0))                                   \
    X(layers_1025, MODEL, A "block_count", "1 to 1024", set_u32(b, A "block_count", 1025))                             \
    X(layers_2, MODEL, "blk.1.attn_norm", "missing", set_u32(b, A "block_count", 2))                                   \
    X(layers_negative, MODEL, A "block_count", "out of range",                                                         \
      bytes_u32(&build_key(b, A "block_count", I32)->value, 0xffffffff))                                               \
    X(layers_64_bit, MODEL, A "block_count", "out of range",                                                           \
      bytes_u64(&build_key(b, A "block_count", U64)->value, UINT64_C(1) << 32))                                        \
    X(layers_float, MODEL, A "block_count", "f32", set_f32(b, A "block_count", 1))                                     \
    X(heads_0, MODEL, A "attention.head_count", "1 to", set_u32(b, A "attention.head_count", 0))                       \
    X(heads_3, MODEL, A "attention.head_count", "divide", set_u32(b, A "attention.head_count", 3))                     \
    X(kv_heads_3, MODEL, A "attention.head_count_kv", "divide", set_u32(b, A "attention.head_count_kv", 3))            \
    X(kv_heads_list, MODEL, A "attention.head_count_kv", "array of u32",                                               \
      bytes_u32(set_array(b, A "attention.head_count_kv", U32, 1), 1))                                                 \
    X(head_of_8, UNSUPPORTED, A "attention.head_count", "multiple of 16",                                              \
      (set_u32(b, A "attention.head_count", 16), drop_key(b, A "rope.dimension_count")))                               \
    X(head_of_1024, UNSUPPORTED, A "attention.head_count", "at most 512",                                              \
      (set_u32(b, A "attention.key_length", 1024), drop_key(b, A "rope.dimension_count")))                             \
    X(head_halves, UNSUPPORTED, A "attention.value_length", "only the head size",                                      \
      set_u32(b, A "attention.value_length", 32))                                                                      \
    X(rope_part, UNSUPPORTED, A "rope.dimension_count", "only the head size",                                          \
      set_u32(b, A "rope.dimension_count", 32))                                                                        \
    X(features_224, UNSUPPORTED, A "embedding_length", "multiple of 64",                                               \
      (set_u32(b, A "embedding_length", 224), drop_key(b, A "rope.dimension_count")))                                  \
    X(features_huge, MODEL, A "embedding_length", "1 to", set_u32(b, A "embedding_length", 0xffffff80))                \
    X(ff_100, UNSUPPORTED, A "feed_forward_length", "multiple of 64", set_u32(b, A "feed_forward_length", 100))        \
    X(ff_128, MODEL, "blk.0.", "expected the shape", set_u32(b, A "feed_forward_length", 128))                         \
    X(context_0, MODEL, A "context_length", "1 to", set_u32(b, A "context_length", 0))                                 \
    X(eps_missing, MODEL, A "attention.layer_norm_rms_epsilon", "missing",                                             \
      drop_key(b, A "attention.layer_norm_rms_epsilon"))                                                               \
    X(eps_0, MODEL, A "attention.layer_norm_rms_epsilon", "between",                                                   \
      set_f32(b, A "attention.layer_norm_rms_epsilon", 0))                                                             \
    X(eps_nan, MODEL, A "attention.layer_norm_rms_epsilon", "between",                                                 \
      set_f32(b, A "attention.layer_norm_rms_epsilon", NAN))                                                           \
    X(theta_infinite, MODEL, A "rope.freq_base", "finite", set_f32(b, A "rope.freq_base", INFINITY))                   \
    X(theta_negative, MODEL, A "rope.freq_base", "finite", set_f32(b, A "rope.freq_base", -1))                         \
    X(key_unknown, UNSUPPORTED, A "attention.temperature", "unknown key", set_f32(b, A "attention.temperature", 1))    \
    X(key_of_another, UNSUPPORTED, "llama.block_count", "unknown key", set_u32(b, "llama.block_count", 1))             \
    X(experts, UNSUPPORTED, A "expert_count", "only 0", set_u32(b, A "expert_count", 8))                               \
    X(window, UNSUPPORTED, A "attention.sliding_window", "only 0", set_u32(b, A "attention.sliding_window", 4096))     \
    X(scaling_longrope, UNSUPPORTED, A "rope.scaling.type", "only none",                                               \
      set_str(b, A "rope.scaling.type", "longrope"))                                                                   \
    X(scaling_2, UNSUPPORTED, A "rope.scaling.factor", "only 1", set_f32(b, A "rope.scaling.factor", 2))               \
    X(scaling_nan, MODEL, A "rope.scaling.factor", "from 1", set_f32(b, A "rope.scaling.factor", NAN))                 \
    X(scaling_half, MODEL, A "rope.scaling.factor", "from 1", set_f32(b, A "rope.scaling.factor", 0.5f))               \
    X(yarn_of_0, MODEL, A "rope.scaling.type", "original",                                                             \
      (set_str(b, A "rope.scaling.type", "yarn"), set_u32(b, A "rope.scaling.original_context_length", 0)))            \
    X(yarn_betas, MODEL, A "rope.scaling.type", "beta",                                                                \
      (set_str(b, A "rope.scaling.type", "yarn"), set_f32(b, A "rope.scaling.yarn_beta_fast", 1)))                     \
    X(yarn_ext, UNSUPPORTED, A "rope.scaling.yarn_ext_factor", "only 1",                                               \
      set_f32(b, A "rope.scaling.yarn_ext_factor", 0))                                                                 \
    X(pooling_mean, UNSUPPORTED, A "pooling_type", "last", set_u32(b, A "pooling_type", 1))                            \
    X(planes_3, MODEL, "bitnet.activation_planes", "1 or 2", set_u32(b, "bitnet.activation_planes", 3))                \
    X(qwen35, UNSUPPORTED, "general.architecture", "qwen35: layers", set_str(b, "general.architecture", "qwen35"))     \
    X(maple, UNSUPPORTED, "general.architecture", "experts", set_str(b, "general.architecture", "maple"))              \
    X(causal_not, UNSUPPORTED, A "attention.causal", "only true", set_bool(b, A "attention.causal", 0))                \
    X(activation_mish, UNSUPPORTED, A "hidden_activation", "relu2, silu", set_str(b, A "hidden_activation", "mish"))   \
    X(order_unknown, UNSUPPORTED, "bitnet.i2s_layout", "128/32", set_str(b, "bitnet.i2s_layout", "2x2"))               \
    X(split_file, UNSUPPORTED, "split.count", "join", set_u32(b, "split.count", 2))                                    \
    X(vocab_9, MODEL, A "vocab_size", "8 tokens", set_u32(b, A "vocab_size", 9))                                       \
    X(embd_missing, MODEL, "token_embd.weight", "missing", drop_tensor(b, "token_embd.weight"))                        \
    X(embd_rows, MODEL, "token_embd.weight", "expected the shape 128x8, found 128x7",                                  \
      set_dims("token_embd.weight", 2, 128, 7))                                                                        \
    X(embd_quantised, UNSUPPORTED, "token_embd.weight", "Q4_0 of this shape",                                          \
      tensor("token_embd.weight")->type = T_Q4_0)                                                                      \
    X(q_missing, MODEL, Q, "missing", drop_tensor(b, Q))                                                               \
    X(q_transposed, MODEL, "ffn_down", "expected the shape 256x128, found 128x256",                                    \
      set_dims("blk.0.ffn_down.weight", 2, 128, 256))                                                                  \
    X(q_3_dims, MODEL, Q, "found 128x64x2", (set_dims(Q, 3, 128, 64), tensor(Q)->dims[2] = 2))                         \
    X(q_q2_k, UNSUPPORTED, Q, "Q2_K (10)", tensor(Q)->type = 10)                                                       \
    X(q_q8_0, UNSUPPORTED, Q, "Q8_0 (8)", retype(Q, T_Q8_0))                                                           \
    X(embd_q2_k, UNSUPPORTED, "token_embd.weight", "Q2_K (10)", tensor("token_embd.weight")->type = 10)                \
    X(tl1_shape, UNSUPPORTED, Q, "no preset kernel", tensor(Q)->type = 38)                                             \
    X(tl2_shape, UNSUPPORTED, Q, "no preset kernel", tensor(Q)->type = 39)                                             \
    X(tq2_short, MODEL, DOWN, "room for", (retype(DOWN, T_TQ2_0), tensor(DOWN)->bytes -= 66))                          \
    X(tq2_long, UNSUPPORTED, DOWN, "room for", (retype(DOWN, T_TQ2_0), tensor(DOWN)->bytes += 66))                     \
    X(tq1_as_tq2, UNSUPPORTED, DOWN, "TQ1_0 of this shape", (retype(DOWN, T_TQ2_0), tensor(DOWN)->type = T_TQ1_0))     \
    X(q2_0_of_neither, MODEL, DOWN, "Q2_0 of this shape", (retype(DOWN, T_TQ1_0), tensor(DOWN)->type = T_Q2_0))        \
    X(iq2_tn, UNSUPPORTED, DOWN, "PQ2_0 (142)", (retype(DOWN, T_PQ2_0), set_u32(b, "general.file_type", 135)))         \
    X(iq1_tn, UNSUPPORTED, DOWN, "PTQ1_0 (143)", (retype(DOWN, T_PTQ1_0), set_u32(b, "general.file_type", 136)))       \
    X(rotation_alone, MODEL, P "version", "missing", set_u32(b, P "block_size", 64))                                   \
    X(rotation_key, UNSUPPORTED, P "more", "unknown key", (rotate(DOWN), set_u32(b, P "more", 1)))                     \
    X(rotation_version, UNSUPPORTED, P "version", "only version 1", (rotate(DOWN), set_u32(b, P "version", 2)))        \
    X(rotation_transform, UNSUPPORTED, P "transform", "only normalized",                                               \
      (rotate(DOWN), set_str(b, P "transform", "dct")))                                                                \
    X(rotation_axis, UNSUPPORTED, P "axis", "only input", (rotate(DOWN), set_str(b, P "axis", "output")))              \
    X(rotation_block_3, MODEL, P "block_size", "power of 2", (rotate(DOWN), set_u32(b, P "block_size", 3)))            \
    X(rotation_block_0, MODEL, P "block_size", "power of 2", (rotate(DOWN), set_u32(b, P "block_size", 0)))            \
    X(rotation_wide, UNSUPPORTED, "token_embd.weight", "not a multiple",                                               \
      (rotate(DOWN), set_u32(b, P "block_size", 512)))                                                                 \
    X(rotation_mode, UNSUPPORTED, P "sign_mode", "is not known", (rotate(DOWN), set_str(b, P "sign_mode", "x")))       \
    X(rotation_signs_f32, MODEL, P "sign_values", "expected integers",                                                 \
      (rotate(DOWN), set_array(b, P "sign_values", F32, 0)))                                                           \
    X(rotation_sign_0, MODEL, P "sign_values", "neither 1 nor -1",                                                     \
      (rotate(DOWN), set_integers(P "sign_values", (const int32_t[]){0}, 1)))                                          \
    X(rotation_widths, MODEL, P "sign_widths", "do not sum",                                                           \
      (rotate(DOWN), set_integers(P "sign_widths", (const int32_t[]){128, 64}, 2)))                                    \
    X(rotation_width_of_none, MODEL, P "sign_widths", "do not sum",                                                    \
      (rotate(DOWN), set_integers(P "sign_widths", (const int32_t[]){-1, 385}, 2)))                                    \
    X(rotation_width, UNSUPPORTED, "token_embd.weight", "no signs",                                                    \
      (rotate(DOWN), set_integers(P "sign_widths", (const int32_t[]){384}, 1)))                                        \
    X(rotation_of_nothing, UNSUPPORTED, P "weight_names", "blk.7", rotate("blk.7.attn_q.weight"))                      \
    X(rotation_of_norm, UNSUPPORTED, P "weight_names", "output_norm", rotate("output_norm.weight"))                    \
    X(rotation_of_q, UNSUPPORTED, "blk.0.attn_k.weight", "unlike", rotate(Q))                                          \
    X(rotation_of_rows, UNSUPPORTED, "token_embd.weight", "the head too", rotate(DOWN))                                \
    X(rotation_sub_norms, UNSUPPORTED, P "version", "these norms", rotate("token_embd.weight"))                        \
    X(q_tq2_0, UNSUPPORTED, Q, "TQ2_0 (35)", tensor(Q)->type = T_TQ2_0)                                                \
    X(q_unknown_type, UNSUPPORTED, Q, "unknown (4294967295)", tensor(Q)->type = 0xffffffff)                            \
    X(norm_i2s, UNSUPPORTED, "attn_norm", "only F32, F16", retype("blk.0.attn_norm.weight", T_I2S))                    \
    X(norm_long, MODEL, "output_norm", "expected the shape", set_dims("output_norm.weight", 1, 64, 1))                 \
    X(scale_nan, MODEL, Q, "not finite", tensor(Q)->scale = NAN)                                                       \
    X(scale_infinite, MODEL, Q, "not finite", tensor(Q)->scale = INFINITY)                                             \
    X(bias, UNSUPPORTED, "blk.0.attn_q.bias", "do not have", add_tensor(b, "blk.0.attn_q.bias", T_F32, 128, 0))        \
    X(scale_tensor, UNSUPPORTED, "blk.0.attn_q.scale", "do not have",                                                  \
      add_tensor(b, "blk.0.attn_q.scale", T_F32, 1, 0))                                                                \
    X(rope_factors, MODEL, "rope_freqs.weight", "out of range", add_tensor(b, "rope_freqs.weight", T_F32, 32, 0))      \
    X(head_norm, UNSUPPORTED, "attn_q_norm", "do not have", add_tensor(b, "blk.0.attn_q_norm.weight", T_F32, 64, 0))   \
    X(layer_too_many, UNSUPPORTED, "blk.1.attn_norm.weight", "do not have",                                            \
      add_tensor(b, "blk.1.attn_norm.weight", T_F32, 128, 0))                                                          \
    X(head_shape, MODEL, "output.weight", "expected the shape", add_tensor(b, "output.weight", T_F16, 128, 9))         \
    X(tokens_missing, MODEL, "tokenizer.ggml.tokens", "missing", drop_key(b, "tokenizer.ggml.tokens"))                 \
    X(tokens_none, MODEL, "tokenizer.ggml.tokens", "empty", set_strings(b, "tokenizer.ggml.tokens", NULL, 0))          \
    X(tokens_numbers, MODEL, "tokenizer.ggml.tokens", "array of u32", set_array(b, "tokenizer.ggml.tokens", U32, 0))   \
    X(types_short, MODEL, "tokenizer.ggml.token_type", "for 8 tokens",                                                 \
      set_array(b, "tokenizer.ggml.token_type", I32, 0))                                                               \
    X(merges_number, MODEL, "tokenizer.ggml.merges", "expected string", set_u32(b, "tokenizer.ggml.merges", 0))        \
    X(bos_outside, MODEL, "tokenizer.ggml.bos_token_id", "outside", set_u32(b, "tokenizer.ggml.bos_token_id", 8))      \
    X(tokenizer_missing, MODEL, "tokenizer.ggml.model", "missing", drop_key(b, "tokenizer.ggml.model"))                \
    X(tokenizer_bert, UNSUPPORTED, "tokenizer.ggml.model", "bert", set_str(b, "tokenizer.ggml.model", "bert"))

#define X(name, code, subject, message, change)                                                                        \
    static void change_##name(void)                                                                                    \
    {                                                                                                                  \
        (void)(change);                                                                                                \
    }
CASES(X)
#undef X

static const struct {
    const char *name;
    enum bn_result code;
    const char *subject, *message;
    void (*change)(void);
} cases[] = {
#define X(name, code, subject, message, change) {#name, BN_ERR_##code, subject, message, change_##name},
    CASES(X)
#undef X
};
#define N_CASES ((int)(sizeof(cases) / sizeof(cases[0])))

START_TEST(one_change_one_refusal)
{
    build_model(b, "bitnet-b1.58");
    cases[_i].change();
    size_t size;
    uint8_t *data = build_file(b, &size);
    struct bn_error err = {0};
    enum bn_result result = open_bytes(data, size, &err);
    ck_assert_msg(result == cases[_i].code, "%s: %s (%s: %s)", cases[_i].name, bn_result_name(result), err.subject,
                  err.message);
    ck_assert_int_eq(err.code, result);
    ck_assert_msg(strstr(err.subject, cases[_i].subject), "%s: subject \"%s\"", cases[_i].name, err.subject);
    ck_assert_msg(strstr(err.message, cases[_i].message), "%s: message \"%s\"", cases[_i].name, err.message);
    ck_assert_msg(err.subject[0] || err.offset != UINT64_MAX, "%s: no place", cases[_i].name);
    ck_assert_msg(err.offset == UINT64_MAX || err.offset <= size, "%s: offset %llu", cases[_i].name,
                  (unsigned long long)err.offset);
    ck_assert_str_eq(err.file, "damaged.gguf");
    free(data);
}
END_TEST

START_TEST(the_sound_file_opens)
{
    for (uint32_t version = 2; version <= 3; version++) {
        build_model(b, "bitnet-b1.58");
        b->version = version;
        size_t size;
        uint8_t *data = build_file(b, &size);
        struct bn_error err = {0};
        enum bn_result result = open_bytes(data, size, &err);
        ck_assert_msg(result == BN_OK, "%s: %s", err.subject, err.message);
        free(data);
    }
}
END_TEST

// Cut anywhere, the file is refused: everywhere in the header, and every few bytes in the data.
START_TEST(every_truncation_is_refused)
{
    build_model(b, "bitnet-b1.58");
    size_t size;
    uint8_t *data = build_file(b, &size);
    for (size_t n = 0; n < size; n += n < 2400 || n + 64 > size ? 1 : 127) {
        void *cut = NULL;
        ck_assert_int_eq(posix_memalign(&cut, 64, n ? n : 1), 0);
        memcpy(cut, data, n);
        struct bn_error err = {0};
        enum bn_result result = open_bytes(cut, n, &err);
        ck_assert_msg(result == BN_ERR_MODEL, "%zu of %zu bytes: %s", n, size, bn_result_name(result));
        ck_assert_msg(err.subject[0] || err.offset != UINT64_MAX, "%zu bytes: no place", n);
        free(cut);
    }
    free(data);
}
END_TEST

// Any bytes may be wrong: never a crash, and never a code that is not about the file.
START_TEST(random_damage_is_survived)
{
    uint64_t state = 20;
    build_model(b, "bitnet-b1.58");
    size_t size;
    uint8_t *data = build_file(b, &size);
    uint8_t *copy = build_file(b, &size);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, data, 2500);
        for (unsigned i = 0, n = 1 + (unsigned)round % 4; i < n; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % 2500;
            copy[at] = (uint8_t)(state >> 24);
            if (state >> 60 == 0)
                memset(copy + at, 0xff, 8 < 2500 - at ? 8 : 2500 - at);
        }
        struct bn_error err = {0};
        enum bn_result result = open_bytes(copy, size, &err);
        ck_assert_msg(result == BN_OK || result == BN_ERR_MODEL || result == BN_ERR_UNSUPPORTED, "%s: %s",
                      bn_result_name(result), err.message);
        ck_assert(result == BN_OK || err.subject[0] || err.offset != UINT64_MAX);
    }
    free(copy);
    free(data);
}
END_TEST

START_TEST(calls_that_are_wrong)
{
    struct bn_error err = {0};
    struct bn_model *model = (struct bn_model *)1;
    static uint8_t data[128];
    ck_assert_int_eq(bn_model_open_memory(runtime, data + 1, 64, NULL, NULL, &model, &err), BN_ERR_ARGUMENT);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(bn_model_open_memory(runtime, NULL, 64, NULL, NULL, &model, &err), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_model_open(runtime, NULL, NULL, &model, &err), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_model_open(NULL, "x", NULL, &model, &err), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_model_open(runtime, "x", NULL, NULL, &err), BN_ERR_ARGUMENT);
    struct bn_model_options options = {0};
    ck_assert_int_eq(bn_model_open(runtime, "x", &options, &model, &err), BN_ERR_ARGUMENT);
    BN_INIT(options);
    options.i2s_order = (enum bn_i2s_order)9;
    ck_assert_int_eq(bn_model_open(runtime, "x", &options, &model, &err), BN_ERR_ARGUMENT);
    ck_assert_int_eq(bn_model_open(runtime, "/nonexistent/x.gguf", NULL, &model, &err), BN_ERR_IO);
    ck_assert_str_eq(err.file, "/nonexistent/x.gguf");
    ck_assert_int_eq(bn_model_open(runtime, "/", NULL, &model, NULL), BN_ERR_IO);
    ck_assert_int_eq(bn_model_open_fd(runtime, -1, "none", NULL, &model, &err), BN_ERR_IO);
    ck_assert_ptr_null(model);
    bn_model_destroy(NULL);
}
END_TEST

int main(void)
{
    if (without_pcre2())
        return 77;
    b = calloc(1, sizeof(*b));
    if (!b || bn_runtime_create(NULL, &runtime, NULL) != BN_OK)
        return 99;
    TCase *tcase = tcase_create("damaged");
    tcase_add_loop_test(tcase, one_change_one_refusal, 0, N_CASES);
    tcase_add_test(tcase, the_sound_file_opens);
    tcase_add_test(tcase, every_truncation_is_refused);
    tcase_add_test(tcase, random_damage_is_survived);
    tcase_add_test(tcase, calls_that_are_wrong);
    Suite *suite = suite_create("gguf damaged");
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
