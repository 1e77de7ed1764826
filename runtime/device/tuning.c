// What bitnet-bench --tune found, as text in the cache folder: a word and its value in each line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/driver.h>

#include "runtime/base/cache.h"
#include "runtime/base/fail.h"
#include "runtime/base/runtime.h"
#include "runtime/device/tuning.h"

enum { MOST_BYTES = 1024 };

static const char *const packings[] = {"auto", "2bit", "base3"}, *const loads[] = {"auto", "map", "copy"};

// The machine that a tuning is for: it holds for no other, nor for another number of CPUs.
static void name_machine(const struct bn_device_info *cpu, char *name, size_t bytes)
{
    snprintf(name, bytes, "machine %s, %s, %u CPUs", cpu->name, cpu->isa, cpu->threads);
}

static enum bn_result unusable(const char *path, const char *why, struct bn_error *err)
{
    return bn_fail_at(err, BN_ERR_MODEL, path, NULL, UINT64_MAX, "%s; bitnet-bench --tune makes a new one", why);
}

static bool word_of(const char *const *words, const char *value, int *out)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(words[i], value) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool parse_line(struct bn_tuning *tuning, const char *line)
{
    int word = 0;
    char *end;
    if (strncmp(line, "threads ", 8) == 0 && line[8] >= '0' && line[8] <= '9') {
        unsigned long threads = strtoul(line + 8, &end, 10);
        tuning->threads = (uint32_t)threads;
        return *end == '\0' && threads <= 1024;
    }
    if (strncmp(line, "packing ", 8) == 0 && word_of(packings, line + 8, &word)) {
        tuning->packing = (enum bn_packing)word;
        return true;
    }
    if (strncmp(line, "load ", 5) == 0 && word_of(loads, line + 5, &word)) {
        tuning->load = (enum bn_load_mode)word;
        return true;
    }
    return false;
}

static enum bn_result parse(char *text, const struct bn_device_info *cpu, const char *path, struct bn_tuning *tuning,
                            struct bn_error *err)
{
    char machine[160], *next = NULL;
    name_machine(cpu, machine, sizeof(machine));
    const char *line = strtok_r(text, "\n", &next);
    if (!line || strcmp(line, "bitnet-tune/1") != 0)
        return unusable(path, "this is no tuning of this version", err);
    line = strtok_r(NULL, "\n", &next);
    if (!line || strcmp(line, machine) != 0)
        return unusable(path, "this tuning is of another machine, or of another number of CPUs", err);
    while ((line = strtok_r(NULL, "\n", &next)) != NULL)
        if (!parse_line(tuning, line))
            return unusable(path, "a line of this tuning is damaged", err);
    return BN_OK;
}

enum bn_result bn_tuning_load(const struct bn_device_info *cpu, struct bn_tuning *tuning, struct bn_error *err)
{
    char path[BN_CACHE_PATH_BYTES], text[MOST_BYTES];
    size_t n;
    BN_INIT(*tuning);
    enum bn_result result = bn_cache_read(BN_TUNING_FILE, text, sizeof(text) - 1, &n, err);
    if (result != BN_OK)
        return result;
    text[n] = '\0';
    bool there = bn_cache_path(path, BN_TUNING_FILE, false);
    result = parse(text, cpu, there ? path : BN_TUNING_FILE, tuning, err);
    if (result != BN_OK)
        BN_INIT(*tuning);
    return result;
}

enum bn_result bn_tuning_read(struct bn_runtime *runtime, struct bn_tuning *tuning, struct bn_error *err)
{
    struct bn_device_info cpu;
    if (!runtime || !tuning || tuning->size != sizeof(*tuning))
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime or tuning is NULL, or its size is not set; use BN_INIT");
    enum bn_result result = bn_device_find(runtime, "cpu", &cpu, err);
    return result == BN_OK ? bn_tuning_load(&cpu, tuning, err) : result;
}

enum bn_result bn_tuning_write(struct bn_runtime *runtime, const struct bn_tuning *tuning, struct bn_error *err)
{
    struct bn_device_info cpu;
    char machine[160], text[MOST_BYTES];
    if (!runtime || !tuning || tuning->size != sizeof(*tuning) || tuning->threads > 1024 ||
        (unsigned)tuning->packing > BN_PACKING_BASE3 || (unsigned)tuning->load > BN_LOAD_COPY)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime or tuning is NULL, or a value is out of range; use BN_INIT");
    enum bn_result result = bn_device_find(runtime, "cpu", &cpu, err);
    if (result != BN_OK)
        return result;
    name_machine(&cpu, machine, sizeof(machine));
    int n = snprintf(text, sizeof(text), "bitnet-tune/1\n%s\nthreads %u\npacking %s\nload %s\n", machine,
                     tuning->threads, packings[tuning->packing], loads[tuning->load]);
    return bn_cache_write(BN_TUNING_FILE, text, (size_t)n, err);
}
