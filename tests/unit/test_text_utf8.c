// bn_utf8_push against a decoder made from the definition: every character is encoded by arithmetic, so that what is
// a character, and what is the start of one, is looked up and not computed from ranges.
#include "text_support.h"

#include <stdlib.h>

static unsigned char two[1 << 16], three[1 << 24]; // 1: start of a character; 2: a character

static unsigned key(const unsigned char *s, size_t n)
{
    unsigned value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | s[i];
    return value;
}

static size_t encode(uint32_t code, unsigned char *s)
{
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        s[i] = (unsigned char)(0x80 | (code & 0x3f));
    s[0] = (unsigned char)(lead[n] | code);
    return n;
}

static void make_tables(void)
{
    for (uint32_t code = 0x80; code < 0x110000; code++) {
        unsigned char s[4];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size_t n = encode(code, s);
        two[key(s, 2)] = n == 2 ? 2 : 1;
        if (n >= 3)
            three[key(s, 3)] = n == 3 ? 2 : 1;
    }
}

static bool is_lead(unsigned char c)
{
    for (unsigned second = 0; second < 256; second++) {
        if (two[(unsigned)c << 8 | second])
            return true;
    }
    return false;
}

// How many bytes of s belong to the character or the start of one that s begins with; *whole: a character.
static size_t longest(const unsigned char *s, size_t n, bool *whole)
{
    *whole = s[0] < 0x80;
    if (*whole || !is_lead(s[0]) || n < 2 || !two[key(s, 2)])
        return 1;
    *whole = two[key(s, 2)] == 2;
    if (*whole || n < 3 || !three[key(s, 3)])
        return 2;
    *whole = three[key(s, 3)] == 2;
    if (*whole || n < 4)
        return 3;
    *whole = s[3] >= 0x80 && s[3] < 0xc0;
    return *whole ? 4 : 3;
}

static size_t reference(const unsigned char *s, size_t n, unsigned char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < n;) {
        bool whole;
        size_t length = longest(s + i, n - i, &whole);
        memcpy(out + written, whole ? s + i : (const unsigned char *)"\xef\xbf\xbd", whole ? length : 3);
        written += whole ? length : 3;
        i += length;
    }
    return written;
}

// Pushes s in parts, cut after byte i where bit i of `cuts` is set, and compares with the reference.
static void check_cut(const unsigned char *s, size_t n, uint64_t cuts)
{
    unsigned char wanted[256], got[256];
    size_t n_wanted = reference(s, n, wanted), n_got = 0;
    struct bn_utf8_stream stream = {0};
    for (size_t start = 0, end = 0; end < n; start = end) {
        end++;
        while (end < n && !(cuts >> (end - 1) & 1))
            end++;
        size_t room = 3 * (end - start) + 12;
        unsigned char out[256];
        memset(out, 0xaa, sizeof(out));
        size_t written = bn_utf8_push(&stream, (const char *)s + start, end - start, (char *)out);
        bool kept = written <= room;
        for (size_t i = written; i < sizeof(out); i++)
            kept &= out[i] == 0xaa;
        if (!kept)
            ck_abort_msg("%zu bytes in a room of %zu", written, room);
        memcpy(got + n_got, out, written);
        n_got += written;
    }
    n_got += bn_utf8_push(&stream, NULL, 0, (char *)got + n_got);
    if (stream.n_held != 0 || n_got != n_wanted || memcmp(got, wanted, n_got) != 0)
        ck_abort_msg("bytes %02x %02x %02x %02x (%zu), cuts %llx", s[0], n > 1 ? s[1] : 0, n > 2 ? s[2] : 0,
                     n > 3 ? s[3] : 0, n, (unsigned long long)cuts);
}

START_TEST(characters)
{
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xd800 && code < 0xe000)
            continue;
        unsigned char s[8] = "";
        char out[64];
        size_t n = encode(code, s);
        for (size_t cut = 0; cut <= n; cut++) {
            struct bn_utf8_stream stream = {0};
            size_t got = cut ? bn_utf8_push(&stream, (char *)s, cut, out) : 0;
            bool late = got == (cut == n ? n : 0);
            if (cut < n)
                got += bn_utf8_push(&stream, (char *)s + cut, n - cut, out + got);
            if (!late || got != n || memcmp(out, s, n) != 0 || bn_utf8_push(&stream, NULL, 0, out) != 0)
                ck_abort_msg("U+%04X, cut after %zu", code, cut);
        }
    }
}
END_TEST

START_TEST(every_pair)
{
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            unsigned char s[2] = {(unsigned char)a, (unsigned char)b};
            check_cut(s, 1, 0);
            check_cut(s, 2, 0);
            check_cut(s, 2, 1);
        }
    }
}
END_TEST

START_TEST(four_of_the_edges)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
                                          0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    size_t n = sizeof(edges);
    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char s[4] = {edges[i % n], edges[i / n % n], edges[i / n / n % n], edges[i / n / n / n]};
        for (uint64_t cuts = 0; cuts < 8; cuts++)
            check_cut(s, 4, cuts);
    }
}
END_TEST

START_TEST(random_streams)
{
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        unsigned char s[64];
        size_t n = 0;
        while (n < 56) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if (state & 1)
                s[n++] = (unsigned char)(state >> 32);
            else
                n += encode((uint32_t)(state >> 40) % 0xd800, s + n);
        }
        check_cut(s, n, state);
        check_cut(s, n, UINT64_MAX);
    }
}
END_TEST

// What the standard itself gives, table 3-8 to 3-11 of chapter 3.9.
START_TEST(examples_of_the_standard)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA"},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "\ufffd\ufffd\ufffd\ufffd\ufffdA\ufffd\ufffdB"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "\ufffd\ufffd\ufffd\ufffdA"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bn_utf8_stream stream = {0};
        char out[64];
        size_t n = bn_utf8_push(&stream, rows[i].in, strlen(rows[i].in), out);
        ck_assert_uint_eq(n, strlen(rows[i].out));
        ck_assert_mem_eq(out, rows[i].out, n);
    }
}
END_TEST

int main(void)
{
    make_tables();
    const TTest *const tests[] = {characters, every_pair, four_of_the_edges, random_streams, examples_of_the_standard};
    return run_tests("text_utf8", tests, sizeof(tests) / sizeof(tests[0]));
}
