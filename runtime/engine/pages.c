#include "runtime/base/fail.h"
#include "runtime/engine/engine_impl.h"

enum bn_result bn_pages_init(struct bn_pages *pages, const struct bn_host *host, uint32_t n, struct bn_error *err)
{
    pages->references = bn_alloc_array(host, n, sizeof(uint32_t));
    pages->free = bn_alloc_array(host, n, sizeof(uint32_t));
    if (!pages->references || !pages->free)
        return bn_fail_memory(err, (uint64_t)n * 2 * sizeof(uint32_t), "the page table");
    pages->n = n;
    atomic_store(&pages->n_free, n);
    for (uint32_t i = 0; i < n; i++)
        pages->free[i] = n - 1 - i; // page 0 is taken first
    return BN_OK;
}

void bn_pages_finish(struct bn_pages *pages, const struct bn_host *host)
{
    bn_free(host, pages->references);
    bn_free(host, pages->free);
}

static uint32_t take(struct bn_pages *pages)
{
    uint32_t page = pages->free[--pages->n_free];
    pages->references[page] = 1;
    return page;
}

static void drop(struct bn_pages *pages, uint32_t page)
{
    if (--pages->references[page] == 0)
        pages->free[pages->n_free++] = page;
}

bool bn_session_reserve(struct bn_session *session, size_t n, struct bn_slot_copy *copy)
{
    struct bn_pages *pages = &session->engine->pages;
    uint32_t needed = (uint32_t)((session->length + n + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS);
    uint32_t partial = (uint32_t)(session->length / BN_PAGE_POSITIONS);
    bool shared = partial < session->n_pages && pages->references[session->pages[partial]] > 1;
    if (needed - session->n_pages + shared > pages->n_free)
        return false;
    *copy = (struct bn_slot_copy){0, 0};
    if (shared) {
        copy->from = session->pages[partial];
        copy->to = session->pages[partial] = take(pages); // the reference to `from` is kept until settled
    }
    while (session->n_pages < needed)
        session->pages[session->n_pages++] = take(pages);
    return true;
}

void bn_session_settle_copy(struct bn_session *session, const struct bn_slot_copy *copy, bool copied)
{
    struct bn_pages *pages = &session->engine->pages;
    if (copy->from == copy->to)
        return;
    if (!copied)
        session->pages[session->length / BN_PAGE_POSITIONS] = copy->from;
    drop(pages, copied ? copy->from : copy->to);
}

void bn_session_release(struct bn_session *session, size_t length)
{
    uint32_t keep = (uint32_t)((length + BN_PAGE_POSITIONS - 1) / BN_PAGE_POSITIONS);
    while (session->n_pages > keep)
        drop(&session->engine->pages, session->pages[--session->n_pages]);
}
