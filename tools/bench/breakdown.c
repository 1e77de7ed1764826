// Where a token's time goes, from the device's profile of ops.
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>

size_t breakdown_rows(const struct result *result, struct breakdown_row *rows, size_t capacity, double *rest_us)
{
    double tokens = (double)result->n_tokens, total_us = result->seconds / tokens * 1e6, known_us = 0;
    size_t n = 0;
    for (size_t i = 0; i < result->n_profile && n < capacity; i++) {
        const struct bn_op_profile *p = &result->profile[i];
        struct breakdown_row *row = &rows[n];
        if (!p->runs)
            continue;
        // In phases that all threads work on together, what is not work is waiting: for the start, for more to do, for
        // the others. Counted as if all threads waited alike.
        double together = (double)(p->ns - p->alone_ns), work = (double)(p->work_ns - p->alone_ns);
        double waiting = result->threads ? together - work / result->threads : NAN; // a device does not tell
        if (p->rows)
            snprintf(row->op, sizeof row->op, "%s %ux%u", bn_op_name(p->kind), p->rows, p->cols);
        else
            snprintf(row->op, sizeof row->op, "%s %u", bn_op_name(p->kind), p->cols);
        row->calls = (double)p->runs / tokens;
        row->us = (double)p->ns * 1e-3 / tokens;
        row->share = row->us / total_us;
        row->wait_share = isnan(waiting) ? NAN : p->ns ? fmax(waiting, 0) / (double)p->ns : 0;
        row->barriers = (double)p->barriers / tokens;
        known_us += row->us;
        n++;
    }
    *rest_us = total_us > known_us ? total_us - known_us : 0;
    return n;
}
