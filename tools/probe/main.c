#include "tools/probe/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <signal.h>

#include "runtime/base/dynlib.h"
#include "runtime/base/fail.h"

static const struct {
    const char *name;
    probe_function *run;
} probes[] = {
    {"bitnet", probe_bitnet}, {"drm", probe_drm},
    {"hwloc", probe_hwloc},   {"vulkan", probe_vulkan},
    {"opencl", probe_opencl}, {"cuda", probe_cuda},
    {"nvml", probe_nvml},     {"hip", probe_hip},
    {"hsa", probe_hsa},       {"level-zero", probe_level_zero},
};

enum { GIVE_UP_SECONDS = 90 }; // should nobody be left to kill a helper that hangs

void record_start(const char *word)
{
    fputs(word, stdout);
}

void record_text(const char *key, const char *value)
{
    char text[512];
    if (!value || !*value)
        return;
    snprintf(text, sizeof text, "%s", value);
    bn_make_printable(text); // tabs and newlines too
    printf("\t%s=%s", key, text);
}

void record_number(const char *key, uint64_t value)
{
    if (value != UINT64_MAX)
        printf("\t%s=%llu", key, (unsigned long long)value);
}

void record_pci(unsigned domain, unsigned bus, unsigned device, unsigned function)
{
    printf("\tpci=%04x:%02x:%02x.%x", domain, bus & 0xff, device & 0x1f, function & 7);
}

void record_uuid(const uint8_t bytes[16])
{
    static const uint8_t none[16];
    if (memcmp(bytes, none, 16) == 0)
        return;
    fputs("\tuuid=", stdout);
    for (int i = 0; i < 16; i++)
        printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

void record_version(const char *key, unsigned major, unsigned minor, unsigned patch)
{
    printf("\t%s=%u.%u.%u", key, major, minor, patch);
}

void record_end(void)
{
    putchar('\n');
    fflush(stdout); // the next call of the driver may be its last
}

void record_state(enum bn_device_state state, const char *mend, const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    record_start("api");
    record_text("state", bn_device_state_name(state));
    record_text("reason", reason);
    record_text("mend", mend);
    record_end();
}

bool open_library(const char *const *names, const struct symbol *symbols, size_t n)
{
    char reason[256] = "";
    void *library = bn_dynlib_open(names, reason, sizeof reason);
    if (!library && strstr(reason, "No such file")) {
        record_state(BN_STATE_MISSING_LIBRARY, NULL, "%s not found", names[0]);
        return false;
    }
    if (!library) {
        record_state(BN_STATE_FAULTED, NULL, "%s", reason);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bn_dynlib_function address = bn_dynlib_symbol(library, symbols[i].name);
        memcpy(symbols[i].target, &address, sizeof address);
        if (!address && !symbols[i].optional) {
            record_state(BN_STATE_TOO_OLD, "update it", "%s has no %s", names[0], symbols[i].name);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    for (size_t i = 0; argc == 2 && i < sizeof probes / sizeof *probes; i++) {
        if (strcmp(argv[1], probes[i].name) != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(GIVE_UP_SECONDS);
        probes[i].run();
        puts("end");
        fflush(stdout);
        _exit(0); // drivers that crash on the way out harm nobody
    }
    fputs("usage: bitnet-probe API\nAsks one API for its devices; bitnet-devices starts it. API is one of", stderr);
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        fprintf(stderr, " %s", probes[i].name);
    fputs("\n", stderr);
    return 2;
}
