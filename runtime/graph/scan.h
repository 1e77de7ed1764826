// The scan copy of a head: int8 rows with a bound of what they miss, for BN_OP_TOP.
#ifndef BN_GRAPH_SCAN_H
#define BN_GRAPH_SCAN_H

#include "runtime/graph/place.h"

struct bn_scan {
    struct bn_buffer *buffer; // of its own; NULL if the copy lies in the model's file
    struct bn_span rows;      // int8 [n_vocab][n_embd]; without buffer: there is none
    struct bn_span info;      // bn_scan_row [n_vocab]
};

// Makes the copy, or takes that of the file, if the device runs BN_OP_TOP on the head as it is placed. There is none, and BN_OK is
// returned, if it does not, or if the head has values that are not finite. `copy`: not in place, even where it could be.
// A copy in the file that is not that of its head is left alone, and a message says so: a block of each row is compared, and
// every 64th row as a whole.
enum bn_result bn_scan_init(struct bn_scan *scan, const struct bn_model *model, struct bn_device *device,
                            const struct bn_placement *placement, bool copy, struct bn_error *err);
void bn_scan_finish(struct bn_scan *scan);

#endif
