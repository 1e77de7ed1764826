// Inside of the tokenizer, for the files of this folder.
#ifndef BN_TEXT_TOKENIZER_IMPL_H
#define BN_TEXT_TOKENIZER_IMPL_H

#include "runtime/text/tokenizer.h"

// As in tokenizer.ggml.token_type.
enum bn_token_type {
    BN_TYPE_NORMAL = 1,
    BN_TYPE_UNKNOWN = 2,
    BN_TYPE_CONTROL = 3,
    BN_TYPE_USER = 4,
    BN_TYPE_UNUSED = 5,
    BN_TYPE_BYTE = 6,
};

// Where ids go: counted always, stored while there is room.
struct bn_token_sink {
    int32_t *ids;
    size_t capacity;
    size_t count;
};

static inline void bn_token_put(struct bn_token_sink *sink, int32_t id)
{
    if (sink->count < sink->capacity)
        sink->ids[sink->count] = id;
    sink->count++;
}

// A model of tokenisation (tokenizer.ggml.model): what to do with text between special tokens. One file each.
struct bn_text_model {
    const char *name;
    // The decoded bytes of a token of type normal or byte, at most text->bytes of them, to `out`. *plain: the token can
    // come out of ordinary text. Errors: BN_ERR_MODEL with `subject`.
    enum bn_result (*decode)(const struct bn_str *text, enum bn_token_type type, char *out, size_t *bytes, bool *plain,
                             const char *file, const char *subject, struct bn_error *err);
    // Makes tokenizer->state when all tokens are decoded; fills in info.pre, and info.add_bos with its default.
    // What it made is given to `destroy` even if it fails.
    enum bn_result (*create)(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab, struct bn_error *err);
    void (*destroy)(struct bn_tokenizer *tokenizer);
    // Any bytes, at most INT32_MAX of them. `first`: nothing of the text was before.
    enum bn_result (*encode)(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, bool first,
                             struct bn_token_sink *sink, struct bn_error *err);
};

extern const struct bn_text_model bn_bpe_model, bn_spm_model, bn_unigram_model;

// A token that is looked for in the text itself.
struct bn_special {
    struct bn_str text;
    int32_t id;
};

struct bn_chat_family;

// Constant once it is created.
struct bn_tokenizer {
    const struct bn_host *host;
    struct bn_tokenizer_info info;
    const struct bn_text_model *model;
    void *state;     // of the model
    char *bytes;     // of all tokens, one after the other
    size_t *offsets; // [n_vocab + 1] into bytes
    uint8_t *types;  // enum bn_token_type
    bool *plain;     // can come out of ordinary text
    bool *end;
    struct bn_special *specials; // sorted by text
    size_t n_specials;
    uint8_t starts[256]; // what specials start with this byte: BN_START_*
    const struct bn_chat_family *chat;
};

enum { BN_START_USER = 1, BN_START_OTHER = 2 };

// The id of a control token by its name, or -1.
int32_t bn_control_token(const struct bn_tokenizer *tokenizer, const char *name);

// bn_tokenize without its checks of the arguments, with one more flag: tokens stand in front of this text.
#define BN_ENCODE_INSIDE 0x80000000u
enum bn_result bn_tokenizer_encode(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags,
                                   struct bn_token_sink *sink, struct bn_error *err);

// Recognises the chat template. Sets tokenizer->chat and info.chat_family.
void bn_chat_recognise(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab);

#endif
