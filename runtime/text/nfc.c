#include "runtime/text/nfc.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/text/utf8.h"

// Of Unicode, section 3.12: syllables of Hangul are computed.
enum {
    HANGUL = 0xac00,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11a7,
    N_L = 19,
    N_V = 21,
    N_T = 28,
    FIRST_MOVING = 0x300, // every text below it is in form NFC
    MOST_PARTS = 4        // of a character that is taken apart completely
};

static const struct {
    uint32_t code, first, second;
} parts[] = {
#define BN_NFC_PARTS
#include "runtime/text/nfc.inl"
#undef BN_NFC_PARTS
};

static const uint16_t pairs[] = {
#define BN_NFC_PAIRS
#include "runtime/text/nfc.inl"
#undef BN_NFC_PAIRS
};

static const struct {
    uint32_t code;
    uint8_t n, class;
} classes[] = {
#define BN_NFC_CLASSES
#include "runtime/text/nfc.inl"
#undef BN_NFC_CLASSES
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// A character with its combining class; 0 starts a new cluster.
struct mark {
    uint32_t code;
    uint8_t class;
};

static uint8_t class_of(uint32_t code)
{
    size_t low = 0, high = COUNT(classes);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (classes[middle].code + classes[middle].n <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < COUNT(classes) && classes[low].code <= code ? classes[low].class : 0;
}

static void put(struct mark *to, size_t *n, uint32_t code)
{
    to[(*n)++] = (struct mark){code, class_of(code)};
}

// Takes a character apart. The second part of a pair never has parts; the first may have.
static void take_apart(uint32_t code, struct mark *to, size_t *n)
{
    uint32_t seconds[MOST_PARTS];
    size_t n_seconds = 0;
    if (code >= HANGUL && code < HANGUL + N_L * N_V * N_T) {
        uint32_t i = code - HANGUL;
        put(to, n, HANGUL_L + i / (N_V * N_T));
        put(to, n, HANGUL_V + i % (N_V * N_T) / N_T);
        if (i % N_T)
            put(to, n, HANGUL_T + i % N_T);
        return;
    }
    for (bool found = code >= 0xc0; found;) {
        size_t low = 0, high = COUNT(parts);
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (parts[middle].code < code)
                low = middle + 1;
            else
                high = middle;
        }
        found = low < COUNT(parts) && parts[low].code == code && n_seconds < MOST_PARTS;
        if (found && parts[low].second)
            seconds[n_seconds++] = parts[low].second;
        code = found ? parts[low].first : code;
    }
    put(to, n, code);
    while (n_seconds > 0)
        put(to, n, seconds[--n_seconds]);
}

// Marks of a cluster in ascending classes, equal ones as they stood: by counting, for no text may take quadratic time.
static void order_marks(struct mark *marks, size_t n, struct mark *scratch)
{
    size_t starts[257] = {0};
    for (size_t i = 0; i < n; i++)
        starts[marks[i].class + 1]++;
    for (size_t c = 1; c < COUNT(starts); c++)
        starts[c] += starts[c - 1];
    for (size_t i = 0; i < n; i++)
        scratch[starts[marks[i].class]++] = marks[i];
    memcpy(marks, scratch, n * sizeof(*marks));
}

static void order_all(struct mark *text, size_t n, struct mark *scratch)
{
    for (size_t start = 0, end; start < n; start = end + (end == start)) {
        bool sorted = true;
        for (end = start; end < n && text[end].class; end++)
            sorted = sorted && (end == start || text[end - 1].class <= text[end].class);
        if (!sorted)
            order_marks(text + start, end - start, scratch);
    }
}

// What two characters compose to; 0: they do not.
static uint32_t compose_pair(uint32_t first, uint32_t second)
{
    uint32_t l = first - HANGUL_L, v = second - HANGUL_V, s = first - HANGUL, t = second - HANGUL_T;
    if (l < N_L && v < N_V)
        return HANGUL + (l * N_V + v) * N_T;
    if (s < N_L * N_V * N_T && s % N_T == 0 && t > 0 && t < N_T)
        return first + t;
    size_t low = 0, high = COUNT(pairs);
    while (low < high) {
        size_t middle = (low + high) / 2, i = pairs[middle];
        if (parts[i].first < first || (parts[i].first == first && parts[i].second < second))
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < COUNT(pairs) && parts[pairs[low]].first == first && parts[pairs[low]].second == second;
    return found ? parts[pairs[low]].code : 0;
}

// A mark composes with the start of its cluster unless one of its own class, or a start, stands between.
static size_t compose_all(struct mark *text, size_t n)
{
    size_t kept = 0, start = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        bool blocked = start == SIZE_MAX || (kept > start + 1 && text[kept - 1].class >= text[i].class);
        uint32_t composed = blocked ? 0 : compose_pair(text[start].code, text[i].code);
        if (composed) {
            text[start].code = composed;
            continue;
        }
        if (text[i].class == 0)
            start = kept;
        text[kept++] = text[i];
    }
    return kept;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(leads[n] | code);
    return n;
}

// Codes of the text; 0 if all are such that it is in form NFC.
static size_t count_codes(const char *text, size_t bytes)
{
    size_t n = 0;
    bool moving = false;
    for (size_t i = 0; i < bytes; n++) {
        uint32_t code;
        i += bn_utf8_next(text + i, bytes - i, &code);
        moving = moving || code >= FIRST_MOVING;
    }
    return moving ? n : 0;
}

enum bn_result bn_nfc(const struct bn_host *host, const char *text, size_t bytes, char **out, size_t *out_bytes,
                      struct bn_error *err)
{
    size_t n = 0, most = count_codes(text, bytes) * MOST_PARTS, length = 0;
    *out = NULL;
    *out_bytes = bytes;
    if (most == 0)
        return BN_OK;
    struct mark *marks = bn_alloc_array(host, most, sizeof(*marks));
    struct mark *scratch = bn_alloc_array(host, most, sizeof(*scratch));
    enum bn_result result = BN_OK;
    if (!marks || !scratch)
        result = bn_fail_memory(err, (uint64_t)most * 2 * sizeof(*marks), "a text");
    for (size_t i = 0; i < bytes && result == BN_OK;) {
        uint32_t code;
        i += bn_utf8_next(text + i, bytes - i, &code);
        take_apart(code, marks, &n);
    }
    if (result == BN_OK) {
        order_all(marks, n, scratch);
        n = compose_all(marks, n);
        *out = bn_alloc(host, n * 4);
        if (!*out)
            result = bn_fail_memory(err, (uint64_t)n * 4, "a text");
    }
    for (size_t i = 0; i < n && result == BN_OK; i++)
        length += put_utf8(marks[i].code, *out + length);
    *out_bytes = length;
    if (result == BN_OK && length == bytes && memcmp(*out, text, bytes) == 0) {
        bn_free(host, *out);
        *out = NULL;
    }
    bn_free(host, marks);
    bn_free(host, scratch);
    return result;
}
