#include "runtime/base/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/base/thread.h"

enum { ALIGNMENT = 64, PAGE = 4096, HUGE_PAGE = 2 << 20, PARALLEL_FROM = 64 << 20 };

// Large blocks (weights, KV pool, activations) are aligned for huge pages, and the system is asked for them. Memory is zero,
// as calloc gives it: what is fresh from the system it does not clear a second time. Its own address stands in front of the block.
static void *default_alloc(void *user, size_t bytes, size_t align)
{
    bool huge = bytes >= 2 * HUGE_PAGE;
    size_t room;
    align = huge ? HUGE_PAGE : align;
    if (__builtin_add_overflow(bytes, align + sizeof(void *), &room))
        return NULL;
    uint8_t *whole = calloc(1, room);
    if (!whole)
        return NULL;
    uint8_t *after = whole + sizeof(void *), *memory = after + (align - (uintptr_t)after % align) % align;
    memcpy(memory - sizeof(void *), &whole, sizeof(whole));
    if (huge)
        madvise(memory, bytes, MADV_HUGEPAGE); // a hint; without huge pages everything works as well
    return memory;
}

static void default_free(void *user, void *memory)
{
    void *whole;
    memcpy(&whole, (uint8_t *)memory - sizeof(void *), sizeof(whole));
    free(whole);
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

// Large memory is cleared on all CPUs: most of the time the system takes to make its pages. Ours is zero, and is touched, so that
// nothing is left for the first step.
struct range {
    uint8_t *memory;
    size_t bytes;
    bool zero;
};

static void clear(const struct range *range, size_t from, size_t to)
{
    if (!range->zero)
        memset(range->memory + from, 0, to - from);
    for (size_t at = from; range->zero && at < to; at += PAGE)
        *(volatile uint8_t *)(range->memory + at) = 0;
}

static void clear_pages(void *context, uint64_t begin, uint64_t end)
{
    const struct range *range = context;
    clear(range, begin * HUGE_PAGE, end * HUGE_PAGE < range->bytes ? end * HUGE_PAGE : range->bytes);
}

void *bn_alloc(const struct bn_host *host, size_t bytes)
{
    if (bytes == 0)
        bytes = 1;
    void *memory = host->allocator.alloc(host->allocator.user, bytes, ALIGNMENT);
    struct range range = {memory, bytes, host->allocator.alloc == default_alloc};
    if (memory && bytes >= PARALLEL_FROM)
        bn_parallel((bytes + HUGE_PAGE - 1) / HUGE_PAGE, clear_pages, &range);
    else if (memory)
        clear(&range, 0, bytes);
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
