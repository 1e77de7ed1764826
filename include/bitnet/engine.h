// Engines and sessions: a model placed on a device, and the conversations that run on it.
#ifndef BITNET_ENGINE_H
#define BITNET_ENGINE_H

#include <bitnet/op.h>
#include <bitnet/model.h>
#include <bitnet/text.h>

#ifdef __cplusplus
extern "C" {
#endif

// How much an engine can hold at once; it decides how much memory bn_engine_create takes.
// How the most likely tokens are found. SCAN keeps an int8 copy of the head and computes the exact logits of those rows
// only that a bound cannot rule out: the same tokens from half the bytes of an f16 head. FULL computes all logits. AUTO
// takes SCAN for heads of 16 MiB and more, if the device can and n_outputs is at most BN_TOP_OUTPUTS.
enum bn_head { BN_HEAD_AUTO, BN_HEAD_FULL, BN_HEAD_SCAN };

// What an engine reserves. Zero is the default of every field.
struct bn_engine_config {
    size_t size;
    uint32_t n_ctx;       // most positions of a session; 0: what the model was trained for, at most 32768
    uint32_t n_batch;     // most rows the device computes at once; longer input is cut into such chunks; 0: 512
    uint32_t n_sessions;  // most sessions alive; 0: 1
    uint32_t n_positions; // positions of the KV pool, shared by all sessions; 0: n_ctx * n_sessions
    uint32_t n_outputs;   // most rows of logits of one step; 0: n_sessions
    enum bn_head head;
    enum bn_load_mode load;
    // INT8 takes half of the memory, and at great depths half of the bytes of a token, for a small error in every result
    // (docs/numerics.md); refused where the device has no BN_OP_WITH_INT8_KV.
    enum bn_kv_type kv_type;
};

// A model placed on a device, with its KV pool.
struct bn_engine;

// Places the model: weights are imported where device and file agree on the layout, else repacked into the device's.
// All memory is reserved and touched here; steps allocate nothing. The model and the device must outlive it.
// Ownership: the caller destroys *out. Threads: any.
// Errors: BN_ERR_ARGUMENT, BN_ERR_UNSUPPORTED (an op or layout the device cannot run), BN_ERR_NO_MEMORY,
//   BN_ERR_DEVICE_MEMORY, and what the driver says.
BN_API BN_MUST_CHECK enum bn_result bn_engine_create(struct bn_runtime *runtime, struct bn_model *model,
                                                     struct bn_device *device,
                                                     const struct bn_engine_config *config, // NULL: defaults
                                                     struct bn_engine **out, struct bn_error *err);

// Its sessions must be gone first. Threads: one at a time.
BN_API void bn_engine_destroy(struct bn_engine *engine);

// A lost device. Steps answer BN_ERR_DEVICE_LOST then; what the sessions are (tokens, sampling, pages of the KV pool) is the
// engine's, only the contents of these pages are gone. The caller chooses: destroy everything, open the same device again, or
// take the engine to another one.
//
//   bn_engine_detach(engine);          // nothing of the engine is on the device any more
//   bn_device_close(device);
//   bn_device_open(..., &device, &err) // the same device again, or "cpu"
//   bn_engine_attach(engine, device, &err);
//
// The next step of each session computes its positions again, in the same batch as the new tokens, and shared pages once. On
// the CPU the logits are then the same bytes as if nothing had happened; on other devices they are as close as those of any
// two ways to cut a prompt into chunks. bn_engine_set_recovery has this done within the step that the loss interrupts.

// Gives back everything that the engine has on its device, which may be closed then. Steps answer BN_ERR_DEVICE_LOST until
// bn_engine_attach. Logits and candidates of the last step are no longer valid. Works on a device that is lost and on one
// that is not. Threads: one at a time per engine.
BN_API void bn_engine_detach(struct bn_engine *engine);

// Places the model on the device, as bn_engine_create does, after bn_engine_detach if the engine is still on one. After a
// failure the engine is on no device, and this may be called again, with another one. The device must outlive the engine's
// stay. Threads: one at a time per engine. Errors: those of bn_engine_create; BN_ERR_DEVICE_LOST.
BN_API BN_MUST_CHECK enum bn_result bn_engine_attach(struct bn_engine *engine, struct bn_device *device,
                                                     struct bn_error *err);

// Ownership: borrowed; NULL if the engine is on no device. Threads: one at a time per engine.
BN_API struct bn_device *bn_engine_get_device(const struct bn_engine *engine);

// What is to be done when a step finds the device lost. `recover` is called on the thread of the step, with what happened
// (*lost; its subject is the op that was started last, if the driver knows it). It brings the engine to a device that works,
// with the three calls above it, and returns BN_OK: the step goes on as if nothing had happened, in bn_generate and bn_embed
// too. Any other result ends the step, with *err as its error and no session advanced. It may be called again in the same
// step, and has to give up at some time. It must not step the engine, nor create or destroy sessions. NULL, as at the start:
// BN_ERR_DEVICE_LOST ends the step. Threads: one at a time per engine.
BN_API void bn_engine_set_recovery(struct bn_engine *engine,
                                   enum bn_result (*recover)(void *user, struct bn_engine *engine,
                                                             const struct bn_error *lost, struct bn_error *err),
                                   void *user);

// The configuration in force, defaults filled in. Ownership: borrowed. Threads: any.
BN_API const struct bn_engine_config *bn_engine_get_config(const struct bn_engine *engine);
BN_API struct bn_model *bn_engine_get_model(const struct bn_engine *engine);

// Sampling, with llama.cpp's names, defaults and order: penalty, top-k, top-p over the survivors, min-p, temperature.
// Ties go to the lower id. Randomness is a function of (seed, position, id) only, so neither batching, threads nor
// device change a sample.
struct bn_sampling {
    size_t size;
    bool greedy;            // the highest logit after penalties; everything below is ignored but the penalty
    float temperature;      // 0 or less: greedy
    uint32_t top_k;         // 0: all
    float top_p;            // 1: all
    float min_p;            // 0: all
    float repeat_penalty;   // 1: none; over the last `repeat_last_n` tokens of the session
    uint32_t repeat_last_n; // at most 4096
    uint64_t seed;
};

// temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, repeat_penalty 1, repeat_last_n 64, seed 0. Threads: any.
BN_API void bn_sampling_defaults(struct bn_sampling *sampling);

// What the model's authors recommend: the defaults, with what the file has of general.sampling.* (llama.cpp's keys), or the
// folder's generation_config.json if that asks for sampling. Returns whether it has any. Threads: any.
BN_API bool bn_sampling_of_model(const struct bn_model *model, struct bn_sampling *sampling);

// A conversation: tokens, KV pages and sampling of its own.
struct bn_session;

// Ownership: the caller destroys *out. Threads: one at a time per engine.
// Errors: BN_ERR_ARGUMENT (sampling out of range), BN_ERR_NO_MEMORY, BN_ERR_CONTEXT_FULL (n_sessions are alive).
BN_API BN_MUST_CHECK enum bn_result bn_session_create(struct bn_engine *engine,
                                                      const struct bn_sampling *sampling, // NULL: defaults
                                                      struct bn_session **out, struct bn_error *err);

// Its pages go back to the pool. Threads: one at a time per engine.
BN_API void bn_session_destroy(struct bn_session *session);

// A second session with the same past and sampling. Pages are shared until one of the two writes to them.
// Ownership: the caller destroys *out. Threads: one at a time per engine. Errors: those of bn_session_create.
BN_API BN_MUST_CHECK enum bn_result bn_session_fork(struct bn_session *session, struct bn_session **out,
                                                    struct bn_error *err);

// Forgets everything from position `length` on.
// Threads: one at a time per engine. Errors: BN_ERR_ARGUMENT if the session is shorter.
BN_API BN_MUST_CHECK enum bn_result bn_session_truncate(struct bn_session *session, size_t length,
                                                        struct bn_error *err);

// Asks the session to stop: a step that it is alone in ends between two ops, otherwise its part is dropped. Steps
// answer BN_ERR_CANCELLED for this session until bn_session_resume. Its length is that before the step.
// Threads: any; may be called from a signal handler.
BN_API void bn_session_cancel(struct bn_session *session);

// Takes the cancel back. Threads: any; may be called from a signal handler.
BN_API void bn_session_resume(struct bn_session *session);

// Positions so far: tokens that were appended and computed. Threads: one at a time per engine.
BN_API size_t bn_session_length(const struct bn_session *session);

// The tokens so far, bn_session_length of them.
// Ownership: borrowed until the session's next step or truncate. Threads: one at a time per engine.
BN_API const int32_t *bn_session_tokens(const struct bn_session *session);

// Ownership: borrowed. Threads: any.
BN_API struct bn_engine *bn_session_get_engine(const struct bn_session *session);

// Counts from the next token on. Threads: one at a time per engine. Errors: BN_ERR_ARGUMENT (out of range).
BN_API BN_MUST_CHECK enum bn_result bn_session_set_sampling(struct bn_session *session,
                                                            const struct bn_sampling *sampling, struct bn_error *err);

// What one session puts into a step, and gets from it.
struct bn_step_item {
    struct bn_session *session;
    const int32_t *tokens; // appended to the session; n_tokens >= 1
    size_t n_tokens;
    size_t n_logits;          // logits wanted: those of the last n_logits tokens; 0: none
    size_t n_top;             // with n_logits = 1: the caller is content with the n_top largest logits; 0: it is not
    const float *logits;      // out: f32 [n_logits][n_vocab], valid until the engine's next step; NULL if not BN_OK
    const struct bn_top *top; // out: instead of logits, with all that may be among the n_top largest; else NULL
    enum bn_result result;    // out: BN_OK, or why this session's part was dropped
};

// Appends tokens to sessions, all in one batch, cut into chunks of n_batch rows. A session may appear once.
// Results are the same bits as if each session had run alone, at any batch, chunk, and thread count.
// Returns BN_OK if every item is; otherwise the first item's failure. After a failure of the device no session has
// advanced beyond the last complete chunk.
// Threads: one at a time per engine.
// Errors: BN_ERR_ARGUMENT (token outside the vocabulary, more logits than n_outputs), BN_ERR_CONTEXT_FULL,
//   BN_ERR_CANCELLED, BN_ERR_NUMERIC, BN_ERR_DEVICE_LOST, BN_ERR_UNSUPPORTED (logits of an embedding model).
BN_API BN_MUST_CHECK enum bn_result bn_engine_step(struct bn_engine *engine, struct bn_step_item *items, size_t n_items,
                                                   struct bn_error *err);

// Appends tokens to the session and gives what an embedding model says of all of them: the last token's hidden state behind
// the final norm, scaled to length 1. `out` holds n_embd floats. Works with any model; one that is made for it
// (bn_model_info.embeds) has no logits to give, and bn_engine_step refuses to make them.
// Threads: one at a time per engine. Errors: those of bn_engine_step; BN_ERR_NUMERIC if the state is all zeros.
BN_API BN_MUST_CHECK enum bn_result bn_embed(struct bn_session *session, const int32_t *tokens, size_t n_tokens,
                                             float *out, struct bn_error *err);

// Chooses the next token from logits [n_vocab] by the session's sampling; nothing is appended.
// Threads: one at a time per engine. Errors: BN_ERR_NUMERIC if a logit is NaN, BN_ERR_ARGUMENT.
BN_API BN_MUST_CHECK enum bn_result bn_session_sample(struct bn_session *session, const float *logits, int32_t *token,
                                                      struct bn_error *err);

// How many of the largest logits bn_session_sample_top needs for the session's next token: n_top of its step. 0: all of
// them, as with top_k = 0. Threads: one at a time.
BN_API size_t bn_session_top_needed(const struct bn_session *session);

// The same choice as bn_session_sample would make from all logits. Threads: one at a time.
// Errors: BN_ERR_ARGUMENT, BN_ERR_NUMERIC.
BN_API BN_MUST_CHECK enum bn_result bn_session_sample_top(struct bn_session *session, const struct bn_top *top,
                                                          int32_t *token, struct bn_error *err);

// Natural logarithm of softmax(logits)[token]; double, sequential over the vocabulary. Threads: any.
BN_API double bn_log_probability(const float *logits, size_t n_vocab, int32_t token);

// Why bn_generate ended: an end token, n_predict, one of `stops`, no more room, or on_token and bn_session_cancel.
enum bn_stop { BN_STOP_EOS, BN_STOP_LENGTH, BN_STOP_STRING, BN_STOP_CONTEXT, BN_STOP_INTERRUPTED };

// "eos", "length", "stop", "context", "interrupted". Ownership: static. Threads: any.
BN_API const char *bn_stop_name(enum bn_stop stop);

// One generated token. Ownership: borrowed for the call.
struct bn_generated {
    int32_t token;
    double log_probability;            // of this token; 0 unless asked for
    const int32_t *top;                // the n_top likeliest ids, best first
    const double *top_log_probability; // of those
    size_t n_top;
    const char *text; // characters that are complete now, valid UTF-8; may be empty; stop strings are cut off
    size_t bytes;     // of `text`, which is not terminated
};

// What to generate.
struct bn_generate_options {
    size_t size;
    // Appended first; at least one token. To go on from the past, truncate by one and give the last token again.
    const int32_t *prompt;
    size_t n_prompt;
    size_t n_predict;         // most tokens made; SIZE_MAX or 0: until the end or the full context
    bool ignore_eos;          // end tokens are never chosen
    const char *const *stops; // strings that end the text; they are not part of it
    size_t n_stops;
    bool log_probabilities; // fills in log_probability and top of struct bn_generated; costs a pass over the logits
    size_t n_top;           // alternatives reported per token; at most 64
    size_t n_chunk;         // most prompt tokens of one step; 0: all
    // Called for every token, and once more with token -1 if text was held back at the end. Return false to stop.
    bool (*on_token)(void *user, const struct bn_generated *generated);
    void *user;
};

// What was generated, and how long it took.
struct bn_generate_result {
    size_t size;
    enum bn_stop stop;
    size_t n_prompt;         // prompt tokens processed
    size_t n_tokens;         // tokens made, the end token included
    uint64_t prompt_ns;      // from the start to the first logits
    uint64_t first_token_ns; // from the start to the first token
    uint64_t decode_ns;      // from the first token to the last
};

// Processes a prompt and makes tokens. A cancelled session ends with BN_OK and BN_STOP_INTERRUPTED. The last token made is
// in the session's future, not its past: it has not been stepped. An end token is not stepped either.
// Threads: one at a time per engine; on_token is called on the caller's thread and may cancel, not step or destroy.
// Errors: those of bn_engine_step and bn_session_sample, BN_ERR_NO_MEMORY; BN_ERR_CONTEXT_FULL only if the prompt itself
//   does not fit.
BN_API BN_MUST_CHECK enum bn_result bn_generate(struct bn_session *session, const struct bn_generate_options *options,
                                                struct bn_generate_result *result, // may be NULL
                                                struct bn_error *err);

#ifdef __cplusplus
}
#endif
#endif
