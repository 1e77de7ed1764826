#include "convert/synthetic_vocab.h"

#include <stdio.h>
#include <string.h>

// Spaces are "Ġ" in the alphabet of byte-level BPE.
#define G "\xc4\xa0"
#define G2 G G
#define G3 G G G
#define G4 G2 G2

#define LETTERS 26u
#define SYLLABLES 41u // with 41, the numbers of the published vocabulary can be met exactly
#define WORD_BYTES 16
#define MOST_SPLITS 3

// The first tokens after the bytes, and the merges that make them; the first eight merges are those of the published
// vocabulary.
static const char *const first_tokens[] = {G2, G4, "in", G "t", G4 G4, G3, G3 G3, G4 G3};
static const char *const first_merges[] = {
    G " " G, G " " G3, G2 " " G2, G3 " " G, "i n", G " t", G " " G4 G3, G2 " " G3 G3, G " " G2, G3 " " G3, G3 " " G4,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// A token and the places where it can be cut into two other tokens, the surest first.
struct word {
    char text[WORD_BYTES];
    uint8_t bytes;
    uint8_t n_splits;
    uint8_t splits[MOST_SPLITS];
};

static void add(struct word *word, const char *text, size_t bytes)
{
    memcpy(word->text + word->bytes, text, bytes);
    word->bytes = (uint8_t)(word->bytes + bytes);
}

static void add_letter(struct word *word, uint32_t letter)
{
    word->text[word->bytes++] = (char)('a' + letter);
}

// Consonant, vowel, consonant: 720 of them, of which every 17th is used.
static void add_syllable(struct word *word, uint64_t number)
{
    static const char consonants[] = "bdfgklmnprst", vowels[] = "aeiou";
    uint64_t n = number % SYLLABLES * 17;
    char text[3] = {consonants[n / 60], vowels[n / 12 % 5], consonants[n % 12]};
    add(word, text, 3);
}

static void add_syllables(struct word *word, uint64_t number, unsigned count)
{
    for (unsigned i = 0; i < count; i++, number /= SYLLABLES)
        add_syllable(word, number);
}

static void cut(struct word *word, unsigned n, uint8_t a, uint8_t b, uint8_t c)
{
    word->n_splits = (uint8_t)n;
    word->splits[0] = a;
    word->splits[1] = b;
    word->splits[2] = c;
}

static void space_letter(struct word *word, uint32_t i)
{
    add(word, G, 2);
    add_letter(word, i < 't' - 'a' ? i : i + 1); // " t" is among the first tokens
    cut(word, 1, 2, 0, 0);
}

static void two_letters(struct word *word, uint32_t i)
{
    i += i >= ('i' - 'a') * LETTERS + ('n' - 'a'); // so is "in"
    add_letter(word, i / LETTERS);
    add_letter(word, i % LETTERS);
    cut(word, 1, 1, 0, 0);
}

static void three_letters(struct word *word, uint32_t i)
{
    add_letter(word, i / (LETTERS * LETTERS));
    add_letter(word, i / LETTERS % LETTERS);
    add_letter(word, i % LETTERS);
    cut(word, 2, 2, 1, 0);
}

static void space_two_letters(struct word *word, uint32_t i)
{
    add(word, G, 2);
    add_letter(word, i / LETTERS);
    add_letter(word, i % LETTERS);
    cut(word, 2, 3, 2, 0);
}

static void space_syllable(struct word *word, uint32_t i)
{
    add(word, G, 2);
    add_syllable(word, i);
    cut(word, 2, 4, 2, 0);
}

static void two_syllables(struct word *word, uint32_t i)
{
    add_syllables(word, i, 2);
    cut(word, 1, 3, 0, 0);
}

static void space_two_syllables(struct word *word, uint32_t i)
{
    add(word, G, 2);
    add_syllables(word, i, 2);
    cut(word, 2, 5, 2, 0);
}

static void three_syllables(struct word *word, uint32_t i)
{
    add_syllables(word, i, 3);
    cut(word, 2, 6, 3, 0);
}

// A stride that is prime to the number of combinations visits each once, in an order that looks like none.
#define STRIDE 2654435761u
#define FOUR ((uint64_t)SYLLABLES * SYLLABLES * SYLLABLES * SYLLABLES)

static void four_syllables(struct word *word, uint32_t i)
{
    add_syllables(word, (uint64_t)i * STRIDE % FOUR, 4);
    cut(word, 3, 9, 3, 6);
}

static void five_syllables(struct word *word, uint32_t i)
{
    add_syllables(word, (uint64_t)i * STRIDE % (FOUR * SYLLABLES), 5);
    cut(word, 2, 9, 6, 0);
}

// In order of id. The splits of each kind are tokens of the kinds before it.
static const struct {
    uint32_t count;
    void (*make)(struct word *word, uint32_t i);
} kinds[] = {
    {LETTERS - 1, space_letter},
    {LETTERS * LETTERS - 1, two_letters},
    {LETTERS * LETTERS * LETTERS, three_letters},
    {LETTERS * LETTERS, space_two_letters},
    {SYLLABLES, space_syllable},
    {SYLLABLES * SYLLABLES, two_syllables},
    {SYLLABLES * SYLLABLES, space_two_syllables},
    {SYLLABLES * SYLLABLES * SYLLABLES, three_syllables},
    {FOUR, four_syllables},
};

static void make_word(const struct bn_made_vocab *vocab, uint32_t number, struct word *word)
{
    *word = (struct word){0};
    uint32_t words = vocab->plain - 256 - COUNT(first_tokens);
    if (number >= words - vocab->longest) {
        five_syllables(word, number - (words - vocab->longest));
        return;
    }
    size_t kind = 0;
    for (; number >= kinds[kind].count; kind++)
        number -= kinds[kind].count;
    kinds[kind].make(word, number);
}

// The character that stands for a byte, in order of id: printable characters of Latin-1 for themselves, then U+0100 on.
static size_t byte_token(uint32_t id, char *text)
{
    uint32_t code = id < 94 ? id + 0x21 : id < 106 ? id - 94 + 0xa1 : id < 188 ? id - 106 + 0xae : id - 188 + 0x100;
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    text[0] = (char)(0xc0 | code >> 6);
    text[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

// Named as in Llama 3: the reserved ones are numbered around those that have a use.
static void special_token(uint32_t i, const struct bn_vocab_sink *sink)
{
    static const struct {
        uint32_t place;
        const char *name;
    } named[] = {
        {0, "begin_of_text"}, {1, "end_of_text"}, {6, "start_header_id"}, {7, "end_header_id"}, {9, "eot_id"},
    };
    char text[64];
    int n = 0;
    uint32_t before = 0;
    for (size_t k = 0; k < COUNT(named); k++) {
        before += named[k].place < i;
        if (named[k].place == i)
            n = snprintf(text, sizeof(text), "<|%s|>", named[k].name);
    }
    if (n == 0)
        n = snprintf(text, sizeof(text), "<|reserved_special_token_%u|>", i - before);
    sink->token(sink->user, text, (size_t)n);
}

static void emit_tokens(const struct bn_made_vocab *vocab, const struct bn_vocab_sink *sink)
{
    char text[4];
    struct word word;
    for (uint32_t i = 0; i < 256; i++)
        sink->token(sink->user, text, byte_token(i, text));
    for (size_t i = 0; i < COUNT(first_tokens); i++)
        sink->token(sink->user, first_tokens[i], strlen(first_tokens[i]));
    for (uint32_t i = 0; i < vocab->plain - 256 - COUNT(first_tokens); i++) {
        make_word(vocab, i, &word);
        sink->token(sink->user, word.text, word.bytes);
    }
    for (uint32_t i = 0; i < vocab->specials; i++)
        special_token(i, sink);
}

static void emit_merges(const struct bn_made_vocab *vocab, const struct bn_vocab_sink *sink)
{
    uint32_t spare = vocab->spare;
    for (size_t i = 0; i < COUNT(first_merges); i++)
        sink->merge(sink->user, first_merges[i], strlen(first_merges[i]));
    for (uint32_t i = 0; i < vocab->plain - 256 - COUNT(first_tokens); i++) {
        struct word word;
        char text[WORD_BYTES + 1];
        make_word(vocab, i, &word);
        for (unsigned k = 0; k < word.n_splits && (k == 0 || spare > 0); k++) {
            size_t left = word.splits[k];
            memcpy(text, word.text, left);
            text[left] = ' ';
            memcpy(text + left + 1, word.text + left, word.bytes - left);
            sink->merge(sink->user, text, word.bytes + 1u);
            spare -= k > 0;
        }
    }
}

void bn_emit_vocab(const struct bn_made_vocab *vocab, const struct bn_vocab_sink *sink)
{
    if (sink->token)
        emit_tokens(vocab, sink);
    if (sink->merge)
        emit_merges(vocab, sink);
}

struct totals {
    uint64_t bytes;
    uint32_t merges;
};

static void count_token(void *user, const char *text, size_t bytes)
{
    struct totals *totals = user;
    totals->bytes += bytes;
}

static void count_merge(void *user, const char *text, size_t bytes)
{
    struct totals *totals = user;
    totals->bytes += bytes;
    totals->merges++;
}

static struct totals measure(const struct bn_made_vocab *vocab)
{
    struct totals totals = {0};
    bn_emit_vocab(vocab, &(struct bn_vocab_sink){count_token, count_merge, &totals});
    return totals;
}

bool bn_make_vocab(const struct bn_size *size, struct bn_made_vocab *vocab)
{
    uint32_t least = 256 + COUNT(first_tokens);
    *vocab = (struct bn_made_vocab){.plain = size->vocab - size->specials, .specials = size->specials};
    if (size->vocab < size->specials || vocab->plain < least || size->specials < 10)
        return false;
    uint32_t merges = vocab->plain - least + COUNT(first_merges);
    if (size->merges && size->merges < merges)
        return false;
    vocab->merges = size->merges ? size->merges : merges;
    vocab->spare = vocab->merges - merges;
    struct totals totals = measure(vocab);
    if (size->text && totals.bytes < size->text) {
        vocab->longest = 1;
        uint64_t step = measure(vocab).bytes - totals.bytes;
        vocab->longest = (uint32_t)((size->text - totals.bytes) / step);
        totals = measure(vocab);
        if (totals.bytes + step <= size->text)
            return false;
    }
    return totals.merges == vocab->merges && (size->text == 0 || totals.bytes <= size->text);
}
