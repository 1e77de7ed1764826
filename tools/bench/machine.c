// What the system tells about pages and energy.
#include "bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench_commit.h"

#define POWERCAP "/sys/class/powercap"

enum { MAX_PACKAGES = 64 };

uint64_t machine_huge_bytes(const void *address)
{
    FILE *file = fopen(address ? "/proc/self/smaps" : "/proc/self/smaps_rollup", "re");
    uint64_t bytes = 0;
    bool inside = !address;
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        uint64_t first, last, kib;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &first, &last) == 2)
            inside = !address || ((uintptr_t)address >= first && (uintptr_t)address < last);
        else if (inside && sscanf(line, "AnonHugePages: %" SCNu64 " kB", &kib) == 1)
            bytes += kib * 1024;
    }
    if (file)
        fclose(file);
    return bytes;
}

// The packages' counters, found once. Sub-zones (intel-rapl:0:1) are part of their package.
static struct {
    bool looked;
    const char *note;
    size_t n;
    char path[MAX_PACKAGES][320];
    double wrap; // joules, of all packages together: they have the same range
} energy;

static bool read_number(const char *folder, const char *name, double *value)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    int error = errno;
    bool found = file && fscanf(file, "%lf", value) == 1;
    if (file)
        fclose(file);
    if (!file && (error == EACCES || error == EPERM))
        energy.note = "energy: " POWERCAP " is readable by root only";
    return found;
}

static void find_energy(void)
{
    energy.looked = true;
    energy.note = "energy: no RAPL counters under " POWERCAP;
    DIR *folder = opendir(POWERCAP);
    for (struct dirent *entry; folder && energy.n < MAX_PACKAGES && (entry = readdir(folder)) != NULL;) {
        const char *colon = strchr(entry->d_name, ':');
        double joules, wrap;
        char *path = energy.path[energy.n];
        if (!colon || strchr(colon + 1, ':') || !strstr(entry->d_name, "rapl"))
            continue;
        snprintf(path, sizeof energy.path[0], POWERCAP "/%s", entry->d_name);
        if (read_number(path, "energy_uj", &joules) && read_number(path, "max_energy_range_uj", &wrap)) {
            energy.n++;
            energy.wrap = wrap * 1e-6;
        }
    }
    if (folder)
        closedir(folder);
    if (energy.n)
        energy.note = NULL;
}

static double card_joules(const struct bn_device *device)
{
    struct bn_device_sensors sensors;
    bool told = bn_device_get_sensors(device, &sensors) && isfinite(sensors.energy_j);
    energy.looked = true;
    energy.wrap = 0;
    energy.note = told ? NULL : "energy: the card has no counter that NVML or the kernel would read";
    return told ? sensors.energy_j : NAN;
}

double machine_joules(const struct bn_device *device)
{
    if (bn_device_get_info(device)->kind == BN_DEVICE_GPU)
        return card_joules(device);
    if (!energy.looked)
        find_energy();
    double sum = 0, value;
    for (size_t i = 0; i < energy.n; i++) {
        if (!read_number(energy.path[i], "energy_uj", &value))
            return NAN;
        sum += value * 1e-6;
    }
    return energy.n ? sum : NAN;
}

double machine_joules_between(double before, double after)
{
    double joules = after - before;
    while (joules < 0 && energy.wrap > 0)
        joules += energy.wrap;
    return joules;
}

const char *machine_joules_note(void)
{
    if (!energy.looked)
        find_energy();
    return energy.note;
}

const char *machine_compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *machine_commit(void)
{
    return BENCH_COMMIT;
}

void machine_system(char *text, size_t bytes)
{
    struct utsname system;
    if (uname(&system) == 0)
        snprintf(text, bytes, "%s %s %s", system.sysname, system.release, system.machine);
    else
        snprintf(text, bytes, "?");
}

double machine_mhz(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    double most = NAN, value;
    char line[512];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "cpu MHz : %lf", &value) == 1)
            most = fmax(value, most);
    if (file)
        fclose(file);
    if (isfinite(most))
        return most;
    file = fopen("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "re"); // Arm has no line for it
    if (file && fscanf(file, "%lf", &value) == 1)
        most = value / 1000;
    if (file)
        fclose(file);
    return most;
}
