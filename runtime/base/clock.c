#include "runtime/base/clock.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t bn_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// The path of this process's group in /proc/self/cgroup, for controller `name` ("" is v2).
static bool cgroup_path(const char *name, char *path, size_t capacity)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return false;
    char line[1024];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        if (*name == '\0') {
            found = *controllers == '\0';
        } else {
            for (char *save = NULL, *word = strtok_r(controllers, ",", &save); word && !found;
                 word = strtok_r(NULL, ",", &save))
                found = strcmp(word, name) == 0;
        }
        if (found)
            snprintf(path, capacity, "%s", strcmp(group, "/") == 0 ? "" : group);
    }
    fclose(file);
    return found;
}

static bool read_line(const char *path, char *text, int capacity)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool ok = fgets(text, capacity, file) != NULL;
    fclose(file);
    return ok;
}

// Calls `limit` on the group's own file and on those of all its parents, the smallest counts. Inside a container the
// group's path may not exist below the mount; the mount's root then is the group.
static double smallest_limit(const char *mount, const char *group, const char *file,
                             double (*limit)(const char *directory, const char *file))
{
    char path[1024], directory[2048];
    double best = limit(mount, file);
    snprintf(path, sizeof(path), "%s", group);
    while (*path) {
        snprintf(directory, sizeof(directory), "%s%s", mount, path);
        double value = limit(directory, file);
        if (value < best)
            best = value;
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return best;
}

static const double unlimited = 1e300;

static double v2_cpus(const char *directory, const char *file)
{
    char path[2304], text[128];
    double quota, period;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    if (read_line(path, text, sizeof(text)) && sscanf(text, "%lf %lf", &quota, &period) == 2 && period > 0)
        return quota / period;
    return unlimited;
}

static double v1_cpus(const char *directory, const char *file)
{
    char path[2304], text[128];
    double quota = -1, period = -1;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    if (read_line(path, text, sizeof(text)))
        sscanf(text, "%lf", &quota);
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);
    if (read_line(path, text, sizeof(text)))
        sscanf(text, "%lf", &period);
    return quota > 0 && period > 0 ? quota / period : unlimited;
}

static double bytes_limit(const char *directory, const char *file)
{
    char path[2304], text[128];
    double value;
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    return read_line(path, text, sizeof(text)) && sscanf(text, "%lf", &value) == 1 && value > 0 ? value : unlimited;
}

uint32_t bn_cpu_count(void)
{
    long count = 0;
    // The kernel may know more CPUs than cpu_set_t has bits: grow until it is content.
    for (int cpus = CPU_SETSIZE; count == 0 && cpus <= 1 << 16; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            break;
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        if (sched_getaffinity(0, bytes, set) == 0)
            count = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
    }
    if (count <= 0)
        count = sysconf(_SC_NPROCESSORS_ONLN);
    char group[1024];
    double quota = unlimited;
    if (cgroup_path("", group, sizeof(group)))
        quota = smallest_limit("/sys/fs/cgroup", group, "cpu.max", v2_cpus);
    if (cgroup_path("cpu", group, sizeof(group))) {
        double old = smallest_limit("/sys/fs/cgroup/cpu", group, "cpu.cfs_quota_us", v1_cpus);
        quota = old < quota ? old : quota;
    }
    if (quota < (double)count)
        count = (long)(quota + 0.999);
    return count < 1 ? 1 : (uint32_t)count;
}

void bn_memory_info(uint64_t *total, uint64_t *available)
{
    *total = *available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file) {
        char line[256];
        uint64_t kib;
        while (fgets(line, sizeof(line), file)) {
            if (sscanf(line, "MemTotal: %" SCNu64, &kib) == 1)
                *total = kib * 1024;
            else if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
                *available = kib * 1024;
        }
        fclose(file);
    }
    char group[1024];
    double limit = unlimited;
    if (cgroup_path("", group, sizeof(group)))
        limit = smallest_limit("/sys/fs/cgroup", group, "memory.max", bytes_limit);
    if (*total && limit < (double)*total) {
        *total = (uint64_t)limit;
        if (*available > *total)
            *available = *total;
    }
}
