// Cutting text into pieces by a pre-tokeniser of pre.inl.
#ifndef BN_TEXT_SPLIT_H
#define BN_TEXT_SPLIT_H

#include "runtime/text/tokenizer.h"

#define BN_PRE_NAMES 6

struct bn_pre {
    const char *names[BN_PRE_NAMES];
    const char *architectures[BN_PRE_NAMES];
    bool whole, nfc, add_bos;
    const char *pattern;
};

// The row for a vocabulary. Errors: BN_ERR_UNSUPPORTED, naming what is not in the table.
enum bn_result bn_pre_find(const struct bn_host *host, const struct bn_vocab *vocab, const struct bn_pre **out,
                           struct bn_error *err);

// A compiled pattern; constant, may be used by any number of threads.
struct bn_splitter;

// `file` is for messages. Errors: BN_ERR_NO_MEMORY; BN_ERR_UNSUPPORTED if this build has no PCRE2.
enum bn_result bn_splitter_create(const struct bn_host *host, const char *file, const struct bn_pre *pre,
                                  struct bn_splitter **out, struct bn_error *err);
void bn_splitter_destroy(struct bn_splitter *splitter);

// One thread's place for matching. Errors: BN_ERR_NO_MEMORY.
struct bn_split;
enum bn_result bn_split_create(const struct bn_splitter *splitter, struct bn_split **out, struct bn_error *err);
void bn_split_destroy(struct bn_split *split);

// Sets *end to the end of the piece that starts at `start`. `text` is well-formed UTF-8, start < bytes.
// Errors: BN_ERR_NO_MEMORY.
enum bn_result bn_split_next(const struct bn_splitter *splitter, struct bn_split *split, const char *text, size_t bytes,
                             size_t start, size_t *end, struct bn_error *err);

#endif
