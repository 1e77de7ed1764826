// Compiling, listing and disassembling: what needs no device.
#include "shader/shader.h"

#include "common/fail.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

#define KIND_DECLARED(name) extern const struct shader_kind shader_kind_##name;
#define KIND_ROW(name) &shader_kind_##name,
#define KIND_WORD(name) " " #name
SHADER_KINDS(KIND_DECLARED)
static const struct shader_kind *const kinds[] = {SHADER_KINDS(KIND_ROW)};

const char *shader_kinds(void)
{
    return &SHADER_KINDS(KIND_WORD)[1];
}

const struct shader_kind *shader_kind_of(const char *device)
{
    const char *slash = strrchr(device, '/');
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->driver, slash ? slash + 1 : device) == 0)
            return kinds[i];
    return NULL;
}

static bool begins(const char *text, const char *start)
{
    return !start || strncmp(text, start, strlen(start)) == 0;
}

bool shader_exists(const struct shader_kind *kind, const char *name)
{
    struct shader_variant variant;
    for (size_t i = 0; kind->variant(i, &variant); i++)
        if (begins(variant.name, name))
            return true;
    return false;
}

int shader_list(const struct settings *settings, const struct shader_kind *kind, const char *name)
{
    struct shader_variant variant;
    for (size_t i = 0; kind->variant(i, &variant); i++)
        if (begins(variant.name, name))
            report_variant(settings->report, kind->driver, &variant);
    return 0;
}

// A command of a kind, with its variables set in front of it.
struct script {
    char text[8 * PATH_BYTES];
    size_t used;
};

static void put(struct script *script, char c)
{
    if (script->used + 1 < sizeof script->text)
        script->text[script->used++] = c;
    script->text[script->used] = '\0';
}

static void put_text(struct script *script, const char *text)
{
    while (*text)
        put(script, *text++);
}

// NAME='value'; a quote in it as '\''.
static void set(struct script *script, const char *name, const char *value)
{
    put_text(script, name);
    put_text(script, "='");
    for (; *value; value++)
        if (*value == '\'')
            put_text(script, "'\\''");
        else
            put(script, *value);
    put_text(script, "'\n");
}

static void begin_script(struct script *script, const struct settings *settings, const char *name)
{
    script->used = 0;
    set(script, "SOURCE", settings->source);
    set(script, "NAME", name);
    set(script, "ISA", settings->isa);
}

// False if it is too long: half a command is none.
static bool end_script(struct script *script, const char *command)
{
    put_text(script, command);
    return script->used + 1 < sizeof script->text;
}

int shader_disasm(const struct settings *settings, const struct shader_kind *kind, const char *name)
{
    struct shader_variant variant;
    struct script script;
    // What is compiled ahead has the values of constants in its name, behind that of the kernel.
    for (size_t i = 0; kind->variant(i, &variant); i++) {
        size_t n = strlen(variant.name);
        bool same = strcmp(variant.name, name) == 0;
        bool ahead = !kind->overrides && begins(name, variant.name) && name[n] == '_' && name[n + 1] <= '9';
        if (!same && !ahead)
            continue;
        begin_script(&script, settings, name);
        fflush(stdout);
        FILE *pipe = end_script(&script, kind->disasm) ? popen(script.text, "w") : NULL;
        bool ok = pipe && fwrite(variant.data, 1, variant.bytes, pipe) == variant.bytes;
        if (pipe && pclose(pipe) == 0 && ok)
            return 0;
        tool_say(PROGRAM, "%s cannot be shown; this needs Debian's package %s, and for cuda and hip --source", name,
                 kind->package);
        return TOOL_EXIT_USAGE;
    }
    tool_say(PROGRAM, "%s: no such variant; bitnet-shader -d %s list shows them", name, kind->driver);
    return TOOL_EXIT_USAGE;
}

static int compile(const struct settings *settings, const struct shader_kind *kind, const char *name, const char *file,
                   const char *defines)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    struct script script;
    snprintf(to, sizeof to, "%s/%s.%s", settings->out, name, kind->suffix);
    snprintf(from, sizeof from, "%s/%s.%s.new", settings->out, name, kind->suffix);
    begin_script(&script, settings, name);
    set(&script, "FILE", file);
    set(&script, "DEFINES", defines);
    set(&script, "OUT", from);
    int status = end_script(&script, kind->build) ? system(script.text) : -1;
    if (status != 0) {
        unlink(from);
        bool missing = WIFEXITED(status) && WEXITSTATUS(status) == 127;
        tool_say(PROGRAM, missing ? "%s was not compiled: there is no %s" : "%s was not compiled", name,
                 kind->compiler);
        return TOOL_EXIT_CHECK;
    }
    if (rename(from, to) != 0) {
        tool_say(PROGRAM, "%s: %s", to, strerror(errno));
        return TOOL_EXIT_RESOURCE;
    }
    return 0;
}

// A line of a manifest: NAME FILE WORD..., of which those are defines that are no constants (C0, C1=8, C2?).
static bool parse_line(char *line, char **name, char **file, char *defines, size_t size)
{
    char *save = NULL;
    line[strcspn(line, "#\n")] = '\0';
    *name = strtok_r(line, " ", &save);
    *file = *name ? strtok_r(NULL, " ", &save) : NULL;
    defines[0] = '\0';
    for (char *word = *file ? strtok_r(NULL, " ", &save) : NULL; word; word = strtok_r(NULL, " ", &save)) {
        size_t used = strlen(defines);
        if (word[0] != 'C' || word[1] < '0' || word[1] > '9')
            snprintf(defines + used, size - used, " -D%s", word);
    }
    return *file != NULL;
}

int shader_build(const struct settings *settings, const struct shader_kind *kind, const char *name)
{
    char path[PATH_BYTES], line[512], defines[512], *variant, *file;
    snprintf(path, sizeof path, "%s/%s", settings->source, kind->manifest);
    FILE *manifest = fopen(path, "r");
    if (!manifest) {
        tool_say(PROGRAM, "%s: %s; --source names the folder of the shaders", path, strerror(errno));
        return TOOL_EXIT_USAGE;
    }
    mkdir(settings->out, 0777); // what is wrong shows when a file is written
    int exit_code = 0, built = 0;
    while (exit_code == 0 && fgets(line, sizeof line, manifest)) {
        if (!parse_line(line, &variant, &file, defines, sizeof defines) || !begins(variant, name))
            continue;
        if (strstr(defines, " -DFOR=")) // for some processors alone, in place of another
            continue;
        if (kind->left_out && kind->left_out(variant, defines)) {
            tool_say(PROGRAM, "%s is left out: it was when this program was built, for want of a newer compiler",
                     variant);
            continue;
        }
        exit_code = compile(settings, kind, variant, file, defines);
        built += exit_code == 0;
    }
    fclose(manifest);
    if (exit_code == 0)
        fprintf(stderr, "%d variants in %s\n", built, settings->out);
    return exit_code;
}

uint64_t shader_source_time(const struct settings *settings, const struct shader_kind *kind)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", settings->source, kind->folder);
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
