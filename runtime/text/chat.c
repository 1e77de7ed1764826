#include "runtime/base/fail.h"
#include "runtime/text/tokenizer_impl.h"
#include "runtime/text/utf8.h"

#include <string.h>

struct bn_chat_family {
    const char *name;
    const char *open[3], *roles[3];
    const char *close, *separator;
    const char *after[3], *end[3];
    const char *between;
    bool bos, strip, thinks;
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
#define ALL(text)                                                                                                      \
    {                                                                                                                  \
        text, text, text                                                                                               \
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
    return !name || !*name || bn_control_token(tokenizer, name) >= 0;
}

static bool fits(const struct rule *rule, const struct bn_tokenizer *tokenizer, const struct bn_vocab *vocab)
{
    const struct bn_chat_family *family = rule->family;
    if (!has_marker(tokenizer, family->close))
        return false;
    for (int role = 0; role < 3; role++)
        if (!has_marker(tokenizer, family->open[role]) || !has_marker(tokenizer, family->end[role]))
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

// A reply without its reasoning.
static struct bn_str answer(struct bn_str s)
{
    static const char mark[] = "</think>";
    size_t n = sizeof(mark) - 1, start = 0;
    for (size_t i = 0; i + n <= s.bytes; i++)
        if (memcmp(s.data + i, mark, n) == 0)
            start = i + n;
    while (start > 0 && start < s.bytes && s.data[start] == '\n')
        start++;
    return (struct bn_str){s.data + start, s.bytes - start};
}

static struct bn_str content_of(const struct bn_chat_family *family, const struct bn_chat_message *message, int role)
{
    struct bn_str content = {message->content, strlen(message->content)};
    if (family->strip)
        return strip(message->content);
    return family->thinks && role == 2 ? answer(content) : content;
}

static bool put_marker(const struct bn_tokenizer *tokenizer, const char *name, struct bn_token_sink *sink)
{
    if (!name || !*name)
        return false;
    bn_token_put(sink, bn_control_token(tokenizer, name));
    return true;
}

static size_t append(char *text, size_t at, const char *part, size_t bytes)
{
    memcpy(text + at, part, bytes);
    return at + bytes;
}

// Whether a text stands behind tokens. `begins`: these are the conversation's first messages.
static unsigned place_of(bool begins, const struct bn_token_sink *sink)
{
    return begins && sink->count == 0 ? 0 : BN_ENCODE_INSIDE;
}

// Everything up to the end token; a reply's header has no content, and nothing after it.
static enum bn_result put_message(const struct bn_tokenizer *tokenizer, int role, const struct bn_str *content,
                                  bool begins, struct bn_token_sink *sink, struct bn_error *err)
{
    const struct bn_chat_family *family = tokenizer->chat;
    const char *after = content && family->after[role] ? family->after[role] : "", *name = family->roles[role];
    size_t n_name = strlen(name), n_separator = strlen(family->separator), n_after = strlen(after), bytes;
    char *text = NULL;
    if (!__builtin_add_overflow(content ? content->bytes : 0, n_name + n_separator + n_after, &bytes))
        text = bn_alloc(tokenizer->host, bytes);
    if (!text)
        return bn_fail_memory(err, content ? content->bytes : 0, "a message");
    size_t at = append(text, append(text, 0, name, n_name), family->separator, n_separator);
    if (content)
        at = append(text, at, content->data, content->bytes);
    append(text, at, after, n_after);

    enum bn_result result = BN_OK;
    put_marker(tokenizer, family->open[role], sink);
    size_t head = family->close ? n_name : 0;
    if (head)
        result = bn_tokenizer_encode(tokenizer, text, head, place_of(begins, sink), sink, err);
    put_marker(tokenizer, family->close, sink);
    if (result == BN_OK)
        result = bn_tokenizer_encode(tokenizer, text + head, bytes - head, place_of(begins, sink), sink, err);
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
    if (first && family->bos && tokenizer->info.bos >= 0)
        bn_token_put(&sink, tokenizer->info.bos);
    enum bn_result result = BN_OK;
    bool ended = !first; // by an end token: then what follows is a reply
    for (size_t i = 0; i < n_messages + reply && result == BN_OK; i++) {
        bool header = i == n_messages;
        if (!header && (!messages[i].role || !messages[i].content))
            return bn_fail(err, BN_ERR_ARGUMENT, "message %zu lacks its role or its content", i);
        int role = header ? 2 : role_of(messages[i].role);
        if (role < 0)
            return bn_fail(err, BN_ERR_ARGUMENT, "the role \"%s\" is none of system, user, assistant",
                           messages[i].role);
        if (ended && family->between)
            result =
                bn_tokenizer_encode(tokenizer, family->between, strlen(family->between), BN_ENCODE_INSIDE, &sink, err);
        struct bn_str content = header ? (struct bn_str){"", 0} : content_of(family, &messages[i], role);
        if (result == BN_OK)
            result = put_message(tokenizer, role, header ? NULL : &content, first, &sink, err);
        ended = !header && put_marker(tokenizer, family->end[role], &sink);
    }
    *count = result == BN_OK ? sink.count : 0;
    return result;
}
