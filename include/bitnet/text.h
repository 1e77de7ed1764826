// Text: tokens, chat templates, and cutting a stream of tokens into whole characters.
#ifndef BITNET_TEXT_H
#define BITNET_TEXT_H

#include <bitnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

// What to do in bn_tokenize besides splitting.
enum bn_tokenize_flags {
    BN_TOKENIZE_BOS = 1,     // put the model's BOS first if the model wants one (add_bos_token)
    BN_TOKENIZE_SPECIAL = 2, // recognise special tokens ("<|eot_id|>") in the text; without it they are plain text
    BN_TOKENIZE_EOS = 4,     // put the model's EOS last if the model wants one (add_eos_token), as embedding models do
};
// Tokens that the vocabulary's author calls user-defined are part of the language and always recognised.

// Turns text into token ids. Any bytes are accepted: bytes that are not UTF-8 become byte tokens, so that
// decoding gives them back exactly (SentencePiece may put a space in front, and as llama.cpp one behind each special or
// user-defined token; it knows U+2581 as a space only). Writes at most `capacity` ids and always the full number to *count.
// Threads: any. Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY, BN_ERR_UNSUPPORTED (the vocabulary lacks a byte of the
//   text, or the text exceeds 2^31-1 bytes).
BN_API BN_MUST_CHECK enum bn_result bn_tokenize(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                                                unsigned flags, int32_t *ids, size_t capacity, size_t *count,
                                                struct bn_error *err);

// The bytes of one token, not terminated; they may be part of a character. Special tokens give their name.
// Returns NULL and *bytes = 0 for an id outside the vocabulary. Ownership: borrowed. Threads: any.
BN_API const char *bn_token_bytes(const struct bn_tokenizer *tokenizer, int32_t id, size_t *bytes);

// What a token is: text, a marker such as BOS, a single byte, or an id that stands for nothing.
enum bn_token_kind { BN_TOKEN_NORMAL, BN_TOKEN_SPECIAL, BN_TOKEN_BYTE, BN_TOKEN_UNUSED };

// Threads: any. An id outside the vocabulary is BN_TOKEN_UNUSED.
BN_API enum bn_token_kind bn_token_get_kind(const struct bn_tokenizer *tokenizer, int32_t id);

// What a vocabulary is.
struct bn_tokenizer_info {
    size_t size;
    uint32_t n_vocab;           // ids are 0 .. n_vocab - 1
    int32_t bos, eos, eot, pad; // ids with a role: begin, end of text, end of turn, filler; -1 if there is none
    bool add_bos;               // BN_TOKENIZE_BOS has an effect
    const char *model;          // "gpt2" byte-level BPE; SentencePiece: "llama" BPE, "t5" unigram
    const char *pre;            // "llama-bpe", as used; "" if none
    const char *
        chat_family; // "bitnet-2b4t", "llama3", "llama2", "gemma", "qwen3", "chatml", "falcon3", or "" if the model has no template that we know
    bool add_eos;    // BN_TOKENIZE_EOS has an effect
};

// Ownership: borrowed. Threads: any.
BN_API const struct bn_tokenizer_info *bn_tokenizer_get_info(const struct bn_tokenizer *tokenizer);

// Whether generation ends at this id: EOS, EOT and the like. Threads: any.
BN_API bool bn_token_is_end(const struct bn_tokenizer *tokenizer, int32_t id);

// One turn of a conversation.
struct bn_chat_message {
    const char *role;    // "system", "user", "assistant"
    const char *content; // terminated UTF-8
};

// Renders a conversation in the model's own template, as token ids: markers become special tokens, while the same
// characters in `content` stay plain text, so that a user cannot forge a turn. `first`: the messages start the
// conversation (BOS is added if the template has one); otherwise they follow a reply and its end token. `reply`: the header
// that asks for the assistant's reply is added. Where a template has no turn for the system message ("gemma", "llama2"), that
// comes in one call with the user's, and roles must alternate.
// Writes at most `capacity` ids and always the full number to *count.
// Threads: any. Errors: BN_ERR_UNSUPPORTED (no known template), BN_ERR_ARGUMENT (unknown role, or order of roles), BN_ERR_NO_MEMORY.
BN_API BN_MUST_CHECK enum bn_result bn_chat_tokenize(const struct bn_tokenizer *tokenizer,
                                                     const struct bn_chat_message *messages, size_t n_messages,
                                                     bool first, bool reply, int32_t *ids, size_t capacity,
                                                     size_t *count, struct bn_error *err);

// Cuts a stream of bytes into valid UTF-8. Zero it to start. Bytes that can never become a character are replaced by
// U+FFFD, one per maximal invalid part (Unicode 15, section 3.9, "substitution of maximal subparts").
struct bn_utf8_stream {
    unsigned char held[4]; // the start of a character
    unsigned n_held;
};

// Adds `bytes` bytes and writes the characters that are complete now to `out`, which must hold 3 * bytes + 12 bytes.
// `bytes` = 0 ends the stream: what is held comes out as U+FFFD. Returns the number of bytes written.
// Threads: one at a time.
BN_API size_t bn_utf8_push(struct bn_utf8_stream *stream, const char *data, size_t bytes, char *out);

#ifdef __cplusplus
}
#endif
#endif
