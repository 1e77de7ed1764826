#include "runtime/text/merge.h"

#include <string.h>

#include "runtime/base/fail.h"

void bn_merge_finish(const struct bn_host *host, struct bn_merge *merge)
{
    bn_free(host, merge->ids);
    bn_free(host, merge->next);
    bn_free(host, merge->prev);
    bn_free(host, merge->heap);
    memset(merge, 0, sizeof(*merge));
}

enum bn_result bn_merge_reserve(const struct bn_host *host, struct bn_merge *merge, const char *text, size_t bytes,
                                struct bn_error *err)
{
    if (bytes > merge->capacity) {
        size_t capacity = bytes < 32 ? 64 : bytes * 2;
        bn_merge_finish(host, merge);
        merge->ids = bn_alloc_array(host, capacity, sizeof(*merge->ids));
        merge->next = bn_alloc_array(host, capacity, sizeof(*merge->next));
        merge->prev = bn_alloc_array(host, capacity, sizeof(*merge->prev));
        merge->heap = bn_alloc_array(host, capacity, 2 * sizeof(*merge->heap));
        if (!merge->ids || !merge->next || !merge->prev || !merge->heap)
            return bn_fail_memory(err, (uint64_t)capacity * 28, "merging a long word");
        merge->capacity = capacity;
    }
    merge->text = text;
    merge->bytes = bytes;
    return BN_OK;
}

static void heap_push(struct bn_merge *merge, uint64_t value)
{
    size_t i = merge->n_heap++;
    for (; i > 0 && merge->heap[(i - 1) / 2] > value; i = (i - 1) / 2)
        merge->heap[i] = merge->heap[(i - 1) / 2];
    merge->heap[i] = value;
}

static uint64_t heap_pop(struct bn_merge *merge)
{
    uint64_t top = merge->heap[0], last = merge->heap[--merge->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < merge->n_heap; child = 2 * i + 1) {
        if (child + 1 < merge->n_heap && merge->heap[child + 1] < merge->heap[child])
            child++;
        if (merge->heap[child] >= last)
            break;
        merge->heap[i] = merge->heap[child];
        i = child;
    }
    merge->heap[i] = last;
    return top;
}

static void offer(struct bn_merge *merge, bn_merge_rule *rule, const void *model, int32_t left)
{
    uint32_t rank;
    int32_t id;
    if (left >= 0 && merge->next[left] >= 0 && rule(model, merge, left, merge->next[left], &rank, &id))
        heap_push(merge, (uint64_t)rank << 32 | (uint32_t)left);
}

void bn_merge_run(struct bn_merge *merge, bn_merge_rule *rule, const void *model)
{
    merge->n_heap = 0;
    for (int32_t i = 0; i >= 0; i = merge->next[i])
        offer(merge, rule, model, i);
    while (merge->n_heap > 0) {
        uint64_t top = heap_pop(merge);
        int32_t left = (int32_t)(top & UINT32_MAX), right = merge->next[left], id;
        uint32_t rank;
        // What has changed since it was pushed has been offered again, unless it is gone.
        if (merge->ids[left] == BN_MERGED || right < 0 || !rule(model, merge, left, right, &rank, &id) ||
            rank != top >> 32)
            continue;
        merge->ids[left] = id;
        merge->ids[right] = BN_MERGED;
        merge->next[left] = merge->next[right];
        if (merge->next[left] >= 0)
            merge->prev[merge->next[left]] = left;
        offer(merge, rule, model, merge->prev[left]);
        offer(merge, rule, model, left);
    }
}
