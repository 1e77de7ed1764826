// A conversation in a chat template. Whatever the template and the messages hold: the markers in the result are those
// of the messages, in order, and between them is the content without the white space around it, and nothing else.
#include <bitnet/text.h>

#include <ctype.h>

#include "input.h"
#include "runtime/text/tokenizer.h"

enum { MAX_TOKENS = 272, MAX_MESSAGES = 6, MAX_IDS = 1 << 17, GUARD = -77 };

static const char *const markers[] = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
enum { BOS = 256, OPEN, CLOSE, EOT };

static const char *const templates[] = {
    "{{ '<|start_header_id|>' + role + '<|end_header_id|>' + content + '<|eot_id|>' }}",
    "{{ message['role'] | capitalize + ': ' + content | trim + '<|eot_id|>' }}{{ 'Assistant: ' }}",
    "{{ 'Human: ' + message['content'] + '\n\nBITNETAssistant: ' + eos_token }}",
};
static const char *const architectures[] = {"bitnet-b1.58", "llama"};
static const char *const roles[] = {"user", "assistant", "system", "User", ""};

static struct bn_host host;
static int32_t ids[MAX_IDS];
static char text[4 * MAX_IDS];

// `types`: two bits per marker: control, user-defined, normal, absent.
static struct bn_tokenizer *make(unsigned types, const char *architecture, struct bn_str template)
{
    static char alphabet[256][4];
    static struct bn_str tokens[MAX_TOKENS];
    static int32_t kinds[MAX_TOKENS];
    struct bn_vocab vocab = {.file = "fuzz", .model = {"gpt2", 4}, .pre = {"llama-bpe", 9}, .bos = BOS};
    vocab.eos = vocab.eot = vocab.pad = -1;
    vocab.architecture = (struct bn_str){architecture, strlen(architecture)};
    vocab.chat_template = template;
    vocab.tokens = tokens;
    vocab.types = kinds;
    vocab.n_tokens = 260;
    for (unsigned byte = 0; byte < 256; byte++) {
        alphabet_of(byte, alphabet[byte]);
        tokens[byte] = (struct bn_str){alphabet[byte], strlen(alphabet[byte])};
        kinds[byte] = 1;
    }
    for (unsigned i = 0; i < 4; i++, types >>= 2) {
        static const int32_t kind_of[] = {3, 4, 1, 3};
        tokens[BOS + i] = (struct bn_str){markers[i], (types & 3) == 3 ? 0 : strlen(markers[i])};
        kinds[BOS + i] = kind_of[types & 3];
    }
    struct bn_tokenizer *tokenizer;
    require(bn_tokenizer_create(&host, &vocab, &tokenizer, NULL) == BN_OK);
    return tokenizer;
}

struct cursor {
    const struct bn_tokenizer *tokenizer;
    size_t at, count;
};

static void expect(struct cursor *c, int32_t id)
{
    require(c->at < c->count && ids[c->at++] == id);
}

// The text up to the next special token.
static struct bn_str take_text(struct cursor *c)
{
    struct bn_str str = {text, 0};
    for (; c->at < c->count && bn_token_get_kind(c->tokenizer, ids[c->at]) != BN_TOKEN_SPECIAL; c->at++) {
        size_t n;
        const char *piece = bn_token_bytes(c->tokenizer, ids[c->at], &n);
        require(n <= sizeof(text) - str.bytes);
        memcpy(text + str.bytes, piece, n);
        str.bytes += n;
    }
    return str;
}

static void expect_text(struct cursor *c, const char *head, const char *content)
{
    struct bn_str found = take_text(c);
    size_t n = strlen(head);
    require(bn_str_starts(found, head));
    const char *body = found.data + n;
    size_t bytes = found.bytes - n;
    const char *in = bytes ? memmem(content, strlen(content), body, bytes) : content;
    require(in != NULL);
    require(bytes == 0 || !(isspace((unsigned char)body[0]) || isspace((unsigned char)body[bytes - 1])));
    for (const char *at = content; at < in; at++)
        require(!isgraph((unsigned char)*at));
    for (const char *at = in + bytes; *at; at++)
        require(!isgraph((unsigned char)*at));
}

static void check_message(struct cursor *c, bool headers, const char *role, const char *content, bool whole)
{
    char head[64];
    if (headers) {
        expect(c, OPEN);
        expect_text(c, role, "");
        expect(c, CLOSE);
        expect_text(c, "\n\n", content);
    } else {
        size_t n = strlen(role);
        memcpy(head, role, n);
        memcpy(head + n, ": ", 3);
        head[0] = (char)toupper((unsigned char)head[0]);
        expect_text(c, head, content);
    }
    if (whole)
        expect(c, EOT);
}

static void check_conversation(const struct bn_tokenizer *tokenizer, const struct bn_chat_message *messages, size_t n,
                               bool first, bool reply, size_t capacity)
{
    const char *family = bn_tokenizer_get_info(tokenizer)->chat_family;
    size_t count, again;
    bool roles_known = true;
    for (size_t i = 0; i < n; i++)
        roles_known = roles_known && messages[i].role != roles[3] && messages[i].role != roles[4];
    struct bn_error err = {0};
    enum bn_result result = bn_chat_tokenize(tokenizer, messages, n, first, reply, ids, MAX_IDS, &count, &err);
    require(result == (!*family ? BN_ERR_UNSUPPORTED : roles_known ? BN_OK : BN_ERR_ARGUMENT));
    if (result != BN_OK) {
        require(count == 0 && err.code == result && err.message[0]);
        return;
    }
    require(count <= MAX_IDS);
    struct cursor c = {tokenizer, 0, count};
    bool headers = strcmp(family, "llama3") == 0;
    if (first)
        expect(&c, BOS);
    for (size_t i = 0; i < n; i++)
        check_message(&c, headers, messages[i].role, messages[i].content, true);
    if (reply)
        check_message(&c, headers, "assistant", "", false);
    require(c.at == count);

    int32_t few[8];
    capacity = capacity < 8 ? capacity : 7;
    few[capacity] = GUARD;
    require(bn_chat_tokenize(tokenizer, messages, n, first, reply, few, capacity, &again, NULL) == BN_OK);
    require(again == count && few[capacity] == GUARD);
    require(memcmp(few, ids, (capacity < count ? capacity : count) * sizeof(*few)) == 0);
}

// A terminated copy of exactly its size, with the names of markers for the bytes 1 to 4; a zero ends it.
static char *content_of(struct bn_str from)
{
    size_t n = 0, capacity = 1;
    for (size_t i = 0; i < from.bytes; i++)
        capacity += from.data[i] >= 1 && from.data[i] <= 4 ? strlen(markers[from.data[i] - 1]) : 1;
    char *copy = malloc(capacity);
    require(copy != NULL);
    for (size_t i = 0; i < from.bytes && from.data[i]; i++) {
        const char *marker = from.data[i] >= 1 && from.data[i] <= 4 ? markers[from.data[i] - 1] : NULL;
        size_t bytes = marker ? strlen(marker) : 1;
        memcpy(copy + n, marker ? marker : &from.data[i], bytes);
        n += bytes;
    }
    copy[n] = '\0';
    char *exact = copy_text((struct bn_str){copy, n});
    free(copy);
    return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct bn_tokenizer *known[3];
    if (!known[0]) {
        bn_host_init(&host, NULL);
        for (int i = 0; i < 3; i++)
            known[i] = make(0, architectures[0], (struct bn_str){templates[i], strlen(templates[i])});
    }
    struct input input = {(const char *)data, bytes};
    unsigned shape = next_byte(&input), flags = next_byte(&input);
    struct bn_tokenizer *tokenizer = known[shape % 3], *made = NULL;
    if (shape >= 240) { // a template of the input's own, after one that is known or alone
        static char template[512];
        unsigned types = next_byte(&input);
        const char *start = shape & 1 ? templates[next_byte(&input) % 3] : "";
        struct bn_str own = next_str(&input, 255);
        size_t n = strlen(start);
        memcpy(template, start, n);
        memcpy(template + n, own.data, own.bytes);
        made = tokenizer = make(types, architectures[shape >> 1 & 1], (struct bn_str){template, n + own.bytes});
    }
    struct bn_chat_message messages[MAX_MESSAGES];
    char *contents[MAX_MESSAGES];
    size_t n = flags % (MAX_MESSAGES + 1);
    for (size_t i = 0; i < n; i++) {
        messages[i].role = roles[next_byte(&input) % 16 < 15 ? i % 3 : 3 + i % 2];
        size_t most = i + 1 < n ? next_byte(&input) : input.left;
        messages[i].content = contents[i] = content_of(next_bytes(&input, most));
    }
    check_conversation(tokenizer, messages, n, flags & 64, flags & 128, flags >> 3 & 7);
    for (size_t i = 0; i < n; i++)
        free(contents[i]);
    bn_tokenizer_destroy(made);
    return 0;
}
