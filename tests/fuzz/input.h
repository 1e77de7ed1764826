// What the fuzz targets share: taking an input apart, and checks that survive NDEBUG.
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static inline void require(bool held)
{
    if (!held)
        abort();
}

struct input {
    const char *at;
    size_t left;
};

static inline unsigned next_byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return (unsigned char)*input->at++;
}

static inline struct bn_str next_bytes(struct input *input, size_t n)
{
    n = n < input->left ? n : input->left;
    struct bn_str str = {input->at, n};
    input->at += n;
    input->left -= n;
    return str;
}

static inline struct bn_str next_str(struct input *input, size_t longest)
{
    return next_bytes(input, next_byte(input) % (longest + 1));
}

// A terminated copy of exactly its size, so that sanitizers see a read beyond. It ends at the first zero.
static inline char *copy_text(struct bn_str str)
{
    size_t n = strnlen(str.data, str.bytes);
    char *copy = malloc(n + 1);
    require(copy != NULL);
    if (n)
        memcpy(copy, str.data, n);
    copy[n] = '\0';
    return copy;
}

// GPT-2's character for a byte, terminated.
static inline void alphabet_of(unsigned byte, char *text)
{
    static const unsigned char others[] = {0, 0x20, 0x7f, 0xa0, 0xad, 0xad}; // pairs: first and last
    unsigned code = byte;
    for (unsigned i = 0, n = 0x100; i < sizeof(others); i += 2) {
        if (byte >= others[i] && byte <= others[i + 1])
            code = n + byte - others[i];
        n += others[i + 1] - others[i] + 1u;
    }
    text[0] = (char)(code < 0x80 ? code : 0xc0 | code >> 6);
    text[1] = (char)(code < 0x80 ? 0 : 0x80 | (code & 0x3f));
    text[2] = '\0';
}

#endif
