#include "runtime/base/fail.h"
#include "runtime/text/tokenizer_impl.h"
#include "runtime/text/utf8.h"

#include <string.h>

struct bn_chat_family {
    const char *name;
    const char *open[3], *roles[3];
    const char *close, *separator;
    const char *before[3], *after[3], *end[3];
    const char *between, *system_open, *system_close;
    bool bos, strip, strip_joined, thinks, thinks_last, alternates, headless, bare_header;
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

// What has been rendered: ids, then text that is not cut into tokens yet.
struct rendering {
    const struct bn_tokenizer *tokenizer;
    const struct bn_chat_family *family;
    struct bn_token_sink *sink;
    bool begins; // these are the conversation's first messages
    char *text;
    size_t bytes, capacity;
    enum bn_result result; // the first failure; then nothing more is done
    struct bn_error *err;
};

static void put(struct rendering *r, const char *text, size_t bytes)
{
    size_t wanted;
    if (r->result != BN_OK || bytes == 0)
        return;
    if (__builtin_add_overflow(r->bytes, bytes, &wanted) || wanted > SIZE_MAX / 2) {
        r->result = bn_fail_memory(r->err, bytes, "a message");
        return;
    }
    if (wanted > r->capacity) {
        size_t capacity = wanted * 2;
        char *grown = bn_alloc(r->tokenizer->host, capacity);
        if (!grown) {
            r->result = bn_fail_memory(r->err, capacity, "a message");
            return;
        }
        if (r->bytes)
            memcpy(grown, r->text, r->bytes);
        bn_free(r->tokenizer->host, r->text);
        r->text = grown;
        r->capacity = capacity;
    }
    memcpy(r->text + r->bytes, text, bytes);
    r->bytes = wanted;
}

static void put_str(struct rendering *r, struct bn_str text)
{
    put(r, text.data, text.bytes);
}

static void put_word(struct rendering *r, const char *word)
{
    if (word)
        put(r, word, strlen(word));
}

// What stands between two control tokens is one text.
static void flush(struct rendering *r)
{
    unsigned flags = r->begins && r->sink->count == 0 ? 0 : BN_ENCODE_INSIDE;
    if (r->result == BN_OK && r->bytes)
        r->result = bn_tokenizer_encode(r->tokenizer, r->text, r->bytes, flags, r->sink, r->err);
    r->bytes = 0;
}

static bool put_marker(struct rendering *r, const char *name)
{
    if (!name || !*name)
        return false;
    flush(r);
    if (r->result == BN_OK)
        bn_token_put(r->sink, bn_control_token(r->tokenizer, name));
    return true;
}

static struct bn_str str_of(const char *text)
{
    return (struct bn_str){text, strlen(text)};
}

// Without newlines in front, and at the end.
static struct bn_str trim(struct bn_str s, bool front, bool end)
{
    while (front && s.bytes > 0 && s.data[0] == '\n') {
        s.data++;
        s.bytes--;
    }
    while (end && s.bytes > 0 && s.data[s.bytes - 1] == '\n')
        s.bytes--;
    return s;
}

// Where `mark` is in the text, or NULL.
static const char *find(struct bn_str s, const char *mark, bool last)
{
    size_t n = strlen(mark);
    const char *found = NULL;
    for (size_t i = 0; i + n <= s.bytes && (last || !found); i++)
        if (memcmp(s.data + i, mark, n) == 0)
            found = s.data + i;
    return found;
}

// An assistant's content is its answer: what follows the last "</think>". Of a reply to the last question the reasoning is
// kept, and if nothing follows it stands there even if it is empty.
static void put_answer(struct rendering *r, struct bn_str content, bool after_question, bool last)
{
    static const char open[] = "<think>", close[] = "</think>";
    const char *end = find(content, close, true), *first = find(content, close, false);
    struct bn_str reasoning = {"", 0}, answer = content;
    if (end) {
        answer.data = end + sizeof(close) - 1;
        answer.bytes = content.bytes - (size_t)(answer.data - content.data);
        answer = trim(answer, true, false);
        reasoning = trim((struct bn_str){content.data, (size_t)(first - content.data)}, false, true);
        const char *start = find(reasoning, open, true);
        if (start) {
            start += sizeof(open) - 1;
            reasoning.bytes -= (size_t)(start - reasoning.data);
            reasoning.data = start;
        }
        reasoning = trim(reasoning, true, true);
    }
    if (r->family->thinks_last && after_question && (last || reasoning.bytes)) {
        put_word(r, "<think>\n");
        put_str(r, reasoning);
        put_word(r, "\n</think>\n\n");
        answer = trim(answer, true, false);
    }
    put_str(r, answer);
}

// A user's content behind the system message, which some families have within it.
static void put_joined(struct rendering *r, const char *system, const char *content)
{
    const struct bn_chat_family *family = r->family;
    struct bn_str user = family->strip && !family->strip_joined ? strip(content) : str_of(content);
    struct rendering joined = {.tokenizer = r->tokenizer, .result = r->result, .err = r->err};
    put_word(&joined, family->system_open);
    put_word(&joined, system);
    put_word(&joined, family->system_close);
    put_str(&joined, user);
    put(&joined, "", 1);
    r->result = joined.result;
    if (r->result == BN_OK)
        put_str(r, family->strip_joined ? strip(joined.text) : (struct bn_str){joined.text, joined.bytes - 1});
    bn_free(r->tokenizer->host, joined.text);
}

static void put_header(struct rendering *r, int role)
{
    put_marker(r, r->family->open[role]);
    put_word(r, r->family->roles[role]);
    put_marker(r, r->family->close);
    put_word(r, r->family->separator);
}

struct conversation {
    const struct bn_chat_message *messages;
    size_t n, last_question; // the last message of a user; n: there is none
    const char *system;      // to be put into the next message
};

// Returns whether it ended with an end token.
static bool put_message(struct rendering *r, const struct conversation *all, size_t i, int role)
{
    const struct bn_chat_family *family = r->family;
    const char *content = all->messages[i].content;
    put_header(r, role);
    put_word(r, family->before[role]);
    if (all->system)
        put_joined(r, all->system, content);
    else if (family->strip)
        put_str(r, strip(content));
    else if (family->thinks && role == 2)
        put_answer(r, str_of(content), all->last_question < i, i + 1 == all->n);
    else
        put_word(r, content);
    put_word(r, family->after[role]);
    return put_marker(r, family->end[role]);
}

// Roles, where a template has rules for them.
static enum bn_result check_messages(const struct bn_chat_family *family, struct conversation *all, bool first,
                                     struct bn_error *err)
{
    int wanted = 1;
    all->last_question = all->n;
    for (size_t i = 0; i < all->n; i++) {
        if (!all->messages[i].role || !all->messages[i].content)
            return bn_fail(err, BN_ERR_ARGUMENT, "message %zu lacks its role or its content", i);
        int role = role_of(all->messages[i].role);
        if (role < 0)
            return bn_fail(err, BN_ERR_ARGUMENT, "the role \"%s\" is none of system, user, assistant",
                           all->messages[i].role);
        all->last_question = role == 1 ? i : all->last_question;
        bool opens = role == 0 && i == 0 && first && all->n > 1;
        if (family->alternates && !opens && role != wanted)
            return bn_fail(err, BN_ERR_ARGUMENT,
                           "in this model's template user and assistant take turns; a system message may come first, "
                           "together with the user's");
        wanted = opens ? 1 : 3 - role;
    }
    return BN_OK;
}

static void put_all(struct rendering *r, struct conversation *all, bool first, bool reply)
{
    const struct bn_chat_family *family = r->family;
    bool ended = !first; // by an end token: then what follows is a reply
    for (size_t i = 0; i < all->n; i++) {
        int role = role_of(all->messages[i].role);
        if (family->system_close && role == 0) {
            all->system = all->messages[i].content;
            continue;
        }
        put_word(r, ended ? family->between : NULL);
        ended = put_message(r, all, i, role);
        all->system = NULL;
    }
    if (reply && !family->headless) {
        put_word(r, ended && !family->bare_header ? family->between : NULL);
        put_header(r, 2);
    }
    flush(r);
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
    struct conversation all = {.messages = messages, .n = n_messages};
    enum bn_result result = check_messages(family, &all, first, err);
    if (result != BN_OK)
        return result;
    struct bn_token_sink sink = {ids, capacity, 0};
    struct rendering r = {.tokenizer = tokenizer, .family = family, .sink = &sink, .begins = first, .err = err};
    if (first && family->bos && tokenizer->info.bos >= 0)
        bn_token_put(&sink, tokenizer->info.bos);
    put_all(&r, &all, first, reply);
    bn_free(tokenizer->host, r.text);
    *count = r.result == BN_OK ? sink.count : 0;
    return r.result;
}
