#include "common/model_path.h"
#include "common/fail.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bn_config.h"

enum { MAX_FOLDERS = 12 };

// Models of others that are worth a hint. Names are compared without regard to case.
static const struct known_model {
    const char *names[4];
    const char *file, *address, *sha256;
} known_models[] = {
    {{"ggml-model-i2_s.gguf", "ggml-model-i2_s", "bitnet-b1.58-2B-4T", "2b4t"},
     "ggml-model-i2_s.gguf",
     "https://huggingface.co/microsoft/bitnet-b1.58-2B-4T-gguf",
     "4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162"},
};

struct folders {
    char path[MAX_FOLDERS][PATH_MAX];
    const char *why[MAX_FOLDERS];
    size_t n;
};

static void add_folder(struct folders *folders, const char *why, const char *base, const char *tail)
{
    if (!base || !*base || folders->n == MAX_FOLDERS)
        return;
    int n = snprintf(folders->path[folders->n], PATH_MAX, "%s%s", base, tail);
    if (n > 0 && n < PATH_MAX)
        folders->why[folders->n++] = why;
}

// Folders separated by colons.
static void add_folders(struct folders *folders, const char *why, const char *list)
{
    while (list && *list) {
        char folder[PATH_MAX];
        size_t n = strcspn(list, ":");
        if (n < sizeof folder) {
            memcpy(folder, list, n);
            folder[n] = '\0';
            add_folder(folders, why, folder, "");
        }
        list += n + (list[n] == ':');
    }
}

// The checkout is the nearest folder above the program that holds our symbol map.
static bool find_checkout(char *path)
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    for (int level = 0; level < 5; level++) {
        char probe[PATH_MAX + 16];
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
            return false;
        *slash = '\0';
        snprintf(probe, sizeof probe, "%s/libbitnet.map", path);
        if (access(probe, F_OK) == 0)
            return true;
    }
    return false;
}

static void list_folders(struct folders *folders, const char *option)
{
    char checkout[PATH_MAX];
    const char *data_home = getenv("XDG_DATA_HOME");
    if (option)
        add_folders(folders, "--models", option);
    else
        add_folders(folders, "$BITNET_MODELS", getenv("BITNET_MODELS"));
    if (data_home && *data_home == '/')
        add_folder(folders, "$XDG_DATA_HOME", data_home, "/bitnet/models");
    else
        add_folder(folders, "data folder of the user", getenv("HOME"), "/.local/share/bitnet/models");
    add_folder(folders, "installed", BN_DATA_DIR, "/models");
    if (find_checkout(checkout))
        add_folder(folders, "checkout", checkout, "/models");
}

// What opening a thing that is not a file would say is said by the library.
static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

static bool exists_in(const char *folder, const char *name, char *path)
{
    static const char *const endings[] = {"", ".gguf"};
    for (size_t i = 0; i < 2; i++) {
        struct stat status;
        int n = snprintf(path, PATH_MAX, "%s/%s%s", folder, name, endings[i]);
        if (n > 0 && n < PATH_MAX && stat(path, &status) == 0 && S_ISREG(status.st_mode))
            return true;
    }
    return false;
}

static const struct known_model *find_known(const char *name)
{
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    for (size_t i = 0; i < sizeof known_models / sizeof *known_models; i++) {
        for (size_t j = 0; j < 4; j++) {
            if (strcasecmp(base, known_models[i].names[j]) == 0)
                return &known_models[i];
        }
    }
    return NULL;
}

static int refuse(const char *program, const char *name, const struct folders *folders)
{
    const struct known_model *known = find_known(name);
    tool_say(program, "%s: no such model", name);
    for (size_t i = 0; i < folders->n; i++)
        tool_say(program, "looked in %s (%s)", folders->path[i], folders->why[i]);
    if (known) {
        tool_say(program, "%s is at %s", known->file, known->address);
        tool_say(program, "its sha256 is %s", known->sha256);
    }
    return TOOL_EXIT_USAGE;
}

static int give(const char *program, const char *found, char **path)
{
    *path = strdup(found);
    if (*path)
        return TOOL_EXIT_OK;
    tool_say(program, "out of memory");
    return TOOL_EXIT_RESOURCE;
}

int tool_find_model(const char *program, const char *name, const char *folder, char **path)
{
    struct folders folders = {.n = 0};
    char found[PATH_MAX];
    *path = NULL;
    // A folder that happens to have a model's name does not hide the model.
    struct stat status;
    if (strchr(name, '/') || (stat(name, &status) == 0 && !S_ISDIR(status.st_mode))) {
        if (strchr(name, '/') && !exists(name) && find_known(name))
            return refuse(program, name, &folders);
        return give(program, name, path);
    }
    list_folders(&folders, folder);
    // The published file's other names find it too.
    const struct known_model *known = find_known(name);
    for (size_t i = 0; i < folders.n; i++) {
        if (exists_in(folders.path[i], name, found) || (known && exists_in(folders.path[i], known->file, found)))
            return give(program, found, path);
    }
    if (exists(name))
        return give(program, name, path);
    return refuse(program, name, &folders);
}
