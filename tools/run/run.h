// bitnet-run: what its parts share.
#ifndef TOOLS_RUN_RUN_H
#define TOOLS_RUN_RUN_H

#include "common/options.h"
#include "common/term.h"

#include <bitnet/bitnet.h>

#define PROGRAM "bitnet-run"

#define NOT_GIVEN (-1.0f)
enum { ON_LOST_REOPEN, ON_LOST_CPU, ON_LOST_FAIL }; // --on-device-lost

// What the command line says; options.c has the table.
struct settings {
    const char *model, *models;
    int i2s_layout, activation;
    uint32_t activation_planes;
    bool embed;
    const char *prompt, *file, *system;
    bool escape, display_prompt, single_turn;
    int conversation;
    int64_t n_predict;
    bool ignore_eos;
    struct tool_list stops;
    uint32_t n_ctx, n_batch, n_ubatch;
    bool greedy;
    int64_t seed;
    float temperature, top_p, min_p, repeat_penalty; // NOT_GIVEN: the model's, or the library's
    uint32_t top_k, repeat_last_n;                   // UINT32_MAX: likewise
    const char *device, *isa, *fault;
    bool list_devices;
    uint32_t threads;
    int head, wait, packing, mmap, on_device_lost, cache_type;
    int64_t log_probs;
    const char *perplexity, *trace;
    bool json, verbose, quiet;
    int log, color;
};

extern const struct tool_program run_program;

// Times and counts of all generations of this run.
struct figures {
    uint64_t n_prompt, prompt_ns;
    uint64_t n_tokens, n_decoded, decode_ns; // n_decoded: tokens within decode_ns, all but the first of a reply
    uint64_t first_token_ns;                 // of the first reply; 0: none
    uint64_t ready_ns;                       // from before the model was opened until its weights were placed
    uint64_t anonymous, mapped;              // bytes in memory, the most that was seen of each; 0: not told
};

struct run {
    struct settings settings;
    struct tool_out out;
    uint64_t seed;
    struct bn_sampling sampling;
    bool model_samples; // some of it is what the model's file recommends
    char *model_path;
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_device *device;
    struct bn_engine *engine;
    struct bn_session *session;
    struct bn_trace *trace; // NULL: none
    const struct bn_tokenizer *tokenizer;
    struct figures figures;
    unsigned losses;      // of the device, since the session grew
    size_t lost_at;       // its length at the last one
    char lost_device[72]; // the name under which it can be opened again
};

// All functions below that return int return an exit code; what is not 0 has been told.

// Opens the model, the device, the engine and a session. n_ctx 0: see struct bn_engine_config.
int run_open(struct run *run, uint32_t n_ctx, uint32_t n_outputs);
void run_close(struct run *run);
// Writes the trace, if there is one.
int run_write_trace(struct run *run);

// lost.c. Opens run->device; returns what the library says.
int run_open_device(struct run *run, const char *selector, struct bn_error *err);
// After *err said that the device is lost: closes it and opens the next one, as --on-device-lost says. False: that is the
// end, and *err says why.
bool run_replace_device(struct run *run, struct bn_error *err);
// From now on steps survive a lost device.
void run_watch_device(struct run *run);
int run_list_devices(struct run *run);

// Text to ids. Ownership: the caller frees *ids.
int run_tokenize(struct run *run, const char *text, size_t bytes, unsigned flags, int32_t **ids, size_t *n);

// One token of a reply with its alternatives, for --log-probs.
struct token_note {
    int32_t id;
    double log_probability;
    size_t first_top, n_top; // in reply.top
};

struct top_note {
    int32_t id;
    double log_probability;
};

// A piece of generated text and what was noted about it. Zero it to start; reply_finish frees what it holds.
struct reply {
    struct run *run;
    bool show; // write text to stdout as it is made
    bool no_memory;
    char *text;
    size_t bytes, text_capacity;
    struct token_note *tokens;
    size_t n_tokens, token_capacity;
    struct top_note *top;
    size_t n_top, top_capacity;
    struct bn_generate_result result;
};

// Whether a prompt of so many tokens fits; says which -c it takes if not.
int reply_check_room(struct run *run, size_t n_prompt);

// Processes a prompt and makes tokens as the settings say.
int reply_generate(struct run *run, const int32_t *prompt, size_t n_prompt, struct reply *reply);
void reply_finish(struct reply *reply);

// Log-probabilities as a table on stderr.
void reply_print_log_probs(const struct reply *reply);

// The reply as one JSON object on stdout.
int reply_print_json(struct run *run, const struct reply *reply);
int run_print_devices_json(struct run *run, const struct bn_device_info *list, size_t n);

struct perplexity {
    size_t n_tokens, n_scored, n_windows;
    uint32_t window;
    double value, error;
};
// {"schema": "bitnet-embedding/1", ...}
int run_print_embedding_json(struct run *run, const float *vector, uint32_t n_embd, size_t n_tokens);
int run_print_perplexity_json(struct run *run, const struct perplexity *result);

// The line of figures on stderr.
void figures_print(const struct run *run);
uint64_t figures_peak_memory(void); // bytes, of all kinds at once
// What lies in memory now: anonymous pages, and pages of mapped files, which the system may drop and other processes share. The
// largest of each so far is kept, since the system keeps a peak of their sum only.
void figures_note_memory(struct figures *figures);
uint64_t figures_now(void);                       // CLOCK_MONOTONIC
double figures_rate(uint64_t count, uint64_t ns); // per second; NaN if unknown

// The three things that it does.
int run_complete(struct run *run, const char *prompt, size_t bytes);
int run_chat(struct run *run, const char *first_message); // NULL: ask
int run_perplexity(struct run *run);

// Prints the vector of a text.
int run_embed(struct run *run, const char *text, size_t bytes);

// Ctrl-C and SIGTERM: cancel the session. A third one of the same kind kills.
void interrupts_watch(struct bn_session *session); // NULL: no longer
unsigned interrupts_count(void);
bool interrupts_terminated(void); // a SIGTERM was among them
int interrupts_exit_code(void);   // 128 + signal, 0 if there was none
void interrupts_forgive(void);    // forget a Ctrl-C that has done its work

// Reads a line from stdin, without its newline. Returns 1, 0 at the end, or -1 if interrupted or failed; *line is
// borrowed until the next call.
int read_line(char **line, size_t *bytes);

#endif
