#include "runtime/text/split.h"

#include "bn_config.h"
#include "runtime/base/fail.h"
#include "runtime/text/tokenizer_impl.h"

#if BN_HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

#define SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define BN_LIST(...)                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define BN_PRE(names, architectures, whole, nfc, add_bos, pattern) {names, architectures, whole, nfc, add_bos, pattern},
static const struct bn_pre rows[] = {
#include "runtime/text/pre.inl"
};
#undef BN_PRE

static bool in_list(const char *const *list, struct bn_str name)
{
    for (int i = 0; i < BN_PRE_NAMES && list[i]; i++) {
        if (bn_str_is(name, list[i]))
            return true;
    }
    return false;
}

enum bn_result bn_pre_find(const struct bn_host *host, const struct bn_vocab *vocab, const struct bn_pre **out,
                           struct bn_error *err)
{
    const struct bn_str any = {"", 0};
    const struct bn_pre *fallback = NULL;
    bool unsure = vocab->pre.bytes == 0 || bn_str_is(vocab->pre, "default");
    *out = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !*out; i++) {
        if (in_list(rows[i].architectures, any))
            fallback = &rows[i];
        else if (unsure && in_list(rows[i].architectures, vocab->architecture))
            *out = &rows[i];
        if (!unsure && in_list(rows[i].names, vocab->pre))
            *out = &rows[i];
    }
    if (*out)
        return BN_OK;
    char name[64];
    if (!unsure)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, vocab->file, "tokenizer.ggml.pre", UINT64_MAX,
                          "the pre-tokeniser \"%s\" is not known", bn_str_text(vocab->pre, name, sizeof(name)));
    bn_log(host, BN_LOG_WARNING, "%s: no pre-tokeniser is named (tokenizer.ggml.pre); taking %s", vocab->file,
           fallback->names[0]);
    *out = fallback;
    return BN_OK;
}

#if BN_HAVE_PCRE2

struct bn_splitter {
    const struct bn_host *host;
    pcre2_general_context *general;
    pcre2_match_context *limits;
    pcre2_code *code;
};

struct bn_split {
    const struct bn_host *host;
    pcre2_match_data *match;
};

static void *take(size_t bytes, void *user)
{
    return bn_alloc(user, bytes);
}

static void give(void *memory, void *user)
{
    bn_free(user, memory);
}

enum bn_result bn_splitter_create(const struct bn_host *host, const char *file, const struct bn_pre *pre,
                                  struct bn_splitter **out, struct bn_error *err)
{
    struct bn_splitter *splitter = bn_alloc(host, sizeof(*splitter));
    *out = splitter;
    if (!splitter)
        return bn_fail_memory(err, sizeof(*splitter), "the pre-tokeniser");
    splitter->host = host;
    void *user = (void *)(uintptr_t)host;
    splitter->general = pcre2_general_context_create(take, give, user);
    splitter->limits = splitter->general ? pcre2_match_context_create(splitter->general) : NULL;
    pcre2_compile_context *compile = splitter->general ? pcre2_compile_context_create(splitter->general) : NULL;
    int code = 0;
    size_t where = 0;
    if (splitter->limits && compile)
        splitter->code =
            pcre2_compile((PCRE2_SPTR)pre->pattern, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &code, &where, compile);
    pcre2_compile_context_free(compile);
    if (!splitter->code) {
        bn_splitter_destroy(splitter);
        *out = NULL;
        if (code && code != PCRE2_ERROR_HEAP_FAILED)
            return bn_fail_at(err, BN_ERR_UNSUPPORTED, file, "tokenizer.ggml.pre", UINT64_MAX,
                              "this PCRE2 refuses the pattern of %s: error %d at %zu", pre->names[0], code, where);
        return bn_fail_memory(err, sizeof(*splitter), "the pre-tokeniser's pattern");
    }
    // Its backtracking is linear in the text, but long runs of spaces exceed the default limit.
    pcre2_set_match_limit(splitter->limits, UINT32_MAX);
    // Without JIT, be it that the build lacks it or the system forbids it, matching is only slower.
    (void)pcre2_jit_compile(splitter->code, PCRE2_JIT_COMPLETE);
    return BN_OK;
}

void bn_splitter_destroy(struct bn_splitter *splitter)
{
    if (!splitter)
        return;
    pcre2_code_free(splitter->code);
    pcre2_match_context_free(splitter->limits);
    pcre2_general_context_free(splitter->general);
    bn_free(splitter->host, splitter);
}

enum bn_result bn_split_create(const struct bn_splitter *splitter, struct bn_split **out, struct bn_error *err)
{
    struct bn_split *split = bn_alloc(splitter->host, sizeof(*split));
    *out = split;
    if (!split)
        return bn_fail_memory(err, sizeof(*split), "splitting text");
    split->host = splitter->host;
    split->match = pcre2_match_data_create(1, splitter->general);
    if (split->match)
        return BN_OK;
    bn_split_destroy(split);
    *out = NULL;
    return bn_fail_memory(err, sizeof(*split), "splitting text");
}

void bn_split_destroy(struct bn_split *split)
{
    if (!split)
        return;
    pcre2_match_data_free(split->match);
    bn_free(split->host, split);
}

enum bn_result bn_split_next(const struct bn_splitter *splitter, struct bn_split *split, const char *text, size_t bytes,
                             size_t start, size_t *end, struct bn_error *err)
{
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int found = pcre2_match(splitter->code, (PCRE2_SPTR)text, bytes, start, options, split->match, splitter->limits);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(splitter->code, (PCRE2_SPTR)text, bytes, start, options | PCRE2_NO_JIT, split->match,
                            splitter->limits);
    if (found == PCRE2_ERROR_NOMEMORY || found == PCRE2_ERROR_HEAPLIMIT)
        return bn_fail_memory(err, bytes - start, "splitting text");
    *end = found >= 0 ? pcre2_get_ovector_pointer(split->match)[1] : start;
    if (*end <= start)
        return bn_fail(err, BN_ERR_INTERNAL, "the pre-tokeniser stops at byte %zu with PCRE2 code %d", start, found);
    return BN_OK;
}

#else

enum bn_result bn_splitter_create(const struct bn_host *host, const char *file, const struct bn_pre *pre,
                                  struct bn_splitter **out, struct bn_error *err)
{
    *out = NULL;
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, file, "tokenizer.ggml.pre", UINT64_MAX,
                      "it needs the pre-tokeniser %s, and this build has no PCRE2", pre->names[0]);
}

void bn_splitter_destroy(struct bn_splitter *splitter)
{
}

enum bn_result bn_split_create(const struct bn_splitter *splitter, struct bn_split **out, struct bn_error *err)
{
    *out = NULL;
    return bn_fail(err, BN_ERR_UNSUPPORTED, "this build has no PCRE2");
}

void bn_split_destroy(struct bn_split *split)
{
}

enum bn_result bn_split_next(const struct bn_splitter *splitter, struct bn_split *split, const char *text, size_t bytes,
                             size_t start, size_t *end, struct bn_error *err)
{
    return bn_fail(err, BN_ERR_UNSUPPORTED, "this build has no PCRE2");
}

#endif
