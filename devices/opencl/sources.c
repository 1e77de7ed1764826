#include "devices/opencl/sources.h"

#include <bitnet/op.h>
#include <string.h>

#include "portable_sources.inl"
#include "shaders/constants.h"

static const struct source table[] = {PORTABLE_SOURCES};

#define SLOT_IS(word, field)                                                                                           \
    _Static_assert(offsetof(struct bn_slot, field) == 4 * word, "shaders/constants.h and struct bn_slot differ")
SLOT_IS(SLOT_N_ROWS, n_rows);
SLOT_IS(SLOT_N_OUTPUTS, n_outputs);
SLOT_IS(SLOT_N_COPIES, n_copies);
SLOT_IS(SLOT_ROW_AT, row_at);
SLOT_IS(SLOT_SEQ_AT, seq_at);
SLOT_IS(SLOT_PAGE_AT, page_at);
SLOT_IS(SLOT_OUTPUT_AT, output_at);
SLOT_IS(SLOT_COPY_AT, copy_at);
SLOT_IS(SLOT_FIRST_OUTPUT, first_output);
SLOT_IS(SLOT_STATUS, status);
SLOT_IS(SLOT_STATUS_OP, status_op);
SLOT_IS(SLOT_TOP, top);
SLOT_IS(SLOT_SKIP, skip);
SLOT_IS(SLOT_PROGRESS, progress);
_Static_assert(STATUS_NOT_FINITE == BN_SLOT_NOT_FINITE && TOP_MOST == BN_TOP_MOST,
               "shaders/constants.h and op.h differ");

const struct source *bn_opencl_source(enum bn_kernel kernel)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, bn_kernel_infos[kernel].name) == 0)
            return &table[i];
    return NULL;
}
