// The shaders of the Vulkan driver: GLSL, compiled to SPIR-V when the library is built.
#include "shader/shader.h"

#include "vulkan_shaders.inl"

#include <stdio.h>
#include <string.h>

extern const struct shader_kind shader_kind_vulkan;

static const struct {
    const char *name;
    const uint32_t *words;
    size_t bytes;
} embedded[] = {VULKAN_SHADERS};

enum { N_EMBEDDED = sizeof embedded / sizeof *embedded, MAX_IDS = 4096 };
enum { OP_NAME = 5, OP_SPEC_CONSTANT = 50, OP_DECORATE = 71, SPEC_ID = 1 };

// The constants of a module, from its names and decorations.
static size_t constants_of(const uint32_t *words, size_t n, struct shader_constant *list)
{
    static const char *names[MAX_IDS];
    static uint32_t values[MAX_IDS];
    size_t found = 0;
    memset(names, 0, sizeof names);
    for (size_t at = 5; at < n && words[at] >> 16; at += words[at] >> 16) {
        uint32_t op = words[at] & 0xffff;
        if (op == OP_NAME && words[at + 1] < MAX_IDS)
            names[words[at + 1]] = (const char *)&words[at + 2];
        else if (op == OP_SPEC_CONSTANT && words[at + 2] < MAX_IDS)
            values[words[at + 2]] = words[at + 3];
    }
    for (size_t at = 5; at < n && words[at] >> 16; at += words[at] >> 16)
        if ((words[at] & 0xffff) == OP_DECORATE && words[at + 2] == SPEC_ID && words[at + 1] < MAX_IDS)
            for (size_t next = at; next < n && words[next] >> 16; next += words[next] >> 16)
                if ((words[next] & 0xffff) == OP_SPEC_CONSTANT && words[next + 2] == words[at + 1]) {
                    const char *name = names[words[at + 1]];
                    if (!name || !*name || found == MAX_CONSTANTS) // a workgroup's size has the id of its constant
                        break;
                    struct shader_constant *constant = &list[found++];
                    *constant = (struct shader_constant){.id = words[at + 3], .value = values[words[at + 1]]};
                    snprintf(constant->name, sizeof constant->name, "%s", name);
                    snprintf(constant->values, sizeof constant->values, "%u", constant->value);
                    break;
                }
    return found;
}

static bool variant(size_t i, struct shader_variant *variant)
{
    if (i >= N_EMBEDDED)
        return false;
    variant->name = embedded[i].name;
    variant->data = (const char *)embedded[i].words;
    variant->bytes = embedded[i].bytes;
    variant->n_constants = constants_of(embedded[i].words, embedded[i].bytes / 4, variant->constants);
    return true;
}

// Those that the build could not compile either.
static bool left_out(const char *name, const char *defines)
{
    for (size_t i = 0; i < N_EMBEDDED; i++)
        if (strcmp(embedded[i].name, name) == 0)
            return false;
    return strstr(defines, "COOPMAT") != NULL;
}

const struct shader_kind shader_kind_vulkan = {
    .driver = "vulkan",
    .manifest = "manifest.txt",
    .folder = "glsl",
    .compiler = "glslangValidator",
    .suffix = "spv",
    // "ERROR: FILE:LINE: ..." as FILE:LINE: ..., which editors understand; the status is that of the compiler.
    .build =
        "said=$(glslangValidator -V --quiet --target-env vulkan1.2 -o \"$OUT\" $DEFINES \"$SOURCE/glsl/$FILE\" 2>&1)\n"
        "status=$?\n"
        "printf '%s\\n' \"$said\" | sed -e 's/^ERROR: //' -e '/^$/d' >&2\n"
        "exit $status",
    .disasm = "spirv-dis",
    .package = "spirv-tools",
    .overrides = true,
    .variant = variant,
    .left_out = left_out,
};
