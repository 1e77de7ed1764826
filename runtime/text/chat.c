#include "runtime/base/fail.h"
#include "runtime/text/tokenizer_impl.h"
#include "runtime/text/utf8.h"

#include <string.h>

struct bn_chat_family {
    const char *name;
    const char *open;
    const char *roles[3];
    const char *close;
    const char *separator;
    const char *end;
};

struct rule {
    const struct bn_chat_family *family;
    const char *architectures[3];
    const char *parts[4];
};

#define BN_LIST(...)                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define BN_CHAT(id, ...) static const struct bn_chat_family family_##id = {__VA_ARGS__};
#define BN_CHAT_RULE(id, architectures, parts)
#include "runtime/text/chat.inl"
#undef BN_CHAT
#undef BN_CHAT_RULE

#define BN_CHAT(id, ...)
#define BN_CHAT_RULE(id, architectures, parts) {&family_##id, architectures, parts},
static const struct rule rules[] = {
#include "runtime/text/chat.inl"
};

static bool has_marker(const struct bn_tokenizer *tokenizer, const char *name)
{
    return !*name || bn_control_token(tokenizer, name) >= 0;
}

static bool fits(const struct rule *rule, const struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab)
{
    const struct bn_chat_family *family = rule->family;
    if (!has_marker(tokenizer, family->open) || !has_marker(tokenizer, family->close) ||
        !has_marker(tokenizer, family->end))
        return false;
    bool listed = !rule->architectures[0];
    for (size_t i = 0; i < 3 && rule->architectures[i]; i++)
        listed |= bn_str_is(vocab->architecture, rule->architectures[i]);
    for (size_t i = 0; i < 4 && rule->parts[i] && listed; i++)
        listed = memmem(vocab->chat_template.data, vocab->chat_template.bytes, rule->parts[i], strlen(rule->parts[i]));
    return listed;
}

void bn_chat_recognise(struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab)
{
    tokenizer->info.chat_family = "";
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && vocab->chat_template.bytes && !tokenizer->chat; i++) {
        if (fits(&rules[i], tokenizer, vocab)) {
            tokenizer->chat = rules[i].family;
            tokenizer->info.chat_family = rules[i].family->name;
        }
    }
}

// What str.strip() of Python takes away: White_Space of Unicode, and the four separators of ASCII.
static bool is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
           code == 0x205f || code == 0x3000;
}

static struct bn_str strip(const char *text)
{
    struct bn_str s = {text, strlen(text)};
    size_t start = 0, end = 0;
    bool begun = false;
    for (size_t i = 0; i < s.bytes;) {
        uint32_t code;
        size_t n = bn_utf8_next(text + i, s.bytes - i, &code);
        if (!is_space(code)) {
            start = begun ? start : i;
            begun = true;
            end = i + n;
        }
        i += n;
    }
    s.data += start;
    s.bytes = end - start;
    return s;
}

static int role_of(const char *role)
{
    static const char *const roles[3] = {"system", "user", "assistant"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(role, roles[i]) == 0)
            return i;
    }
    return -1;
}

static void put_marker(const struct bn_tokenizer *tokenizer, const char *name, struct bn_token_sink *sink)
{
    if (*name)
        bn_token_put(sink, bn_control_token(tokenizer, name));
}

// Everything up to the end token, which a reply's header lacks.
static enum bn_result put_message(const struct bn_tokenizer *tokenizer, const char *role, struct bn_str content,
                                  struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bn_chat_family *family = tokenizer->chat;
    size_t n_role = strlen(role), n_separator = strlen(family->separator), bytes;
    char *text = NULL;
    if (!__builtin_add_overflow(content.bytes, n_role + n_separator, &bytes))
        text = bn_alloc(tokenizer->host, bytes);
    if (!text)
        return bn_fail_memory(err, content.bytes, "a message");
    memcpy(text, role, n_role);
    memcpy(text + n_role, family->separator, n_separator);
    memcpy(text + n_role + n_separator, content.data, content.bytes);

    enum bn_result result = BN_OK;
    size_t head = *family->close ? n_role : 0;
    put_marker(tokenizer, family->open, sink);
    if (head)
        result = bn_tokenizer_encode(tokenizer, text, head, 0, sink, err);
    put_marker(tokenizer, family->close, sink);
    if (result == BN_OK)
        result = bn_tokenizer_encode(tokenizer, text + head, bytes - head, 0, sink, err);
    bn_free(tokenizer->host, text);
    return result;
}

enum bn_result bn_chat_tokenize(const struct bn_tokenizer *tokenizer, const struct bn_chat_message *messages,
                                size_t n_messages, bool first, bool reply, int32_t *ids, size_t capacity, size_t *count,
                                struct bn_error *err)
{
    if (count)
        *count = 0;
    if (!tokenizer || !count || (!messages && n_messages) || (!ids && capacity))
        return bn_fail(err, BN_ERR_ARGUMENT, "bn_chat_tokenize needs a tokenizer, messages, ids and a count");
    const struct bn_chat_family *family = tokenizer->chat;
    if (!family)
        return bn_fail(err, BN_ERR_UNSUPPORTED, "the model has no chat template that this library knows");
    struct bn_token_sink sink = {ids, capacity, 0};
    if (first && tokenizer->info.bos >= 0)
        bn_token_put(&sink, tokenizer->info.bos);
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < n_messages && result == BN_OK; i++) {
        if (!messages[i].role || !messages[i].content)
            return bn_fail(err, BN_ERR_ARGUMENT, "message %zu lacks its role or its content", i);
        int role = role_of(messages[i].role);
        if (role < 0)
            return bn_fail(err, BN_ERR_ARGUMENT, "the role \"%s\" is none of system, user, assistant",
                           messages[i].role);
        result = put_message(tokenizer, family->roles[role], strip(messages[i].content), &sink, err);
        put_marker(tokenizer, family->end, &sink);
    }
    if (reply && result == BN_OK)
        result = put_message(tokenizer, family->roles[2], (struct bn_str){"", 0}, &sink, err);
    *count = result == BN_OK ? sink.count : 0;
    return result;
}
