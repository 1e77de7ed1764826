// BN_OP_COPY: bytes. Spans begin at multiples of 4; the last word keeps what lies behind the span.
#include "common.h"

KERNEL copy(SPAN(uint, slot), SPAN(uint, from), SPAN(uint, to), uint op, uint bytes)
{
    OPEN(uint, slot);
    OPEN(uint, from);
    OPEN(uint, to);
    if (skips(slot, op))
        return;
    uint first = group_x() * THREADS + thread();
    for (uint i = first; i < bytes / 4; i += groups_x() * THREADS)
        to[i] = from[i];
    uint last = bytes / 4, mask = (1u << bytes % 4 * 8) - 1;
    if (mask != 0 && first == 0)
        to[last] = (to[last] & ~mask) | (from[last] & mask);
}
