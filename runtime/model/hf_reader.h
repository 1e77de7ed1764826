// A vocabulary of Hugging Face that is being read: what tokenizer.json and tokenizer.model have in common.
#ifndef BN_MODEL_HF_READER_H
#define BN_MODEL_HF_READER_H

#include "runtime/model/hf_impl.h"

#define MAX_VOCAB (1u << 24)
#define MAX_FILLERS 65536u  // ids that the model has and the vocabulary has not
#define MARK "\xe2\x96\x81" // U+2581

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 }; // of tokenizer.ggml.token_type

struct bn_hf_reader {
    const struct bn_hf_config *config;
    const struct bn_host *host;
    const struct bn_json *json, *more; // of tokenizer.model only its name; tokenizer_config.json
    struct bn_key_blob *blob;
    json_t *model, *vocab, *added; // the vocabulary of Unigram is an array
    enum { BYTE_LEVEL, PIECES, UNIGRAM } kind;
    struct bn_hf_pieces pieces;
    bool byte_fallback;
    int64_t unknown;       // -1: there is none
    struct bn_str *tokens; // [n_tokens]; no data: no token has this id
    int32_t *types;
    uint32_t n_tokens;
    char *spaced;     // texts of user-defined tokens in which U+2581 became a space
    int64_t bos, eos; // of the template
    bool add_bos, add_eos, has_template;
};

// Refuses an added token that asks for what is not built.
enum bn_result bn_hf_check_added(const struct bn_hf_reader *r, const json_t *entry, struct bn_str text, bool special);
// The texts of user-defined tokens get their spaces. Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_hf_space_tokens(struct bn_hf_reader *r);
// The id of the token that tokenizer_config.json gives this role, or -1.
int64_t bn_hf_named_id(const struct bn_hf_reader *r, const char *name);

// Keys: the tokens and their types, the ids of roles, the chat template.
void bn_hf_write_tokens(struct bn_hf_reader *r);
enum bn_result bn_hf_write_roles(struct bn_hf_reader *r);
void bn_hf_write_chat_template(struct bn_hf_reader *r, struct bn_str chat_template);

#endif
