#include "runtime/base/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/thread.h"

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, PARALLEL_FROM = 64 << 20 };

// Large blocks (weights, KV pool, activations) are aligned for huge pages, and the system is asked for them.
static void *default_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    bool huge = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&memory, huge ? HUGE_PAGE : align, bytes) != 0)
        return NULL;
    if (huge)
        madvise(memory, bytes, MADV_HUGEPAGE); // a hint; without huge pages everything works as well
    return memory;
}

static void default_free(void *user, void *memory)
{
    free(memory);
}

void bn_host_init(struct bn_host *host, const struct bn_runtime_config *config)
{
    memset(host, 0, sizeof(*host));
    host->allocator = (struct bn_allocator){default_alloc, default_free, NULL};
    if (config && config->allocator)
        host->allocator = *config->allocator;
    if (config) {
        host->log = config->log;
        host->log_user = config->log_user;
    }
}

// Large memory is cleared on all CPUs: most of the time the system takes to make its pages.
struct range {
    uint8_t *memory;
    size_t bytes;
};

static void clear_pages(void *context, uint64_t begin, uint64_t end)
{
    const struct range *range = context;
    size_t from = begin * HUGE_PAGE, to = end * HUGE_PAGE < range->bytes ? end * HUGE_PAGE : range->bytes;
    memset(range->memory + from, 0, to - from);
}

void *bn_alloc(const struct bn_host *host, size_t bytes)
{
    if (bytes == 0)
        bytes = 1;
    void *memory = host->allocator.alloc(host->allocator.user, bytes, ALIGNMENT);
    if (memory && bytes >= PARALLEL_FROM)
        bn_parallel((bytes + HUGE_PAGE - 1) / HUGE_PAGE, clear_pages, &(struct range){memory, bytes});
    else if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *bn_alloc_array(const struct bn_host *host, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    return bn_alloc(host, total);
}

void bn_free(const struct bn_host *host, void *memory)
{
    if (memory)
        host->allocator.free(host->allocator.user, memory);
}

char *bn_strdup(const struct bn_host *host, const char *text, size_t bytes)
{
    size_t total;
    if (__builtin_add_overflow(bytes, 1, &total))
        return NULL;
    char *copy = bn_alloc(host, total);
    if (copy && bytes)
        memcpy(copy, text, bytes);
    return copy;
}

void bn_log(const struct bn_host *host, enum bn_log_level level, const char *format, ...)
{
    if (!host->log)
        return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    host->log(host->log_user, level, message);
}

const char *bn_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}
