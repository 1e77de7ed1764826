// What cannot be tested in a build that lacks a library.
#ifndef TESTS_WITHOUT_H
#define TESTS_WITHOUT_H

#include <stdbool.h>
#include <stdio.h>

#include "bn_config.h"

// Prints the reason if so; the caller exits 77.
static inline bool without_pcre2(void)
{
    if (!BN_HAVE_PCRE2)
        puts("skipped: this build has no PCRE2, so every vocabulary is refused");
    return !BN_HAVE_PCRE2;
}

static inline bool without_folders(void)
{
    if (!BN_HAVE_JANSSON)
        puts("skipped: this build has no Jansson, so folders of Hugging Face are refused");
    return !BN_HAVE_JANSSON;
}

#endif
