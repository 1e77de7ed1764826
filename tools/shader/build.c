// Compiling, listing and disassembling: what needs no device.
#include "shader/shader.h"

#include "common/fail.h"
#include "vulkan_shaders.inl"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    const uint32_t *words;
    size_t bytes;
} embedded[] = {VULKAN_SHADERS};

enum { N_EMBEDDED = sizeof embedded / sizeof *embedded, OP_NAME = 5, OP_DECORATE = 71, SPEC_ID = 1 };
enum { OP_SPEC_CONSTANT = 50, MAX_IDS = 4096, PATH_BYTES = 4096, MAX_CONSTANTS = 32 };

static bool begins(const char *text, const char *start)
{
    return !start || strncmp(text, start, strlen(start)) == 0;
}

bool shader_exists(const char *name)
{
    for (size_t i = 0; i < N_EMBEDDED; i++)
        if (begins(embedded[i].name, name))
            return true;
    return false;
}

// The constants of a module, from its names and decorations; at most MAX_CONSTANTS.
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
                    if (name && *name && found < MAX_CONSTANTS) // a workgroup's size has the id of its constant
                        list[found++] = (struct shader_constant){words[at + 3], values[words[at + 1]], name};
                    break;
                }
    return found;
}

int shader_list(const struct settings *settings, const char *name)
{
    struct shader_constant constants[MAX_CONSTANTS];
    for (size_t i = 0; i < N_EMBEDDED; i++)
        if (begins(embedded[i].name, name))
            report_variant(settings->report, embedded[i].name, embedded[i].bytes, constants,
                           constants_of(embedded[i].words, embedded[i].bytes / 4, constants));
    return 0;
}

int shader_disasm(const char *name)
{
    for (size_t i = 0; i < N_EMBEDDED; i++) {
        if (strcmp(embedded[i].name, name) != 0)
            continue;
        fflush(stdout);
        FILE *pipe = popen("spirv-dis", "w");
        bool ok = pipe && fwrite(embedded[i].words, 1, embedded[i].bytes, pipe) == embedded[i].bytes;
        if (pipe && pclose(pipe) == 0 && ok)
            return 0;
        tool_say(PROGRAM, "spirv-dis failed; Debian has it in the package spirv-tools");
        return TOOL_EXIT_USAGE;
    }
    tool_say(PROGRAM, "%s: no such variant; bitnet-shader list shows them", name);
    return TOOL_EXIT_USAGE;
}

// "ERROR: FILE:LINE: ..." as FILE:LINE: ..., which editors understand.
static void print_compiler_line(const char *line)
{
    static const char prefix[] = "ERROR: ";
    if (strncmp(line, prefix, sizeof prefix - 1) == 0)
        line += sizeof prefix - 1;
    if (*line && *line != '\n')
        fprintf(stderr, "%s", line);
}

static int compile(const struct settings *settings, const char *name, const char *file, const char *defines)
{
    char command[3 * PATH_BYTES], line[1024];
    if (strchr(settings->source, '\'') || strchr(settings->out, '\'')) {
        tool_say(PROGRAM, "folders must not have a quote in their name");
        return TOOL_EXIT_USAGE;
    }
    snprintf(command, sizeof command,
             "glslangValidator -V --quiet --target-env vulkan1.2 -o '%s/%s.spv.new' '%s/glsl/%s'%s 2>&1", settings->out,
             name, settings->source, file, defines);
    FILE *pipe = popen(command, "r");
    if (!pipe) {
        tool_say(PROGRAM, "glslangValidator: %s", strerror(errno));
        return TOOL_EXIT_RESOURCE;
    }
    while (fgets(line, sizeof line, pipe))
        print_compiler_line(line);
    if (pclose(pipe) != 0) {
        tool_say(PROGRAM, "%s was not compiled", name);
        return TOOL_EXIT_CHECK;
    }
    char from[PATH_BYTES + 64], to[PATH_BYTES + 64];
    snprintf(from, sizeof from, "%s/%s.spv.new", settings->out, name);
    snprintf(to, sizeof to, "%s/%s.spv", settings->out, name);
    if (rename(from, to) != 0) {
        tool_say(PROGRAM, "%s: %s", to, strerror(errno));
        return TOOL_EXIT_RESOURCE;
    }
    return 0;
}

// Whether the build could not compile the variant, so that building it anew is no use.
static bool left_out(const char *variant, const char *defines)
{
    for (size_t i = 0; i < N_EMBEDDED; i++)
        if (strcmp(embedded[i].name, variant) == 0)
            return false;
    return strstr(defines, "COOPMAT") != NULL;
}

int shader_build(const struct settings *settings, const char *name)
{
    char path[PATH_BYTES], line[512];
    snprintf(path, sizeof path, "%s/manifest.txt", settings->source);
    FILE *manifest = fopen(path, "r");
    if (!manifest) {
        tool_say(PROGRAM, "%s: %s; --source names the folder of the shaders", path, strerror(errno));
        return TOOL_EXIT_USAGE;
    }
    mkdir(settings->out, 0777); // what is wrong shows when a file is written
    int exit_code = 0, built = 0;
    while (exit_code == 0 && fgets(line, sizeof line, manifest)) {
        char variant[64], file[64], defines[256] = "", rest[256] = "";
        if (line[0] == '#' || sscanf(line, "%63s %63s %255[^\n]", variant, file, rest) < 2 || !begins(variant, name))
            continue;
        if (left_out(variant, rest)) {
            tool_say(PROGRAM, "%s is left out: it was when this program was built, for want of a newer compiler",
                     variant);
            continue;
        }
        for (char *save = NULL, *word = strtok_r(rest, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
            size_t used = strlen(defines);
            snprintf(defines + used, sizeof defines - used, " -D%s", word);
        }
        exit_code = compile(settings, variant, file, defines);
        built += exit_code == 0;
    }
    fclose(manifest);
    if (exit_code == 0)
        fprintf(stderr, "%d variants in %s\n", built, settings->out);
    return exit_code;
}

uint64_t shader_source_time(const struct settings *settings)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/glsl", settings->source);
    DIR *folder = opendir(path);
    uint64_t newest = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct stat st;
        if (entry->d_name[0] == '.' || fstatat(dirfd(folder), entry->d_name, &st, 0) != 0)
            continue;
        uint64_t time = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
        newest = time > newest ? time : newest;
    }
    if (folder)
        closedir(folder);
    return newest;
}
