// What the fake libraries of vendors share. A fake does what $BITNET_TEST_FAKE_<API> says: a word, then devices, each
// "ADDRESS,NAME,UUID,MEMORY", all separated by semicolons.
//   ok       report the devices               fail=N   the first call returns N
//   crash    the first call ends in SIGSEGV   hang     it does not return
//   late     crash once the last device was asked for its memory
//   exit     the first call ends the process  noise    it fills standard output
// Without the variable there is no device.
#ifndef TESTS_FAKE_FAKE_H
#define TESTS_FAKE_FAKE_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAKE_API __attribute__((visibility("default")))

struct fake_device {
    unsigned domain, bus, device, function;
    char address[32], name[128], uuid_text[64];
    uint8_t uuid[16];
    uint64_t memory;
};

static struct {
    char text[2048];
    const char *mode;
    int n;
    struct fake_device devices[32];
} fake;

static inline void fake_uuid(struct fake_device *device)
{
    int digits = 0;
    for (const char *at = device->uuid_text + (device->uuid_text[0] > 'F' ? 4 : 0); *at && digits < 32; at++) {
        if (*at == '-')
            continue;
        int value = *at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10;
        device->uuid[digits / 2] = (uint8_t)(device->uuid[digits / 2] << 4 | value);
        digits++;
    }
}

static inline void fake_crash(void)
{
    signal(SIGSEGV, SIG_DFL); // sanitizers have a handler
    raise(SIGSEGV);
}

// Reads the variable and does what it says. Returns N of fail=N, `none` if there is no device, else 0.
static inline int fake_start(const char *variable, int none)
{
    const char *said = getenv(variable);
    if (!said)
        return none;
    snprintf(fake.text, sizeof fake.text, "%s", said);
    char *rest = NULL;
    fake.mode = strtok_r(fake.text, ";", &rest);
    fake.n = 0;
    for (char *word = strtok_r(NULL, ";", &rest); word && fake.n < 32; word = strtok_r(NULL, ";", &rest)) {
        struct fake_device *device = &fake.devices[fake.n++];
        memset(device, 0, sizeof *device);
        unsigned long long memory = 0;
        sscanf(word, "%31[^,],%127[^,],%63[^,],%llu", device->address, device->name, device->uuid_text, &memory);
        sscanf(device->address, "%x:%x:%x.%x", &device->domain, &device->bus, &device->device, &device->function);
        device->memory = memory;
        fake_uuid(device);
    }
    if (strcmp(fake.mode, "crash") == 0)
        fake_crash();
    while (strcmp(fake.mode, "hang") == 0)
        pause();
    if (strcmp(fake.mode, "exit") == 0)
        _exit(3);
    while (strcmp(fake.mode, "noise") == 0)
        puts("device\tname=noise");
    return strncmp(fake.mode, "fail=", 5) == 0 ? (int)strtol(fake.mode + 5, NULL, 0) : 0;
}

static inline uint64_t fake_memory(int index)
{
    if (strcmp(fake.mode, "late") == 0 && index == fake.n - 1)
        fake_crash();
    return fake.devices[index].memory;
}

static inline void fake_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text) < size ? strlen(text) : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

#endif
