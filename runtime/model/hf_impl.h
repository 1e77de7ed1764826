// The steps of reading a Hugging Face folder; hf.c runs them in this order.
#ifndef BN_MODEL_HF_IMPL_H
#define BN_MODEL_HF_IMPL_H

#include "runtime/model/hf.h"
#include "runtime/model/json.h"
#include "runtime/model/key_blob.h"

#define BN_HF_NAME_BYTES 64 // of GGUF's names
#define BN_HF_MOST_ENDS 16

// How the matrices are stored, and what makes them ternary.
enum bn_hf_weights {
    BN_HF_PLAIN,          // nothing says that they are ternary: they must be already
    BN_HF_MASTER,         // to be quantised as the model was trained
    BN_HF_PACKED,         // uint8; weight_scale multiplies
    BN_HF_PACKED_INVERSE, // uint8; weight_scale divides
};

// A row of hf_families.inl.
struct bn_hf_family {
    const char *class_name, *model_type; // "architectures"[0] and "model_type" of config.json
    const char *architecture;            // general.architecture
    float theta, eps;                    // what config.json means that does not say
    uint32_t head_dim;                   // likewise; 0: hidden_size / num_attention_heads
    bool ternary;                        // every model of this class was trained with ternary weights
    bool post_norms;                     // norms behind attention and feed-forward, too
    bool norms_less_one;                 // norms are stored as w - 1, but for those of a matrix's input
    bool embeds;                         // made for embeddings: no head, and matrices may have norms of their inputs
};

struct bn_hf_config {
    const struct bn_hf_family *family;
    enum bn_hf_weights weights;
    int tied; // -1: not said
    uint32_t n_vocab, n_embd, head_dim;
    int64_t bos, eos, eot, pad; // -1: absent
    int32_t ends[BN_HF_MOST_ENDS];
    uint32_t n_ends;            // the whole list, if it is longer than eos and eot
    float *frequencies;         // factors of RoPE's frequencies, [head_dim / 2], or NULL
    const struct bn_host *host; // of frequencies
};

// hf_config.c: checks every key of config.json and writes those of the family. Zero *config first, and finish it in the end.
// Errors: BN_ERR_MODEL, BN_ERR_UNSUPPORTED (by name), BN_ERR_NO_MEMORY.
enum bn_result bn_hf_read_config(struct bn_hf_config *config, const struct bn_host *host, const struct bn_json *json,
                                 struct bn_key_blob *blob);
// generation_config.json: its ids count before those of config.json.
enum bn_result bn_hf_read_ids(struct bn_hf_config *config, const struct bn_json *json);
// Its settings of sampling, as keys.
enum bn_result bn_hf_read_sampling(const struct bn_json *json, struct bn_key_blob *blob);
// The class for an architecture, with or without a head; NULL: none is known.
const struct bn_hf_family *bn_hf_find_family(const char *architecture, bool embeds);
void bn_hf_config_finish(struct bn_hf_config *config);

// hf_tokenizer.c: writes the vocabulary. `more` is tokenizer_config.json; its root may be NULL. `chat_template` counts before
// its own; it may be empty. Errors: as above.
enum bn_result bn_hf_read_tokenizer(const struct bn_hf_config *config, const struct bn_host *host,
                                    const struct bn_json *json, const struct bn_json *more, struct bn_str chat_template,
                                    struct bn_key_blob *blob);

// hf_spm.c: the same from tokenizer.model, SentencePiece's own file. `more` is tokenizer_config.json, `added` added_tokens.json, which
// counts where the former says nothing; their roots may be NULL. Errors: as above.
enum bn_result bn_hf_read_sentencepiece(const struct bn_hf_config *config, const struct bn_host *host, const char *file,
                                        struct bn_str message, const struct bn_json *more, const struct bn_json *added,
                                        struct bn_str chat_template, struct bn_key_blob *blob, struct bn_error *err);

// hf_pieces.c: what the steps of tokenizer.json do to a text in front of SentencePiece.
struct bn_hf_pieces {
    enum {
        BN_HF_PREFIX_NONE,
        BN_HF_PREFIX_PREPEND,
        BN_HF_PREFIX_METASPACE,
        BN_HF_PREFIX_FIRST
    } prefix;       // a space in front
    bool collapses; // runs of spaces become one, those at the ends none
    bool splits;    // no token may have a space behind its first character
};
enum bn_result bn_hf_read_pieces(const struct bn_json *json, struct bn_hf_pieces *pieces);

// hf_names.c: GGUF's name, terminated, with ".weight". False: not known.
bool bn_hf_tensor_name(const struct bn_hf_family *family, const char *name, char to[BN_HF_NAME_BYTES]);
// The other way: a checkpoint's name for GGUF's. False: models of this class have no such tensor.
bool bn_hf_checkpoint_name(const struct bn_hf_family *family, const char *gguf, char *to, size_t bytes);
// Whether GGUF's name is that of a norm of a matrix's input.
bool bn_hf_is_input_norm(const char *gguf);
// Tensors of old checkpoints that follow from config.json.
bool bn_hf_is_derived(const char *name);

#endif
