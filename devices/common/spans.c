#include "devices/common/spans.h"

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

enum bn_result bn_spans_init(struct bn_spans *spans, const struct bn_host *host, struct bn_error *err)
{
    *spans = (struct bn_spans){.list = bn_alloc_array(host, BN_SPANS, sizeof(*spans->list))};
    return spans->list ? BN_OK : bn_fail_memory(err, BN_SPANS * sizeof(*spans->list), "the spans of a trace");
}

void bn_spans_finish(struct bn_spans *spans, const struct bn_host *host)
{
    bn_free(host, spans->list);
    spans->list = NULL;
}

void bn_spans_push(struct bn_spans *spans, const struct bn_op_span *span)
{
    spans->list[spans->end++ % BN_SPANS] = *span;
    if (spans->end - spans->first > BN_SPANS)
        spans->first = spans->end - BN_SPANS;
}

size_t bn_spans_take(struct bn_spans *spans, struct bn_op_span *list, size_t capacity)
{
    size_t n = 0;
    while (n < capacity && spans->first != spans->end)
        list[n++] = spans->list[spans->first++ % BN_SPANS];
    return n;
}
