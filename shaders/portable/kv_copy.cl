// BN_OP_KV_COPY: whole pages of the KV pool.
#include "common.h"

KERNEL kv_copy(SPAN(uint, slot), SPAN(uint4, kv), uint op, uint page_quads)
{
    OPEN(uint, slot);
    OPEN(uint4, kv);
    if (skips(slot, op))
        return;
    for (uint c = 0; c < slot[SLOT_N_COPIES]; c++) {
        uint at = slot[SLOT_COPY_AT] / 4 + c * 2;
        uint from = slot[at] * page_quads, to = slot[at + 1] * page_quads;
        for (uint i = group_x() * THREADS + thread(); i < page_quads; i += groups_x() * THREADS)
            kv[to + i] = kv[from + i];
    }
}
