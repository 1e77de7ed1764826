// Text for a tokenizer, or a vocabulary for one, by the first byte.
//
// Text must come back byte for byte, whatever it holds and however the stream of its tokens is cut into UTF-8.
// A vocabulary may be refused; if it is not, the same holds for any text that its tokens spell.
#include <bitnet/text.h>

#include <stdio.h>

#include "input.h"
#include "runtime/text/tokenizer.h"

#define MAX_TOKENS 512
#define MAX_IDS 65536

static struct bn_host host;
static int32_t ids[MAX_IDS];
static char out[MAX_IDS * 3 + 64];

// Token by token into the stream must give the same as the whole text at once.
static void check_stream(const struct bn_tokenizer *tokenizer, size_t count, const char *text, size_t bytes)
{
    static char whole[MAX_IDS * 3 + 64];
    struct bn_utf8_stream stream = {0}, once = {0};
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t piece;
        const char *data = bn_token_bytes(tokenizer, ids[i], &piece);
        if (piece)
            n += bn_utf8_push(&stream, data, piece, out + n);
    }
    n += bn_utf8_push(&stream, NULL, 0, out + n);
    size_t n_whole = bytes ? bn_utf8_push(&once, text, bytes, whole) : 0;
    n_whole += bn_utf8_push(&once, NULL, 0, whole + n_whole);
    require(n == n_whole && memcmp(out, whole, n) == 0);
}

static void check_text(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, unsigned flags)
{
    size_t count, again, at = 0;
    bytes = bytes < MAX_IDS ? bytes : MAX_IDS;
    enum bn_result result = bn_tokenize(tokenizer, text, bytes, flags, ids, MAX_IDS, &count, NULL);
    require(result == BN_OK || result == BN_ERR_UNSUPPORTED);
    if (result != BN_OK)
        return;
    require(count <= bytes);
    for (size_t i = 0; i < count; i++) {
        size_t piece;
        const char *data = bn_token_bytes(tokenizer, ids[i], &piece);
        require(data && piece > 0 && piece <= bytes - at && memcmp(data, text + at, piece) == 0);
        require((flags & BN_TOKENIZE_SPECIAL) || bn_token_get_kind(tokenizer, ids[i]) != BN_TOKEN_SPECIAL);
        at += piece;
    }
    require(at == bytes);
    require(bn_tokenize(tokenizer, text, bytes, flags, NULL, 0, &again, NULL) == BN_OK && again == count);
    check_stream(tokenizer, count, text, bytes);
}

static char alphabet[256][4];
static struct bn_str tokens[MAX_TOKENS];
static struct bn_str merges[MAX_TOKENS];
static int32_t types[MAX_TOKENS];

static void add_bytes(struct bn_vocab *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        alphabet_of(byte, alphabet[byte]);
        types[vocab->n_tokens] = 1;
        tokens[vocab->n_tokens++] = (struct bn_str){alphabet[byte], strlen(alphabet[byte])};
    }
}

static struct bn_tokenizer *known(const char *pre)
{
    static const char *const words[] = {"th", "the", "\u0120\u0120", "\u0120the", "11", "\u00c3\u00a9", "he"};
    static const char *const pairs[] = {"t h", "th e", "\u0120 \u0120", "\u0120 the", "1 1", "\u00c3 \u00a9", "h e"};
    static const char *const names[] = {"<|eot_id|>", "<|eot", "<s>", "  \n"};
    struct bn_vocab vocab = {.file = "fuzz", .model = {"gpt2", 4}, .bos = -1, .eos = -1, .eot = -1, .pad = -1};
    vocab.ignore_merges = -1; // and nfc is 0: what comes out is to be what went in
    vocab.pre = (struct bn_str){pre, strlen(pre)};
    vocab.tokens = tokens;
    vocab.types = types;
    vocab.merges = merges;
    add_bytes(&vocab);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        types[vocab.n_tokens] = 1;
        tokens[vocab.n_tokens++] = (struct bn_str){words[i], strlen(words[i])};
        merges[vocab.n_merges++] = (struct bn_str){pairs[i], strlen(pairs[i])};
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        types[vocab.n_tokens] = i < 3 ? 3 : 4;
        tokens[vocab.n_tokens++] = (struct bn_str){names[i], strlen(names[i])};
    }
    struct bn_tokenizer *tokenizer;
    require(bn_tokenizer_create(&host, &vocab, &tokenizer, NULL) == BN_OK);
    return tokenizer;
}

static void fuzz_vocabulary(struct input *input)
{
    static const char *const pres[] = {"llama-bpe", "qwen2", "", "default"};
    static const char *const templates[] = {"", "BITNETAssistant: ", "<|start_header_id|><|end_header_id|><|eot_id|>"};
    unsigned shape = next_byte(input);
    const char *pre = pres[shape & 3], *template = templates[(shape >> 2) % 3];
    struct bn_vocab vocab = {.file = "fuzz", .model = {"gpt2", 4}, .architecture = {"bitnet-25", 9}};
    vocab.pre = (struct bn_str){pre, strlen(pre)};
    vocab.chat_template = (struct bn_str){template, strlen(template)};
    vocab.tokens = tokens;
    vocab.merges = merges;
    vocab.types = shape & 64 ? types : NULL;
    if (shape & 128)
        add_bytes(&vocab);
    for (unsigned n = next_byte(input); n > 0 && input->left > 0; n--) {
        types[vocab.n_tokens] = (int32_t)(next_byte(input) % 8);
        tokens[vocab.n_tokens++] = next_str(input, 20);
    }
    for (unsigned n = next_byte(input); n > 0 && input->left > 0; n--)
        merges[vocab.n_merges++] = next_str(input, 20);
    int64_t *const roles[] = {&vocab.bos, &vocab.eos, &vocab.eot, &vocab.pad};
    for (int i = 0; i < 4; i++)
        *roles[i] = (int64_t)next_byte(input) - 1;
    vocab.add_bos = (int)(next_byte(input) % 3) - 1;
    vocab.ignore_merges = vocab.add_bos;

    struct bn_tokenizer *tokenizer;
    struct bn_error err = {0};
    enum bn_result result = bn_tokenizer_create(&host, &vocab, &tokenizer, &err);
    require(result == BN_OK || ((result == BN_ERR_MODEL || result == BN_ERR_UNSUPPORTED) && err.subject[0]));
    if (result != BN_OK)
        return;
    check_text(tokenizer, input->at, input->left, 0);
    check_text(tokenizer, input->at, input->left, BN_TOKENIZE_SPECIAL);
    for (int32_t id = -1; id <= (int32_t)vocab.n_tokens; id++) {
        size_t n;
        const char *piece = bn_token_bytes(tokenizer, id, &n);
        require((piece != NULL) == (id >= 0 && id < (int32_t)vocab.n_tokens));
    }
    struct bn_chat_message message = {"user", "<|eot_id|> \n"};
    size_t count;
    result = bn_chat_tokenize(tokenizer, &message, 1, true, true, ids, MAX_IDS, &count, NULL);
    require(result == BN_OK || result == BN_ERR_UNSUPPORTED);
    bn_tokenizer_destroy(tokenizer);
}

// Without a space in front and with a token for every byte, the ids spell the text, U+2581 being a space.
static void check_spelled(const struct bn_tokenizer *tokenizer, const char *text, size_t bytes, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t piece;
        const char *data = bn_token_bytes(tokenizer, ids[i], &piece);
        for (size_t j = 0; j < piece; j++) {
            bool mark = bytes - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
            require(at < bytes && (mark ? data[j] == ' ' : data[j] == text[at]));
            at += mark ? 3 : 1;
        }
    }
    require(at == bytes);
}

static void fuzz_sentencepiece(struct input *input, bool unigram)
{
    static char bytes_of[256][8];
    static float scores[MAX_TOKENS];
    unsigned shape = next_byte(input);
    struct bn_vocab vocab = {.file = "fuzz", .bos = -1, .eos = -1, .eot = -1, .pad = -1, .add_bos = 0};
    vocab.model = (struct bn_str){unigram ? "t5" : "llama", unigram ? 2 : 5};
    vocab.tokens = tokens;
    vocab.types = types;
    vocab.scores = shape & 1 ? scores : NULL;
    vocab.add_space_prefix = shape & 2 ? 1 : 0;
    vocab.remove_extra_whitespaces = shape & 4 ? 1 : 0;
    vocab.has_charsmap = (shape & 0x78) == 0x78;
    bool all_bytes = shape & 128, unknown = false;
    for (unsigned byte = 0; byte < 256 && all_bytes; byte++) {
        snprintf(bytes_of[byte], sizeof(bytes_of[byte]), "<0x%02X>", byte);
        types[vocab.n_tokens] = 6;
        scores[vocab.n_tokens] = 0;
        tokens[vocab.n_tokens++] = (struct bn_str){bytes_of[byte], 6};
    }
    for (unsigned n = next_byte(input); n > 0 && input->left > 0; n--) {
        unsigned byte = next_byte(input);
        types[vocab.n_tokens] = (int32_t)(byte % 8);
        unknown |= byte % 8 == 2;
        uint32_t bits = (uint32_t)byte << 24 | next_byte(input) << 16;
        memcpy(&scores[vocab.n_tokens], &bits, sizeof(bits));
        tokens[vocab.n_tokens++] = next_str(input, 20);
    }
    struct bn_tokenizer *tokenizer;
    struct bn_error err = {0};
    enum bn_result result = bn_tokenizer_create(&host, &vocab, &tokenizer, &err);
    require(result == BN_OK || ((result == BN_ERR_MODEL || result == BN_ERR_UNSUPPORTED) && err.subject[0]));
    if (result != BN_OK)
        return;
    size_t count, bytes = input->left < MAX_IDS - 1 ? input->left : MAX_IDS - 1;
    result = bn_tokenize(tokenizer, input->at, bytes, 0, ids, MAX_IDS, &count, NULL);
    require(result == BN_OK || (result == BN_ERR_UNSUPPORTED && !(all_bytes && !unknown)));
    size_t parts = 1; // each may begin with a space: that of the start, and those behind tokens of the author's own
    for (size_t i = 0; result == BN_OK && i < count; i++)
        parts += types[ids[i]] == 4;
    require(result != BN_OK || count <= bytes + parts);
    if (result == BN_OK && all_bytes && !unknown && !vocab.add_space_prefix && !vocab.remove_extra_whitespaces)
        check_spelled(tokenizer, input->at, bytes, count);
    bn_tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct bn_tokenizer *llama, *gpt2;
    if (!llama) {
        bn_host_init(&host, NULL);
        llama = known("llama-bpe");
        gpt2 = known("gpt-2");
    }
    struct input input = {(const char *)data, bytes};
    unsigned kind = next_byte(&input);
    if ((kind & 9) == 9)
        fuzz_sentencepiece(&input, kind & 2);
    else if (kind & 1)
        fuzz_vocabulary(&input);
    else
        check_text(kind & 2 ? llama : gpt2, input.at, input.left, kind & 4 ? BN_TOKENIZE_SPECIAL : 0);
    return 0;
}
