#include "common/escape.h"

#include <stdio.h>
#include <string.h>

static const char letters[] = "nrt\\\"'0";
static const char meanings[] = "\n\r\t\\\"'";

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

size_t tool_unescape(char *text, size_t bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        const char *letter = text[i] == '\\' && i + 1 < bytes && text[i + 1] ? strchr(letters, text[i + 1]) : NULL;
        if (letter) {
            text[n++] = meanings[letter - letters];
            i++;
        } else if (text[i] == '\\' && i + 3 < bytes && text[i + 1] == 'x' && hex_digit(text[i + 2]) >= 0 &&
                   hex_digit(text[i + 3]) >= 0) {
            text[n++] = (char)(hex_digit(text[i + 2]) * 16 + hex_digit(text[i + 3]));
            i += 3;
        } else {
            text[n++] = text[i];
        }
    }
    text[n] = '\0';
    return n;
}

// Bytes of the valid character at text, 0 if there is none (Unicode 15, table 3-7).
static size_t character(const unsigned char *p, size_t bytes)
{
    static const struct {
        unsigned char first, last, low, high, length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*p < forms[i].first || *p > forms[i].last)
            continue;
        if (bytes < forms[i].length || (forms[i].length > 1 && (p[1] < forms[i].low || p[1] > forms[i].high)))
            return 0;
        for (size_t j = 2; j < forms[i].length; j++) {
            if ((p[j] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].length;
    }
    return 0;
}

size_t tool_control(const char *text, size_t bytes)
{
    unsigned char c = bytes ? (unsigned char)text[0] : ' ';
    if (c < ' ' || c == 127)
        return 1;
    return bytes > 1 && c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0 ? 2 : 0;
}

void tool_make_printable(char *text)
{
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes;) {
        size_t n = character((const unsigned char *)text + i, bytes - i);
        if (n == 0 || tool_control(text + i, n)) {
            n = n ? n : 1;
            memset(text + i, '?', n);
        }
        i += n;
    }
}

size_t tool_escape(const char *text, size_t bytes, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        size_t n = character((const unsigned char *)text + i, bytes - i);
        const char *meaning = text[i] ? strchr("\n\r\t\\", text[i]) : NULL;
        if (meaning) {
            out[used++] = '\\';
            out[used++] = letters[strchr(meanings, *meaning) - meanings];
        } else if (n == 0 || tool_control(text + i, n)) {
            used += (size_t)snprintf(out + used, 5, "\\x%02x", (unsigned)(unsigned char)text[i]);
            n = 1;
        } else {
            memcpy(out + used, text + i, n);
            used += n;
        }
        i += n;
    }
    out[used] = '\0';
    return used;
}
