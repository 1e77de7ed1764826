// The scan copy of a head: int8 rows with a bound of what they miss, for BN_OP_TOP.
#ifndef BN_GRAPH_SCAN_H
#define BN_GRAPH_SCAN_H

#include <bitnet/driver.h>

#include "runtime/model/model_impl.h"

struct bn_scan {
    struct bn_buffer *buffer; // NULL: there is none
    struct bn_span rows;      // int8 [n_vocab][n_embd]
    struct bn_span info;      // bn_scan_row [n_vocab]
};

// Makes the copy if the device runs BN_OP_TOP on the head as it is placed. No copy is made, and BN_OK returned, if it does
// not, or if the head has values that are not finite.
enum bn_result bn_scan_init(struct bn_scan *scan, struct bn_device *device, const struct bn_tensor *head,
                            enum bn_layout layout, struct bn_error *err);
void bn_scan_finish(struct bn_scan *scan);

// One row: q and *info from w [n], n a multiple of 16. False if a value is not finite, or the row is too large or too small.
bool bn_scan_quantise(const float *w, size_t n, int8_t *q, struct bn_scan_row *info);

#endif
