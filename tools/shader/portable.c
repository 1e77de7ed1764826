// The portable kernels: text that drivers of OpenCL compile when a program runs, and that clang compiles ahead for CUDA and HIP.
#include "shader/shader.h"

#include "portable_sources.inl"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct shader_kind shader_kind_opencl, shader_kind_cuda, shader_kind_hip;

static const struct {
    const char *name, *text;
    size_t bytes;
    const char *options;
    uint32_t parameters;
} embedded[] = {PORTABLE_SOURCES};
static const char *const constants[] = {PORTABLE_CONSTANTS}; // "C0=64 C1=0|1|2 C3?", of the manifest

enum { N_EMBEDDED = sizeof embedded / sizeof *embedded };

// What the source calls constant `id`: the first "#define NAME Cid" or "#define NAME ((uint)Cid)".
static void name_of(const char *text, unsigned id, char *name, size_t size)
{
    char plain[8], cast[16], word[32], value[64];
    snprintf(plain, sizeof plain, "C%u", id);
    snprintf(cast, sizeof cast, "((uint)C%u)", id);
    snprintf(name, size, "%s", plain);
    for (const char *at = strstr(text, "#define "); at; at = strstr(at + 1, "#define "))
        if (sscanf(at, "#define %31s %63s", word, value) == 2 &&
            (strcmp(value, plain) == 0 || strcmp(value, cast) == 0)) {
            snprintf(name, size, "%s", word);
            return;
        }
}

static bool variant(size_t i, struct shader_variant *variant)
{
    if (i >= N_EMBEDDED)
        return false;
    variant->name = embedded[i].name;
    variant->data = embedded[i].text;
    variant->bytes = embedded[i].bytes;
    variant->n_constants = 0;
    for (const char *at = constants[i]; *at; at += strcspn(at, " "), at += *at == ' ') {
        struct shader_constant *constant = &variant->constants[variant->n_constants++];
        const char *how = at + 2;
        *constant = (struct shader_constant){.id = (uint32_t)(at[1] - '0')};
        how += *how == '=';
        constant->value = (uint32_t)strtoul(how, NULL, 10);
        snprintf(constant->values, sizeof constant->values, "%.*s", (int)strcspn(how, " "), how);
        name_of(embedded[i].text, constant->id, constant->name, sizeof constant->name);
    }
    return true;
}

const struct shader_kind shader_kind_opencl = {
    .driver = "opencl",
    .manifest = "portable/manifest.txt",
    .folder = "portable",
    .compiler = "portable.py",
    .suffix = "cl",
    .build = "python3 -B \"$SOURCE/portable/portable.py\" build \"$NAME\" \"$OUT\"",
    .disasm = "cat",
    .package = "coreutils",
    .overrides = true,
    .variant = variant,
};

const struct shader_kind shader_kind_cuda = {
    .driver = "cuda",
    .manifest = "portable/manifest.txt",
    .folder = "portable",
    .compiler = "ahead.py",
    .suffix = "ptx",
    .build = "python3 -B \"$SOURCE/portable/ahead.py\" build ptx \"$NAME\" \"$OUT\"",
    .disasm = "cat >/dev/null; python3 -B \"$SOURCE/portable/ahead.py\" show ptx \"$NAME\"",
    .package = "clang",
    .variant = variant,
};

const struct shader_kind shader_kind_hip = {
    .driver = "hip",
    .manifest = "portable/manifest.txt",
    .folder = "portable",
    .compiler = "ahead.py",
    .suffix = "s",
    .build = "python3 -B \"$SOURCE/portable/ahead.py\" build \"$ISA\" \"$NAME\" \"$OUT\"",
    .disasm = "cat >/dev/null; python3 -B \"$SOURCE/portable/ahead.py\" show \"$ISA\" \"$NAME\"",
    .package = "clang",
    .variant = variant,
};
